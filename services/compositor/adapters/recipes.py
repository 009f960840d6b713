"""Recipes in PostgreSQL, under their receipt."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import asyncpg

from roomviz.errors import NotFound
from roomviz.personal import digest_of
from roomviz.runtime.database import reachable
from roomviz.runtime.objects import Objects
from roomviz.runtime.personal import PostgresPurged
from services.compositor.domain.personal import of_receipt
from services.compositor.ports import Order

_REMEMBERED = 100_000


class PostgresRecipes:
    """What was kept once is not written again, as far as this process remembers.

    objects: where recipes lie that were kept before they had a place in rows.
    """

    def __init__(self, pool: asyncpg.Pool, objects: Objects, read: Callable[[bytes], Order]):
        self._pool, self._objects, self._read = pool, objects, read
        self._purged = PostgresPurged(pool)
        self._kept = OrderedDict[str, None]()

    async def keep(self, order: Order) -> None:
        receipt = order.receipt
        if receipt in self._kept:
            self._kept.move_to_end(receipt)
            return
        with reachable():
            new = await self._pool.fetchval(
                """INSERT INTO recipes (receipt, tenant, room, recipe)
                   SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM purged WHERE digest = $5)
                   ON CONFLICT (receipt) DO UPDATE SET recipe = EXCLUDED.recipe WHERE recipes.recipe IS NULL
                   RETURNING xmax = 0""",
                receipt,
                order.tenant,
                order.spec.room,
                order.recipe,
                digest_of(order.spec.room),
            )
        # Looked at once more: a purge that is not seen now has yet to begin, and will see the row. One that was there before
        # is the purge's, which finds by it what was made up.
        if await self._purged.has(order.spec.room):
            if new:
                await self.remove(receipt)
            raise NotFound("ROOM_NOT_FOUND", "the room is gone")
        self._kept[receipt] = None
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)

    async def get(self, receipt: str) -> Order | None:
        with reachable():
            recipe = await self._pool.fetchval("SELECT recipe FROM recipes WHERE receipt = $1", receipt)
        try:
            return self._read(await self._objects.get(of_receipt(receipt)[0]) if recipe is None else recipe)
        except NotFound:
            return None

    async def remove(self, receipt: str) -> None:
        with reachable():
            await self._pool.execute("DELETE FROM recipes WHERE receipt = $1", receipt)

    async def of_rooms(self, tenant: str, rooms: Sequence[str]) -> list[str]:
        """Receipts."""
        with reachable():
            rows = await self._pool.fetch(
                "SELECT receipt FROM recipes WHERE tenant = $1 AND room = ANY ($2::text[])", tenant, list(rooms)
            )
        return [r["receipt"] for r in rows]
