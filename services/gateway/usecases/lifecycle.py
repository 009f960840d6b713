"""What becomes of rooms and visualizations: listed, named, saved, deleted and brought back."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roomviz.errors import FailedPrecondition
from roomviz.runtime.context import current
from roomviz.v1 import rooms_pb2, visualizations_pb2
from services.gateway.domain.filters import Field, Kind
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.records import Room, RoomState, Visualization
from services.gateway.ports import Happenings, Rooms, Visualizations
from services.gateway.usecases.caller import caller
from services.gateway.usecases.fields import check_etag, updated
from services.gateway.usecases.idempotency import Once
from services.gateway.usecases.listing import listed
from services.gateway.usecases.names import parse, printable
from services.gateway.usecases.rooms import no_room
from services.gateway.usecases.shown import room_to_proto, visualization_to_proto
from services.gateway.usecases.visualizations import VisualizationCases, no_visualization

ROOM_FIELDS = {
    "display_name": Field(Kind.TEXT),
    "state": Field(Kind.WORD, tuple(RoomState)),
    "content_digest": Field(Kind.TEXT),
    "create_time": Field(Kind.TIME),
    "update_time": Field(Kind.TIME),
}
VISUALIZATION_FIELDS = {
    "room": Field(Kind.TEXT),
    "display_name": Field(Kind.TEXT),
    "saved": Field(Kind.BOOL),
    "favorite": Field(Kind.BOOL),
    "create_time": Field(Kind.TIME),
    "update_time": Field(Kind.TIME),
}


@dataclass(frozen=True)
class RoomLifecycle:
    rooms: Rooms
    once: Once
    kept: timedelta
    happenings: Happenings

    async def page(self, r: rooms_pb2.ListRoomsRequest) -> rooms_pb2.ListRoomsResponse:
        found, more = await listed(
            self.rooms.page, "rooms", ROOM_FIELDS, r.page_size, r.page_token, r.filter, r.order_by, r.show_deleted
        )
        return rooms_pb2.ListRoomsResponse(rooms=[room_to_proto(room) for room in found], next_page_token=more)

    async def update(self, request: rooms_pb2.UpdateRoomRequest) -> rooms_pb2.UpdateRoomResponse:
        async def change(connection: Any) -> rooms_pb2.UpdateRoomResponse:
            room = await self._there(connection, request.room.name)
            paths = updated(request.update_mask, request.room, ("display_name",))
            check_etag(request.room.etag, room.etag)
            if paths:
                room = await self.rooms.rename(connection, room, printable(request.room.display_name))
            return rooms_pb2.UpdateRoomResponse(room=room_to_proto(room))

        return await self.once(request, rooms_pb2.UpdateRoomResponse, change)

    async def delete(self, request: rooms_pb2.DeleteRoomRequest) -> rooms_pb2.DeleteRoomResponse:
        async def change(connection: Any) -> rooms_pb2.DeleteRoomResponse:
            room = await self._there(connection, request.name)
            check_etag(request.etag, room.etag)
            room = await self.rooms.delete(connection, room, self.kept)
            await self.happenings.record(_done(Type.ROOM_DELETED, room.name, room.name), connection=connection)
            return rooms_pb2.DeleteRoomResponse(room=room_to_proto(room))

        return await self.once(request, rooms_pb2.DeleteRoomResponse, change)

    async def undelete(self, request: rooms_pb2.UndeleteRoomRequest) -> rooms_pb2.UndeleteRoomResponse:
        async def change(connection: Any) -> rooms_pb2.UndeleteRoomResponse:
            room = await self._locked(connection, request.name)
            if room.delete_time is not None:
                room = await self.rooms.undelete(connection, room)
            return rooms_pb2.UndeleteRoomResponse(room=room_to_proto(room))

        return await self.once(request, rooms_pb2.UndeleteRoomResponse, change)

    async def _locked(self, connection: Any, name: str) -> Room:
        (room_id,) = parse(name, "rooms")
        room = await self.rooms.locked(connection, current().tenant, room_id)
        if room is None or not caller().may_see(room.owner):
            raise no_room(name)
        return room

    async def _there(self, connection: Any, name: str) -> Room:
        room = await self._locked(connection, name)
        if room.delete_time is not None:
            raise no_room(name)
        return room


@dataclass(frozen=True)
class VisualizationLifecycle:
    cases: VisualizationCases
    visualizations: Visualizations
    once: Once
    kept: timedelta
    happenings: Happenings

    async def page(
        self, r: visualizations_pb2.ListVisualizationsRequest
    ) -> visualizations_pb2.ListVisualizationsResponse:
        found, more = await listed(
            self.visualizations.page,
            "visualizations",
            VISUALIZATION_FIELDS,
            r.page_size,
            r.page_token,
            r.filter,
            r.order_by,
            r.show_deleted,
        )
        return visualizations_pb2.ListVisualizationsResponse(
            visualizations=[visualization_to_proto(v) for v in found], next_page_token=more
        )

    async def save(
        self, request: visualizations_pb2.SaveVisualizationRequest
    ) -> visualizations_pb2.SaveVisualizationResponse:
        seen = await self.cases.seen(request.name)
        display_name = printable(request.display_name)

        async def change(connection: Any) -> visualizations_pb2.SaveVisualizationResponse:
            it = await self.there(connection, seen)
            before = it.save_time
            it = await self.visualizations.mark(
                connection, it, display_name or it.display_name, it.favorite, saved=True
            )
            if before is None:
                await self.tell(connection, Type.VISUALIZATION_SAVED, it)
            return visualizations_pb2.SaveVisualizationResponse(visualization=visualization_to_proto(it))

        return await self.once(request, visualizations_pb2.SaveVisualizationResponse, change)

    async def update(
        self, request: visualizations_pb2.UpdateVisualizationRequest
    ) -> visualizations_pb2.UpdateVisualizationResponse:
        asked = request.visualization
        seen = await self.cases.seen(asked.name)

        async def change(connection: Any) -> visualizations_pb2.UpdateVisualizationResponse:
            it = await self.there(connection, seen)
            paths = updated(request.update_mask, asked, ("display_name", "favorite"))
            check_etag(asked.etag, it.etag)
            if paths:
                display_name = printable(asked.display_name) if "display_name" in paths else it.display_name
                favorite = asked.favorite if "favorite" in paths else it.favorite
                it = await self.visualizations.mark(connection, it, display_name, favorite, saved=False)
            return visualizations_pb2.UpdateVisualizationResponse(visualization=visualization_to_proto(it))

        return await self.once(request, visualizations_pb2.UpdateVisualizationResponse, change)

    async def delete(
        self, request: visualizations_pb2.DeleteVisualizationRequest
    ) -> visualizations_pb2.DeleteVisualizationResponse:
        seen = await self.cases.seen(request.name)

        async def change(connection: Any) -> visualizations_pb2.DeleteVisualizationResponse:
            it = await self.there(connection, seen)
            check_etag(request.etag, it.etag)
            it = await self.visualizations.delete(connection, it, self.kept)
            await self.tell(connection, Type.VISUALIZATION_DELETED, it)
            return visualizations_pb2.DeleteVisualizationResponse(visualization=visualization_to_proto(it))

        return await self.once(request, visualizations_pb2.DeleteVisualizationResponse, change)

    async def undelete(
        self, request: visualizations_pb2.UndeleteVisualizationRequest
    ) -> visualizations_pb2.UndeleteVisualizationResponse:
        seen = await self.cases.seen(request.name)

        async def change(connection: Any) -> visualizations_pb2.UndeleteVisualizationResponse:
            it = await self.visualizations.locked(connection, seen)
            if it.delete_time is not None:
                if await self.visualizations.room_is_deleted(connection, it):
                    raise FailedPrecondition(
                        "ROOM_DELETED", f"{it.room} is deleted; bring it back first", {"room": it.room}
                    )
                it = await self.visualizations.delete(connection, it, None)
            return visualizations_pb2.UndeleteVisualizationResponse(visualization=visualization_to_proto(it))

        return await self.once(request, visualizations_pb2.UndeleteVisualizationResponse, change)

    async def there(self, connection: Any, seen: Visualization) -> Visualization:
        """The visualization, held until the transaction ends; raises where it was deleted."""
        it = await self.visualizations.locked(connection, seen)
        if it.delete_time is not None:
            raise no_visualization(it.name)
        return it

    async def tell(self, connection: Any, what: Type, it: Visualization) -> None:
        """Record what the caller did to a visualization, in the transaction that does it."""
        await self.happenings.record(_done(what, it.name, it.room), connection=connection)


def _done(what: Type, name: str, room: str) -> Event:
    return Event(what, caller().tenant, caller().subject, name, room=room, store=caller().store)
