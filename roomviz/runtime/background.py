"""Work that goes on beside other work, and ends with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_S = 1.0


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have this done until left; then it is cancelled, and waited for."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        # Again, for a cancellation may get lost: nats-py drops one that comes while it writes, and so does wait_for until
        # Python 3.12 where what it waits for is there in the same turn.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_AGAIN_S)
