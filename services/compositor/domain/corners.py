"""Walls of a room unfolded into one long wall, so that what is laid on them runs on around the corners.

Every wall's plane has y = 0 at the floor and the same axis down, so the column of that axis is the same in all their
homographies, up to a factor; divided by it, H (x, y, 1) of two walls are equal where the walls meet, at one x of each
(three equations for two numbers; what is left over tells whether they meet at all).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from roomviz.imaging.homography import Matrix

# Metres that two planes may miss each other by, where they should meet.
MISS_M = 0.05
# Two walls are parallel when the sine of the angle between their columns is below this.
PARALLEL = 0.02
EYE_M = -1.2  # where on a wall a corner is looked for in the picture: y points down


@dataclass(frozen=True)
class Wall:
    """pixel_from_plane, and the columns of the picture between which the wall is seen."""

    pixel_from_plane: Matrix
    left_px: float
    right_px: float


def unfolded(walls: Sequence[Wall], width: int, height: int) -> list[float]:
    """For each wall, metres to add to its x to get that of the unfolded wall; 0 for the first of each chain.

    Walls follow each other from left to right in the picture. A wall that does not meet the one before (another room
    seen through an opening, a plane that somebody corrected) begins a chain of its own.

    Args:
        walls: in pixels of a picture of this width and height.
    """
    # As if by a camera of focal length 1 (a photo's is about its width): all three numbers of a point then weigh alike.
    level = np.linalg.inv(np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]]))
    out = [0.0] * len(walls)
    order = sorted(range(len(walls)), key=lambda n: walls[n].left_px + walls[n].right_px)
    for before, after in pairwise(order):
        step = _step(walls[before], walls[after], level)
        if step is not None:
            out[after] = out[before] + step
    return out


def _step(a: Wall, b: Wall, level: Matrix) -> float | None:
    """What x of `b` lacks to x of `a`; None where they do not meet."""
    ha, hb = (level @ w.pixel_from_plane for w in (a, b))
    ha, hb = (h / max(float(np.linalg.norm(h[:, 1])), 1e-12) for h in (ha, hb))
    size = float(np.linalg.norm(ha[:, 0]))
    if np.linalg.norm(ha[:, 1] - hb[:, 1]) > 1e-3:
        return None
    gap = hb[:, 2] - ha[:, 2]
    sides = np.stack([ha[:, 0], -hb[:, 0]], 1)
    if _sine(ha[:, 0], hb[:, 0]) < PARALLEL:
        # One plane, interrupted: by a door, a pillar. Its x runs on as it is, from wherever each part begins.
        along = float(gap @ ha[:, 0]) / size**2
        return along if np.linalg.norm(gap - along * ha[:, 0]) <= MISS_M * size else None
    (xa, xb), *_ = np.linalg.lstsq(sides, gap, rcond=None)
    if np.linalg.norm(sides @ (xa, xb) - gap) > MISS_M * size:
        return None
    corner = a.pixel_from_plane @ (xa, EYE_M, 1.0)
    if corner[2] <= 0:
        return None
    # The corner is seen between the two, not beyond one of them.
    at = corner[0] / corner[2]
    if not (a.left_px + a.right_px) / 2 < at < (b.left_px + b.right_px) / 2:
        return None
    return float(xa - xb)


def _sine(a: Matrix, b: Matrix) -> float:
    return float(np.linalg.norm(np.cross(a, b)) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
