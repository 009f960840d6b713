"""Webhook endpoints and deliveries in PostgreSQL.

A delivery that is being sent has as its next_time when another gateway may take it over, so one that dies loses nothing.
Who changes an endpoint and its deliveries locks the endpoint first.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from roomviz.errors import Aborted
from roomviz.runtime.database import reachable
from services.gateway.adapters.happenings import event_of
from services.gateway.domain.happenings import FREQUENT, Event, Type
from services.gateway.domain.webhooks import Attempt, Delivery, DeliveryState, Endpoint
from services.gateway.ports import Happenings

_ENDPOINT = """endpoint_id, tenant, url, event_types, description, disabled, disable_reason, failing_since, create_time, update_time,
    secret, old_secret, overlap_end_time, etag"""
_CANCEL = "UPDATE webhook_deliveries SET state = 'CANCELLED' WHERE endpoint_id = $1 AND state = 'PENDING'"
_DELIVERY = (
    "SELECT delivery_id, endpoint_id, event_id, event_type, state, create_time, next_time FROM webhook_deliveries"
)


def _endpoint(row: Any) -> Endpoint:
    return Endpoint(**(dict(row) | {"event_types": tuple(row["event_types"])}))


async def _deliveries(connection: Any, where: str, *arguments: object) -> list[Delivery]:
    rows = await connection.fetch(f"{_DELIVERY} WHERE {where}", *arguments)
    tried = await connection.fetch(
        """SELECT delivery_id, number, create_time, duration_ms, status, error, excerpt FROM webhook_attempts
           WHERE delivery_id = ANY($1::text[]) ORDER BY number""",
        [r["delivery_id"] for r in rows],
    )
    attempts: dict[str, list[Attempt]] = {}
    for delivery_id, *attempt in tried:
        attempts.setdefault(delivery_id, []).append(Attempt(*attempt))
    return [
        Delivery(**(dict(r) | {"state": DeliveryState(r["state"])}), attempts=tuple(attempts.get(r["delivery_id"], ())))
        for r in rows
    ]


@dataclass(frozen=True)
class Claim:
    """A delivery to be sent now: event is None where it is not kept any more; tries and number count this attempt."""

    delivery_id: str
    tries: int
    number: int
    endpoint: Endpoint
    event: Event | None


class PostgresWebhooks:
    def __init__(self, pool: asyncpg.Pool, happenings: Happenings):
        self._pool, self._happenings = pool, happenings

    async def add(self, endpoint: Endpoint) -> Endpoint:
        with reachable():
            row = await self._pool.fetchrow(
                f"""INSERT INTO webhook_endpoints (endpoint_id, tenant, url, event_types, description, disabled, secret, etag)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_ENDPOINT}""",
                endpoint.endpoint_id,
                endpoint.tenant,
                endpoint.url,
                list(endpoint.event_types),
                endpoint.description,
                endpoint.disabled,
                endpoint.secret,
                endpoint.etag,
            )
        return _endpoint(row)

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_ENDPOINT} FROM webhook_endpoints WHERE tenant = $1 AND endpoint_id = $2", tenant, endpoint_id
            )
        return _endpoint(row) if row else None

    async def page(self, tenant: str, offset: int, limit: int) -> list[Endpoint]:
        with reachable():
            rows = await self._pool.fetch(
                f"""SELECT {_ENDPOINT} FROM webhook_endpoints WHERE tenant = $1
                    ORDER BY create_time, endpoint_id OFFSET $2 LIMIT $3""",
                tenant,
                offset,
                limit,
            )
        return [_endpoint(r) for r in rows]

    async def change(self, endpoint: Endpoint) -> Endpoint:
        """Keep what a caller changed, unless another change came first (`etag` is the one it was read with)."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    f"""UPDATE webhook_endpoints SET url = $3, event_types = $4, description = $5, disabled = $6, disable_reason = '',
                            failing_since = CASE WHEN disabled THEN NULL ELSE failing_since END, etag = $7, update_time = now()
                        WHERE endpoint_id = $1 AND etag = $2 RETURNING {_ENDPOINT}""",
                    endpoint.endpoint_id,
                    endpoint.etag,
                    endpoint.url,
                    list(endpoint.event_types),
                    endpoint.description,
                    endpoint.disabled,
                    secrets.token_hex(8),
                )
                if row is None:
                    raise Aborted("ETAG_MISMATCH", "the endpoint changed meanwhile: read it again")
                if endpoint.disabled:
                    await connection.execute(_CANCEL, endpoint.endpoint_id)
        return _endpoint(row)

    async def rotate(self, endpoint: Endpoint, secret: bytes, overlap_s: float) -> Endpoint:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE webhook_endpoints SET secret = $3, etag = $4, update_time = now(),
                        old_secret = CASE WHEN $5 > 0 THEN secret END,
                        overlap_end_time = CASE WHEN $5 > 0 THEN now() + make_interval(secs => $5) END
                    WHERE endpoint_id = $1 AND etag = $2 RETURNING {_ENDPOINT}""",
                endpoint.endpoint_id,
                endpoint.etag,
                secret,
                secrets.token_hex(8),
                overlap_s,
            )
        if row is None:
            raise Aborted("ETAG_MISMATCH", "the endpoint changed meanwhile: read it again")
        return _endpoint(row)

    async def delete(self, endpoint_id: str) -> None:
        with reachable():
            await self._pool.execute("DELETE FROM webhook_endpoints WHERE endpoint_id = $1", endpoint_id)

    async def deliveries(
        self, endpoint_id: str, state: DeliveryState | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Delivery]:
        """Newest first, those after (create_time, delivery_id)."""
        with reachable():
            return await _deliveries(
                self._pool,
                """endpoint_id = $1 AND ($2::text IS NULL OR state = $2)
                   AND ($3::timestamptz IS NULL OR (create_time, delivery_id) < ($3, $4))
                   ORDER BY create_time DESC, delivery_id DESC LIMIT $5""",
                endpoint_id,
                state.value if state else None,
                after[0] if after else None,
                after[1] if after else "",
                limit,
            )

    async def delivery(self, endpoint_id: str, delivery_id: str) -> Delivery | None:
        with reachable():
            found = await _deliveries(self._pool, "endpoint_id = $1 AND delivery_id = $2", endpoint_id, delivery_id)
        return found[0] if found else None

    async def replay(self, delivery_id: str) -> None:
        """Begin its schedule anew. One that is being sent now goes on as it is."""
        with reachable():
            await self._pool.execute(
                """UPDATE webhook_deliveries SET state = 'PENDING', tries = 0, next_time = now(), sending = false
                   WHERE delivery_id = $1 AND NOT (state = 'PENDING' AND sending)""",
                delivery_id,
            )

    async def replay_since(self, endpoint: Endpoint, since: datetime, include_succeeded: bool, limit: int) -> int:
        """Send what happened since and did not arrive; the number of deliveries that wait because of this."""
        with reachable():
            rows = await self._pool.fetch(
                """INSERT INTO webhook_deliveries (delivery_id, endpoint_id, event_id, event_time, event_type, next_time)
                   SELECT replace(gen_random_uuid()::text, '-', ''), $1, e.event_id, e.time, e.type, now()
                   FROM events e LEFT JOIN webhook_deliveries d ON d.endpoint_id = $1 AND d.event_id = e.event_id
                   WHERE e.tenant = $2 AND e.time >= $3 AND e.type <> $6
                     AND (e.type = ANY($4::text[]) OR ($4::text[] = '{}' AND e.type <> ALL($5::text[])))
                     AND (d.state IS NULL OR d.state IN ('FAILED', 'CANCELLED') OR ($7 AND d.state = 'SUCCEEDED'))
                   ORDER BY e.time LIMIT $8
                   ON CONFLICT (endpoint_id, event_id) DO UPDATE SET state = 'PENDING', tries = 0, next_time = now(), sending = false
                       WHERE webhook_deliveries.state <> 'PENDING'
                   RETURNING delivery_id""",
                endpoint.endpoint_id,
                endpoint.tenant,
                since,
                list(endpoint.event_types),
                [t.value for t in FREQUENT],
                Type.WEBHOOK_TEST.value,
                include_succeeded,
                limit,
            )
        return len(rows)

    async def send_to(self, endpoint: Endpoint, event: Event) -> Delivery:
        """Record an event that is for this endpoint alone."""
        delivery_id = secrets.token_hex(16)
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await self._happenings.record(event, connection=connection)
                await connection.execute(
                    """INSERT INTO webhook_deliveries (delivery_id, endpoint_id, event_id, event_time, event_type, next_time)
                       VALUES ($1, $2, $3, $4, $5, now())""",
                    delivery_id,
                    endpoint.endpoint_id,
                    event.event_id,
                    event.time,
                    event.type.value,
                )
                return (await _deliveries(connection, "delivery_id = $1", delivery_id))[0]

    # --- sending ---

    async def claim(self, limit: int, busy: Sequence[str], lease_s: float) -> list[Claim]:
        """Deliveries that are due, the longest waiting first, for us alone until the lease ends."""
        rows = await self._pool.fetch(
            f"""WITH due AS (
                    SELECT d.delivery_id FROM webhook_deliveries d JOIN webhook_endpoints w USING (endpoint_id)
                    WHERE d.state = 'PENDING' AND d.next_time <= now() AND NOT w.disabled AND d.endpoint_id <> ALL($2::text[])
                    ORDER BY d.next_time LIMIT $1 FOR UPDATE OF d SKIP LOCKED
                ), taken AS (
                    UPDATE webhook_deliveries d SET tries = tries + 1, attempts = attempts + 1, sending = true,
                        next_time = now() + make_interval(secs => $3)
                    FROM due WHERE d.delivery_id = due.delivery_id
                    RETURNING d.delivery_id, d.endpoint_id, d.tries, d.attempts, d.event_id, d.event_time
                )
                SELECT t.delivery_id, t.tries, t.attempts, e.time, e.type, e.owner, e.subject, e.room, e.product, e.surface_kind,
                       e.store, e.unit, e.value, e.currency, e.data, e.event_id, {_of("w")}
                FROM taken t JOIN webhook_endpoints w USING (endpoint_id)
                LEFT JOIN events e ON e.event_id = t.event_id AND e.time = t.event_time""",
            limit,
            list(busy),
            lease_s,
        )
        names = _ENDPOINT.replace("\n", " ").split(",")
        return [
            Claim(
                r["delivery_id"],
                r["tries"],
                r["attempts"],
                _endpoint({n.strip(): r[n.strip()] for n in names}),
                event_of(r) if r["event_id"] else None,
            )
            for r in rows
        ]

    async def arrived(self, claim: Claim, attempt: Attempt) -> None:
        """The endpoint took it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "UPDATE webhook_endpoints SET failing_since = NULL WHERE endpoint_id = $1 AND failing_since IS NOT NULL",
                claim.endpoint.endpoint_id,
            )
            await connection.execute(
                "UPDATE webhook_deliveries SET state = 'SUCCEEDED', sending = false WHERE delivery_id = $1",
                claim.delivery_id,
            )
            await self._tried(connection, claim, attempt)

    async def failed(self, claim: Claim, attempt: Attempt, delay_s: float | None) -> datetime | None:
        """The endpoint did not take it; another try comes after delay_s, None: none does. Since when it fails."""
        async with self._pool.acquire() as connection, connection.transaction():
            since: datetime | None = await connection.fetchval(
                """UPDATE webhook_endpoints SET failing_since = COALESCE(failing_since, now())
                   WHERE endpoint_id = $1 RETURNING failing_since""",
                claim.endpoint.endpoint_id,
            )
            # Not where the lease ended and another sends it now.
            await connection.execute(
                """UPDATE webhook_deliveries SET sending = false, state = CASE WHEN $3::float8 IS NULL THEN 'FAILED' ELSE 'PENDING' END,
                       next_time = now() + make_interval(secs => COALESCE($3, 0))
                   WHERE delivery_id = $1 AND attempts = $2 AND state = 'PENDING'""",
                claim.delivery_id,
                claim.number,
                delay_s,
            )
            await self._tried(connection, claim, attempt)
        return since

    async def drop(self, claim: Claim) -> None:
        """Its event is not kept any more."""
        await self._pool.execute(
            "UPDATE webhook_deliveries SET state = 'CANCELLED', sending = false WHERE delivery_id = $1",
            claim.delivery_id,
        )

    async def disable(self, endpoint: Endpoint, reason: str, event: Event) -> bool:
        """Send it nothing any more, and tell the others; False where it is disabled already."""
        async with self._pool.acquire() as connection, connection.transaction():
            done = await connection.fetchval(
                """UPDATE webhook_endpoints SET disabled = true, disable_reason = $2, etag = $3, update_time = now()
                   WHERE endpoint_id = $1 AND NOT disabled RETURNING true""",
                endpoint.endpoint_id,
                reason,
                secrets.token_hex(8),
            )
            if done:
                await connection.execute(_CANCEL, endpoint.endpoint_id)
                await self._happenings.record(event, connection=connection)
        return bool(done)

    async def _tried(self, connection: asyncpg.Connection, claim: Claim, attempt: Attempt) -> None:
        # Not where the endpoint was deleted meanwhile.
        await connection.execute(
            """INSERT INTO webhook_attempts (delivery_id, number, create_time, duration_ms, status, error, excerpt)
               SELECT $1, $2, $3, $4, $5, $6, $7 WHERE EXISTS (SELECT 1 FROM webhook_deliveries WHERE delivery_id = $1)
               ON CONFLICT DO NOTHING""",
            claim.delivery_id,
            attempt.number,
            attempt.create_time,
            attempt.duration_ms,
            attempt.status,
            attempt.error,
            attempt.excerpt,
        )

    async def forget(self, days: int) -> None:
        """Remove what ended so many days ago."""
        await self._pool.execute(
            """DELETE FROM webhook_deliveries WHERE delivery_id IN (
                   SELECT delivery_id FROM webhook_deliveries
                   WHERE state <> 'PENDING' AND create_time < now() - make_interval(days => $1) LIMIT 5000)""",
            days,
        )


def _of(table: str) -> str:
    return ", ".join(f"{table}.{c.strip()}" for c in _ENDPOINT.split(","))
