"""Floors of light and dark tiles: which of both each pixel is, and light without the difference.

Tiles as large as shadows are told from them by how many there are: of both tones there are several pieces apart from
each other, where a shadow or a patch of sun has one surface around it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.blur import around

Float = NDArray[np.float32]

# Difference of both tones, of log light, from which on there are two; part of the variance that they explain.
APART, EXPLAINED = 0.5, 0.75
# Pieces with nothing but the other around them that there must be of each, this part of the surface at least; part of
# the surface of the rarer tone.
PIECES, PIECE_AREA, RARER = 3, 0.0015, 0.15
# Standard deviation of two tones that are hardly apart, the one rare.
LITTLE = APART * (RARER * (1 - RARER)) ** 0.5
# Window of what is slow, and around an edge between tones, in parts of the long side; widths of an edge, pixels.
SLOW, BESIDE, EDGE = 1 / 6, 1 / 60, 5


def without_tones(log_light: Float, inside: Float) -> Float:
    """Log light on a surface (h, w) as if it were all of one tone; as it is, where it has no two.

    Args:
        log_light: (h, w) log luminance.
        inside: (h, w) 0 or 1.
    """
    within = inside > 0
    if log_light[within].std() < LITTLE:
        return log_light
    side = max(log_light.shape)
    detail = log_light - around(log_light, inside, SLOW * side)
    split = _split(detail[within])
    if split is None:
        return log_light
    light = (detail > split) & within
    tones, kernel = (light, within & ~light), np.ones((EDGE, EDGE), np.uint8)
    # Without their edges, so that tiles which meet at a corner are apart.
    pieces = [np.asarray(cv2.erode(t.astype(np.uint8), kernel, iterations=2, borderValue=0), np.uint8) for t in tones]
    beyond = np.asarray(cv2.dilate((~within).astype(np.uint8), kernel, iterations=3, borderValue=1), np.uint8)
    if min(_count(p, beyond, PIECE_AREA * within.sum()) for p in pieces) < PIECES:
        return log_light
    # How much lighter the one is than the other right beside it: not in the mean, or a shadow on some of them would count.
    tone = light.astype(np.float32)
    sigma = max(2.0, BESIDE * side)
    edge = within & ~np.logical_or(*(cv2.erode(t.astype(np.uint8), kernel, borderValue=0) > 0 for t in tones))
    clear = inside * ~edge
    weights = (clear * tone, clear * (1 - tone))
    known = (cv2.GaussianBlur(weights[0], (0, 0), sigma) > 0.05) & (cv2.GaussianBlur(weights[1], (0, 0), sigma) > 0.05)
    beside = known & within
    if not beside.any():
        return log_light
    step = np.median((around(log_light, weights[0], sigma) - around(log_light, weights[1], sigma))[beside])
    even = log_light - np.float32(step) * (tone - np.float32(tone[within].mean()))
    # On an edge a pixel is something of both: it takes what lies beside it.
    return np.asarray(np.where(edge, around(even, clear, EDGE), even), np.float32)


def _split(values: Float) -> float | None:
    """Between both tones (Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979); None where there are none."""
    if values.std() < LITTLE:
        return None
    counts, ends = np.histogram(values, 128)
    middle = (ends[1:] + ends[:-1]) / 2
    share = np.cumsum(counts) / counts.sum()
    mean = np.cumsum(counts * middle) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * share - mean) ** 2 / (share * (1 - share))
    k = int(np.nan_to_num(between).argmax())
    low, high = mean[k] / share[k], (mean[-1] - mean[k]) / (1 - share[k])
    explained = between[k] / max(float(values.var()), 1e-9)
    if high - low < APART or explained < EXPLAINED or min(share[k], 1 - share[k]) < RARER:
        return None
    return float(ends[k + 1])


def _count(mask: NDArray[np.uint8], beyond: NDArray[np.uint8], area: float) -> int:
    """Pieces of at least this area; what touches at a corner is apart, what only things that stand before it part is not."""
    _, pieces = cv2.connectedComponents(mask | beyond, connectivity=4)
    return int((np.bincount(pieces[mask > 0]) >= area).sum())
