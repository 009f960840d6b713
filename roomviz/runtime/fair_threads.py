"""Threads whose next task is chosen when one is free: a tenant that asks for much, or a night's batch, keeps nobody waiting for
longer than the pieces of work that are in hand, and those in the background step back as soon as others need the processor.

`LeastServed` decides, `FairThreads` runs.
"""

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

    What is done in the background steps back while other work is being done, but for a piece now and then.
    """

    def __init__(self) -> None:
        self._waiting: dict[Account, deque[T]] = {}
        self._running = Counter[Account]()
        self._had: dict[Account, tuple[float, float]] = {}  # seconds of work, as they counted at a time
        self._went_on = 0.0

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def put(self, account: Account, item: T) -> None:
        self._waiting.setdefault(account, deque()).append(item)

    def take(self, now: float, background: bool) -> tuple[Account, T] | None:
        """The next one of the background's or of the others', and whose it is; None where there is none."""
        asked = [a for a in self._waiting if a.background is background]
        if not asked:
            return None
        if background:
            if now - self._went_on < _AT_LEAST_S and self._others(now):
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

    def _others(self, now: float) -> bool:
        """Whether work is being done that is not the background's."""
        busy = any(not a.background for d in (self._waiting, self._running) for a in d)
        return busy or any(now - then < _BETWEEN_S for a, (_, then) in self._had.items() if not a.background)

    def _lately(self, account: Account, now: float) -> float:
        seconds, then = self._had.get(account, (0.0, now))
        return float(seconds * 0.5 ** ((now - then) / _HALF_LIFE_S))


class FairThreads(Executor):
    """`count` threads, and as many again for the background, which run when a processor has nothing else to do (nice 19).
    Whose a task is, the context tells in which it is submitted; without one nobody waits for it."""

    def __init__(self, count: int, name: str):
        self._queue = LeastServed[Callable[[], None]]()
        self._submitted = threading.Condition()
        self._open = True
        self._threads = [
            threading.Thread(
                target=self._work, args=(background,), name=f"{name}_{'background_' * background}{n}", daemon=True
            )
            for n in range(count)
            for background in (False, True)
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
        with self._submitted:
            if not self._open:
                raise RuntimeError("these threads take no more work")
            self._queue.put(account, task)
            self._submitted.notify_all()  # one of them may take it, not just any
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What waits is done still. `cancel_futures` is not offered: those who wait cancel their own."""
        with self._submitted:
            self._open = False
            self._submitted.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self, background: bool) -> None:
        if background:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # on Linux a thread has its own
        while True:
            with self._submitted:
                while (found := self._queue.take(time.monotonic(), background)) is None:
                    waiting = self._queue.waiting
                    if not self._open and not waiting:
                        return
                    # What waits is for the others, or for later.
                    self._submitted.wait(_BETWEEN_S if waiting else None)
            account, task = found
            began = time.monotonic()
            task()
            del task, found  # what they hold is not kept until the next one comes
            with self._submitted:
                ended = time.monotonic()
                self._queue.took(account, ended - began, ended)
