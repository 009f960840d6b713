"""Erasures and exports in PostgreSQL, and which rooms are due."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from roomviz.personal import Scope, digest_of, pseudonym
from roomviz.runtime.database import reachable
from roomviz.runtime.objects import Stored
from roomviz.runtime.personal import PostgresPersonal
from services.gateway.domain.receipt import ErasedObject

ROOMS_AT_ONCE = 200
SWEEPER_LOCK = 7_206_966  # any number that nothing else locks

# $1: tenant. A picture that is saved or shared keeps its room.
_ROOM_DUE = """
    r.tenant = $1 AND (
        r.purge_time < now()
        OR (r.delete_time IS NULL
            AND r.use_time < now() - make_interval(days => t.retention_days)
            AND NOT EXISTS (
                SELECT FROM operations o LEFT JOIN visualizations v
                    ON v.tenant = o.tenant AND split_part(v.visualization_id, '-', 1) = o.operation_id
                WHERE o.tenant = r.tenant AND o.subject = 'rooms/' || r.room_id
                    AND (o.create_time > now() - make_interval(days => t.retention_days)
                         OR (v.delete_time IS NULL
                             AND (v.save_time IS NOT NULL
                                  OR EXISTS (SELECT FROM shares s
                                             WHERE s.tenant = v.tenant AND s.visualization_id = v.visualization_id
                                                 AND s.revoke_time IS NULL AND s.expire_time > now())))))))"""


@dataclass(frozen=True)
class Erasure:
    """What is to be erased. prefixes: where the gateway's own objects begin that go. removed and kept: rows by table, as
    far as they are counted."""

    operation_id: str
    kind: str
    pseudonym: str
    scope: Scope
    prefixes: tuple[str, ...]
    removed: Mapping[str, int]
    kept: Mapping[str, int]
    create_time: datetime


@dataclass(frozen=True)
class Export:
    export_id: str
    tenant: str
    owner: str
    subject: str
    object_key: str
    size_bytes: int
    content_digest: str
    expire_time: datetime


# Items of batches (`{operation}-{n}`) go with their room: the row of a deleted one is what says so, as long as the batch.
_PICTURE_DUE = "purge_time < now() AND position('-' IN visualization_id) = 0"


class PostgresErasures:
    def __init__(self, pool: asyncpg.Pool, tables: PostgresPersonal):
        self._pool, self._tables = pool, tables

    async def of(self, tenant: str, subject: str) -> tuple[Scope, list[str]]:
        """What a subject's data are: its rooms with all that was made of them, and what it asked for elsewhere; and where
        the gateway's own objects of it begin."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                scope = await _of_subject(connection, tenant, subject)
                return scope, await self._tables.prefixes(connection, scope)

    async def begin(self, operation_id: str, tenant: str, kind: str, subject: str, anonym: str) -> Erasure:
        """Take note of what goes, and remove the gateway's own rows of it, in one transaction: from here on nobody gets
        at it, and being killed loses nothing. Begun before, it goes on with what it was about then.

        An empty subject: what is due of the tenant's."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    "SELECT * FROM erasures WHERE operation_id = $1 AND tenant = $2", operation_id, tenant
                )
                if row is not None:
                    return _erasure(row)
                if subject:
                    await _hand_over(connection, tenant, subject)
                    # Whoever is beginning something about one of the rooms has done so now, or finds none.
                    await connection.execute(
                        "SELECT FROM rooms WHERE tenant = $1 AND owner = $2 FOR UPDATE", tenant, subject
                    )
                    scope = await _of_subject(connection, tenant, subject, anonym)
                else:
                    scope = await _due(connection, tenant)
                prefixes = await self._tables.prefixes(connection, scope)
                await connection.execute(
                    """UPDATE operations SET state = 'CANCELLED', end_time = now()
                       WHERE tenant = $1 AND operation_id = ANY ($2::text[]) AND state = 'RUNNING'""",
                    tenant,
                    list(scope.operations),
                )
                await connection.execute("DELETE FROM purged WHERE purge_time < now() - interval '2 days'")
                await connection.execute(
                    "INSERT INTO purged (digest) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING",
                    sorted(digest_of(f"operations/{o}") for o in scope.operations),
                )
                done = await self._tables.erase(connection, scope)
                row = await connection.fetchrow(
                    """INSERT INTO erasures
                           (operation_id, tenant, kind, pseudonym, rooms, operations, prefixes, removed, kept)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *""",
                    operation_id,
                    tenant,
                    kind,
                    pseudonym(tenant, subject) if subject else "",
                    list(scope.rooms),
                    list(scope.operations),
                    prefixes,
                    json.dumps({t: removed for t, (removed, _) in done.items()}),
                    json.dumps({t: kept for t, (_, kept) in done.items()}),
                )
        return _erasure(row)

    async def note(self, operation_id: str, rows: Mapping[str, int], objects: Sequence[Stored]) -> None:
        """Take note of what is about to go; noted twice, it counts once."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(
                    """INSERT INTO erased_objects (operation_id, key_digest, kind, size_bytes, etag)
                       VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING""",
                    [(operation_id, digest_of(o.key), o.key.partition("/")[0], o.size_bytes, o.etag) for o in objects],
                )
                if rows:
                    text = await connection.fetchval(
                        "SELECT removed FROM erasures WHERE operation_id = $1 FOR UPDATE", operation_id
                    )
                    known = json.loads(text)
                    more = known | {t: max(n, known.get(t, 0)) for t, n in rows.items()}
                    await connection.execute(
                        "UPDATE erasures SET removed = $2 WHERE operation_id = $1", operation_id, json.dumps(more)
                    )

    async def noted(self, operation_id: str) -> tuple[dict[str, int], list[ErasedObject]]:
        with reachable():
            text = await self._pool.fetchval("SELECT removed FROM erasures WHERE operation_id = $1", operation_id)
            rows = await self._pool.fetch(
                "SELECT key_digest, kind, size_bytes, etag FROM erased_objects WHERE operation_id = $1", operation_id
            )
        return json.loads(text), [ErasedObject(**dict(r)) for r in rows]

    async def end(self, connection: Any, operation_id: str, response: bytes) -> None:
        """Forget what it was about, inside the transaction that ends the job; the receipt is the operation's response."""
        await connection.execute("DELETE FROM erasures WHERE operation_id = $1", operation_id)
        await succeed(connection, operation_id, response)

    async def last(self, tenant: str, subject: str) -> str | None:
        """The operation that erased this subject last, or is at it."""
        with reachable():
            found = await self._pool.fetchval(
                """SELECT operation_id FROM operations WHERE tenant = $1 AND subject = $2 AND verb IN ('delete', 'anonymize')
                   AND state IN ('RUNNING', 'SUCCEEDED') ORDER BY create_time DESC LIMIT 1""",
                tenant,
                pseudonym(tenant, subject),
            )
        return str(found) if found else None

    # --- what time does ---

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Whether no other process is sweeping now; then none does until left."""
        async with self._pool.acquire() as connection:
            mine = bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", SWEEPER_LOCK))
            try:
                yield mine
            finally:
                if mine:
                    await connection.execute("SELECT pg_advisory_unlock($1)", SWEEPER_LOCK)

    async def strangers(self, room_ids: Collection[str]) -> set[str]:
        """Those of these rooms that are nobody's: no row has them."""
        rows = await self._pool.fetch("SELECT room_id FROM rooms WHERE room_id = ANY ($1::text[])", list(room_ids))
        return set(room_ids) - {r["room_id"] for r in rows}

    async def due(self, limit: int) -> list[str]:
        """Tenants of which something is due and nothing is being purged."""
        tenants = await self._pool.fetch(
            """SELECT tenant FROM tenants t WHERE NOT EXISTS (
                   SELECT FROM operations o WHERE o.tenant = t.tenant AND o.verb = 'purge' AND o.state = 'RUNNING')"""
        )
        out: list[str] = []
        for row in tenants:
            if len(out) < limit and await self._pool.fetchval(
                f"""SELECT EXISTS (SELECT FROM rooms r JOIN tenants t USING (tenant) WHERE {_ROOM_DUE})
                    OR EXISTS (SELECT FROM visualizations WHERE tenant = $1 AND {_PICTURE_DUE})""",
                row["tenant"],
            ):
                out.append(row["tenant"])
        return out


class PostgresExports:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(self, connection: Any, export: Export) -> None:
        await connection.execute(
            """INSERT INTO exports
                   (export_id, tenant, owner, subject, object_key, size_bytes, content_digest, expire_time)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            export.export_id,
            export.tenant,
            export.owner,
            export.subject,
            export.object_key,
            export.size_bytes,
            export.content_digest,
            export.expire_time,
        )

    async def get(self, tenant: str, export_id: str) -> Export | None:
        with reachable():
            row = await self._pool.fetchrow(
                """SELECT export_id, tenant, owner, subject, object_key, size_bytes, content_digest, expire_time
                   FROM exports WHERE tenant = $1 AND export_id = $2 AND expire_time > now()""",
                tenant,
                export_id,
            )
        return Export(**dict(row)) if row else None

    async def expired(self, limit: int) -> list[tuple[str, str]]:
        """(export, key) of those whose time is over."""
        rows = await self._pool.fetch(
            "SELECT export_id, object_key FROM exports WHERE expire_time < now() LIMIT $1", limit
        )
        return [(r["export_id"], r["object_key"]) for r in rows]

    async def remove(self, export_id: str) -> None:
        await self._pool.execute("DELETE FROM exports WHERE export_id = $1", export_id)


async def succeed(connection: Any, operation_id: str, response: bytes) -> None:
    """End an operation of the gateway's own, inside the transaction that ends its job. Whom it was about, was in its
    request."""
    await connection.execute(
        """UPDATE operations SET state = 'SUCCEEDED', response = $2, request = '', end_time = now()
           WHERE operation_id = $1 AND state = 'RUNNING'""",
        operation_id,
        response,
    )


async def _hand_over(connection: Any, tenant: str, subject: str) -> None:
    """What stays although the subject asked for it: the analysis of somebody else's room is that room's; a receipt is
    proof of what went, and from here on a pseudonym's."""
    await connection.execute(
        """UPDATE operations o SET owner = r.owner FROM rooms r
           WHERE o.tenant = $1 AND o.owner = $2 AND o.verb = 'analyze' AND o.state <> 'RUNNING'
               AND r.tenant = o.tenant AND o.subject = 'rooms/' || r.room_id AND r.owner <> $2""",
        tenant,
        subject,
    )
    await connection.execute(
        "UPDATE operations SET owner = $3 WHERE tenant = $1 AND owner = $2 AND verb IN ('delete', 'anonymize')",
        tenant,
        subject,
        pseudonym(tenant, subject),
    )


async def _of_subject(connection: Any, tenant: str, subject: str, anonym: str = "") -> Scope:
    rooms = await connection.fetch(
        "SELECT 'rooms/' || room_id AS name FROM rooms WHERE tenant = $1 AND owner = $2", tenant, subject
    )
    names = [r["name"] for r in rooms]
    operations = await connection.fetch(
        """SELECT operation_id FROM operations
           WHERE tenant = $1 AND (owner = $2 OR subject = $2 OR subject = ANY ($3::text[]))""",
        tenant,
        subject,
        names,
    )
    return Scope(tenant, subject, tuple(names), tuple(r["operation_id"] for r in operations), anonym)


async def _due(connection: Any, tenant: str) -> Scope:
    """What is due of a tenant's, some of it: rooms with all that was made of them, and deleted pictures."""
    rooms = await connection.fetch(
        f"""SELECT 'rooms/' || r.room_id AS name FROM rooms r JOIN tenants t USING (tenant) WHERE {_ROOM_DUE}
            ORDER BY r.use_time LIMIT $2 FOR UPDATE OF r SKIP LOCKED""",
        tenant,
        ROOMS_AT_ONCE,
    )
    names = [r["name"] for r in rooms]
    operations = await connection.fetch(
        f"""SELECT operation_id AS id FROM operations WHERE tenant = $1 AND subject = ANY ($2::text[])
           UNION SELECT visualization_id FROM visualizations WHERE tenant = $1 AND {_PICTURE_DUE}""",
        tenant,
        names,
    )
    return Scope(tenant, "", tuple(names), tuple(r["id"] for r in operations))


def _erasure(row: Any) -> Erasure:
    scope = Scope(row["tenant"], "", tuple(row["rooms"]), tuple(row["operations"]))
    return Erasure(
        row["operation_id"],
        row["kind"],
        row["pseudonym"],
        scope,
        tuple(row["prefixes"]),
        json.loads(row["removed"]),
        json.loads(row["kept"]),
        row["create_time"],
    )
