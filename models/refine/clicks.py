"""The standard simulated user: the next click lies in the middle of the largest error.

Source: Xu et al., "Deep Interactive Object Selection", 2016, sec. 4.1; Sofiiuk et al., "Reviving Iterative Training
with Mask Guidance for Interactive Segmentation", 2021, sec. 4. Here the click is moved at random inside the error,
by up to half the radius of the largest circle in it, so that nothing rests on one lucky pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from services.segmentation.domain.strokes import Shape, Stroke


@dataclass(frozen=True)
class Click:
    """error: (H, W) bool, the region of the mistake that the click is about."""

    stroke: Stroke
    error: np.ndarray


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def leak(mask: np.ndarray, truth: np.ndarray) -> float:
    """Part of the mask that lies outside the truth."""
    return float((mask & ~truth).sum() / max(1, mask.sum()))


def next_click(mask: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Click | None:
    """The next click of somebody who wants `truth`; None where the mask is right."""
    best: tuple[int, bool, np.ndarray] | None = None
    for erase, error in ((False, truth & ~mask), (True, mask & ~truth)):
        count, piece, stats, _ = cv2.connectedComponentsWithStats(error.astype(np.uint8), connectivity=8)
        if count > 1:
            i = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            area = int(stats[i, cv2.CC_STAT_AREA])
            if best is None or area > best[0]:
                best = area, erase, piece == i
    if best is None:
        return None
    _, erase, error = best
    depth = cv2.distanceTransform(np.pad(error, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    angle, away = rng.uniform(0, 2 * np.pi), 0.5 * float(depth[y, x]) * np.sqrt(rng.uniform())
    height, width = error.shape
    at = (
        float(np.clip(x + 0.5 + away * np.cos(angle), 0, width)),
        float(np.clip(y + 0.5 + away * np.sin(angle), 0, height)),
    )
    return Click(Stroke(Shape.POINT, (at,), 0.0, erase), error)
