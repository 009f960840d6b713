"""What a border takes apart from its field: the pieces along the outline, and what is left inside."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import shapely

from services.compositor.domain.layout import Bordered
from services.compositor.domain.layout.piece import require
from services.compositor.domain.quantity.articles import Articles
from services.compositor.domain.quantity.surface import Patches, Surface

# Metres that a part has to be wide to count.
SLIVER_M = 1e-4


def scaled(border: Bordered, factor: float) -> Bordered:
    """The border along an outline that is so many times as large; pieces stay what they are."""
    return replace(border, outline=tuple((x * factor, y * factor) for x, y in border.outline))


def field_of(border: Bordered, surface: Patches) -> Patches | None:
    """What of a surface lies inside the joint between border and field, or outside of the border where the field goes on;
    None where nothing does."""
    inside = shapely.Polygon(border.inner).buffer(-border.grout_m / 2, join_style="mitre")
    left = shapely.intersection(surface.polygon(), inside)
    if border.goes_on:
        left = shapely.union(left, shapely.difference(surface.polygon(), shapely.Polygon(border.corners)))
    parts = [p for p in shapely.get_parts(left) if isinstance(p, shapely.Polygon) and p.area > SLIVER_M**2]
    if not parts:
        return None
    return Patches(tuple(Surface.of(p) for p in parts))


class Piece(NamedTuple):
    """What a border's piece is cut to: its bounding rectangle, metres, to the millimetre; mitred: at an end, or both."""

    length_m: float
    width_m: float
    mitred: bool


def pieces(border: Bordered, surface: Patches) -> Counter[Piece]:
    """The border's pieces that lie on a surface: how many of each size to cut."""
    on = surface.polygon()
    found = Counter[Piece]()
    for side in border.sides:
        strip = shapely.Polygon(side.strip)
        (ax, ay), (bx, by), *_ = side.strip
        length = side.pitch * side.pieces
        ux, uy = (bx - ax) / length, (by - ay) / length
        far = 10 * (length + border.border_m)
        for n in range(side.pieces):
            # The first and the last go on to the mitre, which may reach past the side's ends.
            begin = -far if n == 0 else n * side.pitch + border.grout_m / 2
            end = far if n == side.pieces - 1 else (n + 1) * side.pitch - border.grout_m / 2
            band = [(begin, -far), (end, -far), (end, far), (begin, far)]
            across = shapely.Polygon([(ax + u * ux - v * uy, ay + u * uy + v * ux) for u, v in band])
            part = shapely.intersection_all([strip, across, on])
            if part.area <= SLIVER_M**2:
                continue
            xy = shapely.get_coordinates(part) - (ax, ay)
            along, depth = xy @ (ux, uy), xy @ (-uy, ux)
            size = float(np.ptp(along)), min(float(np.ptp(depth)), border.border_m)
            # Upwards: what is cut a little large can be laid, what is cut short cannot.
            long, wide = (float(np.ceil(s * 1000 - 1e-6) / 1000) for s in size)
            found[Piece(long, wide, n in (0, side.pieces - 1))] += 1
    return found


def articles_for(cut: Counter[Piece], of: Articles, turnable: bool, kerf_m: float) -> np.ndarray:
    """How many of each article the pieces take: all from the largest, as many of a size from one as it holds in rows. A
    piece that reaches past its side's end, at a corner that points into the room, may be longer: it is made of two.

    Raises ValueError where a piece is too wide.
    """
    used = np.zeros(len(of.length_m), np.int64)
    if not cut:
        return used
    largest = int(np.argmax(of.area_m2))
    have = float(of.length_m[largest]), float(of.width_m[largest])
    require(of.rectangular, "a border is cut from rectangular pieces")
    sizes = Counter[tuple[float, float]]()
    for piece, count in cut.items():
        sizes[piece.length_m, piece.width_m] += count
    for (long, wide), count in sizes.items():
        joined = max(1, int(np.ceil(long / max(have) - 1e-9)))
        size, count = (long / joined, wide), count * joined
        ways = [size, size[::-1]] if turnable else [size]
        each = max(_rows(have[0], a, kerf_m) * _rows(have[1], b, kerf_m) for a, b in ways)
        require(each > 0, f"a border's piece of {size[0]:g} x {size[1]:g} m is larger than what the material comes in")
        used[largest] += -(-count // each)
    return used


def _rows(have: float, need: float, kerf_m: float) -> int:
    return int((have + kerf_m) / (need + kerf_m) + 1e-9)
