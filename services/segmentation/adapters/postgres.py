"""Analyses and the logs of corrections in PostgreSQL."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import asyncpg

from roomviz.errors import Aborted
from roomviz.runtime.database import reachable
from services.segmentation.domain.history import Event, Kind, fold
from services.segmentation.domain.quality import Finding, Quality
from services.segmentation.domain.record import AnalysisRecord, PlaneRecord, SurfaceRecord
from services.segmentation.domain.strokes import Stroke
from services.segmentation.ports import Draft, Log, ModelPin, Write

_EVENT = "revision, kind, event, create_time"


class PostgresModelPins:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def named(self, model: str) -> None:
        """Pins from before they had names were to this model."""
        with reachable():
            await self._pool.execute("UPDATE model_pins SET model = $1 WHERE model = '' AND version <> ''", model)

    async def get(self, tenant: str) -> ModelPin | None:
        with reachable():
            row = await self._pool.fetchrow(
                "SELECT model, version, update_time FROM model_pins WHERE tenant = $1", tenant
            )
        return ModelPin(**row) if row else None

    async def set(self, tenant: str, model: str, version: str) -> ModelPin:
        with reachable():
            row = await self._pool.fetchrow(
                """INSERT INTO model_pins (tenant, model, version) VALUES ($1, $2, $3)
                   ON CONFLICT (tenant) DO UPDATE SET model = $2, version = $3, update_time = now()
                   RETURNING model, version, update_time""",
                tenant,
                model,
                version,
            )
        return ModelPin(**row)


class PostgresAnalyses:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def get(self, tenant: str, room: str) -> AnalysisRecord | None:
        with reachable():
            text = await self._pool.fetchval(
                "SELECT record FROM analyses WHERE tenant = $1 AND room = $2", tenant, room
            )
        return _record(json.loads(text)) if text else None

    def save(self, tenant: str, operation: str, asked: float, record: AnalysisRecord) -> Write:
        text = json.dumps(asdict(record))

        async def write(connection: Any) -> None:
            kept = await connection.fetchval(
                """INSERT INTO analyses AS a (tenant, room, operation, record, asked) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (tenant, room) DO UPDATE SET operation = $3, record = $4, asked = $5, update_time = now()
                   WHERE a.asked <= $5 RETURNING true""",
                tenant,
                record.room,
                operation,
                text,
                asked,
            )
            if kept:  # the row is ours now, so nobody adds to the log
                await connection.execute(
                    """INSERT INTO refinements (tenant, room, revision, kind, event, surfaces, operation, fingerprint)
                       SELECT $1, $2, max(revision) + 1, 'analyze', '{}', $4::jsonb -> 'surfaces', $3, ''
                       FROM refinements WHERE tenant = $1 AND room = $2 HAVING max(revision) IS NOT NULL""",
                    tenant,
                    record.room,
                    operation,
                    text,
                )

        return write


class PostgresRefinements:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    @asynccontextmanager
    async def opened(self, tenant: str, room: str) -> AsyncIterator["PostgresLog | None"]:
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    "SELECT operation, record FROM analyses WHERE tenant = $1 AND room = $2 FOR UPDATE", tenant, room
                )
                if row is None:
                    yield None
                    return
                log = await _log(connection, tenant, room, row["record"])
                yield PostgresLog(connection, tenant, row["operation"], log)

    async def read(self, tenant: str, room: str) -> Log | None:
        with reachable():
            # One snapshot of both tables.
            async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
                text = await connection.fetchval(
                    "SELECT record FROM analyses WHERE tenant = $1 AND room = $2", tenant, room
                )
                return await _log(connection, tenant, room, text) if text is not None else None

    async def at(self, tenant: str, room: str, revision: int) -> tuple[SurfaceRecord, ...]:
        with reachable():
            return await _surfaces_at(self._pool, tenant, room, revision)

    async def latest(self, tenant: str, room: str) -> AnalysisRecord | None:
        with reachable():
            row = await self._pool.fetchrow(
                """SELECT record, (SELECT surfaces FROM refinements r WHERE r.tenant = a.tenant AND r.room = a.room
                                   ORDER BY revision DESC LIMIT 1) AS surfaces
                   FROM analyses a WHERE tenant = $1 AND room = $2""",
                tenant,
                room,
            )
        if row is None:
            return None
        record = _record(json.loads(row["record"]))
        return replace(record, surfaces=_surfaces(json.loads(row["surfaces"]))) if row["surfaces"] else record


class PostgresLog:
    """A room's log inside the transaction that holds the room's row."""

    def __init__(self, connection: Any, tenant: str, operation: str, log: Log):
        self._connection, self._tenant, self._operation = connection, tenant, operation
        self.analysis, self.history, self.surfaces = log.analysis, log.history, log.surfaces

    async def at(self, step: Event | None) -> tuple[SurfaceRecord, ...]:
        if step is None:
            return tuple(self.analysis.surfaces)
        return await _surfaces_at(self._connection, self._tenant, self.analysis.room, step.revision)

    async def known(self, request_id: str, fingerprint: str) -> Event | None:
        row = await self._connection.fetchrow(
            f"SELECT {_EVENT}, fingerprint FROM refinements WHERE tenant = $1 AND room = $2 AND request_id = $3",
            self._tenant,
            self.analysis.room,
            request_id,
        )
        if row is not None and row["fingerprint"] != fingerprint:
            raise Aborted("REQUEST_ID_REUSED", "this request_id was used for another request")
        return _event(row) if row is not None else None

    async def add(self, draft: Draft) -> Event:
        body = {"surface_id": draft.surface_id, "strokes": [s.to_json() for s in draft.strokes], "box": draft.box}
        row = await self._connection.fetchrow(
            f"""INSERT INTO refinements (tenant, room, revision, kind, event, surfaces, operation, request_id, fingerprint)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_EVENT}""",
            self._tenant,
            self.analysis.room,
            self.history.head + 1,
            draft.kind.value,
            json.dumps(body),
            json.dumps([asdict(s) for s in draft.surfaces]),
            self._operation,
            draft.request_id or None,
            draft.fingerprint,
        )
        return _event(row)


async def _log(connection: Any, tenant: str, room: str, text: str) -> Log:
    rows = await connection.fetch(
        f"SELECT {_EVENT} FROM refinements WHERE tenant = $1 AND room = $2 ORDER BY revision", tenant, room
    )
    analysis, events = _record(json.loads(text)), tuple(_event(r) for r in rows)
    surfaces = tuple(analysis.surfaces)
    if events:
        surfaces = await _surfaces_at(connection, tenant, room, events[-1].revision)
    return Log(analysis, fold(events), events, surfaces)


async def _surfaces_at(connection: Any, tenant: str, room: str, revision: int) -> tuple[SurfaceRecord, ...]:
    text = await connection.fetchval(
        "SELECT surfaces FROM refinements WHERE tenant = $1 AND room = $2 AND revision = $3", tenant, room, revision
    )
    return tuple(_surfaces(json.loads(text)))


def _event(row: Any) -> Event:
    body = json.loads(row["event"])
    strokes = tuple(Stroke.from_json(s) for s in body.get("strokes", ()))
    box = body.get("box")
    return Event(
        row["revision"],
        Kind(row["kind"]),
        body.get("surface_id", ""),
        strokes,
        row["create_time"],
        (box[0], box[1], box[2], box[3]) if box else None,
    )


def _surfaces(raw: Sequence[dict[str, Any]]) -> list[SurfaceRecord]:
    return [SurfaceRecord(**(s | {"plane": PlaneRecord(**s["plane"]) if s["plane"] else None})) for s in raw]


def _record(raw: dict[str, Any]) -> AnalysisRecord:
    if "quality" not in raw:
        raw = _before_quality(raw)
    findings = tuple(Finding(**f) for f in raw["quality"]["findings"])
    quality = Quality(**(raw["quality"] | {"findings": findings}))
    return AnalysisRecord(**(raw | {"surfaces": _surfaces(raw["surfaces"]), "quality": quality}))


def _before_quality(raw: dict[str, Any]) -> dict[str, Any]:
    """A record of version 0.1, which had warnings without measures."""
    severe, reasons = raw.pop("needs_refinement"), raw.pop("warnings")
    findings = [{"reason": r, "severe": severe, "value": 0.0, "bar": 0.0, "advice": ""} for r in reasons]
    measured = dict.fromkeys(("luma", "clipped", "sharpness", "roll", "pitch", "field_of_view"), 0.0)
    return raw | {"quality": measured | {"confidence": raw.pop("confidence"), "findings": findings}}
