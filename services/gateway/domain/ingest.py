"""Taking in a photo from outside: sniff, look at the header, decode, turn upright, convert, strip.

Runs in a child process with limits (see `roomviz.runtime.sandbox`). One decoder, Pillow, reads
what users send; nothing that it did not decode and we did not encode again is ever stored. Size is checked
from the header before anything that may decode pixels is touched.
"""

import io
import re
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageCms

from roomviz.errors import InvalidArgument
from roomviz.imaging import codec
from roomviz.imaging.color import to_linear, to_srgb
from services.gateway.domain.metadata import MetadataKind, carried

try:  # an extra of the package: see docs/decisions/0023-heic-is-an-extra.md
    import pillow_heif
except ImportError:
    HEIC = False
else:
    HEIC = True
    # One thread: the sandbox has as many processes as it should have. Nothing but the picture itself is ever decoded.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)

SIDE_MAX = 16_384
_STRIP_ROWS = 256

# Brands of ISO/IEC 23008-12, annex B, and of AVIF 1.1, 8.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}

# Code points of ITU-T H.273: transfers PQ and HLG; primaries to linear sRGB, from BT.2020 (ITU-R BT.2087-0, 4) and from
# P3 with D65 (computed from SMPTE EG 432-1).
_HIGH_RANGE = {16, 18}
_SRGB_FROM = {
    9: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32),
    12: np.array([[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]], np.float32),
}


@dataclass(frozen=True)
class Limits:
    bytes_max: int
    megapixels_max: float


@dataclass(frozen=True)
class Photo:
    """photo: PNG of the upright sRGB picture; working: the same at 2 megapixels or less, None where that is no
    smaller; width and height of the photo; focal_35mm 0 where the metadata did not tell; removed: what else it
    carried, none of which is left."""

    photo: bytes
    working: bytes | None
    width: int
    height: int
    focal_35mm: float
    removed: tuple[MetadataKind, ...]


def sniff(data: bytes) -> str:
    """`JPEG`, `PNG`, `WEBP`, `AVIF` or `HEIF`, by the first bytes; what a file is called does not matter."""
    if not data:
        raise InvalidArgument("IMAGE_EMPTY", "the file is empty")
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        length = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[8:12]} | {data[at : at + 4] for at in range(16, length, 4)}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIC_BRANDS:
            if HEIC:
                return "HEIF"
            raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "HEIC pictures are not taken here: send it as JPEG")
    raise InvalidArgument(
        "IMAGE_FORMAT_UNSUPPORTED", f"this is not a JPEG, PNG, WebP, AVIF{' or HEIC' if HEIC else ''} picture"
    )


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
            image: Image.Image = Image.open(io.BytesIO(data), formats=[kind])
            check_size(*image.size, limits)
            image.load()
            check_size(*image.size, limits)  # some containers are told better by what was in them
            removed, focal = carried(data, kind, image), _focal_35mm(image)
            code_points = _code_points(data, kind, image)
            image = _upright(image, kind)
            pixels = _pixels(image, code_points)
    except InvalidArgument:
        raise
    except MemoryError:
        raise InvalidArgument("IMAGE_TOO_LARGE", "the picture needs more memory than it may have") from None
    except Exception as error:  # decoders break on damaged pictures in more ways than they name
        raise InvalidArgument("IMAGE_CORRUPT", f"the {kind} picture is damaged and cannot be read") from error
    del image
    height, width = pixels.shape[:2]
    small = codec.preview_size(height, width)
    working = None if small == (height, width) else codec.encode_png(codec.resize(pixels, *small))
    return Photo(codec.encode_png(pixels), working, width, height, focal, removed)


def _focal_35mm(image: Image.Image) -> float:
    try:
        value = float(image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # broken metadata is no reason to refuse a photo
        return 0.0
    return value if 8 <= value <= 300 else 0.0


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image, kind: str) -> Image.Image:
    """Turned as the metadata says: by EXIF or, without it, XMP; by the container alone where the format has one.

    libheif turns what it decodes by the container's `irot` and `imir` and what EXIF repeats of it does not count
    (ISO/IEC 23008-12, 6.5.10); Pillow hands those of AVIF over as an EXIF orientation, in place of the file's own.
    """
    try:
        if kind == "HEIF":
            orientation: object = 1
        elif kind == "AVIF":
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            orientation = exif.get(ExifTags.Base.Orientation)
        else:
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF that cannot be read may hide an orientation that XMP repeats
        packet = image.info.get("xmp", b"")
        match = re.search(rb'tiff:Orientation(?:="|>)([1-8])', packet) if isinstance(packet, bytes) else None
        orientation = int(match[1]) if match else None
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _code_points(data: bytes, kind: str, image: Image.Image) -> tuple[int, int] | None:
    """(primaries, transfer) by ITU-T H.273 where the file tells its colours so, and by no ICC profile."""
    if image.info.get("icc_profile"):
        return None
    if kind == "PNG":  # W3C PNG 3, 11.3.2.6; before the pixels
        at = data.find(b"cICP", 0, max(0, data.find(b"IDAT")))
        return (data[at + 4], data[at + 5]) if at >= 0 and len(data) >= at + 8 else None
    if kind in ("AVIF", "HEIF"):  # ISO/IEC 14496-12, 12.1.5
        at = data.find(b"colrnclx")
        if at >= 0 and len(data) >= at + 12:
            return int.from_bytes(data[at + 8 : at + 10], "big"), int.from_bytes(data[at + 10 : at + 12], "big")
    return None


def _pixels(image: Image.Image, code_points: tuple[int, int] | None) -> codec.Image:
    """(H, W, 3) uint8 sRGB: profile applied, 16 bit reduced, transparency laid on white.

    Raises:
        InvalidArgument: IMAGE_FORMAT_UNSUPPORTED for high dynamic range without a profile: what it would look like
            depends on the screen.
    """
    primaries, transfer = code_points or (1, 13)
    if transfer in _HIGH_RANGE:
        raise InvalidArgument(
            "IMAGE_FORMAT_UNSUPPORTED", "pictures of high dynamic range (PQ, HLG) are not taken: send it as JPEG"
        )
    to_rgb = _profile_transform(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):  # a copy or two of a strip instead of the picture
        strip, alpha = _without_alpha(image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height))))
        if to_rgb is not None:
            strip = ImageCms.applyTransform(strip, to_rgb) or strip
        rows = np.array(strip.convert("RGB"), np.uint8)
        if primaries in _SRGB_FROM:
            rows = to_srgb(to_linear(rows) @ _SRGB_FROM[primaries].T)
        if alpha is not None:
            part = alpha[..., None].astype(np.uint32)
            rows = ((rows * part + 255 * (255 - part) + 127) // 255).astype(np.uint8)
        pixels[top : top + len(rows)] = rows
    return pixels


def _profile_transform(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """From the picture's profile to sRGB, for what `_without_alpha` gives; a profile that cannot be read, or is for
    other channels, counts as sRGB."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    sample, _ = _without_alpha(image.crop((0, 0, 1, 1)))
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), sample.mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _without_alpha(image: Image.Image) -> tuple[Image.Image, codec.Image | None]:
    """The picture as RGB, CMYK or grey of 8 bits, and its opacity (H, W) uint8 where it has any."""
    if image.mode.startswith("I;16"):
        deep = np.asarray(image, np.uint16)
        hidden = image.info.get("transparency")
        alpha = np.where(deep == hidden, 0, 255).astype(np.uint8) if isinstance(hidden, int) else None
        return Image.fromarray((deep >> 8).astype(np.uint8)), alpha
    if image.has_transparency_data:
        grey = image.mode in ("L", "LA", "La", "1")
        whole = image.convert("RGBA")
        return whole.convert("L" if grey else "RGB"), np.array(whole.getchannel("A"), np.uint8)
    return (image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")), None
