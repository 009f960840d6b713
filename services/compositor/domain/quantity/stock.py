"""Cutting parts from whole pieces, offcuts first.

A part keeps its place in the piece it is cut from: what joins its neighbours keeps its factory edge, and what the
saw cut lies at the wall. So the end of a row leaves an offcut that begins another row. A part may be turned as the
article may be; where it keeps neither of two opposite edges it may slide between them. Parts share a piece where
the saw's width lies between them. The largest part comes first and takes the piece with the least room left (best fit
decreasing; Johnson, "Near-Optimal Bin Packing Algorithms", 1973).
"""

from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from services.compositor.domain.quantity.articles import Articles
from services.compositor.domain.quantity.cuts import Cuts

EPS = 1e-6


@dataclass(frozen=True)
class Place:
    """Where in an article a part may be cut; `clear` is the part and the saw's way around it."""

    article: int
    part: shapely.Polygon
    clear: shapely.Polygon


@dataclass
class Stock:
    """A piece that parts are cut from."""

    article: int
    used: shapely.Geometry
    left_m2: float
    parts: list[shapely.Polygon] = field(default_factory=list)


def _slides(low: float, high: float, size: float) -> list[float]:
    """By how much a part from `low` to `high` of a side may be moved: not at all where it keeps an edge."""
    if low < EPS or high > size - EPS:
        return [0.0]
    return [-low, size - high, 0.0]


def places(part: shapely.Polygon, article: int, of: Articles, turnable: bool, kerf_m: float) -> list[Place]:
    """All places where a part of an article may be cut."""
    length, width = float(of.length_m[article]), float(of.width_m[article])
    turns = of.turns[article] if turnable else 1
    u0, v0, u1, v1 = part.bounds
    # What slides must stay inside of the article.
    by_u, by_v = (_slides(u0, u1, length), _slides(v0, v1, width)) if of.rectangular else ([0.0], [0.0])
    middle = (length / 2, width / 2)
    moved = [
        (article, affinity.rotate(affinity.translate(part, du, dv), 360 * k / turns, middle))
        for du in by_u
        for dv in by_v
        for k in range(turns)
    ]
    if of.end_to_end and not (u0 < EPS and u1 > length - EPS):
        for other, size in enumerate(of.length_m.tolist()):
            if other != article and u1 - u0 <= size + EPS:
                shift = size - u1 if u1 > length - EPS else -u0
                moved.append((other, affinity.translate(part, shift, 0)))
    margin = kerf_m - EPS
    return [Place(a, p, shapely.buffer(p, margin, join_style="mitre")) for a, p in moved]


def cut(needed: Cuts, of: Articles, per_box: tuple[float, ...], turnable: bool, kerf_m: float) -> list[Stock]:
    """Cut all parts; returns the pieces they were cut from.

    Args:
        per_box: how many of each article a box holds: a new piece is taken where that needs the fewest boxes.
        turnable: False for boards with tongues and grooves.
        kerf_m: width of the saw's cut.
    """
    opened = np.bincount(
        np.array(of.of_kind)[np.repeat(np.arange(len(needed.whole)), needed.whole)], minlength=len(per_box)
    )
    shelf: list[Stock] = []
    size = shapely.area(needed.part)
    for k in np.argsort(-size, kind="stable"):
        options = places(needed.part[k], of.of_kind[needed.kind[k]], of, turnable, kerf_m)
        chosen = _fit(options, float(size[k]), shelf)
        if chosen is None:
            place = min(options, key=lambda p: ((opened[p.article] + 1) / per_box[p.article], of.length_m[p.article]))
            opened[place.article] += 1
            stock = Stock(place.article, shapely.Polygon(), float(of.area_m2[place.article]))
            shelf.append(stock)
        else:
            place, stock = chosen
        stock.used = shapely.union(stock.used, place.part)
        stock.left_m2 -= float(size[k])
        stock.parts.append(place.part)
    return shelf


def _fit(options: list[Place], size: float, shelf: list[Stock]) -> tuple[Place, Stock] | None:
    """The place in the piece with the least room, or None."""
    best: tuple[Place, Stock] | None = None
    for option in options:
        could = [s for s in shelf if s.article == option.article and s.left_m2 >= size - EPS]
        if not could:
            continue
        free = ~shapely.intersects(np.array([s.used for s in could], object), option.clear)
        for stock, fits in zip(could, free.tolist(), strict=True):
            if fits and (best is None or stock.left_m2 < best[1].left_m2):
                best = option, stock
    return best


def articles_needed(needed: Cuts, shelf: list[Stock], of: Articles) -> NDArray[np.int64]:
    """(articles,) how many of each are used up, whole or cut."""
    out = np.zeros(len(of.length_m), np.int64)
    np.add.at(out, np.array(of.of_kind), needed.whole)
    np.add.at(out, [s.article for s in shelf], 1)
    return out
