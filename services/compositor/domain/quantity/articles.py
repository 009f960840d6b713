"""What a pattern's pieces are cut from."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.layout import (
    BasketWeave,
    Bond,
    Chevron,
    Herringbone,
    Hexagon,
    Pattern,
    Penny,
    Planks,
    Versailles,
)
from services.compositor.domain.layout.versailles import TILES


@dataclass(frozen=True)
class Articles:
    """The shapes that boxes hold.

    of_kind: which article each of the pattern's kinds of piece is.
    length_m, width_m: of each article's bounding rectangle. area_m2: of the article itself.
    turns: by how many equal parts of a full turn about its middle an article comes upon itself.
    rectangular: whether articles fill their bounding rectangles.
    end_to_end: boards whose ends join: a piece cut off one end may come from a board of another length.
    shares: of each article, how many the pattern takes beside the others'; none: as many of each.
    """

    of_kind: tuple[int, ...]
    length_m: NDArray[np.float64]
    width_m: NDArray[np.float64]
    area_m2: NDArray[np.float64]
    turns: tuple[int, ...]
    rectangular: bool = True
    end_to_end: bool = False
    shares: tuple[int, ...] = ()

    def per_box(self, pieces: int) -> tuple[float, ...]:
        """Of a box of so many pieces, how many are of each article: in the mean, where that is no whole number."""
        shares = self.shares or (1,) * len(self.length_m)
        return tuple(pieces * share / sum(shares) for share in shares)


def _rectangles(of_kind: tuple[int, ...], sizes: list[tuple[float, float]], end_to_end: bool = False) -> Articles:
    length, width = np.array(sizes).T
    turns = tuple(4 if abs(a - b) < 1e-9 else 2 for a, b in sizes)
    return Articles(of_kind, length, width, length * width, turns, True, end_to_end)


def _shape(of_kind: tuple[int, ...], length: float, width: float, area: float, turns: int) -> Articles:
    """Articles of one shape that is no rectangle."""
    count = max(of_kind) + 1
    return Articles(
        of_kind, np.full(count, length), np.full(count, width), np.full(count, area), (turns,) * count, False
    )


def articles(pattern: Pattern) -> Articles:
    """The articles of a pattern. Raises ValueError where it is not laid in pieces, or is a border with a field."""
    match pattern:
        case Bond():
            return _rectangles((0,), [(pattern.length_m, pattern.width_m)])
        case Herringbone() | BasketWeave():
            return _rectangles((0, 0), [(pattern.length_m, pattern.width_m)])
        case Versailles():
            one, two, three = pattern.side_m(np.arange(1, 4)).tolist()
            of = _rectangles((0, 1, 2, 3), [(one, one), (two, one), (two, two), (three, two)])
            return replace(of, shares=tuple(sum(tile[1] == kind for tile in TILES) for kind in of.of_kind))
        case Planks():
            sizes = [(length, pattern.width_m) for length in pattern.lengths_m]
            return _rectangles(tuple(range(len(sizes))), sizes, end_to_end=True)
        case Chevron():
            length = pattern.length_m + pattern.width_m * float(np.tan(np.deg2rad(pattern.angle_deg)))
            return _shape((0, 1), length, pattern.width_m, pattern.length_m * pattern.width_m, 2)
        case Hexagon():
            return _shape((0,), pattern.width_m, pattern.tall_m, 0.75 * pattern.width_m * pattern.tall_m, 6)
        case Penny():
            size = pattern.diameter_m
            return _shape((0,), size, size, float(np.pi) / 4 * size * size, 12)
    raise ValueError(f"{type(pattern).__name__} is not bought in pieces")
