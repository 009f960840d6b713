"""Uploads in PostgreSQL; their parts are objects."""

from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.domain.records import Upload

_UPLOAD = "upload_id, tenant, owner, display_name, size_bytes, content_digest, create_time, expire_time, received_bytes, parts, room"
# A writer that was silent for so long is taken for gone: its connection broke without a word.
_SILENT_S = 15


def _upload(row: Any) -> Upload:
    return Upload(**(dict(row) | {"parts": tuple(row["parts"])}))


class PostgresUploads:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(self, connection: asyncpg.Connection, upload: Upload) -> Upload:
        row = await connection.fetchrow(
            f"""INSERT INTO uploads (upload_id, tenant, owner, display_name, size_bytes, content_digest, create_time, expire_time)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_UPLOAD}""",
            upload.upload_id,
            upload.tenant,
            upload.owner,
            upload.display_name,
            upload.size_bytes,
            upload.content_digest,
            upload.create_time,
            upload.expire_time,
        )
        return _upload(row)

    async def get(self, tenant: str, upload_id: str) -> Upload | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_UPLOAD} FROM uploads WHERE tenant = $1 AND upload_id = $2 AND expire_time > now()",
                tenant,
                upload_id,
            )
        return _upload(row) if row else None

    async def enter(self, upload: Upload, writer: str, offset: int) -> bool:
        with reachable():
            mine = await self._pool.fetchval(
                """UPDATE uploads SET writer = $2, write_time = now()
                   WHERE upload_id = $1 AND received_bytes = $3 AND room = ''
                     AND (writer IS NULL OR write_time < now() - make_interval(secs => $4)) RETURNING true""",
                upload.upload_id,
                writer,
                offset,
                _SILENT_S,
            )
        return bool(mine)

    async def extend(self, upload: Upload, writer: str, key: str, size: int) -> bool:
        with reachable():
            mine = await self._pool.fetchval(
                """UPDATE uploads SET received_bytes = received_bytes + $4, parts = parts || $3::text, write_time = now()
                   WHERE upload_id = $1 AND writer = $2 RETURNING true""",
                upload.upload_id,
                writer,
                key,
                size,
            )
        return bool(mine)

    async def leave(self, upload: Upload, writer: str) -> None:
        with reachable():
            await self._pool.execute(
                "UPDATE uploads SET writer = NULL WHERE upload_id = $1 AND writer = $2", upload.upload_id, writer
            )

    async def finish(self, upload: Upload, room: str) -> None:
        with reachable():
            await self._pool.execute(
                "UPDATE uploads SET room = $2, parts = '{}' WHERE upload_id = $1", upload.upload_id, room
            )

    async def drop(self, upload: Upload) -> None:
        with reachable():
            await self._pool.execute("DELETE FROM uploads WHERE upload_id = $1", upload.upload_id)

    async def expired(self) -> list[Upload]:
        rows = await self._pool.fetch(f"SELECT {_UPLOAD} FROM uploads WHERE expire_time < now() LIMIT 100")
        return [_upload(r) for r in rows]
