"""How the platform is: every server and service, asked side by side."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from roomviz import __version__
from roomviz.internal.status.v1 import status_pb2

_LIMIT_S = 4.0


@dataclass(frozen=True)
class ComponentStatus:
    component: str
    version: str = ""
    reachable: bool = False
    ready: bool = False
    reason: str = ""


@dataclass(frozen=True)
class SystemCases:
    """services: name to a StatusService stub; own: the gateway's last checks."""

    services: dict[str, Any]
    own: Callable[[], Awaitable[status_pb2.GetStatusResponse]]

    async def status(self) -> list[ComponentStatus]:
        answers = await asyncio.gather(*(self._ask(name, stub) for name, stub in self.services.items()))
        own = await self.own()
        servers: dict[str, ComponentStatus] = {}
        for check in [c for _, checks in answers for c in checks] + list(own.checks):
            if check.dependency in self.services:
                continue
            seen = ComponentStatus(check.dependency, check.version, check.ok, check.ok, check.reason)
            # Reachable for one service is reachable; what any of them misses is told.
            before = servers.get(check.dependency)
            if before is None or (before.ready and not seen.ready):
                servers[check.dependency] = seen
        missing = [c.dependency for c in own.checks if not c.ok]
        gateway = ComponentStatus(
            "gateway", __version__, True, not missing, f"waits for {', '.join(missing)}" if missing else ""
        )
        return [gateway, *(s for s, _ in answers), *(servers[k] for k in sorted(servers))]

    async def _ask(self, name: str, stub: Any) -> tuple[ComponentStatus, list[status_pb2.Check]]:
        try:
            answer = await stub.GetStatus(status_pb2.GetStatusRequest(), timeout=_LIMIT_S)
        except grpc.aio.AioRpcError as error:
            return ComponentStatus(name, reason=f"does not answer ({error.code().name})"), []
        missing = [c.dependency for c in answer.checks if not c.ok]
        return ComponentStatus(
            name, answer.version, True, not missing, f"waits for {', '.join(missing)}" if missing else ""
        ), list(answer.checks)
