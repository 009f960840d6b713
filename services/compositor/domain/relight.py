"""Relight: the whole picture as it would look under light of another colour.

The light that the photo was taken in is measured (shading.py), taken for white, and turned into the light that is asked
for, on the cones of the eye, in linear light (colorimetry.py). Exposure stays. What the camera clipped has no colour
left that could be turned: windows and lamps stay as they are.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear, to_srgb
from roomviz.imaging.colorimetry import WHITE, XYZ_FROM_RGB, adaptation, white_of
from roomviz.imaging.homography import Matrix
from services.compositor.domain.shading import GREY_CARD, response, scene_light

# Daylight, lamps, an overcast sky.
KELVIN = {"day": 6500.0, "warm": 2700.0, "cool": 9000.0}
# Part of a light's colour that eyes and cameras take for white (D of CIECAM02, CIE 159:2004, is 0.6 to 0.9 at home).
ADAPTED = 0.6
# Linear values between which a pixel goes over from turned to left alone.
CLIPPED_FROM, CLIPPED_TO = 0.80, 0.98
STRIP_ROWS = 128
_TABLE = 4096  # entries for light 1


def light_color(card: Image | None, tint: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) linear colour of the light in a room: what the grey card (h, w, 3) uint8 sRGB shows in most places, or `tint`
    where there is none."""
    if card is None:
        return tint
    shown = scene_light(to_linear(card)).reshape(-1, 3) / GREY_CARD
    return np.asarray(np.exp(np.median(np.log(np.maximum(shown, 1e-4)), 0)), np.float32)


def turn(light: NDArray[np.float32], to: str) -> Matrix:
    """(3, 3) on linear RGB: from a room lit by `light` (3,) linear RGB to one lit as `to`, a key of KELVIN. A white wall
    keeps its luminance."""
    # In cones, as the eye adapts there: so much of the light is taken for white, the rest is seen.
    seen = XYZ_FROM_RGB @ adaptation(WHITE, white_of(KELVIN[to])) @ np.ones(3)
    return adaptation(XYZ_FROM_RGB @ np.asarray(light, np.float64), WHITE * ADAPTED + seen * (1 - ADAPTED))


def relit(picture: Image, by: Matrix, out: Image) -> list[Callable[[], None]]:
    """Work that writes the relit picture into `out`, in parts that may run at the same time.

    Args:
        picture: (H, W, 3) uint8 sRGB; may be `out` itself.
        by: of `turn`.
    """
    return [
        partial(_strip, picture[top : top + STRIP_ROWS], np.asarray(by, np.float32), out[top : top + STRIP_ROWS])
        for top in range(0, picture.shape[0], STRIP_ROWS)
    ]


_EVERY = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2)
_VALUE = to_linear(_EVERY)[:, 0, 0]
_SCENE = scene_light(to_linear(_EVERY))[:, 0, 0]
_SHOWN: LinearImage = response(np.arange(4 * _TABLE, dtype=np.float32) / np.float32(_TABLE))
_LEFT = np.clip((_VALUE - CLIPPED_FROM) / (CLIPPED_TO - CLIPPED_FROM), 0, 1)
_LEFT = np.asarray(_LEFT * _LEFT * (3 - 2 * _LEFT), np.float32)


def _strip(picture: Image, by: NDArray[np.float32], out: Image) -> None:
    turned = cv2.transform(cv2.LUT(picture, _SCENE), by)
    np.clip(turned, 0, 3.99, out=turned)
    shown = _SHOWN[(turned * np.float32(_TABLE)).astype(np.uint16)]
    left = cv2.LUT(picture.max(2), _LEFT)[..., None]
    out[...] = to_srgb(np.asarray(shown + (to_linear(picture) - shown) * left, np.float32))
