"""A JetStream worker: pulls jobs of one verb, keeps them alive while it works, and brings each to an end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import asyncpg
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig

from roomviz import errors
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime import context
from roomviz.runtime.background import beside
from roomviz.runtime.bus import Bus
from roomviz.runtime.ledger import STRIKES_MAX, Attempt, Ended, Ledger, Purged
from roomviz.runtime.metrics import JOB_ATTEMPTS, JOBS
from roomviz.runtime.outbox import Outbox
from roomviz.runtime.rpc import to_status

log = structlog.get_logger()

ACK_WAIT_S = 5.0


class JobMessage(Protocol):
    """A job's message: any of `roomviz.internal.jobs.v1` with an envelope."""

    envelope: jobs_pb2.Envelope

    def ParseFromString(self, data: bytes, /) -> int: ...


J = TypeVar("J", bound=JobMessage)
C = TypeVar("C", bound=JobMessage, contravariant=True)

# Says how far the job is.
Progress = Callable[[str, int], Awaitable[None]]
# Writes the result in the transaction that ends the job.
Store = Callable[[asyncpg.Connection], Awaitable[None]]


class Work(Protocol[C]):
    """Does the job; returns the message that tells of its result, and how to store it."""

    async def __call__(self, job: C, attempt: int, progress: Progress) -> tuple[Message, Store]: ...


class Discard(Protocol[C]):
    """Removes whatever attempts at a job have left, once what it was about is purged."""

    async def __call__(self, job: C) -> None: ...


async def nothing_left(job: object) -> None:
    """For jobs that leave nothing but rows."""


class Fenced(Exception):
    """A newer attempt has the job: this one's result is dropped."""


class Worker(Generic[J]):
    """Jobs of `jobs.<service>.<verb>`. The job's row, not the acknowledgement, says whether it is done."""

    def __init__(
        self,
        bus: Bus,
        pool: asyncpg.Pool,
        outbox: Outbox,
        service: str,
        verb: str,
        event: str,
        message: type[J],
        work: Work[J],
        concurrency: int = 1,
        discard: Discard[J] = nothing_left,
    ):
        self._bus, self._pool, self._outbox, self._ledger = bus, pool, outbox, Ledger(pool, outbox)
        self._service, self._verb, self._event, self._message, self._work = service, verb, event, message, work
        self._concurrency, self._discard = concurrency, discard
        self._subject = f"jobs.{service}.{verb}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Worker[J]"]:
        """Work until left; jobs in hand are finished first."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._pull(stop)) for _ in range(self._concurrency)]
        try:
            yield self
        finally:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pull(self, stop: asyncio.Event) -> None:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_S, max_deliver=-1, max_ack_pending=1000
        )
        subscription = None
        while not stop.is_set():
            try:
                if subscription is None:
                    subscription = await self._bus.stream.pull_subscribe(
                        self._subject, f"{self._service}-{self._verb}", "JOBS", config
                    )
                messages = await subscription.fetch(1, timeout=1)
            except TimeoutError:
                continue
            except (NatsError, OSError) as error:
                log.warning("queue waits", subject=self._subject, error=str(error) or type(error).__name__)
                subscription = None
                await asyncio.sleep(1)
                continue
            for message in messages:
                try:
                    await self._handle(message)
                except Exception:  # the puller must outlive any message; the queue brings it again
                    log.exception("message dropped for now")

    async def _handle(self, message: Msg) -> None:
        job = self._message()
        try:
            job.ParseFromString(message.data)
        except DecodeError:
            await self._bury(message, "cannot be read")
            return
        envelope = job.envelope
        structlog.contextvars.bind_contextvars(
            operation=envelope.operation, request_id=envelope.request_id, tenant=envelope.tenant
        )
        try:
            async with beside(self._heartbeat(message)):
                await self._attempt(job, message)
        except (
            errors.Unavailable,
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            NatsError,
            TimeoutError,
        ) as error:
            # A server is down: leave the job in the queue and come back to it.
            log.warning("job waits", error=str(error) or type(error).__name__)
            await self._answer(message.nak(delay=min(30.0, 2.0 ** min(5, message.metadata.num_delivered))))
        except Exception:
            log.exception("job broke")
            await self._answer(message.nak(delay=min(30.0, 2.0 ** min(5, message.metadata.num_delivered))))
        finally:
            structlog.contextvars.unbind_contextvars("operation", "request_id", "tenant")

    async def _attempt(self, job: J, message: Msg) -> None:
        envelope = job.envelope
        opened = await self._ledger.begin(envelope.operation, envelope.tenant)
        if isinstance(opened, Purged):
            await self._discard(job)
            await self._answer(message.ack())
            return
        if isinstance(opened, Ended):
            await self._answer(message.ack())
            return
        JOB_ATTEMPTS.labels(self._verb).inc()
        remaining = envelope.deadline.ToDatetime().timestamp() - time.time() if envelope.HasField("deadline") else 600.0
        if opened.exhausted:
            error = errors.Internal("ATTEMPTS_EXHAUSTED", f"the job was tried {STRIKES_MAX} times and did not end")
            await self._fail(envelope, opened, error)
            await self._bury(message, "attempts exhausted")
            return
        context.enter(
            context.RequestContext(
                envelope.request_id, envelope.tenant, time.monotonic() + remaining, envelope.traceparent
            )
        )
        log.info("job begins", verb=self._verb, attempt=opened.number)
        began = time.monotonic()

        async def progress(stage: str, percent: int) -> None:
            body = jobs_pb2.JobProgress(stage=stage, progress_percent=percent).SerializeToString()
            await self._bus.tell(f"progress.{envelope.operation}", body)

        try:
            async with asyncio.timeout(max(0.0, remaining)) as limit:
                result, store = await self._work(job, opened.number, progress)
        except Exception as raised:
            if await self._purged(job):
                await self._answer(message.ack())
                return
            failure = errors.unwrap(raised)
            if limit.expired():
                failure = errors.DeadlineExceeded("DEADLINE_EXCEEDED", "the job took longer than it was given")
            if isinstance(failure, errors.RoomvizError) and not failure.retryable:
                await self._fail(envelope, opened, failure)
            elif isinstance(failure, errors.RoomvizError):
                # A server is down: no fault of the job's. Its deadline bounds how often it comes back.
                await self._ledger.forgive(envelope.operation, opened)
                raise failure from raised
            elif opened.strikes < STRIKES_MAX:
                raise
            else:
                await self._fail(envelope, opened, failure)
                await self._bury(message, "failed at every attempt")
                return
        else:
            if await self._succeed(envelope, opened, result, store):
                log.info("job ended", verb=self._verb, seconds=round(time.monotonic() - began, 3))
            else:
                await self._purged(job)
        await self._answer(message.ack())

    async def _purged(self, job: J) -> bool:
        """Whether its room was purged meanwhile; then what it has written since goes too."""
        purged = await self._ledger.purged(job.envelope.operation)
        if purged:
            log.info("job purged", verb=self._verb)
            await self._discard(job)
        return purged

    async def _succeed(self, envelope: jobs_pb2.Envelope, attempt: Attempt, result: Message, store: Store) -> bool:
        """Whether this attempt was the one that ended the job."""
        packed = any_pb2.Any()
        packed.Pack(result)
        event = jobs_pb2.JobFinished(envelope=envelope, result=packed).SerializeToString()
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await self._ledger.end(connection, envelope.operation, attempt, "SUCCEEDED", self._event, event):
                    raise Fenced
                await store(connection)
        except Fenced:
            log.warning("job fenced", attempt=attempt.number)
            JOBS.labels(self._verb, "fenced").inc()
            return False
        self._outbox.poke()
        JOBS.labels(self._verb, "succeeded").inc()
        return True

    async def _fail(self, envelope: jobs_pb2.Envelope, attempt: Attempt, error: BaseException) -> None:
        status = to_status(error)
        log.warning("job failed", verb=self._verb, error=status.message, cause=repr(error))
        event = jobs_pb2.JobFinished(envelope=envelope, error=status).SerializeToString()
        async with self._pool.acquire() as connection, connection.transaction():
            await self._ledger.end(connection, envelope.operation, attempt, "FAILED", "events.job.failed", event)
        self._outbox.poke()
        JOBS.labels(self._verb, "failed").inc()

    async def _bury(self, message: Msg, why: str) -> None:
        """File what cannot be done where people can look at it, and take it off the queue."""
        log.error("job buried", subject=message.subject, why=why)
        await self._bus.publish(
            message.subject.replace("jobs.", "dead.", 1), message.data, f"dead-{message.metadata.sequence.stream}"
        )
        await self._answer(message.term())

    async def _heartbeat(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            await self._answer(message.in_progress())

    @staticmethod
    async def _answer(sent: Awaitable[object]) -> None:
        """An answer that gets lost means another delivery, which the ledger makes harmless."""
        try:
            await sent
        except (NatsError, OSError) as error:
            log.warning("answer lost", error=str(error) or type(error).__name__)
