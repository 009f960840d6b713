"""The public ProductService, as the gateway passes it on, and what only the gateway asks."""

import grpc
from google.type import money_pb2

from roomviz.errors import InvalidArgument
from roomviz.internal.catalog.v1 import catalog_pb2, catalog_pb2_grpc
from roomviz.runtime.context import current
from roomviz.v1 import layouts_pb2, products_pb2, products_pb2_grpc
from services.catalog.domain.product import Cutout, Finish, Layout, Material, Mount, Product
from services.catalog.usecases import Catalog, Pattern, Patterns

_FINISH = {
    Finish.MATTE: products_pb2.FINISH_MATTE,
    Finish.EGGSHELL: products_pb2.FINISH_EGGSHELL,
    Finish.SATIN: products_pb2.FINISH_SATIN,
    Finish.GLOSS: products_pb2.FINISH_GLOSS,
    Finish.POLISHED: products_pb2.FINISH_POLISHED,
}

_MOUNT = {
    Mount.LYING: products_pb2.MOUNT_LYING,
    Mount.WALL: products_pb2.MOUNT_WALL,
    Mount.STANDING: products_pb2.MOUNT_STANDING,
    Mount.CEILING: products_pb2.MOUNT_CEILING,
}


def layout_to_proto(layout: Layout) -> layouts_pb2.Layout:
    return layouts_pb2.Layout(
        pattern=f"PATTERN_{layout.pattern.upper()}",
        offset=layout.offset,
        min_stagger_m=layout.min_stagger_m,
        min_length_m=layout.min_length_m,
        angle_deg=layout.angle_deg,
        match=f"WALLPAPER_MATCH_{layout.match.upper() or 'UNSPECIFIED'}",
        reverse_hang=layout.reverse_hang,
        grout=layouts_pb2.Grout(
            width_m=layout.grout_width_m, color_rgb=layout.grout_color_rgb, depth_m=layout.grout_depth_m
        ),
        bevel_m=layout.bevel_m,
    )


def to_proto(p: Product) -> products_pb2.Product:
    units = int(p.price)
    out = products_pb2.Product(
        name=f"products/{p.sku}",
        sku=p.sku,
        display_name=p.display_name,
        category=p.category,
        price=money_pb2.Money(currency_code=p.currency, units=units, nanos=int((p.price - units) * 1_000_000_000)),
        material=material_to_proto(p.material) if p.material else None,
        cutout=cutout_to_proto(p.cutout) if p.cutout else None,
        etag=p.etag,
    )
    if p.update_time:
        out.update_time.FromDatetime(p.update_time)
    return out


def material_to_proto(m: Material) -> products_pb2.Material:
    return products_pb2.Material(
        repeat_width_m=m.repeat_width_m,
        repeat_height_m=m.repeat_height_m,
        piece_width_m=m.piece_width_m,
        piece_length_m=m.piece_length_m,
        finish=_FINISH[m.finish],
        texture_digest=m.texture_digest,
        color_rgb=m.color_rgb,
        face_digest=m.face_digest,
        face_width_m=m.face_width_m,
        face_height_m=m.face_height_m,
        layout=layout_to_proto(m.layout) if m.layout else None,
        rectified=m.rectified,
        packaging=products_pb2.Packaging(
            pieces_per_box=m.packaging.pieces_per_box,
            roll_length_m=m.packaging.roll_length_m,
            coverage_m2_per_l=m.packaging.coverage_m2_per_l,
            can_l=m.packaging.can_l,
        ),
    )


def cutout_to_proto(c: Cutout) -> products_pb2.Cutout:
    return products_pb2.Cutout(
        image_digest=c.image_digest, width_m=c.width_m, height_m=c.height_m, depth_m=c.depth_m, mount=_MOUNT[c.mount]
    )


def _sku(name: str) -> str:
    prefix, _, sku = name.partition("/")
    if prefix != "products" or not sku:
        raise InvalidArgument("NAME_INVALID", "name must be products/{sku}")
    return sku


class ProductService(products_pb2_grpc.ProductServiceServicer):
    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    async def ListProducts(
        self, request: products_pb2.ListProductsRequest, rpc: grpc.aio.ServicerContext
    ) -> products_pb2.ListProductsResponse:
        found, more = await self._catalog.page(
            current().tenant, request.category, request.page_size, request.page_token
        )
        return products_pb2.ListProductsResponse(products=[to_proto(p) for p in found], next_page_token=more)

    async def GetProduct(
        self, request: products_pb2.GetProductRequest, rpc: grpc.aio.ServicerContext
    ) -> products_pb2.GetProductResponse:
        return products_pb2.GetProductResponse(
            product=to_proto(await self._catalog.get(current().tenant, _sku(request.name)))
        )

    async def BatchGetProducts(
        self, request: products_pb2.BatchGetProductsRequest, rpc: grpc.aio.ServicerContext
    ) -> products_pb2.BatchGetProductsResponse:
        found, missing = await self._catalog.batch(current().tenant, [_sku(name) for name in request.names])
        return products_pb2.BatchGetProductsResponse(
            products=[to_proto(p) for p in found], missing=[f"products/{sku}" for sku in missing]
        )

    async def SearchProducts(
        self, request: products_pb2.SearchProductsRequest, rpc: grpc.aio.ServicerContext
    ) -> products_pb2.SearchProductsResponse:
        found, more = await self._catalog.search(current().tenant, request.query, request.page_size, request.page_token)
        return products_pb2.SearchProductsResponse(products=[to_proto(p) for p in found], next_page_token=more)


class CatalogService(catalog_pb2_grpc.CatalogServiceServicer):
    def __init__(self, patterns: Patterns):
        self._patterns = patterns

    async def AddPattern(
        self, request: catalog_pb2.AddPatternRequest, rpc: grpc.aio.ServicerContext
    ) -> catalog_pb2.AddPatternResponse:
        pattern = Pattern(
            request.picture_key, request.picture_digest, request.display_name, request.width_m, request.seamless
        )
        return catalog_pb2.AddPatternResponse(product=to_proto(await self._patterns.add(current().tenant, pattern)))
