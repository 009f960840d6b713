"""Patterns that repeat without a seam.

A picture repeats seamlessly once its right side goes on in its left one and its bottom in its top. Uneven light is
taken out first: of the picture, blurred, only the part that is periodic is kept (Moisan, "Periodic plus smooth image
decomposition", 2011). Then each pair of sides is laid over one another and cut along the line where they differ least
(Efros & Freeman, "Image quilting", 2001, sec. 2.1), which costs the picture the width of the overlap.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear, to_srgb

Float = NDArray[np.float32]

OVERLAP = 1 / 6  # of a side
FEATHER = 1.2  # pixels, standard deviation
# A step across the border this many times that between neighbours inside counts as a seam.
SEAM_RATIO = 1.6
SIDE_MIN = 24


def seam_ratio(picture: Image) -> tuple[float, float]:
    """How much more the picture changes across its left-right and its top-bottom border than between neighbours inside.

    About 1 where it repeats seamlessly.

    Args:
        picture: (H, W, 3) uint8 sRGB.
    """
    x = picture.astype(np.float32)
    return _ratio(x), _ratio(x.transpose(1, 0, 2))


def _ratio(x: Float) -> float:
    inside = np.abs(np.diff(x, axis=1)).mean((0, 2))
    border = float(np.abs(x[:, 0] - x[:, -1]).mean())
    # The largest steps inside are edges of the pattern itself, as the border may be one.
    return border / (float(np.quantile(inside, 0.9)) + 1.0)


def seamless(picture: Image) -> Image:
    """The picture made to repeat; sides that already do are left as they are.

    Args:
        picture: (H, W, 3) uint8 sRGB, at least SIDE_MIN pixels a side.

    Returns:
        (h, w, 3) uint8 sRGB, smaller by the overlap along each axis that had a seam. The scale stays: what a pixel
        shows is as large as before.

    Raises:
        ValueError: the picture is too small.
    """
    if min(picture.shape[:2]) < SIDE_MIN:
        raise ValueError(f"a pattern needs at least {SIDE_MIN} pixels a side")
    across, down = (ratio > SEAM_RATIO for ratio in seam_ratio(picture))
    if not across and not down:
        return picture
    linear = evened(to_linear(picture))
    if across:
        linear = _joined(linear)
    if down:
        linear = _joined(linear.transpose(1, 0, 2)).transpose(1, 0, 2)
    return to_srgb(np.ascontiguousarray(linear))


def evened(linear: Float) -> Float:
    """Takes out slow changes that do not repeat, so that opposite sides have the same light.

    Args:
        linear: (H, W, 3) float32 linear.
    """
    h, w = linear.shape[:2]
    size = (min(w, 128), min(h, 128))
    small = np.log(np.maximum(cv2.resize(linear, size, interpolation=cv2.INTER_AREA), 1e-3))
    # Of the brightness alone, and of wide areas: colours that come and go are the pattern's own.
    slow = cv2.GaussianBlur(small.mean(-1), (0, 0), max(size) / 6, borderType=cv2.BORDER_REFLECT)
    change = _smooth(slow).astype(np.float32)
    gain = np.exp(change.mean() - cv2.resize(change, (w, h), interpolation=cv2.INTER_CUBIC))
    return np.asarray(linear * gain[..., None], np.float32)


def _smooth(u: Float) -> NDArray[np.float64]:
    """The smooth component of a picture (H, W): its border steps, spread harmonically (Moisan 2011, eq. 11)."""
    h, w = u.shape
    v = np.zeros((h, w))
    step = u[-1] - u[0]
    v[0] += step
    v[-1] -= step
    step = u[:, -1] - u[:, 0]
    v[:, 0] += step
    v[:, -1] -= step
    angle = 2 * np.cos(2 * np.pi * np.arange(h) / h)[:, None] + 2 * np.cos(2 * np.pi * np.arange(w) / w)[None] - 4
    angle[0, 0] = 1
    spectrum = np.fft.fft2(v) / angle
    spectrum[0, 0] = 0
    return np.real(np.fft.ifft2(spectrum))


def _joined(x: Float) -> Float:
    """The right side laid over the left one and cut: (H, W, 3) to (H, W - overlap, 3), periodic across."""
    width = x.shape[1]
    overlap = max(4, round(width * OVERLAP))
    left, right = x[:, :overlap], x[:, width - overlap :]
    apart = ((left - right) ** 2).sum(-1)
    # The eye sees differences in the dark more.
    apart /= 0.02 + (left + right).sum(-1) / 6
    cut = _cut(cv2.GaussianBlur(apart, (0, 0), 1.0))
    # On the far left the right side goes on; past the cut the left one is itself.
    keep = (np.arange(overlap)[None] > cut[:, None]).astype(np.float32)
    # What step is left along the cut goes over the rest of the overlap, half to each side (as in gradient-domain
    # stitching); its median, since an object that the cut runs into is no step of the ground.
    along = (np.arange(len(cut)), cut)
    step = np.log(np.maximum(left[along], 1e-3) / np.maximum(right[along], 1e-3))
    reach = np.where(keep > 0, (overlap - np.arange(overlap))[None] / (overlap - cut)[:, None], 0)
    reach += np.where(keep > 0, 0, np.arange(1, overlap + 1)[None] / (cut + 1)[:, None])
    half = np.exp(0.5 * _slow_along(step)[:, None] * reach[..., None].astype(np.float32))
    share = _share(keep, overlap)
    middle = left / half * share + right * half * (1 - share)
    return np.asarray(np.concatenate([middle, x[:, overlap : width - overlap]], 1), np.float32)


def _slow_along(step: Float) -> Float:
    """Running median of (H, 3), periodic, and smoothed."""
    window = max(3, len(step) // 12 | 1)
    around = np.pad(step, ((window // 2, window // 2), (0, 0)), mode="wrap")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(around, window, 0), -1).astype(np.float32)
    return _blurred(middle[:, None], window / 4)[:, 0]


def _blurred(x: Float, sigma: float) -> Float:
    """Along both axes, periodic down."""
    margin = min(len(x), int(3 * sigma) + 1)
    around = cv2.copyMakeBorder(x, margin, margin, 0, 0, cv2.BORDER_WRAP)
    return np.asarray(
        cv2.GaussianBlur(around, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[margin:-margin], np.float32
    )


def _share(keep: Float, overlap: int) -> Float:
    """The cut with a soft edge, (H, overlap, 1); at the very ends of the overlap one side alone."""
    end = np.clip(np.minimum(np.arange(overlap), np.arange(overlap)[::-1]) / (3 * FEATHER), 0, 1)
    side = (np.arange(overlap) >= overlap / 2).astype(np.float32)
    return np.asarray((_blurred(keep, FEATHER) * end + side * (1 - end))[..., None], np.float32)


def _cut(cost: Float) -> NDArray[np.int64]:
    """The cheapest path from top to bottom of (H, W), a column a row, moving one column at most, that ends where it
    begins."""
    height = len(cost)
    free = _path(np.concatenate([cost, cost, cost]), None)
    return _path(cost, int(free[height]))


def _path(cost: Float, through: int | None) -> NDArray[np.int64]:
    """The cheapest path; with `through`, one that begins and ends in that column."""
    h, w = cost.shape
    margin = min(4, (w - 1) // 2)
    limit = np.full(w, np.inf, np.float32)
    limit[margin : w - margin] = 0
    total = np.empty((h, w), np.float32)
    total[0] = cost[0] + limit
    if through is not None:
        total[0] = np.where(np.arange(w) == through, total[0], np.inf)
    for y in range(1, h):
        before = np.pad(total[y - 1], 1, constant_values=np.inf)
        total[y] = cost[y] + limit + np.minimum(np.minimum(before[:-2], before[1:-1]), before[2:])
    path = np.empty(h, np.int64)
    path[-1] = int(np.argmin(total[-1])) if through is None else through
    for y in range(h - 2, -1, -1):
        low = max(0, path[y + 1] - 1)
        path[y] = low + int(np.argmin(total[y, low : path[y + 1] + 2]))
    return path
