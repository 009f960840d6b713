"""What the gateway costs, and what it holds against (`make bench-gateway`), on the stack of `make up`.

    python -m bench.gateway [overhead overload neighbour jobs upload duplicates]

Prints ratios and bounds, each beside its bar. Callers are processes of their own; what is compared is measured in turns.
"""

import argparse
import asyncio
import dataclasses
import io
import json
import math
import multiprocessing
import os
import secrets
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop
from google.protobuf.message import Message
from PIL import Image

from deploy.local.settings import INTERNAL_HOST, ROOT, LocalSettings
from deploy.local.stack import Stack
from roomviz.client import Client
from roomviz.runtime import database
from roomviz.runtime.rpc import from_call
from roomviz.v1 import products_pb2, visualizations_pb2, visualizations_pb2_grpc

GET, LIST = "/roomviz.v1.ProductService/GetProduct", "/roomviz.v1.ProductService/ListProducts"
PREVIEW = "/roomviz.v1.VisualizationService/PreviewVisualization"
DEADLINE_S = 8.0  # of every call
TURN_S, SETTLED_S, ROUNDS = 16.0, 2.0, 3  # alone, and beside a neighbour
START_S = 4.0  # for the callers' processes to be there
ONE = products_pb2.GetProductRequest(name="products/FLR-WALNUT")
MANY = products_pb2.ListProductsRequest(page_size=200)


@dataclasses.dataclass(frozen=True)
class Tenant:
    name: str
    key: str

    @property
    def metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.key}")]


class Bench:
    def __init__(self, settings: LocalSettings):
        self.s = settings
        self.gateway = f"{settings.host}:{settings.gateway_port}"
        self.catalog = f"{INTERNAL_HOST}:{settings.catalog_port}"
        os.environ.update(settings.service_environment("gateway"))
        self._callers_on: list[int] = []  # processors; none: any
        self.demo = Tenant(settings.demo_tenant, settings.api_key)

    def tenant(self, **limits: float) -> Tenant:
        """A tenant of its own, with these limits."""
        from services.gateway import keys

        made = Tenant(f"bench-{secrets.token_hex(4)}", secrets.token_hex(16))
        asyncio.run(keys.add(made.name, made.key))
        self.limit(made, **limits)
        return made

    def limit(self, tenant: Tenant, **limits: float | None) -> None:
        from services.gateway import quotas

        asyncio.run(quotas.change(tenant.name, dict(limits)))

    def pid(self) -> int:
        return int(Stack(self.s).rpc().getProcessInfo("gateway")["pid"])

    @contextmanager
    def apart(self) -> Iterator[None]:
        """The stack on one half of the processors, the callers on the other: else they take each other's time, and a flood
        would be shed by what sends it."""
        mine = sorted(os.sched_getaffinity(0))
        half = max(1, len(mine) // 2)
        stack = int(Stack(self.s).rpc().getPID())
        _pin(stack, set(mine[:half]))
        self._callers_on = mine[half:] or mine
        try:
            yield
        finally:
            self._callers_on = []
            _pin(stack, set(mine))

    def rows(self, sql: str, *arguments: Any) -> list[Any]:
        from services.gateway.settings import Settings

        async def fetch() -> list[Any]:
            async with database.pool(Settings(), "gateway") as pool:
                return list(await pool.fetch(sql, *arguments))

        return asyncio.run(fetch())

    def room(self, tenant: Tenant, number: int = 0) -> str:
        """The sample room, analyzed for a tenant; another room for each number."""
        photo = (ROOT / "samples" / "living-room.jpg").read_bytes()
        if number:
            image, out = Image.open(io.BytesIO(photo)), io.BytesIO()
            image.putpixel((0, 0), (number, 0, 0))
            image.save(out, "PNG")
            photo = out.getvalue()
        with Client(self.gateway, tenant.key) as client:
            return client.analyze(client.upload(photo).name).room

    def load(self, seconds: float, *streams: dict[str, Any], processes: int = 1) -> list[list[tuple]]:
        """The calls of each stream, in the order of the streams. Open loops send a part of their rate in each process."""
        parts = [{**s, "rate": s["rate"] / processes} if "rate" in s else s for s in streams]
        texts = self._run(seconds, [parts] * processes)
        return [[tuple(c) for text in texts for c in json.loads(text) if c[0] == i] for i in range(len(streams))]

    def load_apart(self, seconds: float, *streams: dict[str, Any]) -> list[list[tuple]]:
        """As `load`, a process a stream: so that one does not wait for the other at the caller."""
        return [[tuple(c) for c in json.loads(text)] for text in self._run(seconds, [[s] for s in streams])]

    def _run(self, seconds: float, jobs: list[list[dict[str, Any]]]) -> list[str]:
        job: dict[str, Any] = {"address": self.gateway, "seconds": seconds, "timeout_s": DEADLINE_S}
        job |= {"begin": time.time() + START_S, "processors": self._callers_on}
        command = [sys.executable, "-m", "bench.load"]
        running = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in jobs
        ]
        with ThreadPoolExecutor(len(jobs)) as threads:
            asked = zip(running, jobs, strict=True)
            return list(threads.map(lambda a: a[0].communicate(json.dumps(job | {"streams": a[1]}))[0], asked))


def _pin(process: int, processors: set[int]) -> None:
    """Let a process, its threads and all that come from it run on these processors alone."""
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), processors)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == process:
                _pin(int(stat.parent.name), processors)


def stream(tenant: Tenant, method: str, *bodies: Message, **how: float) -> dict[str, Any]:
    """Calls of a tenant, the bodies in turn."""
    return {
        "metadata": tenant.metadata,
        "method": method,
        "bodies": [b.SerializeToString().hex() for b in bodies],
        **how,
    }


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def row(what: str, measured: str, bar: str = "", kept: bool | None = None) -> None:
    print(f"{what:<62}{measured:>26}  {bar:<16}{'' if kept is None else 'kept' if kept else 'MISSED'}", flush=True)


# --- (a) what a call through the gateway costs ---------------------------------------------------------


def _echo(port: Any, answer: bytes) -> None:
    """A grpc.aio server that does nothing: it answers each call with the same bytes."""

    async def main() -> None:
        async def handle(request: bytes, rpc: grpc.aio.ServicerContext) -> bytes:
            return answer

        class Any_(grpc.GenericRpcHandler):
            def service(self, details: grpc.HandlerCallDetails) -> Any:
                return grpc.unary_unary_rpc_method_handler(handle)

        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Any_(),))
        port.send(server.add_insecure_port(f"{INTERNAL_HOST}:0"))
        await server.start()
        await server.wait_for_termination()

    uvloop.run(main())


async def _in_turns(bench: Bench, method: str, request: Message, runs: int) -> tuple[dict[str, float], int, int]:
    """Medians of seconds of: the gateway, the service behind it, an echo. One call at a time, one after the other."""
    body = request.SerializeToString()
    async with grpc.aio.insecure_channel(bench.gateway) as g, grpc.aio.insecure_channel(bench.catalog) as c:
        through, direct = g.unary_unary(method), c.unary_unary(method)
        told, vouched = bench.demo.metadata, [("x-roomviz-tenant", bench.demo.name)]
        answer = await through(body, metadata=told)
        mine, its = multiprocessing.Pipe()
        echo = multiprocessing.get_context("spawn").Process(target=_echo, args=(its, answer), daemon=True)
        echo.start()
        try:
            async with grpc.aio.insecure_channel(f"{INTERNAL_HOST}:{mine.recv()}") as e:
                bare = e.unary_unary(method)
                await bare(body, wait_for_ready=True)
                took: dict[str, list[float]] = {"gateway": [], "direct": [], "echo": []}
                for _ in range(runs):
                    for name, call, metadata in (
                        ("gateway", through, told),
                        ("direct", direct, vouched),
                        ("echo", bare, vouched),
                    ):
                        began = time.perf_counter()
                        await call(body, metadata=metadata, timeout=30)
                        took[name].append(time.perf_counter() - began)
        finally:
            echo.terminate()
    return {k: statistics.median(v[runs // 10 :]) for k, v in took.items()}, len(body), len(answer)


def overhead(bench: Bench) -> None:
    print("\nOverhead on a unary call: one at a time, medians of calls made in turns, uvloop on both sides")
    bench.limit(bench.demo, requests_per_s=1e5, requests_burst=100_000)
    time.sleep(11)  # for which a gateway remembers limits
    for name, method, request in (("GetProduct", GET, ONE), ("ListProducts", LIST, MANY)):
        took, asked, answered = uvloop.run(_in_turns(bench, method, request, 1500))
        ratio = took["gateway"] / (took["echo"] + took["direct"])
        ms = {k: f"{1000 * v:.2f}" for k, v in took.items()}
        row(f"{name}: gateway / (echo + direct), ms", f"{ms['gateway']} / ({ms['echo']} + {ms['direct']})")
        row(f"{name}: ratio", f"{ratio:.2f}", "<= 1.5", ratio <= 1.5)
        # From the kernel, to bytes, to a message, and out the same way; an echo copies the request in and the answer out.
        row(f"{name}: bytes copied, gateway / echo", f"{6 * (asked + answered)} / {2 * (asked + answered)}")
    bench.limit(bench.demo, requests_per_s=None, requests_burst=None)


# --- (b) four times as much as it can do -----------------------------------------------------------------


def _overload(bench: Bench, name: str, streams: list[dict[str, Any]], callers: int, processes: int) -> None:
    closed = [{**s, "callers": max(1, callers // len(streams) // processes)} for s in streams]
    bench.load(3, *closed, processes=processes)  # warm
    seconds = 12.0
    peaks, goods, sent, accepted, refusals, codes, mute = [], [], [], [], [], Counter[str](), 0
    for _ in range(2):
        done = [c for calls in bench.load(seconds, *closed, processes=processes) for c in calls if c[3] == "OK"]
        peaks.append(len(done) / seconds)
        opened = [{**s, "rate": 4 * peaks[-1] / len(streams)} for s in streams]
        calls = [c for found in bench.load(seconds, *opened, processes=processes) for c in found]
        # Answered while the load lasted: what is worked off after it does not count.
        goods.append(sum(c[3] == "OK" and c[1] + c[2] <= seconds for c in calls) / seconds)
        sent.append(sum(c[1] <= seconds for c in calls) / seconds)
        accepted += [c[2] for c in calls if c[3] == "OK"]
        refusals += [c[2] for c in calls if c[3] in ("RESOURCE_EXHAUSTED", "UNAVAILABLE")]
        codes.update(c[3] for c in calls)
        mute += sum(c[3] in ("RESOURCE_EXHAUSTED", "UNAVAILABLE") and not c[4] for c in calls)
    peak, good, offered = statistics.mean(peaks), statistics.mean(goods), statistics.mean(sent)
    row(f"{name}: peak, closed loop of {callers} callers", f"{peak:.0f}/s")
    row(f"{name}: goodput at {offered / peak:.1f}x, open loop", f"{good:.0f}/s = {good / peak:.0%}", ">= 80 %", good >= 0.8 * peak)  # fmt: skip
    row(f"{name}: accepted p50 / p99", f"{percentile(accepted, 50):.2f} / {percentile(accepted, 99):.2f} s", f"deadline {DEADLINE_S:g} s")  # fmt: skip
    row(f"{name}: refusals p50 / p99", f"{percentile(refusals, 50):.3f} / {percentile(refusals, 99):.3f} s")
    row(f"{name}: answers", ", ".join(f"{k} {v}" for k, v in sorted(codes.items())))
    row(f"{name}: refusals that do not say when to come back", str(mute), "0", mute == 0)


def overload(bench: Bench) -> None:
    print("\nFour times the peak, from four tenants")
    tenants = [bench.tenant(requests_per_s=1e5, requests_burst=100_000, heavy_calls=64) for _ in range(4)]
    staging = visualizations_pb2.Staging(relight=visualizations_pb2.RELIGHT_WARM)
    previews = [
        stream(t, PREVIEW, visualizations_pb2.PreviewVisualizationRequest(room=bench.room(t), staging=staging))
        for t in tenants
    ]
    _overload(bench, "previews", previews, 8, 1)
    empty = products_pb2.ListProductsRequest(page_size=1)
    with bench.apart():
        _overload(bench, "product lists", [stream(t, LIST, empty) for t in tenants], 32, 1)


# --- (c) a neighbour that floods -------------------------------------------------------------------------


def neighbour(bench: Bench) -> None:
    print(
        "\nA quiet tenant alone, and beside one that sends ten times its quota, or 32 calls at a time without a pause; in turns"
    )
    quiet = bench.tenant()
    # A tenth and a half of the previews that two processors make.
    small, large = (bench.tenant(requests_per_s=n, requests_burst=n, heavy_calls=1) for n in (2, 10))
    staging = visualizations_pb2.Staging(relight=visualizations_pb2.RELIGHT_WARM)

    def preview(tenant: Tenant, number: int) -> Message:
        return visualizations_pb2.PreviewVisualizationRequest(room=bench.room(tenant, number), staging=staging)

    empty = products_pb2.ListProductsRequest(page_size=1)
    # Several rooms, as shoppers have.
    shopper = stream(quiet, PREVIEW, *(preview(quiet, n) for n in range(1, 5)), rate=4)
    for name, calm, flood, quota in (
        ("product lists", stream(quiet, LIST, empty, rate=20), stream(large, LIST, empty), 10),
        ("previews, flood of lists", shopper, stream(large, LIST, empty), 10),
        ("previews, flood of previews", shopper, stream(small, PREVIEW, preview(small, 0)), 2),
        ("previews, flood of previews", shopper, stream(large, PREVIEW, preview(large, 0)), 10),
    ):
        name, ten_times = f"{name}, quota {quota}/s", f"{10 * quota}/s"
        beside: dict[str, list[float]] = {"alone": [], ten_times: [], "32 at once": []}
        codes = {how: Counter[str]() for how in beside}
        refused = 0
        for _ in range(ROUNDS):
            for how, more in (("alone", None), (ten_times, {"rate": 10 * quota}), ("32 at once", {"callers": 32})):
                # Whoever floods ends before the next turn, with all of its calls.
                calls, *loud = bench.load_apart(TURN_S, calm, *([flood | more] if more else []))
                beside[how] += [c[2] for c in calls if c[1] >= SETTLED_S]
                refused += sum(c[3] != "OK" for c in calls)
                codes[how].update(c[3] for found in loud for c in found)
        for how, took in beside.items():
            row(f"{name}, {how}: p50 / p95 of {len(took)}", f"{1000 * percentile(took, 50):.1f} / {1000 * percentile(took, 95):.1f} ms")  # fmt: skip
            if how != "alone":
                ratio = percentile(took, 95) / percentile(beside["alone"], 95)
                row(f"{name}, {how}: ratio of p95", f"{ratio:.2f}", "<= 1.10", ratio <= 1.1)
                row(f"{name}, {how}: the flood's answers", ", ".join(f"{k} {v}" for k, v in sorted(codes[how].items())))
        row(f"{name}: refused, of the quiet one", str(refused), "0", refused == 0)


def jobs(bench: Bench) -> None:
    print("\nAn export of a quiet tenant alone, and behind a tenant that asks for sixteen at once")
    warm = visualizations_pb2.Staging(relight=visualizations_pb2.RELIGHT_WARM)
    for running in (16, 4):
        quiet, noisy = bench.tenant(), bench.tenant(operations_running=running)
        rooms = {t.name: bench.room(t) for t in (quiet, noisy)}
        took: dict[bool, list[float]] = {False: [], True: []}
        with (
            Client(bench.gateway, quiet.key) as client,
            grpc.insecure_channel(bench.gateway) as channel,
            ThreadPoolExecutor(16) as threads,
        ):
            stub = visualizations_pb2_grpc.VisualizationServiceStub(channel)
            asked = visualizations_pb2.ExportVisualizationRequest(room=rooms[noisy.name], staging=warm)

            def ask(_: int, stub: Any = stub, asked: Any = asked, noisy: Tenant = noisy) -> bool:
                try:
                    stub.ExportVisualization(asked, metadata=noisy.metadata, timeout=30)
                except grpc.RpcError:
                    return False
                return True

            for flooded in (False, True) * 3:
                let_in = sum(threads.map(ask, range(16))) if flooded else 0
                began = time.perf_counter()
                client.export(rooms[quiet.name], staging=warm)
                took[flooded].append(time.perf_counter() - began)
                while bench.rows("SELECT 1 FROM operations WHERE tenant = $1 AND state = 'RUNNING'", noisy.name):
                    time.sleep(0.5)
        alone, behind = statistics.median(took[False]), statistics.median(took[True])
        row(
            f"at most {running} operations of a tenant ({let_in} of 16 let in): alone / behind",
            f"{alone:.2f} / {behind:.2f} s",
        )


# --- (d) memory of an upload -----------------------------------------------------------------------------


def noise(seed: int) -> bytes:
    """A PNG of nearly 25 MB that nothing makes smaller."""
    pixels = np.random.default_rng(seed).integers(0, 256, (2900, 2900, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def resident(pid: int) -> dict[str, int]:
    """Bytes of the process' memory: now (VmRSS) and at its highest (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {k: v.split() for k, _, v in (line.partition(":") for line in lines)}
    return {k: int(found[k][0]) << 10 for k in ("VmRSS", "VmHWM")}


def upload(bench: Bench) -> None:
    print("\nMemory of the gateway while 25 MB come in")
    tenant, pid = bench.tenant(), bench.pid()
    with Client(bench.gateway, tenant.key) as client:
        client.upload((ROOT / "samples" / "living-room.jpg").read_bytes())  # what is there from the first one on
        time.sleep(2)
        over = []
        for seed in range(3):
            data = noise(secrets.randbits(32) + seed)
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest is counted from here on
            idle = resident(pid)["VmRSS"]
            client.upload(data)
            over.append(resident(pid)["VmHWM"] - idle)
            time.sleep(1)
    worst = max(over) / 2**20
    row(
        f"{len(data) / 2**20:.1f} MB, one at a time: most over idle, of three",
        f"{worst:.1f} MB",
        "<= 32 MB",
        worst <= 32,
    )
    tenants = [bench.tenant() for _ in range(4)]
    pictures = [noise(secrets.randbits(32)) for _ in tenants]
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    idle = resident(pid)["VmRSS"]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda t: Client(bench.gateway, t[0].key).upload(t[1]), zip(tenants, pictures, strict=True)))
    row("four at a time: over idle", f"{(resident(pid)['VmHWM'] - idle) / 2**20:.1f} MB")


# --- (e) duplicates --------------------------------------------------------------------------------------


def duplicates(bench: Bench) -> None:
    print("\nA thousand times the same create at once; who is refused comes back when it is told to")
    tenant = bench.tenant(requests_per_s=1000, requests_burst=2000)
    request = visualizations_pb2.ExportVisualizationRequest(
        room=bench.room(tenant),
        staging=visualizations_pb2.Staging(relight=visualizations_pb2.RELIGHT_WARM),
        request_id=str(uuid.uuid4()),
    )
    attempts = 0

    async def all_of_them() -> list[str]:
        async with grpc.aio.insecure_channel(bench.gateway) as channel:
            stub = visualizations_pb2_grpc.VisualizationServiceStub(channel)

            async def one() -> str:
                nonlocal attempts
                while True:
                    attempts += 1
                    try:
                        made = await stub.ExportVisualization(request, metadata=tenant.metadata, timeout=30)
                    except grpc.aio.AioRpcError as error:
                        told = from_call(error)
                        if told.retry_after_s is None:
                            raise
                        await asyncio.sleep(told.retry_after_s * np.random.uniform(1, 1.25))
                    else:
                        return str(made.name)

            return list(await asyncio.gather(*(one() for _ in range(1000))))

    names = set(asyncio.run(all_of_them()))
    charged = bench.rows("SELECT charge FROM charges WHERE tenant = $1 AND charge LIKE 'operations/%' AND megapixels > 0", tenant.name)  # fmt: skip
    row(f"operations / charges of 1000 ({attempts} attempts)", f"{len(names)} / {len(charged)}", "1 / 1", len(names) == len(charged) == 1)  # fmt: skip


PARTS = {f.__name__: f for f in (overhead, overload, neighbour, jobs, upload, duplicates)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    bench = Bench(LocalSettings())
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for name in parser.parse_args().parts or PARTS:
        PARTS[name](bench)


if __name__ == "__main__":
    main()
