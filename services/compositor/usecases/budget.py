"""Memory that large pictures share, whoever asks for them: exports, batches, receipts rendered again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Bytes a pixel of the picture that rendering and writing it take at their peak, alone and as a layer or beside the photo. Measured
# at 48 megapixels (docs/receipts.md): what is written in one piece takes most.
BYTES = {"jpeg": (15, 22), "png": (15, 22), "webp": (21, 42), "avif": (40, 54)}


def memory_of(format: str, view: str, height: int, width: int) -> int:
    """Bytes that a picture takes while it is made; height and width of one side of it."""
    return BYTES[format][view in ("layer", "side_by_side")] * height * width


class Budget:
    """So many bytes; who needs more than is left waits, first come, first served, those that nobody waits for last. More than
    all of it has it alone."""

    def __init__(self, size: int):
        self._size = self._left = size
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def held(self, wanted: int, background: bool = False) -> AsyncIterator[None]:
        wanted = min(wanted, self._size)
        turn = asyncio.get_running_loop().create_future()
        entry = (background, wanted, turn)
        others = [later for later, _, _ in self._waiting]
        self._waiting.insert(len(others) if background else others.count(False), entry)
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._left += wanted
            else:
                self._waiting.remove(entry)
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            _, wanted, turn = self._waiting[0]
            if turn.cancelled() or wanted > self._left:  # who gave up takes itself out, and admits the next
                return
            self._waiting.pop(0)
            self._left -= wanted
            turn.set_result(None)
