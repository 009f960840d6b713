"""Basket-weave: square blocks of parallel strips, every other block turned."""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.layout.piece import (
    Array,
    Box,
    Located,
    Outlines,
    columns_and_rows,
    pack,
    require,
)
from services.compositor.domain.layout.rectangle import (
    Rectangular,
    fraction,
    locate_rectangle,
    rectangle_outlines,
)


@dataclass(frozen=True)
class BasketWeave(Rectangular):
    """Blocks of `strips` strips; level strips are kind 0, upright ones kind 1.

    width_m: a strip's, without grout; its length follows, so that blocks are square.
    Raises ValueError where a number makes no sense.
    """

    width_m: float
    strips: int = 2
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(self.width_m > 0, "a strip is wider than 0")
        require(2 <= self.strips <= 64, "a block has 2 to 64 strips")
        require(self.grout_m >= 0, "grout is at least 0 wide")

    @property
    def length_m(self) -> float:
        return self.strips * (self.width_m + self.grout_m) - self.grout_m

    def at(self, x: Array, y: Array, seed: int) -> Located:
        width = self.width_m + self.grout_m
        block = self.strips * width
        i, j = np.floor(x / block), np.floor(y / block)
        fx, fy = x - i * block, y - j * block
        upright = (i + j) % 2 == 1
        strip = np.clip(np.floor(np.where(upright, fx, fy) / width), 0, self.strips - 1)
        return locate_rectangle(
            pack(i, j, strip),
            upright.astype(np.int64),
            np.where(upright, fy, fx),
            np.where(upright, (strip + 1) * width - fx, fy - strip * width),
            self.length_m,
            self.width_m,
            np.where(upright, x.dtype.type(90), x.dtype.type(0)),
            self.grout_m,
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        width = self.width_m + self.grout_m
        block = self.strips * width
        column, row = columns_and_rows(box, block, block)
        strip = np.tile(np.arange(self.strips), len(column))
        column, row = np.repeat(column, self.strips), np.repeat(row, self.strips)
        upright = (column + row) % 2
        corner_x = column * block + np.where(upright == 1, (strip + 1) * width, 0)
        corner_y = row * block + np.where(upright == 1, 0, strip * width)
        return rectangle_outlines(
            pack(column, row, strip),
            upright,
            corner_x,
            corner_y,
            self.length_m,
            self.width_m,
            90.0 * upright,
            self.grout_m,
        ).within(box)

    def grout_fraction(self) -> float:
        return fraction(self.length_m, self.width_m, self.grout_m)
