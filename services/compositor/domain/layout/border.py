"""A border of pieces along a room's outline, and another layout inside of it."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from services.compositor.domain.layout.piece import NO_PIECE, Array, Box, Edges, Located, Outlines, pack, require
from services.compositor.domain.layout.placement import Layout, locate
from services.compositor.domain.layout.polygon import Point, area, inner_distances, inset, inside_distance
from services.compositor.domain.layout.strips import Carpet

# Index in the cell that marks pieces of the border, which no field's pattern uses; and their kind. And the bit of it that
# tells pieces beyond the border from those within.
BORDER, BEYOND = 255, 128


@dataclass(frozen=True)
class Side:
    """One side of the border.

    strip: its four corners: two on the outline, two on the joint with the field; mitred.
    degrees: direction along the outline. pieces: how many, a `pitch` of metres apart.
    """

    strip: tuple[Point, Point, Point, Point]
    degrees: float
    pieces: int
    pitch: float


@dataclass(frozen=True)
class Bordered:
    """A border along an outline, mitred at its corners; inside the field's layout, or NO_PIECE without one; outside NO_PIECE,
    or, where `goes_on`, the field once more: there are other rooms.

    outline: corners of a simple polygon on the surface, metres, in either sense; empty where the room gives it, and then
    nothing can be laid yet.
    border_m: width of the border's pieces.
    piece_m: their length; on each side they are cut alike to fit it; the first and the last are cut to the mitre.
    field: what lies inside, with its own origin and rotation; None: another material, laid apart.
    grout_m: in the border and around the field.

    In the border's joints, and around the field, distances are those to the nearest side's line. Raises ValueError
    where the outline is no polygon or has no room for the border.
    """

    outline: tuple[Point, ...]
    border_m: float
    piece_m: float
    field: Layout | None
    grout_m: float = 0.0
    goes_on: bool = False

    def __post_init__(self) -> None:
        require(self.border_m > 0 and self.piece_m > 0, "a border and its pieces are larger than 0")
        require(self.grout_m >= 0, "grout is at least 0 wide")
        if self.outline:
            require(len(self.outline) >= 3 and area(self.outline) != 0, "an outline has three corners or more")
            require(len(self.inner) > 0, "the outline has no room for the border")

    @cached_property
    def corners(self) -> list[Point]:
        """The outline, counter-clockwise."""
        return list(self.outline if area(self.outline) > 0 else self.outline[::-1])

    @cached_property
    def inner(self) -> list[Point]:
        """The middle of the joint between border and field, counter-clockwise."""
        return inset(self.corners, self.border_m + self.grout_m / 2)

    @cached_property
    def sides(self) -> list[Side]:
        out = []
        outer, inner = self.corners, self.inner
        for k, (a, c) in enumerate(zip(outer, inner, strict=True)):
            b, d = outer[(k + 1) % len(outer)], inner[(k + 1) % len(inner)]
            length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
            pieces = max(1, int(np.ceil(length / (self.piece_m + self.grout_m) - 1e-9)))
            degrees = float(np.rad2deg(np.arctan2(b[1] - a[1], b[0] - a[0])))
            out.append(Side((a, b, d, c), degrees, pieces, length / pieces))
        return out

    def at(self, x: Array, y: Array, seed: int) -> Located:
        within = inside_distance(x, y, self.inner)
        goes_on = self.goes_on and self.field is not None
        beyond = -inside_distance(x, y, self.corners) if goes_on else np.full_like(within, -np.inf)
        field = locate(self.field or Layout(Carpet()), x, y)
        out = replace(
            field,
            piece=np.where(
                (within >= 0) & (self.field is not None),
                field.piece,
                np.where(beyond > 0, field.piece | BEYOND, NO_PIECE),
            ),
            distance=np.minimum(
                field.distance,
                np.where(within >= 0, within - self.grout_m / 2, np.where(beyond > 0, beyond, -np.inf)),
            ),
        )
        free = (within < 0) & (beyond <= 0)
        for number, side in enumerate(self.sides):
            gaps = inner_distances(x, y, side.strip)
            there = free & (np.minimum.reduce(gaps) >= 0)
            free &= ~there
            new = self._border(number, side, x, y, gaps)
            out = Located(*(np.where(there, getattr(new, f.name), getattr(out, f.name)) for f in fields(Located)))
        return out

    def _border(self, number: int, side: Side, x: Array, y: Array, gaps: list[Array]) -> Located:
        wall, right, joint, left = gaps
        (ax, ay), (bx, by), *_ = side.strip
        length = side.pitch * side.pieces
        along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length
        # Where a corner points into the room the mitre reaches past the side's ends.
        piece = np.clip(np.floor(along / side.pitch), 0, side.pieces - 1)
        half = self.grout_m / 2
        begin = np.where(piece == 0, np.inf, along - piece * side.pitch)
        end = np.where(piece == side.pieces - 1, np.inf, (piece + 1) * side.pitch - along)
        joints = np.minimum.reduce([right, joint, left, begin, end]) - half
        return Located(
            pack(piece, number, BORDER),
            np.full(x.shape, BORDER, np.int64),
            along - piece * side.pitch - half,
            wall,
            np.full_like(x, side.pitch - self.grout_m),
            np.full_like(x, self.border_m),
            np.full_like(x, side.degrees),
            np.minimum(wall, joints),
        )

    def edges(self, located: Located) -> tuple[Edges, ...]:
        """The field's joints, and the border's own; in the other's part each has width 0."""
        border = located.kind == BORDER
        own = self.field.pattern.edges(located) if self.field else ()
        ends, sides = np.minimum(located.u, located.length - located.u), located.width - located.v
        # What is nearer than all of these is a mitre, or the joint around the field. And where an end is nearer
        # than what is nearest, it is none: at a mitre a piece does not end where its bounding rectangle does.
        in_border = np.minimum.reduce([ends, sides, located.v])
        in_field = np.minimum.reduce([np.full_like(in_border, np.inf), *(family.distance for family in own)])
        other = located.distance + 1e-6 < np.where(border, in_border, in_field)
        end = border & (ends >= located.distance - 1e-6)
        half = located.u.dtype.type(self.grout_m / 2)
        families = [
            replace(family, half_width=np.where(border, 0, family.half_width).astype(located.u.dtype)) for family in own
        ]
        families += [
            Edges(ends, half * end, located.rotation, None),
            Edges(sides, half * border, located.rotation + 90, None),
            Edges(located.distance, half * other, located.rotation + 45, None),
        ]
        return tuple(families)

    def outlines(self, box: Box, seed: int) -> Outlines:
        """Raises ValueError: cut by the border's line, the field's pieces are not convex. See `sides` and `field`."""
        raise ValueError("a border and its field are taken apart before their pieces are listed")

    def grout_fraction(self) -> float:
        """The field's."""
        return self.field.pattern.grout_fraction() if self.field else 0.0

    def window(self, located: Located, seed: int) -> None:
        return None
