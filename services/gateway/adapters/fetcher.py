"""Fetching what a caller's URL points to, from the public internet alone.

Redirects are followed by hand, each looked at like the first URL.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpcore

from roomviz.errors import InvalidArgument
from services.gateway.adapters.network import host_header, public_connections, unreachable
from services.gateway.domain.addresses import Rules, target

REDIRECTS_MAX = 3
_REDIRECTS = (301, 302, 303, 307, 308)


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
            raise unreachable(f"the URL did not answer within {self._limit_s:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError) as error:
            raise unreachable(f"the URL cannot be fetched: {error or type(error).__name__}") from error
        raise unreachable(f"the URL redirects more than {REDIRECTS_MAX} times")

    async def _step(self, url: str) -> tuple[bytes | None, str]:
        """The body, or where to look next."""
        asked = target(url, self._rules)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._limit_s)
        async with self._pool.stream(
            "GET",
            asked.url,
            # Nothing compressed: a small answer must not unfold into a large one.
            headers={
                "Host": host_header(asked),
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
                    raise unreachable("the URL redirects to what is no URL") from error
            if response.status != 200:
                raise unreachable(f"the URL answered with {response.status}")
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


@asynccontextmanager
async def fetcher(
    rules: Rules, bytes_max: int, limit_s: float, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Fetcher]:
    """`trust`: whose certificates are believed; the system's where not given."""
    async with public_connections(rules, trust) as pool:
        yield Fetcher(pool, rules, bytes_max, limit_s)
