"""Takes deliveries that are due and has them sent, a bounded number at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from roomviz.runtime.background import beside
from roomviz.runtime.metrics import WEBHOOK_ATTEMPTS
from services.gateway.adapters.webhooks import Claim, PostgresWebhooks
from services.gateway.usecases.deliveries import DeliveryCases

log = structlog.get_logger()

# An endpoint that is slow must not keep the others waiting: while this many go to one, no more are taken for it.
_EACH = 4


class Courier:
    """lease_s: how long a delivery is ours, longer than an attempt may take."""

    def __init__(
        self, webhooks: PostgresWebhooks, deliveries: DeliveryCases, at_once: int, lease_s: float, period_s: float = 0.5
    ):
        self._webhooks, self._deliveries = webhooks, deliveries
        self._at_once, self._lease_s, self._period_s = at_once, lease_s, period_s
        self._running: dict[asyncio.Task[None], str] = {}

    async def _take(self) -> int:
        """Begin to send what is due; how many were taken."""
        free = self._at_once - len(self._running)
        if free <= 0:
            return 0
        busy = [endpoint for endpoint, n in Counter(self._running.values()).items() if n >= _EACH]
        claims = await self._webhooks.claim(min(free, _EACH), busy, self._lease_s)
        for claim in claims:
            task = asyncio.create_task(self._send(claim))
            self._running[task] = claim.endpoint.endpoint_id
            task.add_done_callback(self._running.pop)
        return len(claims)

    async def _send(self, claim: Claim) -> None:
        try:
            await self._deliveries.send(claim)
            WEBHOOK_ATTEMPTS.labels("kept").inc()
        except Exception as error:  # the lease ends, and it is sent again
            WEBHOOK_ATTEMPTS.labels("lost").inc()
            log.warning("webhook attempt lost", delivery=claim.delivery_id, error=str(error) or type(error).__name__)

    async def _loop(self) -> None:
        while True:
            try:
                while await self._take():
                    pass
            except Exception as error:
                log.warning("courier waits", error=str(error) or type(error).__name__)
            await asyncio.sleep(self._period_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Courier"]:
        try:
            async with beside(self._loop()):
                yield self
        finally:
            sending = list(self._running)
            if sending:
                _, late = await asyncio.wait(sending, timeout=3)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
