"""A service's process: from its composition root to a drained end."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import structlog
import uvloop
from prometheus_client import start_http_server

from roomviz import __version__
from roomviz.runtime.log import configure
from roomviz.runtime.settings import ServiceSettings

log = structlog.get_logger()
S = TypeVar("S", bound=ServiceSettings)

# A thread that computes gives the interpreter up to who waits for it within this time, such as the event loop.
_SWITCH_S = 0.0005
DRAIN_SLACK_S = 15.0  # beyond the grace of running calls: for a job in hand and for closing connections


def run(name: str, settings: S, metrics_port: int, app: Callable[[S], AbstractAsyncContextManager[Any]]) -> None:
    """Serve until SIGTERM or SIGINT, then leave `app`: it closes in the reverse of the order in which it opened."""
    configure(name, settings.log_level)
    sys.setswitchinterval(_SWITCH_S)

    async def main() -> None:
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):  # asyncio.run() unwinds on SIGINT only
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        start_http_server(metrics_port, settings.metrics_host)
        # A signal during start-up must end it too, not wait for a server that may never come.
        entered = app(settings)
        opening, stopping = asyncio.create_task(entered.__aenter__()), asyncio.create_task(stop.wait())
        await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            return
        await opening
        log.info("serving", version=__version__)
        await stopping
        log.info("draining")
        try:
            async with asyncio.timeout(settings.shutdown_grace_s + DRAIN_SLACK_S):
                await entered.__aexit__(None, None, None)
        except TimeoutError:
            log.error("drain took too long; leaving")
        log.info("stopped")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
