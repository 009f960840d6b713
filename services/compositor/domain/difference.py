"""Whether two files show the same. Decodes what somebody sent: runs in a child process with limits."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from roomviz.imaging.codec import Image
from services.compositor.domain.encode import STRIP

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Difference:
    """same: every pixel is; box: x, y, width, height of what is not, None where the sizes differ or it cannot be read."""

    same: bool
    box: tuple[int, int, int, int] | None = None


def difference(ours: bytes, theirs: bytes) -> Difference:
    """Compare a file of ours with one that came from outside, as they are shown: turned as their metadata say. One with a
    colour profile, which ours never have, is shown otherwise, and so differs everywhere."""
    wanted = _pixels(ours, None)
    assert wanted is not None
    found = _pixels(theirs, wanted.shape)
    if found is None:
        return Difference(False)
    height, width = wanted.shape[:2]
    rows, columns = np.zeros(height, bool), np.zeros(width, bool)
    for top in range(0, height, STRIP):
        apart = (wanted[top : top + STRIP] != found[top : top + STRIP]).any(2)
        rows[top : top + STRIP] = apart.any(1)
        columns |= apart.any(0)
    if not rows.any():
        return Difference(True)
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return Difference(False, (int(x[0]), int(y[0]), int(x[-1] - x[0]) + 1, int(y[-1] - y[0]) + 1))


def _pixels(data: bytes, shape: tuple[int, ...] | None) -> Image | None:
    """(H, W, 4) uint8; None where it cannot be read or has another shape, which the header tells before any pixel is
    decoded."""
    Pillow.MAX_IMAGE_PIXELS = None  # the shape is checked instead
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data), formats=FORMATS) as image:
                if shape is not None and sorted(image.size) != sorted(shape[:2]):
                    return None
                if shape is not None and image.info.get("icc_profile"):
                    return None
                pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"), np.uint8)
    except Exception:  # whatever a damaged or hostile file makes a decoder raise
        return None
    # What is not seen at all may have any colour.
    pixels = np.where(pixels[..., 3:] > 0, pixels, np.uint8(0)) if pixels[..., 3].min(initial=255) == 0 else pixels
    return pixels if shape is None or pixels.shape == shape else None
