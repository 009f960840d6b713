"""Threads whose next task is chosen when one is free: a tenant that floods, or a night's batch, keeps nobody waiting for longer
than the pieces of work that are in hand, and these step back from the processor as soon as others need it.

`LeastServed` decides, `FairThreads` runs.
"""

import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from roomviz.runtime import context

T = TypeVar("T")
_HALF_LIFE_S = 2.0  # after which what somebody had counts half
_FORGOTTEN_S = 0.001
_PART, _MORE = 0.25, 1.2  # of the threads' time, and times what another had, is over one's part
_BETWEEN_S = 0.02  # a call has pauses between its pieces of work
_AT_LEAST_S = 0.25  # so often goes on who steps back


@dataclass(frozen=True)
class Account:
    """Whose work it is; what a tenant has done in the background does not count against what it waits for."""

    tenant: str
    background: bool


class LeastServed(Generic[T]):
    """What waits, and what is next: of who had the least of the threads' time lately, what came first. Times are in
    seconds, on any one clock.

    Over its part is an account that nobody waits for, and one that had a quarter of all the time of late, and more than
    another whose work is being done now. It steps back while that lasts, but for a piece now and then.
    """

    def __init__(self, threads: int) -> None:
        self._part_s = _PART * threads * _HALF_LIFE_S / math.log(2)  # of who has that part all the time
        self._waiting: dict[Account, deque[T]] = {}
        self._running = Counter[Account]()
        self._had: dict[Account, tuple[float, float]] = {}  # seconds of work, as they counted at a time
        self._went_on = 0.0

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def put(self, account: Account, item: T) -> None:
        self._waiting.setdefault(account, deque()).append(item)

    def over(self, account: Account, now: float) -> bool:
        if account.background:
            return True
        had = self._lately(account, now)
        return had > self._part_s and any(had > _MORE * self._lately(a, now) for a in self._active(now) if a != account)

    def take(self, now: float, over: bool) -> tuple[Account, T] | None:
        """The next one, and whose it is: of those who are over their part, or of the others; None where there is none."""
        asked = [a for a in self._waiting if self.over(a, now) is over]
        if not asked:
            return None
        if over:
            if now - self._went_on < _AT_LEAST_S and any(not self.over(a, now) for a in self._active(now)):
                return None
            self._went_on = now
        account = min(asked, key=lambda a: self._lately(a, now))
        items = self._waiting[account]
        item = items.popleft()
        if not items:
            del self._waiting[account]
        self._running[account] += 1
        return account, item

    def took(self, account: Account, seconds: float, now: float) -> None:
        """Say how long an item was worked on, once it has ended."""
        self._running[account] -= 1
        if not self._running[account]:
            del self._running[account]
        self._had[account] = (self._lately(account, now) + seconds, now)
        if len(self._had) > 100:
            self._had = {a: had for a, had in self._had.items() if self._lately(a, now) > _FORGOTTEN_S}

    def _active(self, now: float) -> set[Account]:
        """Whose work somebody waits for and is being done."""
        lately = {a for a, (_, then) in self._had.items() if now - then < _BETWEEN_S}
        return {a for a in lately | self._running.keys() | self._waiting.keys() if not a.background}

    def _lately(self, account: Account, now: float) -> float:
        seconds, then = self._had.get(account, (0.0, now))
        return float(seconds * 0.5 ** ((now - then) / _HALF_LIFE_S))


class FairThreads(Executor):
    """`count` threads, and as many again for who is over its part, which run when a processor has nothing else to do (nice
    19). Whose a task is, the context tells in which it is submitted; without one nobody waits for it."""

    def __init__(self, count: int, name: str):
        self._queue = LeastServed[Callable[[], None]](count)
        self._lock = threading.Lock()
        self._submitted = threading.Condition(self._lock)
        self._open = True
        self._threads = [
            threading.Thread(target=self._work, args=(over,), name=f"{name}_{'over_' * over}{n}", daemon=True)
            for n in range(count)
            for over in (False, True)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        future = Future[T]()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*arguments, **named)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        asked = context.known()
        account = Account(asked.tenant, asked.background) if asked else Account("", True)
        with self._lock:
            if not self._open:
                raise RuntimeError("these threads take no more work")
            self._queue.put(account, task)
            self._submitted.notify_all()  # whose it is to take, may change while it waits
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What waits is done still. `cancel_futures` is not offered: those who wait cancel their own."""
        with self._lock:
            self._open = False
            self._submitted.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self, over: bool) -> None:
        if over:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # on Linux a thread has its own
        while True:
            with self._lock:
                while (found := self._queue.take(time.monotonic(), over)) is None:
                    waiting = self._queue.waiting
                    if not self._open and not waiting:
                        return
                    # What waits is for the others, or for later.
                    self._submitted.wait(_BETWEEN_S if waiting else None)
            account, task = found
            began = time.monotonic()
            task()
            del task, found  # what they hold is not kept until the next one comes
            with self._lock:
                ended = time.monotonic()
                self._queue.took(account, ended - began, ended)
