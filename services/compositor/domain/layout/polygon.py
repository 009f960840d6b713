"""Distances to polygons, for points in arrays."""

from collections.abc import Sequence

import numpy as np

from services.compositor.domain.layout.piece import Array

Point = tuple[float, float]


def segment_distance(x: Array, y: Array, a: Point, b: Point) -> Array:
    """Metres from points to a segment."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    px, py = x - a[0], y - a[1]
    part = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    return np.asarray(np.hypot(px - part * dx, py - part * dy))


def inner_distances(x: Array, y: Array, corners: Sequence[Point]) -> list[Array]:
    """For each side of a counter-clockwise polygon, metres from its line; positive on the polygon's side of it."""
    out = []
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        dx, dy = bx - ax, by - ay
        size = float(np.hypot(dx, dy))
        out.append(((y - ay) * dx - (x - ax) * dy) / size)
    return out


def convex_distance(x: Array, y: Array, corners: Sequence[Point]) -> Array:
    """Metres to a counter-clockwise convex polygon's edge, negative outside."""
    inside = np.minimum.reduce(inner_distances(x, y, corners))
    sides = zip(corners, [*corners[1:], corners[0]], strict=True)
    outside = np.minimum.reduce([segment_distance(x, y, a, b) for a, b in sides])
    return np.asarray(np.where(inside >= 0, inside, -outside))


def area(corners: Sequence[Point]) -> float:
    """Square metres, positive where the corners go counter-clockwise (the shoelace formula)."""
    p = np.asarray(corners, np.float64)
    q = np.roll(p, -1, 0)
    return float((p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]).sum() / 2)


def inset(corners: Sequence[Point], width: float) -> list[Point]:
    """A counter-clockwise simple polygon with each side moved inwards, corners mitred.

    Raises:
        ValueError: it has no room for this, so that a side would vanish or two would meet.
    """
    p = np.asarray(corners, np.float64)
    side = np.roll(p, -1, 0) - p
    size = np.hypot(side[:, 0], side[:, 1])
    if len(p) < 3 or size.min() <= 0:
        raise ValueError("an outline has three corners or more, all different")
    along = side / size[:, None]
    normal = np.stack([-along[:, 1], along[:, 0]], -1)
    before = np.roll(normal, 1, 0)
    scale = 1 + (before * normal).sum(1)
    if scale.min() < 1e-3:
        raise ValueError("an outline does not turn back upon itself")
    q = p + width * (before + normal) / scale[:, None]
    moved = np.roll(q, -1, 0) - q
    kept = bool(((moved * along).sum(1) > 0).all())
    points = list(zip(p[:, 0].tolist(), p[:, 1].tolist(), strict=True))
    nearest = np.minimum.reduce(
        [segment_distance(q[:, 0], q[:, 1], a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
    )
    if not kept or float(nearest.min()) < width * (1 - 1e-6):
        raise ValueError("the outline is too narrow for a border of this width")
    return list(zip(q[:, 0].tolist(), q[:, 1].tolist(), strict=True))


def inside_distance(x: Array, y: Array, corners: Sequence[Point]) -> Array:
    """Metres to the outline of a simple polygon, of either sense; negative outside."""
    inside = np.zeros(np.shape(x), np.bool_)
    nearest = np.full_like(x, np.inf)
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        nearest = np.minimum(nearest, segment_distance(x, y, a, b))
        if a[1] != b[1]:
            crosses = (y >= a[1]) != (y >= b[1])
            inside ^= crosses & (x < a[0] + (y - a[1]) * ((b[0] - a[0]) / (b[1] - a[1])))
    return np.where(inside, nearest, -nearest)
