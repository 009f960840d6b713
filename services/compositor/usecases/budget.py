"""Memory that large pictures share, whoever asks for them: exports, batches, receipts rendered again."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Bytes a pixel of the picture that rendering and writing it take at their peak, alone and as a layer or beside the photo. Measured
# at 48 megapixels (docs/receipts.md): what is written in one piece takes most.
BYTES = {"jpeg": (14, 21), "png": (14, 21), "webp": (20, 42), "avif": (40, 54)}


def memory_of(format: str, view: str, height: int, width: int) -> int:
    """Bytes that a picture takes while it is made; height and width of one side of it."""
    return BYTES[format][view in ("layer", "side_by_side")] * height * width


class Budget:
    """So many bytes; who needs more than is left waits, first come, first served. More than all of it has it alone."""

    def __init__(self, size: int):
        self._size = self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def held(self, wanted: int) -> AsyncIterator[None]:
        wanted = min(wanted, self._size)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._left += wanted
            else:
                self._waiting.remove((wanted, turn))
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            wanted, turn = self._waiting[0]
            if turn.cancelled() or wanted > self._left:  # who gave up takes itself out, and admits the next
                return
            self._waiting.popleft()
            self._left -= wanted
            turn.set_result(None)
