"""Operations in PostgreSQL."""

import hashlib
from datetime import datetime
from typing import Any

import asyncpg
from google.protobuf.message import Message

from roomviz.errors import Aborted
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.database import reachable
from roomviz.runtime.outbox import Outbox
from services.gateway.adapters import requests
from services.gateway.adapters.listing import Listing
from services.gateway.domain.filters import Question
from services.gateway.domain.records import Operation, OperationState

_OPERATION = "operation_id, tenant, owner, verb, subject, state, response, error, create_time, end_time, delete_time"
_LISTING = Listing(
    "operations",
    "operation_id",
    _OPERATION,
    {f: f for f in ("verb", "subject", "create_time")} | {"done": "(state <> 'RUNNING')"},
)


def _operation(row: Any) -> Operation:
    return Operation(**({k: row[k] for k in _OPERATION.split(", ")} | {"state": OperationState(row["state"])}))


class PostgresOperations:
    def __init__(self, pool: asyncpg.Pool, outbox: Outbox):
        self._pool, self._outbox = pool, outbox

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
                    await self._outbox.write(connection, job_subject, f"{operation_id}-1", body)
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
                       WHERE tenant = $1 AND operation_id = $2 AND state = 'RUNNING' RETURNING verb, deadline""",
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
        self._outbox.poke()

    # --- what events and time do to operations ---

    async def finish(
        self, operation_id: str, tenant: str, response: bytes | None, error: bytes | None, effects: Any
    ) -> bool:
        """End a running operation once; `effects(connection, operation, request)` gives the response and does what follows from it."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                f"SELECT {_OPERATION}, request FROM operations WHERE operation_id = $1 AND tenant = $2 AND state = 'RUNNING' FOR UPDATE",
                operation_id,
                tenant,
            )
            if row is None:
                return False
            if response is not None:
                response = await effects(connection, _operation(row), row["request"])
            state = OperationState.SUCCEEDED if error is None else OperationState.FAILED
            await connection.execute(
                "UPDATE operations SET state = $2, response = $3, error = $4, end_time = now() WHERE operation_id = $1",
                operation_id,
                state.value,
                response,
                error,
            )
        return True

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
