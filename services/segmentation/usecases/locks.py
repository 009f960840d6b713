"""One at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RoomLocks:
    """One at a time a room, before any of them takes a connection: those who wait hold nothing."""

    def __init__(self) -> None:
        self._locks: OrderedDict[tuple[str, str], tuple[asyncio.Lock, int]] = OrderedDict()

    @asynccontextmanager
    async def held(self, tenant: str, room: str) -> AsyncIterator[None]:
        key = (tenant, room)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
