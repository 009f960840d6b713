"""Where a border runs that was given no outline: along the walls of the room."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from roomviz.errors import InvalidArgument
from roomviz.imaging.lens import Lens
from services.compositor.domain.layout import Bordered, Layout
from services.compositor.domain.layout.polygon import Point
from services.compositor.domain.perspective import ASSUMED_DISTANCE, Plane
from services.compositor.domain.room_outline import room_outline
from services.compositor.domain.shading import Box
from services.compositor.ports import LayerSpec, MaskedSurface

Placed = tuple[tuple[float, ...], tuple[int, ...]]  # a homography, and a box in the photo


def walls_of(surfaces: Sequence[MaskedSurface], found: Mapping[str, Plane]) -> tuple[Placed, ...]:
    """Those of which it is known where they stand.

    Args:
        surfaces: with their planes as somebody set them right.
        found: planes as the analysis has them, by surface id: what somebody sets right of a wall tells how it lies, and not
            how far away it stands.
    """
    return tuple(
        (s.homography, s.bbox_px)
        for s in surfaces
        if s.kind == "wall" and s.homography and s.bbox_px and _stands(found[s.surface_id])
    )


def _stands(plane: Plane) -> bool:
    return bool(plane.homography) and plane.source != ASSUMED_DISTANCE


def bordered(
    layout: Layout,
    on: LayerSpec | MaskedSurface,
    walls: tuple[Placed, ...],
    size: tuple[int, int],
    lens: Lens,
    least: float = 1.0,
) -> Layout:
    """The layout, its border with an outline; the same where it has none to find.

    Args:
        size: height and width of the photo.
        lens: of the photo.
        least: times as large, or 1, the surface has room for the border too.

    Raises:
        InvalidArgument: LAYOUT_INVALID, there is none to be found.
    """
    border = layout.pattern
    if not isinstance(border, Bordered) or border.outline:
        return layout
    told = {"field": "border.outline", "surface": on.surface_id}
    if on.kind != "floor" or not on.homography or not on.bbox_px:
        raise InvalidArgument(
            "LAYOUT_INVALID", f"only on a floor is a border's outline found; give that on {on.surface_id}", told
        )
    try:
        clear_m = (border.border_m + border.grout_m) / min(1.0, least)
        outline = _outline((on.homography, on.bbox_px), walls, size, clear_m, lens)
        # What the mask has beyond the walls are other rooms, of which the outline says nothing.
        return replace(layout, pattern=replace(border, outline=outline, goes_on=True))
    except ValueError as error:
        raise InvalidArgument("LAYOUT_INVALID", f"{on.surface_id}: {error}; give the border's outline", told) from error


@lru_cache(256)  # every layer of every swap asks
def _outline(
    floor: Placed, walls: tuple[Placed, ...], size: tuple[int, int], clear_m: float, lens: Lens
) -> tuple[Point, ...]:
    (plane, box), *stand = ((np.array(h).reshape(3, 3), _box(b)) for h, b in (floor, *walls))
    return room_outline(plane, box, stand, size, clear_m, lens)


def _box(numbers: tuple[int, ...]) -> Box:
    x, y, width, height = numbers
    return x, y, width, height
