"""Hexagons, and pennies: round tiles where hexagons would be.

Centres lie on two interleaved rectangular grids; the nearer centre is the cell's.
"""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.layout.piece import (
    Array,
    Box,
    Edges,
    Ids,
    Located,
    Outlines,
    columns_and_rows,
    pack,
    require,
)

ROOT3 = float(np.sqrt(3))
# Corners of the polygon that stands for a circle where outlines are asked for; it has the circle's area.
CIRCLE_CORNERS = 48


def _cells(x: Array, y: Array, pitch: float) -> tuple[Ids, Array, Array]:
    """(piece, dx, dy) of the nearest centre, dx and dy metres from it. Cells are `pitch` from flat to flat."""
    tall = ROOT3 * pitch
    i0, j0 = np.round(x / pitch), np.round(y / tall)
    i1, j1 = np.round(x / pitch - 0.5), np.round(y / tall - 0.5)
    x0, y0 = x - i0 * pitch, y - j0 * tall
    x1, y1 = x - (i1 + 0.5) * pitch, y - (j1 + 0.5) * tall
    odd = x1 * x1 + y1 * y1 < x0 * x0 + y0 * y0
    piece = pack(np.where(odd, i1, i0), 2 * np.where(odd, j1, j0) + odd)
    return piece, np.where(odd, x1, x0), np.where(odd, y1, y0)


def _centres(box: Box, pitch: float) -> tuple[Ids, Array, Array]:
    """(piece, x, y) of all centres around a box."""
    column, row = columns_and_rows(box, pitch, ROOT3 / 2 * pitch, margin=2)
    return pack(column, row), (column + 0.5 * (row % 2)) * pitch, row * (ROOT3 / 2 * pitch)


def _outlines(piece: Ids, x: Array, y: Array, corner: Array, centre: tuple[float, float]) -> Outlines:
    count = len(piece)
    local = np.broadcast_to(corner + np.array(centre), (count, *corner.shape)).copy()
    origin = np.stack([x - centre[0], y - centre[1]], -1)
    return Outlines(piece, np.zeros(count, np.int64), origin, np.zeros(count), local)


def _ring(count: int, radius: float, start_deg: float) -> Array:
    a = np.deg2rad(start_deg) + np.arange(count) * (2 * np.pi / count)
    return np.asarray(radius * np.stack([np.cos(a), np.sin(a)], -1))


@dataclass(frozen=True)
class Hexagon:
    """width_m: from flat to flat (along x), without grout. Raises ValueError where a number makes no sense."""

    width_m: float
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(self.width_m > 0, "a tile is wider than 0")
        require(self.grout_m >= 0, "grout is at least 0 wide")

    @property
    def tall_m(self) -> float:
        """From point to point."""
        return 2 / ROOT3 * self.width_m

    def at(self, x: Array, y: Array, seed: int) -> Located:
        piece, dx, dy = _cells(x, y, self.width_m + self.grout_m)
        # Folded so that the nearest flat is the one on the right.
        fx, fy = np.abs(dx), np.abs(dy)
        steep = fy * ROOT3 > fx
        right = np.where(steep, 0.5 * fx + (ROOT3 / 2) * fy, fx)
        above = np.where(steep, 0.5 * fy - (ROOT3 / 2) * fx, fy)
        gap = 0.5 * self.width_m - right
        beside = np.maximum(np.abs(above) - self.tall_m / 4, 0)
        distance = np.where(gap >= 0, gap, -np.hypot(gap, beside))
        return Located(
            piece,
            np.zeros(x.shape, np.int64),
            dx + 0.5 * self.width_m,
            dy + 0.5 * self.tall_m,
            np.full_like(x, self.width_m),
            np.full_like(x, self.tall_m),
            np.zeros_like(x),
            distance,
        )

    def edges(self, located: Located) -> tuple[Edges, ...]:
        dx, dy = located.u - 0.5 * self.width_m, located.v - 0.5 * self.tall_m
        half = self.grout_m / 2
        return tuple(
            Edges(0.5 * self.width_m - np.abs(dx * cos + dy * sin), half, located.rotation + degrees, None)
            for degrees, cos, sin in ((0, 1.0, 0.0), (60, 0.5, ROOT3 / 2), (120, -0.5, ROOT3 / 2))
        )

    def outlines(self, box: Box, seed: int) -> Outlines:
        piece, x, y = _centres(box, self.width_m + self.grout_m)
        corners = _ring(6, self.tall_m / 2, 30)
        return _outlines(piece, x, y, corners, (self.width_m / 2, self.tall_m / 2)).within(box)

    def grout_fraction(self) -> float:
        return 1 - (self.width_m / (self.width_m + self.grout_m)) ** 2

    def window(self, located: Located, seed: int) -> None:
        return None


@dataclass(frozen=True)
class Penny:
    """diameter_m: of a round tile; grout_m: where two are nearest. Raises ValueError where a number makes no sense."""

    diameter_m: float
    grout_m: float = 0.0

    def __post_init__(self) -> None:
        require(self.diameter_m > 0, "a tile is wider than 0")
        require(self.grout_m >= 0, "grout is at least 0 wide")

    def at(self, x: Array, y: Array, seed: int) -> Located:
        piece, dx, dy = _cells(x, y, self.diameter_m + self.grout_m)
        radius = self.diameter_m / 2
        size = np.full_like(x, self.diameter_m)
        kind = np.zeros(x.shape, np.int64)
        return Located(piece, kind, dx + radius, dy + radius, size, size, np.zeros_like(x), radius - np.hypot(dx, dy))

    def edges(self, located: Located) -> tuple[Edges, ...]:
        radius = self.diameter_m / 2
        dx, dy = located.u - radius, located.v - radius
        fx, fy = np.abs(dx), np.abs(dy)
        rim = 0.5 * (self.diameter_m + self.grout_m) - np.maximum(fx, 0.5 * fx + (ROOT3 / 2) * fy)
        # The cell's rim is the middle of the grout; nearer than the narrowest joint it cannot be.
        half = np.maximum(rim - located.distance, self.grout_m / 2)
        normal = np.rad2deg(np.arctan2(dy, dx)) + located.rotation
        return (Edges(located.distance, half, normal, None),)

    def outlines(self, box: Box, seed: int) -> Outlines:
        piece, x, y = _centres(box, self.diameter_m + self.grout_m)
        step = 2 * np.pi / CIRCLE_CORNERS
        radius = self.diameter_m / 2
        corners = _ring(CIRCLE_CORNERS, radius * float(np.sqrt(step / np.sin(step))), 0)
        return _outlines(piece, x, y, corners, (radius, radius)).within(box)

    def grout_fraction(self) -> float:
        return 1 - np.pi * self.diameter_m**2 / (2 * ROOT3 * (self.diameter_m + self.grout_m) ** 2)

    def window(self, located: Located, seed: int) -> None:
        return None
