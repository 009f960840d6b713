"""Herringbone: boards at right angles, each end against the next one's side. Any ratio of length to width.

Level board (k, b) has its corner at k (W, W) + b (L, -L), and upright board (k, b) stands on its left end. The two
vectors span the lattice of the pattern; W and L are a board's width and length with its grout.
"""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.layout.piece import Array, Box, Located, Outlines, pack, require
from services.compositor.domain.layout.rectangle import (
    Rectangular,
    fraction,
    locate_rectangle,
    rectangle_outlines,
)


@dataclass(frozen=True)
class Herringbone(Rectangular):
    """Boards level (kind 0) and upright (kind 1); the zigzag climbs along the diagonal.

    Turned by 45 degrees (the layout's rotation) the zigzag runs along the room; unturned the boards do.
    length_m, width_m: a board's, without grout. Raises ValueError where a number makes no sense.
    """

    length_m: float
    width_m: float
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(0 < self.width_m <= self.length_m, "a board is wider than 0, and at least as long as wide")
        require(self.grout_m >= 0, "grout is at least 0 wide")

    def at(self, x: Array, y: Array, seed: int) -> Located:
        length, width = self.length_m + self.grout_m, self.width_m + self.grout_m
        # Bands lie side by side along x - y; only a band's upright boards reach past the next band's corner.
        band = np.floor((x - y + (length + width)) / (2 * length))
        s, t = x - band * length, y + band * length
        step = np.floor(s / width)
        height = t - step * width  # above the level board's bottom, in the column of width W
        upright = (height >= width) & (height < width + length)
        band = band - (height >= width + length)
        s, t = x - band * length, y + band * length
        step = np.floor(np.where(upright, s, t) / width)
        along = np.where(upright, t - (step + 1) * width, s - step * width)
        across = np.where(upright, (step + 1) * width - s, t - step * width)
        kind = upright.astype(np.int64)
        return locate_rectangle(
            pack(step, band, kind),
            kind,
            along,
            across,
            self.length_m,
            self.width_m,
            np.where(upright, x.dtype.type(90), x.dtype.type(0)),
            self.grout_m,
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        length, width = self.length_m + self.grout_m, self.width_m + self.grout_m
        # x + y = 2 k W and x - y = 2 b L at the corners of level boards.
        k0, k1 = (box[0] + box[1]) / (2 * width), (box[2] + box[3]) / (2 * width)
        b0, b1 = (box[0] - box[3]) / (2 * length), (box[2] - box[1]) / (2 * length)
        reach = int(np.ceil(length / width)) + 2
        grid = np.meshgrid(
            np.arange(np.floor(k0) - reach, np.ceil(k1) + reach),
            np.arange(np.floor(b0) - 2, np.ceil(b1) + 3),
            [0.0, 1.0],
        )
        step, band, kind = (g.ravel() for g in grid)
        # An upright board's frame is turned about its lower right corner.
        corner_x = step * width + band * length + kind * width
        corner_y = step * width - band * length + kind * width
        kinds = kind.astype(np.int64)
        return rectangle_outlines(
            pack(step, band, kinds), kinds, corner_x, corner_y, self.length_m, self.width_m, 90 * kind, self.grout_m
        ).within(box)

    def grout_fraction(self) -> float:
        return fraction(self.length_m, self.width_m, self.grout_m)
