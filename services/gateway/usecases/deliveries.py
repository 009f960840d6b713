"""Sending what is due to webhook endpoints."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import structlog

from roomviz.errors import FailedPrecondition
from services.gateway.adapters.poster import Answer, Poster
from services.gateway.adapters.vault import Vault
from services.gateway.adapters.webhooks import Claim, PostgresWebhooks
from services.gateway.domain.happenings import Event, Type, cloud_event
from services.gateway.domain.webhooks import EXCERPT_MAX, GONE, Attempt, Endpoint, delay_s, headers, retry_after_s

log = structlog.get_logger()


@dataclass(frozen=True)
class DeliveryCases:
    webhooks: PostgresWebhooks
    poster: Poster
    vault: Vault
    schedule_s: Sequence[float]
    disable_after_s: float
    random: Random = field(default_factory=Random)

    async def send(self, claim: Claim) -> None:
        """Try once, and keep what came of it."""
        if claim.event is None:
            await self.webhooks.drop(claim)
            return
        endpoint, now, began = claim.endpoint, datetime.now(UTC), time.monotonic()
        body = json.dumps(cloud_event(claim.event), separators=(",", ":"), ensure_ascii=False).encode()
        try:
            signed = headers(claim.event.event_id, now, body, self._secrets(endpoint, now))
            answer = await self.poster.post(endpoint.url, signed, body, EXCERPT_MAX)
        except FailedPrecondition as error:  # it cannot be signed: tried again as if nobody had answered
            answer = Answer(0, {}, b"", error.message)
        ok = 200 <= answer.status < 300
        attempt = Attempt(
            claim.number,
            now,
            int((time.monotonic() - began) * 1000),
            answer.status,
            "" if ok else answer.error or f"answered with {answer.status}",
            # PostgreSQL's text holds no NUL.
            answer.body.decode(errors="replace").replace("\0", "\ufffd"),
        )
        if ok:
            await self.webhooks.arrived(claim, attempt)
            return
        again = delay_s(claim.tries, self.schedule_s, self.random, retry_after_s(answer.headers))
        since = await self.webhooks.failed(claim, attempt, None if answer.status == GONE else again)
        reason = self._given_up(answer, since)
        if reason:
            # Told to the tenant's other endpoints: this one gets nothing any more.
            told = Event(
                Type.ENDPOINT_DISABLED, endpoint.tenant, "", endpoint.name, data={"url": endpoint.url, "reason": reason}
            )
            if await self.webhooks.disable(endpoint, reason, told):
                log.warning("webhook endpoint disabled", endpoint=endpoint.endpoint_id, reason=reason)

    def _secrets(self, endpoint: Endpoint, now: datetime) -> list[str]:
        kept = [endpoint.secret]
        if endpoint.old_secret and endpoint.overlap_end_time and now < endpoint.overlap_end_time:
            kept.append(endpoint.old_secret)
        return [self.vault.decrypt(secret) for secret in kept]

    def _given_up(self, answer: Answer, since: datetime | None) -> str:
        """Why the endpoint is to be disabled; empty: it is not."""
        if answer.status == GONE:
            return "it answered with 410 Gone"
        limit = timedelta(seconds=self.disable_after_s)
        if since is not None and datetime.now(UTC) - since >= limit:
            return f"nothing arrived since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return ""
