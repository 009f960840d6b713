"""Legs of furniture in front of the floor, where they are thinner than the network sees."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image, within
from services.segmentation.domain.labels import FLOOR, FURNITURE, Float

LONG_SIDE = 1024  # that legs are looked for at
# Of a leg, sideways over down; a line as long as below follows others between them.
SLOPES = (-0.6, -0.3, 0.0, 0.3, 0.6)
LENGTH, BREADTH, REACH, AROUND = 0.022, 0.02, 0.03, 0.06  # in parts of the picture's long side
BRIGHTER, REDDER = 0.18, 0.25  # how much, in logarithms, a leg differs from the floor at least


def with_legs(p: Float, photo: Image) -> Float:
    """Keep legs of furniture out of the floor.

    A leg is a streak, upright or aslant, that hangs on furniture, and is darker, lighter or of another colour than what
    is on both its sides and than the floor around. Found by opening along the rows (Serra, "Image Analysis and
    Mathematical Morphology", 1982, ch. XII: top-hat) and then along lines of each slope.

    Args:
        p: (7, H, W) refined probabilities.
        photo: (H, W, 3) uint8 sRGB of the same size.
    """
    height, width = p.shape[1:]
    size = within(height, width, LONG_SIDE)[::-1]
    floor, furniture = (cv2.resize(p[kind], size, interpolation=cv2.INTER_AREA) for kind in (FLOOR, FURNITURE))
    x, y, w, h = cv2.boundingRect((floor > 0.3).astype(np.uint8))
    if w < 8 or h < 8:
        return p
    # Legs may hang on furniture that stands higher in the picture than any floor.
    reach = _odd(REACH * max(size), 5)
    window = slice(max(0, y - reach), y + h), slice(max(0, x - 2), x + w + 2)
    small = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = np.zeros((size[1], size[0]), np.float32)
    found[window] = legs(floor[window], furniture[window], small[window], max(size))
    if not found.any():
        return p
    soft = cv2.resize(cv2.GaussianBlur(found, (3, 3), 0), (width, height), interpolation=cv2.INTER_LINEAR)
    out = p * (1 - soft)
    out[FURNITURE] += soft
    return np.asarray(out, np.float32)


def legs(floor: Float, furniture: Float, photo: Image, long_side: int) -> NDArray[np.bool_]:
    """(h, w) bool: where legs are, from probabilities (h, w) and (h, w, 3) uint8 sRGB cut from a picture of `long_side`."""
    log = np.log(np.asarray(cv2.GaussianBlur(photo, (3, 3), 0), np.float32) + 8)
    sure, box = floor > 0.6, max(3, round(AROUND * long_side / 4) | 1)
    around = cv2.dilate((floor > 0.3).astype(np.uint8), np.ones((5, 5), np.uint8))
    reach = _odd(REACH * long_side, 5)
    hangs = cv2.dilate((furniture > 0.5).astype(np.uint8), np.ones((reach, 5), np.uint8)) > 0
    row = np.ones((1, _odd(BREADTH * long_side, 7)), np.uint8)
    found = np.zeros(floor.shape, bool)
    for value, contrast in ((log.mean(2), BRIGHTER), (log[..., 0] - log[..., 2], REDDER)):
        mean = _mean(value, sure, box)
        mean = _mean(value, sure & (np.abs(value - mean) < 2 * contrast), box)  # without the legs themselves
        for sign in (-1, 1):
            # What lies between two legs stands out from both; the floor's own mean tells that it is floor.
            tophat = sign * value - cv2.morphologyEx(sign * value, cv2.MORPH_OPEN, row)
            streak = (np.minimum(tophat, sign * (value - mean)) > contrast) & (around > 0)
            # Joints between boards are thinner.
            broad = cv2.morphologyEx(streak.astype(np.uint8), cv2.MORPH_OPEN, np.ones((1, 3), np.uint8))
            for slope in SLOPES:
                line = _line(_odd(LENGTH * long_side, 9), slope)
                found |= _hanging(cv2.morphologyEx(broad, cv2.MORPH_OPEN, line), hangs)
    return found


def _hanging(mask: NDArray[Any], hangs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The long components of a mask that touch `hangs`; none unless they are most: the floor may be streaked that way."""
    if not mask.any():
        return np.zeros(mask.shape, bool)
    count, components, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    tall, area = stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    long = tall >= 2.0 * area / tall
    long[0] = False
    touching = np.bincount(components[hangs], minlength=count) > 0
    if area[long & touching].sum() < 2 * area[long & ~touching].sum():
        return np.zeros(mask.shape, bool)
    return np.asarray((long & touching)[components])


def _mean(value: Float, where: NDArray[np.bool_], box: int) -> Float:
    """(h, w) mean of a value where it counts, in a box of so many pixels at a quarter of the size."""
    small = max(1, value.shape[1] // 4), max(1, value.shape[0] // 4)
    weight = where.astype(np.float32)
    total, share = (
        cv2.blur(cv2.resize(i, small, interpolation=cv2.INTER_AREA), (box, box)) for i in (value * weight, weight)
    )
    return np.asarray(cv2.resize(total / (share + 1e-6), value.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _line(length: int, slope: float) -> NDArray[np.uint8]:
    """A kernel of ones along a line of odd length, `slope` sideways over down."""
    half = length // 2
    down = np.arange(-half, half + 1)
    side = np.round(down * slope).astype(int)
    out = np.zeros((length, 2 * int(np.abs(side).max()) + 1), np.uint8)
    out[down + half, side + out.shape[1] // 2] = 1
    return out


def _odd(size: float, least: int) -> int:
    return max(least, round(size) | 1)
