"""Analyses in PostgreSQL."""

import json
from dataclasses import asdict
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.segmentation.domain.quality import Finding, Quality
from services.segmentation.domain.record import AnalysisRecord, PlaneRecord, SurfaceRecord
from services.segmentation.ports import Pin, Write


class PostgresPins:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def get(self, tenant: str) -> Pin | None:
        with reachable():
            row = await self._pool.fetchrow("SELECT version, update_time FROM model_pins WHERE tenant = $1", tenant)
        return Pin(row["version"], row["update_time"]) if row else None

    async def set(self, tenant: str, version: str) -> Pin:
        with reachable():
            row = await self._pool.fetchrow(
                """INSERT INTO model_pins (tenant, version) VALUES ($1, $2)
                   ON CONFLICT (tenant) DO UPDATE SET version = $2, update_time = now() RETURNING version, update_time""",
                tenant,
                version,
            )
        return Pin(row["version"], row["update_time"])


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
            await connection.execute(
                """INSERT INTO analyses AS a (tenant, room, operation, record, asked) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (tenant, room) DO UPDATE SET operation = $3, record = $4, asked = $5, update_time = now()
                   WHERE a.asked <= $5""",
                tenant,
                record.room,
                operation,
                text,
                asked,
            )

        return write


def _record(raw: dict[str, Any]) -> AnalysisRecord:
    surfaces = [
        SurfaceRecord(**(s | {"plane": PlaneRecord(**s["plane"]) if s["plane"] else None})) for s in raw["surfaces"]
    ]
    if "quality" not in raw:
        raw = _before_quality(raw)
    findings = tuple(Finding(**f) for f in raw["quality"]["findings"])
    quality = Quality(**(raw["quality"] | {"findings": findings}))
    return AnalysisRecord(**(raw | {"surfaces": surfaces, "quality": quality}))


def _before_quality(raw: dict[str, Any]) -> dict[str, Any]:
    """A record of version 0.1, which had warnings without measures."""
    severe, reasons = raw.pop("needs_refinement"), raw.pop("warnings")
    findings = [{"reason": r, "severe": severe, "value": 0.0, "bar": 0.0, "advice": ""} for r in reasons]
    measured = dict.fromkeys(("luma", "clipped", "sharpness", "roll", "pitch", "field_of_view"), 0.0)
    return raw | {"quality": measured | {"confidence": raw.pop("confidence"), "findings": findings}}
