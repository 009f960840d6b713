"""Versailles (French pattern): four sizes that fit together without crossings.

In units of the smallest tile they are 1 x 1, 2 x 1, 2 x 2 and 3 x 2, in the shares of the trade's bundles: two, one,
two and one in 18 cells. The order was found by search: of all tilings that repeat after 18 cells in a row, each row
moved by two cells, this one has no point where four tiles meet, no joint longer than three cells and no two tiles of
one size side by side. Cell (i, j) is then told by i + 2 j modulo 18 alone.
"""

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
from services.compositor.domain.layout.rectangle import Rectangular, locate_rectangle, rectangle_outlines

# (class of the corner's cell, kind, cells along x, cells along y); kinds 0 to 3 by size.
TILES = ((0, 2, 2, 2), (4, 3, 2, 3), (10, 0, 1, 1), (11, 2, 2, 2), (15, 1, 1, 2), (16, 0, 1, 1))
CELLS = 18
# For each class of cell: which tile it belongs to, and how many cells from that tile's corner.
_TABLE = np.zeros((CELLS, 3), np.int64)
for _t, (_corner, _kind, _w, _h) in enumerate(TILES):
    for _a in range(_w):
        for _b in range(_h):
            _TABLE[(_corner + _a + 2 * _b) % CELLS] = _t, _a, _b
_TILES = np.array(TILES)
# The same for the compiled look-up: columns and rows from the tile's corner, and the tile's cells.
CELLS_OF_CLASS = np.array([(a, b, *TILES[t][2:]) for t, a, b in _TABLE], np.int32)


@dataclass(frozen=True)
class Versailles(Rectangular):
    """unit_m: side of the smallest tile, without grout; the others are 2 and 3 of it with the grout between.

    Kinds: 0 is 1 x 1, 1 is 2 x 1, 2 is 2 x 2, 3 is 3 x 2. Raises ValueError where a number makes no sense.
    """

    unit_m: float
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(self.unit_m > 0, "a tile is wider than 0")
        require(self.grout_m >= 0, "grout is at least 0 wide")

    def side_m(self, cells: Array) -> Array:
        """Metres of a side of so many cells, without grout."""
        return np.asarray(cells * (self.unit_m + self.grout_m) - self.grout_m)

    def at(self, x: Array, y: Array, seed: int) -> Located:
        pitch = self.unit_m + self.grout_m
        i, j = np.floor(x / pitch), np.floor(y / pitch)
        entry = _TABLE[np.mod(i + 2 * j, CELLS).astype(np.int64)]
        tile = _TILES[entry[..., 0]]
        i, j = i - entry[..., 1].astype(x.dtype), j - entry[..., 2].astype(x.dtype)
        across, up = tile[..., 2].astype(x.dtype), tile[..., 3].astype(x.dtype)
        fx, fy = x - i * pitch, y - j * pitch
        upright = up > across
        return locate_rectangle(
            pack(i, j),
            tile[..., 1],
            np.where(upright, fy, fx),
            np.where(upright, across * pitch - fx, fy),
            self.side_m(np.maximum(across, up)),
            self.side_m(np.minimum(across, up)),
            np.where(upright, x.dtype.type(90), x.dtype.type(0)),
            self.grout_m,
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        pitch = self.unit_m + self.grout_m
        column, row = columns_and_rows(box, pitch, pitch, margin=3)
        entry = _TABLE[np.mod(column + 2 * row, CELLS)]
        corner = (entry[:, 1] == 0) & (entry[:, 2] == 0)
        column, row, tile = column[corner], row[corner], _TILES[entry[corner, 0]]
        across, up = tile[:, 2], tile[:, 3]
        upright = up > across
        return rectangle_outlines(
            pack(column, row),
            tile[:, 1],
            (column + np.where(upright, across, 0)) * pitch,
            row * pitch,
            self.side_m(np.maximum(across, up)),
            self.side_m(np.minimum(across, up)),
            np.where(upright, 90.0, 0.0),
            self.grout_m,
        ).within(box)

    def grout_fraction(self) -> float:
        tiles = (self.side_m(_TILES[:, 2]) * self.side_m(_TILES[:, 3])).sum()
        return 1 - float(tiles) / (CELLS * (self.unit_m + self.grout_m) ** 2)
