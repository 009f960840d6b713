"""Fetching what a caller's URL points to, from the public internet alone.

The addresses of a host are looked up once, looked at, and connected to: nobody can change them in between. TLS is still
checked against the host's name. Redirects are followed by hand, each looked at like the first URL.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import httpcore

from roomviz.errors import FailedPrecondition, InvalidArgument
from services.gateway.domain.addresses import Rules, check_addresses, forbidden, target

REDIRECTS_MAX = 3
_REDIRECTS = (301, 302, 303, 307, 308)


def _unreachable(message: str) -> FailedPrecondition:
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
            raise _unreachable(f"{host} has no address") from error
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
        raise forbidden("a socket on this machine is not fetched from")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Fetcher:
    def __init__(self, pool: httpcore.AsyncConnectionPool, rules: Rules, bytes_max: int, limit_s: float):
        self._pool, self._rules, self._bytes_max, self._limit_s = pool, rules, bytes_max, limit_s

    async def fetch(self, url: str) -> bytes:
        """What lies there.

        Raises:
            InvalidArgument: URL_INVALID; URL_FORBIDDEN where the rules exclude it; URL_TOO_LARGE.
            FailedPrecondition: URL_UNREACHABLE where nothing answers in time, or with anything but 200.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                for _ in range(REDIRECTS_MAX + 1):
                    body, url = await self._step(url)
                    if body is not None:
                        return body
        except TimeoutError:
            raise _unreachable(f"the URL did not answer within {self._limit_s:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError) as error:
            raise _unreachable(f"the URL cannot be fetched: {error or type(error).__name__}") from error
        raise _unreachable(f"the URL redirects more than {REDIRECTS_MAX} times")

    async def _step(self, url: str) -> tuple[bytes | None, str]:
        """The body, or where to look next."""
        asked = target(url, self._rules)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._limit_s)
        async with self._pool.stream(
            "GET",
            asked.url,
            # Nothing compressed: a small answer must not unfold into a large one.
            headers={
                "Host": _host(asked.host, asked.port, asked.scheme),
                "Accept": "image/*",
                "Accept-Encoding": "identity",
            },
            extensions={"timeout": timeouts},
        ) as response:
            headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            if response.status in _REDIRECTS and headers.get("location"):
                try:
                    return None, urljoin(asked.url, headers["location"])
                except ValueError as error:
                    raise _unreachable("the URL redirects to what is no URL") from error
            if response.status != 200:
                raise _unreachable(f"the URL answered with {response.status}")
            length = headers.get("content-length", "")
            body = bytearray()
            if not (length.isdigit() and int(length) > self._bytes_max):
                async for chunk in response.aiter_stream():
                    body += chunk
                    if len(body) > self._bytes_max:
                        break
                else:
                    return bytes(body), url
            raise InvalidArgument("URL_TOO_LARGE", f"what lies there has more than {self._bytes_max} bytes")


def _host(host: str, port: int, scheme: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == {"https": 443, "http": 80}[scheme] else f"{name}:{port}"


@asynccontextmanager
async def fetcher(
    rules: Rules, bytes_max: int, limit_s: float, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Fetcher]:
    """`trust`: whose certificates are believed; the system's where not given."""
    async with httpcore.AsyncConnectionPool(
        ssl_context=trust or ssl.create_default_context(),
        max_connections=16,
        max_keepalive_connections=0,
        network_backend=_PublicNetwork(rules),
    ) as pool:
        yield Fetcher(pool, rules, bytes_max, limit_s)
