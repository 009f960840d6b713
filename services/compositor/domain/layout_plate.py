"""What of a layout on a surface does not depend on the material: which part of its face each pixel shows.

A row's blocks of 16 pixels are of two sorts. In a block that one piece fills, with some room to its edges, coordinates
on the face are an affine function of those on the plane: six numbers. Pieces are convex, so both ends of the block
tell. In any other block pieces meet: each of its pixels is looked up at several points spread over its footprint, each
in its own piece, so that edges are smooth and pieces smaller than a pixel are averaged; and it has its shares of face
and grout. All are compact, and laying another material of the same sizes needs nothing else (kernel.py).
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import Lens
from services.compositor.domain import layout_kernel
from services.compositor.domain.layout import NO_PIECE, Layout, Source, direction, locate, sample, window
from services.compositor.domain.layout.grout import across
from services.compositor.domain.plate import BLOCK, Plate
from services.compositor.domain.relief import relief

SHARE_ONE = 32768
WHOLE = -1  # entry of a block that one piece fills
ROOM = 1.2  # times half of a footprint: how far from its edges a piece fills a block
COUNTS = (4, 8, 16)
POINTS = 1 << 16  # at once: what they need stays in the processor's cache

Points = NDArray[Any]  # float32 or float64


@dataclass(frozen=True)
class Pieces:
    """A layout of a material, as far as a layout plate depends on it. Raises ValueError where a number makes no sense."""

    layout: Layout
    source: Source
    bevel_m: float = 0.0
    depth_m: float = 0.0


@dataclass(frozen=True)
class LayoutPlate:
    """Of a plate's box: alpha (h, w) uint8, the plate's, less where nothing lies; for each block of each row entry
    (h, blocks) int32, WHOLE or its number among the E blocks that pieces meet in, and frame (h, blocks, 6) float32, which
    turns metres on the plane into metres on the face, 2 x 2 row by row and then what is added. first (E + 1) int32:
    which taps a block has. taps (T, 2, BLOCK) uint16: x and y on the face, 65536 its width and height. shares
    (E, 2, BLOCK) uint16: what face and grout are multiplied by, SHARE_ONE = 1."""

    alpha: NDArray[np.uint8]
    entry: NDArray[np.int32]
    frame: NDArray[np.float32]
    first: NDArray[np.int32]
    taps: NDArray[np.uint16]
    shares: NDArray[np.uint16]

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, f.name).nbytes for f in fields(self))


def layout_plate(on: Plate, pieces: Pieces, top: int, bottom: int) -> LayoutPlate:
    """The rows top to bottom - 1 of a plate's box; see `joined`. Raises ValueError where the plate has no plane."""
    if on.plane_from_pixel is None or on.footprints is None:
        raise ValueError("a layout needs a plane")
    plane, lens = on.plane_from_pixel, on.lens
    alpha = on.alpha[top:bottom].copy()
    height, width = alpha.shape
    blocks = on.footprints.shape[1]
    padded = np.zeros((height, blocks * BLOCK), np.bool_)
    padded[:, :width] = alpha > 0
    rows, columns = np.nonzero(padded.reshape(height, blocks, BLOCK).any(2))
    print_ = on.footprints[top + rows, columns].astype(np.float64)
    entry, frame = np.full((height, blocks), WHOLE, np.int32), np.zeros((height, blocks, 6), np.float32)

    whole, nothing, affine, small = _ends(plane, lens, pieces, rows + top, columns, print_)
    frame[rows, columns] = affine
    for row, column in zip(rows[nothing], columns[nothing], strict=True):
        alpha[row, column * BLOCK : (column + 1) * BLOCK] = 0
    meets = np.flatnonzero(~whole)
    count = _counts(print_[meets], small[meets])
    entry[rows[meets], columns[meets]] = np.arange(len(meets))
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    places, prints = (rows[meets] + top, columns[meets]), print_[meets]
    if layout_kernel.knows(pieces.layout.pattern):
        taps, shares = layout_kernel.look_up(
            plane, lens, pieces.layout, pieces.source, (pieces.bevel_m, pieces.depth_m), places, prints, first
        )
    else:
        taps, shares, present = looked_up(plane, lens, pieces, places, prints, first)
        for k in np.flatnonzero((present < 1).any(1)):
            line = alpha[places[0][k] - top, places[1][k] * BLOCK :][:BLOCK]
            line[:] = line * present[k, : len(line)] + 0.5
    return LayoutPlate(alpha, entry, frame, first, taps, shares)


def looked_up(
    plane: Matrix,
    lens: Lens,
    pieces: Pieces,
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    print_: Points,
    first: NDArray[np.int32],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], Points]:
    """Taps and shares of N blocks that pieces meet in, as `LayoutPlate` has them, and (N, BLOCK) which part of each pixel
    something lies in; arguments as `layout_kernel.look_up`."""
    count = np.diff(first)
    taps = np.zeros((int(first[-1]), 2, BLOCK), np.uint16)
    shares, present = np.zeros((len(count), 2, BLOCK), np.uint16), np.ones((len(count), BLOCK))
    for n in COUNTS:
        chosen = np.flatnonzero(count == n)
        for at in range(0, len(chosen), POINTS // (n * BLOCK)):
            part = chosen[at : at + POINTS // (n * BLOCK)]
            there = _Blocks(plane, lens, places[0][part], places[1][part], print_[part])
            shown, present[part] = there.taps(pieces, n)
            taps[first[part][:, None] + np.arange(n)] = shown
            shares[part] = there.shares(pieces)
    return taps, shares, present


def joined(parts: list[LayoutPlate]) -> LayoutPlate:
    """Rows that follow each other, as one."""
    meet, taps = 0, 0
    entry, first = [], [np.zeros(1, np.int32)]
    for part in parts:
        entry.append(np.where(part.entry == WHOLE, WHOLE, part.entry + np.int32(meet)))
        first.append(part.first[1:] + np.int32(taps))
        meet, taps = meet + len(part.shares), taps + len(part.taps)

    def whole(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return LayoutPlate(
        whole("alpha"), np.concatenate(entry), whole("frame"), np.concatenate(first), whole("taps"), whole("shares")
    )


def spread(count: int) -> tuple[Points, Points]:
    """Points that fill a square of side 1 around 0 evenly: Hammersley's, in base 2; `count` is a power of 2."""
    k = np.arange(count)
    bits = count.bit_length() - 1
    mirrored = sum(((k >> b) & 1) << (bits - 1 - b) for b in range(bits))
    return (k + 0.5) / count - 0.5, (np.asarray(mirrored) + 0.5) / count - 0.5


def _metres(plane: Matrix, lens: Lens, x: Points, y: Points) -> tuple[Points, Points]:
    """On the plane, of pixels of the box."""
    m, (x, y) = plane, lens.straight_at(x, y)
    c = np.maximum(m[2, 0] * x + m[2, 1] * y + m[2, 2], 1e-9)
    return (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / c, (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / c


def _ends(
    plane: Matrix, lens: Lens, pieces: Pieces, rows: NDArray[np.int64], columns: NDArray[np.int64], print_: Points
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Points, Points]:
    """Of N blocks: whether one piece fills it; whether nothing lies there; the affine map (N, 6) of the piece at its
    left end; and the shorter side of that piece, metres."""
    layout, source = pieces.layout, pieces.source
    # Where a block ends the next begins: each end is looked up once.
    ends = np.concatenate([rows << 32 | columns, rows << 32 | columns + 1])
    ends, first, place = np.unique(ends, return_index=True, return_inverse=True)
    left, right = place[: len(rows)], place[len(rows) :]
    x, y = _metres(plane, lens, (ends & 0xFFFFFFFF) * float(BLOCK), (ends >> 32) + 0.5)
    x, y = x.astype(np.float32), y.astype(np.float32)
    found = locate(layout, x, y)
    # The footprint of one of the blocks that end here; the other's is hardly another.
    ax, ay, long, short = print_[first % max(len(rows), 1)].astype(np.float32).T
    free = found.distance > ROOM * short / 2
    edges = layout.pattern.edges(found)
    for family in edges:
        free &= family.distance > ROOM * across(family.normal, ax, ay, short) / 2 + pieces.bevel_m
    if not edges:
        free &= found.distance > ROOM * long / 2
    nothing = found.piece == NO_PIECE
    shown = window(layout, found, source)
    s, t = sample(source, found, shown)
    one, none = np.ones_like(s), np.zeros_like(s)
    (xs, xt), (ys, yt) = (direction(source, found, shown, a, b) for a, b in ((one, none), (none, one)))
    affine = np.stack([xs, ys, xt, yt, s - xs * x - ys * y, t - xt * x - yt * y], 1)
    same = found.piece[left] == found.piece[right]
    # Between the outside of a border and its inside, where another layer's field lies, runs the border.
    outside = np.isinf(found.distance)
    empty = nothing[left] & nothing[right] & (outside[left] == outside[right])
    small = np.minimum(found.length, found.width)
    return same & free[left] & free[right] | empty, empty, affine[left], small[left]


def _counts(print_: Points, small: Points) -> NDArray[np.int64]:
    """How many points a pixel needs: more where its footprint is long, or pieces are not much larger."""
    long, short = np.maximum(print_[:, 2], 1e-9), np.maximum(print_[:, 3], 1e-9)
    wanted = np.maximum(long / short, 12 * long / np.maximum(small, 1e-9))
    return np.asarray(COUNTS)[np.searchsorted(COUNTS[:-1], np.minimum(wanted, COUNTS[-1]))]


class _Blocks:
    """N blocks that pieces meet in."""

    def __init__(self, plane: Matrix, lens: Lens, rows: NDArray[np.int64], columns: NDArray[np.int64], print_: Points):
        f = np.float32
        x = (columns * BLOCK)[:, None] + np.arange(BLOCK) + 0.5
        x, y = _metres(plane, lens, x, (rows + 0.5)[:, None])
        # In single precision from a point nearby, where the pieces are; a room is not larger than that can tell.
        self._x, self._y = x.astype(f), y.astype(f)
        self._ax, self._ay, self._long, self._short = (
            np.broadcast_to(print_[:, None, k], x.shape).astype(f) for k in range(4)
        )

    def taps(self, pieces: Pieces, count: int) -> tuple[NDArray[np.uint16], Points]:
        """(N, count, 2, BLOCK) where on the face; (N, BLOCK) which part of a pixel something lies in."""
        layout, source = pieces.layout, pieces.source
        along, aside = (v.astype(np.float32)[:, None] for v in spread(count))
        # The short axis is the long one turned.
        ratio = self._short / np.maximum(self._long, 1e-9)
        x = self._x[:, None] + along * self._ax[:, None] - aside * (self._ay * ratio)[:, None]
        y = self._y[:, None] + along * self._ay[:, None] + aside * (self._ax * ratio)[:, None]
        found = locate(layout, x, y)
        s, t = sample(source, found, window(layout, found, source))
        s, t = s * np.float32(1 / source.width_m), t * np.float32(1 / source.height_m)
        there = found.piece != NO_PIECE
        if not there.all():
            # What lies beside nothing shows itself alone.
            instead = there.argmax(1)[:, None]
            s = np.where(there, s, np.take_along_axis(s, instead, 1))
            t = np.where(there, t, np.take_along_axis(t, instead, 1))
        place = np.stack([s, t], 2)
        place = (place - np.floor(place)) * np.float32(65536)
        return np.minimum(place, np.float32(65535)).astype(np.uint16), there.mean(1)

    def shares(self, pieces: Pieces) -> NDArray[np.uint16]:
        """(N, 2, BLOCK)."""
        found = locate(pieces.layout, self._x, self._y)
        both = relief(pieces.layout, found, self._ax, self._ay, self._short, pieces.bevel_m, pieces.depth_m)
        return np.minimum(np.stack(both, 1) * SHARE_ONE + 0.5, 65535).astype(np.uint16)
