"""Rooms: taking in photos, having them analyzed, reading what was found."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from weakref import WeakValueDictionary

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.runtime.context import current
from roomviz.runtime.metrics import stage
from roomviz.runtime.rpc import invoke
from roomviz.v1 import rooms_pb2
from services.gateway.domain.records import Operation, Room, RoomState
from services.gateway.ports import Calls, Decoder, Objects, Operations, Rooms, Spool
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import check_request_id, new_id, parse, printable
from services.gateway.usecases.quotas import QuotaCases

ANALYZE_SIDE_MIN = 64
_DIGEST = re.compile("[0-9a-f]{64}")


def envelope(operation_id: str, limit_s: float) -> tuple[jobs_pb2.Envelope, datetime]:
    """What a job of the request being served carries, and its deadline."""
    here = current()
    deadline = datetime.now(UTC) + timedelta(seconds=limit_s)
    made = jobs_pb2.Envelope(
        operation=operation_id, tenant=here.tenant, request_id=here.request_id, traceparent=here.traceparent
    )
    made.deadline.FromDatetime(deadline)
    return made, deadline


def check_digest(content_digest: str) -> None:
    """A digest that is announced is a SHA-256; empty where none is."""
    if content_digest and not _DIGEST.fullmatch(content_digest):
        message = "content_digest is a SHA-256, 64 lower-case hexadecimal digits"
        raise InvalidArgument("DIGEST_INVALID", message, violations=[Violation("content_digest", message)])


def no_room(name: str) -> NotFound:
    return NotFound("ROOM_NOT_FOUND", f"there is no room {name}", {"room": name})


@dataclass(frozen=True)
class RoomCases:
    rooms: Rooms
    operations: Operations
    objects: Objects
    decoder: Decoder
    calls: Calls
    spool: Spool
    quotas: QuotaCases
    bytes_max: int
    job_limit_s: float
    # A lock for each upload that is being kept, by caller and content.
    _coming: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def get(self, name: str) -> Room:
        (room_id,) = parse(name, "rooms")
        room = await self.rooms.get(current().tenant, room_id)
        if room is None or not caller().may_see(room.owner):
            raise no_room(name)
        return room

    async def visible(self, name: str) -> bool:
        """Whether a room is there for the caller."""
        try:
            await self.get(name)
        except NotFound:
            return False
        return True

    async def upload(self, header: rooms_pb2.UploadRoomHeader, chunks: AsyncIterator[bytes]) -> Room:
        """Keep a photo that comes in one call. It is refused as soon as it is too long."""
        check_digest(header.content_digest)
        display_name = printable(header.display_name)
        return await self.keep(display_name, chunks, header.content_digest, header.size_bytes)

    async def keep(
        self, display_name: str, chunks: AsyncIterator[bytes], content_digest: str = "", size_bytes: int = 0
    ) -> Room:
        """Make a room of a photo, or give the one that the caller has of it; refuse what is not what was announced. It is
        stored only once it is normalized."""
        tenant, owner = current().tenant, caller().subject
        async with self.spool.folder() as folder:
            came = await self.spool.write(folder / "upload", chunks, self.bytes_max)
            if size_bytes and came.size_bytes != size_bytes:
                raise InvalidArgument(
                    "SIZE_MISMATCH",
                    f"{came.size_bytes} bytes came of {size_bytes}",
                    {"received_bytes": str(came.size_bytes)},
                )
            if content_digest and came.digest != content_digest:
                raise InvalidArgument(
                    "DIGEST_MISMATCH",
                    "what came is not what was announced: its SHA-256 differs",
                    {"content_digest": came.digest},
                )
            # The same photo sent several times at once is decoded and stored once.
            async with self._coming.setdefault((tenant, owner, came.digest), asyncio.Lock()):
                known = await self.rooms.by_digest(tenant, owner, came.digest)
                return known or await self._keep(tenant, owner, display_name, came.digest, folder / "upload")

    async def _keep(self, tenant: str, owner: str, display_name: str, digest: str, upload: Path) -> Room:
        with stage("ingest"):
            made = await self.decoder.take_in_file(upload)
        await self.quotas.check_megapixels(tenant, made.told.width * made.told.height / 1e6)
        room_id = new_id()
        photo_key = working_key = f"rooms/{room_id}/photo.png"
        with stage("store"):
            await self.objects.put_file(photo_key, made.photo, "image/png")
            if made.working is not None:
                working_key = f"rooms/{room_id}/working.png"
                await self.objects.put_file(working_key, made.working, "image/png")
        return await self.rooms.add(
            Room(
                room_id,
                tenant,
                owner,
                display_name,
                digest,
                made.told.width,
                made.told.height,
                photo_key,
                working_key,
                made.told.focal_35mm,
                RoomState.UPLOADED,
                datetime.now(UTC),
                made.told.removed,
            )
        )

    async def analyze(self, request: rooms_pb2.AnalyzeRoomRequest) -> Operation:
        check_request_id(request.request_id)
        room = await self.get(request.name)
        if min(room.width, room.height) < ANALYZE_SIDE_MIN:
            raise FailedPrecondition(
                "IMAGE_TOO_SMALL",
                f"the photo has {room.width} x {room.height} pixels; at least {ANALYZE_SIDE_MIN} x {ANALYZE_SIDE_MIN} are needed",
            )
        if room.state is not RoomState.UPLOADED and not request.reanalyze:
            done = await self.operations.last_succeeded(room.tenant, "analyze", room.name)
            if done is not None:
                return done
        operation_id = new_id()
        carried, deadline = envelope(operation_id, self.job_limit_s)
        job = jobs_pb2.AnalyzeRoomJob(
            envelope=carried, room=room.name, photo_key=room.photo_key, focal_length_35mm=room.focal_35mm
        )
        return await self.operations.start(
            operation_id,
            room.tenant,
            room.owner,  # whoever asks: what is known of a room is there for who has the room
            "analyze",
            room.name,
            request.request_id,
            request,
            "jobs.segmentation.analyze",
            job,
            deadline,
        )

    async def analysis(self, room: Room) -> segmentation_pb2.GetAnalysisResponse:
        """The finished analysis of a room, masks' keys included."""
        try:
            found: segmentation_pb2.GetAnalysisResponse = await invoke(
                self.calls.segmentation.GetAnalysis, segmentation_pb2.GetAnalysisRequest(room=room.name)
            )
        except NotFound as error:
            raise FailedPrecondition(
                "ROOM_NOT_ANALYZED", f"{room.name} was not analyzed yet; call AnalyzeRoom first", {"room": room.name}
            ) from error
        return found

    async def mask(self, name: str) -> bytes:
        room_id, surface_id = parse(name, "rooms", "surfaces")
        room = await self.get(f"rooms/{room_id}")
        found = await self.analysis(room)
        for surface, key in zip(found.analysis.surfaces, found.mask_keys, strict=True):
            if surface.surface_id == surface_id:
                return await self.objects.get(key)
        raise NotFound("SURFACE_NOT_FOUND", f"there is no surface {name}", {"surface": name})

    async def photo(self, name: str) -> bytes:
        return await self.objects.get((await self.get(name)).photo_key)
