"""Uploads that outlive a connection, against the running services."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from roomviz.client import Client
from roomviz.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from roomviz.v1.rooms_pb2 import UploadRoomHeader, UploadRoomRequest
from roomviz.v1.uploads_pb2 import CreateUploadRequest, GetUploadRequest, Upload
from tests.conftest import Running, jpeg
from tests.contract.test_api import Api, covers, refusal, small_room

MIB = 1 << 20


@pytest.fixture(scope="module")
def api(running: Running) -> Iterator[Api]:
    made = Api(running.address, running.key)
    yield made
    made.channel.close()


def noise() -> bytes:
    """A photo of some megabytes that no other test has sent."""
    data = jpeg(np.random.default_rng(uuid.uuid4().int).integers(0, 255, (1500, 1600, 3), np.uint8))
    assert len(data) > 2.5 * MIB
    return data


def begin(api: Api, data: bytes, digest: str = "") -> Upload:
    asked = Upload(display_name="in pieces", size_bytes=len(data), content_digest=digest)
    return api.uploads.CreateUpload(CreateUploadRequest(upload=asked)).upload


def sent(name: str, data: bytes, begin: int, end: int) -> Iterator[UploadRoomRequest]:
    yield UploadRoomRequest(header=UploadRoomHeader(upload=name, offset=begin))
    for at in range(begin, end, MIB):
        yield UploadRoomRequest(chunk=data[at : min(at + MIB, end)])


def arrived(api: Api, name: str) -> int:
    return api.uploads.GetUpload(GetUploadRequest(name=name)).upload.received_bytes


@covers("roomviz.v1.UploadService/CreateUpload", "roomviz.v1.UploadService/GetUpload")
def test_a_file_comes_in_as_many_calls_as_it_takes(api: Api, running: Running):
    data = noise()
    upload = begin(api, data, hashlib.sha256(data).hexdigest())
    middle = 1_500_000

    incomplete = refusal(lambda: api.rooms.UploadRoom(sent(upload.name, data, 0, middle)))
    lost = refusal(lambda: api.rooms.UploadRoom(sent(upload.name, data, 7, len(data))))
    room = api.rooms.UploadRoom(sent(upload.name, data, middle, len(data))).room

    assert isinstance(incomplete, FailedPrecondition)
    assert (incomplete.reason, incomplete.metadata["received_bytes"]) == ("UPLOAD_INCOMPLETE", str(middle))
    assert isinstance(lost, Aborted)
    assert (lost.reason, lost.metadata["received_bytes"]) == ("UPLOAD_OFFSET_MISMATCH", str(middle))
    assert (room.display_name, room.content_digest) == ("in pieces", hashlib.sha256(data).hexdigest())
    # Whoever did not hear the answer asks again; of the pieces nothing is left.
    assert api.rooms.UploadRoom(sent(upload.name, data, len(data), len(data))).room == room
    assert api.uploads.GetUpload(GetUploadRequest(name=upload.name)).upload.room == room.name
    kept = running.rows("SELECT parts FROM gateway.uploads WHERE upload_id = $1", upload.name.partition("/")[2])
    assert kept == [{"parts": []}]


@covers("roomviz.v1.UploadService/CreateUpload")
def test_what_arrived_before_a_call_broke_is_kept_and_a_second_writer_waits(api: Api, running: Running):
    data = noise()
    upload = begin(api, data)
    reached, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[UploadRoomRequest]:
        yield from sent(upload.name, data, 0, 2 * MIB)
        reached.set()
        go_on.wait(60)

    call = api_call(running, api, slow())
    assert reached.wait(30)
    for _ in range(300):
        if arrived(api, upload.name) == 2 * MIB:
            break
        threading.Event().wait(0.1)

    busy = refusal(lambda: api.rooms.UploadRoom(sent(upload.name, data, 2 * MIB, len(data))))
    call.cancel()
    go_on.set()

    assert isinstance(busy, Aborted)
    assert busy.reason == "UPLOAD_BUSY"
    for _ in range(100):
        try:
            room = api.rooms.UploadRoom(sent(upload.name, data, 2 * MIB, len(data))).room
            break
        except grpc.RpcError:
            threading.Event().wait(0.2)
    assert room.content_digest == hashlib.sha256(data).hexdigest()


def api_call(running: Running, api: Api, requests: Iterator[UploadRoomRequest]) -> grpc.Future:
    from roomviz.v1 import rooms_pb2_grpc

    stub = rooms_pb2_grpc.RoomServiceStub(api.channel)
    return stub.UploadRoom.future(requests, timeout=60, metadata=[("authorization", f"Bearer {running.key}")])


@covers("roomviz.v1.RoomService/UploadRoom")
def test_a_file_that_is_not_what_was_announced_is_refused_and_nothing_kept(api: Api, running: Running):
    data = small_room(801)
    wrong = hashlib.sha256(b"something else").hexdigest()
    upload = begin(api, data, wrong)

    refused = refusal(lambda: api.rooms.UploadRoom(sent(upload.name, data, 0, len(data))))

    assert isinstance(refused, InvalidArgument)
    assert refused.reason == "DIGEST_MISMATCH"
    assert refusal(lambda: arrived(api, upload.name)).reason == "UPLOAD_NOT_FOUND"
    for header, reason in (
        (UploadRoomHeader(content_digest=wrong), "DIGEST_MISMATCH"),
        (UploadRoomHeader(content_digest="XYZ"), "DIGEST_INVALID"),
        (UploadRoomHeader(size_bytes=len(data) + 1), "SIZE_MISMATCH"),
    ):
        whole = [UploadRoomRequest(header=header), UploadRoomRequest(chunk=data)]
        assert refusal(lambda whole=whole: api.rooms.UploadRoom(iter(whole))).reason == reason
    digest = hashlib.sha256(data).hexdigest()
    assert running.rows("SELECT 1 FROM gateway.rooms WHERE content_digest = $1", digest) == []


@covers("roomviz.v1.UploadService/CreateUpload", "roomviz.v1.UploadService/GetUpload")
def test_uploads_are_refused_that_cannot_come_to_anything(api: Api):
    upload = begin(api, b"12")
    assert refusal(lambda: api.rooms.UploadRoom(sent(upload.name, b"123", 0, 3))).reason == "SIZE_MISMATCH"
    for asked, reason in (
        (Upload(), "IMAGE_EMPTY"),
        (Upload(size_bytes=1 << 40), "IMAGE_TOO_LARGE"),
        (Upload(size_bytes=9, content_digest="a"), "DIGEST_INVALID"),
        (Upload(size_bytes=9, display_name="n" * 201), "DISPLAY_NAME_TOO_LONG"),
    ):
        request = CreateUploadRequest(upload=asked)
        assert refusal(lambda request=request: api.uploads.CreateUpload(request)).reason == reason
    assert isinstance(refusal(lambda: api.rooms.UploadRoom(sent("uploads/none", b"x", 0, 1))), NotFound)


def test_an_upload_whose_time_is_over_is_forgotten_with_its_parts(api: Api, running: Running):
    data = noise()
    upload = begin(api, data)
    refusal(lambda: api.rooms.UploadRoom(sent(upload.name, data, 0, MIB)))
    upload_id = upload.name.partition("/")[2]
    running.rows("UPDATE gateway.uploads SET expire_time = now() WHERE upload_id = $1 RETURNING 1", upload_id)

    assert refusal(lambda: arrived(api, upload.name)).reason == "UPLOAD_NOT_FOUND"
    for _ in range(120):
        if not running.rows("SELECT 1 FROM gateway.uploads WHERE upload_id = $1", upload_id):
            break
        threading.Event().wait(1.0)
    else:
        raise AssertionError("nobody swept it")


def test_the_sdk_goes_on_where_a_broken_connection_left_off(client: Client, running: Running, tmp_path: Path):
    """The first call is broken by force after a part of the file; the SDK ends it all the same."""
    data = noise()
    path = tmp_path / "room.jpg"
    path.write_bytes(data)
    real, begun = client._rooms.UploadRoom, []

    def breaking(requests: Iterator[UploadRoomRequest], **options: object) -> object:
        first = next(requests)
        begun.append(first.header.offset)
        if len(begun) == 1:
            call = real.future((r for r in (first, next(requests), *paused())), **options)
            threading.Event().wait(2.0)
            call.cancel()
            raise CutOff
        return real((r for r in (first, *requests)), **options)

    def paused() -> Iterator[UploadRoomRequest]:
        return iter(())

    client._rooms.UploadRoom = breaking  # type: ignore[method-assign]
    try:
        room = client.upload(path, resume=True)
    finally:
        client._rooms.UploadRoom = real  # type: ignore[method-assign]

    assert (room.display_name, room.content_digest) == ("room.jpg", hashlib.sha256(data).hexdigest())
    assert begun == [0, MIB]


class CutOff(grpc.RpcError):
    """What gRPC raises where a connection breaks."""

    def __init__(self) -> None:
        super().__init__()

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "Socket closed"

    def trailing_metadata(self) -> tuple[()]:
        return ()
