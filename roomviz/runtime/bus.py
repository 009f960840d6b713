"""NATS JetStream: the streams, and publishing to them.

JOBS holds work until a worker acknowledges it, EVENTS what happened until all who listen have heard it, for a week at
most, DEAD what could not be done. Progress travels on core NATS and may get lost. Bodies stay small: pixels go by object key.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import stamina
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from roomviz.errors import Unavailable
from roomviz.runtime.settings import BusSettings

log = structlog.get_logger()

BODY_BYTES_MAX = 512 * 1024
INBOX = "_INBOX"
_DAY = 86_400.0

STREAMS = (
    StreamConfig(
        name="JOBS",
        subjects=["jobs.>"],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        duplicate_window=120.0,
    ),
    StreamConfig(
        name="EVENTS",
        subjects=["events.>"],
        # Nothing lies there that nobody waits for: events tell of rooms, and rooms are purged.
        retention=RetentionPolicy.INTEREST,
        storage=StorageType.FILE,
        max_age=7 * _DAY,
        duplicate_window=120.0,
    ),
    StreamConfig(
        name="DEAD",
        subjects=["dead.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=30 * _DAY,
        duplicate_window=120.0,
    ),
)


class Bus:
    """A connection to NATS with its JetStream context."""

    def __init__(self, client: Client):
        self.client = client
        self.stream: JetStreamContext = client.jetstream(timeout=5)

    async def publish(self, subject: str, body: bytes, message_id: str) -> None:
        """Store a message in its stream; the same id twice within two minutes is stored once."""
        if len(body) > BODY_BYTES_MAX:
            raise ValueError(f"a message of {len(body)} bytes on {subject}: send a reference instead")
        try:
            await self.stream.publish(subject, body, headers={"Nats-Msg-Id": message_id})
        except (NatsError, OSError, TimeoutError) as error:
            raise Unavailable("QUEUE_UNAVAILABLE", "the message queue does not answer; try again") from error

    async def erase(self, which: Callable[[str], bool]) -> int:
        """Remove the stored events and dead jobs that are such, by their bodies (bytes read as Latin-1) and headers; how many there were."""
        count = 0
        # Not jobs: each is a worker's to throw away, together with what it has written of it.
        for name in ("EVENTS", "DEAD"):
            sequence = 1
            while True:
                try:
                    message = await self.stream.get_msg(name, seq=sequence, next=True, subject=">")
                except NotFoundError:
                    break
                except (NatsError, OSError, TimeoutError) as error:
                    raise Unavailable("QUEUE_UNAVAILABLE", "the message queue does not answer; try again") from error
                found = message.seq or sequence
                text = f"{(message.data or b'').decode('latin-1')} {message.headers}"
                if which(text):
                    with suppress(NotFoundError):  # somebody has just acknowledged it
                        await self.stream.delete_msg(name, found)
                    count += 1
                sequence = found + 1
        return count

    async def tell(self, subject: str, body: bytes) -> None:
        """Publish on core NATS; nobody waits, and it may get lost."""
        if self.client.is_connected:
            try:
                await self.client.publish(subject, body)
            except (NatsError, OSError) as error:
                log.debug("progress lost", subject=subject, error=str(error))

    async def probe(self) -> str:
        """The server's version; raises where JetStream does not answer."""
        if not self.client.is_connected:
            raise Unavailable("QUEUE_UNAVAILABLE", "not connected")
        await self.stream.account_info()
        version = self.client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"


def secured(authorities: Path | None) -> dict[str, Any]:
    """How `nats.connect` speaks TLS with servers of these authorities; as the URL says where there are none."""
    if authorities is None:
        return {}
    return {"tls": ssl.create_default_context(cafile=authorities), "tls_handshake_first": True}


async def ensure_streams(stream: JetStreamContext, replicas: int = 1) -> None:
    """Make the streams, each on so many servers, or bring their settings up to date; takes an administrator's rights."""
    for stated in STREAMS:
        config = replace(stated, num_replicas=replicas)
        try:
            await stream.add_stream(config)
        except nats.js.errors.BadRequestError:  # it is there with other settings
            await stream.update_stream(config)


@asynccontextmanager
async def connect(settings: BusSettings) -> AsyncIterator[Bus]:
    """A connected bus; reconnects for ever, flushes at the end. The streams an administrator made."""

    async def quiet(error: Exception) -> None:
        log.warning("nats", error=str(error) or type(error).__name__)

    async for attempt in stamina.retry_context(
        on=(NatsError, OSError, TimeoutError), attempts=None, timeout=60.0, wait_max=1.0
    ):
        with attempt:
            client = await nats.connect(
                settings.nats_url,
                name=f"roomviz-{settings.nats_user}",
                user=settings.nats_user,
                # Read again at every connection, so that a new one is taken up without a restart.
                password=lambda: settings.nats_password_file.read_text().strip(),
                # Answers come to an inbox; each user may listen at its own alone.
                inbox_prefix=f"{INBOX}.{settings.nats_user}",
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.5,
                connect_timeout=3,
                error_cb=quiet,
                allow_reconnect=True,
                **secured(settings.nats_ca_file),
            )
    bus = Bus(client)
    async for attempt in stamina.retry_context(
        on=(NatsError, OSError, TimeoutError, Unavailable), attempts=None, timeout=60.0, wait_max=1.0
    ):
        with attempt:
            await bus.probe()
    try:
        yield bus
    finally:
        # Workers and readers have ended by now; what is left is to send what is still in the buffer.
        # (`drain` would wait its whole time-out for the inboxes of pull subscriptions.)
        try:
            await client.flush(2)
        except (NatsError, OSError, TimeoutError) as error:
            log.warning("nats", error=str(error) or type(error).__name__)
        await client.close()
