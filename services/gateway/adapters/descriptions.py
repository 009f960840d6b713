"""Descriptions of rooms in PostgreSQL."""

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.domain.records import Description

_DESCRIPTION = "description, technical_summary, provider, fallback_reason, create_time"


class PostgresDescriptions:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def get(self, tenant: str, room_id: str, digest: str, asked: str) -> Description | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""SELECT {_DESCRIPTION} FROM descriptions
                    WHERE tenant = $1 AND room_id = $2 AND analysis_digest = $3 AND asked = $4""",
                tenant,
                room_id,
                digest,
                asked,
            )
        return Description(**dict(row)) if row else None

    async def put(self, tenant: str, room_id: str, digest: str, asked: str, description: Description) -> None:
        """Keep it, but never in place of a provider's own by a fallback."""
        with reachable():
            await self._pool.execute(
                f"""INSERT INTO descriptions AS kept (tenant, room_id, analysis_digest, asked, {_DESCRIPTION})
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                    ON CONFLICT (tenant, room_id, analysis_digest, asked) DO UPDATE
                    SET description = EXCLUDED.description, technical_summary = EXCLUDED.technical_summary,
                        provider = EXCLUDED.provider, fallback_reason = EXCLUDED.fallback_reason,
                        create_time = EXCLUDED.create_time
                    WHERE kept.fallback_reason <> ''""",
                tenant,
                room_id,
                digest,
                asked,
                description.description,
                description.technical_summary,
                description.provider,
                description.fallback_reason,
                description.create_time,
            )
