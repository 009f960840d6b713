"""Sessions of photos, results by content and the secret of links, in PostgreSQL."""

import hashlib
import secrets
from datetime import datetime
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.domain.principal import Role
from services.gateway.domain.sessions import PhotoResult, PhotoSession

_SESSION = "session_id, tenant, owner, file_name, room_id, operation_id, batch_id, position, error, create_time"


def _session(row: Any) -> PhotoSession:
    return PhotoSession(**dict(row))


class PostgresPhotoSessions:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(self, s: PhotoSession) -> None:
        with reachable():
            await self._pool.execute(
                f"INSERT INTO photo_sessions ({_SESSION}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                s.session_id,
                s.tenant,
                s.owner,
                s.file_name,
                s.room_id,
                s.operation_id,
                s.batch_id,
                s.position,
                s.error,
                s.create_time,
            )

    async def put_room(self, tenant: str, session_id: str, room_id: str, file_name: str) -> None:
        with reachable():
            await self._pool.execute(
                """UPDATE photo_sessions SET room_id = $3, file_name = $4, operation_id = NULL
                   WHERE tenant = $1 AND session_id = $2""",
                tenant,
                session_id,
                room_id,
                file_name,
            )

    async def put_operation(self, tenant: str, session_id: str, operation_id: str) -> None:
        with reachable():
            await self._pool.execute(
                "UPDATE photo_sessions SET operation_id = $3 WHERE tenant = $1 AND session_id = $2",
                tenant,
                session_id,
                operation_id,
            )

    async def get(self, tenant: str, session_id: str) -> PhotoSession | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_SESSION} FROM photo_sessions WHERE tenant = $1 AND session_id = $2", tenant, session_id
            )
        return _session(row) if row else None

    async def of_batch(self, tenant: str, batch_id: str) -> list[PhotoSession]:
        with reachable():
            rows = await self._pool.fetch(
                f"SELECT {_SESSION} FROM photo_sessions WHERE tenant = $1 AND batch_id = $2 ORDER BY position",
                tenant,
                batch_id,
            )
        return [_session(r) for r in rows]

    async def forget(self) -> None:
        """Remove sessions that had no photo within a day."""
        with reachable():
            await self._pool.execute(
                "DELETE FROM photo_sessions WHERE room_id IS NULL AND create_time < now() - interval '1 day'"
            )

    async def result(self, tenant: str, digest: str) -> PhotoResult | None:
        with reachable():
            row = await self._pool.fetchrow(
                """SELECT analysis, mask_keys, picture_key, seconds, description, summary FROM photo_results p JOIN rooms r USING (room_id)
                   WHERE p.tenant = $1 AND p.content_digest = $2 AND r.delete_time IS NULL""",
                tenant,
                digest,
            )
        return PhotoResult(**dict(row)) if row else None

    async def keep_result(self, tenant: str, digest: str, room_id: str, result: PhotoResult) -> None:
        with reachable():
            await self._pool.execute(
                """INSERT INTO photo_results
                       (tenant, content_digest, room_id, analysis, mask_keys, picture_key, seconds, description, summary)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, content_digest) DO UPDATE
                   SET room_id = EXCLUDED.room_id, analysis = EXCLUDED.analysis, mask_keys = EXCLUDED.mask_keys,
                       picture_key = EXCLUDED.picture_key, seconds = EXCLUDED.seconds, description = EXCLUDED.description,
                       summary = EXCLUDED.summary, create_time = now()""",
                tenant,
                digest,
                room_id,
                result.analysis,
                result.mask_keys,
                result.picture_key,
                result.seconds,
                result.description,
                result.summary,
            )


class PostgresVisitors:
    """Anonymous shoppers: each is a key that soon expires."""

    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(self, tenant: str, key: str, expire_time: datetime) -> str:
        """The id of the visitor's key."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO tenants (tenant) VALUES ($1) ON CONFLICT DO NOTHING", tenant)
                key_id = f"visitor-{secrets.token_hex(12)}"
                await connection.execute(
                    """INSERT INTO api_keys (key_hash, key_id, prefix, tenant, display_name, role, expire_time)
                       VALUES ($1, $2, $3, $4, 'visitor', $5, $6)""",
                    hashlib.sha256(key.encode()).digest(),
                    key_id,
                    key[:6],
                    tenant,
                    Role.SHOPPER.value,
                    expire_time,
                )
                # Of those long gone nothing but what they made is left.
                await connection.execute(
                    "DELETE FROM api_keys WHERE key_id LIKE 'visitor-%' AND expire_time < now() - interval '1 day'"
                )
        return key_id


async def link_secret(pool: asyncpg.Pool) -> bytes:
    """32 random bytes that every gateway over this database knows."""
    with reachable():
        await pool.execute(
            "INSERT INTO link_secrets (name, secret) VALUES ('files', $1) ON CONFLICT DO NOTHING",
            secrets.token_bytes(32),
        )
        found = await pool.fetchval("SELECT secret FROM link_secrets WHERE name = 'files'")
    return bytes(found)
