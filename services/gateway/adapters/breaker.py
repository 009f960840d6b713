"""A circuit breaker: a server that fails again and again is left alone for a while (Nygard, "Release It!", 2nd ed., 5.3).

Of the libraries one is meant for asyncio and kept, and barely (purgatory); this is what we need of it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Open(Exception):
    """The server is left alone for now."""


class Breaker:
    """Opens after so many failures in a row; after `rest_s` one call may try, and its end decides."""

    def __init__(self, failures_max: int, rest_s: float, clock: Callable[[], float] = time.monotonic):
        self._failures_max, self._rest_s, self._clock = failures_max, rest_s, clock
        self._failures = 0
        self._until = 0.0

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one call: an exception is a failure. Raises Open instead of letting it begin."""
        if self._failures >= self._failures_max:
            if self._clock() < self._until:
                raise Open
            self._until = self._clock() + self._rest_s  # others wait for how this one ends
        try:
            yield
        except Exception:
            self._failures += 1
            self._until = self._clock() + self._rest_s
            raise
        self._failures = 0
