"""The shadow of a thing on its surface: what it keeps of the room's light, which comes from all sides.

Where the light comes from is not known, so nothing is thrown to a side: only what is near a thing is darker. How near
it stands at each column of its picture is read from the cut-out: feet touch, a sofa's body floats a hand above the
floor, a table's top half a metre.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix

Float = NDArray[np.float32]

STEP_M = 0.01  # of the grid that a shadow is drawn on
MARGIN_M = 0.5
DARKEST = 0.9  # no place is without any light
TOUCHES_M, LOW_M = 0.03, 0.25  # heights above the floor that count as touching, and as low
AROUND, AROUND_M = 0.28, 0.16  # a body keeps light from the floor around it: how much, and how far it reaches
FOOT_M = 0.05  # how deep what touches is taken to be at the front and at the back
RIM, RIM_MARGIN = 0.5, 6.0  # darkness beside an edge; how many times its thickness a flat thing's shadow reaches


@dataclass(frozen=True)
class Shadow:
    """darkness (h, w) float32, 0 to 1, on a grid; pixel_from_grid (3, 3): from its cells to pixels of the photo."""

    darkness: Float
    pixel_from_grid: Matrix


def standing(alpha: Float, width_m: float, height_m: float, depth_m: float, pixel_from_foot: Matrix) -> Shadow:
    """Of what stands on the floor.

    Args:
        alpha: (H, W) of the cut-out.
        width_m, height_m, depth_m: of the whole cut-out, and how far its feet reach back.
        pixel_from_foot: see pose.Pose.
    """
    # Height above the foot line of the lowest part of each column of the picture.
    solid = alpha > 0.5
    free = np.where(solid.any(0), solid[::-1].argmax(0), alpha.shape[0]) * (height_m / alpha.shape[0])
    cells = max(1, round(width_m / STEP_M))
    free = free[np.minimum((np.arange(cells) + 0.5) / cells * len(free), len(free) - 1).astype(int)]
    deep, margin = max(1, round(depth_m / STEP_M)), round(MARGIN_M / STEP_M)
    light = np.ones((deep + 2 * margin, cells + 2 * margin), np.float32)
    inside = (slice(margin, margin + deep), slice(margin, margin + cells))
    for low, high in ((-1.0, TOUCHES_M), (TOUCHES_M, LOW_M), (LOW_M, 0.95 * height_m)):
        there = (free > low) & (free <= high)
        if not there.any():
            continue
        above = float(np.median(free[there]))
        body = np.zeros_like(light)
        body[inside] = there
        if low < 0 and there.mean() < 0.5:  # feet, not a plinth: at the front and at the back
            gap = round(FOOT_M / STEP_M)
            body[margin + gap : margin + deep - gap] = 0
        # How much of the sky over the floor a slab of this depth at this height hides.
        strength = DARKEST * (depth_m / 2) / np.hypot(depth_m / 2, above)
        blur = max(1.5, (0.012 + 0.4 * above) / STEP_M)
        light *= 1 - np.float32(strength) * cv2.GaussianBlur(body, (0, 0), min(blur, margin / 2.5))
    body = np.zeros_like(light)
    body[inside] = free < min(LOW_M, 0.5 * height_m)
    light *= 1 - np.float32(AROUND) * cv2.GaussianBlur(body, (0, 0), AROUND_M / STEP_M)
    grid = np.array([[STEP_M, 0, -(margin + cells / 2) * STEP_M], [0, STEP_M, -margin * STEP_M], [0, 0, 1.0]])
    return Shadow(np.asarray(1 - np.maximum(light, 1 - DARKEST), np.float32), pixel_from_foot @ grid)


def flat(
    alpha: Float,
    width_m: float,
    height_m: float,
    thickness_m: float,
    fall: tuple[float, float],
    pixel_from_sheet: Matrix,
) -> Shadow:
    """Of what lies on a floor or hangs on a wall: a dark rim, as far from its edge as it is thick.

    fall: how far the shadow is pushed, in thicknesses along the sheet's axes.
    """
    reach = RIM_MARGIN * thickness_m
    step = max(0.001, min(STEP_M, thickness_m / 2), max(width_m, height_m) / 1200)
    size = max(1, round(width_m / step)), max(1, round(height_m / step))
    margin = max(2, round(reach / step))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    body = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    pushed = np.array([[1.0, 0, fall[0] * thickness_m / step], [0, 1, fall[1] * thickness_m / step]])
    body = cv2.warpAffine(body, pushed, (body.shape[1], body.shape[0]))
    darkness = RIM * cv2.GaussianBlur(body, (0, 0), max(0.8, thickness_m / step))
    scale_x, scale_y = width_m / size[0], height_m / size[1]
    grid = np.array([[scale_x, 0, -margin * scale_x], [0, scale_y, -margin * scale_y], [0, 0, 1.0]])
    return Shadow(np.asarray(darkness, np.float32), pixel_from_sheet @ grid)
