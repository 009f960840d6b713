"""Webhooks: endpoints of a tenant's, and what was sent to them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from roomviz.runtime import paging
from roomviz.runtime.context import current
from services.gateway.adapters.vault import Vault
from services.gateway.adapters.webhooks import PostgresWebhooks
from services.gateway.domain.addresses import Rules, check_literal, target
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.webhooks import Delivery, DeliveryState, Endpoint, new_secret
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import new_id, parse

ENDPOINTS_MAX = 20
DESCRIPTION_MAX = 200
OVERLAP_S, OVERLAP_MAX_S = 24 * 3600.0, 7 * 24 * 3600.0
REPLAY_MAX = 10_000
FIELDS = ("url", "event_types", "description", "disabled")


@dataclass(frozen=True)
class WebhookCases:
    webhooks: PostgresWebhooks
    vault: Vault
    rules: Rules

    async def create(
        self, url: str, event_types: Sequence[str], description: str, disabled: bool, validate_only: bool
    ) -> tuple[Endpoint, str]:
        """The endpoint, and its secret, which is told here alone."""
        self._check(url, event_types, description)
        self.vault.require()
        tenant = current().tenant
        if len(await self.webhooks.page(tenant, 0, ENDPOINTS_MAX)) == ENDPOINTS_MAX:
            raise FailedPrecondition("WEBHOOK_ENDPOINTS_TOO_MANY", f"a tenant has at most {ENDPOINTS_MAX} endpoints")
        secret, now = new_secret(), datetime.now(UTC)
        endpoint = Endpoint(
            "" if validate_only else new_id(),
            tenant,
            url,
            tuple(dict.fromkeys(event_types)),
            description,
            disabled,
            "",
            None,
            now,
            now,
            self.vault.encrypt(secret),
            None,
            None,
            secrets.token_hex(8),
        )
        if validate_only:
            return endpoint, ""
        return await self.webhooks.add(endpoint), secret

    async def get(self, name: str) -> Endpoint:
        (endpoint_id,) = parse(name, "webhookEndpoints")
        found = await self.webhooks.get(current().tenant, endpoint_id)
        if found is None:
            raise NotFound("WEBHOOK_ENDPOINT_NOT_FOUND", f"there is no webhook endpoint {name}")
        return found

    async def page(self, size: int, token: str) -> tuple[list[Endpoint], str]:
        question = (current().tenant, "webhook-endpoints")
        begin, limit = paging.offset(token, *question), paging.page_size(size)
        found = await self.webhooks.page(current().tenant, begin, limit + 1)
        return found[:limit], paging.token(str(begin + limit), *question) if len(found) > limit else ""

    async def update(self, asked: Endpoint, name: str, fields: Sequence[str]) -> Endpoint:
        """Change these fields of an endpoint to what `asked` has; its etag counts where it has one."""
        unknown = [f for f in fields if f not in FIELDS]
        if unknown:
            raise InvalidArgument("UPDATE_MASK_INVALID", f"update_mask may name {', '.join(FIELDS)}")
        endpoint = await self.get(name)
        wanted = replace(endpoint, **{f: getattr(asked, f) for f in fields or FIELDS}, etag=asked.etag or endpoint.etag)
        self._check(wanted.url, wanted.event_types, wanted.description)
        return await self.webhooks.change(wanted)

    async def delete(self, name: str) -> None:
        await self.webhooks.delete((await self.get(name)).endpoint_id)

    async def rotate(self, name: str, overlap_s: float | None) -> tuple[Endpoint, str]:
        overlap_s = OVERLAP_S if overlap_s is None else overlap_s
        if not 0 <= overlap_s <= OVERLAP_MAX_S:
            raise InvalidArgument("OVERLAP_INVALID", "overlap is 0 to 7 days")
        endpoint, secret = await self.get(name), new_secret()
        return await self.webhooks.rotate(endpoint, self.vault.encrypt(secret), overlap_s), secret

    async def deliveries(
        self, parent: str, state: DeliveryState | None, size: int, token: str
    ) -> tuple[list[Delivery], str]:
        endpoint = await self.get(parent)
        question = (endpoint.tenant, "webhook-deliveries", parent, state or "")
        after, limit = paging.after(token, *question), paging.page_size(size)
        found = await self.webhooks.deliveries(endpoint.endpoint_id, state, _position(after), limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        position = f"{last.create_time.isoformat()} {last.delivery_id}" if last else ""
        return found[:limit], paging.token(position, *question) if last else ""

    async def replay(self, name: str) -> Delivery:
        endpoint_id, delivery_id = parse(name, "webhookEndpoints", "deliveries")
        endpoint = await self._enabled(f"webhookEndpoints/{endpoint_id}")
        await self.webhooks.replay(await self._delivery_id(endpoint, delivery_id))
        found = await self.webhooks.delivery(endpoint.endpoint_id, delivery_id)
        assert found is not None
        return found

    async def replay_since(self, parent: str, since: datetime | None, include_succeeded: bool) -> int:
        endpoint = await self._enabled(parent)
        if since is None:
            raise InvalidArgument("SINCE_MISSING", "since is required")
        return await self.webhooks.replay_since(endpoint, since, include_succeeded, REPLAY_MAX)

    async def test(self, name: str) -> Delivery:
        endpoint = await self._enabled(name)
        event = Event(Type.WEBHOOK_TEST, endpoint.tenant, caller().subject, endpoint.name)
        return await self.webhooks.send_to(endpoint, event)

    async def _enabled(self, name: str) -> Endpoint:
        endpoint = await self.get(name)
        if endpoint.disabled:
            raise FailedPrecondition("WEBHOOK_ENDPOINT_DISABLED", f"{name} is disabled: enable it first")
        return endpoint

    async def _delivery_id(self, endpoint: Endpoint, delivery_id: str) -> str:
        if await self.webhooks.delivery(endpoint.endpoint_id, delivery_id) is None:
            raise NotFound(
                "WEBHOOK_DELIVERY_NOT_FOUND", f"there is no delivery {endpoint.name}/deliveries/{delivery_id}"
            )
        return delivery_id

    def _check(self, url: str, event_types: Sequence[str], description: str) -> None:
        check_literal(target(url, self.rules), self.rules)
        unknown = [t for t in event_types if t not in set(Type)]
        if unknown:
            raise InvalidArgument(
                "EVENT_TYPE_UNKNOWN",
                f"there is no event type {unknown[0][:80]}",
                violations=[Violation("webhook_endpoint.event_types", f"unknown: {t[:80]}") for t in unknown[:20]],
            )
        if len(description) > DESCRIPTION_MAX or not description.isprintable():
            raise InvalidArgument(
                "DESCRIPTION_TOO_LONG", f"description may have {DESCRIPTION_MAX} printable characters"
            )


def _position(after: str) -> tuple[datetime, str] | None:
    if not after:
        return None
    time, _, delivery_id = after.partition(" ")
    try:
        return datetime.fromisoformat(time), delivery_id
    except ValueError:
        raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token was not given by this service") from None
