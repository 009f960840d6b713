"""What was needed lately, kept in memory within a budget of bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=Sized)


@dataclass
class _Making(Generic[V]):
    task: asyncio.Task[V]
    askers: int = 0


class Memory(Generic[V]):
    """The least lately used goes first. What is larger than the whole budget is not kept."""

    def __init__(self, bytes_max: int):
        self._max, self._held = bytes_max, 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._making: dict[Hashable, _Making[V]] = {}

    async def once(self, key: Hashable, make: Callable[[], Coroutine[None, None, V]]) -> V:
        """What is kept, or is made now: once for all who ask for it at the same time, as long as one of them waits."""
        kept = self.get(key)
        if kept is not None:
            return kept
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = _Making(asyncio.create_task(self._made(key, make)))
        making.askers += 1
        try:
            return await asyncio.shield(making.task)  # whoever asked first may go away
        finally:
            making.askers -= 1
            if not making.askers:  # it is done, or nobody wants it any more
                del self._making[key]
                making.task.cancel()
                await asyncio.wait([making.task])

    async def _made(self, key: Hashable, make: Callable[[], Coroutine[None, None, V]]) -> V:
        value = await make()
        self.put(key, value)
        return value

    def get(self, key: Hashable) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def forget(self, which: Callable[[str], bool]) -> None:
        """Drop each whose key, written out, is one of these."""
        for key in [k for k in self._values if which(repr(k))]:
            self._held -= self._values.pop(key).nbytes

    def put(self, key: Hashable, value: V) -> None:
        old = self._values.pop(key, None)
        if old is not None:
            self._held -= old.nbytes
        if value.nbytes > self._max:
            return
        self._values[key] = value
        self._held += value.nbytes
        while self._held > self._max:
            _, gone = self._values.popitem(last=False)
            self._held -= gone.nbytes
