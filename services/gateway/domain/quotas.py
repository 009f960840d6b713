"""What a tenant may use, and how fast its requests may come."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from roomviz.errors import ResourceExhausted, Violation

REQUESTS, HEAVY_CALLS, OPERATIONS, MEGAPIXELS = "requests", "heavyCalls", "operations", "megapixels"


@dataclass(frozen=True)
class Allowance:
    """Limits of one tenant: requests a second and at once, heavy calls and running operations at a time, megapixels a
    day (UTC)."""

    requests_per_s: float
    requests_burst: int
    heavy_calls: int
    operations_running: int
    megapixels_day: float

    def part(self, gateways: int) -> "Allowance":
        """What each of several gateways lets in, where each counts alone; what the database counts stays whole."""
        return replace(
            self,
            requests_per_s=self.requests_per_s / gateways,
            requests_burst=max(1, self.requests_burst // gateways),
            heavy_calls=math.ceil(self.heavy_calls / gateways),
        )


def exceeded(quota: str, limit: float, used: float, asked: str, retry_after_s: float) -> ResourceExhausted:
    """The refusal of what goes beyond a quota; its metadata are those of `ratelimit-*`."""
    wait = max(0.001, retry_after_s)
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        f"the tenant's quota of {quota} is used up: {asked}",
        {
            "quota": quota,
            "limit": f"{limit:g}",
            "remaining": f"{max(0.0, limit - used):g}",
            "reset": str(math.ceil(wait)),
        },
        wait,
        [Violation(quota, asked)],
    )


def next_day(now: datetime) -> datetime:
    """When the megapixels of a day come back: the next midnight UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@dataclass(frozen=True)
class Rate:
    """How it stands with a tenant's requests: whether one more is let in, how many could follow it at once, in how many
    seconds all can again, and after how long one is let in that comes now."""

    allowed: bool
    remaining: int
    reset_s: float
    retry_after_s: float


class Rates:
    """The generic cell rate algorithm (ITU-T I.371): a bucket that refills steadily, kept as one time a tenant.

    `now` is on any clock that runs in seconds. Tenants whose bucket is full again are forgotten.
    """

    def __init__(self, kept: int = 10_000):
        self._full_at: dict[str, float] = {}
        self._kept = kept

    def look(self, tenant: str, now: float, per_s: float, burst: int) -> Rate:
        """How it stands, without a request."""
        full_at = max(self._full_at.get(tenant, now), now)
        missing = (full_at - now) * per_s
        room = burst - missing
        return Rate(room >= 1 - 1e-9, max(0, math.floor(room + 1e-9)), full_at - now, max(0.0, (1 - room) / per_s))

    def take(self, tenant: str, now: float, per_s: float, burst: int, patience_s: float = 0.0) -> Rate:
        """One request: counted where it is let in, at once or after a while that it has the patience for."""
        before = self.look(tenant, now, per_s, burst)
        if not before.allowed and before.retry_after_s > patience_s:
            return before
        if len(self._full_at) >= self._kept:
            self._full_at = {t: at for t, at in self._full_at.items() if at > now}
        reset = before.reset_s + 1 / per_s
        self._full_at[tenant] = now + reset
        return Rate(True, max(0, before.remaining - 1), reset, before.retry_after_s)
