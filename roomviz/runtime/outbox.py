"""The transactional outbox: what is to be published is a row, written in the transaction that made it true.

The relay publishes rows in order of their ids and deletes them once JetStream has stored them. A crash
between the two publishes again: the message id de-duplicates, and every handler is idempotent anyway.
The table is `roomviz.runtime.tables.OUTBOX`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog

from roomviz.errors import Unavailable
from roomviz.runtime.background import beside
from roomviz.runtime.bus import BODY_BYTES_MAX, Bus
from roomviz.runtime.metrics import OUTBOX_PENDING

log = structlog.get_logger()

_LAST_S = 5.0  # for the last messages of a process that ends


class Outbox:
    def __init__(self, pool: asyncpg.Pool, bus: Bus, period_s: float = 1.0, batch: int = 64):
        self._pool, self._bus, self._period, self._batch = pool, bus, period_s, batch
        self._written = asyncio.Event()

    async def write(self, connection: asyncpg.Connection, subject: str, message_id: str, body: bytes) -> None:
        """Add a message inside the caller's transaction, which fails here rather than the relay later."""
        if len(body) > BODY_BYTES_MAX:
            raise ValueError(f"a message of {len(body)} bytes on {subject}: send a reference instead")
        await connection.execute(
            "INSERT INTO outbox (subject, message_id, body) VALUES ($1, $2, $3)", subject, message_id, body
        )

    def poke(self) -> None:
        """Tell the relay that a transaction with a message was committed, so that it need not wait for its period."""
        self._written.set()

    async def _relay(self) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "SELECT id, subject, message_id, body FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
                self._batch,
            )
            for row in rows:
                await self._bus.publish(row["subject"], row["body"], row["message_id"])
            await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [r["id"] for r in rows])
        OUTBOX_PENDING.set(0 if len(rows) < self._batch else len(rows))
        return len(rows)

    async def _empty(self) -> bool:
        """Publish all that is there; whether that went well."""
        try:
            while await self._relay() == self._batch:
                pass
        except (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            log.warning("outbox waits", error=str(error) or type(error).__name__)
        except Exception:  # whatever it is, the other messages must not wait for it for ever
            log.exception("outbox stumbled")
        else:
            return True
        return False

    async def _loop(self) -> None:
        while True:
            self._written.clear()
            if not await self._empty():
                await asyncio.sleep(self._period)
            try:
                # Not wait_for: until Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(self._period):
                    await self._written.wait()
            except TimeoutError:
                continue

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Outbox"]:
        """Publish until left; what the last jobs have written goes out first, as nobody else may be there to send it."""
        async with beside(self._loop()):
            yield self
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._empty()
