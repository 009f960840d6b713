"""What of a visualization a picture shows: pure functions of the room before and after."""

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from services.compositor.domain.encode import Rows


def side_by_side(before: Image, after: Image) -> Rows:
    """Both (H, W, 3) uint8 sRGB beside each other, (H, 2 W, 3)."""
    height, width = before.shape[:2]
    return Rows(height, 2 * width, 3, lambda top, bottom: np.hstack([before[top:bottom], after[top:bottom]]))


def layer(before: Image, after: Image, coverage: NDArray[np.uint8]) -> Rows:
    """What is new alone, (H, W, 4): laid over `before` it gives `after`, to within one level of 255.

    Args:
        before, after: (H, W, 3) uint8 sRGB.
        coverage: (H, W) uint8, how much of each pixel is new; raised where the difference needs more.
    """
    height, width = before.shape[:2]
    return Rows(
        height, width, 4, lambda top, bottom: lifted(before[top:bottom], after[top:bottom], coverage[top:bottom])
    )


def lifted(before: Image, after: Image, coverage: NDArray[np.uint8]) -> Image:
    """(H, W, 4) uint8 of `layer`. Blending is in sRGB values, as browsers and editors do it (W3C Compositing, 5.1):
    after = before + alpha (colour - before), solved for colour; where no colour there is could make the difference,
    alpha is as high as the brightest or darkest one needs."""
    out = np.zeros((*coverage.shape, 4), np.uint8)
    where = np.flatnonzero((coverage > 0) | (before != after).any(2))
    b, a = (p.reshape(-1, 3)[where].astype(np.float32) for p in (before, after))
    d = a - b
    room = np.where(d > 0, 255 - b, b)
    least = np.max(np.abs(d) / np.maximum(room, 1), axis=1) * 255
    alpha = np.maximum(coverage.ravel()[where], np.ceil(least - 1e-3)).astype(np.float32)
    color = b + d * (255 / np.maximum(alpha, 1))[:, None]
    flat = out.reshape(-1, 4)
    flat[where, :3] = np.clip(color + 0.5, 0, 255)
    flat[where, 3] = alpha
    return out
