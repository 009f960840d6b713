"""What time alone does: chores that come up again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from roomviz.runtime.background import beside

log = structlog.get_logger()


class Housekeeping:
    """Does each chore every `period_s`. One that fails is told, as `name`, and tried again the next time."""

    def __init__(self, name: str, period_s: float, *chores: Callable[[], Awaitable[Any]]):
        self._name, self._period_s, self._chores = name, period_s, chores

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Housekeeping"]:
        async with beside(self._loop()):
            yield self

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            for chore in self._chores:
                try:
                    await chore()
                except Exception as error:
                    log.warning(f"{self._name} waits", error=str(error) or type(error).__name__)
