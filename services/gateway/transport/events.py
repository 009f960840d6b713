"""What the gateway hears: the ends of jobs from JetStream, progress from core NATS; and its sweeper."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.bus import Bus
from roomviz.runtime.listener import listening
from services.gateway.transport.housekeeping import Housekeeping
from services.gateway.usecases.operations import OperationCases, Progress

_SWEEP_S = 5.0
# Events that end an operation; others (a batch was accepted, an operation was cancelled) are for others.
_ENDS = {"events.room.analyzed", "events.visualization.exported", "events.batch.ended", "events.job.failed"}
# Jobs of our own, which have ended their operation themselves.
_ENDED = {"events.personal.erased", "events.personal.gathered"}


class Events:
    def __init__(self, bus: Bus, operations: OperationCases, republish_after_s: float):
        self._bus, self._operations, self._republish_after_s = bus, operations, republish_after_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Events"]:
        progress = await self._bus.client.subscribe("progress.*", cb=self._progress)
        sweeper = Housekeeping("sweeper", _SWEEP_S, lambda: self._operations.sweep(self._republish_after_s))
        try:
            async with sweeper.running(), listening(self._bus, "events.*.*", "gateway", self._happened):
                yield self
        finally:
            await progress.unsubscribe()

    async def _progress(self, message: Msg) -> None:
        operation_id = message.subject.partition(".")[2]
        body = jobs_pb2.JobProgress()
        try:
            body.ParseFromString(message.data)
        except DecodeError:
            return
        # An empty one only rings the bell: the operation ended.
        self._operations.board.hear(operation_id, Progress(body.stage, body.progress_percent) if body.stage else None)

    async def _happened(self, subject: str, data: bytes) -> None:
        if subject not in _ENDS | _ENDED:
            return
        body = jobs_pb2.JobFinished()
        body.ParseFromString(data)
        e = body.envelope
        response = body.result.SerializeToString() if body.WhichOneof("outcome") == "result" else None
        error = body.error.SerializeToString() if body.WhichOneof("outcome") == "error" else None
        if subject in _ENDS and (response is not None or error is not None):
            await self._operations.finished(e.operation, e.tenant, response, error)
        # Every gateway hears this one, whichever of them handled the event.
        await self._bus.tell(f"progress.{e.operation}", b"")
