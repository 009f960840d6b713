"""A JPEG of which only the touched parts are encoded again.

A restart marker ends the entropy coder's run and resets its predictions (ITU-T T.81, F.1.1.5 and E.1.4), so that what
lies between two markers depends on its own pixels alone. The photo is encoded once with a marker every few units of
16 x 16 pixels; a picture that differs in some of these tiles takes the others from it, byte for byte.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image, encode

UNIT = 16  # pixels a side, with chroma at half resolution
TILE_MIN = 5  # units; shorter tiles cost more in markers than they save
ABREAST = 10  # tiles that are encoded beside each other: narrower pictures take longer
TILES_MAX = 4000 * ABREAST  # more would be higher than a JPEG can be
_SCAN, _FRAME = 0xDA, 0xC0


@dataclass(frozen=True)
class Tiles:
    """A JPEG by its tiles, row by row. header: all before the first; units: in a tile; rows, columns: of tiles."""

    header: bytes
    segments: tuple[bytes, ...]
    units: int
    rows: int
    columns: int
    quality: int

    @property
    def nbytes(self) -> int:
        return len(self.header) + sum(len(s) for s in self.segments)


def padded(picture: Image) -> Image:
    """A copy whose sides are multiples of UNIT; its last row and column are repeated."""
    height, width = picture.shape[:2]
    below, right = -height % UNIT, -width % UNIT
    return np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def units_of(pixels: NDArray[np.bool_], picture: tuple[int, int], at: tuple[int, int]) -> NDArray[np.bool_]:
    """(units down, units across) bool of a picture (height, width): those with one of the pixels (h, w) bool in them,
    which lie at x, y."""
    out = np.zeros((-(-picture[0] // UNIT), -(-picture[1] // UNIT)), bool)
    (x, y), (height, width) = at, pixels.shape
    top, left = y % UNIT, x % UNIT
    whole = np.pad(pixels, ((top, -(top + height) % UNIT), (left, -(left + width) % UNIT)))
    found = whole.reshape(whole.shape[0] // UNIT, UNIT, -1, UNIT).any((1, 3))
    out[y // UNIT :, x // UNIT :][: found.shape[0], : found.shape[1]] = found
    return out


def pad_again(picture: Image, height: int, width: int) -> None:
    """Repeat the last row and column of a padded picture whose inside was changed."""
    picture[:height, width:] = picture[:height, width - 1 : width]
    picture[height:] = picture[height - 1 : height]


def tiles(picture: Image, height: int, width: int, quality: int) -> Tiles:
    """Encode a padded picture (H, W, 3) uint8 sRGB, of which height and width are shown."""
    down, across = picture.shape[0] // UNIT, picture.shape[1] // UNIT
    units = next(n for n in range(min(TILE_MIN, across), across + 1) if across % n == 0)
    header, segments = split(_encode(picture, quality, units))
    return Tiles(resized(header, height, width), segments, units, down, across // units, quality)


def changed(base: Tiles, touched: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The numbers of the tiles in which some unit is `touched`, (units down, units across) bool."""
    return np.flatnonzero(touched.reshape(base.rows, base.columns, base.units).any(2))


def encoded(base: Tiles, picture: Image, chosen: NDArray[np.intp]) -> list[bytes]:
    """Tiles of a padded picture, in the order of `chosen`. Each depends on its own pixels alone, so that some may be
    encoded here and some elsewhere at the same time."""
    width, out = base.units * UNIT, list[bytes]()
    parts = picture.reshape(base.rows, UNIT, base.columns, width, 3)
    lines = np.arange(UNIT)[:, None]
    for at in range(0, len(chosen), TILES_MAX):
        some = chosen[at : at + TILES_MAX]
        full = np.append(some, np.repeat(some[-1:], -len(some) % ABREAST)).reshape(-1, 1, ABREAST)
        row, column = np.divmod(full, base.columns)
        abreast = parts[row, lines, column].reshape(-1, ABREAST * width, 3)
        out += split(_encode(abreast, base.quality, base.units))[1][: len(some)]
    return out


def spliced(base: Tiles, chosen: NDArray[np.intp], fresh: Sequence[bytes]) -> bytes:
    """The JPEG of the base with these tiles in place of its own."""
    segments = list(base.segments)
    for place, segment in zip(chosen.tolist(), fresh, strict=True):
        segments[place] = segment
    return joined(base.header, segments)


def _encode(picture: Image, quality: int, units: int) -> bytes:
    return encode(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, units)


def split(data: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Header (with the start of scan) and what lies between the restart markers."""
    at = 2
    while data[at + 1] != _SCAN:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    start = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
    scan = np.frombuffer(data, np.uint8)[start:-2]
    # In the scan a 255 of the data is followed by 0; any other follower is a marker.
    marks = np.flatnonzero((scan[:-1] == 255) & (scan[1:] >= 0xD0) & (scan[1:] <= 0xD7)) + start
    edges = [start, *(int(m) for m in marks), len(data) - 2]
    first = [edges[0], *(e + 2 for e in edges[1:-1])]
    return data[:start], tuple(data[a:b] for a, b in zip(first, edges[1:], strict=True))


def joined(header: bytes, segments: Sequence[bytes]) -> bytes:
    out = [header]
    for n, segment in enumerate(segments[:-1]):
        out += (segment, _RESTART[n & 7])
    return b"".join([*out, segments[-1], _END])


_RESTART, _END = [bytes((0xFF, 0xD0 + n)) for n in range(8)], b"\xff\xd9"


def resized(header: bytes, height: int, width: int) -> bytes:
    """The header of a picture of which fewer pixels are shown than its units hold."""
    at = 2
    while header[at + 1] != _FRAME:
        at += 2 + struct.unpack_from(">H", header, at + 2)[0]
    return header[: at + 5] + struct.pack(">HH", height, width) + header[at + 9 :]
