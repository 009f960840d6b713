"""Files of pictures: JPEG, PNG, WebP and AVIF, with an XMP packet in each.

The same pixels and packet give the same bytes, on whatever worker: nothing here depends on time or on the number of
threads. JPEG and PNG are written from strips of rows, so that a picture that is put together while it is written, such
as two beside each other, need never exist whole.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from PIL import Image as Pillow

from roomviz.errors import InvalidArgument
from roomviz.imaging.codec import Image, encode
from services.compositor.domain import splice, xmp

TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
# Pixels a side that a file of each format can have; PNG's are more than memory can.
SIDE_MAX = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383, "avif": 32_768}
# Pixels of a file whose encoder must have all of it in memory, several times over.
PIXELS_MAX = {"webp": 50_000_000, "avif": 50_000_000}
STRIP = 256  # rows, a multiple of the JPEG's unit
JPEG_QUALITY, WEBP_QUALITY, AVIF_QUALITY = 92, 90, 80
_WEBP_METHOD, _AVIF_SPEED = 2, 8  # of how much is tried: small next to quick


@dataclass(frozen=True)
class Rows:
    """A picture by its rows: rows(top, bottom) gives (bottom - top, width, channels) uint8 sRGB; with 4 channels the
    last is how opaque it is, and the others are not multiplied by it."""

    height: int
    width: int
    channels: int
    rows: Callable[[int, int], Image]

    def strips(self) -> Iterator[Image]:
        for top in range(0, self.height, STRIP):
            yield self.rows(top, min(top + STRIP, self.height))

    def whole(self) -> Image:
        out = np.empty((self.height, self.width, self.channels), np.uint8)
        for n, strip in enumerate(self.strips()):
            out[n * STRIP : n * STRIP + len(strip)] = strip
        return out


def of(picture: Image) -> Rows:
    """A picture (H, W, 3 or 4) that is in memory."""
    height, width, channels = picture.shape
    return Rows(height, width, channels, lambda top, bottom: picture[top:bottom])


def check_output(format: str, height: int, width: int, transparent: bool) -> None:
    """Raises InvalidArgument IMAGE_FORMAT_UNSUPPORTED where the format cannot hold such a picture."""
    if transparent and format == "jpeg":
        raise InvalidArgument(
            "IMAGE_FORMAT_UNSUPPORTED", "a JPEG has no transparency: ask for the layer as PNG, WebP or AVIF"
        )
    if max(height, width) > SIDE_MAX[format] or height * width > PIXELS_MAX.get(format, 2**62):
        raise InvalidArgument(
            "IMAGE_FORMAT_UNSUPPORTED",
            f"the picture would have {width} x {height} pixels, too many to write as {format.upper()}: ask for JPEG or PNG",
            {"width": str(width), "height": str(height)},
        )


def encode_as(picture: Image | Rows, format: str, packet: bytes = b"") -> bytes:
    """File bytes.

    Args:
        picture: (H, W, 3 or 4) uint8 sRGB, or its rows.
        format: `jpeg`, `png`, `webp` or `avif`.
        packet: XMP to put in; empty for none.

    Raises:
        InvalidArgument: IMAGE_FORMAT_UNSUPPORTED.
    """
    source = picture if isinstance(picture, Rows) else of(picture)
    check_output(format, source.height, source.width, source.channels == 4)
    if format == "jpeg":
        return jpeg_joined([strip() for strip in jpeg_strips(source)], source.height, source.width, packet)
    if format == "png":
        return _png(source, packet)
    whole = picture if isinstance(picture, np.ndarray) else source.whole()
    out = io.BytesIO()
    image = Pillow.fromarray(whole)
    if format == "webp":
        image.save(out, "WEBP", quality=WEBP_QUALITY, method=_WEBP_METHOD, xmp=packet)
    else:
        # One thread: with more, the encoder cuts the picture into other tiles. Full colour where there is an edge of
        # transparency, else the colour of what is not seen would run over it.
        sampling = "4:4:4" if source.channels == 4 else "4:2:0"
        image.save(
            out, "AVIF", quality=AVIF_QUALITY, speed=_AVIF_SPEED, max_threads=1, subsampling=sampling, xmp=packet
        )
    return out.getvalue()


Strip = tuple[bytes, tuple[bytes, ...]]  # of a JPEG: its header, and what lies between its restart markers


def jpeg_strips(source: Rows, quality: int = JPEG_QUALITY) -> list[Callable[[], Strip]]:
    """Work that encodes a picture, strip by strip, which may be done in any order and at the same time: with a restart
    marker after each, what lies between two of them depends on its own pixels alone."""
    units = -(-source.width // splice.UNIT) * (STRIP // splice.UNIT)

    def strip(top: int) -> Strip:
        rows = source.rows(top, min(top + STRIP, source.height))
        return splice.split(
            encode(rows, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, units)
        )

    return [partial(strip, top) for top in range(0, source.height, STRIP)]


def jpeg_joined(strips: Sequence[Strip], height: int, width: int, packet: bytes = b"") -> bytes:
    """The file of a picture of this size."""
    header = strips[0][0]
    if packet:
        header = xmp.in_jpeg(header, packet)
    return splice.joined(splice.resized(header, height, width), [part for _, parts in strips for part in parts])


def _png(source: Rows, packet: bytes) -> bytes:
    """Each byte as its difference to the pixel on the left (W3C PNG, 9.2, type 1)."""
    n = source.channels
    head = struct.pack(">IIBBBBB", source.width, source.height, 8, 2 if n == 3 else 6, 0, 0, 0)
    out = [b"\x89PNG\r\n\x1a\n", xmp.chunk(b"IHDR", head)]
    if packet:
        out.append(xmp.png_chunk(packet))
    deflate = zlib.compressobj(1)
    for strip in source.strips():
        lines = strip.reshape(len(strip), -1)
        filtered = np.empty((len(strip), lines.shape[1] + 1), np.uint8)
        filtered[:, 0] = 1
        filtered[:, 1 : n + 1] = lines[:, :n]
        np.subtract(lines[:, n:], lines[:, :-n], out=filtered[:, n + 1 :])
        out.append(xmp.chunk(b"IDAT", deflate.compress(filtered.data)))
    out += (xmp.chunk(b"IDAT", deflate.flush()), xmp.chunk(b"IEND", b""))
    return b"".join(out)
