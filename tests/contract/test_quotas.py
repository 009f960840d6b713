"""What tenants may use, on the running services: who is refused and how, who is not, and what is charged once."""

import http.client
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.longrunning import operations_pb2_grpc

from deploy.local.settings import ROOT
from roomviz.client import Client
from roomviz.errors import ResourceExhausted, RoomvizError, Unavailable
from roomviz.runtime.rpc import from_call
from roomviz.v1 import (
    products_pb2,
    products_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
    visualizations_pb2,
    visualizations_pb2_grpc,
)
from tests.conftest import Running
from tests.contract.test_api import covers, parts, small_room

DUPLICATES = 1000


@dataclass(frozen=True)
class Tenant:
    """A tenant of the test's own, with a key and the limits it was given."""

    name: str
    key: str
    address: str
    channel: grpc.Channel

    @property
    def metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.key}")]

    def call(self, stub: Callable[[grpc.Channel], Any], method: str, request: Any) -> tuple[Any, dict[str, Any]]:
        """The answer and the trailing metadata."""
        answer, call = getattr(stub(self.channel), method).with_call(request, timeout=120, metadata=self.metadata)
        return answer, dict(call.trailing_metadata())

    def upload(self, data: bytes) -> rooms_pb2.Room:
        stub = rooms_pb2_grpc.RoomServiceStub(self.channel)
        # Of a thousand at once the last waits for all others, and on a busy machine for its disk.
        return stub.UploadRoom(parts(data), timeout=200, metadata=self.metadata).room

    def products(self) -> tuple[Any, dict[str, Any]]:
        return self.call(products_pb2_grpc.ProductServiceStub, "ListProducts", products_pb2.ListProductsRequest())

    def usage(self) -> dict[str, usage_pb2.QuotaUsage]:
        answer, _ = self.call(usage_pb2_grpc.UsageServiceStub, "GetTenantUsage", usage_pb2.GetTenantUsageRequest())
        return {q.quota: q for q in answer.quotas}

    def patiently(self, call: Callable[[], Any]) -> Any:
        """Call until it is let in, coming back when it is told to."""
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                told = from_call(error)  # type: ignore[arg-type]
                busy = isinstance(told, Unavailable)  # a store that does not keep up with a thousand says no when
                if not told.retryable or (told.retry_after_s is None and not busy):
                    raise
                time.sleep(told.retry_after_s or 1.0)


def operate(running: Running, module: str, *arguments: str) -> None:
    """Run a command of the gateway's operator."""
    environment = {**running.environment(), **running.settings.service_environment("gateway")}
    command = [sys.executable, "-m", f"services.gateway.{module}", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=60)


@pytest.fixture(scope="module")
def tenant(running: Running, tmp_path_factory: pytest.TempPathFactory):
    """Makes tenants: `tenant(requests_per_s=1, megapixels_day=2)`."""
    channels = []

    def make(**limits: float) -> Tenant:
        name, key = f"tenant-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
        file: Path = tmp_path_factory.mktemp("key") / "key"
        file.write_text(key)
        operate(running, "keys", "--tenant", name, "--key-file", str(file))
        if limits:
            given = [f"--{n.replace('_', '-')}={v}" for n, v in limits.items()]
            operate(running, "quotas", "--tenant", name, *given)
        channels.append(grpc.insecure_channel(running.address, [("grpc.use_local_subchannel_pool", 1)]))
        return Tenant(name, key, running.address, channels[-1])

    yield make
    for channel in channels:
        channel.close()


def refused(call: Callable[[], Any]) -> tuple[RoomvizError, dict[str, Any]]:
    """The failure, and its trailing metadata."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return from_call(caught.value), dict(caught.value.trailing_metadata())  # type: ignore[attr-defined,arg-type]


def test_requests_beyond_the_rate_are_refused_with_all_that_a_caller_needs(tenant):
    busy, quiet = tenant(requests_per_s=0.05, requests_burst=3), tenant()

    told = [busy.products()[1] for _ in range(3)]
    error, trailing = refused(busy.products)

    assert [(t["ratelimit-limit"], t["ratelimit-remaining"]) for t in told] == [("3", "2"), ("3", "1"), ("3", "0")]
    assert isinstance(error, ResourceExhausted)
    assert (error.reason, error.metadata["quota"]) == ("QUOTA_EXCEEDED", "requests")
    assert [v.subject for v in error.violations] == ["requests"]
    assert 0 < error.retry_after_s <= 20
    assert (trailing["ratelimit-limit"], trailing["ratelimit-remaining"]) == ("3", "0")
    assert 1 <= int(trailing["ratelimit-reset"]) <= 20
    assert quiet.products()[1]["ratelimit-remaining"] == "299"


def test_a_caller_without_a_key_learns_nothing_of_quotas(running: Running):
    with grpc.insecure_channel(running.address) as channel:
        stub = system_pb2_grpc.SystemServiceStub(channel)
        _, trailing = refused(lambda: stub.GetSystemStatus(system_pb2.GetSystemStatusRequest(), timeout=10))

    assert not any(k.startswith("ratelimit") for k in trailing)


@covers("roomviz.v1.UsageService/GetTenantUsage")
def test_megapixels_are_charged_for_what_is_new_and_refused_beyond_the_day(tenant):
    shop = tenant(megapixels_day=0.2)
    first, second = small_room(1), small_room(2)

    room = shop.upload(first)
    assert shop.upload(first).name == room.name
    shop.upload(second)
    error, trailing = refused(lambda: shop.upload(small_room(3)))
    used = shop.usage()["megapixels"]

    assert (error.reason, error.metadata["quota"]) == ("QUOTA_EXCEEDED", "megapixels")
    assert "0.1536 of 0.2" in error.violations[0].description
    assert 0 < error.retry_after_s <= 86_400
    assert trailing["ratelimit-limit"] == "0.2"
    assert used.used == pytest.approx(2 * 320 * 240 / 1e6)
    assert (used.limit, used.window.seconds) == (0.2, 86_400)
    assert used.reset_time.ToDatetime().hour == 0
    assert shop.upload(first).name == room.name  # what is there already costs nothing


def test_usage_tells_every_quota_and_its_own_tenant_alone(tenant):
    one, other = tenant(operations_running=7, heavy_calls=5), tenant()
    one.upload(small_room(4))

    used, of_other = one.usage(), other.usage()

    assert set(used) == {"requests", "heavyCalls", "operations", "megapixels"}
    assert (used["operations"].limit, used["heavyCalls"].limit) == (7, 5)
    assert (used["requests"].limit, used["requests"].rate_per_second) == (300, 100)
    assert 1 <= used["requests"].used <= 2
    assert of_other["megapixels"].used == 0
    assert of_other["operations"].limit == 32


def test_heavy_calls_beyond_the_quota_are_refused_while_others_run(tenant):
    shop, quiet = tenant(heavy_calls=2), tenant()
    stub = rooms_pb2_grpc.RoomServiceStub(shop.channel)
    ends = []

    def unfinished(data: bytes):
        """An upload whose second half comes when the test says so."""
        end, begun = threading.Event(), threading.Event()
        ends.append(end)

        def requests():
            yield from list(parts(data[: len(data) // 2]))
            begun.set()
            end.wait(30)
            yield rooms_pb2.UploadRoomRequest(chunk=data[len(data) // 2 :])

        call = stub.UploadRoom.future(requests(), timeout=60, metadata=shop.metadata)
        begun.wait(10)
        return call

    calls = [unfinished(small_room(5)), unfinished(small_room(6))]
    while shop.usage()["heavyCalls"].used < 2:
        time.sleep(0.02)
    error, _ = refused(lambda: shop.upload(small_room(7)))
    quiet.upload(small_room(7))
    for end in ends:
        end.set()

    assert (error.reason, error.metadata["quota"]) == ("QUOTA_EXCEEDED", "heavyCalls")
    assert len({c.result().room.name for c in calls}) == 2
    assert shop.usage()["heavyCalls"].used == 0


def test_pictures_to_verify_that_come_slowly_keep_no_others_waiting(tenant):
    shop, end = tenant(), threading.Event()
    stub = visualizations_pb2_grpc.VisualizationServiceStub(shop.channel)

    def picture(slowly: bool):
        yield visualizations_pb2.VerifyRenderRequest(chunk=small_room(8))
        if slowly:
            end.wait(60)

    slow = [stub.VerifyRender.future(picture(True), timeout=90, metadata=shop.metadata) for _ in range(10)]
    while shop.usage()["heavyCalls"].used < len(slow):
        time.sleep(0.02)
    told = stub.VerifyRender(picture(False), timeout=30, metadata=shop.metadata)
    end.set()

    assert told.verdict == visualizations_pb2.RENDER_VERDICT_UNKNOWN
    assert [call.result().verdict for call in slow] == [told.verdict] * len(slow)


def test_bodies_that_come_slowly_hold_no_turns(tenant, running: Running):
    shop = tenant()
    host, path = running.settings.web.removeprefix("http://"), "/roomviz.v1.QuantityService/EstimateQuantity"
    with ExitStack() as stack:
        for _ in range(12):  # more than turns
            slow = stack.enter_context(closing(http.client.HTTPConnection(host, timeout=30)))
            slow.putrequest("POST", path)
            for name, value in (
                ("X-API-Key", shop.key),
                ("Content-Type", "application/json"),
                ("Content-Length", "90"),
            ):
                slow.putheader(name, value)
            slow.endheaders(b"{")
        time.sleep(1)
        prompt = stack.enter_context(closing(http.client.HTTPConnection(host, timeout=4)))
        prompt.request("POST", path, "{}", {"X-API-Key": shop.key, "Content-Type": "application/json"})
        answer = prompt.getresponse()
        told = json.load(answer)

    assert (answer.status, told["code"]) == (400, "invalid_argument")


@pytest.mark.timeout(480)
def test_a_thousand_uploads_of_one_photo_are_one_room_and_one_charge(tenant, running: Running):
    shop = tenant(requests_per_s=1000, requests_burst=2000, heavy_calls=DUPLICATES)
    data = small_room(8)

    with ThreadPoolExecutor(DUPLICATES) as threads:
        rooms = list(threads.map(lambda _: shop.patiently(lambda: shop.upload(data)), range(DUPLICATES)))

    assert len({r.name for r in rooms}) == 1
    charges = running.rows("SELECT charge, megapixels FROM gateway.charges WHERE tenant = $1", shop.name)
    assert charges == [{"charge": rooms[0].name, "megapixels": 320 * 240 / 1e6}]
    assert shop.usage()["megapixels"].used == 320 * 240 / 1e6


@pytest.fixture(scope="module")
def exporter(tenant, photo: bytes):
    """A tenant with an analyzed room, and the request to export it under another light."""
    shop = tenant(requests_per_s=1000, requests_burst=2000, operations_running=1)
    with Client(shop.address, shop.key) as client:
        room = client.upload(photo)
        client.analyze(room.name)
    staging = visualizations_pb2.Staging(relight=visualizations_pb2.RELIGHT_WARM)
    return shop, room, visualizations_pb2.ExportVisualizationRequest(room=room.name, staging=staging)


def export(shop: Tenant, request: Any) -> longrunning.Operation:
    return shop.call(visualizations_pb2_grpc.VisualizationServiceStub, "ExportVisualization", request)[0]


def finish(shop: Tenant, operation: str) -> longrunning.Operation:
    with Client(shop.address, shop.key) as client:
        return client._wait(longrunning.Operation(name=operation), None)


@pytest.mark.timeout(480)
def test_a_thousand_requests_for_one_export_are_one_operation_and_one_charge(exporter, running: Running):
    shop, room, request = exporter
    request.request_id = str(uuid.uuid4())
    before = shop.usage()["megapixels"].used

    with ThreadPoolExecutor(DUPLICATES) as threads:
        made = list(threads.map(lambda _: shop.patiently(lambda: export(shop, request)), range(DUPLICATES)))

    assert len({o.name for o in made}) == 1
    charged = running.rows(
        "SELECT megapixels FROM gateway.charges WHERE tenant = $1 AND charge = $2", shop.name, made[0].name
    )
    assert charged == [{"megapixels": room.width_px * room.height_px / 1e6}]
    assert shop.usage()["megapixels"].used == pytest.approx(before + charged[0]["megapixels"])
    finish(shop, made[0].name)


def test_operations_beyond_the_quota_are_refused_and_leave_nothing(exporter, running: Running):
    shop, _, request = exporter
    request.request_id = str(uuid.uuid4())
    first = export(shop, request)

    other = visualizations_pb2.ExportVisualizationRequest()
    other.CopyFrom(request)
    other.request_id = str(uuid.uuid4())
    error, _ = refused(lambda: export(shop, other))
    again = export(shop, request)
    finish(shop, first.name)

    assert (error.reason, error.metadata["quota"]) == ("QUOTA_EXCEEDED", "operations")
    assert again.name == first.name
    assert not running.rows(
        "SELECT 1 FROM gateway.operations WHERE tenant = $1 AND request_id = $2", shop.name, other.request_id
    )
    finish(shop, shop.patiently(lambda: export(shop, other)).name)


def test_jobs_of_one_tenant_are_sent_a_few_at_a_time_and_all_end(exporter, running: Running):
    shop, _, request = exporter
    request.request_id = ""
    many = {"operations_running": 32}
    operate(running, "quotas", "--tenant", shop.name, *(f"--{n.replace('_', '-')}={v}" for n, v in many.items()))

    made = [export(shop, request).name for _ in range(6)]
    stub = operations_pb2_grpc.OperationsStub(shop.channel)
    stub.CancelOperation(longrunning.CancelOperationRequest(name=made[-1]), timeout=30, metadata=shop.metadata)
    sent = []
    while not sent or sent[-1][1]:
        (row,) = running.rows(
            """SELECT count(*) FILTER (WHERE publish_count > 0) AS sent, count(*) AS running FROM gateway.operations
               WHERE tenant = $1 AND state = 'RUNNING'""",
            shop.name,
        )
        sent.append((row["sent"], row["running"]))

    assert max(s for s, _ in sent) == 2
    ended = running.rows(
        "SELECT state FROM gateway.operations WHERE tenant = $1 AND operation_id = ANY($2) ORDER BY create_time",
        shop.name,
        [n.removeprefix("operations/") for n in made],
    )
    assert [r["state"] for r in ended] == ["SUCCEEDED"] * 5 + ["CANCELLED"]


def test_the_sdk_comes_back_when_it_is_told_to(tenant):
    shop = tenant(requests_per_s=2, requests_burst=1)
    with Client(shop.address, shop.key) as client:
        assert [len(client.usage()) for _ in range(3)] == [4, 4, 4]
