"""Threads whose next task is chosen when one is free: a tenant that floods, or a night's batch, keeps nobody waiting for longer
than the pieces of work that are in hand, and these step back from the processor as soon as others need it.

`LeastServed` decides, `FairThreads` runs.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from roomviz.runtime import context

T = TypeVar("T")
_HALF_LIFE_S = 2.0  # after which what somebody had counts half
_FORGOTTEN_S = 0.001
_SOME_S = 0.05  # who had less takes no part
_LOOK_S = 0.1  # who is over its part may be no longer, without anybody saying so


@dataclass(frozen=True)
class Account:
    """Whose work it is; what a tenant has done in the background does not count against what it waits for."""

    tenant: str
    background: bool


class LeastServed(Generic[T]):
    """What waits, and what is next: of who had the least of the threads' time lately, what came first. Times are in
    seconds, on any one clock."""

    def __init__(self) -> None:
        self._waiting: dict[Account, deque[T]] = {}
        self._had: dict[Account, tuple[float, float]] = {}  # seconds of work, as they counted at a time

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def put(self, account: Account, item: T) -> None:
        self._waiting.setdefault(account, deque()).append(item)

    def over(self, account: Account, now: float) -> bool:
        """Whether nobody waits for its work, or it had more than an equal part of what somebody waited for."""
        if account.background:
            return True
        had = [self._lately(a, now) for a in self._had if not a.background]
        return self._lately(account, now) > sum(had) / max(1, sum(h > _SOME_S for h in had))

    def take(self, now: float, over: bool) -> tuple[Account, T] | None:
        """The next one, and whose it is; None where nothing waits. `over`: of those who are over their part, or of the
        others."""
        asked = [a for a in self._waiting if self.over(a, now) is over]
        if not asked:
            return None
        account = min(asked, key=lambda a: self._lately(a, now))
        items = self._waiting[account]
        item = items.popleft()
        if not items:
            del self._waiting[account]
        return account, item

    def took(self, account: Account, seconds: float, now: float) -> None:
        """Say how long an item was worked on."""
        self._had[account] = (self._lately(account, now) + seconds, now)
        if len(self._had) > 100:
            self._had = {a: had for a, had in self._had.items() if self._lately(a, now) > _FORGOTTEN_S}

    def _lately(self, account: Account, now: float) -> float:
        seconds, then = self._had.get(account, (0.0, now))
        return float(seconds * 0.5 ** ((now - then) / _HALF_LIFE_S))


class FairThreads(Executor):
    """`count` threads, and as many again that run only when a processor has nothing else to do (nice 19): for what nobody
    waits for, and for whoever had more than an equal part of late. Whose a task is, the context tells in which it is
    submitted; without one nobody waits for it."""

    def __init__(self, count: int, name: str):
        self._queue = LeastServed[Callable[[], None]]()
        self._lock = threading.Lock()
        self._changed = {over: threading.Condition(self._lock) for over in (False, True)}
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
            self._changed[self._queue.over(account, time.monotonic())].notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What waits is done still. `cancel_futures` is not offered: those who wait cancel their own."""
        with self._lock:
            self._open = False
            for changed in self._changed.values():
                changed.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self, over: bool) -> None:
        if over:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # on Linux a thread has its own
        account, seconds = Account("", True), 0.0
        while True:
            with self._lock:
                self._queue.took(account, seconds, time.monotonic())
                while (found := self._queue.take(time.monotonic(), over)) is None:
                    if not self._open and not self._queue.waiting:
                        return
                    if self._queue.waiting:  # it is for the others, at least for now
                        self._changed[not over].notify()
                    self._changed[over].wait(_LOOK_S if self._queue.waiting else None)
            account, task = found
            began = time.monotonic()
            task()
            del task, found  # what they hold is not kept until the next one comes
            seconds = time.monotonic() - began
