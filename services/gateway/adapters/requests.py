"""Request ids in PostgreSQL: what was answered to each, for a day."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from roomviz.errors import Aborted
from roomviz.runtime.database import reachable

KEPT_HOURS = 24


async def claim(
    connection: asyncpg.Connection, tenant: str, subject: str, request_id: str, rpc: str, fingerprint: str
) -> bytes | None:
    """Take a request id inside the caller's transaction; None, or what was answered to it before.

    A twin waits here until the transaction of the first has ended: then it has its answer, or the id to itself. Raises
    Aborted (REQUEST_ID_REUSED) where the id was another request's.
    """
    mine = await connection.fetchval(
        """INSERT INTO requests (tenant, subject, request_id, rpc, fingerprint) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (tenant, subject, request_id) DO UPDATE
               SET rpc = EXCLUDED.rpc, fingerprint = EXCLUDED.fingerprint, response = '', create_time = now()
               WHERE requests.create_time < now() - make_interval(hours => $6)
           RETURNING true""",
        tenant,
        subject,
        request_id,
        rpc,
        fingerprint,
        KEPT_HOURS,
    )
    if mine:
        return None
    row = await connection.fetchrow(
        "SELECT fingerprint, response FROM requests WHERE tenant = $1 AND subject = $2 AND request_id = $3",
        tenant,
        subject,
        request_id,
    )
    if row is None or row["fingerprint"] != fingerprint:
        raise Aborted("REQUEST_ID_REUSED", "this request_id was used for another request")
    return bytes(row["response"])


async def settle(connection: asyncpg.Connection, tenant: str, subject: str, request_id: str, response: bytes) -> None:
    """Keep the answer to a request id that was taken in this transaction."""
    await connection.execute(
        "UPDATE requests SET response = $4 WHERE tenant = $1 AND subject = $2 AND request_id = $3",
        tenant,
        subject,
        request_id,
        response,
    )


class PostgresRequests:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    claim, settle = staticmethod(claim), staticmethod(settle)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection

    async def forget(self) -> int:
        """Drop what is older than a day; how many there were."""
        return len(
            await self._pool.fetch(
                "DELETE FROM requests WHERE create_time < now() - make_interval(hours => $1) RETURNING true", KEPT_HOURS
            )
        )
