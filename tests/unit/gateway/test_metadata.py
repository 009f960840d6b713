"""What is told of a photo's metadata, and that none of it is left."""

import io
import struct
import zlib

import pytest
from PIL import Image

from services.gateway.domain.ingest import HEIC, Limits, Photo, take_in
from services.gateway.domain.metadata import MetadataKind as K

SECRET = "SECRET-4711"
TAKEN = ["JPEG", "WEBP", "AVIF", *(["HEIF"] if HEIC else [])]
PHOTO = Image.new("RGB", (96, 64), (120, 90, 60))


def exif() -> Image.Exif:
    """As a camera writes it, each text a secret."""
    made = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x013B, 0x8298):
        made[tag] = SECRET
    inner = made.get_ifd(0x8769)
    for tag in (0x9003, 0x9286, 0x927C, 0xA420, 0xA430, 0xA431, 0xA435):
        inner[tag] = SECRET.encode() if tag in (0x9286, 0x927C) else SECRET
    gps = made.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 8.0, 1.5)
    return made


PACKET = (
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="48,8.0N" aux:SerialNumber="{SECRET}"'
    f' xmpMM:DocumentID="{SECRET}"><dc:creator>{SECRET}</dc:creator></rdf:Description></x:xmpmeta>'
).encode()


def taken(format: str, **options: object) -> Photo:
    return take(saved(format, **options))


def saved(format: str, **options: object) -> bytes:
    out = io.BytesIO()
    PHOTO.save(out, format, **options)
    return out.getvalue()


def take(data: bytes) -> Photo:
    photo = take_in(data, Limits(25 << 20, 48))
    assert SECRET.encode() not in photo.photo
    with Image.open(io.BytesIO(photo.photo)) as left:
        left.load()
        assert left.info == {}
        assert not left.getexif()
    return photo


@pytest.mark.parametrize("format", [*TAKEN, "PNG"])
def test_nothing_is_told_where_there_is_nothing(format: str):
    assert taken(format).removed == ()


@pytest.mark.parametrize("format", [*TAKEN, "PNG"])
def test_exif_is_told_by_kind_and_gone(format: str):
    assert set(taken(format, exif=exif()).removed) == {
        K.LOCATION, K.SERIAL_NUMBERS, K.OWNER, K.COMMENTS, K.TIMES, K.DEVICE, K.IMAGE_IDS, K.MAKER_NOTES, K.EXIF,
    }  # fmt: skip


@pytest.mark.parametrize("format", TAKEN)
def test_xmp_is_told_by_kind_and_gone(format: str):
    assert set(taken(format, xmp=PACKET).removed) == {K.LOCATION, K.SERIAL_NUMBERS, K.OWNER, K.IMAGE_IDS, K.XMP}


def test_a_gps_block_that_tells_no_place_is_none():
    empty = Image.Exif()
    empty.get_ifd(0x8825)[0] = b"\2\3\0\0"

    assert K.LOCATION not in taken("JPEG", exif=empty).removed


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@pytest.mark.parametrize(
    ("added", "kinds"),
    [
        (segment(0xFE, SECRET.encode()), {K.COMMENTS}),
        (segment(0xE0, b"JFXX\0\x10" + SECRET.encode()), {K.THUMBNAILS}),
        (segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0b" + SECRET.encode() + b"\0"), {K.IPTC}),
        (segment(0xEB, b"JP\0\1\0\0\0\1" + SECRET.encode()), {K.CONTENT_CREDENTIALS}),
    ],
)
def test_segments_of_a_jpeg_are_told(added: bytes, kinds: set[K]):
    data = saved("JPEG")

    assert set(take(data[:2] + added + data[2:]).removed) == kinds


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (b"PK\3\4" + SECRET.encode(), K.TRAILING_DATA),
        (b"\0\0\0\x18ftypmp42" + SECRET.encode(), K.TRAILING_DATA),
        (b"\xff\xd8\xff\xe0" + SECRET.encode() + b"\xff\xd9", K.FURTHER_PICTURES),
        (b"\0\0\0\0", None),
    ],
)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "subsampling": 0}])
def test_what_follows_a_jpeg_is_told(options: dict[str, object], tail: bytes, kind: K | None):
    assert take(saved("JPEG", **options) + tail).removed == (() if kind is None else (kind,))


@pytest.mark.parametrize(
    ("keyword", "kind"),
    [(b"Author", K.OWNER), (b"Creation Time", K.TIMES), (b"Software", K.DEVICE), (b"parameters", K.COMMENTS)],
)
def test_texts_of_a_png_are_told(keyword: bytes, kind: K):
    body = b"tEXt" + keyword + b"\0" + SECRET.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved("PNG")

    assert take(data[:33] + chunk + data[33:]).removed == (kind,)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_what_follows_a_picture_is_told(format: str):
    assert take(saved(format) + b"PK\3\4" + SECRET.encode()).removed == (K.TRAILING_DATA,)
