"""WebhookService: translates, and calls the use cases."""

from datetime import UTC, datetime

import grpc

from roomviz.v1 import webhooks_pb2 as pb
from roomviz.v1 import webhooks_pb2_grpc
from services.gateway.domain.webhooks import Delivery, DeliveryState, Endpoint
from services.gateway.usecases.webhooks import WebhookCases

Context = grpc.aio.ServicerContext


class WebhookService(webhooks_pb2_grpc.WebhookServiceServicer):
    def __init__(self, webhooks: WebhookCases):
        self._webhooks = webhooks

    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, rpc: Context
    ) -> pb.CreateWebhookEndpointResponse:
        asked = request.webhook_endpoint
        made, secret = await self._webhooks.create(
            asked.url, list(asked.event_types), asked.description, asked.disabled, request.validate_only
        )
        return pb.CreateWebhookEndpointResponse(webhook_endpoint=_endpoint(made), secret=secret)

    async def GetWebhookEndpoint(
        self, request: pb.GetWebhookEndpointRequest, rpc: Context
    ) -> pb.GetWebhookEndpointResponse:
        return pb.GetWebhookEndpointResponse(webhook_endpoint=_endpoint(await self._webhooks.get(request.name)))

    async def ListWebhookEndpoints(
        self, request: pb.ListWebhookEndpointsRequest, rpc: Context
    ) -> pb.ListWebhookEndpointsResponse:
        found, more = await self._webhooks.page(request.page_size, request.page_token)
        return pb.ListWebhookEndpointsResponse(webhook_endpoints=map(_endpoint, found), next_page_token=more)

    async def UpdateWebhookEndpoint(
        self, request: pb.UpdateWebhookEndpointRequest, rpc: Context
    ) -> pb.UpdateWebhookEndpointResponse:
        asked, now = request.webhook_endpoint, datetime.now(UTC)
        wanted = Endpoint(
            "",
            "",
            asked.url,
            tuple(dict.fromkeys(asked.event_types)),
            asked.description,
            asked.disabled,
            "",
            None,
            now,
            now,
            b"",
            None,
            None,
            asked.etag,
        )
        changed = await self._webhooks.update(wanted, asked.name, list(request.update_mask.paths))
        return pb.UpdateWebhookEndpointResponse(webhook_endpoint=_endpoint(changed))

    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, rpc: Context
    ) -> pb.DeleteWebhookEndpointResponse:
        await self._webhooks.delete(request.name)
        return pb.DeleteWebhookEndpointResponse()

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, rpc: Context
    ) -> pb.RotateWebhookSecretResponse:
        overlap = request.overlap.ToTimedelta().total_seconds() if request.HasField("overlap") else None
        endpoint, secret = await self._webhooks.rotate(request.name, overlap)
        return pb.RotateWebhookSecretResponse(webhook_endpoint=_endpoint(endpoint), secret=secret)

    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, rpc: Context
    ) -> pb.ListWebhookDeliveriesResponse:
        state = _STATES.get(request.state)
        found, more = await self._webhooks.deliveries(request.parent, state, request.page_size, request.page_token)
        return pb.ListWebhookDeliveriesResponse(deliveries=map(_delivery, found), next_page_token=more)

    async def ReplayWebhookDelivery(
        self, request: pb.ReplayWebhookDeliveryRequest, rpc: Context
    ) -> pb.ReplayWebhookDeliveryResponse:
        return pb.ReplayWebhookDeliveryResponse(delivery=_delivery(await self._webhooks.replay(request.name)))

    async def ReplayWebhookDeliveries(
        self, request: pb.ReplayWebhookDeliveriesRequest, rpc: Context
    ) -> pb.ReplayWebhookDeliveriesResponse:
        since = request.since.ToDatetime(UTC) if request.HasField("since") else None
        count = await self._webhooks.replay_since(request.parent, since, request.include_succeeded)
        return pb.ReplayWebhookDeliveriesResponse(delivery_count=count)

    async def SendTestWebhook(self, request: pb.SendTestWebhookRequest, rpc: Context) -> pb.SendTestWebhookResponse:
        return pb.SendTestWebhookResponse(delivery=_delivery(await self._webhooks.test(request.name)))


_STATES = {pb.WebhookDeliveryState.Value(f"WEBHOOK_DELIVERY_STATE_{s.value}"): s for s in DeliveryState}


def _endpoint(e: Endpoint) -> pb.WebhookEndpoint:
    out = pb.WebhookEndpoint(
        name=e.name if e.endpoint_id else "",
        url=e.url,
        event_types=e.event_types,
        description=e.description,
        disabled=e.disabled,
        disable_reason=e.disable_reason,
        etag=e.etag,
    )
    out.create_time.FromDatetime(e.create_time)
    out.update_time.FromDatetime(e.update_time)
    if e.failing_since is not None:
        out.failing_since.FromDatetime(e.failing_since)
    if e.overlap_end_time is not None and e.overlap_end_time > datetime.now(UTC):
        out.overlap_end_time.FromDatetime(e.overlap_end_time)
    return out


def _delivery(d: Delivery) -> pb.WebhookDelivery:
    out = pb.WebhookDelivery(
        name=d.name, event=d.event_id, event_type=d.event_type, state=f"WEBHOOK_DELIVERY_STATE_{d.state.value}"
    )
    out.create_time.FromDatetime(d.create_time)
    if d.state is DeliveryState.PENDING:
        out.next_attempt_time.FromDatetime(d.next_time)
    for a in d.attempts:
        attempt = out.attempts.add(
            number=a.number,
            duration_ms=a.duration_ms,
            status_code=a.status,
            error=a.error,
            response_excerpt=a.excerpt,
        )
        attempt.create_time.FromDatetime(a.create_time)
    return out
