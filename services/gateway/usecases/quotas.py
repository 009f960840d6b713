"""Quotas of tenants: let in, or refuse; tell what is used."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from services.gateway.domain.quotas import (
    HEAVY_CALLS,
    MEGAPIXELS,
    OPERATIONS,
    REQUESTS,
    Allowance,
    Rate,
    Rates,
    exceeded,
    next_day,
)
from services.gateway.ports import Quotas

_ANSWER_S = 0.5  # before a caller's deadline, so that it hears the refusal
_BEYOND_S = 10.0
_REMEMBER_S = 10.0
_REMEMBER_MAX = 10_000


@dataclass(frozen=True)
class Used:
    """How it stands with one quota. rate_per_s is 0 and window_s and reset_time are None where they mean nothing."""

    quota: str
    limit: float
    used: float
    rate_per_s: float = 0.0
    window_s: float | None = None
    reset_time: datetime | None = None


@contextmanager
def _counted(calls: Counter[str], tenant: str) -> Iterator[None]:
    calls[tenant] += 1
    try:
        yield
    finally:
        calls[tenant] -= 1
        if not calls[tenant]:
            del calls[tenant]


class QuotaCases:
    """`gateways` share a tenant's rate and heavy calls evenly: each counts its own part. At most `waiting` requests of a
    tenant, and twice as many of all, wait for `wait_s` at most."""

    def __init__(self, quotas: Quotas, gateways: int, waiting: int, wait_s: float):
        self._quotas, self._gateways, self._most_waiting, self._wait_s = quotas, gateways, waiting, wait_s
        self._rates, self._heavy, self._waiting = Rates(), Counter[str](), Counter[str]()
        self._beyond: dict[str, float] = {}
        self._known: dict[str, tuple[Allowance, float]] = {}

    async def request(self, tenant: str, remaining_s: float) -> tuple[Rate, Allowance]:
        """Count a request of the tenant. One that comes too fast waits until it does not, or is refused. A refusal waits
        too: what a flood costs is its calls, and a caller that waits for answers sends no others meanwhile."""
        allowed = await self._allowance(tenant)
        per_s, burst = allowed.requests_per_s, allowed.requests_burst
        most = self._most_waiting
        may_wait = self._waiting[tenant] < most and self._waiting.total() < 2 * most
        patience_s = max(0.0, min(self._wait_s, remaining_s - _ANSWER_S)) if may_wait else 0.0
        rate = self._rates.take(tenant, time.monotonic(), per_s, burst, patience_s)
        # Refusals are spread out: those that come together would have the next ones come together.
        pause_s = rate.retry_after_s if rate.allowed else patience_s * random.uniform(0.5, 1)
        if pause_s:
            self._note_beyond(tenant)
            with _counted(self._waiting, tenant):
                await asyncio.sleep(pause_s)
        if not rate.allowed:
            asked = f"more than {per_s:g} requests a second, {burst} at once"
            raise exceeded(REQUESTS, burst, burst, asked, max(0.0, rate.retry_after_s - pause_s))
        return rate, allowed

    def beyond(self, tenant: str) -> bool:
        """Whether the tenant asked for more than its quota in the last seconds: then others go first."""
        return time.monotonic() - self._beyond.get(tenant, -_BEYOND_S) < _BEYOND_S

    def _note_beyond(self, tenant: str) -> None:
        if len(self._beyond) >= _REMEMBER_MAX:
            self._beyond.clear()
        self._beyond[tenant] = time.monotonic()

    @asynccontextmanager
    async def heavy(self, tenant: str) -> AsyncIterator[None]:
        """Count a heavy call while it runs, or refuse it."""
        most = (await self._allowance(tenant)).heavy_calls
        if self._heavy[tenant] >= most:
            self._note_beyond(tenant)
            asked = f"{self._heavy[tenant]} heavy calls of the tenant run, of at most {most}"
            raise exceeded(HEAVY_CALLS, most, self._heavy[tenant], asked, 1.0)
        with _counted(self._heavy, tenant):
            yield

    async def check_megapixels(self, tenant: str, megapixels: float) -> None:
        """Refuse early what would not fit: before anything is stored. What counts is the charge."""
        allowed = await self._allowance(tenant)
        _, used = await self._quotas.used(tenant)
        if used + megapixels > allowed.megapixels_day:
            now = datetime.now(UTC)
            asked = f"{megapixels:.3g} megapixels asked for, {used:.4g} of {allowed.megapixels_day:g} used today"
            wait = (next_day(now) - now).total_seconds()
            raise exceeded(MEGAPIXELS, allowed.megapixels_day, used, asked, wait)

    async def usage(self, tenant: str) -> list[Used]:
        """Every quota of the tenant, as its row has it now."""
        allowed = (await self._quotas.allowance(tenant)).part(self._gateways)
        running, megapixels = await self._quotas.used(tenant)
        per_s, burst = allowed.requests_per_s, allowed.requests_burst
        rate = self._rates.look(tenant, time.monotonic(), per_s, burst)
        return [
            Used(REQUESTS, burst, burst - rate.remaining, per_s),
            Used(HEAVY_CALLS, allowed.heavy_calls, self._heavy[tenant]),
            Used(OPERATIONS, allowed.operations_running, running),
            Used(
                MEGAPIXELS,
                allowed.megapixels_day,
                megapixels,
                window_s=86_400.0,
                reset_time=next_day(datetime.now(UTC)),
            ),
        ]

    async def _allowance(self, tenant: str) -> Allowance:
        """As it was within the last ten seconds: every call asks."""
        known = self._known.get(tenant)
        if known and known[1] > time.monotonic():
            return known[0]
        found = (await self._quotas.allowance(tenant)).part(self._gateways)
        if len(self._known) >= _REMEMBER_MAX:
            self._known.clear()
        self._known[tenant] = found, time.monotonic() + _REMEMBER_S
        return found
