"""Taking in a photo from outside: sniff, look at the header, decode, turn upright, convert, strip.

Runs in a child process with limits (see `roomviz.runtime.sandbox`). One decoder, Pillow, reads
what users send; nothing that it did not decode and we did not encode again is ever stored. Size is checked
from the header before anything that may decode pixels is touched.
"""

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from roomviz.errors import InvalidArgument
from roomviz.imaging import codec

SIDE_MAX = 16_384
_FOCAL_LENGTH_35MM, _EXIF_IFD = 0xA405, 0x8769


@dataclass(frozen=True)
class Limits:
    bytes_max: int
    megapixels_max: float


@dataclass(frozen=True)
class Photo:
    """photo: PNG of the upright sRGB picture; working: the same at 2 megapixels or less, None where that is no
    smaller; width and height of the photo; focal_35mm 0 where the metadata did not tell."""

    photo: bytes
    working: bytes | None
    width: int
    height: int
    focal_35mm: float


def sniff(data: bytes) -> str:
    """`JPEG`, `PNG` or `WEBP`, by the first bytes; what a file is called does not matter."""
    if not data:
        raise InvalidArgument("IMAGE_EMPTY", "the file is empty")
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "this is not a JPEG, PNG or WebP picture")


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse pictures beyond the limits, naming the limit."""
    if width < 1 or height < 1:
        raise InvalidArgument("IMAGE_CORRUPT", "the picture has no pixels")
    megapixels = width * height / 1e6
    if megapixels > limits.megapixels_max or max(width, height) > SIDE_MAX:
        raise InvalidArgument(
            "IMAGE_TOO_LARGE",
            f"the picture has {width} x {height} pixels; at most {limits.megapixels_max:g} megapixels and {SIDE_MAX} pixels a side are taken",
            {"width": str(width), "height": str(height)},
        )


def png_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) from a PNG header (W3C PNG, 11.2.1): Pillow refuses some before it tells their size."""
    return struct.unpack(">II", data[16:24]) if data[12:16] == b"IHDR" and len(data) >= 24 else None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) from a WebP header (RFC 9649, 2.4 to 2.7): Pillow's reader sets up its canvas when it opens."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def take_in(data: bytes, limits: Limits) -> Photo:
    """Normalize an uploaded picture.

    Raises:
        InvalidArgument: IMAGE_EMPTY, IMAGE_FORMAT_UNSUPPORTED, IMAGE_TOO_LARGE or IMAGE_CORRUPT.
    """
    if len(data) > limits.bytes_max:
        raise InvalidArgument("IMAGE_TOO_LARGE", f"the file has more than {limits.bytes_max} bytes")
    kind = sniff(data)
    promised = {"WEBP": webp_size, "PNG": png_size}.get(kind, lambda _: None)(data)
    if promised is not None:
        check_size(*promised, limits)
    Image.MAX_IMAGE_PIXELS = None  # ours is checked instead
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow makes do with is told by what comes out
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                check_size(*image.size, limits)
                focal = _focal_35mm(image)
                image.seek(0)
                pixels = _srgb(ImageOps.exif_transpose(image))
    except InvalidArgument:
        raise
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        TypeError,
        IndexError,
        KeyError,
        OverflowError,
        struct.error,
        ZeroDivisionError,
    ) as error:
        raise InvalidArgument("IMAGE_CORRUPT", f"the {kind} picture is damaged and cannot be read") from error
    except MemoryError:
        raise InvalidArgument("IMAGE_TOO_LARGE", "the picture needs more memory than it may have") from None
    height, width = pixels.shape[:2]
    small = codec.preview_size(height, width)
    working = None if small == (height, width) else codec.encode_png(codec.resize(pixels, *small))
    return Photo(codec.encode_png(pixels), working, width, height, focal)


def _focal_35mm(image: Image.Image) -> float:
    try:
        value = float(image.getexif().get_ifd(_EXIF_IFD).get(_FOCAL_LENGTH_35MM, 0))
    except Exception:  # broken metadata is no reason to refuse a photo
        return 0.0
    return value if 8 <= value <= 300 else 0.0


def _srgb(image: Image.Image) -> codec.Image:
    """(H, W, 3) uint8 sRGB: profile applied, 16 bit reduced, transparency laid on white."""
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(image).astype(np.int64)
        grey = np.clip(values >> 8 if values.max(initial=0) > 255 else values, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = converted if converted is not None else image
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a profile that cannot be read counts as sRGB
    image = image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=alpha)
        image = white
    return np.ascontiguousarray(np.asarray(image, np.uint8))
