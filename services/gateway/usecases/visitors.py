"""Visitors without an account: what a public page lets anybody try."""

import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from roomviz.errors import PermissionDenied, ResourceExhausted
from roomviz.runtime import context
from services.gateway.domain.addresses import network
from services.gateway.domain.principal import Principal, Role
from services.gateway.ports import Visitors
from services.gateway.usecases import caller

_HOUR_S = 3600.0
_ADDRESSES_MAX = 10_000


@dataclass
class Turnstile:
    """Lets each address through a number of times an hour. In memory: each gateway counts for itself."""

    per_hour: int
    _seen: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def take(self, address: str) -> None:
        now = time.monotonic()
        times = self._seen.setdefault(address, deque())
        self._seen.move_to_end(address)
        while len(self._seen) > _ADDRESSES_MAX:
            self._seen.popitem(last=False)
        while times and times[0] <= now - _HOUR_S:
            times.popleft()
        if len(times) >= self.per_hour:
            raise ResourceExhausted(
                "DEMO_SESSIONS_EXHAUSTED",
                f"an address may begin {self.per_hour} demo sessions an hour",
                retry_after_s=times[0] + _HOUR_S - now if times else _HOUR_S,
            )
        times.append(now)


@dataclass(frozen=True)
class VisitorCases:
    """`tenant` is whose demo it is; empty: nobody's."""

    visitors: Visitors
    turnstile: Turnstile
    tenant: str
    valid_s: float

    async def enter(self, address: str) -> tuple[str, datetime]:
        """A token of a new anonymous shopper, and until when it is valid; the request goes on in their name."""
        if not self.tenant:
            raise PermissionDenied("DEMO_DISABLED", "this server offers no demo")
        self.turnstile.take(network(address))
        token = secrets.token_urlsafe(32)
        expire_time = datetime.now(UTC) + timedelta(seconds=self.valid_s)
        key_id = await self.visitors.add(self.tenant, token, expire_time)
        here = context.current()
        context.enter(context.RequestContext(here.request_id, self.tenant, here.deadline, here.traceparent))
        caller.enter(Principal(self.tenant, f"apiKeys/{key_id}", Role.SHOPPER))
        return token, expire_time
