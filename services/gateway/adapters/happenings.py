"""What happened, in PostgreSQL; and with it, what of it is to be sent and counted."""

import json
from datetime import UTC, datetime
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.domain.happenings import FREQUENT, Event, Type

_RECORD = """
    WITH new AS (
        SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[], $11::text[], $12::numeric[], $13::text[], $14::text[])
            AS e (event_id, time, tenant, type, owner, subject, room, product, surface_kind, store, unit, value, currency, data)
    ), kept AS (
        INSERT INTO events (event_id, time, tenant, type, owner, subject, room, product, surface_kind, store, unit, value, currency, data)
        SELECT e.event_id, e.time, e.tenant, e.type, e.owner, e.subject, e.room, e.product, e.surface_kind,
               COALESCE(NULLIF(e.store, ''), k.store, ''), COALESCE(NULLIF(e.unit, ''), e.owner), e.value, e.currency, e.data::jsonb
        FROM new e LEFT JOIN api_keys k ON e.owner = 'apiKeys/' || k.key_id AND k.tenant = e.tenant
    ), sent AS (
        INSERT INTO webhook_deliveries (delivery_id, endpoint_id, event_id, event_time, event_type, next_time)
        SELECT replace(gen_random_uuid()::text, '-', ''), w.endpoint_id, e.event_id, e.time, e.type, now()
        FROM new e JOIN webhook_endpoints w USING (tenant)
        WHERE NOT w.disabled AND e.type <> $16 AND (e.type = ANY(w.event_types) OR (w.event_types = '{}' AND e.type <> ALL($15::text[])))
    )
    INSERT INTO insight_marks (tenant, day) SELECT DISTINCT tenant, (time AT TIME ZONE 'UTC')::date FROM new"""
_EVENT = "event_id, time, tenant, type, owner, subject, room, product, surface_kind, store, unit, value, currency, data"


def event_of(row: Any) -> Event:
    columns = {c: row[c] for c in _EVENT.split(", ")}
    return Event(**(columns | {"type": Type(row["type"]), "data": json.loads(row["data"])}))


class PostgresHappenings:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def record(self, *events: Event, connection: asyncpg.Connection | None = None) -> None:
        columns = zip(
            *(
                (
                    e.event_id,
                    e.time,
                    e.tenant,
                    e.type.value,
                    e.owner,
                    e.subject,
                    e.room,
                    e.product,
                    e.surface_kind,
                    e.store,
                    e.unit,
                    e.value,
                    e.currency,
                    json.dumps(dict(e.data)),
                )
                for e in events
            ),
            strict=True,
        )
        if events:
            with reachable():
                await (connection or self._pool).execute(
                    _RECORD, *map(list, columns), [t.value for t in FREQUENT], Type.WEBHOOK_TEST.value
                )

    async def keep_months(self, months: int, ahead: int = 2) -> None:
        """Make the months to come, and drop those that ended more than `months` ago. One gateway at a time."""
        now = datetime.now(UTC)
        this = now.year * 12 + now.month - 1
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('roomviz.events.months'))"):
                return
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            rows = await connection.fetch(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass"
            )
            there = {r["relname"] for r in rows}
            for month in range(this, this + ahead + 1):
                name = month_name(month)
                if name not in there:
                    await connection.execute(
                        f"CREATE TABLE {name} PARTITION OF events FOR VALUES FROM ('{_begin(month)}') TO ('{_begin(month + 1)}')"
                    )
            oldest = month_name(this - months)
            for name in sorted(there - {"events_other"}):
                if name < oldest:
                    await connection.execute(f"DROP TABLE {name}")


def _begin(month: int) -> str:
    return f"{month // 12}-{month % 12 + 1:02}-01 00:00+00"


def month_name(month: int) -> str:
    """The table of a month that is counted from the year 0."""
    return f"events_{month // 12}_{month % 12 + 1:02}"
