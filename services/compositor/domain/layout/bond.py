"""Rows of equal pieces: grid, running bond, random stagger. Rows run along x.

A row is shifted against the one below it. In random bond even rows lie around 0 and odd rows around half a piece,
each within a margin such that two neighbours never come nearer than the least stagger: this holds for every row of
the endless plane, without a table.
"""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.layout.piece import (
    Array,
    Box,
    Ids,
    Located,
    Outlines,
    columns_and_rows,
    pack,
    require,
    uniform,
)
from services.compositor.domain.layout.rectangle import (
    Rectangular,
    fraction,
    locate_rectangle,
    rectangle_outlines,
)


@dataclass(frozen=True)
class Bond(Rectangular):
    """Equal pieces in rows.

    length_m, width_m: a piece's, along and across the rows, without grout.
    grout_m: width of the joints.
    offset: shift of each row against the one below, as a part of the pitch along the row: 0 grid, 1/2 or 1/3
        running bond.
    random_stagger_m: where set, rows are shifted at random instead, with end joints of neighbouring rows at least
        this far apart; at most half of the pitch.

    Raises ValueError where a number makes no sense.
    """

    length_m: float
    width_m: float
    grout_m: float = 0.0
    offset: float = 0.0
    random_stagger_m: float | None = None

    def __post_init__(self) -> None:
        require(self.length_m > 0 and self.width_m > 0, "a piece is longer and wider than 0")
        require(self.grout_m >= 0, "grout is at least 0 wide")
        require(0 <= self.offset < 1, "a row is shifted by 0 to below 1 of a piece")
        if self.random_stagger_m is not None:
            half = (self.length_m + self.grout_m) / 2
            require(0 <= self.random_stagger_m <= half, "joints can be staggered by half of a piece at most")

    @property
    def margin(self) -> float:
        """How far from its place a row lies at random, at most; as a part of the pitch."""
        return 0.25 - 0.5 * (self.random_stagger_m or 0.0) / (self.length_m + self.grout_m)

    def shift(self, row: Array | Ids, seed: int) -> Array:
        """Metres by which these rows are moved along x."""
        pitch = self.length_m + self.grout_m
        if self.random_stagger_m is None:
            return np.asarray(np.mod(row * self.offset, 1.0) * pitch)
        parity = np.asarray(row).astype(np.int64) & 1
        return np.asarray((0.5 * parity + self.margin * (2 * uniform(row, seed) - 1)) * pitch)

    def at(self, x: Array, y: Array, seed: int) -> Located:
        length, width = self.length_m + self.grout_m, self.width_m + self.grout_m
        row = np.floor(y / width)
        shifted = x - self.shift(row, seed).astype(x.dtype)
        column = np.floor(shifted / length)
        return locate_rectangle(
            pack(column, row),
            np.zeros(x.shape, np.int64),
            shifted - column * length,
            y - row * width,
            self.length_m,
            self.width_m,
            np.zeros_like(x),
            self.grout_m,
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        length, width = self.length_m + self.grout_m, self.width_m + self.grout_m
        column, row = columns_and_rows(box, length, width, margin=2)
        x = column * length + self.shift(row, seed)
        return rectangle_outlines(
            pack(column, row),
            np.zeros_like(row),
            x,
            row * width,
            self.length_m,
            self.width_m,
            np.zeros_like(x),
            self.grout_m,
        ).within(box)

    def grout_fraction(self) -> float:
        return fraction(self.length_m, self.width_m, self.grout_m)
