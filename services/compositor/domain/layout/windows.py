"""Which part of a material's picture each piece shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.layout.piece import Array, Ids, Located, require, scramble
from services.compositor.domain.layout.placement import Layout

# Steps of the two-dimensional sequence of low discrepancy R2: powers of 1 / 1.3247..., the root of x^3 = x + 1
# (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
R2 = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class Source:
    """The picture of a material.

    width_m, height_m: what it shows, along its columns' and its rows' directions (x to the right, y down).
    turned: a piece's length runs down the picture (as boards do in the catalogue's) instead of along it.
    seamless: it repeats, so that a window may begin anywhere; else windows stay inside as far as they fit.
    variants: how many windows there are.
    flip_ends, flip_sides: pieces may be shown mirrored along their length, or across it; both is a half turn.
    Raises ValueError where a number makes no sense.
    """

    width_m: float
    height_m: float
    turned: bool = False
    seamless: bool = True
    variants: int = 16
    flip_ends: bool = True
    flip_sides: bool = True

    def __post_init__(self) -> None:
        require(self.width_m > 0 and self.height_m > 0, "a picture is wider and higher than 0")
        require(1 <= self.variants <= 1 << 16, "there are 1 to 65536 variants")


@dataclass(frozen=True)
class Window:
    """For each point: its piece's window. variant: which one; x, y: its corner in the picture, metres; the flips."""

    variant: Ids
    x: Array
    y: Array
    flip_ends: NDArray[np.bool_]
    flip_sides: NDArray[np.bool_]


def window(layout: Layout, located: Located, source: Source) -> Window:
    """The window of each point's piece. It depends on the piece, the seed and the source alone."""
    fixed = layout.pattern.window(located, layout.seed)
    none = np.zeros(located.piece.shape, np.bool_)
    if fixed is not None:
        return Window(np.zeros(located.piece.shape, np.int64), *fixed, none, none)
    bits = scramble(located.piece, layout.seed)
    # By multiplication in place of division, which takes longer than all the rest.
    variant = (((bits >> np.uint64(40)) * np.uint64(source.variants)) >> np.uint64(24)).astype(np.int64)
    wide, tall = (located.width, located.length) if source.turned else (located.length, located.width)
    free_x = source.width_m if source.seamless else np.maximum(source.width_m - wide, 0)
    free_y = source.height_m if source.seamless else np.maximum(source.height_m - tall, 0)
    f = located.u.dtype
    return Window(
        variant,
        _fraction((variant + 1) * R2[0]).astype(f) * free_x,
        _fraction((variant + 1) * R2[1]).astype(f) * free_y,
        (bits & np.uint64(1)).astype(np.bool_) & source.flip_ends,
        (bits & np.uint64(2)).astype(np.bool_) & source.flip_sides,
    )


def _fraction(x: Array) -> Array:
    return np.asarray(x - np.floor(x))


def sample(source: Source, located: Located, shown: Window) -> tuple[Array, Array]:
    """Where in the picture each point looks: (x, y) metres; a seamless picture repeats beyond its size."""
    u = np.where(shown.flip_ends, located.length - located.u, located.u)
    v = np.where(shown.flip_sides, located.width - located.v, located.v)
    if source.turned:
        # A quarter turn: u runs down, v to the left.
        return shown.x + (located.width - v), shown.y + u
    return shown.x + u, shown.y + v


def direction(source: Source, located: Located, shown: Window, x: Array, y: Array) -> tuple[Array, Array]:
    """A vector of the surface (a footprint's axis, say) as one of the picture, metres."""
    a = np.deg2rad(located.rotation)
    c, s = np.cos(a), np.sin(a)
    u, v = c * x + s * y, c * y - s * x
    u = np.where(shown.flip_ends, -u, u)
    v = np.where(shown.flip_sides, -v, v)
    return (-v, u) if source.turned else (u, v)
