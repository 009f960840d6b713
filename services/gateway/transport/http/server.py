"""uvicorn in the event loop of the service."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process has its own


@asynccontextmanager
async def serve(
    app: ASGIApp, host: str, port: int, grace_s: float, proxies: Sequence[str], tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Requests are answered until this is left; running ones may then end within the grace. Without `tls` in plaintext.

    `proxies` are addresses whose word on the caller's address is taken.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ssl_context_factory=(lambda *_: tls) if tls else None,
        limit_concurrency=512,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, int(grace_s)),
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        if running.done():
            await running
            raise RuntimeError("the HTTP server ended while it started")
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await running
        listening.close()
