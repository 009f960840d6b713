"""Webhooks of the SDK: `client.webhooks.create("https://shop.example/hooks")`."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import grpc
from google.protobuf import duration_pb2, field_mask_pb2

from roomviz.v1 import webhooks_pb2 as pb
from roomviz.v1 import webhooks_pb2_grpc

PAGE_SIZE = 200


class Webhooks:
    """Endpoints are named `webhookEndpoints/…`."""

    def __init__(self, channel: grpc.Channel, call: Callable[..., Any], pages: Callable[..., Iterator[Any]]):
        self._stub = webhooks_pb2_grpc.WebhookServiceStub(channel)
        self._call, self._pages = call, pages

    def create(
        self, url: str, event_types: Sequence[str] = (), description: str = ""
    ) -> tuple[pb.WebhookEndpoint, str]:
        """The endpoint, and its secret, which is told here alone. No types: all but those of every click."""
        asked = pb.WebhookEndpoint(url=url, event_types=event_types, description=description)
        answer = self._call(
            self._stub.CreateWebhookEndpoint, lambda: pb.CreateWebhookEndpointRequest(webhook_endpoint=asked), _same
        )
        return answer.webhook_endpoint, answer.secret

    def get(self, name: str) -> pb.WebhookEndpoint:
        request = pb.GetWebhookEndpointRequest(name=name)
        return self._call(self._stub.GetWebhookEndpoint, lambda: request, _same).webhook_endpoint  # type: ignore[no-any-return]

    def list(self) -> list[pb.WebhookEndpoint]:
        request = pb.ListWebhookEndpointsRequest(page_size=PAGE_SIZE)
        return [e for page in self._pages(self._stub.ListWebhookEndpoints, request) for e in page.webhook_endpoints]

    def update(self, name: str, etag: str = "", **fields: Any) -> pb.WebhookEndpoint:
        """Change url, event_types, description or disabled; with an etag only what is as it was read."""
        request = pb.UpdateWebhookEndpointRequest(
            webhook_endpoint=pb.WebhookEndpoint(name=name, etag=etag, **fields),
            update_mask=field_mask_pb2.FieldMask(paths=list(fields)),
        )
        return self._call(self._stub.UpdateWebhookEndpoint, lambda: request, _same).webhook_endpoint  # type: ignore[no-any-return]

    def delete(self, name: str) -> None:
        request = pb.DeleteWebhookEndpointRequest(name=name)
        self._call(self._stub.DeleteWebhookEndpoint, lambda: request, _same)

    def rotate(self, name: str, overlap_s: float | None = None) -> str:
        """A new secret; the old one signs too for a day, or as long as is asked."""
        request = pb.RotateWebhookSecretRequest(name=name)
        if overlap_s is not None:
            request.overlap.CopyFrom(duration_pb2.Duration(seconds=int(overlap_s), nanos=int(overlap_s % 1 * 1e9)))
        return str(self._call(self._stub.RotateWebhookSecret, lambda: request, _same).secret)

    def deliveries(self, name: str, state: int = 0) -> Iterator[pb.WebhookDelivery]:
        """What was sent, newest first, with its attempts."""
        request = pb.ListWebhookDeliveriesRequest(parent=name, page_size=PAGE_SIZE, state=state)  # type: ignore[arg-type]
        for page in self._pages(self._stub.ListWebhookDeliveries, request):
            yield from page.deliveries

    def replay(self, delivery: str) -> pb.WebhookDelivery:
        request = pb.ReplayWebhookDeliveryRequest(name=delivery)
        return self._call(self._stub.ReplayWebhookDelivery, lambda: request, _same).delivery  # type: ignore[no-any-return]

    def replay_since(self, name: str, since: datetime, include_succeeded: bool = False) -> int:
        """Send what happened since and did not arrive; how many deliveries."""
        request = pb.ReplayWebhookDeliveriesRequest(parent=name, include_succeeded=include_succeeded)
        request.since.FromDatetime(since)
        return int(self._call(self._stub.ReplayWebhookDeliveries, lambda: request, _same).delivery_count)

    def test(self, name: str) -> pb.WebhookDelivery:
        """Send an event that tells of nothing."""
        request = pb.SendTestWebhookRequest(name=name)
        return self._call(self._stub.SendTestWebhook, lambda: request, _same).delivery  # type: ignore[no-any-return]


def _same(answer: Any) -> Any:
    return answer
