"""Another way to the same numbers, slow and simple, that shares no code with what it checks but the outlines.

Rooms are given as convex cells that do not overlap. Pieces are clipped by half planes; how many whole pieces the
parts take at least is bounded by areas, or for a few parts searched for exactly, on a raster.
"""

import numpy as np

from services.compositor.domain.layout import Outlines

Polygon = list[tuple[float, float]]


def clip(subject: Polygon, cell: Polygon) -> Polygon:
    """Sutherland & Hodgman: a convex polygon by a counter-clockwise convex one."""
    out = subject
    for (ax, ay), (bx, by) in zip(cell, cell[1:] + cell[:1], strict=True):
        side = [(bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in out]
        ring = []
        for k, (p, s) in enumerate(zip(out, side, strict=True)):
            q, t = out[(k + 1) % len(out)], side[(k + 1) % len(out)]
            if s >= 0:
                ring.append(p)
            if (s > 0 > t) or (s < 0 < t):
                f = s / (s - t)
                ring.append((p[0] + f * (q[0] - p[0]), p[1] + f * (q[1] - p[1])))
        out = ring
        if not out:
            break
    return out


def area(p: Polygon) -> float:
    return 0.5 * sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(p, p[1:] + p[:1], strict=True))


def laid(found: Outlines, cells: list[Polygon]) -> list[tuple[int, float, float]]:
    """(kind, area laid, area of the whole piece) of each piece that the room needs a part of."""
    corners = found.corners()
    low, high = corners.min(1), corners.max(1)
    total = np.zeros(len(corners))
    for cell in cells:
        box = np.array(cell)
        near = ((low < box.max(0)) & (high > box.min(0))).all(1)
        for k in np.flatnonzero(near).tolist():
            part = clip([tuple(c) for c in corners[k].tolist()], cell)
            total[k] += area(part) if len(part) > 2 else 0.0
    whole = [area([tuple(c) for c in p]) for p in corners.tolist()]
    return [(int(found.kind[k]), float(total[k]), whole[k]) for k in np.flatnonzero(total > 1e-7).tolist()]


def pieces_at_least(parts: list[float]) -> int:
    """Whole pieces of size 1 for parts of these sizes, at least (L2 of Martello & Toth, 1990, sec. 8.3).

    For each a up to 1/2: what is larger than 1 - a lies alone, what is larger than 1/2 shares with none of its like.
    """
    sizes = np.sort(np.minimum(parts, 1.0))
    best = int(np.ceil(sizes.sum() - 1e-6))
    for a in np.unique(sizes[sizes <= 0.5]):
        alone, large = sizes > 1 - a + 1e-9, (sizes > 0.5 + 1e-9) & (sizes <= 1 - a + 1e-9)
        small = (sizes >= a) & (sizes <= 0.5 + 1e-9)
        more = int(np.ceil(sizes[small].sum() - (large.sum() - sizes[large].sum()) - 1e-6))
        best = max(best, int(alone.sum() + large.sum()) + max(0, more))
    return best


def fewest(masks: list[list[int]], most: int) -> int:
    """Exactly the fewest pieces that parts can be cut from, at most `most`; by trying all.

    masks: for each part a raster of the piece as a number, one for every way to turn it.
    """
    order = sorted(range(len(masks)), key=lambda k: -masks[k][0].bit_count())
    best = most

    def place(number: int, open_pieces: list[int]) -> None:
        nonlocal best
        if len(open_pieces) >= best:
            return
        if number == len(order):
            best = len(open_pieces)
            return
        for turned in masks[order[number]]:
            for k, used in enumerate(open_pieces):
                if not used & turned:
                    place(number + 1, [*open_pieces[:k], used | turned, *open_pieces[k + 1 :]])
        place(number + 1, [*open_pieces, masks[order[number]][0]])

    place(0, [])
    return best
