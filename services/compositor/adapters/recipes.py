"""Recipes in the object store, under their digest; which room each is of, in PostgreSQL."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import asyncpg

from roomviz.errors import NotFound
from roomviz.runtime.database import reachable
from roomviz.runtime.objects import Objects
from roomviz.runtime.personal import PostgresPurged
from services.compositor.domain.personal import of_receipt
from services.compositor.ports import Order

_REMEMBERED = 100_000


class PostgresReceipts:
    def __init__(self, pool: asyncpg.Pool):
        self._pool, self._purged = pool, PostgresPurged(pool)

    async def add(self, order: Order) -> None:
        with reachable():
            await self._pool.execute(
                "INSERT INTO recipes (receipt, tenant, room) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                order.receipt,
                order.tenant,
                order.spec.room,
            )

    async def remove(self, order: Order) -> None:
        with reachable():
            await self._pool.execute("DELETE FROM recipes WHERE receipt = $1", order.receipt)

    async def late(self, order: Order) -> bool:
        """Whether its room was purged."""
        return await self._purged.has(order.spec.room)

    async def of_rooms(self, tenant: str, rooms: Sequence[str]) -> list[str]:
        with reachable():
            rows = await self._pool.fetch(
                "SELECT receipt FROM recipes WHERE tenant = $1 AND room = ANY ($2::text[])", tenant, list(rooms)
            )
        return [r["receipt"] for r in rows]


class StoredRecipes:
    """What was stored once is not stored again, as far as this process remembers."""

    def __init__(self, objects: Objects, receipts: PostgresReceipts, read: Callable[[bytes], Order]):
        self._objects, self._receipts, self._read = objects, receipts, read
        self._stored = OrderedDict[str, None]()

    async def keep(self, order: Order) -> None:
        receipt = order.receipt
        if receipt in self._stored:
            self._stored.move_to_end(receipt)
            return
        # The row before, so that no recipe lies there that nobody finds; whether the room was purged, after: a purge
        # that began before has seen neither, and one that begins later sees both.
        await self._receipts.add(order)
        key, _ = of_receipt(receipt)
        await self._objects.put(key, order.recipe, "application/x-protobuf")
        if await self._receipts.late(order):
            await self._objects.remove(key)
            await self._receipts.remove(order)
            raise NotFound("ROOM_NOT_FOUND", "the room is gone")
        self._stored[receipt] = None
        if len(self._stored) > _REMEMBERED:
            self._stored.popitem(last=False)

    async def get(self, receipt: str) -> Order | None:
        try:
            return self._read(await self._objects.get(of_receipt(receipt)[0]))
        except NotFound:
            return None
