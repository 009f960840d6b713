"""Connections to what a caller names, on the public internet alone.

The addresses of a host are looked up once, looked at, and connected to: nobody can change them in between. TLS is still
checked against the host's name.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from roomviz.errors import FailedPrecondition
from services.gateway.domain.addresses import Rules, Target, check_addresses, forbidden


def unreachable(message: str) -> FailedPrecondition:
    return FailedPrecondition("URL_UNREACHABLE", message)


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the rules allow."""

    def __init__(self, rules: Rules):
        self._rules, self._inner = rules, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise unreachable(f"{host} has no address") from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        check_addresses(host, addresses, self._rules)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses[:4]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise forbidden("a socket on this machine is not reached")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def host_header(asked: Target) -> str:
    name = f"[{asked.host}]" if ":" in asked.host else asked.host
    return name if asked.port == {"https": 443, "http": 80}[asked.scheme] else f"{name}:{asked.port}"


def public_connections(rules: Rules, trust: ssl.SSLContext | None = None) -> httpcore.AsyncConnectionPool:
    """A pool that connects where the rules allow. `trust`: whose certificates are believed; the system's where not given."""
    return httpcore.AsyncConnectionPool(
        ssl_context=trust or ssl.create_default_context(),
        max_connections=16,
        max_keepalive_connections=0,
        network_backend=_PublicNetwork(rules),
    )
