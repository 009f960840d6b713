"""Material by the roll, without joints between pieces: wallpaper in strips, murals in panels, carpet in one.

On a wall x runs along it, and y from where the layout's origin lies; strips run along y and have no ends.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.layout.piece import (
    NO_PIECE,
    Array,
    Box,
    Edges,
    Ids,
    Located,
    Outlines,
    pack,
    require,
    uniform,
    unpack,
)


class Match(StrEnum):
    """How the pattern of a strip goes on in the next."""

    STRAIGHT = "straight"
    HALF_DROP = "half-drop"  # every second strip is moved by half of a repeat
    RANDOM = "random"  # it does not matter


class Endless:
    """A pattern whose pieces have no outlines of their own."""

    def outlines(self, box: Box, seed: int) -> Outlines:
        raise ValueError("material by the roll has no pieces with outlines")

    def grout_fraction(self) -> float:
        return 0.0

    def edges(self, located: Located) -> tuple[Edges, ...]:
        return ()


def _located(piece: Ids, u: Array, v: Array, length: Array | float, rotation: Array, distance: Array) -> Located:
    endless = np.full_like(u, np.inf)
    length = np.broadcast_to(np.asarray(length, u.dtype), u.shape)
    return Located(piece, np.zeros(u.shape, np.int64), u, v, length, endless, rotation, distance)


@dataclass(frozen=True)
class Wallpaper(Endless):
    """Strips side by side; u runs across a strip, v along it.

    roll_width_m, repeat_m: of the paper; match: see `Match`.
    reverse_hang: every second strip is turned by 180 degrees.
    Raises ValueError where a number makes no sense.
    """

    roll_width_m: float
    repeat_m: float
    match: Match = Match.STRAIGHT
    reverse_hang: bool = False

    def __post_init__(self) -> None:
        require(self.roll_width_m > 0, "a roll is wider than 0")
        require(self.repeat_m > 0, "a repeat is longer than 0")

    def drop(self, strip: Ids, seed: int) -> Array:
        """Metres into the repeat at which these strips have y = 0."""
        if self.match is Match.HALF_DROP:
            return np.asarray((strip & 1) * (self.repeat_m / 2))
        if self.match is Match.RANDOM:
            return np.asarray(uniform(strip, seed) * self.repeat_m)
        return np.zeros(strip.shape)

    def reversed(self, strip: Ids) -> NDArray[np.bool_]:
        """Which of these strips hang upside down."""
        return np.asarray((strip & 1) * self.reverse_hang, np.bool_)

    def at(self, x: Array, y: Array, seed: int) -> Located:
        strip = np.floor(x / self.roll_width_m)
        across = x - strip * self.roll_width_m
        turned = self.reversed(strip.astype(np.int64))
        return _located(
            pack(strip, 0),
            np.where(turned, self.roll_width_m - across, across),
            np.where(turned, -y, y),
            self.roll_width_m,
            np.where(turned, x.dtype.type(180), x.dtype.type(0)),
            np.minimum(across, self.roll_width_m - across),
        )

    def window(self, located: Located, seed: int) -> tuple[Array, Array]:
        strip, _, _ = unpack(located.piece)
        return np.zeros_like(located.u), self.drop(strip, seed).astype(located.v.dtype)


@dataclass(frozen=True)
class Mural(Endless):
    """One picture, width_m by height_m from the origin, on panels of panel_width_m; beside it lies NO_PIECE.

    Raises ValueError where a number makes no sense.
    """

    width_m: float
    height_m: float
    panel_width_m: float

    def __post_init__(self) -> None:
        require(self.width_m > 0 and self.height_m > 0, "a mural is wider and higher than 0")
        require(self.panel_width_m > 0, "a panel is wider than 0")

    def at(self, x: Array, y: Array, seed: int) -> Located:
        panel = np.floor(np.clip(x, 0, self.width_m) / self.panel_width_m)
        begin = panel * self.panel_width_m
        length = np.minimum(self.panel_width_m, self.width_m - begin)
        u = x - begin
        du, dv = np.minimum(u, length - u), np.minimum(y, self.height_m - y)
        distance = np.where((du < 0) & (dv < 0), -np.hypot(du, dv), np.minimum(du, dv))
        there = (x >= 0) & (x < self.width_m) & (y >= 0) & (y < self.height_m)
        return _located(np.where(there, pack(panel, 0), NO_PIECE), u, y, length, np.zeros_like(x), distance)

    def window(self, located: Located, seed: int) -> tuple[Array, Array]:
        panel, _, _ = unpack(np.maximum(located.piece, 0))
        return (panel * self.panel_width_m).astype(located.u.dtype), np.zeros_like(located.v)


@dataclass(frozen=True)
class Carpet(Endless):
    """One piece over all; its picture repeats."""

    def at(self, x: Array, y: Array, seed: int) -> Located:
        endless = np.full_like(x, np.inf)
        return _located(np.zeros(x.shape, np.int64), x, y, np.inf, np.zeros_like(x), endless)

    def window(self, located: Located, seed: int) -> tuple[Array, Array]:
        return np.zeros_like(located.u), np.zeros_like(located.v)
