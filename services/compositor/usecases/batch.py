"""Render each of many products on one room, an item at a time, whoever has time for it.

An item's outcome is recorded once, whatever dies in between: an item is taken for a lease and finished by its newest
attempt alone, and its picture lies under the digest of its bytes, so that an item that was rendered twice shows it
nowhere. See decision 0021.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import structlog

from roomviz.errors import Internal, RoomvizError, unwrap
from roomviz.runtime.background import beside
from roomviz.runtime.ledger import STRIKES_MAX
from roomviz.runtime.metrics import BATCH_ITEMS, stage
from services.compositor.domain.encode import TYPES
from services.compositor.ports import BatchCount, Batches, Export, Order, Pictures, Taken
from services.compositor.usecases.picture import MakePicture

log = structlog.get_logger()

IDLE_S = 1.0
PAUSE_S = 2.0


@dataclass(frozen=True)
class RenderItem:
    make: MakePicture
    pictures: Pictures

    async def __call__(self, operation: str, index: int, order: Order) -> Export:
        made = await self.make(order)
        format = order.output.format
        digest = hashlib.sha256(made.data).hexdigest()
        key = f"renders/{operation}/{index}-{digest[:16]}.{format}"
        with stage("store"):
            await self.pictures.put(key, made.data, TYPES[format])
        return Export(key, made.width, made.height, format, len(made.data), digest, order.receipt, made.report)


# Translate: from a taken item to its picture, and an outcome to the bytes that are kept.
RenderTaken = Callable[[Taken], Awaitable[Export]]
Result = Callable[[Taken, Export | RoomvizError], bytes]
Tell = Callable[[str, BatchCount], Awaitable[None]]
# What is left to do where an item was no longer ours when it was finished.
Late = Callable[[Taken], Awaitable[None]]


@dataclass(frozen=True)
class WorkOnBatches:
    """Takes items one at a time and brings each to its end."""

    batches: Batches
    render: RenderTaken
    result: Result
    tell: Tell
    late: Late
    lease_s: float

    async def until(self, stop: asyncio.Event) -> None:
        """Work until stopped; an item in hand is finished first."""
        while not stop.is_set():
            try:
                if await self.one():
                    continue
                pause = IDLE_S
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                # The database is away. What was in hand comes back when its lease is over.
                log.warning("batches wait", error=str(error) or type(error).__name__)
                pause = PAUSE_S
            except Exception:  # whatever it is, the other items must not wait for it for ever
                log.exception("batch item dropped for now")
                pause = PAUSE_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    async def one(self) -> bool:
        """Work on an item; False where none waits."""
        taken = await self.batches.take(self.lease_s)
        if taken is None:
            return False
        structlog.contextvars.bind_contextvars(operation=taken.operation, tenant=taken.tenant, item=taken.index)
        try:
            async with beside(self._hold(taken)):
                await self._work(taken)
        finally:
            structlog.contextvars.unbind_contextvars("operation", "tenant", "item")
        return True

    async def _work(self, taken: Taken) -> None:
        outcome: Export | RoomvizError
        if taken.strikes > STRIKES_MAX:
            outcome = Internal("ATTEMPTS_EXHAUSTED", f"the item was tried {STRIKES_MAX} times and did not end")
        else:
            try:
                outcome = await self.render(taken)
            except Exception as raised:
                failure = unwrap(raised)
                if not isinstance(failure, RoomvizError):
                    log.exception("batch item broke")
                    await self.batches.give_back(taken, PAUSE_S * taken.strikes, forgive=False)
                    BATCH_ITEMS.labels("broken").inc()
                    return
                if failure.retryable:  # a server is down: no fault of the item's
                    log.warning("batch item waits", error=failure.message)
                    await self.batches.give_back(taken, PAUSE_S, forgive=True)
                    BATCH_ITEMS.labels("waited").inc()
                    return
                outcome = failure
        succeeded = isinstance(outcome, Export)
        count = await self.batches.finish(taken, succeeded, self.result(taken, outcome))
        if count is None:
            log.warning("batch item fenced", attempt=taken.attempt)
            BATCH_ITEMS.labels("fenced").inc()
            await self.late(taken)
            return
        BATCH_ITEMS.labels("succeeded" if succeeded else "failed").inc()
        await self.tell(taken.operation, count)

    async def _hold(self, taken: Taken) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 3)
            try:
                await self.batches.hold(taken, self.lease_s)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("lease not lengthened", error=str(error) or type(error).__name__)
