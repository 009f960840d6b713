"""Batches in PostgreSQL: which items wait, who works on which, what came of each.

An item is taken for the length of a lease, under a new attempt number; only its newest attempt may finish it, once. The
counts of its batch change in the same transaction, so exactly one transaction sees the last item finished, and that
one ends the batch.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from google.protobuf import any_pb2

from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.personal import digest_of
from roomviz.runtime.database import reachable
from roomviz.runtime.outbox import Outbox
from services.compositor.ports import BatchCount, ItemRecord, NewItem, Taken, Write

BATCHES_LOOKED_AT = 16


class PostgresBatches:
    def __init__(self, pool: asyncpg.Pool, outbox: Outbox):
        self._pool, self._outbox = pool, outbox

    def keep(
        self, operation: str, tenant: str, plan: bytes, envelope: bytes, deadline: datetime, items: Sequence[NewItem]
    ) -> Write:
        failed = sum(i.error is not None for i in items)

        async def write(connection: Any) -> None:
            # A batch that was cancelled before it got here stays cancelled, and lists its items all the same.
            await connection.execute(
                """INSERT INTO batches AS b (operation, tenant, state, plan, envelope, deadline, total, failed)
                   VALUES ($1, $2, 'RUNNING', $3, $4, $5, $6, $7)
                   ON CONFLICT (operation) DO UPDATE
                       SET plan = EXCLUDED.plan, total = EXCLUDED.total, failed = EXCLUDED.failed""",
                operation,
                tenant,
                plan,
                envelope,
                deadline,
                len(items),
                failed,
            )
            now = await connection.fetchval("SELECT now()")
            await connection.copy_records_to_table(
                "batch_items",
                columns=("operation", "index", "item", "state", "result", "end_time"),
                records=[
                    (operation, n, i.item, "FAILED", i.error, now)
                    if i.error is not None
                    else (operation, n, i.item, "PENDING", None, None)
                    for n, i in enumerate(items)
                ],
            )
            await self._end_if_done(connection, operation)

        return write

    async def take(self, lease_s: float) -> Taken | None:
        """The next item of the batch that waited longest for its turn: batches take turns, whatever their length."""
        async with self._pool.acquire() as connection, connection.transaction():
            waiting = await connection.fetch(
                """SELECT operation FROM batches b WHERE state = 'RUNNING' AND deadline > now() AND EXISTS (
                       SELECT 1 FROM batch_items i WHERE i.operation = b.operation AND state = 'PENDING' AND lease_until < now())
                   ORDER BY take_time LIMIT $1""",
                BATCHES_LOOKED_AT,
            )
            for batch in waiting:
                row = await connection.fetchrow(
                    """UPDATE batch_items SET attempt = attempt + 1, strikes = strikes + 1,
                           lease_until = now() + make_interval(secs => $2)
                       WHERE operation = $1 AND index = (
                           SELECT index FROM batch_items WHERE operation = $1 AND state = 'PENDING' AND lease_until < now()
                           ORDER BY index LIMIT 1 FOR UPDATE SKIP LOCKED)
                       RETURNING index, attempt, strikes, item""",
                    batch["operation"],
                    lease_s,
                )
                if row is None:  # others were faster
                    continue
                kept = await connection.fetchrow(
                    "UPDATE batches SET take_time = clock_timestamp() WHERE operation = $1 RETURNING tenant, plan",
                    batch["operation"],
                )
                return Taken(
                    batch["operation"],
                    row["index"],
                    row["attempt"],
                    row["strikes"],
                    kept["tenant"],
                    kept["plan"],
                    row["item"],
                )
        return None

    async def hold(self, taken: Taken, lease_s: float) -> None:
        await self._pool.execute(
            """UPDATE batch_items SET lease_until = now() + make_interval(secs => $4)
               WHERE operation = $1 AND index = $2 AND attempt = $3 AND state = 'PENDING'""",
            taken.operation,
            taken.index,
            taken.attempt,
            lease_s,
        )

    async def give_back(self, taken: Taken, after_s: float, forgive: bool) -> None:
        await self._pool.execute(
            """UPDATE batch_items SET lease_until = now() + make_interval(secs => $4), strikes = strikes - $5::int
               WHERE operation = $1 AND index = $2 AND attempt = $3 AND state = 'PENDING'""",
            taken.operation,
            taken.index,
            taken.attempt,
            after_s,
            int(forgive),
        )

    async def finish(self, taken: Taken, succeeded: bool, result: bytes) -> BatchCount | None:
        async with self._pool.acquire() as connection, connection.transaction():
            mine = await connection.fetchval(
                """UPDATE batch_items SET state = $4, result = $5, end_time = now()
                   WHERE operation = $1 AND index = $2 AND attempt = $3 AND state = 'PENDING' RETURNING true""",
                taken.operation,
                taken.index,
                taken.attempt,
                "SUCCEEDED" if succeeded else "FAILED",
                result,
            )
            if not mine:
                return None
            row = await connection.fetchrow(
                """UPDATE batches SET succeeded = succeeded + $2::int, failed = failed + 1 - $2::int WHERE operation = $1
                   RETURNING total, succeeded + failed AS done""",
                taken.operation,
                int(succeeded),
            )
            await self._end_if_done(connection, taken.operation)
        self._outbox.poke()
        return BatchCount(row["done"], row["total"])

    async def _end_if_done(self, connection: Any, operation: str) -> None:
        """End a batch whose items all have ended, in the transaction that ended the last one."""
        row = await connection.fetchrow(
            """UPDATE batches SET state = 'ENDED' WHERE operation = $1 AND state = 'RUNNING' AND succeeded + failed = total
               RETURNING envelope, succeeded, failed""",
            operation,
        )
        if row is None:
            return
        result = any_pb2.Any()
        result.Pack(compositor_pb2.BatchEnded(succeeded=row["succeeded"], failed=row["failed"]))
        event = jobs_pb2.JobFinished(envelope=jobs_pb2.Envelope.FromString(row["envelope"]), result=result)
        body, subject = event.SerializeToString(), "events.batch.ended"
        await self._outbox.write(connection, subject, f"{operation}-ended", body)
        # A job that is sent again answers with its event: from here on it is this one.
        await connection.execute(
            "UPDATE jobs SET event_subject = $2, event = $3 WHERE operation = $1", operation, subject, body
        )

    async def cancel(self, operation: str, tenant: str, envelope: bytes, deadline: datetime) -> None:
        await self._pool.execute(
            """INSERT INTO batches AS b (operation, tenant, state, envelope, deadline)
               SELECT $1::text, $2::text, 'CANCELLED', $3::bytea, $4::timestamptz WHERE NOT EXISTS (SELECT FROM purged WHERE digest = $5)
               ON CONFLICT (operation) DO UPDATE SET state = 'CANCELLED' WHERE b.state = 'RUNNING'""",
            operation,
            tenant,
            envelope,
            deadline,
            digest_of(f"operations/{operation}"),
        )

    async def items(
        self, tenant: str, operation: str, offset: int, limit: int
    ) -> tuple[bytes | None, list[ItemRecord]]:
        with reachable():
            batch = await self._pool.fetchrow(
                "SELECT plan FROM batches WHERE operation = $1 AND tenant = $2", operation, tenant
            )
            if batch is None:
                return None, []
            rows = await self._pool.fetch(
                """SELECT index, item, result, end_time FROM batch_items
                   WHERE operation = $1 AND index >= $2 ORDER BY index LIMIT $3""",
                operation,
                offset,
                limit,
            )
        return batch["plan"], [ItemRecord(r["index"], r["item"], r["result"], r["end_time"]) for r in rows]
