"""Chevron: boards with slanted ends that meet in straight lines.

The plane is cut into columns of equal width; boards climb by the angle in even columns and fall in odd ones. In a
column, y less the climb is constant along a board.
"""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.layout.piece import (
    Array,
    Box,
    Edges,
    Located,
    Outlines,
    columns_and_rows,
    pack,
    require,
    turn,
)
from services.compositor.domain.layout.polygon import convex_distance


@dataclass(frozen=True)
class Chevron:
    """Boards climbing along x (kind 0) and falling (kind 1).

    length_m: of a board's long sides; width_m: across them; both without grout.
    angle_deg: of the boards against the x axis, above 0 to 75; 45 gives right angles at the points.
    Raises ValueError where a number makes no sense.
    """

    length_m: float
    width_m: float
    angle_deg: float = 45.0
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(self.length_m > 0 and self.width_m > 0, "a board is longer and wider than 0")
        require(0 < self.angle_deg <= 75, "a chevron's angle is above 0 and at most 75 degrees")
        require(self.grout_m >= 0, "grout is at least 0 wide")

    @property
    def _trig(self) -> tuple[float, float, float]:
        a = np.deg2rad(self.angle_deg)
        return float(np.cos(a)), float(np.sin(a)), float(np.tan(a))

    @property
    def _column_m(self) -> float:
        return self.length_m * self._trig[0] + self.grout_m

    @property
    def _rise_m(self) -> float:
        """From one board to the next above it."""
        return (self.width_m + self.grout_m) / self._trig[0]

    def _outline(self) -> list[tuple[float, float]]:
        """A climbing board in its frame; a falling one has v mirrored."""
        slant = self.width_m * self._trig[2]
        return [(0, 0), (self.length_m, 0), (self.length_m + slant, self.width_m), (slant, self.width_m)]

    def _inset(self) -> float:
        """From the start of the cell's frame to that of the board's, along u."""
        c, _, t = self._trig
        return 0.5 * self.grout_m * (1 / c + t)

    def at(self, x: Array, y: Array, seed: int) -> Located:
        c, s, t = self._trig
        column = np.floor(x / self._column_m)
        lx = x - column * self._column_m
        falls = column % 2 == 1
        climb = np.where(falls, self._column_m - lx, lx) * t
        row = np.floor((y - climb) / self._rise_m)
        v = (y - climb - row * self._rise_m) * c - 0.5 * self.grout_m
        # Along the board, from where the cell's frame begins.
        ly = y - row * self._rise_m
        foot = np.where(falls, (self._column_m * t - ly + self._rise_m) * s, ly * s)
        u = lx * c + foot - self._inset()
        distance = convex_distance(u, np.where(falls, self.width_m - v, v), self._outline())
        angle = x.dtype.type(self.angle_deg)
        return Located(
            pack(column, row),
            falls.astype(np.int64),
            u,
            v,
            np.full_like(x, self.length_m + self.width_m * t),
            np.full_like(x, self.width_m),
            np.where(falls, -angle, angle),
            distance,
        )

    def edges(self, located: Located) -> tuple[Edges, ...]:
        c, s, _ = self._trig
        u, v, half = located.u, located.v, self.grout_m / 2
        falls = located.kind == 1
        end = u * c - np.where(falls, self.width_m - v, v) * s
        return (
            Edges(
                np.minimum(end, self.length_m * c - end),
                half,
                located.rotation + np.where(falls, self.angle_deg, -self.angle_deg).astype(u.dtype),
                self._column_m,
            ),
            Edges(np.minimum(v, self.width_m - v), half, located.rotation + 90, self.width_m + self.grout_m),
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        _, s, t = self._trig
        climb = self._column_m * t
        column, row = columns_and_rows((box[0], box[1] - climb, box[2], box[3]), self._column_m, self._rise_m, 2)
        falls = column % 2 == 1
        # The point of the cell's frame where u = 0 and v = 0, as the inverse of `at`.
        angle = np.where(falls, -self.angle_deg, self.angle_deg)
        start_x, start_y = turn(np.full(angle.shape, self._inset()), np.full(angle.shape, self.grout_m / 2), angle)
        foot_x, foot_y = turn(np.where(falls, -self._rise_m * s, 0.0), np.zeros(angle.shape), angle)
        origin_x = column * self._column_m + foot_x + start_x
        origin_y = row * self._rise_m + np.where(falls, climb, 0.0) + foot_y + start_y
        climbing = np.array(self._outline())
        falling = (climbing * [1, -1] + [0, self.width_m])[::-1]
        return Outlines(
            pack(column, row),
            falls.astype(np.int64),
            np.stack([origin_x, origin_y], -1),
            angle,
            np.where(falls[:, None, None], falling, climbing),
        ).within(box)

    def grout_fraction(self) -> float:
        board = self.length_m * self.width_m
        return 1 - board / (self._column_m * self._rise_m)

    def window(self, located: Located, seed: int) -> None:
        return None
