"""Every RPC of the platform against the running services: what it gives, and how it refuses.

`covers` names the RPC that a test is for; the last test fails when an RPC has none.
"""

import hashlib
import importlib
import io
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.longrunning import operations_pb2_grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from deploy.local.settings import ROOT
from roomviz.client import Client
from roomviz.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, RoomvizError, Unauthenticated
from roomviz.imaging.codec import decode_grey, decode_rgb
from roomviz.imaging.homography import project
from roomviz.internal.compositor.v1 import compositor_pb2, compositor_pb2_grpc
from roomviz.internal.personal.v1 import personal_pb2
from roomviz.internal.segmentation.v1 import segmentation_pb2, segmentation_pb2_grpc
from roomviz.internal.status.v1 import status_pb2, status_pb2_grpc
from roomviz.runtime.rpc import from_call, from_status
from roomviz.v1 import (
    accounts_pb2,
    api_keys_pb2,
    insights_pb2,
    layouts_pb2,
    models_pb2,
    models_pb2_grpc,
    operations_pb2,
    privacy_pb2,
    products_pb2,
    products_pb2_grpc,
    proposals_pb2,
    proposals_pb2_grpc,
    quantities_pb2,
    quantities_pb2_grpc,
    refinements_pb2,
    refinements_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    shares_pb2,
    shares_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    tenants_pb2,
    uploads_pb2,
    uploads_pb2_grpc,
    visualizations_pb2,
    visualizations_pb2_grpc,
    webhooks_pb2,
)
from roomviz.v1 import (
    operations_pb2_grpc as roomviz_operations_grpc,
)
from tests.conftest import Running, jpeg

COVERED: set[str] = set()
F = TypeVar("F", bound=Callable[..., Any])


def covers(*methods: str) -> Callable[[F], F]:
    COVERED.update(methods)
    return lambda function: function


class Api:
    """Raw stubs with a key in the metadata."""

    def __init__(self, address: str, key: str | None):
        self.channel = grpc.insecure_channel(address)
        metadata = [("authorization", f"Bearer {key}")] if key else []

        def bind(stub: Any) -> Any:
            class Bound:
                def __getattr__(self, name: str) -> Callable[..., Any]:
                    return lambda request: getattr(stub, name)(request, timeout=30, metadata=metadata)

            return Bound()

        self.rooms = bind(rooms_pb2_grpc.RoomServiceStub(self.channel))
        self.uploads = bind(uploads_pb2_grpc.UploadServiceStub(self.channel))
        self.refinements = bind(refinements_pb2_grpc.RefinementServiceStub(self.channel))
        self.visualizations = bind(visualizations_pb2_grpc.VisualizationServiceStub(self.channel))
        self.shares = bind(shares_pb2_grpc.ShareServiceStub(self.channel))
        self.products = bind(products_pb2_grpc.ProductServiceStub(self.channel))
        self.quantities = bind(quantities_pb2_grpc.QuantityServiceStub(self.channel))
        self.proposals = bind(proposals_pb2_grpc.ProposalServiceStub(self.channel))
        self.models = bind(models_pb2_grpc.ModelServiceStub(self.channel))
        self.operations = bind(operations_pb2_grpc.OperationsStub(self.channel))
        self.watch = bind(roomviz_operations_grpc.OperationServiceStub(self.channel))
        self.system = bind(system_pb2_grpc.SystemServiceStub(self.channel))


@pytest.fixture(scope="module")
def api(running: Running):
    made = Api(running.address, running.key)
    yield made
    made.channel.close()


def refusal(call: Callable[[], Any]) -> RoomvizError:
    """The failure a call ends with; its status carries an ErrorInfo, and says nothing of our insides."""

    def run() -> None:
        answer = call()
        if hasattr(answer, "__next__"):
            list(answer)

    with pytest.raises(grpc.RpcError) as caught:
        run()
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert any(d.Is(info.DESCRIPTOR) and d.Unpack(info) for d in status.details)
    assert info.domain == "roomviz.dev"
    assert not any(word in status.message for word in ("Traceback", "postgres", "/work", "asyncpg"))
    return from_call(caught.value)  # type: ignore[arg-type]


def small_room(seed: int) -> bytes:
    """A photo that no other test has sent."""
    rng = np.random.default_rng([seed, time.time_ns() % 2**32])
    image = np.full((240, 320, 3), 200, np.uint8)
    image[150:] = (150, 110, 70)
    return jpeg(cv2.GaussianBlur(image + rng.integers(0, 20, image.shape, np.uint8), (3, 3), 0))


def parts(data: bytes, chunk: int = 60_000):
    yield rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(display_name="room"))
    for at in range(0, len(data), chunk):
        yield rooms_pb2.UploadRoomRequest(chunk=data[at : at + chunk])


def wait(api: Api, operation: longrunning.Operation) -> longrunning.Operation:
    for _ in range(30):
        if operation.done:
            return operation
        operation = api.operations.WaitOperation(
            longrunning.WaitOperationRequest(name=operation.name, timeout=duration_pb2.Duration(seconds=5))
        )
    raise AssertionError("the operation did not end")


# --- rooms ------------------------------------------------------------------------------------------


@covers("roomviz.v1.RoomService/UploadRoom", "roomviz.v1.RoomService/GetRoom")
def test_an_uploaded_photo_is_a_room_and_the_same_bytes_are_the_same_room(api: Api):
    data = small_room(1)

    room = api.rooms.UploadRoom(parts(data)).room

    assert (room.width_px, room.height_px) == (320, 240)
    assert room.state == rooms_pb2.ROOM_STATE_UPLOADED
    assert api.rooms.UploadRoom(parts(data)).room.name == room.name
    assert api.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=room.name)).room == room


@covers("roomviz.v1.RoomService/UploadRoom")
@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "HEADER_MISSING"),
        ([rooms_pb2.UploadRoomRequest(chunk=b"x")], "HEADER_MISSING"),
        ([rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader())], "IMAGE_EMPTY"),
        (list(parts(b"not a picture at all")), "IMAGE_FORMAT_UNSUPPORTED"),
        (list(parts(b"\xff\xd8\xff" + bytes(500))), "IMAGE_CORRUPT"),
        (
            [rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(display_name="n" * 300))],
            "DISPLAY_NAME_TOO_LONG",
        ),
        ([*parts(b""), rooms_pb2.UploadRoomRequest(chunk=bytes((1 << 20) + 1))], "CHUNK_INVALID"),
    ],
)
def test_a_bad_upload_is_refused_with_its_reason(api: Api, requests: list, reason: str):
    assert refusal(lambda: api.rooms.UploadRoom(iter(requests))).reason == reason


@covers("roomviz.v1.RoomService/UploadRoom")
def test_an_upload_is_cut_off_as_soon_as_it_is_too_long(api: Api):
    def endless():
        yield rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader())
        for _ in range(10_000):
            yield rooms_pb2.UploadRoomRequest(chunk=b"\xff\xd8\xff" + bytes(1_000_000))

    assert refusal(lambda: api.rooms.UploadRoom(endless())).reason == "IMAGE_TOO_LARGE"


@covers("roomviz.v1.RoomService/GetRoom")
@pytest.mark.parametrize("name", ["", "rooms/", "rooms/a/b", "room/x", "rooms/../etc", "rooms/" + "x" * 99])
def test_a_name_of_the_wrong_form_is_refused(api: Api, name: str):
    assert isinstance(refusal(lambda: api.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=name))), InvalidArgument)


@covers(
    "roomviz.v1.RoomService/AnalyzeRoom",
    "google.longrunning.Operations/GetOperation",
    "google.longrunning.Operations/WaitOperation",
)
def test_an_analysis_is_an_operation_that_ends_with_the_surfaces(api: Api):
    room = api.rooms.UploadRoom(parts(small_room(2))).room
    request = rooms_pb2.AnalyzeRoomRequest(name=room.name, request_id=str(uuid.uuid4()))

    operation = api.rooms.AnalyzeRoom(request)
    done = wait(api, operation)

    answer = rooms_pb2.AnalyzeRoomResponse()
    assert done.response.Unpack(answer)
    assert answer.room == room.name
    assert len(answer.surfaces) > 0
    assert answer.model.startswith("roomseg/")
    metadata = operations_pb2.JobMetadata()
    done.metadata.Unpack(metadata)
    assert metadata.progress_percent == 100
    assert metadata.subject == room.name
    assert api.operations.GetOperation(longrunning.GetOperationRequest(name=operation.name)).done
    assert api.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=room.name)).room.state in (
        rooms_pb2.ROOM_STATE_READY,
        rooms_pb2.ROOM_STATE_NEEDS_REFINEMENT,
    )
    # Asked again, the same operation answers; asked to do it anew, another one.
    assert api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.name)).name == operation.name
    anew = api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.name, reanalyze=True))
    assert anew.name != operation.name
    assert wait(api, anew).WhichOneof("result") == "response"


@covers("roomviz.v1.RoomService/AnalyzeRoom")
def test_the_same_request_id_gives_the_same_operation_and_another_request_under_it_is_refused(api: Api):
    a, b = (api.rooms.UploadRoom(parts(small_room(k))).room.name for k in (3, 4))
    request_id = str(uuid.uuid4())

    first = api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=a, request_id=request_id))
    wait(api, first)

    assert api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=a, request_id=request_id)).name == first.name
    failure = refusal(lambda: api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=b, request_id=request_id)))
    assert isinstance(failure, Aborted)
    assert failure.reason == "REQUEST_ID_REUSED"


@covers("roomviz.v1.RoomService/AnalyzeRoom")
def test_a_photo_of_one_pixel_cannot_be_analyzed(api: Api):
    room = api.rooms.UploadRoom(parts(cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes())).room

    failure = refusal(lambda: api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.name)))

    assert isinstance(failure, FailedPrecondition)
    assert failure.reason == "IMAGE_TOO_SMALL"


@covers("roomviz.v1.RoomService/ListSurfaces")
def test_surfaces_come_in_pages(api: Api, analyzed: rooms_pb2.AnalyzeRoomResponse):
    found, token = [], ""
    while True:
        page = api.rooms.ListSurfaces(
            rooms_pb2.ListSurfacesRequest(parent=analyzed.room, page_size=3, page_token=token)
        )
        assert len(page.surfaces) <= 3
        found += page.surfaces
        token = page.next_page_token
        if not token:
            break

    assert [s.name for s in found] == [s.name for s in analyzed.surfaces]
    floor = next(s for s in found if s.kind == rooms_pb2.SURFACE_KIND_FLOOR)
    assert len(floor.plane.homography) == 9
    assert floor.plane.scale_low < 1 < floor.plane.scale_high


@covers("roomviz.v1.RoomService/ListSurfaces")
def test_surfaces_of_a_room_that_was_not_analyzed_are_refused(api: Api):
    room = api.rooms.UploadRoom(parts(small_room(5))).room

    failure = refusal(lambda: api.rooms.ListSurfaces(rooms_pb2.ListSurfacesRequest(parent=room.name)))

    assert isinstance(failure, FailedPrecondition)
    assert failure.reason == "ROOM_NOT_ANALYZED"


@covers("roomviz.v1.RoomService/FetchMask", "roomviz.v1.RoomService/DownloadPhoto")
def test_a_mask_has_the_size_of_the_photo_and_covers_what_it_says(api: Api, analyzed: rooms_pb2.AnalyzeRoomResponse):
    floor = next(s for s in analyzed.surfaces if s.kind == rooms_pb2.SURFACE_KIND_FLOOR)

    mask = decode_grey(api.rooms.FetchMask(rooms_pb2.FetchMaskRequest(name=floor.name)).png)
    photo = decode_rgb(
        b"".join(p.chunk for p in api.rooms.DownloadPhoto(rooms_pb2.DownloadPhotoRequest(name=analyzed.room)))
    )

    assert mask.shape == photo.shape[:2]
    assert (mask > 127).mean() == pytest.approx(floor.area_fraction, abs=0.01)
    x, y, w, h = cv2.boundingRect(mask)
    assert [x, y, w, h] == list(floor.bbox_px)


@covers("roomviz.v1.RoomService/FetchMask", "roomviz.v1.RoomService/DownloadPhoto")
def test_what_does_not_exist_is_not_found(api: Api, analyzed: rooms_pb2.AnalyzeRoomResponse):
    missing = "rooms/0123456789"
    calls = [
        lambda: api.rooms.FetchMask(rooms_pb2.FetchMaskRequest(name=f"{analyzed.room}/surfaces/pool-1")),
        lambda: api.rooms.FetchMask(rooms_pb2.FetchMaskRequest(name=f"{missing}/surfaces/floor-1")),
        lambda: api.rooms.DownloadPhoto(rooms_pb2.DownloadPhotoRequest(name=missing)),
        lambda: api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=missing)),
        lambda: api.operations.GetOperation(longrunning.GetOperationRequest(name="operations/none")),
        lambda: api.watch.WatchOperation(operations_pb2.WatchOperationRequest(name="operations/none")),
        lambda: api.visualizations.GetVisualization(
            visualizations_pb2.GetVisualizationRequest(name="visualizations/none")
        ),
        lambda: api.visualizations.DownloadVisualization(
            visualizations_pb2.DownloadVisualizationRequest(name="visualizations/none")
        ),
        lambda: api.products.GetProduct(products_pb2.GetProductRequest(name="products/none")),
    ]
    for call in calls:
        assert isinstance(refusal(call), NotFound)


# --- refinements ------------------------------------------------------------------------------------


def click(surface: str, x: float, y: float, erase: bool = False, **more: Any) -> refinements_pb2.RefineSurfaceRequest:
    stroke = refinements_pb2.Stroke(point=refinements_pb2.PointPx(x=x, y=y), erase=erase)
    return refinements_pb2.RefineSurfaceRequest(name=surface, strokes=[stroke], **more)


@pytest.fixture
def room(api: Api) -> rooms_pb2.AnalyzeRoomResponse:
    """A room of its own, analyzed."""
    name = api.rooms.UploadRoom(parts(small_room(20))).room.name
    answer = rooms_pb2.AnalyzeRoomResponse()
    wait(api, api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=name))).response.Unpack(answer)
    return answer


def masks_of(api: Api, room: str) -> dict[str, bytes]:
    surfaces = api.rooms.ListSurfaces(rooms_pb2.ListSurfacesRequest(parent=room, page_size=200)).surfaces
    return {s.surface_id: api.rooms.FetchMask(rooms_pb2.FetchMaskRequest(name=s.name)).png for s in surfaces}


def etag_of(api: Api, room: str) -> str:
    return api.refinements.ListRefinements(refinements_pb2.ListRefinementsRequest(parent=room)).etag


def outside(room: rooms_pb2.AnalyzeRoomResponse, masks: dict[str, bytes], surface_id: str) -> tuple[float, float]:
    """A point that is not in the surface's mask, far from it."""
    alpha = decode_grey(masks[surface_id])
    away = cv2.distanceTransform(np.pad((alpha == 0).astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(away.argmax(), away.shape)
    return float(x) + 0.5, float(y) + 0.5


@covers("roomviz.v1.RefinementService/RefineSurface")
def test_a_click_gives_a_surface_what_lies_under_it_and_takes_it_from_the_others(
    api: Api, room: rooms_pb2.AnalyzeRoomResponse
):
    before = masks_of(api, room.room)
    target = room.surfaces[0]
    x, y = outside(room, before, target.surface_id)

    answer = api.refinements.RefineSurface(click(target.name, x, y))

    after = masks_of(api, room.room)
    assert decode_grey(after[target.surface_id])[int(y), int(x)] == 255
    others = [decode_grey(png) for name, png in after.items() if name != target.surface_id]
    assert all(alpha[int(y), int(x)] == 0 for alpha in others)
    assert {s.surface_id for s in answer.surfaces} == {n for n in after if after[n] != before[n]}
    left, top, width, height = answer.changed_box_px
    for name in after:
        moved = decode_grey(after[name]) != decode_grey(before[name])
        moved[top : top + height, left : left + width] = False
        assert not moved.any(), f"{name} changed outside the box that was told"
    new = next(s for s in answer.surfaces if s.surface_id == target.surface_id)
    assert list(new.bbox_px) == list(cv2.boundingRect(decode_grey(after[target.surface_id])))
    assert new.area_fraction > target.area_fraction
    assert new.plane == target.plane
    assert answer.refinement.revision == 1
    assert answer.etag == etag_of(api, room.room)


@covers(
    "roomviz.v1.RefinementService/UndoRefinement",
    "roomviz.v1.RefinementService/RedoRefinement",
    "roomviz.v1.RefinementService/ResetRefinements",
    "roomviz.v1.RefinementService/ListRefinements",
)
def test_what_is_taken_back_comes_back_to_the_byte_and_the_log_tells_all_of_it(
    api: Api, room: rooms_pb2.AnalyzeRoomResponse
):
    undo = refinements_pb2.UndoRefinementRequest(parent=room.room)
    redo = refinements_pb2.RedoRefinementRequest(parent=room.room)
    automatic = masks_of(api, room.room)
    target = room.surfaces[0]
    api.refinements.RefineSurface(click(target.name, *outside(room, automatic, target.surface_id)))
    first = masks_of(api, room.room)
    inside = decode_grey(first[target.surface_id])
    y, x = np.argwhere(inside == 255)[0]
    api.refinements.RefineSurface(click(target.name, float(x) + 0.5, float(y) + 0.5, erase=True))
    second = masks_of(api, room.room)
    assert automatic != first != second

    api.refinements.UndoRefinement(undo)
    assert masks_of(api, room.room) == first
    api.refinements.UndoRefinement(undo)
    assert masks_of(api, room.room) == automatic
    assert refusal(lambda: api.refinements.UndoRefinement(undo)).reason == "NOTHING_TO_UNDO"
    api.refinements.RedoRefinement(redo)
    api.refinements.RedoRefinement(redo)
    assert masks_of(api, room.room) == second
    assert refusal(lambda: api.refinements.RedoRefinement(redo)).reason == "NOTHING_TO_REDO"
    reset = api.refinements.ResetRefinements(refinements_pb2.ResetRefinementsRequest(parent=room.room))
    assert masks_of(api, room.room) == automatic
    assert {s.surface_id for s in reset.surfaces} == {n for n in second if second[n] != automatic[n]}
    api.refinements.UndoRefinement(undo)
    assert masks_of(api, room.room) == second

    steps, token = [], ""
    while True:
        page = api.refinements.ListRefinements(
            refinements_pb2.ListRefinementsRequest(parent=room.room, page_size=3, page_token=token)
        )
        steps += page.refinements
        token = page.next_page_token
        if not token:
            break
    kinds = [refinements_pb2.RefinementKind.Name(s.kind).removeprefix("REFINEMENT_KIND_") for s in steps]
    assert kinds == ["REFINE", "REFINE", "UNDO", "UNDO", "REDO", "REDO", "RESET", "UNDO"]
    assert [s.revision for s in steps] == list(range(1, 9))
    assert [s.revision for s in steps if s.active] == [1, 2]
    assert steps[1].strokes[0].erase


@covers("roomviz.v1.RefinementService/RefineSurface", "roomviz.v1.RefinementService/UndoRefinement")
def test_a_step_is_done_once_and_only_on_the_masks_that_it_was_meant_for(api: Api, room: rooms_pb2.AnalyzeRoomResponse):
    target = room.surfaces[0]
    x, y = outside(room, masks_of(api, room.room), target.surface_id)
    etag, request_id = etag_of(api, room.room), str(uuid.uuid4())

    first = api.refinements.RefineSurface(click(target.name, x, y, etag=etag, request_id=request_id))
    again = api.refinements.RefineSurface(click(target.name, x, y, etag=etag, request_id=request_id))

    assert again == first
    other = refusal(lambda: api.refinements.RefineSurface(click(target.name, x, y, True, request_id=request_id)))
    assert (type(other), other.reason) == (Aborted, "REQUEST_ID_REUSED")
    for call in (
        lambda: api.refinements.RefineSurface(click(target.name, x, y, etag=etag)),
        lambda: api.refinements.UndoRefinement(refinements_pb2.UndoRefinementRequest(parent=room.room, etag=etag)),
    ):
        stale = refusal(call)
        assert (type(stale), stale.reason) == (Aborted, "REVISION_CHANGED")
    assert (
        len(api.refinements.ListRefinements(refinements_pb2.ListRefinementsRequest(parent=room.room)).refinements) == 1
    )


POINT = refinements_pb2.PointPx


@covers("roomviz.v1.RefinementService/RefineSurface")
@pytest.mark.parametrize(
    ("strokes", "field"),
    [
        ([], "strokes"),
        ([refinements_pb2.Stroke()], "strokes"),
        ([refinements_pb2.Stroke(point=POINT(x=-1, y=5))], "strokes[0].point"),
        ([refinements_pb2.Stroke(point=POINT(x=5, y=241))], "strokes[0].point"),
        ([refinements_pb2.Stroke(point=POINT(x=float("nan"), y=5))], "strokes[0].point"),
        ([refinements_pb2.Stroke(point=POINT(x=5, y=float("inf")))], "strokes[0].point"),
        ([refinements_pb2.Stroke(scribble=refinements_pb2.Scribble(width_px=5))], "strokes[0].scribble"),
        (
            [refinements_pb2.Stroke(scribble=refinements_pb2.Scribble(points=[POINT(x=5, y=5)], width_px=0))],
            "strokes[0].scribble.width_px",
        ),
        (
            [refinements_pb2.Stroke(scribble=refinements_pb2.Scribble(points=[POINT(x=5, y=5)], width_px=1e9))],
            "strokes[0].scribble.width_px",
        ),
        (
            [refinements_pb2.Stroke(polygon=refinements_pb2.Polygon(points=[POINT(x=5, y=5)] * 2))],
            "strokes[0].polygon",
        ),
        (
            [refinements_pb2.Stroke(box=refinements_pb2.BoxPx(min=POINT(x=5, y=5), max=POINT(x=5, y=9)))],
            "strokes[0].box",
        ),
        ([refinements_pb2.Stroke(point=POINT(x=5, y=5))] * 65, "strokes"),
        (
            [refinements_pb2.Stroke(polygon=refinements_pb2.Polygon(points=[POINT(x=5, y=5)] * 5000))],
            "strokes",
        ),
    ],
)
def test_strokes_that_cannot_be_drawn_are_refused_and_named(
    api: Api, analyzed: rooms_pb2.AnalyzeRoomResponse, strokes: list, field: str
):
    name = analyzed.surfaces[0].name
    # The sample photo is larger than that.
    beyond = [s for s in strokes if s.point.y == 241]
    for s in beyond:
        s.point.y = 1e6

    failure = refusal(
        lambda: api.refinements.RefineSurface(refinements_pb2.RefineSurfaceRequest(name=name, strokes=strokes))
    )

    assert isinstance(failure, InvalidArgument)
    assert failure.reason in ("STROKE_INVALID", "STROKES_INVALID")
    assert failure.metadata["field"] == field


@covers("roomviz.v1.RefinementService/RefineSurface", "roomviz.v1.RefinementService/ListRefinements")
def test_corrections_need_an_analyzed_room_and_a_surface(api: Api, analyzed: rooms_pb2.AnalyzeRoomResponse):
    fresh = api.rooms.UploadRoom(parts(small_room(21))).room.name
    for call in (
        lambda: api.refinements.RefineSurface(click(f"{fresh}/surfaces/floor-1", 5, 5)),
        lambda: api.refinements.UndoRefinement(refinements_pb2.UndoRefinementRequest(parent=fresh)),
        lambda: api.refinements.ListRefinements(refinements_pb2.ListRefinementsRequest(parent=fresh)),
        lambda: api.refinements.ReplayRefinements(refinements_pb2.ReplayRefinementsRequest(parent=fresh)),
    ):
        failure = refusal(call)
        assert (type(failure), failure.reason) == (FailedPrecondition, "ROOM_NOT_ANALYZED")
    missing = refusal(lambda: api.refinements.RefineSurface(click(f"{analyzed.room}/surfaces/pool-1", 5, 5)))
    assert (type(missing), missing.reason) == (NotFound, "SURFACE_NOT_FOUND")
    assert isinstance(refusal(lambda: api.refinements.RefineSurface(click("rooms/0123/surfaces/x", 5, 5))), NotFound)
    assert isinstance(refusal(lambda: api.refinements.RefineSurface(click("surfaces/x", 5, 5))), InvalidArgument)


@covers("roomviz.v1.RefinementService/ReplayRefinements")
def test_a_replay_tells_how_corrections_fare_and_changes_nothing(api: Api, room: rooms_pb2.AnalyzeRoomResponse):
    target = room.surfaces[0]
    x, y = outside(room, masks_of(api, room.room), target.surface_id)
    api.refinements.RefineSurface(click(target.name, x, y))
    corrected = masks_of(api, room.room)
    replay = refinements_pb2.ReplayRefinementsRequest(parent=room.room)

    same = api.refinements.ReplayRefinements(replay)

    assert [(s.surface_id, s.replayed_id) for s in same.surfaces] == [(target.surface_id, target.surface_id)]
    assert same.surfaces[0].iou == 1.0, "the same steps on the same masks come out the same"
    assert same.surfaces[0].automatic_iou < 1.0
    assert (same.refinement_count, same.revision) == (1, 1)
    assert masks_of(api, room.room) == corrected
    # A new analysis replaces the masks; the log is kept, tried on them, and the step can be taken back.
    wait(api, api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.room, reanalyze=True)))
    anew = masks_of(api, room.room)
    assert anew != corrected
    after = api.refinements.ReplayRefinements(replay)
    assert (after.refinement_count, after.revision) == (1, 1)
    assert after.surfaces[0].iou > after.surfaces[0].automatic_iou
    assert masks_of(api, room.room) == anew
    api.refinements.UndoRefinement(refinements_pb2.UndoRefinementRequest(parent=room.room))
    assert masks_of(api, room.room) == corrected


@covers("roomviz.v1.RefinementService/RefineSurface")
def test_a_click_asks_the_model_server_for_nothing(api: Api, running: Running, room: rooms_pb2.AnalyzeRoomResponse):
    import re
    import urllib.request

    def inferences() -> float:
        url = f"http://127.0.0.1:{running.settings.triton_metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return sum(float(v) for v in re.findall(r"^nv_inference_count{.*} (\S+)$", answer.read().decode(), re.M))

    before = inferences()
    assert before > 0

    for x in (50, 150, 250):
        api.refinements.RefineSurface(click(room.surfaces[0].name, x, 40))

    assert inferences() == before


@covers("roomviz.v1.RefinementService/RefineSurface")
def test_a_photo_larger_than_the_working_copy_is_corrected_at_its_own_size(api: Api):
    rng = np.random.default_rng(time.time_ns())
    image = np.full((1500, 2000, 3), 205, np.uint8)
    image[950:] = (150, 110, 70)
    data = jpeg(image + rng.integers(0, 12, image.shape, np.uint8))
    name = api.rooms.UploadRoom(parts(data)).room.name
    answer = rooms_pb2.AnalyzeRoomResponse()
    wait(api, api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=name))).response.Unpack(answer)
    before = masks_of(api, name)
    target = answer.surfaces[0].surface_id
    x, y = outside(answer, before, target)
    line = refinements_pb2.Scribble(points=[POINT(x=x - 40, y=y), POINT(x=x + 40, y=y)], width_px=9)
    stroke = refinements_pb2.Stroke(scribble=line)

    made = api.refinements.RefineSurface(
        refinements_pb2.RefineSurfaceRequest(name=answer.surfaces[0].name, strokes=[stroke])
    )

    after = {k: decode_grey(v) for k, v in masks_of(api, name).items()}
    assert after[target].shape == (1500, 2000)
    assert (after[target][int(y), int(x) - 40 : int(x) + 40] == 255).all()
    left, top, width, height = made.changed_box_px
    for key, alpha in after.items():
        moved = alpha != decode_grey(before[key])
        moved[top : top + height, left : left + width] = False
        assert not moved.any()
    replay = api.refinements.ReplayRefinements(refinements_pb2.ReplayRefinementsRequest(parent=name))
    assert replay.surfaces[0].iou == 1.0


@covers("roomviz.v1.RefinementService/RefineSurface")
def test_clicks_at_the_same_time_are_all_in_the_log_and_all_in_the_masks(
    running: Running, room: rooms_pb2.AnalyzeRoomResponse
):
    import threading

    apis = [Api(running.address, running.key) for _ in range(4)]
    points = [(40.5, 20.5), (280.5, 20.5), (40.5, 220.5), (280.5, 220.5)]
    target = room.surfaces[0]
    answers: list[Any] = []

    def one(api: Api, x: float, y: float) -> None:
        answers.append(api.refinements.RefineSurface(click(target.name, x, y)))

    threads = [threading.Thread(target=one, args=(a, *p)) for a, p in zip(apis, points, strict=True)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    assert sorted(a.refinement.revision for a in answers) == [1, 2, 3, 4]
    alpha = decode_grey(masks_of(apis[0], room.room)[target.surface_id])
    assert all(alpha[int(y), int(x)] == 255 for x, y in points)
    for a in apis:
        a.channel.close()


# --- visualizations ---------------------------------------------------------------------------------


@covers(
    "roomviz.v1.VisualizationService/PreviewVisualization",
    "roomviz.internal.compositor.v1.CompositorService/RenderPreview",
)
def test_a_preview_changes_the_floor_and_nothing_else(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    photo = decode_rgb(client.photo(analyzed.room)).astype(int)
    floor = next(s for s in analyzed.surfaces if s.kind == rooms_pb2.SURFACE_KIND_FLOOR)
    mask = decode_grey(client.mask(floor.name))

    picture = decode_rgb(client.preview(analyzed.room, [client.apply("TIL-CHECKER", kind="floor")])).astype(int)

    difference = np.abs(picture - photo).mean(2)
    far = cv2.erode((mask == 0).astype(np.uint8), np.ones((33, 33))) > 0
    assert difference[mask == 255].mean() > 25
    assert difference[far].mean() < 3  # what JPEG does


@covers(
    "roomviz.v1.VisualizationService/ExportVisualization",
    "roomviz.v1.VisualizationService/GetVisualization",
    "roomviz.v1.VisualizationService/DownloadVisualization",
)
def test_an_export_is_kept_at_full_size_and_exact_outside_the_mask(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    application = client.apply("FLR-WALNUT", surface_id="floor-1")
    request = visualizations_pb2.ExportVisualizationRequest(
        room=analyzed.room,
        applications=[application],
        format=visualizations_pb2.IMAGE_FORMAT_PNG,
        request_id=str(uuid.uuid4()),
    )

    done = wait(api, api.visualizations.ExportVisualization(request))

    made = visualizations_pb2.Visualization()
    assert done.response.Unpack(made)
    kept = api.visualizations.GetVisualization(visualizations_pb2.GetVisualizationRequest(name=made.name)).visualization
    assert kept == made
    data = b"".join(
        p.chunk
        for p in api.visualizations.DownloadVisualization(
            visualizations_pb2.DownloadVisualizationRequest(name=made.name)
        )
    )
    assert len(data) == made.size_bytes
    picture, photo = decode_rgb(data), decode_rgb(client.photo(analyzed.room))
    outside = decode_grey(client.mask(f"{analyzed.room}/surfaces/floor-1")) == 0
    np.testing.assert_array_equal(picture[outside], photo[outside])
    assert (picture[~outside] != photo[~outside]).any()
    # The same request again is the same picture, rendered once.
    assert api.visualizations.ExportVisualization(request).name == done.name


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.VisualizationService/ExportVisualization")
def test_applications_that_make_no_sense_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def ask(*applications: visualizations_pb2.Application) -> RoomvizError:
        request = visualizations_pb2.PreviewVisualizationRequest(room=analyzed.room, applications=applications)
        export = visualizations_pb2.ExportVisualizationRequest(room=analyzed.room, applications=applications)
        preview = refusal(lambda: api.visualizations.PreviewVisualization(request))
        try:
            operation = api.visualizations.ExportVisualization(export)
        except grpc.RpcError as error:
            reason = from_call(error).reason  # type: ignore[arg-type]
        else:
            reason = from_status(wait(api, operation).error).reason
        assert reason == preview.reason
        return preview

    assert ask().reason == "APPLICATIONS_INVALID"
    assert ask(client.apply("NO-SUCH-SKU", kind="floor")).reason == "PRODUCT_NOT_FOUND"
    assert ask(client.apply("FLR-WALNUT", surface_id="pool-1")).reason == "SURFACE_NOT_FOUND"
    assert ask(visualizations_pb2.Application(product="products/FLR-WALNUT")).reason == "SURFACE_NOT_FOUND"
    flat = next(s for s in analyzed.surfaces if not s.HasField("plane"))
    assert ask(client.apply("FLR-WALNUT", surface_id=flat.surface_id)).reason == "SURFACE_WITHOUT_PLANE"


# --- outputs and receipts ---------------------------------------------------------------------------


def exported(api: Api, room: str, applications: list, **more: Any) -> tuple[visualizations_pb2.Visualization, bytes]:
    request = visualizations_pb2.ExportVisualizationRequest(room=room, applications=applications, **more)
    done = wait(api, api.visualizations.ExportVisualization(request))
    made = visualizations_pb2.Visualization()
    assert done.response.Unpack(made), done.error
    download = visualizations_pb2.DownloadVisualizationRequest(name=made.name)
    return made, b"".join(p.chunk for p in api.visualizations.DownloadVisualization(download))


def shown(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def verified(api: Api, data: bytes, chunk: int = 1 << 20) -> visualizations_pb2.VerifyRenderResponse:
    requests = [visualizations_pb2.VerifyRenderRequest(chunk=data[a : a + chunk]) for a in range(0, len(data), chunk)]
    answer: visualizations_pb2.VerifyRenderResponse = api.visualizations.VerifyRender(iter(requests))
    return answer


def resaved(data: bytes, pixels: np.ndarray) -> bytes:
    """As another program writes it, which keeps the metadata."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, xmp=Image.open(io.BytesIO(data)).info["xmp"])
    return out.getvalue()


@covers("roomviz.v1.VisualizationService/ExportVisualization")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_export_comes_in_every_format_with_its_receipt(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse, format: str
):
    floor = [client.apply("FLR-WALNUT", kind="floor")]

    made, data = exported(api, analyzed.room, floor, format=f"IMAGE_FORMAT_{format}")
    _, exact = exported(api, analyzed.room, floor, format="IMAGE_FORMAT_PNG")

    image = Image.open(io.BytesIO(data))
    assert (image.format, *image.size) == (format, made.width_px, made.height_px)
    assert (made.view, made.format) == (
        visualizations_pb2.VIEW_AFTER,
        visualizations_pb2.ImageFormat.Value(f"IMAGE_FORMAT_{format}"),
    )
    assert made.receipt.encode() in image.info["xmp"]
    assert len(made.receipt) == 64
    assert np.abs(shown(data).astype(int) - shown(exact)).mean() < 3


@covers("roomviz.v1.VisualizationService/ExportVisualization")
def test_views_show_before_and_after_and_the_layer_alone(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    floor = [client.apply("TIL-CHECKER", kind="floor")]

    def seen(view: str) -> np.ndarray:
        made, data = exported(api, analyzed.room, floor, format="IMAGE_FORMAT_PNG", view=f"VIEW_{view}")
        picture = shown(data)
        assert picture.shape[:2] == (made.height_px, made.width_px)
        assert made.view == visualizations_pb2.View.Value(f"VIEW_{view}")
        return picture.astype(float)

    after, before, both, layer = (seen(v) for v in ("AFTER", "BEFORE", "SIDE_BY_SIDE", "LAYER"))

    np.testing.assert_array_equal(before, decode_rgb(client.photo(analyzed.room)))
    np.testing.assert_array_equal(both, np.concatenate([before, after], 1))
    alpha = layer[..., 3:] / 255
    assert np.abs(np.round(before * (1 - alpha) + layer[..., :3] * alpha) - after).max() <= 1
    mask = decode_grey(client.mask(f"{analyzed.room}/surfaces/floor-1"))
    assert (layer[mask == 0] == 0).all()
    # Edges are where the photo has them, within the mask's own.
    assert (layer[..., 3][mask > 0] > 0).all()
    assert (layer[..., 3][mask == 255] == 255).all()


@covers("roomviz.v1.VisualizationService/ExportVisualization")
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"view": "VIEW_LAYER"}, "IMAGE_FORMAT_UNSUPPORTED"),
        ({"view": "VIEW_LAYER", "format": "IMAGE_FORMAT_JPEG"}, "IMAGE_FORMAT_UNSUPPORTED"),
        ({"format": 99}, "IMAGE_FORMAT_UNSUPPORTED"),
        ({"view": 99}, "VIEW_INVALID"),
    ],
)
def test_what_cannot_be_written_is_refused(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse, more: dict, reason: str
):
    request = visualizations_pb2.ExportVisualizationRequest(
        room=analyzed.room, applications=[client.apply("FLR-WALNUT", kind="floor")], **more
    )

    failure = refusal(lambda: api.visualizations.ExportVisualization(request))

    assert isinstance(failure, InvalidArgument)
    assert failure.reason == reason


@covers(
    "roomviz.v1.VisualizationService/RerenderVisualization",
    "roomviz.internal.compositor.v1.CompositorService/Rerender",
)
def test_a_receipt_gives_the_same_bytes_from_a_compositor_that_never_saw_it(
    api: Api, client: Client, running: Running, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    floor = [client.apply("FLR-HERRINGBONE-OAK", kind="floor"), client.apply("PNT-SAGE", kind="wall")]
    request = visualizations_pb2.PreviewVisualizationRequest(room=analyzed.room, applications=floor)
    preview = api.visualizations.PreviewVisualization(request)
    assert api.visualizations.PreviewVisualization(request) == preview
    pictures = {preview.receipt: preview.image}
    for format, view in (("JPEG", "AFTER"), ("AVIF", "AFTER"), ("WEBP", "LAYER"), ("PNG", "SIDE_BY_SIDE")):
        made, data = exported(api, analyzed.room, floor, format=f"IMAGE_FORMAT_{format}", view=f"VIEW_{view}")
        pictures[made.receipt] = data
    assert len(pictures) == 5

    before = running.pid("compositor")
    running.stack.rpc().stopProcess("compositor")
    running.stack.rpc().startProcess("compositor")
    running.until_ready("compositor")

    assert running.pid("compositor") != before
    for receipt, data in pictures.items():
        assert client.rerender(receipt) == data


@covers("roomviz.v1.VisualizationService/RerenderVisualization")
@pytest.mark.parametrize(
    ("receipt", "reason"),
    [
        ("", "RECEIPT_INVALID"),
        ("../../textures/x", "RECEIPT_INVALID"),
        ("A" * 64, "RECEIPT_INVALID"),
        ("a" * 65, "RECEIPT_INVALID"),
        ("a" * 64, "RECEIPT_NOT_FOUND"),
    ],
)
def test_what_is_no_receipt_is_refused(api: Api, running: Running, receipt: str, reason: str):
    again = visualizations_pb2.RerenderVisualizationRequest(receipt=receipt)

    assert refusal(lambda: api.visualizations.RerenderVisualization(again)).reason == reason
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.compositor_port}") as channel:
        stub = compositor_pb2_grpc.CompositorServiceStub(channel)
        inside = compositor_pb2.RerenderRequest(receipt=receipt)
        metadata = [("x-roomviz-tenant", "demo")]
        failure = refusal(lambda: stub.Rerender(inside, timeout=5, metadata=metadata))
    assert failure.reason == "RECEIPT_NOT_FOUND"


@covers("roomviz.v1.VisualizationService/VerifyRender", "roomviz.internal.compositor.v1.CompositorService/Verify")
def test_verify_tells_untouched_rewritten_altered_and_unknown(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    applications = [client.apply("TIL-CHECKER", kind="floor")]
    made, data = exported(api, analyzed.room, applications, format="IMAGE_FORMAT_WEBP")
    preview = api.visualizations.PreviewVisualization(
        visualizations_pb2.PreviewVisualizationRequest(room=analyzed.room, applications=applications)
    )
    verdicts = visualizations_pb2
    ours = {"receipt": made.receipt, "room": analyzed.room}

    def answer(verdict: int, **more: Any) -> visualizations_pb2.VerifyRenderResponse:
        return visualizations_pb2.VerifyRenderResponse(verdict=verdict, **more)  # type: ignore[arg-type]

    assert verified(api, data, 10_000) == answer(verdicts.RENDER_VERDICT_UNTOUCHED, **ours)
    assert verified(api, preview.image) == answer(
        verdicts.RENDER_VERDICT_UNTOUCHED, receipt=preview.receipt, room=analyzed.room
    )
    pixels = shown(data)
    assert verified(api, resaved(data, pixels)) == answer(verdicts.RENDER_VERDICT_REWRITTEN, **ours)
    dotted = pixels.copy()
    dotted[77, 55] ^= 1
    assert verified(api, resaved(data, dotted)) == answer(
        verdicts.RENDER_VERDICT_ALTERED, altered_px=[55, 77, 1, 1], **ours
    )
    assert verified(api, resaved(data, pixels[:-9])) == answer(verdicts.RENDER_VERDICT_ALTERED, **ours)
    assert verified(api, data[:-1000] + data[-900:]).verdict == verdicts.RENDER_VERDICT_ALTERED
    unknown = answer(verdicts.RENDER_VERDICT_UNKNOWN)
    other_receipt = data.replace(made.receipt.encode(), made.receipt[::-1].encode())
    for foreign in (client.photo(analyzed.room), b"no picture", other_receipt):
        assert verified(api, foreign) == unknown


@covers("roomviz.v1.VisualizationService/VerifyRender", "roomviz.v1.VisualizationService/RerenderVisualization")
def test_a_receipt_is_worth_nothing_to_another_tenant(
    client: Client, running: Running, analyzed: rooms_pb2.AnalyzeRoomResponse, other_key: str
):
    request = [client.apply("FLR-WALNUT", kind="floor")]
    image = client.preview(analyzed.room, request)
    found = client.verify(image)
    assert found.verdict == visualizations_pb2.RENDER_VERDICT_UNTOUCHED

    with Client(running.address, other_key) as other:
        assert other.verify(image) == visualizations_pb2.VerifyRenderResponse(
            verdict=visualizations_pb2.RENDER_VERDICT_UNKNOWN
        )
        with pytest.raises(NotFound) as caught:
            other.rerender(found.receipt)
    assert caught.value.reason == "RECEIPT_NOT_FOUND"


@covers("roomviz.v1.VisualizationService/VerifyRender")
def test_a_picture_to_verify_is_neither_empty_nor_endless(api: Api):
    def endless():
        for _ in range(1000):
            yield visualizations_pb2.VerifyRenderRequest(chunk=bytes(1 << 20))

    wide = [visualizations_pb2.VerifyRenderRequest(chunk=bytes((1 << 20) + 1))]

    assert refusal(lambda: api.visualizations.VerifyRender(iter([]))).reason == "IMAGE_EMPTY"
    assert refusal(lambda: api.visualizations.VerifyRender(iter(wide))).reason == "CHUNK_INVALID"
    assert refusal(lambda: api.visualizations.VerifyRender(endless())).reason == "IMAGE_TOO_LARGE"


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.VisualizationService/ExportVisualization")
def test_pieces_are_laid_in_the_pattern_that_was_asked(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    photo = decode_rgb(client.photo(analyzed.room))
    floor = next(s for s in analyzed.surfaces if s.kind == rooms_pb2.SURFACE_KIND_FLOOR)
    mask = decode_grey(client.mask(floor.name))

    def laid(layout: layouts_pb2.Layout | None) -> np.ndarray:
        return decode_rgb(client.preview(analyzed.room, [client.apply("FLR-OAK-NATURAL", kind="floor", layout=layout)]))

    own, planks, pattern = laid(None), laid(client.layout("plank")), laid(client.layout("herringbone"))
    texture, seed = laid(client.layout("texture")), laid(client.layout("plank", seed=5))

    np.testing.assert_array_equal(own, planks)
    for other in (pattern, texture, seed):
        assert np.abs(own.astype(int) - other)[mask == 255].mean() > 2
    # The boards are the same in whatever pattern, and so is the floor's colour.
    np.testing.assert_allclose(own[mask == 255].mean(0), pattern[mask == 255].mean(0), atol=4)
    made = client.export(analyzed.room, [client.apply("FLR-OAK-NATURAL", kind="floor")], "png")
    exported = decode_rgb(client.picture(made.name))
    np.testing.assert_array_equal(exported[mask == 0], photo[mask == 0])


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.VisualizationService/ExportVisualization")
def test_layouts_that_cannot_be_laid_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def ask(sku: str, layout: layouts_pb2.Layout) -> RoomvizError:
        wanted = [client.apply(sku, kind="floor", layout=layout)]
        export = visualizations_pb2.ExportVisualizationRequest(room=analyzed.room, applications=wanted)
        preview = visualizations_pb2.PreviewVisualizationRequest(room=analyzed.room, applications=wanted)
        refused = refusal(lambda: api.visualizations.PreviewVisualization(preview))
        try:
            operation = api.visualizations.ExportVisualization(export)
        except grpc.RpcError as error:
            reason = from_call(error).reason  # type: ignore[arg-type]
        else:
            reason = from_status(wait(api, operation).error).reason
        assert reason == refused.reason
        return refused

    assert ask("TIL-CHECKER", client.layout("grid")).reason == "PATTERN_WITHOUT_FACE"
    assert ask("PNT-SAGE", client.layout("herringbone")).reason == "LAYOUT_INVALID"
    assert ask("FLR-WALNUT", client.layout("plank", bevel_m=0.5)).metadata["field"] == "bevel_m"
    assert "half of the shortest board" in ask("FLR-WALNUT", client.layout("plank", min_stagger_m=1.0)).message
    assert "twice as long" in ask("TIL-CERAMIC-WHITE", client.layout("basket_weave")).message
    crossed = layouts_pb2.Border(width_m=0.2, piece_length_m=0.4, outline=[layouts_pb2.PlanePoint()] * 3)
    assert ask("FLR-WALNUT", client.layout("plank", border=crossed)).reason == "LAYOUT_INVALID"


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.QuantityService/EstimateQuantity")
def test_a_border_without_an_outline_runs_along_the_walls(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    def applied(sku: str, edge: str) -> list[visualizations_pb2.Application]:
        layout = client.layout("grid", border=client.border(sku=edge))
        return [client.apply(sku, surface_id="floor-1", layout=layout)]

    white, red = (
        client.preview_details(analyzed.room, applied("TIL-CERAMIC-WHITE", e))
        for e in ("TIL-CERAMIC-GREY", "TIL-TERRACOTTA")
    )

    assert [c.product for c in red.colors] == ["products/TIL-CERAMIC-WHITE", "products/TIL-TERRACOTTA"]
    a, b = (decode_rgb(p.image).astype(int) for p in (red, white))
    warmer = (a[..., 0] - a[..., 2]) - (b[..., 0] - b[..., 2]) > 25
    mask = decode_grey(masks_of(api, analyzed.room)["floor-1"])
    floor = cv2.resize(mask, warmer.shape[::-1], interpolation=cv2.INTER_AREA) > 200
    # A strip, and it lies where the floor ends: in most columns that have some its upper end is the floor's own.
    assert 0.02 < warmer[floor].mean() < 0.6
    columns = np.flatnonzero((warmer & floor).sum(0) > 3)
    upper = (warmer & floor).argmax(0)[columns] - floor.argmax(0)[columns]
    assert (np.abs(upper) <= 3).mean() > 0.5
    # It is bought for that outline, and found again for each item of a batch.
    layout = client.layout("grid", border=client.border(sku="TIL-TERRACOTTA"))
    assert client.quantity(analyzed.room, "floor-1", "TIL-CERAMIC-WHITE", layout=layout).border.pieces > 3
    batch = client.start_batch(
        analyzed.room,
        client.target("floor-1", layout=layout),
        ["TIL-CERAMIC-WHITE", "TIL-CERAMIC-GREY"],
        long_side_px=480,
    )
    client.finish_batch(batch)
    assert all(item.visualization for item in client.batch_items(batch))
    wall = next(s.surface_id for s in analyzed.surfaces if s.surface_id.startswith("wall") and s.plane.homography)
    with pytest.raises(InvalidArgument) as refused:
        client.preview_details(analyzed.room, [client.apply("TIL-CERAMIC-WHITE", surface_id=wall, layout=layout)])
    assert (refused.value.reason, refused.value.metadata["surface"]) == ("LAYOUT_INVALID", wall)


def test_a_border_is_laid_of_a_product_of_its_own(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    floor = next(s for s in analyzed.surfaces if s.surface_id == "floor-1")
    x, y, w, h = floor.bbox_px
    plane = np.array(floor.plane.homography).reshape(3, 3)
    lens = client.lens(analyzed)
    middle = project(np.linalg.inv(plane), lens.straight(np.array([[x + 0.5 * w, y + 0.7 * h]])))[0]
    around = [(middle[0] + a, middle[1] + b) for a, b in ((-0.5, -0.45), (0.5, -0.45), (0.5, 0.45), (-0.5, 0.45))]

    def laid(border: layouts_pb2.Border) -> visualizations_pb2.PreviewVisualizationResponse:
        tiles = [client.apply("TIL-CERAMIC-WHITE", surface_id="floor-1", layout=client.layout("grid", border=border))]
        return client.preview_details(analyzed.room, tiles)

    own = client.border(around, "TIL-TERRACOTTA")
    red, white = laid(own), laid(client.border(around, width_m=0.2, piece_length_m=0.2))

    assert [c.product for c in red.colors] == ["products/TIL-CERAMIC-WHITE", "products/TIL-TERRACOTTA"]
    both = [decode_rgb(p.image).astype(int) for p in (red, white)]
    scale = red.width_px / api.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=analyzed.room)).room.width_px
    steps = [(0, 0), (0, 0.1), (-0.4, 0), (0.4, 0), (0, -0.35), (0.62, 0)]
    places = middle + np.array(steps)
    inside = []
    for px, py in (lens.bent(project(plane, places)) * scale).round().astype(int):
        window = (slice(py - 2, py + 3), slice(px - 2, px + 3))
        a, b = (p[window].mean((0, 1)) for p in both)
        inside.append(bool((a[0] - a[2]) - (b[0] - b[2]) > 25))
    assert inside == [False, False, True, True, True, False]
    # And bought apart from the field.
    outline = [(p[0], p[1]) for p in around]
    layout = client.layout("grid", border=own)
    bought = client.quantity(analyzed.room, "floor-1", "TIL-CERAMIC-WHITE", outline=outline, layout=layout)
    assert bought.border.pieces == 2 * (5 + 5)
    assert bought.border.boxes.value >= 1
    assert 0.6 * 0.5 / 0.09 <= bought.boxes.whole + bought.boxes.cut <= 4 * 4  # of 30 cm, wherever they begin
    for sku, reason in (("PNT-SAGE", "LAYOUT_INVALID"), ("NO-SUCH-SKU", "PRODUCT_NOT_FOUND")):
        with pytest.raises(RoomvizError) as refused:
            laid(client.border(around, sku))
        assert refused.value.reason == reason


@covers("roomviz.v1.VisualizationService/PreviewVisualization")
def test_a_measured_length_scales_what_is_laid_and_says_so(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    oak = [client.apply("FLR-WALNUT", surface_id="floor-1")]
    floor = next(s for s in analyzed.surfaces if s.surface_id == "floor-1")
    x, y, w, h = floor.bbox_px
    line = [(x + 0.3 * w, y + 0.8 * h), (x + 0.7 * w, y + 0.8 * h)]

    before = client.preview_details(analyzed.room, oak)
    after = client.preview_details(analyzed.room, oak, client.staging(reference=client.reference("floor-1", line, 0.5)))

    (guessed,), (measured,) = before.scales, after.scales
    assert (guessed.surface_id, guessed.source) == ("floor-1", floor.plane.scale_source)
    assert measured.source == rooms_pb2.SCALE_SOURCE_REFERENCE
    assert 0.9 < measured.low < 1 < measured.high < 1.1
    assert list(guessed.homography) == list(floor.plane.homography)
    planes = [np.array(s.homography).reshape(3, 3) for s in (guessed, measured)]
    ends = client.lens(analyzed).straight(np.array(line))
    guessed_m, measured_m = (float(np.linalg.norm(np.subtract(*project(np.linalg.inv(p), ends)))) for p in planes)
    assert measured_m == pytest.approx(0.5)
    assert guessed_m != pytest.approx(0.5, rel=0.01)
    assert np.abs(decode_rgb(after.image).astype(int) - decode_rgb(before.image)).mean() > 1


@covers("roomviz.v1.VisualizationService/PreviewVisualization")
def test_corners_say_how_a_surface_lies(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    flat = next(s for s in analyzed.surfaces if not s.HasField("plane"))
    x, y, w, h = flat.bbox_px
    box = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    tiles = [client.apply("TIL-CHECKER", surface_id=flat.surface_id)]

    made = client.preview_details(analyzed.room, tiles, client.staging([client.corners(flat.surface_id, box, 2.0)]))

    assert [(s.surface_id, s.source) for s in made.scales] == [(flat.surface_id, rooms_pb2.SCALE_SOURCE_REFERENCE)]


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.VisualizationService/ExportVisualization")
def test_corrections_that_make_no_sense_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    walnut = [client.apply("FLR-WALNUT", surface_id="floor-1")]
    corner = [(10.0, 10.0), (60.0, 10.0), (60.0, 60.0), (10.0, 60.0)]

    def ask(staging: visualizations_pb2.Staging) -> str:
        request = visualizations_pb2.PreviewVisualizationRequest(
            room=analyzed.room, applications=walnut, staging=staging
        )
        return refusal(lambda: api.visualizations.PreviewVisualization(request)).reason

    assert ask(client.staging([client.corners("floor-1", corner[::-1], 1, 1)])) == "CORNERS_INVALID"
    assert ask(client.staging([client.corners("floor-1", corner[:3])])) == "CORNERS_INVALID"
    assert ask(client.staging([client.corners("floor-1", corner, float("nan"))])) == "CORNERS_INVALID"
    assert ask(client.staging([client.corners("pool-1", corner)])) == "SURFACE_NOT_FOUND"
    assert ask(client.staging(reference=client.reference("pool-1", corner[:2], 1))) == "SURFACE_NOT_FOUND"
    assert ask(client.staging(reference=client.reference("floor-1", corner[:2], -1))) == "REFERENCE_INVALID"
    assert ask(visualizations_pb2.Staging(reference=visualizations_pb2.ReferenceLength(surface_id="floor-1"))) == (
        "REFERENCE_INVALID"
    )
    assert ask(visualizations_pb2.Staging(relight=99)) == "RELIGHT_INVALID"  # type: ignore[arg-type]


@covers("roomviz.v1.VisualizationService/PreviewVisualization")
def test_a_picture_tells_how_true_its_colors_are(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    sage = client.product("PNT-SAGE")
    asked = [client.apply("PNT-SAGE", kind="wall"), client.apply("TIL-TERRACOTTA", surface_id="floor-1")]

    made, kept = client.preview_details(analyzed.room, asked), client.export(analyzed.room, asked)

    painted = [c for c in made.colors if c.product == sage.name]
    assert {c.surface_id for c in made.colors} <= {s.surface_id for s in analyzed.surfaces}
    assert painted
    for c in painted:
        assert c.asked_rgb == sage.material.color_rgb
        assert 0 <= c.delta_e00 < 6
        assert max(c.illuminant_rgb.to_bytes(3)) == 255
    # The picture that is kept is larger, and tells of itself: nearly the same.
    assert [s.surface_id for s in kept.scales] == [s.surface_id for s in made.scales]
    told = {c.surface_id: c for c in made.colors}
    assert {c.surface_id for c in kept.colors} == set(told)
    for c in kept.colors:
        before = told[c.surface_id]
        assert (c.product, c.asked_rgb) == (before.product, before.asked_rgb)
        assert abs(c.delta_e00 - before.delta_e00) < 2
        assert np.abs(np.subtract(tuple(c.shown_rgb.to_bytes(3)), tuple(before.shown_rgb.to_bytes(3)))).max() < 12
    assert client.visualization(kept.name).colors == kept.colors


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.VisualizationService/ExportVisualization")
def test_walls_can_have_any_color_in_any_finish(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    sage = client.product("PNT-SAGE").material

    def shown(application: visualizations_pb2.Application) -> visualizations_pb2.PreviewVisualizationResponse:
        return client.preview_details(analyzed.room, [application])

    paint = shown(client.paint(sage.color_rgb, kind="wall"))
    eggshell = shown(client.paint(sage.color_rgb, kind="wall", finish="eggshell"))
    grey = shown(client.paint((53.59, 0, 0), kind="wall"))  # L*a*b* of 0x808080

    product = shown(client.apply("PNT-SAGE", kind="wall", finish="matte"))
    np.testing.assert_array_equal(decode_rgb(paint.image), decode_rgb(product.image))
    assert (decode_rgb(eggshell.image) != decode_rgb(paint.image)).any()
    assert {(c.product, c.asked_rgb) for c in paint.colors} == {("", sage.color_rgb)}
    assert {c.asked_rgb for c in grey.colors} == {0x808080}
    made = client.export(analyzed.room, [client.paint(0xA3B1C2, kind="wall", finish="gloss")])
    assert made.applications[0].color.rgb == 0xA3B1C2
    with pytest.raises(InvalidArgument) as both:
        client.preview(
            analyzed.room,
            [visualizations_pb2.Application(kind="SURFACE_KIND_WALL", product="products/PNT-SAGE", color={"rgb": 1})],
        )
    assert both.value.reason == "APPLICATIONS_INVALID"


@covers("roomviz.v1.VisualizationService/PreviewVisualization", "roomviz.v1.VisualizationService/ExportVisualization")
def test_a_room_can_be_seen_in_other_light(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    photo = decode_rgb(client.photo(analyzed.room)).astype(int)

    warm, cool = (
        decode_rgb(client.preview(analyzed.room, [], client.staging(relight=to))).astype(int) for to in ("warm", "cool")
    )
    kept = client.export(analyzed.room, [], "png", staging=client.staging(relight="warm"))

    assert warm.shape == cool.shape == photo.shape
    redder = (warm - cool).mean((0, 1))
    assert redder[0] > 5 > -5 > redder[2]
    # An export is the same picture without what JPEG does.
    assert np.abs(decode_rgb(client.picture(kept.name)).astype(int) - warm).mean() < 3


# --- products ---------------------------------------------------------------------------------------


@covers("roomviz.v1.ProductService/GetProduct")
def test_a_product_tells_its_face_how_it_is_laid_and_how_it_is_sold(client: Client):
    plank, tile, checker, paint = (
        client.product(sku).material for sku in ("FLR-OAK-NATURAL", "TIL-CERAMIC-WHITE", "TIL-CHECKER", "PNT-SAGE")
    )

    assert len(plank.face_digest) == 64 != plank.texture_digest
    assert plank.face_height_m > 7 * plank.piece_width_m
    assert plank.layout.pattern == layouts_pb2.PATTERN_PLANK
    assert plank.rectified
    assert plank.packaging.pieces_per_box * plank.piece_width_m * plank.piece_length_m == pytest.approx(2, rel=0.1)
    assert tile.layout.grout == layouts_pb2.Grout(width_m=0.003, color_rgb=0xBEBCB7, depth_m=0.001)
    assert not checker.face_digest
    assert not checker.HasField("layout")
    assert (paint.packaging.coverage_m2_per_l, paint.packaging.can_l) == (12, 2.5)


@covers("roomviz.v1.ProductService/ListProducts")
def test_products_come_by_sku_in_pages_and_by_category(api: Api):
    everything, token = [], ""
    while True:
        page = api.products.ListProducts(products_pb2.ListProductsRequest(page_size=10, page_token=token))
        everything += page.products
        token = page.next_page_token
        if not token:
            break

    skus = [p.sku for p in everything]
    assert len(skus) >= 40
    assert skus == sorted(set(skus))
    flooring = api.products.ListProducts(products_pb2.ListProductsRequest(category="flooring", page_size=200)).products
    assert {p.sku for p in flooring} == {p.sku for p in everything if p.category.startswith("flooring.")}
    assert (
        refusal(lambda: api.products.ListProducts(products_pb2.ListProductsRequest(page_token="made-up"))).reason
        == "PAGE_TOKEN_INVALID"
    )


@covers("roomviz.v1.ProductService/GetProduct")
def test_a_product_tells_its_real_size_and_a_wrong_sku_what_comes_near(api: Api):
    product = api.products.GetProduct(products_pb2.GetProductRequest(name="products/FLR-OAK-NATURAL")).product

    assert product.material.piece_width_m == pytest.approx(0.18)
    assert product.material.repeat_width_m > 1
    assert product.price.currency_code == "EUR"
    failure = refusal(lambda: api.products.GetProduct(products_pb2.GetProductRequest(name="products/FLR-OAK-NATURALL")))
    assert "FLR-OAK-NATURAL" in failure.message


@covers("roomviz.v1.ProductService/SearchProducts")
def test_products_are_found_by_words_best_first(api: Api):
    found = [
        p.sku for p in api.products.SearchProducts(products_pb2.SearchProductsRequest(query="oak herringbone")).products
    ]

    assert found[0] == "FLR-HERRINGBONE-OAK"
    assert (
        refusal(lambda: api.products.SearchProducts(products_pb2.SearchProductsRequest(query=" "))).reason
        == "QUERY_INVALID"
    )
    for hostile in ("'; DROP TABLE products;--", "%", "\\", "a" * 200, "🪵"):
        api.products.SearchProducts(products_pb2.SearchProductsRequest(query=hostile))


# --- operations, system -----------------------------------------------------------------------------


def full_mask(mask: proposals_pb2.ProposedMask, height: int, width: int) -> np.ndarray:
    x, y, w, h = mask.bbox_px
    out = np.zeros((height, width), bool)
    out[y : y + h, x : x + w] = decode_grey(mask.png) > 0
    return out


@covers("roomviz.v1.ProposalService/ProposeMasks")
def test_prompts_choose_among_what_was_found(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    height, width = decode_rgb(client.photo(analyzed.room)).shape[:2]

    everything = client.propose(analyzed.room, limit=200)

    assert everything.model.startswith("fastsam-room/")
    assert len(everything.masks) >= 3
    scores = [m.score for m in everything.masks]
    assert scores == sorted(scores, reverse=True)
    for m in everything.masks:
        mask = full_mask(m, height, width)
        assert mask.mean() == pytest.approx(m.area_fraction, abs=1e-4)
        assert list(cv2.boundingRect(mask.astype(np.uint8))) == list(m.bbox_px)
    assert len(client.propose(analyzed.room, limit=2).masks) == 2

    first = full_mask(everything.masks[0], height, width)
    inner = cv2.distanceTransform(first.astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    (by_point,) = client.propose(analyzed.room, positive=[(x + 0.5, y + 0.5)]).masks
    assert full_mask(by_point, height, width)[y, x]
    bx, by, bw, bh = everything.masks[0].bbox_px
    (by_box,) = client.propose(analyzed.room, box=(bx, by, bx + bw, by + bh)).masks
    assert by_box.score > 0.7


@covers("roomviz.v1.ProposalService/ProposeMasks")
def test_prompts_that_make_no_sense_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def ask(**prompt: Any) -> RoomvizError:
        return refusal(
            lambda: api.proposals.ProposeMasks(proposals_pb2.ProposeMasksRequest(room=analyzed.room, **prompt))
        )

    outside = proposals_pb2.PointsPrompt(positive=[refinements_pb2.PointPx(x=1e6, y=3)])
    nowhere = proposals_pb2.PointsPrompt(positive=[refinements_pb2.PointPx(x=float("nan"), y=3)])
    flat = refinements_pb2.BoxPx(min=refinements_pb2.PointPx(x=9, y=9), max=refinements_pb2.PointPx(x=9, y=20))
    assert ask().reason == "PROMPT_INVALID"
    assert ask(points=outside).reason == "PROMPT_INVALID"
    assert ask(points=nowhere).reason == "PROMPT_INVALID"
    assert ask(box=flat).reason == "PROMPT_INVALID"
    assert ask(everything=proposals_pb2.EverythingPrompt(), max_masks=999).reason == "PROMPT_INVALID"
    assert ask(text=proposals_pb2.TextPrompt(words="the chair")).reason == "TEXT_PROMPT_UNAVAILABLE"
    other = proposals_pb2.ProposeMasksRequest(room="rooms/none", everything=proposals_pb2.EverythingPrompt())
    assert refusal(lambda: api.proposals.ProposeMasks(other)).reason == "ROOM_NOT_FOUND"


@covers("roomviz.v1.ModelService/ListModels", "roomviz.v1.ModelService/GetModel")
def test_models_tell_what_they_are_with_their_cards(api: Api):
    page = api.models.ListModels(models_pb2.ListModelsRequest())

    roomseg = [m for m in page.models if m.name.startswith("models/roomseg/")]
    assert roomseg[0].newest
    assert [m.newest for m in roomseg].count(True) == 1
    for model in page.models:
        file = ROOT / "model_repository" / model.name.split("/")[1] / model.name.split("/")[3] / "model.onnx"
        assert model.ready
        assert hashlib.sha256(file.read_bytes()).hexdigest() == model.sha256
        assert file.stat().st_size == model.size_bytes
        assert model.licence
        assert model.training_data
        assert model.card["parity_torch_onnx"] <= 1e-3
        assert api.models.GetModel(models_pb2.GetModelRequest(name=model.name)).model == model
    unknown = models_pb2.GetModelRequest(name="models/roomseg/versions/999")
    assert refusal(lambda: api.models.GetModel(unknown)).reason == "MODEL_NOT_FOUND"


@covers("roomviz.v1.ModelService/GetModelPin", "roomviz.v1.ModelService/SetModelPin")
def test_a_tenant_can_be_pinned_to_a_version(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    names = [m.name for m in api.models.ListModels(models_pb2.ListModelsRequest()).models if "/roomseg/" in m.name]
    oldest = names[-1]
    wanted = "roomseg/" + oldest.rpartition("/")[2]
    try:
        pin = api.models.SetModelPin(models_pb2.SetModelPinRequest(model=oldest)).pin

        assert pin.model == oldest
        assert api.models.GetModelPin(models_pb2.GetModelPinRequest()).pin == pin
        assert client.analyze(analyzed.room, reanalyze=True).model == wanted
    finally:
        api.models.SetModelPin(models_pb2.SetModelPinRequest())
    again = client.analyze(analyzed.room, reanalyze=True)
    assert again.model == analyzed.model
    # Twice analyzed, by another version in between, large surfaces are still called what they were.
    was = {s.surface_id: s.bbox_px for s in analyzed.surfaces}
    for surface in again.surfaces:
        if surface.area_fraction > 0.05:
            np.testing.assert_allclose(surface.bbox_px, was[surface.surface_id], atol=100)
    unknown = models_pb2.SetModelPinRequest(model="models/roomseg/versions/999")
    assert refusal(lambda: api.models.SetModelPin(unknown)).reason == "MODEL_NOT_FOUND"


@covers("roomviz.v1.OperationService/WatchOperation")
def test_a_watched_operation_tells_its_progress_and_its_end(api: Api):
    room = api.rooms.UploadRoom(parts(small_room(6))).room
    operation = api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.name))

    seen = [a.operation for a in api.watch.WatchOperation(operations_pb2.WatchOperationRequest(name=operation.name))]

    assert seen[-1].done
    assert not any(o.done for o in seen[:-1])


@covers("google.longrunning.Operations/CancelOperation")
def test_a_cancelled_operation_is_over_and_stays_so(api: Api, running: Running):
    running.stack.rpc().stopProcess("segmentation")
    try:
        room = api.rooms.UploadRoom(parts(small_room(7))).room
        operation = api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.name))
        # A second request for the same room joins the running one.
        assert api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room.name)).name == operation.name

        api.operations.CancelOperation(longrunning.CancelOperationRequest(name=operation.name))
    finally:
        running.stack.rpc().startProcess("segmentation")
        running.until_ready("segmentation")

    again = api.operations.GetOperation(longrunning.GetOperationRequest(name=operation.name))
    assert again.done
    assert again.error.code == 1


@covers("roomviz.v1.SystemService/GetSystemStatus", "roomviz.internal.status.v1.StatusService/GetStatus")
def test_the_platform_tells_how_each_part_of_it_is(api: Api, running: Running):
    found = {c.component: c for c in api.system.GetSystemStatus(system_pb2.GetSystemStatusRequest()).components}

    assert set(found) == {"gateway", "catalog", "segmentation", "compositor", "postgresql", "nats", "s3", "triton"}
    assert all(c.ready and c.version for c in found.values()), found
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.catalog_port}") as channel:
        answer = status_pb2_grpc.StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest(), timeout=5)
    assert [c.dependency for c in answer.checks] == ["postgresql", "s3"]


# --- who may call -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "rv_wrong", "' OR 1=1 --"])
def test_without_a_valid_key_no_call_is_answered(running: Running, key: str | None):
    stranger = Api(running.address, key)
    calls = [
        lambda: stranger.rooms.GetRoom(rooms_pb2.GetRoomRequest(name="rooms/x")),
        lambda: stranger.rooms.UploadRoom(parts(b"x")),
        lambda: stranger.products.ListProducts(products_pb2.ListProductsRequest()),
        lambda: stranger.operations.GetOperation(longrunning.GetOperationRequest(name="operations/x")),
        lambda: stranger.watch.WatchOperation(operations_pb2.WatchOperationRequest(name="operations/x")),
        lambda: stranger.system.GetSystemStatus(system_pb2.GetSystemStatusRequest()),
    ]
    try:
        for call in calls:
            assert isinstance(refusal(call), Unauthenticated)
    finally:
        stranger.channel.close()


@pytest.fixture(scope="module")
def other_key(running: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key of another tenant."""
    import os
    import subprocess
    import sys

    key_file = tmp_path_factory.mktemp("other") / "key"
    key_file.write_text("rv_other_tenant_" + uuid.uuid4().hex)
    subprocess.run(
        [sys.executable, "-m", "services.gateway.keys", "--tenant", "other", "--key-file", str(key_file)],
        env={**os.environ, **running.settings.service_environment("gateway")},
        check=True,
    )
    return key_file.read_text()


def test_another_tenant_sees_nothing_of_ours(running: Running, analyzed: rooms_pb2.AnalyzeRoomResponse, other_key: str):
    other = Api(running.address, other_key)
    try:
        for call in (
            lambda: other.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=analyzed.room)),
            lambda: other.rooms.DownloadPhoto(rooms_pb2.DownloadPhotoRequest(name=analyzed.room)),
            lambda: other.rooms.FetchMask(rooms_pb2.FetchMaskRequest(name=analyzed.surfaces[0].name)),
            lambda: other.refinements.RefineSurface(click(analyzed.surfaces[0].name, 5, 5)),
            lambda: other.refinements.UndoRefinement(refinements_pb2.UndoRefinementRequest(parent=analyzed.room)),
            lambda: other.refinements.ListRefinements(refinements_pb2.ListRefinementsRequest(parent=analyzed.room)),
            lambda: other.refinements.ReplayRefinements(refinements_pb2.ReplayRefinementsRequest(parent=analyzed.room)),
            lambda: other.products.GetProduct(products_pb2.GetProductRequest(name="products/FLR-WALNUT")),
        ):
            assert isinstance(refusal(call), NotFound)
        assert not other.products.ListProducts(products_pb2.ListProductsRequest()).products
    finally:
        other.channel.close()


@covers("roomviz.internal.segmentation.v1.SegmentationService/GetAnalysis")
def test_services_behind_the_gateway_take_the_tenant_from_the_gateway_alone(
    running: Running, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.segmentation_port}") as channel:
        stub = segmentation_pb2_grpc.SegmentationServiceStub(channel)
        request = segmentation_pb2.GetAnalysisRequest(room=analyzed.room)

        answer = stub.GetAnalysis(request, timeout=5, metadata=[("x-roomviz-tenant", "demo")])

        assert len(answer.mask_keys) == len(answer.analysis.surfaces)
        assert refusal(lambda: stub.GetAnalysis(request, timeout=5)).reason == "TENANT_MISSING"
        assert (
            refusal(lambda: stub.GetAnalysis(request, timeout=5, metadata=[("x-roomviz-tenant", "x")])).reason
            == "ROOM_NOT_ANALYZED"
        )


@covers("roomviz.internal.compositor.v1.CompositorService/RenderPreview")
def test_the_compositor_refuses_a_request_without_layers(running: Running):
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.compositor_port}") as channel:
        stub = compositor_pb2_grpc.CompositorServiceStub(channel)

        failure = refusal(
            lambda: stub.RenderPreview(
                compositor_pb2.RenderPreviewRequest(), timeout=5, metadata=[("x-roomviz-tenant", "demo")]
            )
        )

    assert failure.reason == "APPLICATIONS_INVALID"


def test_a_deadline_is_kept_and_told(running: Running, analyzed: rooms_pb2.AnalyzeRoomResponse):
    with grpc.insecure_channel(running.address) as channel:
        stub = rooms_pb2_grpc.RoomServiceStub(channel)
        metadata = [("authorization", f"Bearer {running.key}")]

        with pytest.raises(grpc.RpcError) as caught:
            stub.ListSurfaces(rooms_pb2.ListSurfacesRequest(parent=analyzed.room), timeout=0.0005, metadata=metadata)

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]


def test_every_answer_carries_the_request_id(running: Running):
    with grpc.insecure_channel(running.address) as channel:
        stub = products_pb2_grpc.ProductServiceStub(channel)
        metadata = [("authorization", f"Bearer {running.key}"), ("x-request-id", "trace-me-7")]

        _, call = stub.ListProducts.with_call(products_pb2.ListProductsRequest(), timeout=5, metadata=metadata)

    assert dict(call.trailing_metadata())["x-request-id"] == "trace-me-7"


def test_every_rpc_has_a_contract_test():
    for path in Path(__file__).parent.glob("test_*.py"):  # also where this file is run alone
        importlib.import_module(f"tests.contract.{path.stem}")
    files = [
        rooms_pb2,
        uploads_pb2,
        shares_pb2,
        refinements_pb2,
        visualizations_pb2,
        products_pb2,
        quantities_pb2,
        proposals_pb2,
        models_pb2,
        operations_pb2,
        privacy_pb2,
        system_pb2,
        accounts_pb2,
        api_keys_pb2,
        tenants_pb2,
        webhooks_pb2,
        insights_pb2,
        personal_pb2,
        segmentation_pb2,
        compositor_pb2,
        status_pb2,
        longrunning,
    ]
    rpcs = {f"{s.full_name}/{m.name}" for f in files for s in f.DESCRIPTOR.services_by_name.values() for m in s.methods}

    assert rpcs - COVERED == set()
