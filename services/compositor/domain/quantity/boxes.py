"""How many boxes of tile or plank a surface takes, by laying and cutting every piece."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import shapely

from services.compositor.domain.layout import Bordered, Layout
from services.compositor.domain.layout.border import BORDER
from services.compositor.domain.layout.piece import require
from services.compositor.domain.quantity.articles import Articles, articles
from services.compositor.domain.quantity.border import Piece, articles_for, field_of, pieces
from services.compositor.domain.quantity.cuts import cuts
from services.compositor.domain.quantity.stock import articles_needed, cut
from services.compositor.domain.quantity.surface import Patches, Surface

KERF_M = 0.003


@dataclass(frozen=True)
class CutSize:
    """Parts of about the same size: their bounding rectangle in the piece's frame, to the millimetre."""

    kind: int
    length_m: float
    width_m: float
    count: int


@dataclass(frozen=True)
class Boxes:
    """What to buy.

    area_m2: of the surface, grout and all. laid_m2: of the pieces on it.
    whole: pieces laid uncut. parts: cut pieces laid, a border's among them. from_offcuts: how many of these needed no piece of their own.
    pieces: used up of each article. boxes: to buy. bought_m2: what these boxes hold.
    waste: part of the pieces used that is not laid. surplus: part of the boxes' pieces that is not used.
    cut_list: the cut pieces by size, largest count first.
    """

    area_m2: float
    laid_m2: float
    whole: int
    parts: int
    from_offcuts: int
    pieces: tuple[int, ...]
    boxes: int
    bought_m2: float
    waste: float
    surplus: float
    cut_list: tuple[CutSize, ...]


def boxes(
    layout: Layout,
    surface: Surface | Patches,
    per_box: tuple[float, ...],
    turnable: bool = True,
    kerf_m: float = KERF_M,
    border_too: bool = True,
) -> Boxes:
    """Lay the layout on the surface and count. A border is cut from the largest article of its field, or not counted.

    Args:
        per_box: pieces of each article in a box: of each length of plank, each size of Versailles, each hand of
            chevron; else one number. In the mean, where boxes differ.
        turnable: whether cut pieces may be turned to fit; False for boards with tongues and grooves.
        kerf_m: width of the saw's cut, metres.
        border_too: whether the border comes from the same boxes; else `border_boxes` counts it.

    Raises:
        ValueError: a box that lacks an article, a pattern that is not bought in pieces, or a border wider than its pieces.
    """
    border = layout.pattern if isinstance(layout.pattern, Bordered) else None
    field = border.field if border else layout
    if field is None:
        raise ValueError("a border without a field is counted by itself")
    of = articles(field.pattern)
    require(len(per_box) == len(of.length_m), f"a box of this pattern holds {len(of.length_m)} articles")
    require(min(per_box) > 0, "boxes hold some of each article")
    require(kerf_m >= 0, "a saw's cut is at least 0 wide")
    along = pieces(border, _patches(surface)) if border and border_too else Counter[Piece]()
    inside = field_of(border, _patches(surface)) if border else surface
    if inside is None:
        raise ValueError("the border leaves no room for its field")
    needed = cuts(field, inside, len(of.of_kind))
    shelf = cut(needed, of, per_box, turnable, kerf_m)
    used = articles_needed(needed, shelf, of) + articles_for(along, of, turnable, kerf_m)
    whole_m2 = float((needed.whole * of.area_m2[np.array(of.of_kind)]).sum())
    return _bought(
        of,
        used,
        per_box,
        float((inside if border and not border_too else surface).polygon().area),
        whole_m2 + float(shapely.area(needed.part).sum()) + _area(along),
        int(needed.whole.sum()),
        len(needed.part) + along.total(),
        len(needed.part) - len(shelf),
        _cut_list(needed.kind.tolist(), shapely.bounds(needed.part), along),
    )


def border_boxes(
    border: Bordered,
    surface: Surface | Patches,
    of: Articles,
    per_box: float,
    turnable: bool = True,
    kerf_m: float = KERF_M,
) -> Boxes:
    """The same of a border alone, laid of articles of one size, so many of them in a box; its area is that of its pieces.

    Raises:
        ValueError: no room for the border, or one that is wider than its pieces.
    """
    along = pieces(border, _patches(surface))
    used = articles_for(along, of, turnable, kerf_m)
    sides = sorted((float(of.length_m[0]), float(of.width_m[0])))
    cut = Counter({p: n for p, n in along.items() if p.mitred or not np.allclose(sorted(p[:2]), sides, atol=1e-3)})
    laid = _area(along)
    return _bought(
        of,
        used,
        (per_box,),
        laid,
        laid,
        along.total() - cut.total(),
        cut.total(),
        max(0, along.total() - int(used.sum())),
        _cut_list([], np.zeros((0, 4)), cut),
    )


def _bought(
    of: Articles,
    used: np.ndarray,
    per_box: tuple[float, ...],
    area_m2: float,
    laid_m2: float,
    whole: int,
    parts: int,
    from_offcuts: int,
    cut_list: tuple[CutSize, ...],
) -> Boxes:
    """What so many `used` of each article come to in boxes."""
    count = int(np.ceil(used / np.array(per_box) - 1e-9).max())
    spent, bought = float((used * of.area_m2).sum()), float((count * np.array(per_box) * of.area_m2).sum())
    waste, surplus = 1 - laid_m2 / spent if spent else 0.0, 1 - spent / bought if bought else 0.0
    pieces_used = tuple(used.tolist())
    return Boxes(area_m2, laid_m2, whole, parts, from_offcuts, pieces_used, count, bought, waste, surplus, cut_list)


def _area(along: Counter[Piece]) -> float:
    return float(sum(p.length_m * p.width_m * n for p, n in along.items()))


def _patches(surface: Surface | Patches) -> Patches:
    return surface if isinstance(surface, Patches) else Patches((surface,))


def _cut_list(kinds: list[int], bounds: np.ndarray, along: Counter[Piece]) -> tuple[CutSize, ...]:
    length, width = np.round(bounds[:, 2] - bounds[:, 0], 3), np.round(bounds[:, 3] - bounds[:, 1], 3)
    counted = Counter(zip(kinds, length.tolist(), width.tolist(), strict=True))
    for piece, count in along.items():
        counted[BORDER, piece.length_m, piece.width_m] += count
    return tuple(CutSize(*size, count) for size, count in sorted(counted.items(), key=lambda c: (-c[1], c[0])))
