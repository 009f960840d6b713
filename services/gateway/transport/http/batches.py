"""Many photos at once: each is analyzed as soon as it is there, and tells how far it is."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import StreamingResponse
from google.protobuf.json_format import MessageToDict

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound
from roomviz.v1 import rooms_pb2
from services.gateway.domain.sessions import PhotoSession, Stage
from services.gateway.ports import Objects
from services.gateway.transport.admission import Weight
from services.gateway.transport.http import shapes, show
from services.gateway.transport.http.gate import asks
from services.gateway.transport.http.multipart import parts
from services.gateway.usecases.names import new_id
from services.gateway.usecases.photo_sessions import BATCH_FILES_MAX, PhotoSessionCases, Standing

_ENDED = (Stage.COMPLETED, Stage.FAILED)
_SILENCE_S = 15.0
_FILES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "files": {
                        "type": "array",
                        "maxItems": BATCH_FILES_MAX,
                        "items": {"type": "string", "contentMediaType": "image/*", "contentEncoding": "binary"},
                    }
                },
                "required": ["files"],
            }
        }
    },
}
BatchId = Annotated[str, Path(max_length=64)]


def _answers(description: str, *kinds: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {k: {"schema": {"type": "string"}} for k in kinds}}}


def batches(
    router: APIRouter,
    sessions: PhotoSessionCases,
    objects: Objects,
    base: str,
    upload_limit_s: float,
    watch_limit_s: float,
) -> None:
    def file(batch_id: str, session: PhotoSession, standing: Standing) -> shapes.BatchFile:
        return show.batch_file(batch_id, session, standing, base)

    def batch(batch_id: str, files: list[shapes.BatchFile]) -> shapes.Batch:
        return shapes.Batch(
            batch_id=batch_id,
            files=files,
            events_url=f"{base}/api/batches/{batch_id}/events",
            download_url=f"{base}/api/batches/{batch_id}/download",
        )

    @router.post(
        "/api/batches",
        status_code=202,
        summary="Send up to 25 photos",
        operation_id="createBatch",
        **asks("rooms.analyze", upload_limit_s, weight=Weight.SENT, requestBody=_FILES),
    )
    async def create_batch(request: Request) -> shapes.Batch:
        """A file that cannot be taken fails alone, and says why."""
        batch_id = new_id()
        files: list[shapes.BatchFile] = []
        async for part in parts(request):
            if part.name in ("files", "files[]", "file"):
                session = await sessions.upload_to_batch(batch_id, len(files), part.file_name, part.chunks)
                files.append(file(batch_id, session, await sessions.standing(session)))
        if not files:
            raise InvalidArgument("FILE_MISSING", "send the pictures as parts called `files`")
        return batch(batch_id, files)

    @router.get("/api/batches/{batch_id}", summary="A batch as it stands", operation_id="getBatch", **asks("rooms.get"))
    async def get_batch(batch_id: BatchId) -> shapes.Batch:
        found = await sessions.batch(batch_id)
        return batch(batch_id, [file(batch_id, s, await sessions.standing(s)) for s in found])

    @router.get(
        "/api/batches/{batch_id}/events",
        summary="How far each file is, as Server-Sent Events",
        operation_id="watchBatch",
        response_class=StreamingResponse,
        **asks("rooms.get", watch_limit_s, _answers("Events", "text/event-stream"), Weight.WATCHED),
    )
    async def watch_batch(batch_id: BatchId) -> StreamingResponse:
        """`event: file` with a file of the batch, whenever it changed; `event: done` at the end of the last one."""
        found = await sessions.batch(batch_id)
        return StreamingResponse(events(batch_id, found), media_type="text/event-stream")

    async def events(batch_id: str, found: list[PhotoSession]) -> AsyncIterator[bytes]:
        news: asyncio.Queue[shapes.BatchFile | None] = asyncio.Queue()

        async def follow(session: PhotoSession) -> None:
            """Tell of one file until it has ended. An attempt that begins anew does not take percents back."""
            try:
                percent, last = 0, None
                if session.operation_id is None:
                    news.put_nowait(file(batch_id, session, await sessions.standing(session)))
                    return
                async for operation in sessions.operations.watch(f"operations/{session.operation_id}"):
                    told = file(batch_id, session, sessions.told(operation))
                    percent = told.progress = max(percent, told.progress)
                    if told != last:
                        news.put_nowait(told)
                        last = told
            finally:
                news.put_nowait(None)

        async with asyncio.TaskGroup() as group:
            for session in found:
                group.create_task(follow(session))
            running = len(found)
            while running:
                try:
                    async with asyncio.timeout(_SILENCE_S):
                        told = await news.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if told is None:
                    running -= 1
                else:
                    yield b"event: file\ndata: " + told.model_dump_json(by_alias=True).encode() + b"\n\n"
        yield b"event: done\ndata: {}\n\n"

    @router.get(
        "/api/batches/{batch_id}/files/{session_id}/download",
        summary="The result of one file, as a ZIP",
        operation_id="downloadBatchFile",
        response_class=StreamingResponse,
        **asks("rooms.get", upload_limit_s, _answers("A ZIP", "application/zip"), Weight.WATCHED),
    )
    async def download_file(batch_id: BatchId, session_id: BatchId) -> StreamingResponse:
        """`surfaces.json`, a mask a surface, the photo with its surfaces tinted. Fails with 409 where it is too early."""
        session = next((s for s in await sessions.batch(batch_id) if s.session_id == session_id), None)
        if session is None:
            raise NotFound("SESSION_NOT_FOUND", "there is no such file in this batch")
        await sessions.kept(session)
        return zipped([("", session)], f"{session_id}.zip")

    @router.get(
        "/api/batches/{batch_id}/download",
        summary="The results of all files, as a ZIP",
        operation_id="downloadBatch",
        response_class=StreamingResponse,
        **asks("rooms.get", upload_limit_s, _answers("A ZIP", "application/zip"), Weight.WATCHED),
    )
    async def download_batch(batch_id: BatchId) -> StreamingResponse:
        """A folder a file; files that failed are left out. Fails with 409 (RESULTS_NOT_READY) while any is running."""
        found = await sessions.batch(batch_id)
        standings = [await sessions.standing(s) for s in found]
        if any(s.stage not in _ENDED for s in standings):
            raise FailedPrecondition("RESULTS_NOT_READY", "not every file has ended yet")
        done = [
            (f"{s.position + 1:02d}-{_plain(s.file_name)}/", s)
            for s, standing in zip(found, standings, strict=True)
            if standing.stage is Stage.COMPLETED
        ]
        return zipped(done, f"{batch_id}.zip")

    def zipped(found: list[tuple[str, PhotoSession]], name: str) -> StreamingResponse:
        return StreamingResponse(
            archive(found),
            media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def archive(found: list[tuple[str, PhotoSession]]) -> AsyncIterator[bytes]:
        """One picture at a time is in memory. Pictures are stored as they are: they do not get smaller."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w") as out:
            for folder, session in found:
                result = await sessions.kept(session)
                analysis = rooms_pb2.AnalyzeRoomResponse.FromString(result.analysis)
                out.writestr(f"{folder}surfaces.json", json.dumps(MessageToDict(analysis), indent=1))
                for surface, key in zip(analysis.surfaces, result.mask_keys, strict=True):
                    out.writestr(f"{folder}masks/{surface.surface_id}.png", await objects.get(key))
                    yield sink.take()
                out.writestr(f"{folder}overlay.jpg", await objects.get(result.picture_key))
                yield sink.take()
        yield sink.take()


def _plain(file_name: str) -> str:
    """A name that is safe as one folder's in an archive."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in file_name.rpartition(".")[0] or file_name)[:60]


class _Sink(io.RawIOBase):
    """Where an archive is written to, and taken from, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data
