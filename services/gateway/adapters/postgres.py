"""The gateway's records in PostgreSQL."""

import hashlib
from datetime import datetime
from typing import Any

import asyncpg
from google.protobuf.message import Message

from roomviz.errors import Aborted
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.database import reachable
from roomviz.runtime.outbox import Outbox
from services.gateway.domain.records import Operation, OperationState, Room, RoomState, Visualization

_ROOM = "room_id, tenant, owner, display_name, content_digest, width, height, photo_key, working_key, focal_35mm, state, create_time"
_OPERATION = "operation_id, tenant, owner, verb, subject, state, response, error, create_time, end_time"


def _room(row: Any) -> Room:
    return Room(**(dict(row) | {"state": RoomState(row["state"])}))


def _operation(row: Any) -> Operation:
    return Operation(**({k: row[k] for k in _OPERATION.split(", ")} | {"state": OperationState(row["state"])}))


class PostgresRooms:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(self, room: Room) -> Room:
        with reachable():
            row = await self._pool.fetchrow(
                f"""INSERT INTO rooms ({_ROOM}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                    ON CONFLICT (tenant, owner, content_digest) DO UPDATE SET tenant = EXCLUDED.tenant RETURNING {_ROOM}""",
                room.room_id,
                room.tenant,
                room.owner,
                room.display_name,
                room.content_digest,
                room.width,
                room.height,
                room.photo_key,
                room.working_key,
                room.focal_35mm,
                room.state.value,
                room.create_time,
            )
        return _room(row)

    async def by_digest(self, tenant: str, owner: str, digest: str) -> Room | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_ROOM} FROM rooms WHERE tenant = $1 AND owner = $2 AND content_digest = $3",
                tenant,
                owner,
                digest,
            )
        return _room(row) if row else None

    async def get(self, tenant: str, room_id: str) -> Room | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_ROOM} FROM rooms WHERE tenant = $1 AND room_id = $2", tenant, room_id
            )
        return _room(row) if row else None


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
                else:
                    row = await connection.fetchrow(
                        f"""SELECT {_OPERATION}, fingerprint, request_id FROM operations
                            WHERE tenant = $1 AND (request_id = $2 OR (verb = 'analyze' AND subject = $3 AND state = 'RUNNING'))
                            ORDER BY (request_id = $2) DESC NULLS LAST LIMIT 1""",
                        tenant,
                        request_id or None,
                        subject,
                    )
                    if row is None:  # it ended between the two statements
                        raise Aborted("OPERATION_CHANGED", "the operation ended just now; ask again")
                    if request_id and row["request_id"] == request_id and row["fingerprint"] != fingerprint:
                        raise Aborted("REQUEST_ID_REUSED", "this request_id was used for another request")
        self._outbox.poke()
        return _operation(row)

    async def get(self, tenant: str, operation_id: str) -> Operation | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_OPERATION} FROM operations WHERE tenant = $1 AND operation_id = $2", tenant, operation_id
            )
        return _operation(row) if row else None

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


class PostgresVisualizations:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def get(self, tenant: str, visualization_id: str) -> Visualization | None:
        with reachable():
            row = await self._pool.fetchrow(
                "SELECT visualization_id, tenant, owner, message, image_key FROM visualizations WHERE tenant = $1 AND visualization_id = $2",
                tenant,
                visualization_id,
            )
        return Visualization(**dict(row)) if row else None
