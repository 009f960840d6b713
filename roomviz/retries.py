"""When a caller tries again: what was refused for now, not before it was told to, and seldom enough not to make a crowd
of it (AIP-194; the budget is that of gRPC's retry throttling, A6)."""

import random
import threading

from roomviz.errors import ResourceExhausted, RoomvizError, Unavailable

WAIT_MAX_S = 20.0
_TOKENS_MAX, _PER_SUCCESS = 10.0, 0.1


class Retries:
    """One for all calls of a client, from any thread: one retry for ten calls that succeed, and ten more.

    Called with a failure, it tells whether to try again, or in how many seconds (a backoff hook of `stamina`).
    """

    def __init__(self) -> None:
        self._tokens, self._lock = _TOKENS_MAX, threading.Lock()

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, RoomvizError) or not self._passing(error) or not self._spend():
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s * random.uniform(1.0, 1.25)  # never before, and not all at once

    def succeeded(self) -> None:
        with self._lock:
            self._tokens = min(_TOKENS_MAX, self._tokens + _PER_SUCCESS)

    @staticmethod
    def _passing(error: RoomvizError) -> bool:
        """Whether it may be over soon: no server answered, or it was told when, within the time that one waits."""
        if error.retry_after_s is None:
            return isinstance(error, Unavailable)
        return isinstance(error, (Unavailable, ResourceExhausted)) and error.retry_after_s <= WAIT_MAX_S

    def _spend(self) -> bool:
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
