"""What time alone does: chores that come up again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger()


class Housekeeping:
    """Does each chore every `period_s`. One that fails is told, and tried again the next time."""

    def __init__(self, period_s: float, *chores: Callable[[], Awaitable[Any]]):
        self._period_s, self._chores = period_s, chores

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Housekeeping"]:
        task = asyncio.create_task(self._loop())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            for chore in self._chores:
                try:
                    await chore()
                except Exception as error:
                    log.warning("housekeeping waits", error=str(error) or type(error).__name__)
