"""What was needed lately, kept in memory within a budget of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=Sized)


class Memory(Generic[V]):
    """The least lately used goes first. What is larger than the whole budget is not kept."""

    def __init__(self, bytes_max: int):
        self._max, self._held = bytes_max, 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()

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
