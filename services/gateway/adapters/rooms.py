"""Rooms in PostgreSQL."""

from datetime import timedelta
from typing import Any

import asyncpg

from roomviz.errors import AlreadyExists
from roomviz.runtime.database import reachable
from services.gateway.adapters.listing import Listing
from services.gateway.adapters.quotas import PostgresQuotas
from services.gateway.domain.filters import Question
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.metadata import MetadataKind
from services.gateway.domain.records import Room, RoomState
from services.gateway.ports import Happenings

_MADE = "room_id, tenant, owner, display_name, content_digest, width, height, photo_key, working_key, focal_35mm, state, create_time, removed"
_ROOM = f"{_MADE}, update_time, delete_time, purge_time, revision"
_CHANGED = "revision = revision + 1, update_time = now()"
_FIELDS = ("display_name", "state", "content_digest", "create_time", "update_time")
_LISTING = Listing("rooms", "room_id", _ROOM, {f: f for f in _FIELDS})


def _room(row: Any) -> Room:
    removed = row["removed"]
    kinds = None if removed is None else tuple(MetadataKind(k) for k in removed)
    return Room(**({k: row[k] for k in _ROOM.split(", ")} | {"state": RoomState(row["state"]), "removed": kinds}))


class PostgresRooms:
    """Deleted rooms are there for `page` and `locked` alone."""

    def __init__(self, pool: asyncpg.Pool, quotas: PostgresQuotas, happenings: Happenings):
        self._pool, self._quotas, self._happenings = pool, quotas, happenings

    async def add(self, room: Room) -> Room:
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                kept = await self._add(connection, room)
                if kept.room_id == room.room_id:
                    await self._quotas.charge(connection, room.tenant, room.name, room.width * room.height / 1e6)
                    uploaded = Event(Type.ROOM_UPLOADED, room.tenant, room.owner, room.name, room=room.name)
                    await self._happenings.record(uploaded, connection=connection)
        return kept

    async def _add(self, connection: asyncpg.Connection, room: Room) -> Room:
        row = await connection.fetchrow(
            f"""INSERT INTO rooms ({_MADE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                ON CONFLICT (tenant, owner, content_digest) WHERE delete_time IS NULL
                DO UPDATE SET use_time = now() RETURNING {_ROOM}""",
            room.room_id,
            room.tenant,
            room.owner,
            room.display_name,
            room.content_digest,
            room.width,
            room.height,
            room.photo_key,
            room.working_key,
            room.focal_35mm,
            room.state.value,
            room.create_time,
            None if room.removed is None else [k.value for k in room.removed],
        )
        return _room(row)

    async def by_digest(self, tenant: str, owner: str, digest: str) -> Room | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""SELECT {_ROOM} FROM rooms
                    WHERE tenant = $1 AND owner = $2 AND content_digest = $3 AND delete_time IS NULL""",
                tenant,
                owner,
                digest,
            )
        return _room(row) if row else None

    async def get(self, tenant: str, room_id: str) -> Room | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""SELECT {_ROOM}, use_time < now() - interval '1 hour' AS stale FROM rooms
                    WHERE tenant = $1 AND room_id = $2 AND delete_time IS NULL""",
                tenant,
                room_id,
            )
            if row and row["stale"]:  # what is looked at is used, and kept for longer
                await self._pool.execute(
                    "UPDATE rooms SET use_time = now() WHERE tenant = $1 AND room_id = $2", tenant, room_id
                )
        return _room(row) if row else None

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Room], str]:
        rows, more = await _LISTING.page(self._pool, tenant, question, position, limit)
        return [_room(r) for r in rows], more

    # --- inside the caller's transaction ---

    async def locked(self, connection: asyncpg.Connection, tenant: str, room_id: str) -> Room | None:
        """The room, deleted or not, which nobody else changes before the transaction ends."""
        row = await connection.fetchrow(
            f"SELECT {_ROOM} FROM rooms WHERE tenant = $1 AND room_id = $2 FOR UPDATE", tenant, room_id
        )
        return _room(row) if row else None

    async def rename(self, connection: asyncpg.Connection, room: Room, display_name: str) -> Room:
        row = await connection.fetchrow(
            f"UPDATE rooms SET display_name = $3, {_CHANGED} WHERE tenant = $1 AND room_id = $2 RETURNING {_ROOM}",
            room.tenant,
            room.room_id,
            display_name,
        )
        return _room(row)

    async def delete(self, connection: asyncpg.Connection, room: Room, kept: timedelta) -> Room:
        """Mark the room and its visualizations as deleted, at one time that tells later which went together."""
        row = await connection.fetchrow(
            f"""UPDATE rooms SET delete_time = now(), purge_time = now() + $3, {_CHANGED}
                WHERE tenant = $1 AND room_id = $2 RETURNING {_ROOM}""",
            room.tenant,
            room.room_id,
            kept,
        )
        await connection.execute(
            f"""UPDATE visualizations SET delete_time = now(), purge_time = now() + $3, {_CHANGED}
                WHERE tenant = $1 AND room = $2 AND delete_time IS NULL""",
            room.tenant,
            room.name,
            kept,
        )
        return _room(row)

    async def undelete(self, connection: asyncpg.Connection, room: Room) -> Room:
        """Bring back the room, with what was deleted together with it."""
        try:
            row = await connection.fetchrow(
                f"""UPDATE rooms SET delete_time = NULL, purge_time = NULL, {_CHANGED}
                    WHERE tenant = $1 AND room_id = $2 RETURNING {_ROOM}""",
                room.tenant,
                room.room_id,
            )
        except asyncpg.UniqueViolationError as error:
            raise AlreadyExists(
                "ROOM_UPLOADED_AGAIN", "the same photo was uploaded again since, and is another room now"
            ) from error
        await connection.execute(
            f"""UPDATE visualizations SET delete_time = NULL, purge_time = NULL, {_CHANGED}
                WHERE tenant = $1 AND room = $2 AND delete_time = $3""",
            room.tenant,
            room.name,
            room.delete_time,
        )
        return _room(row)
