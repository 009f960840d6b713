"""All that is kept of rooms: shown, or removed for good."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from roomviz.internal.personal.v1 import personal_pb2
from roomviz.personal import Scope
from roomviz.runtime.objects import Objects, Stored
from roomviz.runtime.personal import PostgresPersonal, PostgresPurged, found_under, removed_under
from services.compositor.adapters.recipes import PostgresRecipes
from services.compositor.domain.personal import of_operation, of_receipt, of_room


@dataclass(frozen=True)
class PersonalCases:
    pool: asyncpg.Pool
    tables: PostgresPersonal
    purged: PostgresPurged
    recipes: PostgresRecipes
    objects: Objects

    def rows(self, scope: Scope) -> AsyncIterator[personal_pb2.Row]:
        return self.tables.rows(scope)

    async def stored(self, scope: Scope) -> AsyncIterator[Stored]:
        async for found in found_under(self.objects, await self._prefixes(scope)):
            yield found

    async def purge(self, scope: Scope) -> AsyncIterator[Stored]:
        """Rows first: work that ends after that has nothing to be kept with, and removes what it wrote. What was made up for
        a receipt is found by the recipe's row, which therefore goes last; who writes one later finds that its room was
        purged."""
        await self.purged.add(scope)
        async with self.pool.acquire() as connection, connection.transaction():
            await self.tables.erase(connection, scope, leave={"recipes"})
        async for gone in removed_under(self.objects, await self._prefixes(scope)):
            yield gone
        async with self.pool.acquire() as connection, connection.transaction():
            await self.tables.erase(connection, scope)

    async def discard(self, operation: str, receipt: str = "") -> None:
        """Remove what work on a purged operation has written; receipt: where a picture was made up for it."""
        prefixes = [of_operation(operation), *(of_receipt(receipt) if receipt else ())]
        async for _ in removed_under(self.objects, prefixes):
            pass
        if receipt:
            await self.recipes.remove(receipt)

    async def _prefixes(self, scope: Scope) -> list[str]:
        receipts = await self.recipes.of_rooms(scope.tenant, scope.rooms)
        return [
            *map(of_operation, scope.operations),
            *map(of_room, scope.rooms),
            *(p for r in receipts for p in of_receipt(r)),
        ]
