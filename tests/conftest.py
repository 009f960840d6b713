"""A stack of its own for the tests that need one: real servers, real services, free ports, fresh data."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

from deploy.local.programs import http_ok, prepare_triton
from deploy.local.settings import ROOT, LocalSettings
from deploy.local.stack import Stack
from roomviz.client import Client

STATE = ROOT / ".local" / "test"
# Tests in these need a stack. One of several workers runs them all, and alone starts one; the others give way to it, so
# that no deadline is missed because something else is computed.
ON_STACK = ("tests/contract/", "tests/e2e/")
GIVES_WAY = 10  # niceness


class _StackOnOneWorker(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith(ON_STACK) else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _StackOnOneWorker(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(ON_STACK):
        os.nice(max(0, GIVES_WAY - os.nice(0)))


def free_ports(count: int) -> list[int]:
    """Ports that are free now, and whose + 10000 is free too (SeaweedFS takes those)."""
    found: list[int] = []
    port = 20_000 + os.getpid() % 5_000
    while len(found) < count:
        port += 1
        try:
            for p in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", p))
        except OSError:
            continue
        found.append(port)
    return found


@contextmanager
def triton_over(repository: Path) -> Iterator[int]:
    """Triton over a model repository of its own; its gRPC port."""
    names = ["triton_http_port", "triton_grpc_port", "triton_metrics_port"]
    settings = LocalSettings(**dict(zip(names, free_ports(3), strict=True)))  # type: ignore[arg-type]
    command, environment = prepare_triton(settings)
    command = [re.sub(r"^--model-repository=.*", f"--model-repository={repository}", part) for part in command]
    log = repository.with_suffix(".log")
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        try:
            limit = time.monotonic() + 60
            while not http_ok(f"http://127.0.0.1:{settings.triton_http_port}/v2/health/ready"):
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < limit, log.read_text()[-2000:]
                time.sleep(0.2)
            yield settings.triton_grpc_port
        finally:
            server.terminate()
            server.wait(20)


@dataclass(frozen=True)
class Running:
    """A stack that is up."""

    stack: Stack
    settings: LocalSettings

    @property
    def address(self) -> str:
        return f"{self.settings.host}:{self.settings.gateway_port}"

    @property
    def key(self) -> str:
        return self.settings.api_key

    def client(self) -> Client:
        return Client(self.address, self.key)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ROOMVIZ_STATE": str(self.settings.home),
            "ROOMVIZ_HOST": self.settings.host,
            "ROOMVIZ_GATEWAY_PORT": str(self.settings.gateway_port),
            "ROOMVIZ_API_KEY": "",
            "NO_COLOR": "1",
        }

    def roomviz(self, *arguments: str | Path, columns: int = 200) -> subprocess.CompletedProcess[str]:
        """Run the command as a user would, in a terminal of so many columns."""
        command = [str(Path(sys.executable).with_name("roomviz")), *map(str, arguments)]
        environment = self.environment() | {"COLUMNS": str(columns)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def pid(self, program: str) -> int:
        return int(self.stack.rpc().getProcessInfo(program)["pid"])

    def ready(self, program: str) -> bool:
        from deploy.local.programs import prepare

        return next(p for p in prepare(self.settings) if p.name == program).ready()

    def until_ready(self, *programs: str) -> None:
        """Wait for programs that come back, with patience: the machine may be slow."""
        for program in programs:
            self.stack.wait_for(lambda program=program: self.ready(program), 120, program)

    def rows(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        """Look into the database, as nobody but a test may."""
        import asyncio

        import asyncpg

        async def fetch() -> list[dict[str, Any]]:
            url = f"postgresql://roomviz@{self.settings.host}:{self.settings.postgres_port}/roomviz"
            connection = await asyncpg.connect(url, passfile=str(self.settings.secrets / "pgpass"))
            try:
                return [dict(r) for r in await connection.fetch(sql, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(fetch())


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    names = [n for n in LocalSettings.model_fields if n.endswith("_port")]
    *found, pictures, hooks, generative = free_ports(len(names) + 3)
    settings = LocalSettings(
        state=STATE.relative_to(ROOT),
        # Tests serve pictures on this machine, as a retailer may from a network of its own.
        fetch_schemes=("http",),
        fetch_ports=(pictures,),
        fetch_networks=("127.0.0.0/8",),
        # Receivers of webhooks too, that are sent to again at once.
        webhook_schemes=("http",),
        webhook_ports=(hooks,),
        webhook_networks=("127.0.0.0/8",),
        webhook_schedule_s=(0, 0.5, 0.5, 2, 2),
        insight_period_s=0.5,
        generative_url=f"http://127.0.0.1:{generative}",
        **dict(zip(names, found, strict=True)),  # type: ignore[arg-type]
    )
    os.environ.setdefault("ROOMVIZ_RETENTION_SWEEP_S", "1")
    stack = Stack(settings)
    stack.stop()
    shutil.rmtree(STATE, ignore_errors=True)
    stack.up()
    try:
        yield Running(stack, settings)
    finally:
        stack.down()
        assert stack.orphans() == []


@pytest.fixture(scope="session")
def client(running: Running) -> Iterator[Client]:
    with running.client() as c:
        yield c


@pytest.fixture(scope="session")
def photo() -> bytes:
    """The sample photo as a user has it."""
    return (ROOT / "samples" / "living-room.jpg").read_bytes()


@pytest.fixture(scope="session")
def analyzed(client: Client, photo: bytes) -> Any:
    """The sample photo, uploaded and analyzed."""
    return client.analyze(client.upload(photo, "living-room.jpg").name)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
