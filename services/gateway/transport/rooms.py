"""Rooms, their photos and surfaces."""

from collections.abc import AsyncIterator

import grpc
from google.longrunning import operations_pb2 as longrunning

from roomviz.errors import InvalidArgument
from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.runtime.rpc import CHUNK_BYTES
from roomviz.v1 import rooms_pb2, rooms_pb2_grpc
from services.gateway.transport.messages import operation_to_proto
from services.gateway.usecases.descriptions import DescriptionCases
from services.gateway.usecases.lifecycle import RoomLifecycle
from services.gateway.usecases.operations import OperationCases
from services.gateway.usecases.rooms import RoomCases
from services.gateway.usecases.shown import room_to_proto
from services.gateway.usecases.uploads import UploadCases

Context = grpc.aio.ServicerContext


class RoomService(rooms_pb2_grpc.RoomServiceServicer):
    def __init__(
        self,
        rooms: RoomCases,
        lifecycle: RoomLifecycle,
        uploads: UploadCases,
        operations: OperationCases,
        descriptions: DescriptionCases,
    ):
        self._rooms, self._lifecycle, self._uploads = rooms, lifecycle, uploads
        self._operations, self._descriptions = operations, descriptions

    async def UploadRoom(
        self, requests: AsyncIterator[rooms_pb2.UploadRoomRequest], rpc: Context
    ) -> rooms_pb2.UploadRoomResponse:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidArgument("HEADER_MISSING", "an upload begins with its header")

        async def chunks() -> AsyncIterator[bytes]:
            async for request in requests:
                if request.WhichOneof("part") != "chunk" or len(request.chunk) > CHUNK_BYTES:
                    raise InvalidArgument(
                        "CHUNK_INVALID", f"after the header come chunks of at most {CHUNK_BYTES} bytes"
                    )
                yield request.chunk

        header = first.header
        if header.upload:
            room = await self._uploads.go_on(header.upload, header.offset, chunks())
        else:
            room = await self._rooms.upload(header, chunks())
        return rooms_pb2.UploadRoomResponse(room=room_to_proto(room))

    async def GetRoom(self, request: rooms_pb2.GetRoomRequest, rpc: Context) -> rooms_pb2.GetRoomResponse:
        return rooms_pb2.GetRoomResponse(room=room_to_proto(await self._rooms.get(request.name)))

    async def ListRooms(self, request: rooms_pb2.ListRoomsRequest, rpc: Context) -> rooms_pb2.ListRoomsResponse:
        return await self._lifecycle.page(request)

    async def UpdateRoom(self, request: rooms_pb2.UpdateRoomRequest, rpc: Context) -> rooms_pb2.UpdateRoomResponse:
        return await self._lifecycle.update(request)

    async def DeleteRoom(self, request: rooms_pb2.DeleteRoomRequest, rpc: Context) -> rooms_pb2.DeleteRoomResponse:
        return await self._lifecycle.delete(request)

    async def UndeleteRoom(
        self, request: rooms_pb2.UndeleteRoomRequest, rpc: Context
    ) -> rooms_pb2.UndeleteRoomResponse:
        return await self._lifecycle.undelete(request)

    async def AnalyzeRoom(self, request: rooms_pb2.AnalyzeRoomRequest, rpc: Context) -> longrunning.Operation:
        operation = await self._rooms.analyze(request)
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def ListSurfaces(
        self, request: rooms_pb2.ListSurfacesRequest, rpc: Context
    ) -> rooms_pb2.ListSurfacesResponse:
        question = (current().tenant, "surfaces", request.parent)
        begin = paging.offset(request.page_token, *question)
        end = begin + paging.page_size(request.page_size)
        found = (await self._rooms.analysis(await self._rooms.get(request.parent))).analysis.surfaces
        more = paging.token(str(end), *question) if end < len(found) else ""
        return rooms_pb2.ListSurfacesResponse(surfaces=found[begin:end], next_page_token=more)

    async def GetRoomDescription(
        self, request: rooms_pb2.GetRoomDescriptionRequest, rpc: Context
    ) -> rooms_pb2.GetRoomDescriptionResponse:
        found = await self._descriptions.get(request.name)
        return rooms_pb2.GetRoomDescriptionResponse(
            description=found.description,
            technical_summary=found.technical_summary,
            provider=found.provider,
            fallback_reason=found.fallback_reason,
        )

    async def FetchMask(self, request: rooms_pb2.FetchMaskRequest, rpc: Context) -> rooms_pb2.FetchMaskResponse:
        return rooms_pb2.FetchMaskResponse(png=await self._rooms.mask(request.name))

    async def DownloadPhoto(
        self, request: rooms_pb2.DownloadPhotoRequest, rpc: Context
    ) -> AsyncIterator[rooms_pb2.DownloadPhotoResponse]:
        data = await self._rooms.photo(request.name)
        for at in range(0, len(data), CHUNK_BYTES):
            yield rooms_pb2.DownloadPhotoResponse(chunk=data[at : at + CHUNK_BYTES])
