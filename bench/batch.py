"""What many pictures of one room cost, on the stack of `make up` (`make bench-batch`).

    python -m bench.batch [--variants 24] [--repeats 3] [--items 1000] [--share 0.4]

A comparison against one cold picture, and a batch by one worker against two. Workers are processes of their own,
each with one thread for pictures, on one processor, and held to a share of it (`--share`, by the kernel's quota), so that
gateway, database, queue and store have the rest: the ratio of the times is then how the batch scales, and not how many
processors there are. Needs a cgroup that can be written to; where there is none, workers take all they get.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from deploy.local.programs import grpc_serving
from deploy.local.settings import INTERNAL_HOST, ROOT, LocalSettings
from deploy.local.stack import Stack
from roomviz.client import Client
from roomviz.runtime import database
from services.catalog.adapters.postgres import PostgresProducts
from services.catalog.settings import Settings as CatalogSettings

PREFIX = "BENCH-"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def held_to(pid: int, share: float) -> Iterator[bool]:
    """Let a process use so much of a processor; whether that could be done. cgroups of version 1 or 2."""
    one, two = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    parent, file, format = (one, "cpu.cfs_quota_us", "{}") if one.is_dir() else (two, "cpu.max", "{} 100000")
    folder = parent / f"roomviz-bench-{pid}"
    try:
        folder.mkdir()
        (folder / file).write_text(format.format(round(share * 100_000)))
        (folder / "cgroup.procs").write_text(str(pid))
    except OSError:
        yield False
    else:
        yield True
    finally:
        if folder.is_dir():
            wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the end of a worker")
            folder.rmdir()


@contextmanager
def worker(
    settings: LocalSettings, number: int, alone: bool = True, share: float | None = None
) -> Iterator[subprocess.Popen]:
    """A compositor; the first one takes the gateway's calls. `alone`: with one thread, on one processor, or on a share of
    it."""
    port = settings.compositor_port + 40 * number
    environment = settings.service_environment("compositor") | {
        "ROOMVIZ_COMPOSITOR_PORT": str(port),
        "ROOMVIZ_METRICS_PORT": str(settings.compositor_metrics_port + 40 * number),
        "ROOMVIZ_LOG_LEVEL": "warning",
    }
    if alone:
        environment |= {"ROOMVIZ_CPU_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "services.compositor"]
    process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT)
    if alone:
        mine = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process.pid, {mine[number % len(mine)]})
    with held_to(process.pid, share) if share else nullcontext(True) as held:
        try:
            if not held:
                print(
                    "no cgroup can be written to: the worker takes all it gets, and the next ratio is not the scaling"
                )
            wait_until(lambda: grpc_serving(settings, "compositor", f"{INTERNAL_HOST}:{port}"), "a worker")
            yield process
        finally:
            process.terminate()
            process.wait(60)


def wait_until(condition, what: str, seconds: float = 90) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} does not come")
        time.sleep(0.2)


async def stock(settings: LocalSettings, count: int) -> list[str]:
    """So many products in the demo tenant's catalogue, copies of its floors under SKUs of their own."""
    os.environ |= settings.service_environment("catalog")
    async with database.pool(CatalogSettings(), "catalog") as pool:
        products = PostgresProducts(pool)
        floors = await products.page(settings.demo_tenant, "flooring", "", 200)
        copies = [replace(floors[n % len(floors)], sku=f"{PREFIX}{n:05d}") for n in range(count)]
        await products.upsert(settings.demo_tenant, copies)
    return [p.sku for p in copies]


async def clear(settings: LocalSettings) -> None:
    """Take them out again."""
    os.environ |= settings.service_environment("catalog")
    async with database.pool(CatalogSettings(), "catalog") as pool:
        await pool.execute("delete from products where tenant = $1 and sku like $2", settings.demo_tenant, f"{PREFIX}%")


def compare(client: Client, room: str, settings: LocalSettings, variants: int, repeats: int) -> None:
    floors = [p.sku for p in client.products("flooring") if not p.sku.startswith(PREFIX)]
    skus = (floors * variants)[:variants]
    cold_preview, cold_tile, all_tiles, first = [], [], [], []
    designs = [[client.apply(sku, kind="floor")] for sku in skus]
    with worker(settings, 0, alone=False):
        list(client.compare(room, designs))  # what is kept of each product from its first picture on
    # One cold picture is one of these; they differ, so of several the mean.
    some = designs[:: max(1, variants // 4)]
    for _ in range(repeats):
        for times, run in (
            (cold_preview, lambda design: client.preview(room, design)),
            (cold_tile, lambda design: list(client.compare(room, [design]))),
        ):
            each = []
            for design in some:
                with worker(settings, 0, alone=False) as w:
                    other_room(client)
                    began, used = time.perf_counter(), cpu_seconds(w.pid)
                    run(design)
                    each.append((time.perf_counter() - began, cpu_seconds(w.pid) - used))
            times.append(tuple(sum(column) / len(each) for column in zip(*each, strict=True)))
        with worker(settings, 0, alone=False) as w:
            other_room(client)
            began, used = time.perf_counter(), cpu_seconds(w.pid)
            parts = client.compare(room, designs)
            next(parts)
            first.append(time.perf_counter() - began)
            for _part in parts:
                pass
            all_tiles.append((time.perf_counter() - began, cpu_seconds(w.pid) - used))
    print(f"{variants} variants ({len(set(skus))} products) of one room, 640 px; first tile {min(first) * 1e3:.0f} ms")
    for n, what in enumerate(("by the clock", "processor time")):
        preview, tile, every = (min(t[n] for t in times) * 1e3 for times in (cold_preview, cold_tile, all_tiles))
        print(
            f"{what}: all {every:.0f} ms; a cold preview {preview:.0f} ms, {every / preview:.1f}x (bar 4x); "
            f"a cold tile {tile:.0f} ms, {every / tile:.1f}x"
        )


def other_room(client: Client) -> None:
    """Warm all but the room and the products that are measured."""
    room = client.analyze(client.upload((ROOT / "samples" / "dining-room.jpg").read_bytes()).name).room
    client.preview(room, [client.apply("PNT-SKY", kind="wall")])


def batch(client: Client, room: str, settings: LocalSettings, skus: list[str], share: float) -> None:
    print(
        f"{len(skus)} products on one room, previews as JPEG; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; "
        f"a worker may use {share:.0%} of one"
    )
    took, used = [], []
    for count in (1, 2):
        with ExitStack() as stack:
            workers = [stack.enter_context(worker(settings, n, share=share)) for n in range(count)]
            client.preview(room, [client.apply(skus[0], kind="floor")])
            before = [cpu_seconds(w.pid) for w in workers]
            began = time.perf_counter()
            answer = client.finish_batch(client.start_batch(room, client.target(kind="floor"), skus))
            took.append(time.perf_counter() - began)
            each = [cpu_seconds(w.pid) - b for w, b in zip(workers, before, strict=True)]
            used.append(sum(each))
            assert answer.succeeded == len(skus), answer
        shares = ", ".join(f"{s:.1f}" for s in each)
        print(
            f"{count} worker{'s' if count > 1 else ''}: {took[-1]:.1f} s, {len(skus) / took[-1]:.1f} pictures a second; "
            f"processor time {shares} s, {used[-1] / len(skus) * 1e3:.1f} ms a picture"
        )
    print(f"from one worker to two, by the clock: {took[0] / took[1]:.2f}x (bar 1.8x)")


def main() -> None:
    import asyncio

    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--variants", type=int, default=24)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--items", type=int, default=1000)
    p.add_argument("--share", type=float, default=0.4, help="of a processor, for each worker of a batch")
    a = p.parse_args()
    settings = LocalSettings()
    supervisor = Stack(settings)
    if not supervisor.alive():
        raise SystemExit("the stack is not running: `make up`")
    key = settings.api_key
    skus = asyncio.run(stock(settings, a.items))
    with Client(f"{settings.host}:{settings.gateway_port}", key, timeout_s=600) as client:
        room = client.analyze(client.upload((ROOT / "samples" / "living-room.jpg").read_bytes()).name).room
        supervisor.rpc().stopProcess("compositor")
        try:
            compare(client, room, settings, a.variants, a.repeats)
            batch(client, room, settings, skus, a.share)
        finally:
            supervisor.rpc().startProcess("compositor")
            asyncio.run(clear(settings))


if __name__ == "__main__":
    main()
