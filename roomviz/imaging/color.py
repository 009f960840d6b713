"""Colour spaces. Light adds up only in linear RGB, so all blending happens there."""

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image

LinearImage = NDArray[np.float32]  # (H, W, 3), linear RGB, 1.0 = display white

# Luminance of linear RGB. Source: ITU-R BT.709-6, item 3.2.
LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)


def _decode(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB to linear, both 0 to 1. Source: IEC 61966-2-1, 5.2."""
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _encode(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear to sRGB, both 0 to 1. Source: IEC 61966-2-1, 5.3."""
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * np.maximum(v, 1e-9) ** (1 / 2.4) - 0.055)


_LINEAR = _decode(np.arange(256) / 255).astype(np.float32)
_SRGB = np.round(_encode(np.arange(65536) / 65535) * 255).astype(np.uint8)


def to_linear(image: Image) -> LinearImage:
    """(H, W, 3) uint8 sRGB to float32 linear."""
    return np.asarray(cv2.LUT(image, _LINEAR), np.float32)


def to_srgb(image: LinearImage) -> Image:
    """(..., 3) float32 linear to uint8 sRGB; clips. Undoes `to_linear` to the bit."""
    return _SRGB[(np.clip(image, 0, 1) * 65535 + 0.5).astype(np.uint16)]


def luminance(image: LinearImage) -> NDArray[np.float32]:
    """Relative luminance, (...,) float32."""
    return np.asarray(image @ LUMINANCE_WEIGHTS, np.float32)


def linear_from_rgb24(color: int) -> NDArray[np.float32]:
    """(3,) linear RGB of a colour written 0xRRGGBB in sRGB."""
    return _LINEAR[[(color >> 16) & 255, (color >> 8) & 255, color & 255]]
