"""Batches whose workers die in the middle: nothing is lost, and nothing is seen twice."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from minio import Minio

from deploy.local.programs import grpc_serving
from deploy.local.settings import ROOT
from roomviz.client import Client
from roomviz.v1 import visualizations_pb2
from tests.conftest import Running, free_ports

SUCCEEDED = visualizations_pb2.BATCH_ITEM_STATE_SUCCEEDED


@contextmanager
def second_compositor(running: Running) -> Iterator[subprocess.Popen]:
    """Another worker of the same stack."""
    port, metrics = free_ports(2)
    environment = running.settings.service_environment("compositor")
    environment |= {"ROOMVIZ_COMPOSITOR_PORT": str(port), "ROOMVIZ_METRICS_PORT": str(metrics)}
    with (running.settings.home / "log" / "compositor-2.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.compositor"],
            env={**os.environ, **environment},
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )
        try:
            address = f"127.0.0.1:{port}"
            running.stack.wait_for(
                lambda: grpc_serving(running.settings, "compositor", address), 60, "a second compositor"
            )
            yield process
        finally:
            process.kill()
            process.wait(20)


def materials(client: Client) -> list[str]:
    return [p.sku for p in client.products() if p.HasField("material") and p.category != "paint"]


def wait_for_items(running: Running, batch: str, count: int) -> None:
    query = "SELECT succeeded + failed AS done FROM compositor.batches WHERE operation = $1"
    running.stack.wait_for(
        lambda: (rows := running.rows(query, batch)) and rows[0]["done"] >= count, 60, f"{count} items"
    )


def freeze_at_work(running: Running, worker: subprocess.Popen, batch: str) -> None:
    """Freeze the only worker while it has items in hand: whatever it holds, it holds on to."""
    query = "SELECT index FROM compositor.batch_items WHERE operation = $1 AND state = 'PENDING' AND attempt > 0"
    for _ in range(20):
        worker.send_signal(signal.SIGSTOP)
        if running.rows(query, batch):
            return
        worker.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError((running.settings.home / "log" / "compositor-2.log").read_text()[-2000:])


def check_whole(running: Running, client: Client, operation: str, skus: list[str]) -> None:
    """Every item exactly once, with its picture, and no picture beside."""
    batch = operation.removeprefix("operations/")
    items = list(client.batch_items(operation))
    assert [i.product for i in items] == [f"products/{s}" for s in skus]
    assert {i.state for i in items} == {SUCCEEDED}
    for item in items:
        made = client.visualization(item.visualization)
        assert hashlib.sha256(client.picture(item.visualization)).hexdigest() == made.content_digest
    counts = running.rows("SELECT state, total, succeeded, failed FROM compositor.batches WHERE operation = $1", batch)
    assert counts == [{"state": "ENDED", "total": len(skus), "succeeded": len(skus), "failed": 0}]
    assert running.rows("SELECT state FROM gateway.operations WHERE operation_id = $1", batch) == [
        {"state": "SUCCEEDED"}
    ]
    s3 = Minio(
        f"127.0.0.1:{running.settings.s3_port}",
        access_key="roomviz",
        secret_key=(running.settings.secrets / "s3_secret_key").read_text().strip(),
        secure=False,
    )
    kept = list(s3.list_objects("roomviz", prefix=f"renders/{batch}/", recursive=True))
    assert len(kept) == len(skus)


def test_the_only_worker_is_killed_in_the_middle_and_back(running: Running, client: Client, analyzed):
    skus = materials(client)
    operation = client.start_batch(analyzed.room, client.target(kind="floor"), skus)
    batch = operation.removeprefix("operations/")
    wait_for_items(running, batch, 5)
    victim = running.pid("compositor")

    os.kill(victim, signal.SIGKILL)

    before = running.rows(
        "SELECT count(*) AS n FROM compositor.batch_items WHERE operation = $1 AND result IS NULL", batch
    )
    assert before[0]["n"] > 0, "the batch ended before it could be interrupted"
    answer = client.finish_batch(operation)
    assert running.pid("compositor") != victim
    assert (answer.succeeded, answer.failed) == (len(skus), 0)
    check_whole(running, client, operation, skus)


def test_two_workers_share_a_batch_and_one_of_them_dies(running: Running, client: Client, analyzed):
    skus = materials(client)
    with second_compositor(running) as second:
        first = running.pid("compositor")
        os.kill(first, signal.SIGSTOP)  # so that the second one has begun for sure
        try:
            operation = client.start_batch(analyzed.room, client.target(kind="floor"), skus, "png")
            batch = operation.removeprefix("operations/")
            wait_for_items(running, batch, 8)
            freeze_at_work(running, second, batch)
        finally:
            os.kill(first, signal.SIGCONT)
        progress: list[int] = []
        client.finish_batch(operation, lambda stage, percent: progress.append(percent))
        before = {i.visualization: client.visualization(i.visualization) for i in client.batch_items(operation)}
        second.send_signal(signal.SIGCONT)  # and wakes up too late: its result is dropped
        time.sleep(3)

    assert progress == sorted(progress)
    assert progress[-1] == 100
    check_whole(running, client, operation, skus)
    assert {n: client.visualization(n) for n in before} == before
    taken_again = running.rows(
        "SELECT count(*) AS n FROM compositor.batch_items WHERE operation = $1 AND attempt > 1", batch
    )
    assert taken_again[0]["n"] >= 1


def test_a_batch_waits_while_the_database_restarts(running: Running, client: Client, analyzed):
    skus = materials(client)
    operation = client.start_batch(analyzed.room, client.target(kind="floor"), skus)
    wait_for_items(running, operation.removeprefix("operations/"), 3)

    rpc = running.stack.rpc()
    rpc.stopProcess("postgresql")
    rpc.startProcess("postgresql")
    running.until_ready("postgresql", "gateway", "segmentation", "catalog", "compositor")

    client.finish_batch(operation)
    check_whole(running, client, operation, skus)


def test_a_batch_can_be_followed_by_its_name_alone(running: Running, tmp_path, client: Client, analyzed):
    room = ROOT / "samples" / "living-room.jpg"
    skus = tmp_path / "skus.txt"
    skus.write_text("FLR-WALNUT\nFLR-ASH\nNO-SUCH-SKU\n")

    begun = running.roomviz("batch", room, "--skus", skus, "--long-side", "320", "--out", tmp_path / "a", "--json")

    assert begun.returncode == 1  # one of them failed
    import json

    record = json.loads(begun.stdout)
    assert [i["state"][17:] for i in record["items"]] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    again = running.roomviz("batch", "--resume", record["operation"], "--out", tmp_path / "b")
    assert "NO-SUCH-SKU" in again.stderr
    assert "(PRODUCT_NOT_FOUND)" in again.stderr
    assert "2 pictures, 1 errors" in again.stdout
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()
    }


@pytest.mark.parametrize("arguments", [[], ["ROOM", "--resume", "operations/x"], ["ROOM", "--cancel"]])
def test_a_batch_command_that_says_two_things_is_refused(running: Running, arguments: list[str]):
    room = str(ROOT / "samples" / "living-room.jpg")

    done = running.roomviz("batch", *[room if a == "ROOM" else a for a in arguments])

    assert done.returncode == 1
    assert "(BATCH_INVALID)" in done.stderr


def test_designs_and_quantities_from_the_command_line(running: Running, tmp_path):
    room = ROOT / "samples" / "living-room.jpg"
    sheet = tmp_path / "sheet.jpg"
    across = ["--across", "floor=FLR-WALNUT", "--across", "floor=TIL-CHECKER", "--across", "floor=NO-SUCH-SKU"]

    done = running.roomviz(
        "compare",
        room,
        *across,
        "--down",
        "wall=PNT-SKY",
        "--down",
        "wall=PNT-SAGE",
        "--out",
        sheet,
        "--tile-px",
        "300",
    )

    assert done.returncode == 1  # the third column failed
    assert done.stderr.count("(PRODUCT_NOT_FOUND)") == 2
    assert sheet.stat().st_size > 10_000
    told = running.roomviz("quantity", room, "--material", "FLR-OAK-NATURAL", "--outline", "0,0 4,0 4,3 0,3")
    assert told.returncode == 0, told.stderr
    assert "area: 12.0 m² (12.0 to 12.0)" in told.stdout
    assert "boxes:" in told.stdout
