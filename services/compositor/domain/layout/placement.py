"""A pattern laid on a surface: where it begins, how it is turned, and which random choices it makes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from services.compositor.domain.layout.piece import Array, Box, Located, Outlines, Pattern, require, turn


@dataclass(frozen=True)
class Layout:
    """A pattern on a surface's plane.

    origin_x_m, origin_y_m: where on the surface the pattern's axes begin.
    rotation_deg: of the pattern's x axis from the surface's, towards y; 45 lays a grid diagonally.
    phase_x_m, phase_y_m: by how much the pattern is moved along its own axes.
    seed: of its random choices; the same seed gives the same layout everywhere and always.

    Raises ValueError where a number is not finite.
    """

    pattern: Pattern
    origin_x_m: float = 0.0
    origin_y_m: float = 0.0
    rotation_deg: float = 0.0
    phase_x_m: float = 0.0
    phase_y_m: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.origin_x_m, self.origin_y_m, self.rotation_deg, self.phase_x_m, self.phase_y_m)
        require(bool(np.isfinite(numbers).all()), "a layout's numbers are finite")


def locate(layout: Layout, x: Array, y: Array) -> Located:
    """Where points of the surface lie: arrays of metres, of one shape, float32 or float64; so is the answer."""
    x, y = x - layout.origin_x_m, y - layout.origin_y_m
    if layout.rotation_deg:
        x, y = turn(x, y, -layout.rotation_deg)
    located = layout.pattern.at(x - layout.phase_x_m, y - layout.phase_y_m, layout.seed)
    return replace(located, rotation=located.rotation + layout.rotation_deg)


def outlines(layout: Layout, box: Box) -> Outlines:
    """Every piece that meets a box of the surface. Raises ValueError where the pattern has no pieces (by the roll)."""
    x = np.array([box[0], box[2], box[2], box[0]]) - layout.origin_x_m
    y = np.array([box[1], box[1], box[3], box[3]]) - layout.origin_y_m
    x, y = turn(x, y, -layout.rotation_deg)
    x, y = x - layout.phase_x_m, y - layout.phase_y_m
    around = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    found = layout.pattern.outlines(around, layout.seed)
    x, y = turn(found.origin[:, 0] + layout.phase_x_m, found.origin[:, 1] + layout.phase_y_m, layout.rotation_deg)
    origin = np.stack([x + layout.origin_x_m, y + layout.origin_y_m], -1)
    return replace(found, origin=origin, rotation=found.rotation + layout.rotation_deg).within(box)


def grout_fraction(layout: Layout) -> float:
    """Part of the plane that is grout, exactly."""
    return layout.pattern.grout_fraction()


def around_corners(layout: Layout, lengths_m: Iterable[float]) -> list[Layout]:
    """The layouts of a chain of walls, each with its own x from 0 to its length, so that the pattern runs on.

    Point x of wall k is point x + (lengths before k) of the wall as if it were unfolded.
    """
    out = []
    gone = 0.0
    for length in lengths_m:
        require(length > 0, "a wall is longer than 0")
        out.append(replace(layout, origin_x_m=layout.origin_x_m - gone))
        gone += length
    return out
