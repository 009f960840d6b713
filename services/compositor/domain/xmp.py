"""What a picture says of itself: an XMP packet (ISO 16684-1) with its receipt.

The packet is found by scanning for it (Adobe, "XMP Specification Part 3", 2020, 1.1.4), which works in whatever file
format it lies and follows no pointer of a file that somebody may have made to mislead.
"""

import re
import struct
import zlib
from dataclasses import dataclass

NAMESPACE = "https://roomviz.dev/ns/1.0/"
PACKET_MAX = 60_000  # bytes; one segment of a JPEG holds no more
# What kind of picture it is. Source: IPTC NewsCodes, Digital Source Type.
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_JPEG, _PNG = b"http://ns.adobe.com/xap/1.0/\0", b"XML:com.adobe.xmp\0\0\0\0\0"
_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
_PACKETS_MAX = 16


@dataclass(frozen=True)
class Mark:
    """receipt: SHA-256, lower-case hex; renderer: which made the picture; generated: whether a generative model had a
    part in it."""

    receipt: str
    renderer: str
    generated: bool


def packet(mark: Mark) -> bytes:
    """The XMP packet of a mark; the same mark gives the same bytes."""
    source = "compositeWithTrainedAlgorithmicMedia" if mark.generated else "compositeSynthetic"
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:roomviz="{NAMESPACE}"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' roomviz:receipt="{mark.receipt}" roomviz:renderer="{mark.renderer}" roomviz:generated="{mark.generated}"'
        f' Iptc4xmpExt:DigitalSourceType="{_SOURCES}{source}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def mark_in(data: bytes) -> Mark | None:
    """The mark that a file carries, also where another program wrote the packet anew; None where it has none."""
    at = -1
    for _ in range(_PACKETS_MAX):
        at = data.find(_BEGIN, at + 1)
        if at < 0:
            break
        end = data.find(_END, at, at + PACKET_MAX)
        if end > 0 and (found := _read(data[at:end].decode(errors="replace"))):
            return found
    return None


def _read(text: str) -> Mark | None:
    prefix = re.search(rf"xmlns:([A-Za-z_][\w.-]{{0,63}})\s*=\s*[\"']{re.escape(NAMESPACE)}[\"']", text)
    if prefix is None:
        return None

    def value(name: str, form: str) -> str:
        """As an attribute or as an element: XMP allows both."""
        found = re.search(rf"[\s<]{re.escape(prefix[1])}:{name}(?:\s*=\s*[\"']|>)({form})(?:[\"']|<)", text)
        return found[1] if found else ""

    receipt = value("receipt", "[0-9a-f]{64}")
    return (
        Mark(receipt, value("renderer", r"[\w./+-]{1,100}"), value("generated", r"\w+") == "True") if receipt else None
    )


def in_jpeg(data: bytes, packet: bytes) -> bytes:
    """A JPEG with the packet as its second segment: JFIF wants to be the first."""
    at = 2
    if data[2:4] == b"\xff\xe0":
        at = 4 + struct.unpack_from(">H", data, 4)[0]
    body = _JPEG + packet
    return b"".join((data[:at], b"\xff\xe1", struct.pack(">H", len(body) + 2), body, data[at:]))


def png_chunk(packet: bytes) -> bytes:
    """An iTXt chunk (W3C PNG, 11.3.3.4), to stand after IHDR."""
    return chunk(b"iTXt", _PNG + packet)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG (W3C PNG, 5.3)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
