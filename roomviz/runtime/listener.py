"""A durable reader of what happened: each event of the EVENTS stream is handled until it was handled once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig

from roomviz.errors import Unavailable
from roomviz.runtime.background import beside
from roomviz.runtime.bus import Bus

log = structlog.get_logger()

# Tolerates being told twice. What raises for want of a server is brought again; DecodeError is dropped.
Handle = Callable[[str, bytes], Awaitable[None]]


@asynccontextmanager
async def listening(bus: Bus, subject: str, durable: str, handle: Handle) -> AsyncIterator[None]:
    """Give every event of `subject` (wildcards allowed) to `handle(subject, body)`; processes with the same `durable`
    share the events."""
    async with beside(_read(bus, subject, durable, handle)):
        yield


async def _read(bus: Bus, subject: str, durable: str, handle: Handle) -> None:
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=10.0, max_deliver=-1)
    subscription = None
    while True:
        try:
            if subscription is None:
                subscription = await bus.stream.pull_subscribe(subject, durable, "EVENTS", config)
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
                await _one(message, handle)
            except Exception:  # the reader must outlive any event; the stream brings it again
                log.exception("event dropped for now", subject=message.subject)


async def _one(message: Msg, handle: Handle) -> None:
    try:
        await handle(message.subject, message.data)
        await message.ack()
    except DecodeError:
        log.error("event cannot be read", subject=message.subject)
        await message.term()
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        NatsError,
        TimeoutError,
        Unavailable,
    ) as failure:
        log.warning("event waits", error=str(failure) or type(failure).__name__)
        await asyncio.sleep(0.5)
