"""Decoding of untrusted pictures in child processes that may be killed."""

import asyncio
import multiprocessing
import resource
from collections.abc import AsyncIterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import asynccontextmanager

from pebble import ProcessExpired, ProcessPool

from roomviz.errors import InvalidArgument, RoomvizError, Unavailable
from services.gateway.domain.ingest import Limits, Photo, take_in


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(data: bytes, limits: Limits) -> Photo | tuple[str, str, dict[str, str]]:
    """A refusal comes back as plain values: exceptions with arguments of their own do not survive the pipe."""
    try:
        return take_in(data, limits)
    except RoomvizError as error:
        return error.reason, error.message, error.metadata


class ProcessDecoder:
    def __init__(self, pool: ProcessPool, limits: Limits, limit_s: float):
        self._pool, self._limits, self._limit_s = pool, limits, limit_s

    async def take_in(self, data: bytes) -> Photo:
        future = self._pool.schedule(_work, args=[data, self._limits], timeout=self._limit_s)
        try:
            answer = await asyncio.wrap_future(future)
        except (FutureTimeout, TimeoutError) as error:
            raise InvalidArgument(
                "IMAGE_CORRUPT", f"the picture could not be decoded within {self._limit_s:g} s"
            ) from error
        except ProcessExpired as error:
            if (error.exitcode or 0) >= 0:  # it was asked to end, as at a shutdown: no fault of the picture's
                raise Unavailable("DECODER_STOPPED", "the decoder was stopped; send the picture again") from error
            raise InvalidArgument("IMAGE_CORRUPT", "the picture broke the decoder") from error
        except MemoryError as error:
            raise InvalidArgument("IMAGE_CORRUPT", "the picture could not be decoded within its limits") from error
        if isinstance(answer, Photo):
            return answer
        raise InvalidArgument(*answer)


@asynccontextmanager
async def decoder(workers: int, limits: Limits, limit_s: float, memory_bytes: int) -> AsyncIterator[ProcessDecoder]:
    # Not forked from this process: it has threads, and secrets in its memory.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["services.gateway.domain.ingest"])
    pool = ProcessPool(max_workers=workers, max_tasks=200, initializer=_limit, initargs=[memory_bytes], context=context)
    try:
        yield ProcessDecoder(pool, limits, limit_s)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(pool.join, 5)
