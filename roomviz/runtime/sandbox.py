"""Work on what somebody sent, in child processes that may be killed."""

import asyncio
import multiprocessing
import resource
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from pebble import ProcessExpired, ProcessPool

from roomviz.errors import InvalidArgument, RoomvizError, Unavailable
from roomviz.runtime.metrics import SANDBOX_LOST

Given = TypeVarTuple("Given")
R = TypeVar("R")


class TookTooLong(InvalidArgument):
    """The work was not done within its time."""


@dataclass(frozen=True)
class _Refused:
    """A refusal as plain values: exceptions with arguments of their own do not survive the pipe."""

    reason: str
    message: str
    metadata: dict[str, str]


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except RoomvizError as error:
        return _Refused(error.reason, error.message, error.metadata)


class Sandbox:
    """Runs functions of modules, whose arguments and answers can be pickled."""

    def __init__(self, pool: ProcessPool, limit_s: float):
        self._pool, self._limit_s = pool, limit_s

    async def run(self, function: Callable[[*Given], R], *arguments: *Given) -> R:
        """Raises InvalidArgument: what the function refuses, or IMAGE_CORRUPT where it needs more memory than it may
        have, or (TookTooLong) more time; Unavailable DECODER_STOPPED at a shutdown."""
        future = self._pool.schedule(_guarded, args=[function, *arguments], timeout=self._limit_s)
        try:
            answer = await asyncio.wrap_future(future)
        except (FutureTimeout, TimeoutError) as error:
            SANDBOX_LOST.labels("timeout").inc()
            raise TookTooLong(
                "IMAGE_CORRUPT", f"the picture could not be decoded within {self._limit_s:g} s"
            ) from error
        except ProcessExpired as error:
            if (error.exitcode or 0) >= 0:  # it was asked to end, as at a shutdown: no fault of the picture's
                raise Unavailable("DECODER_STOPPED", "the decoder was stopped; send the picture again") from error
            SANDBOX_LOST.labels("crash").inc()
            raise InvalidArgument("IMAGE_CORRUPT", "the picture broke the decoder") from error
        except MemoryError as error:
            raise InvalidArgument("IMAGE_CORRUPT", "the picture could not be decoded within its limits") from error
        if isinstance(answer, _Refused):
            raise InvalidArgument(answer.reason, answer.message, answer.metadata)
        return answer  # type: ignore[no-any-return]


@asynccontextmanager
async def sandbox(workers: int, limit_s: float, memory_bytes: int, preload: Sequence[str]) -> AsyncIterator[Sandbox]:
    """A sandbox of so many processes; `preload` names the modules of what they will run."""
    # Not forked from this process: it has threads, and secrets in its memory.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    pool = ProcessPool(max_workers=workers, max_tasks=200, initializer=_limit, initargs=[memory_bytes], context=context)
    try:
        yield Sandbox(pool, limit_s)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(pool.join, 5)
