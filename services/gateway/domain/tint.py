"""A room with its surfaces tinted, for people to look at."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging import codec

# Of each kind of surface, in sRGB, in the order of the kinds (floor, wall, ceiling, furniture, window, door, other).
COLORS = ("#9467BD", "#1F77B4", "#BCBD22", "#D62728", "#17BECF", "#2CA02C", "#8C564B")
_SIDE_MAX = 1600


def tinted(photo_png: bytes, masks: Sequence[tuple[int, bytes]]) -> bytes:
    """The photo as a JPEG of at most 1600 pixels a side; masks are (kind, PNG of the photo's size), 255 on the surface."""
    photo = codec.decode_rgb(photo_png)
    size = codec.within(photo.shape[0], photo.shape[1], _SIDE_MAX)[::-1]
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    for kind, png in masks:
        mask = codec.decode_grey(png)
        inside = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., np.newaxis] / 255
        small += (_rgb(kind) - small) * inside * np.float32(0.45)
    return codec.encode_jpeg(np.clip(small, 0, 255).astype(np.uint8))


def color(kind: int) -> str:
    """`#RRGGBB` of a kind of surface (1 is floor)."""
    return COLORS[kind - 1] if 1 <= kind <= len(COLORS) else COLORS[-1]


def _rgb(kind: int) -> NDArray[np.float32]:
    return np.array([int(color(kind)[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
