"""The outermost layer of every HTTP request: its id, safe headers, CORS, one log line, metrics, a last word on faults."""

import asyncio
import re
import time
from collections.abc import Sequence

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roomviz.errors import Unavailable
from roomviz.runtime.context import REQUEST_ID, new_request_id
from roomviz.runtime.metrics import HTTP_SECONDS
from services.gateway.transport.http.problems import problem

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[!-~]{1,64}")
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
)
_METHODS = b"GET, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    b"Authorization, X-API-Key, Content-Type, X-Request-Id, If-None-Match, Connect-Protocol-Version, Connect-Timeout-Ms"
)
_RESPONSE_HEADERS = b"X-Request-Id, Retry-After, ETag, Content-Disposition"


class Edge:
    """`origins` may read answers in a browser (`https://shop.example`); `*` is any, none is the default."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]):
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.monotonic()
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        given = headers.get(REQUEST_ID, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(service="gateway", request_id=request_id)
        scope.setdefault("state", {})["request_id"] = request_id
        cors = self._cors(headers.get("origin", ""))
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                have = {k.lower() for k, _ in message.get("headers", ())}
                added = [(REQUEST_ID.encode(), request_id.encode()), *cors, *(h for h in _SAFE if h[0] not in have)]
                if b"cache-control" not in have:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        try:
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await self._preflight(answer, bool(cors))
            else:
                await self._app(scope, receive, answer)
        except asyncio.CancelledError:  # the server stops, and its grace is over
            if not status:
                stops = Unavailable("SERVER_STOPS", "the server stops just now; try again")
                await problem(stops, request_id)(scope, receive, answer)
            raise
        except ClientDisconnect:
            status = status or 499
        except Exception as error:
            if status:  # too late for another answer: the connection breaks off, which the client sees
                log.exception("answer broken off")
                raise
            await problem(error, request_id)(scope, receive, answer)
        finally:
            took = time.monotonic() - began
            route = scope["state"].get("route", "other")
            HTTP_SECONDS.labels(route, str(status or 499)).observe(took)
            log.info("request", method=scope["method"], route=route, code=status or 499, seconds=round(took, 4))

    def _cors(self, origin: str) -> list[tuple[bytes, bytes]]:
        if not self._origins:
            return []
        vary = (b"vary", b"Origin")
        if origin in self._origins or (origin and "*" in self._origins):
            return [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", _RESPONSE_HEADERS),
                vary,
            ]
        return [vary]

    async def _preflight(self, send: Send, known: bool) -> None:
        headers = [(b"content-length", b"0")]
        if known:
            headers += [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _REQUEST_HEADERS),
                (b"access-control-max-age", b"600"),
            ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
