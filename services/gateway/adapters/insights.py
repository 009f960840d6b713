"""Insights in PostgreSQL: what shops report, days that are counted ahead of questions, experiments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.insights import ROWS_MAX, SKETCH_SIZE, Experiment, Question, Row, distinct, level
from services.gateway.domain.uplift import Arm
from services.gateway.ports import Happenings

REPORTED_DAYS = 31
_QUERY_S = 20.0
_UNCOUNTED = [Type.ENDPOINT_DISABLED.value, Type.WEBHOOK_TEST.value]


def _sketch(column: str) -> str:
    """The smallest hashes of the different values that are there."""
    hashed = f"hashtextextended({column}, 0)"
    return f"COALESCE((array_agg(DISTINCT {hashed} ORDER BY {hashed}) FILTER (WHERE {column} <> ''))[1:{SKETCH_SIZE}], '{{}}')"


_DAY = "FROM events WHERE tenant = $1 AND time >= $3 AND time < $4 AND type <> ALL($5::text[])"
_COUNT_DAY = f"""
    INSERT INTO insight_days (tenant, day, type, product, surface_kind, store, currency, events, value)
    SELECT $1, $2, type, product, surface_kind, store, currency, count(*), COALESCE(sum(value), 0)
    {_DAY} GROUP BY type, product, surface_kind, store, currency"""
_SKETCH_DAY = f"""
    INSERT INTO insight_sketches (tenant, day, level, type, product, surface_kind, store, rooms, units)
    SELECT $1, $2, GROUPING(product, surface_kind, store), type, COALESCE(product, ''), COALESCE(surface_kind, ''), COALESCE(store, ''),
           {_sketch("room")}, {_sketch("unit")}
    {_DAY} GROUP BY GROUPING SETS ((type), (type, product), (type, surface_kind), (type, store), (type, product, surface_kind, store))"""


@dataclass(frozen=True)
class Exposure:
    held_out: bool
    create_time: datetime


class PostgresInsights:
    def __init__(self, pool: asyncpg.Pool, happenings: Happenings):
        self._pool, self._happenings = pool, happenings

    async def report(self, tenant: str, reported: dict[str, Event]) -> int:
        """Keep what was not reported before, by the shop's ids; how many that were."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(
                    """INSERT INTO reported_events (tenant, reported_id) SELECT $1, unnest($2::text[])
                       ON CONFLICT DO NOTHING RETURNING reported_id""",
                    tenant,
                    sorted(reported),
                )
                new = [reported[r["reported_id"]] for r in rows]
                await self._happenings.record(*new, connection=connection)
        return len(new)

    async def count_days(self, limit: int = 20_000) -> int:
        """Count the days anew in which something happened since; how many. One gateway at a time."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('roomviz.insights.days'))"):
                return 0
            marks = await connection.fetch(
                """WITH taken AS (DELETE FROM insight_marks WHERE id IN (SELECT id FROM insight_marks ORDER BY id LIMIT $1)
                                  RETURNING tenant, day)
                   SELECT DISTINCT tenant, day FROM taken""",
                limit,
            )
            for tenant, day in marks:
                begin = datetime.combine(day, time(), UTC)
                for table, count in (("insight_days", _COUNT_DAY), ("insight_sketches", _SKETCH_DAY)):
                    await connection.execute(f"DELETE FROM {table} WHERE tenant = $1 AND day = $2", tenant, day)
                    end = begin + timedelta(days=1)
                    await connection.execute(count, tenant, day, begin, end, _UNCOUNTED, timeout=120)
        return len(marks)

    async def forget(self) -> None:
        await self._pool.execute(
            "DELETE FROM reported_events WHERE create_time < now() - make_interval(days => $1)", REPORTED_DAYS
        )

    async def query(self, tenant: str, question: Question) -> list[Row]:
        """At most one row more than ROWS_MAX."""
        arguments: list[object] = [tenant, question.start, question.end]
        where = "tenant = $1 AND day BETWEEN $2 AND $3"
        for column, wanted in question.filters.items():
            arguments.append(wanted)
            where += f" AND {column} = ANY(${len(arguments)}::text[])"
        # A constant among the keys, so that a question without groups is asked in the same words.
        keys = ", ".join(("0 AS everything", *question.group_by))
        by = ", ".join(("everything", *question.group_by))
        order = ", ".join(["day"] * ("day" in question.group_by) + ["events DESC", by])
        counts = f"""SELECT {keys}, sum(events)::bigint AS events FROM insight_days WHERE {where}
                     GROUP BY {by} ORDER BY {order} LIMIT {ROWS_MAX + 1}"""
        worth = f"""SELECT {keys}, currency, sum(value) AS worth FROM insight_days WHERE {where} AND currency <> ''
                    GROUP BY {by}, currency ORDER BY currency"""
        with reachable():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                rows = await connection.fetch(counts, *arguments, timeout=_QUERY_S)
                values: dict[Any, dict[str, Decimal]] = {}
                for *key, currency, value in await connection.fetch(worth, *arguments, timeout=_QUERY_S):
                    values.setdefault(tuple(key), {})[currency] = value
                different: dict[str, dict[Any, int]] = {}
                for column in ("rooms", "units"):
                    # One sort by group and hash; the hashes of a group are put together, and cut off again.
                    merged = f"""SELECT {by}, cardinality(hashes), hashes[cardinality(hashes)] FROM
                            (SELECT {keys}, (array_agg(DISTINCT h ORDER BY h))[1:{SKETCH_SIZE}] AS hashes
                             FROM insight_sketches, unnest({column}) AS h WHERE {where} AND level = {level(question)} GROUP BY {by}) AS g"""
                    found = await connection.fetch(merged, *arguments, timeout=_QUERY_S)
                    different[column] = {tuple(key): distinct(kept, largest) for *key, kept, largest in found}
        return [
            Row(
                key[1:],
                events,
                different["rooms"].get(key, 0),
                different["units"].get(key, 0),
                values.get(key, {}),
            )
            for key, events in ((tuple(r)[:-1], r["events"]) for r in rows)
        ]

    async def funnel(
        self, tenant: str, by_room: bool, steps: Sequence[str], begin: datetime, end: datetime, window: timedelta
    ) -> list[int]:
        """How many took each step, each after the one before, and within `window` of the first."""
        who = "room" if by_room else "unit"
        sql = f"""WITH step0 AS (
            SELECT {who} AS who, min(time) AS first, min(time) AS last FROM events
            WHERE tenant = $1 AND type = $5 AND time >= $2 AND time < $3 AND {who} <> '' GROUP BY {who})"""
        for n in range(1, len(steps)):
            sql += f""", step{n} AS (
                SELECT b.who, b.first, min(e.time) AS last FROM step{n - 1} b JOIN events e
                    ON e.{who} = b.who AND e.time >= b.last AND e.time <= b.first + $4
                WHERE e.tenant = $1 AND e.type = ${n + 5} AND e.time >= $2 AND e.time < $3 + $4 GROUP BY b.who, b.first)"""
        counts = ", ".join(f"(SELECT count(*) FROM step{n})" for n in range(len(steps)))
        with reachable():
            return list(await self._pool.fetchrow(f"{sql} SELECT {counts}", tenant, begin, end, window, *steps))

    # --- experiments ---

    async def experiment(self, tenant: str, experiment_id: str) -> Experiment | None:
        with reachable():
            row = await self._pool.fetchrow(
                "SELECT experiment_id, tenant, salt, share, create_time FROM experiments WHERE tenant = $1 AND experiment_id = $2",
                tenant,
                experiment_id,
            )
        return Experiment(**dict(row)) if row else None

    async def begin(self, experiment: Experiment) -> Experiment:
        """Keep the experiment, or return the one of that name that another began meanwhile."""
        with reachable():
            await self._pool.execute(
                "INSERT INTO experiments (tenant, experiment_id, salt, share) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                experiment.tenant,
                experiment.experiment_id,
                experiment.salt,
                experiment.share,
            )
        found = await self.experiment(experiment.tenant, experiment.experiment_id)
        assert found is not None
        return found

    async def expose(self, experiment: Experiment, unit: str, held_out: bool) -> Exposure:
        """Remember that a unit's arm was asked for; the first time counts."""
        with reachable():
            row = await self._pool.fetchrow(
                """WITH new AS (INSERT INTO experiment_exposures (tenant, experiment_id, unit, held_out) VALUES ($1, $2, $3, $4)
                                ON CONFLICT DO NOTHING RETURNING held_out, create_time)
                   SELECT * FROM new UNION ALL
                   SELECT held_out, create_time FROM experiment_exposures WHERE tenant = $1 AND experiment_id = $2 AND unit = $3""",
                experiment.tenant,
                experiment.experiment_id,
                unit,
                held_out,
            )
        # None: another asked at the same moment, and its row is not seen by this statement.
        return Exposure(**dict(row)) if row else Exposure(held_out, datetime.now(UTC))

    async def conversions(self, experiment: Experiment, event_type: str, window: timedelta) -> dict[bool, Arm]:
        """Units and the share of them that did it, by whether they were held out."""
        return await self._arms(experiment, event_type, window, "count(*) > 0", "did::int", "")

    async def values(
        self, experiment: Experiment, event_type: str, window: timedelta, currency: str
    ) -> dict[bool, Arm]:
        """Units, and what they did was worth."""
        return await self._arms(experiment, event_type, window, "COALESCE(sum(e.value), 0)::float8", "did", currency)

    async def _arms(
        self, experiment: Experiment, event_type: str, window: timedelta, did: str, number: str, currency: str
    ) -> dict[bool, Arm]:
        with reachable():
            rows = await self._pool.fetch(
                f"""SELECT held_out, count(*) AS n, avg({number})::float8 AS mean, COALESCE(var_samp({number}), 0)::float8 AS variance FROM (
                        SELECT x.held_out, (SELECT {did} FROM events e WHERE e.tenant = $1 AND e.type = $3 AND e.unit = x.unit
                            AND e.time >= x.create_time AND e.time <= x.create_time + $4 AND ($5 = '' OR e.currency = $5)) AS did
                        FROM experiment_exposures x WHERE x.tenant = $1 AND x.experiment_id = $2) AS units
                    GROUP BY held_out""",
                experiment.tenant,
                experiment.experiment_id,
                event_type,
                window,
                currency,
            )
        return {r["held_out"]: Arm(r["n"], r["mean"], r["variance"]) for r in rows}
