"""What the gateway hears: the ends of jobs from JetStream, progress from core NATS; and its sweeper."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.bus import Bus
from services.gateway.usecases.operations import OperationCases, Progress

log = structlog.get_logger()

_SWEEP_S = 5.0


class Events:
    def __init__(self, bus: Bus, operations: OperationCases, republish_after_s: float):
        self._bus, self._operations, self._republish_after_s = bus, operations, republish_after_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Events"]:
        progress = await self._bus.client.subscribe("progress.*", cb=self._progress)
        tasks = [asyncio.create_task(self._ends()), asyncio.create_task(self._sweep())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
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

    async def _ends(self) -> None:
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=10.0, max_deliver=-1)
        subscription = None
        while True:
            try:
                if subscription is None:
                    subscription = await self._bus.stream.pull_subscribe("events.*.*", "gateway", "EVENTS", config)
                messages = await subscription.fetch(32, timeout=5)
            except TimeoutError:
                continue
            except (NatsError, OSError) as error:
                log.warning("events wait", error=str(error) or type(error).__name__)
                subscription = None
                await asyncio.sleep(1)
                continue
            for message in messages:
                try:
                    await self._end(message)
                except Exception:  # the reader must outlive any event; the stream brings it again
                    log.exception("event dropped for now", subject=message.subject)

    async def _end(self, message: Msg) -> None:
        body = jobs_pb2.JobFinished()
        try:
            body.ParseFromString(message.data)
        except DecodeError:
            log.error("event cannot be read", subject=message.subject)
            await message.term()
            return
        e = body.envelope
        response = body.result.SerializeToString() if body.WhichOneof("outcome") == "result" else None
        error = body.error.SerializeToString() if body.WhichOneof("outcome") == "error" else None
        try:
            if response is not None or error is not None:
                await self._operations.finished(e.operation, e.tenant, response, error)
            await message.ack()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, NatsError, TimeoutError) as failure:
            log.warning("event waits", error=str(failure) or type(failure).__name__)
            await asyncio.sleep(0.5)
            return
        # Every gateway hears this one, whichever of them handled the event.
        await self._bus.tell(f"progress.{e.operation}", b"")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self._operations.sweep(self._republish_after_s)
            except Exception as error:
                log.warning("sweeper waits", error=str(error) or type(error).__name__)
