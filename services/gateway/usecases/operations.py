"""Operations: how they end, and who is told."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from google.protobuf import any_pb2
from google.rpc import status_pb2

from roomviz.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.runtime.context import current
from roomviz.runtime.rpc import to_status
from roomviz.v1 import rooms_pb2, visualizations_pb2
from services.gateway.adapters.postgres import PostgresOperations
from services.gateway.adapters.visualizations import insert
from services.gateway.domain.filters import Field, Kind
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.records import ERASURES, Operation, OperationState, RoomState, Visualization
from services.gateway.ports import Happenings
from services.gateway.usecases.caller import caller
from services.gateway.usecases.listing import listed
from services.gateway.usecases.names import parse
from services.gateway.usecases.shown import visualization_to_proto
from services.gateway.usecases.surfaces import applied_to, kind_word, surface_word

log = structlog.get_logger()

_FIELDS = {
    "done": Field(Kind.BOOL),
    "verb": Field(Kind.WORD, ("analyze", "export", "generate", "batch")),
    "subject": Field(Kind.TEXT),
    "create_time": Field(Kind.TIME),
}


@dataclass(frozen=True)
class Progress:
    stage: str = ""
    percent: int = 0


class ProgressBoard:
    """The last progress heard of each operation, and a bell for those who watch one. In memory: it may get lost."""

    def __init__(self, kept: int = 10_000):
        self._kept, self._last = kept, OrderedDict[str, Progress]()
        self._bells: dict[str, set[asyncio.Event]] = {}

    def hear(self, operation_id: str, progress: Progress | None) -> None:
        if progress is not None:
            self._last[operation_id] = progress
            self._last.move_to_end(operation_id)
            while len(self._last) > self._kept:
                self._last.popitem(last=False)
        for bell in self._bells.get(operation_id, ()):
            bell.set()

    def last(self, operation_id: str) -> Progress:
        return self._last.get(operation_id, Progress())

    @asynccontextmanager
    async def bell(self, operation_id: str) -> AsyncIterator[asyncio.Event]:
        bell = asyncio.Event()
        self._bells.setdefault(operation_id, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[operation_id].discard(bell)
            if not self._bells[operation_id]:
                del self._bells[operation_id]


class OperationCases:
    def __init__(self, operations: PostgresOperations, board: ProgressBoard, happenings: Happenings):
        self.operations, self.board, self._happenings = operations, board, happenings

    async def get(self, name: str) -> Operation:
        (operation_id,) = parse(name, "operations")
        found = await self.operations.get(current().tenant, operation_id)
        if found is None or found.delete_time is not None or not caller().may_see(found.owner):
            raise NotFound("OPERATION_NOT_FOUND", f"there is no operation {name}")
        return found

    async def watch(self, name: str) -> AsyncIterator[Operation]:
        """The operation now, at each progress, and at its end. The row is looked at anyway every second."""
        (operation_id,) = parse(name, "operations")
        async with self.board.bell(operation_id) as bell:
            while True:
                bell.clear()
                found = await self.get(name)
                yield found
                if found.state is not OperationState.RUNNING:
                    return
                try:
                    async with asyncio.timeout(1.0):
                        await bell.wait()
                except TimeoutError:
                    continue

    async def wait(self, name: str, limit_s: float) -> Operation:
        """The operation at its end, or as it is when the time is up."""
        last: Operation | None = None
        try:
            async with asyncio.timeout(limit_s):
                async for operation in self.watch(name):
                    last = operation
        except TimeoutError:
            if last is None:
                raise
        assert last is not None
        return last

    async def cancel(self, name: str) -> None:
        operation = await self.get(name)
        if operation.verb in ERASURES:
            raise FailedPrecondition(
                "ERASURE_GOES_ON", f"{name} removes data, which cannot be half done: wait for its end"
            )
        await self.operations.cancel(operation.tenant, operation.operation_id)
        self.board.hear(operation.operation_id, None)

    async def page(self, parent: str, filter: str, size: int, token: str) -> tuple[list[Operation], str]:
        """Operations of the caller, newest first."""
        if parent not in ("", "operations"):
            raise InvalidArgument("NAME_INVALID", "operations are listed under `operations`")
        return await listed(self.operations.page, "operations", _FIELDS, size, token, filter, orders=("create_time",))

    async def delete(self, name: str) -> None:
        """Hide an operation that has ended. What it made stays."""
        operation = await self.get(name)
        if not await self.operations.delete(operation.tenant, operation.operation_id):
            raise FailedPrecondition("OPERATION_RUNNING", f"{name} runs; cancel it first")

    async def finished(self, operation_id: str, tenant: str, response: bytes | None, error: bytes | None) -> None:
        """A job came to its end. Told twice, it has an effect once."""
        if await self.operations.finish(operation_id, tenant, response, error, self._effects):
            log.info("operation ended", operation=operation_id, ok=error is None)

    async def _effects(
        self, connection: Any, operation: Operation, request: bytes, response: bytes | None
    ) -> bytes | None:
        if response is not None:
            response = await _effects(connection, operation, request, response)
        await self._happenings.record(*_happened(operation, response), connection=connection)
        return response

    async def sweep(self, republish_after_s: float) -> None:
        """Nothing stays without an end: late operations fail, long silent ones are sent again."""
        for operation_id, tenant in await self.operations.overdue():
            status = to_status(DeadlineExceeded("DEADLINE_EXCEEDED", "the job did not end in time"))
            await self.finished(operation_id, tenant, None, status.SerializeToString())
            self.board.hear(operation_id, None)
        await self.operations.publish_waiting()
        again = await self.operations.republish(republish_after_s)
        if again:
            log.warning("jobs sent again", count=again)


def _happened(operation: Operation, response: bytes | None) -> list[Event]:
    """What the end of an operation is to others. response is the public one, None where it failed."""
    name = f"operations/{operation.operation_id}"
    data: dict[str, Any] = {"operation": name}

    def event(of: Type, subject: str, **more: Any) -> Event:
        return Event(of, operation.tenant, operation.owner, subject, room=operation.subject, **more)

    if response is None:
        return [event(Type.OPERATION_FAILED, name, data=data | {"verb": operation.verb})]
    packed = any_pb2.Any.FromString(response)
    if operation.verb == "analyze":
        analysis = rooms_pb2.AnalyzeRoomResponse()
        packed.Unpack(analysis)
        kinds = sorted({kind_word(s.kind) for s in analysis.surfaces})
        state = rooms_pb2.RoomState.Name(analysis.state).removeprefix("ROOM_STATE_").lower()
        return [event(Type.ROOM_ANALYZED, operation.subject, data=data | {"state": state, "surface_kinds": kinds})]
    if operation.verb == "batch":
        ended = visualizations_pb2.BatchVisualizationsResponse()
        packed.Unpack(ended)
        return [event(Type.BATCH_ENDED, name, data={"succeeded": ended.succeeded, "failed": ended.failed})]
    made = visualizations_pb2.Visualization()
    packed.Unpack(made)
    data |= {"visualization": made.name, "receipt": made.receipt}
    if made.generated:
        return [event(Type.VISUALIZATION_GENERATED, made.name, data=data)]
    applied = {(a.product, applied_to(a)) for a in made.applications if a.product}
    applied |= {(p.product, surface_word(p.surface_id)) for p in made.staging.placements}
    data["products"] = sorted({p for p, _ in applied})
    return [
        event(Type.VISUALIZATION_EXPORTED, made.name, data=data),
        *(
            event(Type.PRODUCT_APPLIED, p, product=p, surface_kind=k, data={"visualization": made.name})
            for p, k in sorted(applied)
        ),
    ]


async def _effects(connection: Any, operation: Operation, request: bytes, response: bytes) -> bytes:
    """What a success changes, in the transaction that ends the operation; returns the public response."""
    packed = any_pb2.Any.FromString(response)
    if operation.verb == "analyze":
        analysis = rooms_pb2.AnalyzeRoomResponse()
        packed.Unpack(analysis)
        state = (
            RoomState.NEEDS_REFINEMENT if analysis.state == rooms_pb2.ROOM_STATE_NEEDS_REFINEMENT else RoomState.READY
        )
        await connection.execute(
            "UPDATE rooms SET state = $3, revision = revision + 1, update_time = now() WHERE tenant = $1 AND room_id = $2",
            operation.tenant,
            operation.subject.removeprefix("rooms/"),
            state.value,
        )
        return response
    public = any_pb2.Any()
    if operation.verb == "batch":
        ended = compositor_pb2.BatchEnded()
        packed.Unpack(ended)
        public.Pack(
            visualizations_pb2.BatchVisualizationsResponse(
                batch=f"operations/{operation.operation_id}", succeeded=ended.succeeded, failed=ended.failed
            )
        )
        return public.SerializeToString()
    made = compositor_pb2.ExportResult()
    packed.Unpack(made)
    visualization = visualizations_pb2.Visualization(
        name=f"visualizations/{operation.operation_id}",
        room=operation.subject,
        width_px=made.width_px,
        height_px=made.height_px,
        format=made.format,
        size_bytes=made.size_bytes,
        content_digest=made.content_digest,
        view=visualizations_pb2.VIEW_AFTER,
        receipt=made.receipt,
        generated=operation.verb == "generate",
        colors=made.colors,
        placed=made.placed,
        scales=made.scales,
    )
    if operation.verb == "export":
        asked = visualizations_pb2.ExportVisualizationRequest.FromString(request)
        visualization.applications.extend(asked.applications)
        if asked.HasField("staging"):
            visualization.staging.CopyFrom(asked.staging)
        visualization.view = asked.view or visualizations_pb2.VIEW_AFTER
    now = datetime.now(UTC)
    visualization.create_time.FromDatetime(now)
    kept = Visualization(
        operation.operation_id,
        operation.tenant,
        operation.owner,
        visualization.SerializeToString(),
        made.image_key,
        operation.subject,
        now,
    )
    await insert(connection, kept)
    public.Pack(visualization_to_proto(kept))
    return public.SerializeToString()


def error_of(operation: Operation) -> status_pb2.Status:
    return status_pb2.Status.FromString(operation.error or b"")
