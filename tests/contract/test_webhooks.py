"""Webhooks on the real stack, to a real receiver."""

import asyncio
import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import cv2
import grpc
import numpy as np
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from roomviz.client import Client
from roomviz.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from roomviz.v1 import webhooks_pb2 as pb
from roomviz.v1 import webhooks_pb2_grpc
from services.gateway.adapters.happenings import PostgresHappenings
from services.gateway.adapters.webhooks import Claim, PostgresWebhooks
from services.gateway.domain.happenings import Type
from tests.conftest import Running, jpeg
from tests.contract.test_api import covers, other_key  # noqa: F401

LIMIT_S = 30.0


class Inbox:
    """What a receiver got, by path; `answers` are what it says next on a path, then 204."""

    def __init__(self, url: str):
        self.url = url
        self.got: dict[str, list[tuple[dict[str, str], bytes]]] = {}
        self.answers: dict[str, list[int]] = {}

    def wait(self, path: str, count: int) -> list[tuple[dict[str, str], bytes]]:
        until(lambda: len(self.got.get(path, [])) >= count, f"{count} messages on {path}")
        return self.got[path]


def until(true: Callable[[], Any], what: str) -> Any:
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


@contextmanager
def receiving(port: int) -> Iterator[Inbox]:
    inbox = Inbox(f"http://localhost:{port}")

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            waiting = inbox.answers.get(self.path, [])
            self.send_response(waiting.pop(0) if waiting else 204)
            self.end_headers()
            inbox.got.setdefault(self.path, []).append(({k.lower(): v for k, v in self.headers.items()}, body))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield inbox
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def inbox(running: Running) -> Iterator[Inbox]:
    with receiving(running.settings.webhook_ports[0]) as made:
        yield made


@pytest.fixture
def endpoint(client: Client, inbox: Inbox, request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    """An endpoint for tests alone: its name, secret and path."""
    path = f"/{request.node.name}"
    made, secret = client.webhooks.create(inbox.url + path, [Type.ROOM_UPLOADED])
    yield made.name, secret, path
    client.webhooks.delete(made.name)


def room(client: Client, seed: int) -> str:
    noise = np.random.default_rng([seed, 77]).integers(0, 255, (6, 8, 3), np.uint8)
    return client.upload(jpeg(cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC))).name


def only(client: Client, name: str, state: int) -> pb.WebhookDelivery:
    """The one delivery of an endpoint, once it is in this state."""

    def ended() -> pb.WebhookDelivery | None:
        found = list(client.webhooks.deliveries(name))
        assert len(found) <= 1
        return found[0] if found and found[0].state == state else None

    return until(ended, f"a delivery in state {state}")  # type: ignore[no-any-return]


@covers(
    "roomviz.v1.WebhookService/CreateWebhookEndpoint",
    "roomviz.v1.WebhookService/ListWebhookDeliveries",
    "roomviz.v1.WebhookService/DeleteWebhookEndpoint",
)
def test_an_analysis_gives_a_signed_event_that_the_receiver_verifies(client: Client, inbox: Inbox, photo: bytes):
    made, secret = client.webhooks.create(inbox.url + "/analysis", [Type.ROOM_ANALYZED], "the shop")
    assert (made.description, made.disabled) == ("the shop", False)
    name = client.upload(photo, "living-room.jpg").name
    client.analyze(name, reanalyze=True)

    headers, body = inbox.wait("/analysis", 1)[0]

    told = Webhook(secret).verify(body, headers)
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["webhook-id"] == told["id"]
    assert (told["specversion"], told["type"], told["source"]) == ("1.0", "dev.roomviz.room.analyzed", "/tenants/demo")
    assert told["subject"] == told["data"]["room"] == name
    assert "floor" in told["data"]["surface_kinds"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(told["time"])) < timedelta(minutes=5)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"floor", b"wall"), headers)
    delivery = only(client, made.name, pb.WEBHOOK_DELIVERY_STATE_SUCCEEDED)
    assert (delivery.event, delivery.event_type) == (told["id"], told["type"])
    assert [(a.number, a.status_code, a.error) for a in delivery.attempts] == [(1, 204, "")]
    client.webhooks.delete(made.name)
    with pytest.raises(NotFound):
        list(client.webhooks.deliveries(made.name))


def test_a_receiver_that_fails_twice_gets_it_again_with_the_same_id(client: Client, inbox: Inbox, endpoint):
    name, secret, path = endpoint
    inbox.answers[path] = [500, 302]
    uploaded = room(client, 1)

    got = inbox.wait(path, 3)

    assert len({h["webhook-id"] for h, _ in got}) == 1
    assert len({b for _, b in got}) == 1
    for headers, body in got:
        assert Webhook(secret).verify(body, headers)["subject"] == uploaded
    delivery = only(client, name, pb.WEBHOOK_DELIVERY_STATE_SUCCEEDED)
    assert [a.status_code for a in delivery.attempts] == [500, 302, 204]
    assert delivery.attempts[0].error == "answered with 500"
    assert not client.webhooks.get(name).HasField("failing_since")
    assert len(inbox.got[path]) == 3


def test_what_never_arrives_ends_and_is_shown_on_the_endpoint(client: Client, inbox: Inbox, endpoint):
    name, _, path = endpoint
    inbox.answers[path] = [503] * 5
    room(client, 2)

    delivery = only(client, name, pb.WEBHOOK_DELIVERY_STATE_FAILED)

    assert len(delivery.attempts) == 5
    shown = client.webhooks.get(name)
    assert shown.HasField("failing_since")
    assert not shown.disabled


@covers("roomviz.v1.WebhookService/RotateWebhookSecret", "roomviz.v1.WebhookService/SendTestWebhook")
def test_during_a_rotation_both_secrets_verify_and_then_only_the_new_one(client: Client, inbox: Inbox, endpoint):
    name, old, path = endpoint
    new = client.webhooks.rotate(name, 60)
    client.webhooks.test(name)

    headers, body = inbox.wait(path, 1)[0]

    assert Webhook(old).verify(body, headers)["type"] == Type.WEBHOOK_TEST
    assert Webhook(new).verify(body, headers)
    assert client.webhooks.get(name).HasField("overlap_end_time")
    newest = client.webhooks.rotate(name, 0)
    client.webhooks.test(name)
    headers, body = inbox.wait(path, 2)[1]
    assert Webhook(newest).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body, headers)
    assert not client.webhooks.get(name).HasField("overlap_end_time")


def test_secrets_are_not_kept_in_the_clear_nor_shown_again(running: Running, client: Client, endpoint):
    name, secret, _ = endpoint
    row = running.rows(
        "SELECT secret FROM gateway.webhook_endpoints WHERE endpoint_id = $1", name.removeprefix("webhookEndpoints/")
    )[0]

    assert secret.removeprefix("whsec_").encode() not in row["secret"]
    assert secret not in str(client.webhooks.get(name))


@covers("roomviz.v1.WebhookService/ReplayWebhookDelivery")
def test_a_delivery_is_replayed_with_the_same_id(client: Client, inbox: Inbox, endpoint):
    name, _, path = endpoint
    room(client, 3)
    delivery = only(client, name, pb.WEBHOOK_DELIVERY_STATE_SUCCEEDED)

    replayed = client.webhooks.replay(delivery.name)

    assert replayed.name == delivery.name
    first, second = inbox.wait(path, 2)
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[1] == second[1]
    until(lambda: len(next(client.webhooks.deliveries(name)).attempts) == 2, "the second attempt")
    with pytest.raises(NotFound):
        client.webhooks.replay(f"{name}/deliveries/none")


@covers(
    "roomviz.v1.WebhookService/ReplayWebhookDeliveries",
    "roomviz.v1.WebhookService/UpdateWebhookEndpoint",
    "roomviz.v1.WebhookService/GetWebhookEndpoint",
)
def test_what_happened_while_it_was_disabled_is_replayed(client: Client, inbox: Inbox, endpoint):
    name, _, path = endpoint
    began = datetime.now(UTC)
    client.webhooks.update(name, disabled=True)
    missed = {room(client, n) for n in (4, 5)}
    with pytest.raises(FailedPrecondition):
        client.webhooks.replay_since(name, began)
    client.webhooks.update(name, disabled=False)
    assert list(client.webhooks.deliveries(name)) == []

    assert client.webhooks.replay_since(name, began) == 2

    assert {json.loads(b)["subject"] for _, b in inbox.wait(path, 2)} == missed
    until(
        lambda: all(d.state == pb.WEBHOOK_DELIVERY_STATE_SUCCEEDED for d in client.webhooks.deliveries(name)),
        "both to arrive",
    )
    assert client.webhooks.replay_since(name, began) == 0
    assert client.webhooks.replay_since(name, began, include_succeeded=True) == 2
    inbox.wait(path, 4)


@covers("roomviz.v1.WebhookService/ListWebhookEndpoints")
def test_410_disables_the_endpoint_at_once_and_tells_the_others(client: Client, inbox: Inbox, endpoint):
    name, _, path = endpoint
    other, secret = client.webhooks.create(inbox.url + "/notices", [Type.ENDPOINT_DISABLED])
    inbox.answers[path] = [410]
    room(client, 6)

    headers, body = inbox.wait("/notices", 1)[0]

    told = Webhook(secret).verify(body, headers)
    assert told["type"] == "dev.roomviz.webhook_endpoint.disabled"
    assert told["subject"] == name
    assert "410" in told["data"]["reason"]
    shown = {e.name: e for e in client.webhooks.list()}
    assert shown[name].disabled
    assert "410" in shown[name].disable_reason
    assert not shown[other.name].disabled
    room(client, 7)
    assert len(inbox.got[path]) == 1
    with pytest.raises(FailedPrecondition):
        client.webhooks.test(name)
    assert not client.webhooks.update(name, disabled=False).disable_reason
    client.webhooks.delete(other.name)


def test_an_endpoint_that_took_nothing_for_five_days_is_disabled(
    running: Running, client: Client, inbox: Inbox, endpoint
):
    name, _, path = endpoint
    inbox.answers[path] = [500]
    running.rows(
        """UPDATE gateway.webhook_endpoints SET failing_since = now() - interval '5 days 1 minute'
           WHERE endpoint_id = $1 RETURNING 1 AS done""",
        name.removeprefix("webhookEndpoints/"),
    )
    room(client, 11)

    until(lambda: client.webhooks.get(name).disabled, "the endpoint to be disabled")

    assert client.webhooks.get(name).disable_reason.startswith("nothing arrived since ")
    assert only(client, name, pb.WEBHOOK_DELIVERY_STATE_CANCELLED).attempts[0].status_code == 500


def test_another_tenant_sees_no_endpoint_and_is_sent_nothing(
    running: Running,
    client: Client,
    inbox: Inbox,
    endpoint,
    other_key: str,  # noqa: F811
):
    name, _, path = endpoint
    with Client(running.address, other_key) as other:
        theirs, _ = other.webhooks.create(inbox.url + "/theirs")
        assert [e.name for e in other.webhooks.list()] == [theirs.name]
        calls: list[Callable[[], Any]] = [
            lambda: other.webhooks.get(name),
            lambda: other.webhooks.update(name, disabled=True),
            lambda: other.webhooks.delete(name),
            lambda: other.webhooks.rotate(name),
            lambda: list(other.webhooks.deliveries(name)),
            lambda: other.webhooks.test(name),
            lambda: other.webhooks.replay(f"{name}/deliveries/x"),
            lambda: other.webhooks.replay_since(name, datetime.now(UTC)),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()
        room(client, 12)
        inbox.wait(path, 1)
        other.webhooks.delete(theirs.name)
    assert "/theirs" not in inbox.got


def test_several_gateways_take_a_delivery_once(running: Running, client: Client, inbox: Inbox, endpoint):
    name, _, path = endpoint
    client.webhooks.update(name, event_types=[Type.WEBHOOK_TEST])
    for _ in range(30):
        client.webhooks.test(name)
    inbox.wait(path, 30)
    until(lambda: all(d.state == pb.WEBHOOK_DELIVERY_STATE_SUCCEEDED for d in client.webhooks.deliveries(name)), "30")
    settings, endpoint_id = running.settings, name.removeprefix("webhookEndpoints/")

    async def compete() -> list[Claim]:
        async with asyncpg.create_pool(
            f"postgresql://roomviz@{settings.host}:{settings.postgres_port}/roomviz",
            passfile=str(settings.secrets / "pgpass"),
            server_settings={"search_path": "gateway"},
            min_size=1,
        ) as pool:
            webhooks = PostgresWebhooks(pool, PostgresHappenings(pool))
            await pool.execute(
                "UPDATE webhook_deliveries SET state = 'PENDING', next_time = now() WHERE endpoint_id = $1", endpoint_id
            )
            taken = await asyncio.gather(*(webhooks.claim(4, [], 300) for _ in range(16)))
            return [claim for each in taken for claim in each]

    claims = asyncio.run(compete())

    assert len({c.delivery_id for c in claims}) == len(claims)
    # Those that we did not take the gateway sent, and nobody else.
    sent = 30 + 30 - len(claims)
    inbox.wait(path, sent)
    time.sleep(1)
    assert len(inbox.got[path]) == sent
    assert claims


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.com/", "URL_FORBIDDEN"),
        ("http://10.0.0.1:{port}/", "URL_FORBIDDEN"),
        ("http://169.254.169.254:{port}/latest", "URL_FORBIDDEN"),
        ("http://user@localhost:{port}/", "URL_FORBIDDEN"),
        ("ftp://localhost/", "URL_FORBIDDEN"),
        ("localhost", "URL_INVALID"),
        ("", "URL_INVALID"),
    ],
)
def test_urls_that_are_refused(running: Running, client: Client, url: str, reason: str):
    with pytest.raises(InvalidArgument) as failed:
        client.webhooks.create(url.format(port=running.settings.webhook_ports[0]))
    assert failed.value.reason == reason


def test_what_else_is_refused(client: Client, inbox: Inbox, endpoint):
    name, _, _ = endpoint
    with pytest.raises(InvalidArgument) as failed:
        client.webhooks.create(inbox.url, ["dev.roomviz.no.such"])
    assert failed.value.reason == "EVENT_TYPE_UNKNOWN"
    assert failed.value.violations[0].subject == "webhook_endpoint.event_types"
    with pytest.raises(NotFound):
        client.webhooks.get("webhookEndpoints/none")
    before = client.webhooks.get(name)
    assert client.webhooks.update(name, before.etag, description="new").description == "new"
    with pytest.raises(Aborted) as stale:
        client.webhooks.update(name, before.etag, description="newer")
    assert stale.value.reason == "ETAG_MISMATCH"


def test_only_looking_makes_nothing(running: Running, client: Client, inbox: Inbox):
    before = [e.name for e in client.webhooks.list()]
    with grpc.insecure_channel(running.address) as channel:
        answer = webhooks_pb2_grpc.WebhookServiceStub(channel).CreateWebhookEndpoint(
            pb.CreateWebhookEndpointRequest(webhook_endpoint=pb.WebhookEndpoint(url=inbox.url), validate_only=True),
            timeout=10,
            metadata=[("authorization", f"Bearer {running.key}")],
        )

    assert (answer.secret, answer.webhook_endpoint.name) == ("", "")
    assert [e.name for e in client.webhooks.list()] == before


def test_a_gateway_killed_between_attempts_loses_nothing(running: Running, client: Client, inbox: Inbox, endpoint):
    name, secret, path = endpoint
    inbox.answers[path] = [500, 500, 500]
    uploaded = {room(client, n) for n in (8, 9, 10)}
    inbox.wait(path, 2)

    os.kill(running.pid("gateway"), signal.SIGKILL)
    running.until_ready("gateway")

    # One that was on its way when the gateway died waits for its lease, 30 s.
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        arrived = [d for d in client.webhooks.deliveries(name) if d.state == pb.WEBHOOK_DELIVERY_STATE_SUCCEEDED]
        if len(arrived) == 3:
            break
        time.sleep(0.2)
    assert {Webhook(secret).verify(b, h)["subject"] for h, b in inbox.got[path]} == uploaded
    assert len(arrived) == 3
    assert len({h["webhook-id"] for h, _ in inbox.got[path]}) == 3
