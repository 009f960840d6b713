"""What a photo carries besides its pixels: told by kind, never by value. None of it is stored.

Reads what a decoder has opened and, where the decoder does not tell, the file's own structure. Whatever cannot be read is
passed over: broken metadata is no reason to refuse a photo, and none of it outlives the decoding in any case.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Any

from PIL import ExifTags, Image


class MetadataKind(StrEnum):
    """In the order that they are told."""

    LOCATION = "LOCATION"
    SERIAL_NUMBERS = "SERIAL_NUMBERS"
    OWNER = "OWNER"
    COMMENTS = "COMMENTS"
    TIMES = "TIMES"
    DEVICE = "DEVICE"
    IMAGE_IDS = "IMAGE_IDS"
    MAKER_NOTES = "MAKER_NOTES"
    THUMBNAILS = "THUMBNAILS"
    FURTHER_PICTURES = "FURTHER_PICTURES"
    CONTENT_CREDENTIALS = "CONTENT_CREDENTIALS"
    TRAILING_DATA = "TRAILING_DATA"
    EXIF = "EXIF"
    XMP = "XMP"
    IPTC = "IPTC"


K = MetadataKind
Kinds = set[MetadataKind]

# Tags by Exif 3.0 (CIPA DC-008), 0x9C9B to 0x9C9F by Windows, 0xC62F by DNG, 0xC4A5 by PIM.
_TAGS = {
    K.SERIAL_NUMBERS: {0xA431, 0xA435, 0xC62F},
    K.OWNER: {0x013B, 0x8298, 0xA430, 0x9C9D, 0xA437, 0xA438, 0xA439},
    K.COMMENTS: {0x010E, 0x9286, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F, 0x010D, 0xA436},
    K.TIMES: {0x0132, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292},
    K.DEVICE: {0x010F, 0x0110, 0x0131, 0x013C, 0xA432, 0xA433, 0xA434, 0xC614, 0xA43A, 0xA43B, 0xA43C},
    K.IMAGE_IDS: {0xA420},
    K.MAKER_NOTES: {0x927C, 0xC4A5},
}
_XMP = {
    K.LOCATION: rb"GPS(Latitude|Longitude|Altitude)|photoshop:(City|State|Country)|Iptc4xmp\w+:(Location|CountryCode)",
    K.SERIAL_NUMBERS: rb"SerialNumber",
    K.OWNER: rb"dc:creator|dc:rights|OwnerName|photoshop:(AuthorsPosition|Credit)|CreatorContactInfo",
    K.COMMENTS: rb"dc:(description|title|subject)|UserComment|photoshop:(Headline|Instructions)",
    K.TIMES: rb"(Create|Modify|Metadata)Date|DateTime|photoshop:DateCreated",
    K.DEVICE: rb"tiff:(Make|Model)|CreatorTool|aux:Lens|softwareAgent",
    K.IMAGE_IDS: rb"(Document|Instance)ID|ImageUniqueID",
    K.THUMBNAILS: rb"xmpGImg:image|xmp:Thumbnails",
}
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # C2PA 2.1, A.5


def carried(data: bytes, kind: str, image: Image.Image) -> tuple[MetadataKind, ...]:
    """What `data` carries besides the picture. `image`: the same file, opened and loaded; `kind`: as sniffed."""
    found: Kinds = set()
    for look in (_exif, _info, {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}.get(kind, _boxes)):
        with suppress(Exception):  # what one reader breaks on, another may still find
            look(data, image, found)
    return tuple(k for k in MetadataKind if k in found)


def _told(value: Any) -> bool:
    """Whether a tag says anything: many cameras write blanks and zero bytes."""
    if isinstance(value, bytes | str):
        return bool(value.strip(b"\0 " if isinstance(value, bytes) else "\0 "))  # type: ignore[arg-type]
    return value is not None


def _exif(data: bytes, image: Image.Image, found: Kinds) -> None:
    exif = image.getexif()
    tags = dict(exif)
    if {t for t in tags if t != ExifTags.Base.Orientation}:
        found.add(K.EXIF)
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.IFD1):
        with suppress(Exception):
            inner = exif.get_ifd(ifd)
            if ifd is ExifTags.IFD.GPSInfo:
                # A version alone is written by cameras that were switched to tell nothing.
                found |= {K.LOCATION} if set(inner) - {0} else set()
            elif ifd is ExifTags.IFD.IFD1:
                found |= {K.THUMBNAILS} if {0x0201, 0x0111} & set(inner) else set()
            else:
                tags |= inner
    found |= {kind for kind, wanted in _TAGS.items() if any(_told(tags.get(t)) for t in wanted)}


def _xmp(packet: bytes, found: Kinds) -> None:
    found.add(K.XMP)
    found |= {kind for kind, pattern in _XMP.items() if re.search(pattern, packet)}


def _info(data: bytes, image: Image.Image, found: Kinds) -> None:
    """What every decoder tells in the same places."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if packet:
        _xmp(packet.encode() if isinstance(packet, str) else packet, found)
    if image.info.get("thumbnails"):
        found.add(K.THUMBNAILS)
    if getattr(image, "n_frames", 1) > 1 or image.info.get("depth_images") or image.info.get("aux"):
        found.add(K.FURTHER_PICTURES)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of the segments of a JPEG before and between its scans, then (0xD9, what follows the picture)
    (ITU-T T.81, B.1.1)."""
    marker = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
    at = 2
    while (here := marker.search(data, at)) is not None:
        code, at = here.group(1)[0], here.end()
        if code == 0xD9:
            yield code, data[at:]
            return
        length = int.from_bytes(data[at : at + 2], "big")
        yield code, data[at + 2 : at + length]
        at += max(length, 2)


def _jpeg(data: bytes, image: Image.Image, found: Kinds) -> None:
    for code, body in _segments(data):
        if code == 0xFE:
            found |= {K.COMMENTS} if _told(body) else set()
        elif code == 0xE1 and body.startswith(b"http://ns.adobe.com/x"):
            _xmp(body, found)
        elif code == 0xE0:
            inside = body.startswith(b"JFXX\0") or (
                body.startswith(b"JFIF\0") and len(body) >= 14 and body[12] * body[13]
            )
            found |= {K.THUMBNAILS} if inside else set()
        elif code == 0xEB and body.startswith(b"JP"):
            found.add(K.CONTENT_CREDENTIALS)
        elif code == 0xED:
            found |= {K.IPTC} if b"8BIM\x04\x04" in body else set()
            found |= {K.THUMBNAILS} if b"8BIM\x04\x0c" in body or b"8BIM\x04\x09" in body else set()
        elif code == 0xD9 and _told(body):
            found.add(K.FURTHER_PICTURES if body.lstrip(b"\0").startswith(b"\xff\xd8\xff") else K.TRAILING_DATA)


# Keywords of W3C PNG, 11.3.3.1, and of ImageMagick's and ExifTool's profiles.
_PNG_WORDS = {
    b"XML:com.adobe.xmp": K.XMP,
    b"Raw profile type xmp": K.XMP,
    b"Raw profile type iptc": K.IPTC,
    b"Raw profile type exif": K.EXIF,
    b"Raw profile type APP1": K.EXIF,
    b"Author": K.OWNER,
    b"Copyright": K.OWNER,
    b"Creation Time": K.TIMES,
    b"Software": K.DEVICE,
    b"Source": K.DEVICE,
}


def _png(data: bytes, image: Image.Image, found: Kinds) -> None:
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            found.add(_PNG_WORDS.get(data[at + 8 : at + 8 + min(length, 80)].partition(b"\0")[0], K.COMMENTS))
        elif kind in (b"eXIf", b"tIME", b"caBX", b"fdAT"):
            found.add(
                {b"eXIf": K.EXIF, b"tIME": K.TIMES, b"caBX": K.CONTENT_CREDENTIALS, b"fdAT": K.FURTHER_PICTURES}[kind]
            )
        at += 12 + length
        if kind == b"IEND":
            found |= {K.TRAILING_DATA} if _told(data[at:]) else set()
            return


def _webp(data: bytes, image: Image.Image, found: Kinds) -> None:
    end = 8 + int.from_bytes(data[4:8], "little")
    found |= {K.TRAILING_DATA} if _told(data[end:]) else set()
    at = 12
    while at + 8 <= min(end, len(data)):
        length, kind = int.from_bytes(data[at + 4 : at + 8], "little"), data[at : at + 4]
        found |= {K.CONTENT_CREDENTIALS} if kind == b"C2PA" else set()
        at += 8 + length + length % 2


def _boxes(data: bytes, image: Image.Image, found: Kinds) -> None:
    found |= {K.CONTENT_CREDENTIALS} if _C2PA_BOX in data else set()
