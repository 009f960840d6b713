"""Pieces: what a pattern says about points of a plane, and the outlines of what lies in a box of it.

Lengths are metres, angles degrees from the x axis towards the y axis. A piece has a frame of its own: its origin
is the corner of the piece's bounding rectangle, u runs along its length, v is u turned by 90 degrees. Frames are
turned, never mirrored, so that a printed board is never shown reversed by its layout.

Arrays keep the dtype of the coordinates that came in: float32 for pictures, float64 where exactness counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32 or float64
Ids = NDArray[np.int64]
Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max, metres

# Where nothing lies: beside a mural.
NO_PIECE = -1
# Piece ids hold a column and a row of 27 bits each and an index in the cell of 8.
_BITS, _INDEX_BITS = 27, 8
_MASK = (1 << _BITS) - 1


def pack(column: Array | Ids | int, row: Array | Ids | int, index: Array | Ids | int = 0) -> Ids:
    """One id, not negative, for a column, a row (each -2^26 to 2^26 - 1, wrapping) and an index in the cell (0 to 255)."""
    i = np.asarray(column).astype(np.int64) & _MASK
    j = np.asarray(row).astype(np.int64) & _MASK
    return np.asarray((i << (_BITS + _INDEX_BITS)) | (j << _INDEX_BITS) | np.asarray(index).astype(np.int64), np.int64)


def unpack(piece: Ids) -> tuple[Ids, Ids, Ids]:
    """(column, row, index) of `pack`."""
    half = 1 << (_BITS - 1)
    i, j = (piece >> (_BITS + _INDEX_BITS)) & _MASK, (piece >> _INDEX_BITS) & _MASK
    return (i ^ half) - half, (j ^ half) - half, piece & ((1 << _INDEX_BITS) - 1)


def key_offset(seed: int) -> int:
    """What a seed adds to keys before they are scrambled."""
    return (seed * 2 + 1) * 0x9E3779B97F4A7C15 % 2**64


def scramble(key: Array | Ids | int, seed: int) -> NDArray[np.uint64]:
    """64 random-looking bits of each key: the finalizer of SplitMix64 (Steele, Lea & Flood, 2014, fig. 16)."""
    z = np.asarray(key).astype(np.int64).astype(np.uint64) + np.uint64(key_offset(seed))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)


def uniform(key: Array | Ids | int, seed: int) -> NDArray[np.float64]:
    """A random-looking number in [0, 1) for each key."""
    return np.asarray((scramble(key, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53, np.float64)


@dataclass(frozen=True)
class Located:
    """Where points lie. All arrays have the shape of the coordinates asked for.

    piece: id, the same for all points of a piece and for no other; NO_PIECE where nothing lies.
    kind: which of the pattern's kinds of piece (sizes, or hands) it is.
    u, v: metres in the piece's frame; in the grout slightly outside of the piece.
    length, width: the piece's extent along u and v, without grout; inf where it is endless.
    rotation: degrees, of u from the surface's x axis.
    distance: metres to the piece's nearest edge, negative in the grout.
    """

    piece: Ids
    kind: Ids
    u: Array
    v: Array
    length: Array
    width: Array
    rotation: Array
    distance: Array


@dataclass(frozen=True)
class Edges:
    """The nearest of a family of parallel joints: what the filter of the grout needs.

    distance: metres to the piece's edge, as in `Located`, but to this family alone.
    half_width: half of the joint there, metres.
    normal: degrees, direction across the joint on the surface.
    pitch: metres from one joint of the family to the next; None where they do not go on.
    """

    distance: Array
    half_width: Array | float
    normal: Array | float
    pitch: Array | float | None


@dataclass(frozen=True)
class Outlines:
    """N pieces, each a convex polygon without its grout.

    piece, kind: (N,) as in `Located`.
    origin: (N, 2) where the frame's origin lies on the surface.
    rotation: (N,) degrees.
    local: (N, K, 2) corners in the piece's frame, counter-clockwise; corners may repeat.
    """

    piece: Ids
    kind: Ids
    origin: NDArray[np.float64]
    rotation: NDArray[np.float64]
    local: NDArray[np.float64]

    def corners(self) -> NDArray[np.float64]:
        """(N, K, 2) corners on the surface."""
        u, v = turn(self.local[..., 0], self.local[..., 1], self.rotation[:, None])
        return np.stack([u, v], -1) + self.origin[:, None]

    def within(self, box: Box) -> "Outlines":
        """Those whose bounding rectangle meets the box."""
        corners = self.corners()
        low, high = corners.min(1), corners.max(1)
        near = (low[:, 0] <= box[2]) & (low[:, 1] <= box[3]) & (high[:, 0] >= box[0]) & (high[:, 1] >= box[1])
        return Outlines(self.piece[near], self.kind[near], self.origin[near], self.rotation[near], self.local[near])


class Pattern(Protocol):
    """A division of the endless plane into pieces, in the pattern's own axes."""

    def at(self, x: Array, y: Array, seed: int) -> Located:
        """The pieces at these points."""
        ...

    def edges(self, located: Located) -> Sequence[Edges]:
        """The families of joints around points that `at` located."""
        ...

    def outlines(self, box: Box, seed: int) -> Outlines:
        """Every piece that meets the box; endless patterns raise ValueError."""
        ...

    def grout_fraction(self) -> float:
        """Part of the plane that is grout, 0 to 1, exactly."""
        ...

    def window(self, located: Located, seed: int) -> tuple[Array, Array] | None:
        """Where in the material's picture the frames' origins lie (metres); None: each piece may show any part."""
        ...


def turn(x: Array, y: Array, degrees: Array | float) -> tuple[Array, Array]:
    """Points turned about the origin, from the x axis towards the y axis."""
    a = np.asarray(np.deg2rad(degrees), x.dtype)
    c, s = np.cos(a), np.sin(a)
    return c * x - s * y, s * x + c * y


def require(valid: bool, message: str) -> None:
    """Raise ValueError(message) unless valid."""
    if not valid:
        raise ValueError(message)


def columns_and_rows(box: Box, pitch_x: float, pitch_y: float, margin: int = 1) -> tuple[Ids, Ids]:
    """All (column, row) of a grid from the origin whose cells meet the box, and `margin` around: two (N,) arrays."""
    i = np.arange(np.floor(box[0] / pitch_x) - margin, np.floor(box[2] / pitch_x) + margin + 1).astype(np.int64)
    j = np.arange(np.floor(box[1] / pitch_y) - margin, np.floor(box[3] / pitch_y) + margin + 1).astype(np.int64)
    grid = np.meshgrid(i, j)
    return grid[0].ravel(), grid[1].ravel()
