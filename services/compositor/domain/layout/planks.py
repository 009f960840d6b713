"""Planks: rows along x of boards of several lengths, their ends staggered."""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.layout.joints import Joints, joints
from services.compositor.domain.layout.piece import Array, Box, Located, Outlines, pack, require
from services.compositor.domain.layout.rectangle import Rectangular, locate_rectangle, rectangle_outlines


def lengths_between(low_m: float, high_m: float, count: int = 12) -> tuple[float, ...]:
    """Lengths that stand for a range: `count` evenly spaced ones."""
    require(0 < low_m <= high_m and count >= 2, "a range goes from above 0 upwards")
    return tuple(np.linspace(low_m, high_m, count).tolist())


@dataclass(frozen=True)
class Planks(Rectangular):
    """Boards in rows along x; kind is the index of the board's length.

    width_m, lengths_m: boards' sizes, without the joint; each length comes equally often (see `lengths_between`).
    min_stagger_m: end joints of neighbouring rows are at least this far apart; at most half of the shortest pitch.
    grout_m: width of the joint between boards, 0 or a bevel.
    Raises ValueError where a number makes no sense.
    """

    width_m: float
    lengths_m: tuple[float, ...]
    min_stagger_m: float = 0.15
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(self.width_m > 0, "a board is wider than 0")
        require(0 < len(self.lengths_m) <= 64, "there are 1 to 64 lengths of boards")
        require(min(self.lengths_m) > 0, "a board is longer than 0")
        require(self.grout_m >= 0, "a joint is at least 0 wide")
        half = (min(self.lengths_m) + self.grout_m) / 2
        require(0 <= self.min_stagger_m <= half, "ends can be staggered by half of the shortest board at most")

    def joints(self, seed: int) -> Joints:
        """The table of joints; its circumference and rows are those of the plane's repeat."""
        return joints(tuple(length + self.grout_m for length in self.lengths_m), self.min_stagger_m, seed)

    def at(self, x: Array, y: Array, seed: int) -> Located:
        table = self.joints(seed)
        width = self.width_m + self.grout_m
        row = np.floor(y / width)
        entry = table.row(row)
        shifted = x - table.start.astype(x.dtype)[entry]
        lap = np.floor(shifted / table.period)
        shifted = np.clip(shifted - lap * table.period, 0, table.period)
        ends = table.ends.astype(x.dtype)
        board = table.first[entry, (shifted / table.bucket).astype(np.int64)]
        board = np.minimum(board + (shifted >= ends[entry, board]), table.boards - 1)
        kind = table.kinds[entry, board]
        pitch = (np.array(self.lengths_m) + self.grout_m).astype(x.dtype)[kind]
        return locate_rectangle(
            pack(lap * table.boards + board, row),
            kind,
            shifted - ends[entry, board] + pitch,
            y - row * width,
            pitch - self.grout_m,
            self.width_m,
            np.zeros_like(x),
            self.grout_m,
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        table = self.joints(seed)
        width = self.width_m + self.grout_m
        rows = np.arange(np.floor(box[1] / width), np.floor(box[3] / width) + 1)
        laps = np.arange(np.floor(box[0] / table.period) - 1, np.floor(box[2] / table.period) + 1)
        grid = np.meshgrid(rows, laps, np.arange(table.boards))
        row, lap, board = grid[0].ravel(), grid[1].ravel(), grid[2].ravel().astype(np.int64)
        entry = table.row(row)
        kind = table.kinds[entry, board]
        length = np.array(self.lengths_m)[kind]
        begin = table.start[entry] + lap * table.period + table.ends[entry, board] - length - self.grout_m
        return rectangle_outlines(
            pack(lap * table.boards + board, row),
            kind,
            begin,
            row * width,
            length,
            self.width_m,
            np.zeros_like(begin),
            self.grout_m,
        ).within(box)

    def grout_fraction(self) -> float:
        length = float(np.mean(self.lengths_m))
        return 1 - length * self.width_m / ((length + self.grout_m) * (self.width_m + self.grout_m))
