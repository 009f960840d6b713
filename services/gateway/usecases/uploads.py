"""Uploads that outlive a connection: announced, sent in as many calls as it takes, taken in once they are whole.

What has arrived is objects of a megabyte, so a call that breaks loses less than that. An object's key carries its writer:
one that lost the upload to another overwrites nothing of it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roomviz.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, RoomvizError, Violation
from roomviz.runtime.context import current
from roomviz.v1 import uploads_pb2
from services.gateway.domain.records import Room, Upload
from services.gateway.ports import Objects, Uploads
from services.gateway.usecases.caller import caller
from services.gateway.usecases.idempotency import Once
from services.gateway.usecases.names import new_id, parse, printable
from services.gateway.usecases.rooms import RoomCases, check_digest
from services.gateway.usecases.shown import stamp

PART_BYTES = 1 << 20


@dataclass(frozen=True)
class UploadCases:
    rooms: RoomCases
    uploads: Uploads
    objects: Objects
    once: Once
    bytes_max: int
    kept: timedelta

    async def create(self, request: uploads_pb2.CreateUploadRequest) -> uploads_pb2.CreateUploadResponse:
        asked = request.upload
        check_digest(asked.content_digest)
        if asked.size_bytes < 1:
            message = "size_bytes is the size of the whole file"
            raise InvalidArgument("IMAGE_EMPTY", message, violations=[Violation("upload.size_bytes", message)])
        if asked.size_bytes > self.bytes_max:
            message = f"the file has more than {self.bytes_max} bytes"
            raise InvalidArgument(
                "IMAGE_TOO_LARGE",
                message,
                {"bytes_max": str(self.bytes_max)},
                violations=[Violation("upload.size_bytes", message)],
            )
        now = datetime.now(UTC)
        begun = Upload(
            new_id(),
            current().tenant,
            caller().subject,
            printable(asked.display_name),
            asked.size_bytes,
            asked.content_digest,
            now,
            now + self.kept,
        )

        async def change(connection: Any) -> uploads_pb2.CreateUploadResponse:
            return uploads_pb2.CreateUploadResponse(upload=_shown(await self.uploads.add(connection, begun)))

        return await self.once(request, uploads_pb2.CreateUploadResponse, change)

    async def get(self, request: uploads_pb2.GetUploadRequest) -> uploads_pb2.GetUploadResponse:
        return uploads_pb2.GetUploadResponse(upload=_shown(await self._mine(request.name)))

    async def go_on(self, name: str, offset: int, chunks: AsyncIterator[bytes]) -> Room:
        """Take the next bytes, from `offset` on; the room once that was the last of them."""
        upload = await self._mine(name)
        if upload.room:  # the answer was lost
            return await self.rooms.get(upload.room)
        writer = secrets.token_hex(8)
        if not await self.uploads.enter(upload, writer, offset):
            raise await self._refused(name, offset)
        try:
            upload = await self._mine(name)  # as it is, now that it is ours alone
            upload = await self._receive(upload, writer, chunks)
            if upload.received_bytes < upload.size_bytes:
                raise FailedPrecondition(
                    "UPLOAD_INCOMPLETE",
                    f"{upload.received_bytes} bytes have come of {upload.size_bytes}; go on there",
                    {"received_bytes": str(upload.received_bytes)},
                )
            return await self._take_in(upload)
        finally:
            # Also where the caller hung up: the next call need not wait until this one is taken for dead.
            await asyncio.shield(self.uploads.leave(upload, writer))

    async def sweep(self) -> None:
        """Forget uploads whose time is over."""
        for upload in await self.uploads.expired():
            await self._drop(upload)

    async def _mine(self, name: str) -> Upload:
        (upload_id,) = parse(name, "uploads")
        found = await self.uploads.get(current().tenant, upload_id)
        if found is None or not caller().may_see(found.owner):
            raise NotFound("UPLOAD_NOT_FOUND", f"there is no upload {name}", {"upload": name})
        return found

    async def _refused(self, name: str, offset: int) -> RoomvizError:
        upload = await self._mine(name)
        if upload.received_bytes != offset:
            return Aborted(
                "UPLOAD_OFFSET_MISMATCH",
                f"{upload.received_bytes} bytes have come; go on there",
                {"received_bytes": str(upload.received_bytes)},
            )
        return Aborted(
            "UPLOAD_BUSY", "another call sends to this upload; try again when it has ended", retry_after_s=1.0
        )

    async def _receive(self, upload: Upload, writer: str, chunks: AsyncIterator[bytes]) -> Upload:
        """Store what comes, part by part."""
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if upload.received_bytes + len(waiting) > upload.size_bytes:
                raise InvalidArgument(
                    "SIZE_MISMATCH",
                    f"more than the {upload.size_bytes} bytes came that were announced",
                    {"received_bytes": str(upload.received_bytes)},
                )
            if len(waiting) >= PART_BYTES:
                upload = await self._store(upload, writer, bytes(waiting))
                waiting.clear()
        return await self._store(upload, writer, bytes(waiting)) if waiting else upload

    async def _store(self, upload: Upload, writer: str, part: bytes) -> Upload:
        key = f"{upload.name}/{upload.received_bytes:012}-{writer}"
        await self.objects.put(key, part, "application/octet-stream")
        if not await self.uploads.extend(upload, writer, key, len(part)):
            await self.objects.remove(key)
            raise Aborted("UPLOAD_BUSY", "another call took this upload over")
        return replace(upload, received_bytes=upload.received_bytes + len(part), parts=(*upload.parts, key))

    async def _take_in(self, upload: Upload) -> Room:
        async def parts() -> AsyncIterator[bytes]:
            for key in upload.parts:
                yield await self.objects.get(key)

        try:
            room = await self.rooms.keep(upload.display_name, parts(), upload.content_digest)
        except InvalidArgument:  # it will not get better
            await self._drop(upload)
            raise
        await self.uploads.finish(upload, room.name)
        for key in upload.parts:
            await self.objects.remove(key)
        return room

    async def _drop(self, upload: Upload) -> None:
        # All that lies there: a part whose call broke off stands in no row.
        for part in await self.objects.under(f"{upload.name}/"):
            await self.objects.remove(part.key)
        await self.uploads.drop(upload)


def _shown(upload: Upload) -> uploads_pb2.Upload:
    out = uploads_pb2.Upload(
        name=upload.name,
        display_name=upload.display_name,
        size_bytes=upload.size_bytes,
        content_digest=upload.content_digest,
        received_bytes=upload.received_bytes,
        room=upload.room,
    )
    stamp(out, create_time=upload.create_time, expire_time=upload.expire_time)
    return out
