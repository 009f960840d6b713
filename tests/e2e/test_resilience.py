"""What happens when something dies in the middle."""

import os
import signal
import threading
import time

import cv2
import grpc
import numpy as np
import pytest

from roomviz.client import Client
from roomviz.errors import RoomvizError, Unavailable
from roomviz.v1 import operations_pb2, operations_pb2_grpc, rooms_pb2, rooms_pb2_grpc
from tests.conftest import Running, jpeg


def large_room(seed: int) -> bytes:
    """A 12 megapixel photo, so that its analysis takes a while."""
    rng = np.random.default_rng([seed, time.time_ns() % 2**32])
    image = np.full((3000, 4000, 3), 205, np.uint8)
    image[1900:] = (150, 110, 70)
    for x in range(0, 4000, 250):
        cv2.line(image, (x, 2999), (2000 + (x - 2000) // 3, 1900), (120, 85, 50), 6)
    return jpeg(image + rng.integers(0, 12, (3000, 4000, 1), np.uint8))


def start(running: Running, client: Client, data: bytes) -> tuple[str, str]:
    """Room and operation of an analysis just begun."""
    room = client.upload(data)
    with grpc.insecure_channel(running.address) as channel:
        operation = rooms_pb2_grpc.RoomServiceStub(channel).AnalyzeRoom(
            rooms_pb2.AnalyzeRoomRequest(name=room.name),
            timeout=20,
            metadata=[("authorization", f"Bearer {running.key}")],
        )
    return room.name, operation.name


def watch(running: Running, operation: str, timeout: float = 90):
    with grpc.insecure_channel(running.address) as channel:
        stub = operations_pb2_grpc.OperationServiceStub(channel)
        request = operations_pb2.WatchOperationRequest(name=operation)
        for answer in stub.WatchOperation(
            request, timeout=timeout, metadata=[("authorization", f"Bearer {running.key}")]
        ):
            metadata = operations_pb2.JobMetadata()
            answer.operation.metadata.Unpack(metadata)
            yield answer.operation, metadata.stage


def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing_and_doubles_nothing(running: Running, client: Client):
    room, operation = start(running, client, large_room(1))
    victim = running.pid("segmentation")
    killed = False

    for state, stage in watch(running, operation):
        if stage and not state.done and not killed:
            os.kill(victim, signal.SIGKILL)
            killed = True
        last = state

    assert killed, "the job ended before it could be interrupted"
    assert running.pid("segmentation") != victim
    assert last.WhichOneof("result") == "response"
    op = operation.removeprefix("operations/")
    jobs = running.rows("SELECT state, attempt FROM segmentation.jobs WHERE operation = $1", op)
    assert jobs == [{"state": "SUCCEEDED", "attempt": 2}]
    # The one visible result is that of the second attempt.
    assert len(running.rows("SELECT 1 FROM segmentation.analyses WHERE room = $1", room)) == 1
    keys = running.rows(
        "SELECT record->'surfaces'->0->>'mask_key' AS key FROM segmentation.analyses WHERE room = $1", room
    )
    assert f"{op}-2/" in keys[0]["key"]
    assert running.rows("SELECT state FROM gateway.operations WHERE operation_id = $1", op) == [{"state": "SUCCEEDED"}]
    assert len(client.mask(client.surfaces(room)[0].name)) > 0


def test_a_gateway_killed_while_a_job_runs_finds_it_done_when_it_is_back(running: Running, client: Client):
    room, operation = start(running, client, large_room(2))

    os.kill(running.pid("gateway"), signal.SIGKILL)
    running.until_ready("gateway")

    *_, (last, _) = watch(running, operation)
    assert last.WhichOneof("result") == "response"
    assert client.surfaces(room)


def test_a_job_waits_for_a_model_server_that_is_down(running: Running, client: Client):
    rpc = running.stack.rpc()
    rpc.stopProcess("triton")
    try:
        running.stack.wait_for(
            lambda: not running.ready("segmentation"), 20, "segmentation to say that it is not ready"
        )
        down = {c.component: c for c in client.status()}
        assert not down["segmentation"].ready
        assert "triton" in down["segmentation"].reason
        _, operation = start(running, client, large_room(3))
        time.sleep(3)
    finally:
        rpc.startProcess("triton")

    *_, (last, _) = watch(running, operation)
    assert last.WhichOneof("result") == "response"
    running.until_ready("segmentation")


def test_a_service_that_is_down_fails_its_own_calls_only_and_says_to_come_back(
    running: Running, client: Client, analyzed
):
    rpc = running.stack.rpc()
    rpc.stopProcess("compositor")
    try:
        with grpc.insecure_channel(running.address) as channel:
            stub = rooms_pb2_grpc.RoomServiceStub(channel)
            metadata = [("authorization", f"Bearer {running.key}")]
            stub.ListSurfaces(rooms_pb2.ListSurfacesRequest(parent=analyzed.room), timeout=5, metadata=metadata)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            client.preview(analyzed.room, [client.apply("FLR-WALNUT", kind="floor")])
        assert time.monotonic() - began < 30
    finally:
        rpc.startProcess("compositor")
        running.until_ready("compositor")

    assert client.preview(analyzed.room, [client.apply("FLR-WALNUT", kind="floor")])


def test_a_database_that_restarts_is_found_again(running: Running, client: Client, analyzed):
    rpc = running.stack.rpc()
    rpc.stopProcess("postgresql")
    with pytest.raises(RoomvizError) as caught:
        client.surfaces(analyzed.room)
    assert caught.value.kind in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    rpc.startProcess("postgresql")
    running.until_ready("postgresql", "gateway", "segmentation", "catalog", "compositor")

    assert client.surfaces(analyzed.room)


def test_an_object_store_that_is_killed_keeps_what_it_had(running: Running, client: Client, analyzed):
    before = client.mask(analyzed.surfaces[0].name)

    os.kill(running.pid("s3"), signal.SIGKILL)
    running.until_ready("s3", "gateway")

    assert client.mask(analyzed.surfaces[0].name) == before
    assert client.analyze(client.upload(large_room(5)).name).surfaces


def test_sigterm_lets_a_running_call_finish(running: Running, client: Client, analyzed):
    results: list[object] = []

    def render() -> None:
        try:
            results.append(client.export(analyzed.room, [client.apply("FLR-ASH", kind="floor")], "png").size_bytes)
        except RoomvizError as error:
            results.append(error)

    threads = [threading.Thread(target=render) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(0.3)
    rpc = running.stack.rpc()
    rpc.stopProcess("compositor")  # by SIGTERM
    try:
        told = (running.stack.logs / "compositor.log").read_text()
        waiting = running.rows("SELECT subject FROM compositor.outbox")
    finally:
        rpc.startProcess("compositor")
    for t in threads:
        t.join()
    running.until_ready("compositor")

    assert "drain took too long" not in told
    assert not waiting, "what jobs in hand have done is told before their process ends"
    assert all(isinstance(r, int) and r > 100_000 for r in results), results


def test_messages_that_cannot_be_read_are_buried_and_harm_nothing(running: Running, client: Client):
    import asyncio

    import nats

    async def send() -> int:
        password = (running.settings.secrets / "nats_password").read_text().strip()
        url = f"nats://127.0.0.1:{running.settings.nats_port}"
        connection = await nats.connect(url, user="roomviz", password=password)
        stream = connection.jetstream()
        await stream.publish("jobs.segmentation.analyze", b"\xff\xff not a job")
        for _ in range(100):
            info = await stream.stream_info("DEAD")
            if info.state.messages:
                break
            await asyncio.sleep(0.1)
        await connection.close()
        return info.state.messages

    assert asyncio.run(send()) >= 1
    assert client.analyze(client.upload(large_room(4)).name).surfaces
