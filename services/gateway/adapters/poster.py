"""Posting to a caller's URL, on the public internet alone. Redirects are not followed."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore

from roomviz.errors import RoomvizError
from services.gateway.adapters.network import host_header, public_connections
from services.gateway.domain.addresses import Rules, target


@dataclass(frozen=True)
class Answer:
    """status is 0 and error says why where nothing answered; body has the first bytes alone."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    error: str = ""


class Poster:
    def __init__(self, pool: httpcore.AsyncConnectionPool, rules: Rules, limit_s: float):
        self._pool, self._rules, self._limit_s = pool, rules, limit_s

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, kept: int) -> Answer:
        """What the URL answers with, of whose body `kept` bytes are read. Never raises for what is out there."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._post(url, headers, body, kept)
        except TimeoutError:
            return _failed(f"did not answer within {self._limit_s:g} s")
        except RoomvizError as error:
            return _failed(f"{error.message} ({error.reason})")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError) as error:
            return _failed(str(error) or type(error).__name__)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes, kept: int) -> Answer:
        asked = target(url, self._rules)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._limit_s)
        sent = {
            "Host": host_header(asked),
            "User-Agent": "roomviz-webhooks/1",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            **headers,
        }
        async with self._pool.stream(
            "POST", asked.url, headers=list(sent.items()), content=body, extensions={"timeout": timeouts}
        ) as response:
            answered = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            read = bytearray()
            async for chunk in response.aiter_stream():
                read += chunk
                if len(read) >= kept:
                    break
            return Answer(response.status, answered, bytes(read[:kept]))


def _failed(error: str) -> Answer:
    return Answer(0, {}, b"", error)


@asynccontextmanager
async def poster(rules: Rules, limit_s: float, trust: ssl.SSLContext | None = None) -> AsyncIterator[Poster]:
    """`trust`: whose certificates are believed; the system's where not given."""
    async with public_connections(rules, trust) as pool:
        yield Poster(pool, rules, limit_s)
