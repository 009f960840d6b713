"""What becomes of rooms and visualizations, against the running services: lists, names, marks, ends; requests twice."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.protobuf.field_mask_pb2 import FieldMask

from roomviz.client import Client
from roomviz.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from roomviz.v1 import operations_pb2, quantities_pb2, refinements_pb2, rooms_pb2, visualizations_pb2
from roomviz.v1.rooms_pb2 import DeleteRoomRequest, GetRoomRequest, ListRoomsRequest, UndeleteRoomRequest
from roomviz.v1.visualizations_pb2 import (
    DeleteVisualizationRequest,
    DownloadVisualizationRequest,
    ExportVisualizationRequest,
    GetVisualizationRequest,
    ListVisualizationsRequest,
    SaveVisualizationRequest,
    UndeleteVisualizationRequest,
    UpdateVisualizationRequest,
)
from tests.conftest import Running
from tests.contract.test_api import Api, covers, parts, refusal, small_room, wait


@pytest.fixture(scope="module")
def api(running: Running) -> Iterator[Api]:
    made = Api(running.address, running.key)
    yield made
    made.channel.close()


def new_room(api: Api, seed: int) -> rooms_pb2.Room:
    return api.rooms.UploadRoom(parts(small_room(seed))).room


def painted(sku: str = "PNT-SAGE") -> list[visualizations_pb2.Application]:
    return [Client.apply(sku, kind="wall")]


def export(api: Api, room: str, request_id: str = "") -> visualizations_pb2.Visualization:
    asked = ExportVisualizationRequest(room=room, applications=painted(), request_id=request_id)
    made = visualizations_pb2.Visualization()
    assert wait(api, api.visualizations.ExportVisualization(asked)).response.Unpack(made)
    return made


@pytest.fixture(scope="module")
def ready(client: Client, api: Api) -> str:
    """A room of this file's own, analyzed."""
    return client.analyze(new_room(api, 700).name).room


# --- rooms ------------------------------------------------------------------------------------------


@covers("roomviz.v1.RoomService/ListRooms")
def test_rooms_come_in_pages_that_stand_still_while_rooms_are_added(api: Api):
    mine = [new_room(api, 701 + i).name for i in range(5)]
    asked = ListRoomsRequest(page_size=2)

    first = api.rooms.ListRooms(asked)
    added = new_room(api, 710).name
    asked.page_token = first.next_page_token
    second = api.rooms.ListRooms(asked)

    assert [r.name for r in [*first.rooms, *second.rooms]] == mine[:0:-1]
    assert added == api.rooms.ListRooms(ListRoomsRequest(page_size=1)).rooms[0].name
    wrong = ListRoomsRequest(page_size=2, page_token=first.next_page_token, filter="state = UPLOADED")
    assert refusal(lambda: api.rooms.ListRooms(wrong)).reason == "PAGE_TOKEN_INVALID"


@covers("roomviz.v1.RoomService/ListRooms")
def test_rooms_are_found_by_what_they_are_and_in_the_order_asked_for(api: Api):
    a, b = new_room(api, 711), new_room(api, 712)
    word = uuid.uuid4().hex
    for room, name in ((a, f"B {word}"), (b, f"A {word.upper()}")):
        room.display_name = name
        api.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room=room))

    def found(filter: str, order_by: str = "") -> list[str]:
        return [r.name for r in api.rooms.ListRooms(ListRoomsRequest(filter=filter, order_by=order_by)).rooms]

    assert found(f'display_name : "{word}"') == [b.name, a.name]
    assert found(f'display_name : "{word}"', "display_name") == [b.name, a.name]
    assert found(f'display_name : "{word}"', "display_name desc") == [a.name, b.name]
    assert found(f'display_name = "B {word}" AND state = UPLOADED') == [a.name]
    assert found(f'content_digest = "{a.content_digest}" AND state != UPLOADED') == []
    since = b.create_time.ToJsonString()
    assert found(f'display_name : "{word}" AND create_time >= "{since}"') == [b.name]
    for asked, reason in (
        (ListRoomsRequest(filter="owner = me"), "FILTER_INVALID"),
        (ListRoomsRequest(order_by="owner"), "ORDER_INVALID"),
        (ListRoomsRequest(page_size=-1), "PAGE_SIZE_INVALID"),
        (ListRoomsRequest(page_token="bm8="), "PAGE_TOKEN_INVALID"),
    ):
        assert refusal(lambda asked=asked: api.rooms.ListRooms(asked)).reason == reason


@covers("roomviz.v1.RoomService/UpdateRoom")
def test_a_room_is_named_by_whoever_saw_it_last(api: Api):
    room = new_room(api, 713)
    asked = rooms_pb2.UpdateRoomRequest(
        room=rooms_pb2.Room(name=room.name, display_name="Kitchen", etag=room.etag),
        update_mask=FieldMask(paths=["display_name"]),
        validate_only=True,
    )

    told = api.rooms.UpdateRoom(asked).room
    unchanged = api.rooms.GetRoom(GetRoomRequest(name=room.name)).room
    asked.validate_only = False
    changed = api.rooms.UpdateRoom(asked).room

    assert told.display_name == changed.display_name == "Kitchen"
    assert unchanged == room
    assert changed.etag != room.etag
    assert api.rooms.GetRoom(GetRoomRequest(name=room.name)).room == changed
    late = refusal(lambda: api.rooms.UpdateRoom(asked))
    assert (late.reason, late.metadata["etag"]) == ("ETAG_MISMATCH", changed.etag)
    assert isinstance(late, Aborted)
    wrong = rooms_pb2.UpdateRoomRequest(room=room, update_mask=FieldMask(paths=["width_px"]))
    refused = refusal(lambda: api.rooms.UpdateRoom(wrong))
    assert refused.reason == "UPDATE_MASK_INVALID"
    assert refused.violations[0].subject == "update_mask.paths: width_px"


@covers("roomviz.v1.RoomService/DeleteRoom", "roomviz.v1.RoomService/UndeleteRoom")
def test_a_deleted_room_and_all_that_is_of_it_is_gone_until_it_is_brought_back(api: Api, client: Client):
    room = client.analyze(new_room(api, 714).name).room
    surface = client.surfaces(room)[0]
    kept, dropped = export(api, room), export(api, room)
    api.visualizations.DeleteVisualization(DeleteVisualizationRequest(name=dropped.name))
    before = api.rooms.GetRoom(GetRoomRequest(name=room)).room

    rehearsed = api.rooms.DeleteRoom(DeleteRoomRequest(name=room, validate_only=True)).room
    assert rehearsed.HasField("delete_time")
    assert api.rooms.GetRoom(GetRoomRequest(name=room)).room == before
    old = DeleteRoomRequest(name=room, etag="of another state")
    assert refusal(lambda: api.rooms.DeleteRoom(old)).reason == "ETAG_MISMATCH"
    deleted = api.rooms.DeleteRoom(DeleteRoomRequest(name=room, etag=before.etag)).room

    assert deleted.purge_time.seconds - deleted.delete_time.seconds == 7 * 86400
    for call in (
        lambda: api.rooms.GetRoom(GetRoomRequest(name=room)),
        lambda: api.rooms.DeleteRoom(DeleteRoomRequest(name=room)),
        lambda: api.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room=before)),
        lambda: api.rooms.AnalyzeRoom(rooms_pb2.AnalyzeRoomRequest(name=room)),
        lambda: api.rooms.ListSurfaces(rooms_pb2.ListSurfacesRequest(parent=room)),
        lambda: api.rooms.FetchMask(rooms_pb2.FetchMaskRequest(name=surface.name)),
        lambda: api.rooms.DownloadPhoto(rooms_pb2.DownloadPhotoRequest(name=room)),
        lambda: api.refinements.ListRefinements(refinements_pb2.ListRefinementsRequest(parent=room)),
        lambda: api.quantities.EstimateQuantity(quantities_pb2.EstimateQuantityRequest(room=room)),
        lambda: api.visualizations.PreviewVisualization(
            visualizations_pb2.PreviewVisualizationRequest(room=room, applications=painted())
        ),
        lambda: api.visualizations.ExportVisualization(ExportVisualizationRequest(room=room, applications=painted())),
        lambda: api.visualizations.GetVisualization(GetVisualizationRequest(name=kept.name)),
        lambda: api.visualizations.DownloadVisualization(DownloadVisualizationRequest(name=kept.name)),
        lambda: api.visualizations.RerenderVisualization(
            visualizations_pb2.RerenderVisualizationRequest(receipt=kept.receipt)
        ),
    ):
        assert isinstance(refusal(call), NotFound)
    by_digest = f'content_digest = "{before.content_digest}"'
    assert not api.rooms.ListRooms(ListRoomsRequest(filter=by_digest)).rooms
    shown = api.rooms.ListRooms(ListRoomsRequest(filter=by_digest, show_deleted=True)).rooms
    assert [r.name for r in shown] == [room]
    alone = UndeleteVisualizationRequest(name=kept.name)
    assert refusal(lambda: api.visualizations.UndeleteVisualization(alone)).reason == "ROOM_DELETED"

    back = api.rooms.UndeleteRoom(UndeleteRoomRequest(name=room)).room

    assert not back.HasField("delete_time")
    assert back.state == before.state
    assert api.visualizations.GetVisualization(GetVisualizationRequest(name=kept.name)).visualization.room == room
    # What was deleted before the room stays deleted.
    gone = GetVisualizationRequest(name=dropped.name)
    assert isinstance(refusal(lambda: api.visualizations.GetVisualization(gone)), NotFound)
    assert client.surfaces(room)


@covers("roomviz.v1.RoomService/UndeleteRoom")
def test_a_photo_sent_again_after_its_room_was_deleted_is_a_new_room(api: Api):
    data = small_room(715)
    first = api.rooms.UploadRoom(parts(data)).room
    api.rooms.DeleteRoom(DeleteRoomRequest(name=first.name))

    second = api.rooms.UploadRoom(parts(data)).room

    assert second.name != first.name
    refused = refusal(lambda: api.rooms.UndeleteRoom(UndeleteRoomRequest(name=first.name)))
    assert isinstance(refused, AlreadyExists)
    assert refused.reason == "ROOM_UPLOADED_AGAIN"
    api.rooms.DeleteRoom(DeleteRoomRequest(name=second.name))
    assert api.rooms.UndeleteRoom(UndeleteRoomRequest(name=first.name)).room.name == first.name


# --- visualizations ---------------------------------------------------------------------------------


@covers(
    "roomviz.v1.VisualizationService/ListVisualizations",
    "roomviz.v1.VisualizationService/SaveVisualization",
    "roomviz.v1.VisualizationService/UpdateVisualization",
)
def test_visualizations_are_saved_marked_and_found(api: Api, ready: str):
    a, b = export(api, ready), export(api, ready)
    saved = api.visualizations.SaveVisualization(SaveVisualizationRequest(name=a.name, display_name="Sage"))
    asked = UpdateVisualizationRequest(
        visualization=visualizations_pb2.Visualization(name=b.name, favorite=True),
        update_mask=FieldMask(paths=["favorite"]),
    )
    marked = api.visualizations.UpdateVisualization(asked).visualization

    def found(filter: str) -> list[str]:
        request = ListVisualizationsRequest(filter=filter)
        return [v.name for v in api.visualizations.ListVisualizations(request).visualizations]

    assert saved.visualization.display_name == "Sage"
    assert saved.visualization.HasField("save_time")
    assert (marked.favorite, marked.display_name) == (True, "")
    assert marked.receipt == b.receipt
    assert found(f'room = "{ready}"')[:2] == [b.name, a.name]
    assert found(f'room = "{ready}" AND saved = true') == [a.name]
    assert found(f'room = "{ready}" AND favorite = true') == [b.name]
    assert found('room = "rooms/none"') == []
    again = api.visualizations.SaveVisualization(SaveVisualizationRequest(name=a.name)).visualization
    assert (again.display_name, again.save_time) == ("Sage", saved.visualization.save_time)
    asked.visualization.etag = b.etag or "seen before"
    assert refusal(lambda: api.visualizations.UpdateVisualization(asked)).reason == "ETAG_MISMATCH"


@covers("roomviz.v1.VisualizationService/DeleteVisualization", "roomviz.v1.VisualizationService/UndeleteVisualization")
def test_a_deleted_visualization_is_gone_until_it_is_brought_back(api: Api, ready: str):
    made = export(api, ready)

    deleted = api.visualizations.DeleteVisualization(DeleteVisualizationRequest(name=made.name)).visualization

    assert deleted.purge_time.seconds - deleted.delete_time.seconds == 7 * 86400
    for call in (
        lambda: api.visualizations.GetVisualization(GetVisualizationRequest(name=made.name)),
        lambda: api.visualizations.DownloadVisualization(DownloadVisualizationRequest(name=made.name)),
        lambda: api.visualizations.SaveVisualization(SaveVisualizationRequest(name=made.name)),
        lambda: api.visualizations.DeleteVisualization(DeleteVisualizationRequest(name=made.name)),
    ):
        assert isinstance(refusal(call), NotFound)
    back = api.visualizations.UndeleteVisualization(UndeleteVisualizationRequest(name=made.name)).visualization
    assert not back.HasField("delete_time")
    assert b"".join(
        p.chunk for p in api.visualizations.DownloadVisualization(DownloadVisualizationRequest(name=made.name))
    )


@covers("roomviz.v1.VisualizationService/SaveVisualization")
def test_items_of_batches_are_visualizations_too(api: Api, client: Client, ready: str):
    batch = client.start_batch(ready, client.target(kind="wall"), ["PNT-SAGE", "PNT-SKY"])
    client.finish_batch(batch)
    a, b = (i.visualization for i in client.batch_items(batch))
    listed = f'room = "{ready}" AND display_name = "Sage or sky"'

    saved = api.visualizations.SaveVisualization(SaveVisualizationRequest(name=a, display_name="Sage or sky"))
    api.visualizations.DeleteVisualization(DeleteVisualizationRequest(name=b))

    found = api.visualizations.ListVisualizations(ListVisualizationsRequest(filter=listed)).visualizations
    assert list(found) == [saved.visualization]
    assert saved.visualization == api.visualizations.GetVisualization(GetVisualizationRequest(name=a)).visualization
    assert client.picture(a)
    assert isinstance(refusal(lambda: api.visualizations.GetVisualization(GetVisualizationRequest(name=b))), NotFound)


# --- operations -------------------------------------------------------------------------------------


@covers("google.longrunning.Operations/ListOperations", "google.longrunning.Operations/DeleteOperation")
def test_operations_are_listed_and_hidden(api: Api, ready: str):
    made = export(api, ready)
    name = made.name.replace("visualizations", "operations")

    def found(filter: str, size: int = 0) -> longrunning.ListOperationsResponse:
        return api.operations.ListOperations(
            longrunning.ListOperationsRequest(name="operations", filter=filter, page_size=size)
        )

    exports = f'verb = export AND done = true AND subject = "{ready}"'
    assert found(exports).operations[0].name == name
    assert found(exports).operations[0].response.Is(made.DESCRIPTOR)
    assert found(exports, 1).next_page_token
    assert refusal(lambda: found("owner = me")).reason == "FILTER_INVALID"
    assert refusal(lambda: found("verb = dance")).reason == "FILTER_INVALID"

    api.operations.DeleteOperation(longrunning.DeleteOperationRequest(name=name))

    assert name not in [o.name for o in found(exports).operations]
    for call in (
        lambda: api.operations.GetOperation(longrunning.GetOperationRequest(name=name)),
        lambda: api.operations.DeleteOperation(longrunning.DeleteOperationRequest(name=name)),
        lambda: api.watch.WatchOperation(operations_pb2.WatchOperationRequest(name=name)),
    ):
        assert refusal(call).reason == "OPERATION_NOT_FOUND"
    assert api.visualizations.GetVisualization(GetVisualizationRequest(name=made.name)).visualization.name == made.name


@covers("google.longrunning.Operations/DeleteOperation")
def test_an_operation_that_runs_is_not_deleted(running: Running, api: Api, ready: str):
    name = "operations/" + uuid.uuid4().hex
    running.rows(
        """INSERT INTO gateway.operations (operation_id, tenant, verb, subject, state, fingerprint, job_subject, job,
                                           request, deadline)
           VALUES ($1, 'demo', 'export', $2, 'RUNNING', '', 'jobs.nobody.hears', '', '', now() + interval '1 hour')
           RETURNING 1""",
        name.removeprefix("operations/"),
        ready,
    )

    refused = refusal(lambda: api.operations.DeleteOperation(longrunning.DeleteOperationRequest(name=name)))

    assert isinstance(refused, FailedPrecondition)
    assert refused.reason == "OPERATION_RUNNING"
    api.operations.CancelOperation(longrunning.CancelOperationRequest(name=name))
    api.operations.DeleteOperation(longrunning.DeleteOperationRequest(name=name))


# --- requests that come twice -----------------------------------------------------------------------


def test_a_change_asked_for_twice_under_one_id_is_made_once(api: Api):
    room = new_room(api, 720)
    asked = rooms_pb2.UpdateRoomRequest(
        room=rooms_pb2.Room(name=room.name, display_name="Once", etag=room.etag), request_id=str(uuid.uuid4())
    )

    first = api.rooms.UpdateRoom(asked)
    again = api.rooms.UpdateRoom(asked)

    assert first == again
    asked.room.display_name = "Twice"
    refused = refusal(lambda: api.rooms.UpdateRoom(asked))
    assert isinstance(refused, Aborted)
    assert refused.reason == "REQUEST_ID_REUSED"
    deletion = DeleteRoomRequest(name=room.name, request_id=asked.request_id)
    assert refusal(lambda: api.rooms.DeleteRoom(deletion)).reason == "REQUEST_ID_REUSED"
    deletion.request_id = str(uuid.uuid4())
    assert api.rooms.DeleteRoom(deletion) == api.rooms.DeleteRoom(deletion)
    deletion.request_id = "x" * 65
    assert isinstance(refusal(lambda: api.rooms.DeleteRoom(deletion)), InvalidArgument)


def test_a_refused_change_leaves_its_id_free(api: Api):
    room = new_room(api, 721)
    asked = rooms_pb2.UpdateRoomRequest(
        room=rooms_pb2.Room(name=room.name, display_name="x" * 300), request_id=str(uuid.uuid4())
    )

    assert refusal(lambda: api.rooms.UpdateRoom(asked)).reason == "DISPLAY_NAME_TOO_LONG"
    asked.room.display_name = "short"

    assert api.rooms.UpdateRoom(asked).room.display_name == "short"


def test_an_id_belongs_to_its_caller_and_is_forgotten_after_a_day(running: Running, api: Api):
    room = new_room(api, 722)
    asked = rooms_pb2.UpdateRoomRequest(room=rooms_pb2.Room(name=room.name, display_name="A"), request_id="daily")
    api.rooms.UpdateRoom(asked)
    asked.room.display_name = "B"
    running.rows("UPDATE gateway.requests SET subject = 'users/else' WHERE request_id = 'daily' RETURNING 1")

    assert api.rooms.UpdateRoom(asked).room.display_name == "B"
    running.rows(
        "UPDATE gateway.requests SET create_time = now() - interval '25 hours' WHERE request_id = 'daily' RETURNING 1"
    )
    asked.room.display_name = "C"
    assert api.rooms.UpdateRoom(asked).room.display_name == "C"


def test_an_export_asked_for_by_many_at_once_under_one_id_is_one_operation(api: Api, ready: str):
    asked = ExportVisualizationRequest(room=ready, applications=painted(), request_id=str(uuid.uuid4()))

    with ThreadPoolExecutor(25) as many:
        names = {o.name for o in many.map(lambda _: api.visualizations.ExportVisualization(asked), range(50))}

    assert len(names) == 1
    wait(api, longrunning.Operation(name=names.pop()))


def test_streams_and_codes_are_what_grpc_calls_them(api: Api):
    """A list without anything in it is an answer, not a failure."""
    with pytest.raises(grpc.RpcError) as caught:
        api.rooms.GetRoom(GetRoomRequest(name="rooms/none"))
    code: Any = caught.value
    assert code.code() == grpc.StatusCode.NOT_FOUND
    assert not api.rooms.ListRooms(ListRoomsRequest(filter='display_name = "nobody calls it this"')).rooms


# --- the command ------------------------------------------------------------------------------------


def test_the_command_lists_keeps_shares_and_deletes(running: Running, api: Api, client: Client, ready: str):
    picture = export(api, ready)

    def told(*arguments: str) -> Any:
        done = running.roomviz(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    assert told("pictures", "save", picture.name, "--name", "Hall")["display_name"] == "Hall"
    assert told("pictures", "favorite", picture.name)["favorite"]
    listed = told("pictures", "list", "--filter", f'room = "{ready}" AND saved = true AND favorite = true')
    assert [v["name"] for v in listed] == [picture.name]
    share = told("pictures", "share", picture.name, "--days", "2")
    assert client.shared_picture(share["token"]) == client.picture(picture.name)
    assert told("pictures", "share", picture.name, "--revoke", share["name"])["revoke_time"]
    assert told("pictures", "delete", picture.name)["purge_time"]
    assert not told("pictures", "undelete", picture.name.removeprefix("visualizations/")).get("purge_time")
    room = new_room(api, 730)
    assert told("rooms", "delete", room.name)["delete_time"]
    assert told("rooms", "list", "--deleted", "--limit", "1")[0]["name"] == room.name
    assert told("rooms", "undelete", room.name)["name"] == room.name
    refused = running.roomviz("rooms", "delete", "rooms/none", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["error"]["reason"]) == (1, "ROOM_NOT_FOUND")
    assert "Hall" in running.roomviz("pictures", "list", "--limit", "3").stdout
