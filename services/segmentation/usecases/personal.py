"""All that is kept of rooms: shown, or removed for good."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from roomviz.internal.personal.v1 import personal_pb2
from roomviz.personal import Scope
from roomviz.runtime.objects import Objects, Stored
from roomviz.runtime.personal import PostgresPersonal, PostgresPurged, found_under, removed_under
from services.segmentation.domain.personal import prefixes


@dataclass(frozen=True)
class PersonalCases:
    pool: asyncpg.Pool
    tables: PostgresPersonal
    purged: PostgresPurged
    objects: Objects

    def rows(self, scope: Scope) -> AsyncIterator[personal_pb2.Row]:
        return self.tables.rows(scope)

    def stored(self, scope: Scope) -> AsyncIterator[Stored]:
        return found_under(self.objects, prefixes(scope.room_ids))

    async def purge(self, scope: Scope) -> AsyncIterator[Stored]:
        """Rows first: work that ends after that has nothing to be kept with, and removes what it wrote (`Worker`). What
        ended before has written all of its objects, which are found by the room's prefix even where we are killed here."""
        await self.purged.add(scope)
        async with self.pool.acquire() as connection, connection.transaction():
            await self.tables.erase(connection, scope)
        async for gone in removed_under(self.objects, prefixes(scope.room_ids)):
            yield gone

    async def discard(self, room: str, operation: str) -> None:
        """Remove what the analysis of a purged room has written."""
        async for _ in removed_under(self.objects, [f"masks/{room.removeprefix('rooms/')}/{operation}-"]):
            pass
