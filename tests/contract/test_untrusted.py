"""What strangers send, through the real gateway: refused in words of ours, and the next caller is served."""

import io
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from roomviz.client import Client
from roomviz.errors import RoomvizError
from roomviz.runtime.rpc import from_call
from roomviz.v1 import rooms_pb2
from tests.conftest import Running

HOSTILE = Path(__file__).resolve().parents[3] / "shared" / "hostile"
# A dozen of the worst: crashers of decoders, bombs, and what passes itself off as a picture.
WORST = [
    "bomb/generated__iccp-bomb-256MB.png",
    "bomb/Pillow__png_decompression_dos.png",
    "bomb/generated__16383x16383.webp",
    "bomb/Pillow__decompression_bomb.gif",
    "huge/thumbor__16383x16383.png",
    "huge/generated__1x200000.png",
    "corrupt/image-png__x_issue#230.1.png",
    "fuzz/go-fuzz-corpus__94ff91a3ebcdcc74.webp",
    "fuzz/zune-image__issue256.jpg",
    "fuzz/Pillow__oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif",
    "svg/imgproxy__test1.svg",
    "truncated/generated__jpeg-cut-25.jpg",
]
REASONS = {"IMAGE_CORRUPT", "IMAGE_FORMAT_UNSUPPORTED", "IMAGE_TOO_LARGE", "IMAGE_EMPTY"}


@pytest.mark.skipif(not HOSTILE.exists(), reason="the folder of hostile files, ../shared/hostile, is missing")
def test_a_dozen_of_the_worst_files_are_refused_and_the_gateway_serves_on(
    running: Running, client: Client, photo: bytes
):
    pid = running.pid("gateway")

    reasons = {}
    for file in WORST:
        with pytest.raises(RoomvizError) as caught:
            client.upload((HOSTILE / file).read_bytes(), "worst")
        reasons[file] = caught.value.reason

    assert set(reasons.values()) <= REASONS, reasons
    assert client.upload(photo, "next").width_px > 0
    assert running.pid("gateway") == pid


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "HEADER_MISSING"),
        ([b""], "HEADER_MISSING"),
        ([b"\x0a\x02\x0a\xff"], "MESSAGE_MALFORMED"),  # a name that is not UTF-8
        ([b"\x12\xff\xff\xff\xff\x0f"], "MESSAGE_MALFORMED"),  # a length beyond the end
        ([b"\x0a" * 3000], "MESSAGE_MALFORMED"),
        ([b"\x0a\x00", b"\x0a\x00"], "CHUNK_INVALID"),  # two headers
        ([b"\x0a\x00", b"\x12\x80\x80\x80"], "MESSAGE_MALFORMED"),
        ([b"\x0a\x00"], "IMAGE_EMPTY"),
    ],
)
def test_messages_that_are_none_are_the_callers_fault(running: Running, messages: list[bytes], reason: str):
    with grpc.insecure_channel(running.address) as channel:
        call = channel.stream_unary(
            "/roomviz.v1.RoomService/UploadRoom", request_serializer=bytes, response_deserializer=bytes
        )
        metadata = [("authorization", f"Bearer {running.key}")]

        with pytest.raises(grpc.RpcError) as caught:
            call(iter(messages), timeout=20, metadata=metadata)

    assert from_call(caught.value).reason == reason  # type: ignore[arg-type]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_a_stranger_learns_nothing_by_messages_that_are_none(running: Running):
    with grpc.insecure_channel(running.address) as channel:
        call = channel.unary_unary(
            "/roomviz.v1.RoomService/GetRoom", request_serializer=bytes, response_deserializer=bytes
        )

        with pytest.raises(grpc.RpcError) as caught:
            call(b"\x0a\xff", timeout=20)

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_a_place_and_a_serial_number_are_gone_before_anything_is_stored_and_told(running: Running, client: Client):
    exif: Any = Image.Exif()
    exif[0x010E] = "SECRET-4711"
    exif.get_ifd(0x8769)[0xA431] = "SECRET-4711"
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (48.0, 8.0, 1.5)
    out = io.BytesIO()
    Image.new("RGB", (1800, 1200), (90, 120, 60)).save(out, "JPEG", exif=exif)

    room = client.upload(out.getvalue() + b"SECRET-4711", "private")

    kinds = [rooms_pb2.MetadataKind.Name(k).removeprefix("METADATA_KIND_") for k in room.privacy_report.removed]
    assert kinds == ["LOCATION", "SERIAL_NUMBERS", "COMMENTS", "TRAILING_DATA", "EXIF"]
    assert client.upload(out.getvalue() + b"SECRET-4711", "again") == room
    assert b"SECRET" not in client.photo(room.name)
    # Nor anywhere in what the object store has on disk, or the row.
    found = [
        path
        for path in (running.settings.home / "data").rglob("*")
        if path.is_file() and "s3" in str(path) and b"SECRET-4711" in path.read_bytes()
    ]
    assert found == []
    row = running.rows("SELECT * FROM gateway.rooms WHERE room_id = $1", room.name.partition("/")[2])
    assert "SECRET" not in str(row)


def test_the_command_tells_what_was_removed(running: Running, tmp_path: Path):
    exif: Any = Image.Exif()
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (48.0, 8.0, 1.5)
    Image.new("RGB", (240, 160), (90, 120, 60)).save(tmp_path / "place.jpg", exif=exif)

    done = running.roomviz("analyze", tmp_path / "place.jpg", "--out", tmp_path / "out")
    as_json = running.roomviz("analyze", tmp_path / "place.jpg", "--out", tmp_path / "out", "--json")

    assert done.returncode == 0, done.stderr
    assert "place.jpg: removed from the photo: location, exif" in done.stderr
    assert as_json.stderr == ""
