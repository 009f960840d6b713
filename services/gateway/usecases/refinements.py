"""Corrections: whose room it is, is settled here; what is done to its masks, behind."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from roomviz.runtime.rpc import invoke
from services.gateway.ports import Calls
from services.gateway.usecases.names import check_request_id, parse
from services.gateway.usecases.rooms import RoomCases


@dataclass(frozen=True)
class RefinementCases:
    rooms: RoomCases
    calls: Calls

    async def surface(self, method: str, request: Any) -> Any:
        """Pass on a request about a surface of one of the caller's rooms."""
        room_id, _ = parse(request.name, "rooms", "surfaces")
        return await self._pass_on(f"rooms/{room_id}", method, request)

    async def room(self, method: str, request: Any) -> Any:
        """Pass on a request about one of the caller's rooms."""
        return await self._pass_on(request.parent, method, request)

    async def _pass_on(self, room: str, method: str, request: Message) -> Any:
        check_request_id(getattr(request, "request_id", ""))
        await self.rooms.get(room)
        return await invoke(getattr(self.calls.refinements, method), request)
