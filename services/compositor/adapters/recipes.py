"""Recipes in the object store, under their digest."""

from collections import OrderedDict
from collections.abc import Callable

from roomviz.errors import NotFound
from roomviz.runtime.objects import Objects
from services.compositor.ports import Order

_REMEMBERED = 100_000


class StoredRecipes:
    """What was stored once is not stored again, as far as this process remembers."""

    def __init__(self, objects: Objects, read: Callable[[bytes], Order]):
        self._objects, self._read = objects, read
        self._stored = OrderedDict[str, None]()

    async def keep(self, order: Order) -> None:
        receipt = order.receipt
        if receipt in self._stored:
            self._stored.move_to_end(receipt)
            return
        await self._objects.put(_key(receipt), order.recipe, "application/x-protobuf")
        self._stored[receipt] = None
        if len(self._stored) > _REMEMBERED:
            self._stored.popitem(last=False)

    async def get(self, receipt: str) -> Order | None:
        try:
            return self._read(await self._objects.get(_key(receipt)))
        except NotFound:
            return None


def _key(receipt: str) -> str:
    return f"recipes/{receipt}.bin"
