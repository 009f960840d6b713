"""A sheet of tiles in rows and columns."""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from roomviz.imaging.codec import Image

WHITE, GREY = 255, 128


@dataclass(frozen=True)
class Grid:
    """count tiles of tile_height x tile_width pixels, `asked` in a row; 0: as many as make the sheet nearest to a square.

    Between two tiles lies a white line of a hundredth of a tile's long side.
    """

    count: int
    asked: int
    tile_height: int
    tile_width: int

    @property
    def columns(self) -> int:
        if self.asked:
            return min(self.asked, self.count)
        return min(self.count, max(1, round(sqrt(self.count * self.tile_height / self.tile_width))))

    @property
    def rows(self) -> int:
        return ceil(self.count / self.columns)

    @property
    def gap(self) -> int:
        return max(2, max(self.tile_height, self.tile_width) // 100)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the sheet."""
        height = self.rows * (self.tile_height + self.gap) - self.gap
        return height, self.columns * (self.tile_width + self.gap) - self.gap

    @property
    def pixels(self) -> int:
        height, width = self.size
        return height * width

    def place(self, index: int) -> tuple[slice, slice]:
        """Where a tile lies: rows and columns of pixels."""
        y = index // self.columns * (self.tile_height + self.gap)
        x = index % self.columns * (self.tile_width + self.gap)
        return slice(y, y + self.tile_height), slice(x, x + self.tile_width)


def grey_sheet(grid: Grid) -> Image:
    """(H, W, 3) uint8: a grey tile in every place, white lines between, white where there is none."""
    out = np.full((*grid.size, 3), GREY, np.uint8)
    for y in range(grid.tile_height, len(out), grid.tile_height + grid.gap):
        out[y : y + grid.gap] = WHITE
    for x in range(grid.tile_width, out.shape[1], grid.tile_width + grid.gap):
        out[:, x : x + grid.gap] = WHITE
    for index in range(grid.count, grid.rows * grid.columns):
        out[grid.place(index)] = WHITE
    return out
