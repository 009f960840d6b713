"""Readiness that tells the truth: a service is ready while all that it depends on works."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health, health_pb2

from roomviz import __version__
from roomviz.internal.status.v1 import status_pb2, status_pb2_grpc
from roomviz.runtime.background import beside
from roomviz.runtime.metrics import DEPENDENCY_UP

log = structlog.get_logger()

# Returns the dependency's version, or raises.
Probe = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Check:
    """The last word on one dependency."""

    ok: bool
    reason: str = ""
    version: str = ""


class Health(status_pb2_grpc.StatusServiceServicer):
    """Probes the dependencies again and again; answers from the last round, so asking costs nothing."""

    def __init__(self, probes: Mapping[str, Probe], period_s: float = 1.0, timeout_s: float = 3.0):
        self._probes, self._period, self._timeout = probes, period_s, timeout_s
        self._checks: dict[str, Check] = {}
        self.servicer = health.aio.HealthServicer()

    async def _probe(self, name: str, probe: Probe) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                check = Check(True, version=await probe())
        except TimeoutError:
            check = Check(False, f"no answer within {self._timeout:g} s")
        except Exception as error:
            check = Check(False, f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__)
        before = self._checks.get(name)
        if before is None or before.ok != check.ok:
            log.info("dependency", dependency=name, ok=check.ok, reason=check.reason)
        self._checks[name] = check
        DEPENDENCY_UP.labels(name).set(check.ok)

    async def _round(self) -> None:
        await asyncio.gather(*(self._probe(n, p) for n, p in self._probes.items()))
        ready = all(c.ok for c in self._checks.values())
        serving = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        await self.servicer.set("", serving)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Health"]:
        await self.servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

        async def loop() -> None:
            while True:
                await self._round()
                await asyncio.sleep(self._period)

        async with beside(loop()):
            yield self

    async def GetStatus(
        self, request: status_pb2.GetStatusRequest, rpc: grpc.aio.ServicerContext
    ) -> status_pb2.GetStatusResponse:
        return self.answer()

    def answer(self) -> status_pb2.GetStatusResponse:
        """The last word on every dependency."""
        checks = [
            status_pb2.Check(dependency=n, ok=c.ok, reason=c.reason, version=c.version)
            for n, c in sorted(self._checks.items())
        ]
        return status_pb2.GetStatusResponse(version=__version__, checks=checks)


# Asking how a service is needs no tenant.
OPEN_METHODS = frozenset({"/roomviz.internal.status.v1.StatusService/GetStatus"})
