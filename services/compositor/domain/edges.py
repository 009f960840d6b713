"""The soft edge of a surface: how much of each pixel is the surface, and what a new material takes the place of.

A pixel on the edge shows both the old surface and what stands before it, mixed in linear light: p = a s + (1 - a) t (Porter &
Duff, "Compositing digital images", 1984, section 4). Where both sides are seen near by, a is told by where p lies between
them, and the material takes the place of a s. Were it blended with p instead, a rim of the old surface's colour would stay around
everything that stands before it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear

Float = NDArray[np.float32]

# Pixels of the photo in a cell, each way; a side's colour is a mean over three cells each way. Cells beside the box that are
# looked at too: what stands before a surface often ends where its box does.
CELL, MARGIN = 4, 3
# Alpha from above which a pixel shows the surface and nothing else, and up to which it shows nothing of it.
SOLID, CLEAR = 242, 12
# Part of those cells that must show a side.
SEEN = 0.02
# Squared distance of the sides' colours in linear light at which the photo is believed as much as the mask; how many times
# the variance of the sides, and of what is of neither colour, is added.
CONTRAST, TEXTURE = 0.04, 16.0
LINEAR: Float = np.ascontiguousarray(to_linear(np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2))[0, :, 0])
_BETWEEN = (LINEAR[1:] + LINEAR[:-1]) / 2
_ONE = 65535
_WIDE, _SQUARES = ((v * _ONE + 0.5).astype(np.uint16) for v in (LINEAR, LINEAR * LINEAR))


@dataclass(frozen=True)
class Sides:
    """Of a surface's box, in cells: colors (rows, columns, 8) uint8 sRGB: the old surface, 255 where it is known together with what
    stands before it, that, and nothing; spread (rows, columns) float32: variance of both in linear green."""

    colors: NDArray[np.uint8]
    spread: Float


def sides(photo: Image, alpha: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Sides:
    """photo: (H, W, 3) uint8 sRGB; alpha: (h, w) uint8, the soft mask; box: x, y, w, h of it in the photo."""
    x, y, w, h = box
    size = (-(-w // CELL) + 2 * MARGIN, -(-h // CELL) + 2 * MARGIN)
    height, width = photo.shape[:2]
    far = MARGIN * CELL
    above, left = min(far, y), min(far, x)
    below, right = min(far, height - y - h), min(far, width - x - w)
    around = (far - above, far - below, far - left, far - right)  # of the photo's border, where nothing is known
    seen: MatLike = photo[y - above : y + h + below, x - left : x + w + right]
    mask: MatLike = cv2.copyMakeBorder(alpha, above, below, left, right, cv2.BORDER_CONSTANT, value=0)
    seen = cv2.copyMakeBorder(seen, *around, cv2.BORDER_CONSTANT, value=0)
    mask = cv2.copyMakeBorder(mask, *around, cv2.BORDER_CONSTANT, value=SOLID)  # neither
    square = cv2.LUT(cv2.extractChannel(seen, 1), _SQUARES)
    moments = cv2.merge([*cv2.split(cv2.LUT(seen, _WIDE)), square])
    colors = np.zeros((size[1], size[0], 8), np.uint8)
    spread = np.zeros((size[1], size[0]), np.float32)
    known = np.ones((size[1], size[0]), bool)
    for first, there in ((0, mask > SOLID), (4, mask <= CLEAR)):
        weight = _cells(there * np.uint16(_ONE), size)
        known &= weight > SEEN * _ONE
        sums = _cells(cv2.bitwise_and(moments, moments, mask=there.astype(np.uint8)), size)
        mean = sums / np.maximum(weight, SEEN * _ONE)[..., None]
        colors[..., first : first + 3] = np.searchsorted(_BETWEEN, mean[..., :3])
        spread += np.maximum(mean[..., 3] - mean[..., 1] ** 2, 0)
    colors[..., 3] = known * np.uint8(255)
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return Sides(np.ascontiguousarray(colors[inner]), spread[inner])


def _cells(values: MatLike, size: tuple[int, int]) -> Float:
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(small.astype(np.float32), (3, 3)), np.float32)


def sharpened(photo: Image, alpha: NDArray[np.uint8], found: Sides, top: int, bottom: int) -> NDArray[np.uint8]:
    """Rows top .. bottom - 1 of a soft mask, with the edge where the photo has it. What is 0 stays 0, and what is 255 stays it: beside
    another surface of its kind, a mask ends without a soft edge, and what it gave up nobody would take.

    Args:
        photo: (h, w, 3) uint8 sRGB, the box.
        alpha: (h, w) uint8.
        found: of the same box in a photo of whatever size.
    """
    height, width = alpha.shape
    rows, columns = found.spread.shape
    out = alpha[top:bottom].copy()
    y, x = np.nonzero((out > 0) & (out < 255))
    colors = found.colors[(y + top) * rows // height, x * columns // width]
    known = colors[:, 3] > 0
    y, x, colors = y[known], x[known], colors[known]
    spread = found.spread[(y + top) * rows // height, x * columns // width]
    surface, beside, pixel = LINEAR[colors[:, :3]], LINEAR[colors[:, 4:7]], LINEAR[photo[y + top, x]]
    across = surface - beside
    length = (across * across).sum(1)
    share = np.clip(((pixel - beside) * across).sum(1) / np.maximum(length, 1e-9), 0, 1)
    off = pixel - beside - share[:, None] * across
    told = length / (length + CONTRAST + TEXTURE * (spread + (off * off).sum(1)))
    given = out[y, x] / np.float32(255)
    out[y, x] = np.clip((given + told * (share - given)) * 255 + 0.5, 1, 254)
    return out


def without_old(pixel: Float, share: Float, colors: NDArray[np.uint8]) -> Float:
    """What stands before a surface in pixels that show `share` of it, times the rest of them, (n, 3) linear.

    Args:
        pixel: (n, 3) linear, of the photo.
        share: (n, 1) 0 to 1.
        colors: (n, 8), of `Sides`; where they are not known what stands before it is taken to look like the pixel.
    """
    rest = 1 - share
    kept, beside = pixel * rest, LINEAR[colors[:, 4:7]] * rest
    # Between what the pixel shows and what is seen beside it: where the mask is wrong, nothing is made up.
    found = np.clip(pixel - share * LINEAR[colors[:, :3]], np.minimum(kept, beside), np.maximum(kept, beside))
    return np.asarray(np.where(colors[:, 3:4] > 0, found, kept), np.float32)


def rest(pixel: Float, laid: Float, share: Float, covered: Float, colors: NDArray[np.uint8]) -> Float:
    """What stays of a picture under a surface's share of its pixels, (n, 3) linear: the old surface goes from what is left of the
    photo there, so that nothing of it is seen between two surfaces that are both laid anew; what is more than that hides what
    was laid before. That is for surfaces that lie beside each other; of two materials on one, see `left_by`.

    Args:
        pixel: (n, 3) linear, of the photo.
        laid: (n, 3) linear, the picture so far.
        share: (n, 1) 0 to 1, less than 1.
        covered: (n, 1) 0 to 1, what surfaces that were laid before have taken.
        colors: as for `without_old`.
    """
    fresh = np.minimum(share, 1 - covered)
    gone = pixel - without_old(pixel, fresh, colors)
    return np.asarray(np.maximum(laid - gone, 0) * (1 - share) / (1 - fresh), np.float32)


def left_by(alpha: NDArray[np.uint8], later: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a later material on the same surface leaves of a soft mask to an earlier one, (h, w) uint8, of the masks of both: on the
    edge they share what the surface has of a pixel; where it has all of it the later one is simply laid over."""
    return np.asarray(np.where(alpha < 255, alpha - np.minimum(alpha, later), alpha), np.uint8)
