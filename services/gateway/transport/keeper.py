"""Counts days for insights, makes and drops months of events, and forgets what is old."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from roomviz.runtime.background import beside
from services.gateway.adapters.happenings import PostgresHappenings
from services.gateway.adapters.insights import PostgresInsights
from services.gateway.adapters.webhooks import PostgresWebhooks

log = structlog.get_logger()

_TIDY_S = 3600.0


class Keeper:
    def __init__(
        self,
        happenings: PostgresHappenings,
        webhooks: PostgresWebhooks,
        insights: PostgresInsights,
        months: int,
        webhook_days: int,
        period_s: float,
    ):
        self._happenings, self._webhooks, self._insights = happenings, webhooks, insights
        self._months, self._webhook_days, self._period_s = months, webhook_days, period_s

    async def _tidy(self) -> None:
        await self._happenings.keep_months(self._months)
        await self._insights.forget()
        await self._webhooks.forget(self._webhook_days)

    async def _loop(self) -> None:
        tidied = -_TIDY_S
        while True:
            began = time.monotonic()
            try:
                await self._insights.count_days()
                if time.monotonic() - tidied >= _TIDY_S:
                    await self._tidy()
                    tidied = time.monotonic()
            except Exception as error:
                log.warning("keeper waits", error=str(error) or type(error).__name__)
            # Where much happens, days are counted less often: a tenth of the time at most goes into it.
            await asyncio.sleep(max(self._period_s, 9 * (time.monotonic() - began)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Keeper"]:
        async with beside(self._loop()):
            yield self
