"""Sessions of the HTTP API: one photo, from its upload to what was found in it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from google.protobuf import any_pb2
from google.rpc import status_pb2

from roomviz.errors import Cancelled, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, RoomvizError
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.runtime.admission import Turns
from roomviz.runtime.context import current
from roomviz.runtime.rpc import from_status, to_status
from roomviz.v1 import rooms_pb2
from services.gateway.domain.records import Operation, OperationState, Room
from services.gateway.domain.sessions import PhotoResult, PhotoSession, Stage
from services.gateway.domain.tint import tinted
from services.gateway.ports import Describes, Objects, PhotoSessions
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import new_id, parse, printable
from services.gateway.usecases.operations import OperationCases, error_of
from services.gateway.usecases.rooms import RoomCases

log = structlog.get_logger()

BATCH_FILES_MAX = 25
FILE_NAME_MAX = 200
_REFUSALS = (InvalidArgument, FailedPrecondition)


@dataclass(frozen=True)
class Standing:
    """Where a session stands: `percent` as the workers tell it, `error` of what failed."""

    stage: Stage
    percent: int
    message: str
    error: RoomvizError | None = None


@dataclass(frozen=True)
class PhotoSessionCases:
    sessions: PhotoSessions
    rooms: RoomCases
    operations: OperationCases
    objects: Objects
    descriptions: Describes
    turns: Turns  # of heavy work

    # --- photos in ---

    async def begin(self, file_name: str = "", batch_id: str | None = None, position: int = 0) -> PhotoSession:
        """A session that has no photo yet."""
        session = self._new(file_name, batch_id, position)
        await self.sessions.add(session)
        return session

    async def upload(self, file_name: str, chunks: AsyncIterator[bytes]) -> tuple[PhotoSession, Room]:
        """A session of this photo."""
        room = await self.rooms.upload(rooms_pb2.UploadRoomHeader(display_name=shown(file_name)), chunks)
        session = replace(self._new(file_name), room_id=room.room_id)
        await self.sessions.add(session)
        return session, room

    async def upload_into(
        self, session_id: str, file_name: str, chunks: AsyncIterator[bytes]
    ) -> tuple[PhotoSession, Room]:
        """Put a photo into a session that was begun; a second one takes the place of the first."""
        session = await self.get(session_id)
        room = await self.rooms.upload(rooms_pb2.UploadRoomHeader(display_name=shown(file_name)), chunks)
        await self.sessions.put_room(session.tenant, session.session_id, room.room_id, shown(file_name))
        return replace(session, room_id=room.room_id, file_name=shown(file_name), operation_id=None), room

    async def upload_to_batch(
        self, batch_id: str, position: int, file_name: str, chunks: AsyncIterator[bytes]
    ) -> PhotoSession:
        """One file of a batch, being analyzed; one that cannot be taken has its failure."""
        if position >= BATCH_FILES_MAX:
            raise InvalidArgument("BATCH_TOO_LARGE", f"a batch has at most {BATCH_FILES_MAX} files")
        session = self._new(file_name, batch_id, position)
        try:
            room = await self.rooms.upload(rooms_pb2.UploadRoomHeader(display_name=shown(file_name)), chunks)
            session = replace(session, room_id=room.room_id)
            operation = await self.rooms.analyze(rooms_pb2.AnalyzeRoomRequest(name=room.name))
            session = replace(session, operation_id=operation.operation_id)
        except _REFUSALS as error:
            session = replace(session, error=to_status(error).SerializeToString())
        await self.sessions.add(session)
        return session

    # --- what becomes of them ---

    async def get(self, session_id: str) -> PhotoSession:
        parse(f"sessions/{session_id}", "sessions")
        found = await self.sessions.get(current().tenant, session_id)
        if found is None or not caller().may_see(found.owner):
            raise NotFound("SESSION_NOT_FOUND", f"there is no session {session_id[:64]}")
        return found

    async def room(self, session: PhotoSession) -> Room:
        if session.room_id is None:
            raise FailedPrecondition("PHOTO_MISSING", "the session has no photo yet; upload one first")
        return await self.rooms.get(session.room)

    async def ready(self, session: PhotoSession, limit_s: float) -> Room:
        """The session's room, once the analysis that runs for it, if any, has ended; as `analyze` where that takes longer."""
        room = await self.room(session)
        if session.operation_id is not None:
            operation = await self.operations.get(f"operations/{session.operation_id}")
            if operation.state is OperationState.RUNNING:
                await self.ended(operation, limit_s)
        return room

    async def batch(self, batch_id: str) -> list[PhotoSession]:
        parse(f"batches/{batch_id}", "batches")
        found = [s for s in await self.sessions.of_batch(current().tenant, batch_id) if caller().may_see(s.owner)]
        if not found:
            raise NotFound("BATCH_NOT_FOUND", f"there is no batch {batch_id[:64]}")
        return found

    async def standing(self, session: PhotoSession) -> Standing:
        if session.error is not None:
            error = from_status(status_pb2.Status.FromString(session.error))
            return Standing(Stage.FAILED, 0, error.message, error)
        if session.room_id is None:
            return Standing(Stage.CREATED, 0, "waiting for a photo")
        standing = Standing(Stage.UPLOADED, 0, "uploaded, not analyzed yet")
        if session.operation_id is not None:
            standing = self.told(await self.operations.get(f"operations/{session.operation_id}"))
        if standing.stage is not Stage.COMPLETED:
            room = await self.rooms.get(session.room)
            if await self.sessions.result(session.tenant, room.content_digest) is not None:
                return Standing(Stage.COMPLETED, 100, "done")
        return standing

    def told(self, operation: Operation) -> Standing:
        """Where the session of this analysis stands."""
        if operation.state is OperationState.SUCCEEDED:
            return Standing(Stage.COMPLETED, 100, "done")
        progress = self.operations.board.last(operation.operation_id)
        if operation.state is OperationState.RUNNING:
            return Standing(Stage.PROCESSING, min(progress.percent, 99), progress.stage or "queued")
        error = self._failure(operation)
        return Standing(Stage.FAILED, progress.percent, error.message, error)

    async def analyze(self, session: PhotoSession, limit_s: float) -> Operation:
        """The ended analysis of the session's room. What takes longer goes on, and DeadlineExceeded says so."""
        return await self.ended(await self._begun(session, await self.room(session)), limit_s)

    async def _begun(self, session: PhotoSession, room: Room) -> Operation:
        operation = await self.rooms.analyze(rooms_pb2.AnalyzeRoomRequest(name=room.name))
        await self.sessions.put_operation(session.tenant, session.session_id, operation.operation_id)
        return operation

    async def found(self, session: PhotoSession) -> tuple[Room, segmentation_pb2.GetAnalysisResponse]:
        """The room with its surfaces and their masks as they are now."""
        room = await self.room(session)
        return room, await self.rooms.analysis(room)

    async def result(self, session: PhotoSession, limit_s: float) -> PhotoResult:
        """What was found in the photo. The same photo again in the same tenant is answered from what was kept, while the
        session's own room is analyzed for what is asked of it next."""
        room = await self.room(session)
        kept = await self.sessions.result(session.tenant, room.content_digest)
        if kept is not None:
            if session.operation_id is None:
                try:
                    await self._begun(session, room)
                except RoomvizError as error:  # it can be asked for later; the answer is there
                    log.warning("room of a known photo is not analyzed", room=room.name, error=error.message)
            return kept
        operation = await self.analyze(session, limit_s)
        return await self._keep(room, operation)

    async def kept(self, session: PhotoSession) -> PhotoResult:
        """As `result`, of what is done already. Raises FailedPrecondition where it is not."""
        standing = await self.standing(session)
        if standing.error is not None:
            raise standing.error
        if standing.stage is not Stage.COMPLETED:
            raise FailedPrecondition("RESULTS_NOT_READY", f"there are no results yet: {standing.message}")
        return await self.result(session, current().remaining_s)

    async def _keep(self, room: Room, operation: Operation) -> PhotoResult:
        analysis = analysis_of(operation)
        found = await self.rooms.analysis(room)
        picture_key = f"rooms/{room.room_id}/tinted-{operation.operation_id}.jpg"
        seconds = ((operation.end_time or operation.create_time) - operation.create_time).total_seconds()
        async with self.turns.turn(room.tenant, current().remaining_s):
            photo, *masks = await asyncio.gather(
                self.objects.get(room.working_key), *(self.objects.get(key) for key in found.mask_keys)
            )
            kinds = [s.kind for s in found.analysis.surfaces]
            picture = await asyncio.to_thread(tinted, photo, list(zip(kinds, masks, strict=True)))
            await self.objects.put(picture_key, picture, "image/jpeg")
        words = await self.descriptions.get(room.name)
        untouched = list(found.analysis.surfaces) == list(analysis.surfaces)
        result = PhotoResult(
            found.analysis.SerializeToString(),
            list(found.mask_keys),
            picture_key,
            seconds,
            words.description,
            words.technical_summary,
        )
        if untouched:  # what somebody corrected is that room's alone
            await self.sessions.keep_result(room.tenant, room.content_digest, room.room_id, result)
        return result

    async def ended(self, operation: Operation, limit_s: float) -> Operation:
        """The operation once it has succeeded; raises what it failed with, or DeadlineExceeded (STILL_RUNNING)."""
        name = f"operations/{operation.operation_id}"
        ended = await self.operations.wait(name, limit_s)
        if ended.state is OperationState.RUNNING:
            raise DeadlineExceeded(
                "STILL_RUNNING", "this takes longer; it goes on, and can be asked for again", {"operation": name}
            )
        if ended.state is not OperationState.SUCCEEDED:
            raise self._failure(ended)
        return ended

    @staticmethod
    def _failure(operation: Operation) -> RoomvizError:
        if operation.state is OperationState.CANCELLED:
            return Cancelled("OPERATION_CANCELLED", "the operation was cancelled")
        return from_status(error_of(operation))

    @staticmethod
    def _new(file_name: str, batch_id: str | None = None, position: int = 0) -> PhotoSession:
        return PhotoSession(
            new_id(),
            current().tenant,
            caller().subject,
            shown(file_name),
            None,
            None,
            batch_id,
            position,
            None,
            datetime.now(UTC),
        )


def shown(file_name: str) -> str:
    """What a file is called, for people."""
    return printable(file_name.replace("\\", "/").rpartition("/")[2][:FILE_NAME_MAX])


def analysis_of(operation: Operation) -> rooms_pb2.AnalyzeRoomResponse:
    """What an analysis found when it ended."""
    analysis = rooms_pb2.AnalyzeRoomResponse()
    any_pb2.Any.FromString(operation.response or b"").Unpack(analysis)
    return analysis
