"""How true a picture shows a colour: what is seen where a product was laid, under the light there taken for white.

The light is the one that the picture was made with, an estimate. What is told is what the picture adds to that: too
little or too much light for a screen, highlights, the relief of the wall, the steps of eight bits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import linear_from_rgb24, to_linear, to_srgb
from roomviz.imaging.colorimetry import delta_e00, lab
from roomviz.imaging.homography import Matrix
from services.compositor.domain.plate import GAIN_ONE, TINT_ONE, Plate
from services.compositor.domain.shading import scene_light

# As many pixels tell a median well enough, and as few say nothing.
PIXELS_MAX, PIXELS_MIN = 5_000, 16
# Places of all boxes that are looked at, every so manieth along and across; all of them where that finds too few.
PLACES_MAX, FEW = 20_000, 500


@dataclass(frozen=True)
class Shown:
    """rgb: the colour that is seen, the light taken out; delta_e00: how far it is from the one that was asked for;
    illuminant_rgb: the light, its brightest channel 255. Colours are sRGB, 0xRRGGBB."""

    rgb: int
    delta_e00: float
    illuminant_rgb: int


def shown_on(
    picture: Image,
    plates: Sequence[Plate],
    above: Sequence[Plate],
    asked_rgb: int,
    textured: bool,
    turned: Matrix | None,
    covered: NDArray[np.bool_] | None = None,
) -> Shown | None:
    """The colour of a product in a finished picture; None where hardly anything of it is seen.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        plates: where the product was laid, one of all of it, or of parts.
        above: what was laid later.
        asked_rgb: the product's colour, of a texture its mean.
        textured: whether its mean is asked, or its median: a plain colour is what most of the surface shows.
        turned: what a relight did to linear light.
        covered: (H, W) bool, where something else was put over it.
    """
    apart = max(1, math.isqrt(sum(plate.alpha.size for plate in plates) // PLACES_MAX))
    looked = [_seen(plate, above, covered, apart) for plate in plates]
    if apart > 1 and sum(len(rows) for rows, _ in looked) < FEW:
        looked = [_seen(plate, above, covered, 1) for plate in plates]
    count = sum(len(rows) for rows, _ in looked)
    if count < PIXELS_MIN:
        return None
    step = -(-count // PIXELS_MAX)
    colors, gains = [], []
    for plate, places in zip(plates, looked, strict=True):
        rows, columns = (p[::step] for p in places)
        colors.append(picture[rows + plate.box[1], columns + plate.box[0]])
        gains.append(plate.gain[rows, columns])
    pixels = scene_light(to_linear(np.concatenate(colors)[None]))[0].astype(np.float64)
    middle = np.mean if textured else np.median
    white = plates[0].tint[:3] / TINT_ONE * (float(middle(np.concatenate(gains))) / GAIN_ONE)
    if turned is not None:
        white = turned @ white
    albedo = np.asarray(middle(pixels, axis=0) / np.maximum(white, 1e-4))
    difference = delta_e00(lab(linear_from_rgb24(asked_rgb)), lab(np.clip(albedo, 0, 1)))
    return Shown(_rgb24(albedo), difference, _rgb24(white / max(1e-4, float(white.max()))))


def _seen(
    plate: Plate, above: Sequence[Plate], covered: NDArray[np.bool_] | None, apart: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of a plate's box that show nothing else, of those that are so many pixels apart."""
    x, y, w, h = plate.box
    seen = plate.alpha[::apart, ::apart] == 255
    for other in above:
        ox, oy, ow, oh = other.box
        # The first and the last of the places that lie in the other's box.
        x0, y0 = (-(-max(0, o - p) // apart) for o, p in ((ox, x), (oy, y)))
        x1, y1 = (-(-(min(p + n, o + m) - p) // apart) for p, n, o, m in ((x, w, ox, ow), (y, h, oy, oh)))
        if x0 < x1 and y0 < y1:
            left, top = x + x0 * apart - ox, y + y0 * apart - oy
            free = other.alpha[top::apart, left::apart][: y1 - y0, : x1 - x0] == 0
            seen[y0:y1, x0:x1] &= free
    if covered is not None:
        seen &= ~covered[y : y + h : apart, x : x + w : apart]
    rows, columns = np.nonzero(seen)
    return rows * apart, columns * apart


def _rgb24(linear: NDArray[np.floating]) -> int:
    r, g, b = (int(v) for v in to_srgb(np.asarray(linear, np.float32)))
    return r << 16 | g << 8 | b
