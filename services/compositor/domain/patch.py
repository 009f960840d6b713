"""A part of a picture taken from another one."""

import numpy as np

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear, to_srgb
from services.compositor.domain.plate import box_of

STRIP_ROWS = 256  # so that it takes little memory beside the pictures


def patched(picture: Image, other: Image, alpha: Image) -> Image:
    """The picture, and the other where alpha is; blended in linear light.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        other: the same size.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 sRGB. Pixels where alpha is 0 are the picture's, to the bit.
    """
    out = picture.copy()
    x, y, w, h = box_of(alpha)
    for top in range(y, y + h, STRIP_ROWS):
        box = (slice(top, min(top + STRIP_ROWS, y + h)), slice(x, x + w))
        share = np.asarray(alpha[box] / np.float32(255), np.float32)[..., None]
        mixed = to_linear(picture[box]) * (1 - share) + to_linear(other[box]) * share
        np.copyto(out[box], to_srgb(np.asarray(mixed, np.float32)), where=share > 0)
    return out
