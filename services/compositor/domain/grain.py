"""Grain: a new surface as noisy as the photo around it. Without it it looks cut out.

How noisy a photo is depends on how bright it is there, on the camera and on its compression. It is measured where the
photo is flat, and drawn from a fixed seed, so that the same picture is made every time.
"""

from collections.abc import Iterator
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear
from services.compositor.domain.shading import response

Float = NDArray[np.float32]

# Difference of neighbours twice over: blind to slopes (Immerkaer, "Fast Noise Variance Estimation", 1996, eq. 4, whose
# norm is 6 for white noise).
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NORM = 6.0
# From the median deviation to the standard deviation of a normal distribution.
_MAD = 1.4826
# Levels of brightness that noise is told for, of 255, and counted pixels that one of them takes.
LEVELS, LEVEL_PIXELS = 12, 80
# Part of the photo that counts as flat, of each brightness: where the difference of neighbours is small over some pixels.
FLAT = 0.4
# More is not noise but texture everywhere, parts of the value.
SIGMA_MAX = 0.08
# Of a large photo so many squares of so many pixels a side are looked at, spread over it.
SQUARES, SQUARE = 4, 256
# Of what is looked at, one pixel in so many is counted.
COUNTED = 5
TILE, SEED = 512, 20
# What most materials are made of: brighter and darker ones get their noise by the light alone.
TYPICAL_ALBEDO = 0.35
# Values below this, of 1, are as dark as the law of shot noise is followed to.
DARK = 0.06
# Entries of the table by light, and those of light 1.
LIGHT_MAX, LIGHT_ONE = 16384, 4096
_VALUES = to_linear(np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2))[0, :, 0]


def noise(photo: Image) -> Float:
    """(256,) standard deviation of a photo's noise at each 8-bit grey, in parts of 255."""
    looked = [_looked_at(photo[part]) for part in _parts(*photo.shape[:2])]
    grey, high, rough = (np.concatenate(v)[::COUNTED] for v in zip(*looked, strict=True))
    # Clipped values have no noise left, and say nothing of how much there would be.
    usable = (grey > 4) & (grey < 250)
    if usable.sum() < LEVEL_PIXELS:
        return np.zeros(256, np.float32)
    level = np.minimum((grey * (LEVELS / 256)).astype(np.intp), LEVELS - 1)
    at, found = [], []
    for k in range(LEVELS):
        here = usable & (level == k)
        if here.sum() >= LEVEL_PIXELS:
            flat = high[here & (rough <= np.quantile(rough[here], FLAT))]
            at.append((k + 0.5) * 256 / LEVELS)
            found.append(_MAD * float(np.median(flat)))
    if not at:
        return np.zeros(256, np.float32)
    return np.asarray(np.minimum(np.interp(np.arange(256), at, found), SIGMA_MAX * 255) / 255, np.float32)


def grained(lit: Float, at: tuple[int, int], sigma: Float, strength: float) -> Float:
    """Light with noise in it, which the material takes on.

    Args:
        lit: (h, w) scene light on white.
        at: x, y of its corner in the photo: surfaces beside each other share one field of noise.
        sigma: (256,), as `noise` tells it.
        strength: part of the photo's noise that is wanted.
    """
    if not sigma.any():
        return lit
    relative = _relative(sigma.tobytes(), strength)
    here = relative[np.minimum(lit * (TYPICAL_ALBEDO * LIGHT_ONE), LIGHT_MAX - 1).astype(int)]
    h, w = lit.shape
    field = np.take(np.take(_tile(), (np.arange(h) + at[1]) % TILE, 0), (np.arange(w) + at[0]) % TILE, 1)
    return np.asarray(lit * (1 + np.clip(here * field, -0.4, 0.4)), np.float32)


@lru_cache(maxsize=16)
def _relative(sigma: bytes, strength: float) -> Float:
    """(LIGHT_MAX,) noise of light that is this bright, in parts of it; sigma as bytes of float32, since a surface's rows
    are often asked for a few at a time."""
    light = np.asarray(np.arange(LIGHT_MAX) / LIGHT_ONE, np.float32)
    value = np.interp(response(light[None])[0], _VALUES, np.arange(256))  # 0 to 255, with all that lies between
    # A value is the light to the power of about 1 / 2.2: what that makes of a small difference.
    relative = (
        strength
        * 2.2
        * np.interp(value, np.arange(256), np.frombuffer(sigma, np.float32))
        / np.maximum(value / 255, DARK)
    )
    return np.asarray(relative, np.float32)


def _parts(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    if height * width <= SQUARES * SQUARES * SQUARE * SQUARE:
        yield slice(0, height), slice(0, width)
        return
    side = min(SQUARE, height, width)
    for y in np.linspace(0, height - side, SQUARES).astype(int):
        for x in np.linspace(0, width - side, SQUARES).astype(int):
            yield slice(y, y + side), slice(x, x + side)


def _looked_at(photo: Image) -> tuple[Float, Float, Float]:
    """Of each pixel: its grey without noise, how far it is from its neighbours, how far those around it are."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    high = np.abs(cv2.filter2D(grey, -1, _LAPLACIAN)) / np.float32(_NORM)
    smooth, rough = cv2.blur(grey, (5, 5)), cv2.blur(high, (9, 9))
    return tuple(np.asarray(v, np.float32).ravel() for v in (smooth, high, rough))  # type: ignore[return-value]


@cache
def _tile() -> Float:
    """(TILE, TILE), as soft as noise that went through a camera's own filters and a JPEG, and 1 as `noise` measures."""
    white = np.random.default_rng(SEED).normal(0, 1, (TILE, TILE)).astype(np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), 0.6, borderType=cv2.BORDER_REFLECT)
    measured = float(cv2.filter2D(soft, -1, _LAPLACIAN).std()) / _NORM
    return np.asarray(soft / measured, np.float32)
