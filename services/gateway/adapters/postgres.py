"""Operations in PostgreSQL."""

import hashlib
from datetime import datetime
from typing import Any

import asyncpg
from google.protobuf.message import Message

from roomviz.errors import Aborted, NotFound
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.database import reachable
from roomviz.runtime.outbox import Outbox
from services.gateway.adapters import requests
from services.gateway.adapters.listing import Listing
from services.gateway.adapters.quotas import PostgresQuotas
from services.gateway.domain.filters import Question
from services.gateway.domain.records import ERASURES, Operation, OperationState

_OPERATION = "operation_id, tenant, owner, verb, subject, state, response, error, create_time, end_time, delete_time"
# What the law asks of us is not the tenant's to pay for, nor to be without.
UNCHARGED = ERASURES | {"gather"}
_LISTING = Listing(
    "operations",
    "operation_id",
    _OPERATION,
    {f: f for f in ("verb", "subject", "create_time")} | {"done": "(state <> 'RUNNING')"},
)


def _operation(row: Any) -> Operation:
    return Operation(**({k: row[k] for k in _OPERATION.split(", ")} | {"state": OperationState(row["state"])}))


class PostgresOperations:
    """Of each tenant `jobs_ahead` jobs lie in each queue at a time; its others wait here until one of these ends. The queues
    serve first come, first served: so another tenant's job waits behind so many of each, and not behind a flood."""

    def __init__(self, pool: asyncpg.Pool, outbox: Outbox, quotas: PostgresQuotas, jobs_ahead: int):
        self._pool, self._outbox, self._quotas, self._ahead = pool, outbox, quotas, jobs_ahead

    async def start(
        self,
        operation_id: str,
        tenant: str,
        owner: str,
        verb: str,
        subject: str,
        request_id: str,
        request: Message,
        job_subject: str,
        job: Message,
        deadline: datetime,
        megapixels: float = 0.0,
    ) -> Operation:
        body, asked = job.SerializeToString(), request.SerializeToString(deterministic=True)
        fingerprint = hashlib.sha256(verb.encode() + b"\0" + asked).hexdigest()
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                if request_id:
                    known = await requests.claim(connection, tenant, owner, request_id, verb, fingerprint)
                    if known is not None:
                        row = await connection.fetchrow(
                            f"SELECT {_OPERATION} FROM operations WHERE tenant = $1 AND operation_id = $2",
                            tenant,
                            known.decode(),
                        )
                        if row is None:  # purged meanwhile
                            raise Aborted("REQUEST_ID_REUSED", "what this request_id began is gone; take a new one")
                        return _operation(row)
                await _hold_room(connection, tenant, subject)
                row = await connection.fetchrow(
                    f"""INSERT INTO operations (operation_id, tenant, owner, verb, subject, state, request_id, fingerprint, job_subject, job, request, deadline)
                        VALUES ($1, $2, $3, $4, $5, 'RUNNING', $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING {_OPERATION}""",
                    operation_id,
                    tenant,
                    owner,
                    verb,
                    subject,
                    request_id or None,
                    fingerprint,
                    job_subject,
                    body,
                    asked,
                    deadline,
                )
                if row is not None:
                    if verb not in UNCHARGED:
                        await self._quotas.charge_operation(connection, tenant, operation_id, megapixels)
                    await connection.execute(
                        "UPDATE operations SET publish_time = 'infinity', publish_count = 0 WHERE operation_id = $1",
                        operation_id,
                    )
                    await self._publish_next(connection, tenant, job_subject)
                else:  # the room is being analyzed
                    row = await connection.fetchrow(
                        f"""SELECT {_OPERATION} FROM operations
                            WHERE tenant = $1 AND verb = $2 AND subject = $3 AND state = 'RUNNING'""",
                        tenant,
                        verb,
                        subject,
                    )
                    if row is None:  # it ended between the two statements
                        raise Aborted("OPERATION_CHANGED", "the operation ended just now; ask again")
                if request_id:
                    await requests.settle(connection, tenant, owner, request_id, row["operation_id"].encode())
        self._outbox.poke()
        return _operation(row)

    async def get(self, tenant: str, operation_id: str) -> Operation | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_OPERATION} FROM operations WHERE tenant = $1 AND operation_id = $2", tenant, operation_id
            )
        return _operation(row) if row else None

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Operation], str]:
        rows, more = await _LISTING.page(self._pool, tenant, question, position, limit)
        return [_operation(r) for r in rows], more

    async def delete(self, tenant: str, operation_id: str) -> bool:
        """Hide an operation that has ended; False where it runs."""
        with reachable():
            done = await self._pool.fetchval(
                """UPDATE operations SET delete_time = now()
                   WHERE tenant = $1 AND operation_id = $2 AND state <> 'RUNNING' RETURNING true""",
                tenant,
                operation_id,
            )
        return bool(done)

    async def request(self, tenant: str, operation_id: str) -> bytes:
        with reachable():
            found = await self._pool.fetchval(
                "SELECT request FROM operations WHERE tenant = $1 AND operation_id = $2", tenant, operation_id
            )
        return found or b""

    async def last_succeeded(self, tenant: str, verb: str, subject: str) -> Operation | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""SELECT {_OPERATION} FROM operations WHERE tenant = $1 AND subject = $2 AND verb = $3 AND state = 'SUCCEEDED'
                    ORDER BY create_time DESC LIMIT 1""",
                tenant,
                subject,
                verb,
            )
        return _operation(row) if row else None

    async def cancel(self, tenant: str, operation_id: str) -> None:
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    """UPDATE operations SET state = 'CANCELLED', end_time = now()
                       WHERE tenant = $1 AND operation_id = $2 AND state = 'RUNNING' RETURNING verb, deadline, job_subject""",
                    tenant,
                    operation_id,
                )
                if row is not None:
                    event = jobs_pb2.OperationCancelled(verb=row["verb"])
                    event.envelope.operation, event.envelope.tenant = operation_id, tenant
                    event.envelope.deadline.FromDatetime(row["deadline"])
                    await self._outbox.write(
                        connection,
                        "events.operation.cancelled",
                        f"{operation_id}-cancelled",
                        event.SerializeToString(),
                    )
                    await self._publish_next(connection, tenant, row["job_subject"])
        self._outbox.poke()

    # --- what events and time do to operations ---

    async def finish(
        self, operation_id: str, tenant: str, response: bytes | None, error: bytes | None, effects: Any
    ) -> bool:
        """End a running operation once; `effects(connection, operation, request, response)` gives the response, None where
        it failed, and does what follows from it."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                f"""SELECT {_OPERATION}, request, job_subject FROM operations
                    WHERE operation_id = $1 AND tenant = $2 AND state = 'RUNNING' FOR UPDATE""",
                operation_id,
                tenant,
            )
            if row is None:
                return False
            response = await effects(connection, _operation(row), row["request"], response)
            state = OperationState.SUCCEEDED if error is None else OperationState.FAILED
            if state is OperationState.FAILED:  # nothing came of it, so nothing is owed for it
                await self._quotas.give_back(connection, tenant, f"operations/{operation_id}")
            await connection.execute(
                "UPDATE operations SET state = $2, response = $3, error = $4, end_time = now() WHERE operation_id = $1",
                operation_id,
                state.value,
                response,
                error,
            )
            await self._publish_next(connection, tenant, row["job_subject"])
        self._outbox.poke()
        return True

    async def _publish_next(self, connection: Any, tenant: str, job_subject: str) -> None:
        """Send the tenant's next job to a queue in which it has room, in the transaction that begins or ends an operation."""
        # One after the other: of two that look at the same time, each could leave the job to the other.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"{tenant} {job_subject}")
        row = await connection.fetchrow(
            """UPDATE operations SET publish_time = now(), publish_count = 1
               WHERE operation_id = (
                   SELECT operation_id FROM operations
                   WHERE tenant = $1 AND job_subject = $2 AND state = 'RUNNING' AND publish_count = 0
                   ORDER BY create_time, operation_id LIMIT 1 FOR UPDATE SKIP LOCKED)
               AND $3 > (
                   SELECT count(*) FROM operations
                   WHERE tenant = $1 AND job_subject = $2 AND state = 'RUNNING' AND publish_count > 0)
               RETURNING operation_id, job""",
            tenant,
            job_subject,
            # A batch puts its items in line and waits for them: batches take turns item by item.
            1_000_000 if job_subject == "jobs.compositor.batch" else self._ahead,
        )
        if row is not None:
            await self._outbox.write(connection, job_subject, f"{row['operation_id']}-1", row["job"])

    async def publish_waiting(self) -> None:
        """Send what waits although there is room: whoever ended the job before it may have had no eye for it."""
        waiting = await self._pool.fetch(
            "SELECT DISTINCT tenant, job_subject FROM operations WHERE state = 'RUNNING' AND publish_count = 0"
        )
        for row in waiting:
            async with self._pool.acquire() as connection, connection.transaction():
                for _ in range(self._ahead):
                    await self._publish_next(connection, row["tenant"], row["job_subject"])
        if waiting:
            self._outbox.poke()

    async def overdue(self) -> list[tuple[str, str]]:
        """(operation, tenant) of running operations past their deadline."""
        rows = await self._pool.fetch(
            "SELECT operation_id, tenant FROM operations WHERE state = 'RUNNING' AND deadline < now() LIMIT 100"
        )
        return [(r["operation_id"], r["tenant"]) for r in rows]

    async def republish(self, after_s: float) -> int:
        """Send the jobs of running operations again that were last sent long ago: the queue may have lost them."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                """UPDATE operations SET publish_time = now(), publish_count = publish_count + 1
                   WHERE operation_id IN (SELECT operation_id FROM operations WHERE state = 'RUNNING' AND publish_time < now() - make_interval(secs => $1)
                                          LIMIT 100 FOR UPDATE SKIP LOCKED)
                   RETURNING operation_id, job_subject, job, publish_count""",
                after_s,
            )
            for r in rows:
                await self._outbox.write(
                    connection, r["job_subject"], f"{r['operation_id']}-{r['publish_count']}", r["job"]
                )
        if rows:
            self._outbox.poke()
        return len(rows)


async def _hold_room(connection: Any, tenant: str, subject: str) -> None:
    """Nothing is begun about a room that is being purged: either it waits for the transaction, or this finds none."""
    if subject.startswith("rooms/") and not await connection.fetchval(
        "SELECT true FROM rooms WHERE tenant = $1 AND room_id = $2 FOR KEY SHARE",
        tenant,
        subject.removeprefix("rooms/"),
    ):
        raise NotFound("ROOM_NOT_FOUND", f"there is no room {subject}", {"room": subject})
