"""Between records and what the HTTP API shows of them."""

from collections.abc import Sequence
from typing import Any

from roomviz.v1 import products_pb2, rooms_pb2, visualizations_pb2
from services.gateway.domain.records import Room
from services.gateway.domain.sessions import PhotoSession
from services.gateway.domain.tint import color
from services.gateway.transport.http import shapes
from services.gateway.transport.http.files import Links
from services.gateway.usecases.coverings import rgb_of
from services.gateway.usecases.photo_sessions import Standing

_KIND = "SURFACE_KIND_"


def kind(value: int) -> str:
    """`floor`, `wall` …"""
    return str(rooms_pb2.SurfaceKind.Name(value)).removeprefix(_KIND).lower()


def kind_value(name: str) -> int:
    return int(rooms_pb2.SurfaceKind.Value(_KIND + name.upper()))


def masks(surfaces: Sequence[rooms_pb2.Surface], keys: Sequence[str], links: Links) -> list[shapes.SessionMask]:
    return [
        shapes.SessionMask(
            id=s.surface_id,
            label=kind(s.kind),
            color=color(s.kind),
            mask_url=links.to(key),
            area_percent=round(100 * s.area_fraction, 2),
            confidence=round(s.confidence, 4),
        )
        for s, key in zip(surfaces, keys, strict=True)
    ]


def uploaded(session: PhotoSession, room: Room, links: Links) -> shapes.Uploaded:
    return shapes.Uploaded(
        session_id=session.session_id,
        image_url=links.to(room.photo_key),
        image_width=room.width,
        image_height=room.height,
    )


def product_image(product: products_pb2.Product, links: Links) -> str | None:
    if product.HasField("material") and product.material.texture_digest:
        return links.to(f"textures/{product.material.texture_digest}.png")
    if product.HasField("cutout"):
        return links.to(f"cutouts/{product.cutout.image_digest}.png")
    return None


def price(product: products_pb2.Product) -> float | None:
    if not product.HasField("price"):
        return None
    return round(float(product.price.units) + float(product.price.nanos) / 1e9, 4)


def product(p: products_pb2.Product, links: Links) -> shapes.ProductDetail:
    material = p.material if p.HasField("material") else None
    size = (
        (p.material.repeat_width_m, p.material.repeat_height_m)
        if material is not None
        else (p.cutout.width_m, p.cutout.height_m)
    )
    return shapes.ProductDetail(
        id=p.sku,
        name=p.display_name,
        category=p.category,
        type="material" if material is not None else "thing",
        price=price(p),
        currency=p.price.currency_code if p.HasField("price") else None,
        image=product_image(p, links),
        color=f"#{material.color_rgb:06X}" if material is not None else None,
        width_m=size[0] or None,
        height_m=size[1] or None,
    )


def applied(
    applications: Sequence[visualizations_pb2.Application], products: dict[str, Any], links: Links
) -> list[shapes.AppliedProduct]:
    """`products` by their names; those that are gone are not among them."""
    found = []
    for a in applications:
        p = products.get(a.product)
        found.append(
            shapes.AppliedProduct(
                product_id=a.product.removeprefix("products/"),
                color=f"#{rgb_of(a.color):06X}" if a.HasField("color") else None,
                surface_label=a.surface_id or kind(a.kind),
                product_name=p.display_name if p else None,
                product_price=price(p) if p else None,
                product_image=product_image(p, links) if p else None,
            )
        )
    return found


def batch_file(batch_id: str, session: PhotoSession, standing: Standing, base: str) -> shapes.BatchFile:
    done = standing.percent == 100
    return shapes.BatchFile(
        session_id=session.session_id,
        file_name=session.file_name,
        status=standing.stage,
        progress=standing.percent,
        message=standing.message,
        reason=standing.error.reason if standing.error else None,
        download_url=f"{base}/api/batches/{batch_id}/files/{session.session_id}/download" if done else None,
    )
