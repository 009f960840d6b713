"""A surface to be covered, and numbers that are known within limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import shapely

from services.compositor.domain.layout.piece import require
from services.compositor.domain.layout.polygon import Point


@dataclass(frozen=True)
class Interval:
    """A value, and the least and the most that it may be."""

    low: float
    value: float
    high: float

    def __post_init__(self) -> None:
        require(self.low <= self.value <= self.high, "a value lies between its limits")


EXACT = Interval(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Surface:
    """A polygon on the surface's plane, metres, with holes (doors, windows, a kitchen's island) inside of it.

    Raises ValueError where it crosses itself, or a hole does not lie inside.
    """

    outline: tuple[Point, ...]
    holes: tuple[tuple[Point, ...], ...] = ()

    def __post_init__(self) -> None:
        require(len(self.outline) >= 3 and all(len(h) >= 3 for h in self.holes), "a polygon has three corners or more")
        polygon = self.polygon()
        require(polygon.is_valid and polygon.area > 0, "a surface's outline and holes do not cross each other")

    @classmethod
    def of(cls, polygon: shapely.Polygon) -> "Surface":
        rings = [
            tuple((float(x), float(y)) for x, y in ring.coords[:-1]) for ring in (polygon.exterior, *polygon.interiors)
        ]
        return cls(rings[0], tuple(rings[1:]))

    def polygon(self) -> shapely.Polygon:
        return shapely.Polygon(self.outline, self.holes)

    def scaled(self, factor: float) -> "Surface":
        """The surface with its lengths multiplied."""

        def larger(ring: tuple[Point, ...]) -> tuple[Point, ...]:
            return tuple((x * factor, y * factor) for x, y in ring)

        return Surface(larger(self.outline), tuple(larger(h) for h in self.holes))


@dataclass(frozen=True)
class Patches:
    """Surfaces of one plane that do not overlap, covered in one go: what a pillar or a table's leg parts in two."""

    parts: tuple[Surface, ...]

    def __post_init__(self) -> None:
        require(len(self.parts) > 0, "there is a surface to cover")

    def polygon(self) -> shapely.MultiPolygon:
        return shapely.MultiPolygon([p.polygon() for p in self.parts])

    def scaled(self, factor: float) -> "Patches":
        return Patches(tuple(p.scaled(factor) for p in self.parts))


Covered = TypeVar("Covered", Surface, Patches)


def over_scale(surface: Covered, scale: Interval, count: Callable[[Covered], float]) -> Interval:
    """A quantity of a surface whose scale is known within limits: counted at both ends and in between.

    Args:
        scale: by which the surface's lengths may have to be multiplied.
        count: the quantity of a surface.
    """
    low, value, high = (count(surface.scaled(k)) for k in (scale.low, scale.value, scale.high))
    return Interval(min(low, value, high), value, max(low, value, high))


def area(surface: Covered, scale: Interval = EXACT) -> Interval:
    """Square metres; the limits are those of the scale, squared."""
    return over_scale(surface, scale, lambda s: float(s.polygon().area))
