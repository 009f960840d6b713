"""Cut-outs in perspective: pictures with alpha, filtered like textures (texture.py), but seen once.

Colours are kept multiplied by alpha, so that what is transparent has no colour to bleed (Porter & Duff, "Compositing
Digital Images", 1984).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.color import to_linear
from services.compositor.domain.texture import TAPS, Footprint, halvings

Float = NDArray[np.float32]
ONE = 65535


@dataclass(frozen=True)
class Sheet:
    """levels[k]: (h, w, 4) uint16, linear RGB times alpha, and alpha, ONE = 1; halved k times. The first is the
    cut-out."""

    levels: tuple[NDArray[np.uint16], ...]

    @property
    def nbytes(self) -> int:
        return sum(level.nbytes for level in self.levels)

    @property
    def alpha(self) -> Float:
        return np.asarray(self.levels[0][..., 3] / np.float32(ONE), np.float32)


def sheet(image: NDArray[np.uint8], mirrored: bool) -> Sheet:
    """From (H, W, 4) uint8 sRGB with alpha."""
    if mirrored:
        image = image[:, ::-1]
    alpha = np.asarray(image[..., 3:] / np.float32(255), np.float32)
    color = to_linear(np.ascontiguousarray(image[..., :3]))
    return Sheet(halvings(np.asarray(np.concatenate([color * alpha, alpha], -1) * ONE + 0.5, np.uint16)))


def seen(source: Sheet, size_m: tuple[float, float], at: Footprint) -> Float:
    """The sheet of size_m (width, height) as the camera sees it: (h, w, 4) float32; nothing beyond its edges."""
    texels = np.float32(source.levels[0].shape[1] / size_m[0]), np.float32(source.levels[0].shape[0] / size_m[1])
    density = np.float32(np.sqrt(texels[0] * texels[1]))
    taps = np.clip(np.ceil(at.long / np.maximum(at.short, 1e-9) - 0.2), 1, TAPS)
    taps = np.where(at.long * density <= 1, 1, taps).astype(np.float32)
    level = np.log2(np.maximum(np.maximum(at.long / taps, at.short) * density, 1.0))
    level = np.minimum(level, len(source.levels) - 1).astype(np.float32)
    out = np.zeros((*level.shape, 4), np.float32)
    for k in range(int(level.min()), int(np.ceil(level.max())) + 1):
        weight = np.maximum(0, 1 - np.abs(level - k))
        rows = np.flatnonzero(weight.any(1))
        if len(rows) == 0:
            continue
        part = slice(rows[0], rows[-1] + 1)
        image, many = source.levels[k], taps[part]
        h, w = image.shape[:2]
        for tap in range(int(many.max())):
            offset = (tap + 0.5) / many - 0.5
            u = (at.x[part] + offset * at.ax[part]) * np.float32(w / size_m[0]) - np.float32(0.5)
            v = (at.y[part] + offset * at.ay[part]) * np.float32(h / size_m[1]) - np.float32(0.5)
            value = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            out[part] += value * (weight[part] * (tap < many) / (many * np.float32(ONE)))[..., None]
    return out
