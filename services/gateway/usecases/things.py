"""Things in a room: which cut-out goes on which surface."""

import math
from collections.abc import Sequence

from roomviz.errors import InvalidArgument, NotFound
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.v1 import products_pb2, rooms_pb2, visualizations_pb2
from services.gateway.usecases.products import Find

PLACEMENTS_MAX = 32
SCALE_MIN, SCALE_MAX = 0.1, 10.0
KIND_OF = {
    products_pb2.MOUNT_LYING: rooms_pb2.SURFACE_KIND_FLOOR,
    products_pb2.MOUNT_STANDING: rooms_pb2.SURFACE_KIND_FLOOR,
    products_pb2.MOUNT_WALL: rooms_pb2.SURFACE_KIND_WALL,
    products_pb2.MOUNT_CEILING: rooms_pb2.SURFACE_KIND_CEILING,
}
TURNING = (products_pb2.MOUNT_LYING, products_pb2.MOUNT_WALL)


async def things_of(
    placements: Sequence[visualizations_pb2.Placement], found: segmentation_pb2.GetAnalysisResponse, find: Find
) -> list[compositor_pb2.Thing]:
    """The things that are asked for, as they are rendered.

    Raises:
        InvalidArgument: PLACEMENTS_INVALID, PLACEMENT_INVALID, PRODUCT_NOT_PLACEABLE.
        NotFound: PRODUCT_NOT_FOUND, SURFACE_NOT_FOUND.
    """
    if len(placements) > PLACEMENTS_MAX:
        raise InvalidArgument("PLACEMENTS_INVALID", f"at most {PLACEMENTS_MAX} things go into a picture")
    out: list[compositor_pb2.Thing] = []
    for n, placement in enumerate(placements):
        told = {"placement": str(n), "product": placement.product[:80]}
        check_placement(placement, told)
        product = await find(placement.product)
        if not product.HasField("cutout"):
            raise InvalidArgument(
                "PRODUCT_NOT_PLACEABLE", f"{product.sku} covers surfaces; apply it to one instead of placing it", told
            )
        mount = product.cutout.mount
        if placement.rotation_deg % 360 and mount not in TURNING:
            raise InvalidArgument("PLACEMENT_INVALID", f"{product.sku} stands or hangs upright and cannot turn", told)
        surface = _surface(placement.surface_id, KIND_OF[mount], found, told)
        out.append(compositor_pb2.Thing(placement=placement, cutout=product.cutout, surface=surface))
    return out


def check_placement(placement: visualizations_pb2.Placement, told: dict[str, str]) -> None:
    at_m, at_px = placement.at_m, placement.at_px
    numbers = (at_m.x_m, at_m.y_m, at_px.x, at_px.y, placement.rotation_deg, placement.scale)
    if not all(math.isfinite(v) for v in numbers):
        raise InvalidArgument("PLACEMENT_INVALID", "position, rotation and scale must be numbers", told)
    if placement.scale and not SCALE_MIN <= placement.scale <= SCALE_MAX:
        raise InvalidArgument("PLACEMENT_INVALID", f"scale is {SCALE_MIN:g} to {SCALE_MAX:g}", told)


def _surface(
    surface_id: str,
    kind: rooms_pb2.SurfaceKind,
    found: segmentation_pb2.GetAnalysisResponse,
    told: dict[str, str],
) -> rooms_pb2.Surface:
    """The one asked for, or the largest of the kind, if possible one whose plane is known."""
    word = rooms_pb2.SurfaceKind.Name(kind).removeprefix("SURFACE_KIND_").lower()
    surfaces = list(found.analysis.surfaces)  # largest first within a kind
    if surface_id:
        chosen = [s for s in surfaces if s.surface_id == surface_id]
        if chosen and chosen[0].kind != kind:
            raise InvalidArgument("PLACEMENT_INVALID", f"this goes on a {word}, and {surface_id} is none", told)
    else:
        chosen = sorted((s for s in surfaces if s.kind == kind), key=lambda s: not s.HasField("plane"))
    if not chosen:
        have = ", ".join(s.surface_id for s in surfaces)
        raise NotFound(
            "SURFACE_NOT_FOUND", f"the room has no {surface_id[:64] or word}; it has {have}", told | {"surface": word}
        )
    return chosen[0]
