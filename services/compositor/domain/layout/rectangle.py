"""What all patterns of rectangular pieces share."""

import numpy as np

from services.compositor.domain.layout.piece import Array, Edges, Ids, Located, Outlines, turn


def locate_rectangle(
    piece: Ids,
    kind: Ids,
    along: Array,
    across: Array,
    length: Array | float,
    width: Array | float,
    rotation: Array,
    grout_m: float,
) -> Located:
    """Points in rectangular cells, each a piece with half of the grout around it.

    Args:
        piece, kind, rotation: as in `Located`.
        along, across: metres from the cell's corner, in the directions of u and v.
        length, width: metres, the piece's without grout.
        grout_m: whole width of the grout.
    """
    u, v = along - grout_m / 2, across - grout_m / 2
    length = np.broadcast_to(np.asarray(length, u.dtype), u.shape)
    width = np.broadcast_to(np.asarray(width, u.dtype), u.shape)
    du, dv = np.minimum(u, length - u), np.minimum(v, width - v)
    # Beside a corner of the piece the corner is nearest, elsewhere an edge.
    distance = np.where((du < 0) & (dv < 0), -np.hypot(du, dv), np.minimum(du, dv))
    return Located(piece, kind, u, v, length, width, rotation, distance)


class Rectangular:
    """A pattern of rectangles, each of which may show any part of its material."""

    grout_m: float

    def edges(self, located: Located) -> tuple[Edges, Edges]:
        """The joints at the ends (across u), and those along the sides (across v)."""
        u, v = located.u, located.v
        half = self.grout_m / 2
        return (
            Edges(np.minimum(u, located.length - u), half, located.rotation, located.length + self.grout_m),
            Edges(np.minimum(v, located.width - v), half, located.rotation + 90, located.width + self.grout_m),
        )

    def window(self, located: Located, seed: int) -> None:
        return None


def rectangle_outlines(
    piece: Ids,
    kind: Ids,
    corner_x: Array,
    corner_y: Array,
    length: Array | float,
    width: Array | float,
    rotation: Array,
    grout_m: float,
) -> Outlines:
    """Outlines of N cells; (corner_x, corner_y) is where the cell's along = across = 0 lies."""
    count = piece.shape
    length = np.broadcast_to(np.asarray(length, np.float64), count)
    width = np.broadcast_to(np.asarray(width, np.float64), count)
    rotation = np.broadcast_to(np.asarray(rotation, np.float64), count)
    half_x, half_y = turn(np.full(count, grout_m / 2), np.full(count, grout_m / 2), rotation)
    zero = np.zeros(count)
    local = np.stack([zero, zero, length, zero, length, width, zero, width], -1).reshape(-1, 4, 2)
    kind = np.broadcast_to(np.asarray(kind, np.int64), count)
    return Outlines(piece, kind, np.stack([corner_x + half_x, corner_y + half_y], -1), rotation, local)


def fraction(length: float, width: float, grout_m: float) -> float:
    """Grout's part of a cell with one rectangular piece."""
    return 1 - length * width / ((length + grout_m) * (width + grout_m))
