"""Kept renders in PostgreSQL."""

from typing import Any

from services.compositor.ports import Export, Write


class PostgresRenders:
    def save(self, tenant: str, operation: str, room: str, export: Export) -> Write:
        async def write(connection: Any) -> None:
            await connection.execute(
                """INSERT INTO renders (operation, tenant, room, image_key, width, height, format, size_bytes, content_digest)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
                operation,
                tenant,
                room,
                export.image_key,
                export.width,
                export.height,
                export.format,
                export.size_bytes,
                export.content_digest,
            )

        return write
