"""The noise of a photo, so that what is put into it has as much."""

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image

BLOCK, BLOCKS_MAX = 16, 900
QUIET = 0.25  # of the blocks, those with the least contrast, hold noise and nothing else
LEAST = 0.4  # levels of 255 that nobody sees
SIDE = 256
# What a pixel less the mean of its neighbours keeps of white noise.
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


def noise_of(photo: Image) -> float:
    """Standard deviation in levels of 255 of the noise of a photo (H, W, 3) uint8 sRGB, from its quietest blocks.

    Source: Immerkaer, "Fast Noise Variance Estimation", 1996, eq. 1; blocks, because a room is full of edges.
    """
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    down, across = grey.shape[0] // BLOCK, grey.shape[1] // BLOCK
    if down == 0 or across == 0:
        return 0.0
    cut = grey[: down * BLOCK, : across * BLOCK]
    blocks = cut.reshape(down, BLOCK, across, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)
    blocks = blocks[:: max(1, len(blocks) // BLOCKS_MAX)]
    mean = blocks.mean((1, 2))
    blocks = blocks[(mean > 25) & (mean < 230)]  # neither clipped nor crushed
    if len(blocks) < 8:
        return 0.0
    tall = np.ascontiguousarray(blocks.reshape(-1, BLOCK).astype(np.float32))
    seen = cv2.filter2D(tall, -1, _KERNEL).reshape(-1, BLOCK, BLOCK)[:, 1:-1, 1:-1]
    found = np.sort(seen.std((1, 2)))
    return float(np.median(found[: max(1, round(len(found) * QUIET))]))


def grain(box: tuple[int, int, int, int], level: float) -> NDArray[np.float32]:
    """Noise (h, w, 1) in levels of 255 for a box x, y, width, height: the same at the same pixel."""
    if level < LEAST:
        return np.zeros((box[3], box[2], 1), np.float32)
    x, y, w, h = box
    tile = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    rows, columns = np.arange(y, y + h) % SIDE, np.arange(x, x + w) % SIDE
    return np.asarray(level * tile[np.ix_(rows, columns)][..., None], np.float32)
