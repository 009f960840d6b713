"""Visualizations in PostgreSQL."""

from datetime import timedelta
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.adapters.listing import Listing
from services.gateway.domain.filters import Question
from services.gateway.domain.records import Visualization

_MADE = "visualization_id, tenant, owner, message, image_key, room, create_time"
_VISUALIZATION = f"{_MADE}, display_name, favorite, save_time, update_time, delete_time, purge_time, revision"
_CHANGED = "revision = revision + 1, update_time = now()"
_FIELDS = ("room", "display_name", "favorite", "create_time", "update_time")
_LISTING = Listing(
    "visualizations", "visualization_id", _VISUALIZATION, {f: f for f in _FIELDS} | {"saved": "(save_time IS NOT NULL)"}
)


def _visualization(row: Any) -> Visualization:
    return Visualization(**{k: row[k] for k in _VISUALIZATION.split(", ")})


async def insert(connection: asyncpg.Connection, made: Visualization) -> None:
    """Keep a visualization, unless it is there; with its room deleted, it is as if it had gone with it."""
    gone = await connection.fetchrow(
        "SELECT delete_time, purge_time FROM rooms WHERE tenant = $1 AND room_id = $2 FOR SHARE",
        made.tenant,
        made.room.removeprefix("rooms/"),
    )
    await connection.execute(
        f"""INSERT INTO visualizations ({_MADE}, update_time, delete_time, purge_time)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) ON CONFLICT DO NOTHING""",
        made.visualization_id,
        made.tenant,
        made.owner,
        made.message,
        made.image_key,
        made.room,
        made.create_time,
        gone and gone["delete_time"],
        gone and gone["purge_time"],
    )


class PostgresVisualizations:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def get(self, tenant: str, visualization_id: str) -> Visualization | None:
        """Also where it was deleted, which says that it is no item of a batch any more."""
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_VISUALIZATION} FROM visualizations WHERE tenant = $1 AND visualization_id = $2",
                tenant,
                visualization_id,
            )
        return _visualization(row) if row else None

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Visualization], str]:
        rows, more = await _LISTING.page(self._pool, tenant, question, position, limit)
        return [_visualization(r) for r in rows], more

    # --- inside the caller's transaction ---

    async def locked(self, connection: asyncpg.Connection, seen: Visualization) -> Visualization:
        """The visualization as it is, which nobody else changes before the transaction ends.

        An item of a batch becomes a row of its own here.
        """
        await insert(connection, seen)
        row = await connection.fetchrow(
            f"SELECT {_VISUALIZATION} FROM visualizations WHERE tenant = $1 AND visualization_id = $2 FOR UPDATE",
            seen.tenant,
            seen.visualization_id,
        )
        return _visualization(row)

    async def mark(
        self, connection: asyncpg.Connection, of: Visualization, display_name: str, favorite: bool, saved: bool
    ) -> Visualization:
        """Set its name and marks; saved: it is from now on, if it was not before."""
        row = await connection.fetchrow(
            f"""UPDATE visualizations SET display_name = $3, favorite = $4,
                    save_time = CASE WHEN $5 THEN coalesce(save_time, now()) ELSE save_time END, {_CHANGED}
                WHERE tenant = $1 AND visualization_id = $2 RETURNING {_VISUALIZATION}""",
            of.tenant,
            of.visualization_id,
            display_name,
            favorite,
            saved,
        )
        return _visualization(row)

    async def delete(self, connection: asyncpg.Connection, of: Visualization, kept: timedelta | None) -> Visualization:
        """Mark it as deleted for `kept`; None: bring it back."""
        row = await connection.fetchrow(
            f"""UPDATE visualizations SET delete_time = CASE WHEN $3::interval IS NOT NULL THEN now() END,
                    purge_time = now() + $3, {_CHANGED}
                WHERE tenant = $1 AND visualization_id = $2 RETURNING {_VISUALIZATION}""",
            of.tenant,
            of.visualization_id,
            kept,
        )
        return _visualization(row)

    async def room_is_deleted(self, connection: asyncpg.Connection, of: Visualization) -> bool:
        """Whether its room is deleted or gone; the room stays as it is until the transaction ends."""
        row = await connection.fetchrow(
            "SELECT delete_time FROM rooms WHERE tenant = $1 AND room_id = $2 FOR SHARE",
            of.tenant,
            of.room.removeprefix("rooms/"),
        )
        return row is None or row["delete_time"] is not None
