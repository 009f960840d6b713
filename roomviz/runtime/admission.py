"""So many calls at a time, tenants in turn: one that floods waits for itself.

`FairQueue` decides and never waits; `Turns` lets calls wait for what it decides.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Generic, TypeVar

from roomviz.errors import ResourceExhausted, Unavailable
from roomviz.runtime.metrics import ADMISSION_WAITING, SHED

T = TypeVar("T")


class Answer(Enum):
    GO = "go"
    WAIT = "wait"
    TENANT_FULL = "tenant full"
    FULL = "full"


class FairQueue(Generic[T]):
    """Tickets of tenants for `slots`. Tenants take turns; a tenant's own tickets go first come, first served.

    A tenant holds at most `share` of the slots, so that some are left for who comes next, and has at most `waiting_of_one`
    tickets waiting; all together have at most `waiting_of_all`.
    """

    def __init__(self, slots: int, share: int, waiting_of_one: int, waiting_of_all: int):
        self._free, self._share = slots, share
        self._of_one, self._of_all = waiting_of_one, waiting_of_all
        self._held = Counter[str]()
        self._waiting = OrderedDict[str, deque[T]]()  # the tenant whose turn is next stands first
        self.waiting = 0

    def ask(self, tenant: str, ticket: T) -> Answer:
        """GO takes a slot at once, WAIT keeps the ticket until `leave` gives it one."""
        if self._free and self._held[tenant] < self._share:
            self._take(tenant)
            return Answer.GO
        if len(self._waiting.get(tenant, ())) >= self._of_one:
            return Answer.TENANT_FULL
        if self.waiting >= self._of_all:
            return Answer.FULL
        self._waiting.setdefault(tenant, deque()).append(ticket)
        self.waiting += 1
        return Answer.WAIT

    def leave(self, tenant: str) -> T | None:
        """Give a slot back; the ticket that has it from now on, if any can."""
        self._free += 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        for following, tickets in self._waiting.items():
            if self._held[following] < self._share:
                ticket = tickets.popleft()
                self._drop(following)
                if following in self._waiting:
                    self._waiting.move_to_end(following)
                self._take(following)
                return ticket
        return None

    def forget(self, tenant: str, ticket: T) -> None:
        """A ticket that waits no longer."""
        self._waiting[tenant].remove(ticket)
        self._drop(tenant)

    def _take(self, tenant: str) -> None:
        self._free -= 1
        self._held[tenant] += 1

    def _drop(self, tenant: str) -> None:
        self.waiting -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]


class Turns:
    """A fair queue that calls wait in, for `wait_s` at most. `name` is the queue's in metrics."""

    def __init__(self, name: str, slots: int, share: int, waiting_of_one: int, wait_s: float):
        # Eight tenants may wait with all they have before anybody is refused for the sake of the others.
        self._queue = FairQueue[asyncio.Future[None]](slots, share, waiting_of_one, 8 * waiting_of_one)
        self._name, self._wait_s = name, wait_s

    @asynccontextmanager
    async def turn(self, tenant: str, remaining_s: float) -> AsyncIterator[None]:
        """Hold a slot inside. Raises ResourceExhausted TENANT_OVERLOADED where too many of the tenant's own calls wait,
        Unavailable OVERLOADED where it is not the tenant's fault, or its turn does not come in time."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer = self._queue.ask(tenant, ticket)
        if answer is Answer.WAIT:
            await self._wait(tenant, ticket, remaining_s)
        elif answer is Answer.TENANT_FULL:
            SHED.labels(self._name, "tenant").inc()
            raise ResourceExhausted(
                "TENANT_OVERLOADED", "too many calls of this tenant wait already", None, self._wait_s
            )
        elif answer is Answer.FULL:
            SHED.labels(self._name, "full").inc()
            raise self._overloaded()
        try:
            yield
        finally:
            self._leave(tenant)

    async def _wait(self, tenant: str, ticket: asyncio.Future[None], remaining_s: float) -> None:
        ADMISSION_WAITING.labels(self._name).set(self._queue.waiting)
        try:
            await asyncio.wait([ticket], timeout=max(0.0, min(self._wait_s, remaining_s)))
        except asyncio.CancelledError:
            if ticket.done():  # its turn came in the same moment
                self._leave(tenant)
            else:
                self._queue.forget(tenant, ticket)
            raise
        if not ticket.done():
            self._queue.forget(tenant, ticket)
            SHED.labels(self._name, "waited").inc()
            raise self._overloaded()

    def _overloaded(self) -> Unavailable:
        return Unavailable("OVERLOADED", "the platform has too much to do; try again", None, self._wait_s)

    def _leave(self, tenant: str) -> None:
        following = self._queue.leave(tenant)
        if following is not None:
            following.set_result(None)
            ADMISSION_WAITING.labels(self._name).set(self._queue.waiting)
