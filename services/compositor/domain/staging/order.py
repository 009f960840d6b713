"""What stands before what: which furniture of the room hides a thing that is put among it.

Where furniture meets the floor, the floor's plane tells how far away it is, column by column of the picture. It hides a
thing where in most of the columns in which both are seen that is nearer than the thing's own foot line. Between legs the foot line goes on straight (a line
on the floor is one in the picture), unless the thing itself was put there, on floor that is seen in a sofa's corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.shading import Box
from services.compositor.domain.staging.pose import Point, depths

Float = NDArray[np.float64]

FEET, MEETS = 0.1, 0.5  # lowest part of furniture, and how much of it has to meet the floor
TOUCHES = 0.15  # part of its columns in which something stands on something else
GAP = 1 / 150  # of the picture's height: what is not of the floor under furniture that meets it
SOLID = 0.85  # of its hull: what lies flat has no gaps between legs
MARGIN = 0.02  # of the distance: nearer than this is as near
CORNER_M = 1.2  # behind its foremost foot: so deep is the corner of a sofa, and no table
VANISHED = 0.6  # hidden to this part, a thing stands on what would hide it


@dataclass(frozen=True)
class Occluder:
    """Furniture of the room, in a picture of it.

    alpha (H, W) uint8; low (W,): the row under its lowest pixel of each column, -1 where it has none; hull (W,): the
    same with gaps bridged; flat: it may lie on the floor as a rug does.
    """

    alpha: NDArray[np.uint8]
    low: Float
    hull: Float
    flat: bool


def occluders(furniture: Sequence[NDArray[np.uint8]], floor: NDArray[np.uint8]) -> list[Occluder]:
    """Those of the room's furniture that stand on the floor, or on what does.

    Args:
        furniture: (H, W) uint8 soft masks.
        floor: (H, W) uint8, the soft mask of the floor.
    """
    height = floor.shape[0]
    gap = max(2, round(height * GAP))
    # Floor within `gap` rows below, or the lower edge of the picture.
    floor_below = cv2.dilate((floor > 127).astype(np.uint8), np.ones((2 * gap + 1, 1), np.uint8)) > 0
    floor_below[-gap:] = True
    found: list[Occluder | None] = []
    lows = [_low(alpha) for alpha in furniture]
    for alpha, low in zip(furniture, lows, strict=True):
        # What stands on the floor meets it where it reaches lowest; a table does so with thin legs alone.
        tall = low.max() - int((alpha > 127).any(1).argmax())
        columns = np.flatnonzero((low >= 0) & (low >= low.max() - FEET * tall))
        rows = np.minimum(low[columns].astype(int), height - 1)
        stands = len(columns) > 0 and floor_below[rows, columns].mean() > MEETS
        found.append(Occluder(alpha, low, _hull(low), _flat(alpha, floor_below)) if stands else None)
    out = [o for o in found if o is not None]
    for alpha, low, own in zip(furniture, lows, found, strict=True):
        if own is None and (on := _under(low, out, gap)) is not None:
            out.append(Occluder(alpha, on.low, on.hull, False))
    return out


def _low(alpha: NDArray[np.uint8]) -> Float:
    inside = alpha > 127
    return np.where(inside.any(0), alpha.shape[0] - inside[::-1].argmax(0), -1).astype(np.float64)


def _hull(low: Float) -> Float:
    """The lowest line over all columns that bends only away from the picture's lower edge."""
    columns = np.flatnonzero(low >= 0)
    if len(columns) < 3:
        return low
    chain: list[tuple[float, float]] = []
    for x in columns.tolist():
        y = float(low[x])
        while len(chain) > 1 and _left_turn(chain[-2], chain[-1], (x, y)):
            chain.pop()
        chain.append((x, y))
    xs, ys = np.array(chain).T
    return np.asarray(np.interp(np.arange(len(low)), xs, ys, left=-1, right=-1), np.float64)


def _left_turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies above the line from a to c in the picture, so that the line bridges it."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def _flat(alpha: NDArray[np.uint8], floor_below: NDArray[np.bool_]) -> bool:
    """Whether it has no gaps, and floor behind it as before it."""
    inside = (alpha > 127).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return False
    whole = cv2.contourArea(cv2.convexHull(np.vstack(outlines)))
    columns = np.flatnonzero(inside.any(0))
    top = np.maximum(inside.argmax(0)[columns] - 1, 0)
    return bool(inside.sum() > SOLID * whole and floor_below[top, columns].mean() > 0.5)


def _under(low: Float, standing: list[Occluder], gap: int) -> Occluder | None:
    """What this stands on."""
    columns = np.flatnonzero(low >= 0)
    best, most = None, TOUCHES * len(columns)
    for other in standing:
        rows = np.minimum(low[columns].astype(int) + gap, other.alpha.shape[0] - 1)
        touching = int((other.alpha[rows, columns] > 127).sum())
        if touching > most:
            best, most = other, touching
    return best


def hidden(
    room: Sequence[Occluder],
    pixel_from_floor: Matrix,
    anchor: Point,
    depth_m: float,
    box: Box,
    covered: NDArray[np.float32],
    lens: Lens = STRAIGHT,
) -> NDArray[np.float32]:
    """How much of each pixel of a box the room's furniture hides of a thing, (h, w) float32, 0 to 1.

    Args:
        room: its furniture.
        pixel_from_floor: from metres on the floor to straight pixels of this picture; third coordinate in metres.
        anchor: where on the floor the thing stands, or hangs over, in pixels.
        depth_m: how far from the camera that is.
        box: x, y, width, height.
        covered: (h, w) float32, what the thing covers of it.
        lens: of this picture.
    """
    rows, columns = slice(box[1], box[1] + box[3]), slice(box[0], box[0] + box[2])
    centres = np.arange(columns.start, columns.stop, dtype=np.float64) + 0.5
    x, y = int(np.floor(anchor[0])), int(np.floor(anchor[1]))
    out = np.zeros(covered.shape, np.float32)
    for thing in room:
        inside = 0 <= x < thing.alpha.shape[1] and 0 <= y < thing.alpha.shape[0]
        on_it = inside and thing.alpha[y, x] > 127
        if on_it and thing.flat:
            continue
        line = thing.low if inside and _in_corner(thing, pixel_from_floor, lens, x, y, depth_m) else thing.hull
        foot = line[columns]
        far = np.where(foot >= 0, depths(pixel_from_floor, centres, np.maximum(foot, 0.0), lens), np.inf)
        # One stands before the other as a whole: where they meet, most columns tell.
        alpha = thing.alpha[rows, columns]
        meet = (covered * (alpha > 127)).sum(0)
        if not (meet * (far < depth_m * (1 - MARGIN))).sum() > 0.5 * meet.sum():
            continue
        hides = np.asarray(alpha / np.float32(255), np.float32)
        if on_it and float((hides * covered).sum()) > VANISHED * float(covered.sum()):
            continue
        out = np.maximum(out, hides)
    return out


def _in_corner(thing: Occluder, pixel_from_floor: Matrix, lens: Lens, x: int, y: int, depth_m: float) -> bool:
    """Whether a pixel lies on floor that is seen behind the foremost and before the hindmost feet of furniture."""
    if not thing.low[x] <= y < thing.hull[x]:
        return False
    foremost = depths(pixel_from_floor, np.array([x + 0.5]), thing.hull[x : x + 1], lens)[0]
    return bool(depth_m < foremost + CORNER_M)
