"""Encoding and decoding of pictures that we wrote ourselves. What users send is decoded in `services.gateway.ingest`."""

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import Internal

Image = NDArray[np.uint8]  # (H, W, 3) sRGB, (H, W, 4) with alpha, or (H, W) grey
PREVIEW_PIXELS = 2_000_000


def decode_rgb(data: bytes) -> Image:
    """(H, W, 3) uint8 sRGB of a PNG, JPEG or WebP."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise Internal("STORED_IMAGE_CORRUPT", "a stored picture cannot be read")
    return image.astype(np.uint8, copy=False)


def decode_grey(data: bytes) -> Image:
    """(H, W) uint8 of a grey PNG."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise Internal("STORED_IMAGE_CORRUPT", "a stored mask cannot be read")
    return image.astype(np.uint8, copy=False)


def decode_rgba(data: bytes) -> Image:
    """(H, W, 4) uint8 sRGB with alpha of a PNG; opaque where it has none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8:
        raise Internal("STORED_IMAGE_CORRUPT", "a stored cut-out cannot be read")
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGBA), np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGBA), np.uint8)


def encode(image: Image, extension: str, *parameters: int) -> bytes:
    """File bytes of an RGB, RGBA or grey picture; `extension` as in `.png`, `parameters` as OpenCV's."""
    order = cv2.COLOR_RGBA2BGRA if image.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    pixels = cv2.cvtColor(image, order) if image.ndim == 3 else image
    done, data = cv2.imencode(extension, pixels, list(parameters))
    if not done:
        raise Internal("ENCODE_FAILED", f"the picture cannot be written as {extension}")
    return data.tobytes()


def encode_png(image: Image) -> bytes:
    """Lossless, fast rather than small."""
    # Masks are flat, and differences make them no smaller; of photos those to the row above are the fastest to write
    # and to read, and the smallest.
    filtered = cv2.IMWRITE_PNG_FILTER_NONE if image.ndim == 2 else cv2.IMWRITE_PNG_FILTER_UP
    return encode(image, ".png", cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, filtered)


def encode_jpeg(image: Image, quality: int = 92) -> bytes:
    return encode(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def preview_size(height: int, width: int, pixels: int = PREVIEW_PIXELS) -> tuple[int, int]:
    """(height, width) of the same picture with at most `pixels` pixels."""
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def within(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(height, width) of the same picture with a long side of at most `long_side` pixels."""
    scale = min(1.0, long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: Image, height: int, width: int) -> Image:
    """Resample by area when shrinking, linearly when growing; the same array where nothing changes."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )
