"""What a photo shows of a surface, in metres on its plane, with what is hidden by things that stand before it.

A floor goes on under a sofa and a wall behind it. What things hide counts where it lies within the convex hull of
what is seen: hulls look the same in the picture and on the plane, as both are views of one plane. Where a corner of the
surface is itself hidden, the lines in which its plane meets others say where it is, and it joins the hull. Doors,
windows and what else is no thing keep their places. At the picture's border nothing is known of what lies beyond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.layout.polygon import Point
from services.compositor.domain.quantity.surface import Patches, Surface

Mask = NDArray[np.bool_]
Corners = NDArray[Any]  # (N, 2) float64

# Farther away than so many times the nearest point, a pixel is metres deep, and no measure.
DEPTH_MAX = 25.0
# Of the largest part; smaller ones, and smaller holes, are specks of the mask.
SPECK_PART, SPECK_M2 = 0.01, 0.02
STRAIGHT_PX, STRAIGHT_M, ARC_PX = 0.75, 0.01, 32.0
AREA_MIN_M2, AREA_MAX_M2 = 0.05, 5_000.0


class NotMeasurable(ValueError):
    """The photo shows too little of the surface, or too near its horizon."""


@dataclass(frozen=True)
class Seen:
    """patches: what there is to cover. open_border: part of its outline's length on the picture's border, 0 to 1."""

    patches: Patches
    open_border: float


def seen(
    mask: Mask, hides: Mask, pixel_from_plane: Matrix, corners: Sequence[Point] = (), lens: Lens = STRAIGHT
) -> Seen:
    """The surface's outline on its plane.

    Args:
        mask: (H, W) where the surface is seen.
        hides: (H, W) where things stand before it.
        pixel_from_plane: (3, 3), third coordinate positive where the surface lies.
        corners: where corners of the surface may be, pixels; those that things hide are taken for corners.
        lens: of the photo.

    Raises:
        NotMeasurable: nothing is left to measure.
    """
    height, width = mask.shape
    plane_from_pixel = np.asarray(np.linalg.inv(pixel_from_plane), np.float64)
    nearness = _nearness(plane_from_pixel, lens, height, width)
    visible = mask & (nearness > 0)
    if not visible.any():
        raise NotMeasurable("the photo shows nothing of this surface that could be measured")
    near = nearness >= nearness[visible].max() / DEPTH_MAX
    visible &= near
    hull = _hull(visible, _hidden(corners, hides & near))
    covered = visible | (hull & hides & near)
    shape = _polygons(covered)
    frame = shapely.box(0, 0, width, height)
    # Contours run through the middles of pixels.
    shape = shape.buffer(0.5, join_style="mitre").intersection(frame).simplify(STRAIGHT_PX)
    border = shape.boundary.intersection(frame.boundary.buffer(1.0))
    on_plane = shapely.make_valid(_on_plane(shape, plane_from_pixel, lens).simplify(STRAIGHT_M))
    length = shapely.length(_on_plane(shape.boundary, plane_from_pixel, lens))
    open_border = shapely.length(_on_plane(border, plane_from_pixel, lens)) / length if length else 0.0
    return Seen(_patches(on_plane), min(1.0, float(open_border)))


def _nearness(plane_from_pixel: Matrix, lens: Lens, height: int, width: int) -> NDArray[np.float64]:
    """(H, W) the inverse of each pixel's depth on the plane, but for a factor; not above 0 beyond the horizon."""
    a, b, c = plane_from_pixel[2]
    x, y = lens.straight_at(np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None])
    return np.asarray(a * x + (b * y + c))


def baseline(mask: Mask, pixel_from_plane: Matrix, lens: Lens = STRAIGHT) -> Corners | None:
    """(2, 2) the line in which a wall meets the floor, pixels: as far to both sides as the wall is seen.

    Args:
        mask: (H, W) where the wall is seen.
        pixel_from_plane: (3, 3) the wall's, whose y is 0 on the floor.
        lens: of the photo.
    """
    y, x = np.nonzero(mask)
    if len(x) == 0:
        return None
    at = lens.straight(np.column_stack([x, y]) + 0.5)
    q = np.column_stack([at, np.ones(len(x))]) @ np.linalg.inv(pixel_from_plane).T
    along = q[q[:, 2] > 0]
    if len(along) == 0:
        return None
    ends = np.quantile(along[:, 0] / along[:, 2], [0.005, 0.995])
    points = np.column_stack([ends, np.zeros(2), np.ones(2)]) @ pixel_from_plane.T
    if points[:, 2].min() <= 1e-6 * points[:, 2].max() or np.ptp(points[:, :2] / points[:, 2:], 0).max() < 1:
        return None
    return lens.bent(np.asarray(points[:, :2] / points[:, 2:], np.float64))


def floor_corners(mask: Mask, lines: Sequence[Corners]) -> list[Point]:
    """Where corners of a floor may be: where walls' lines meet each other or leave the picture, on the floor's side of
    all of them.

    Args:
        mask: (H, W) where the floor is seen.
        lines: see `baseline`.
    """
    height, width = mask.shape
    if not lines or not mask.any():
        return []
    y, x = np.nonzero(mask)
    middle = (float(x.mean()), float(y.mean()))
    frame = [((0, 0), (width, 0)), ((0, height), (width, height)), ((0, 0), (0, height)), ((width, 0), (width, height))]
    sides = [_line(*ends) for ends in frame]
    own = [_line(*ends) for ends in lines]
    own = [line * np.sign(line @ [*middle, 1.0]) for line in own]
    out = []
    for m in [np.cross(a, b) for a, b in combinations(own, 2)] + [np.cross(a, b) for a in own for b in sides]:
        if abs(m[2]) < 1e-9:
            continue
        point = np.array([m[0] / m[2], m[1] / m[2], 1.0])
        # Two pixels of slack: a corner lies on its own lines.
        if all(line @ point > -2.0 for line in own):
            out.append((float(point[0]), float(point[1])))
    return out


def _line(a: Sequence[float] | Corners, b: Sequence[float] | Corners) -> NDArray[np.float64]:
    """(3,) a line through two points, whose product with a point is its distance in pixels."""
    line = np.cross([a[0], a[1], 1.0], [b[0], b[1], 1.0])
    return np.asarray(line / max(np.hypot(line[0], line[1]), 1e-9), np.float64)


def _hidden(corners: Sequence[Point], hides: Mask) -> list[Point]:
    """Those of the corners that lie in the picture, behind things."""
    height, width = hides.shape
    inside = [(x, y) for x, y in corners if -1 <= x <= width + 1 and -1 <= y <= height + 1]
    at = [(min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)) for x, y in inside]
    return [point for point, (column, row) in zip(inside, at, strict=True) if hides[row, column]]


def _hull(visible: Mask, more: list[Point]) -> Mask:
    """The convex hull of what is seen and of these points, filled."""
    y, x = np.nonzero(visible ^ cv2.erode(visible.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool))
    points = np.column_stack([x, y]).astype(np.float32)
    if more:
        points = np.vstack([points, np.array(more, np.float32) - 0.5])
    hull = cv2.convexHull(points.astype(np.float32))
    out = np.zeros(visible.shape, np.uint8)
    cv2.fillConvexPoly(out, np.round(hull).astype(np.int32), 1)
    return out > 0


def _polygons(covered: Mask) -> shapely.Geometry:
    """Outlines of a mask through the middles of its outer pixels, holes included."""
    found, tree = cv2.findContours(covered.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings: dict[int, tuple[Corners, list[Corners]]] = {}
    for n, contour in enumerate(found):
        if len(contour) >= 3 and tree[0, n, 3] < 0:
            rings[n] = contour[:, 0] + 0.5, []
    for n, contour in enumerate(found):
        parent = int(tree[0, n, 3])
        if len(contour) >= 4 and parent in rings:
            rings[parent][1].append(contour[:, 0] + 0.5)
    if not rings:
        raise NotMeasurable("the photo shows too little of this surface")
    return shapely.union_all([shapely.Polygon(outer, holes).buffer(0) for outer, holes in rings.values()])


def _on_plane(shape: shapely.Geometry, plane_from_pixel: Matrix, lens: Lens) -> shapely.Geometry:
    def metres(points: Corners) -> Corners:
        q = np.column_stack([lens.straight(points), np.ones(len(points))]) @ plane_from_pixel.T
        return np.asarray(q[:, :2] / q[:, 2:])

    # A long straight edge in the photo is an arc in the straight picture.
    return shapely.transform(shapely.segmentize(shape, ARC_PX) if lens.k else shape, metres)


def _patches(shape: shapely.Geometry) -> Patches:
    parts = [p for p in shapely.get_parts(shape) if isinstance(p, shapely.Polygon)]
    largest = max((p.area for p in parts), default=0.0)
    if not AREA_MIN_M2 <= largest <= AREA_MAX_M2:
        raise NotMeasurable("the photo shows too little of this surface, or too near to its horizon")
    kept = []
    for part in sorted(parts, key=lambda p: -p.area):
        if part.area >= SPECK_PART * largest:
            holes = tuple(_ring(h) for h in part.interiors if shapely.Polygon(h).area >= SPECK_M2)
            kept.append(Surface(_ring(part.exterior), holes))
    return Patches(tuple(kept))


def _ring(ring: shapely.LinearRing) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in ring.coords[:-1])
