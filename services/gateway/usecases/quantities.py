"""Quantities: which surface and which product, for the compositor to count."""

import math
from dataclasses import dataclass

from roomviz.errors import InvalidArgument
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2, quantities_pb2
from services.gateway.ports import Calls
from services.gateway.usecases.layouts import border_of, layout_of
from services.gateway.usecases.products import finder
from services.gateway.usecases.rooms import RoomCases
from services.gateway.usecases.surfaces import masked, surface_of

CORNERS_MAX = 1000
TILE = "tile"  # the part of a category that says so


@dataclass(frozen=True)
class QuantityCases:
    rooms: RoomCases
    calls: Calls

    async def estimate(
        self, request: quantities_pb2.EstimateQuantityRequest
    ) -> quantities_pb2.EstimateQuantityResponse:
        if not math.isfinite(request.rotation_deg):
            raise InvalidArgument("ROTATION_INVALID", "rotation_deg must be a number of degrees")
        if len(request.outline.corners) + sum(len(h.corners) for h in request.holes) > CORNERS_MAX:
            raise InvalidArgument("OUTLINE_INVALID", f"outline and holes have at most {CORNERS_MAX} corners together")
        room = await self.rooms.get(request.room)
        found = await self.rooms.analysis(room)
        surface, key = surface_of(found, request.surface_id)
        find = finder(self.calls)
        product = await find(request.product)
        if not product.HasField("material"):
            raise InvalidArgument(
                "PRODUCT_NOT_A_MATERIAL", f"{product.name} covers no surface", {"product": product.name}
            )
        layout = layout_of(request.layout if request.HasField("layout") else None, product)
        if layout is None and product.material.HasField("layout"):  # its texture shows it laid so
            layout = product.material.layout
        border = await border_of(layout, find)
        ask = compositor_pb2.EstimateQuantityRequest(
            request=request,
            layer=compositor_pb2.Layer(
                surface=surface,
                mask_key=key,
                material=product.material,
                layout=layout,
                product=product.name,
            ),
            surfaces=[
                compositor_pb2.MaskedSurface(surface=s, mask_key=k) for s, k in masked(found) if s is not surface
            ],
            width_px=room.width,
            height_px=room.height,
            focal_length_px=found.analysis.quality.focal_length_px,
            radial_distortion=found.analysis.quality.radial_distortion,
            tiles=_is_tile(product),
            border=border.material if border else None,
            border_tiles=border is not None and _is_tile(border),
        )
        answer: compositor_pb2.EstimateQuantityResponse = await invoke(self.calls.compositor.EstimateQuantity, ask)
        return answer.quantity


def _is_tile(product: products_pb2.Product) -> bool:
    return TILE in product.category.split(".")
