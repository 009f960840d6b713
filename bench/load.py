"""Callers in a process of their own: so that what they cost is not taken for the server's.

    python -m bench.load < JOB.json > CALLS.json

A job names an address and streams of calls; each stream sends its calls at times of its own, whether or not the ones before
were answered (an open loop: waiting for answers would hide a server that stalls), or keeps so many going (a closed one).
"""

import asyncio
import json
import os
import random
import sys
import time
from itertools import cycle
from typing import Any

import grpc
import uvloop

from roomviz.runtime.rpc import MESSAGE_BYTES_MAX


class Stream:
    """One tenant's calls of one method. `calls` has of each: the stream's number, seconds from the begin to when it was sent,
    seconds that it took, its code, and whether a refusal has details (such as when to come back)."""

    def __init__(self, number: int, job: dict[str, Any], channel: grpc.aio.Channel):
        told = job["streams"][number]
        self._number, self._told, self._seconds, self._timeout = number, told, job["seconds"], job["timeout_s"]
        self._method = channel.unary_unary(told["method"])
        self._bodies = cycle([bytes.fromhex(body) for body in told["bodies"]])
        self._metadata = [tuple(pair) for pair in told["metadata"]]
        self.calls: list[tuple[int, float, float, str, bool]] = []

    async def run(self, begin: float) -> None:
        async with asyncio.TaskGroup() as group:
            if "rate" in self._told:
                rate = self._told["rate"]
                for i in range(int(rate * self._seconds)):
                    # At any time within its turn: evenly, calls of two streams would meet always or never.
                    await asyncio.sleep(begin + (i + random.random()) / rate - time.perf_counter())
                    group.create_task(self._one(begin))
            else:
                for _ in range(self._told["callers"]):
                    group.create_task(self._again(begin))

    async def _again(self, begin: float) -> None:
        while time.perf_counter() < begin + self._seconds:
            await self._one(begin)

    async def _one(self, begin: float) -> None:
        sent, code, told = time.perf_counter(), "OK", False
        try:
            await self._method(next(self._bodies), metadata=self._metadata, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            told = any(k == "grpc-status-details-bin" for k, _ in error.trailing_metadata() or ())
        self.calls.append((self._number, sent - begin, time.perf_counter() - sent, code, told))


async def _run(job: dict[str, Any]) -> list[tuple[int, float, float, str, bool]]:
    # A connection a stream, as tenants have.
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(job["address"], options=options) for _ in job["streams"]]
    await asyncio.gather(*(c.channel_ready() for c in channels))
    streams = [Stream(i, job, c) for i, c in enumerate(channels)]
    begin = time.perf_counter() + job["begin"] - time.time()
    await asyncio.sleep(begin - time.perf_counter())
    await asyncio.gather(*(s.run(begin) for s in streams))
    await asyncio.gather(*(c.close() for c in channels))
    return [call for s in streams for call in s.calls]


if __name__ == "__main__":
    os.nice(10)  # on one machine the server goes first, as it would if it had the machine to itself
    asked = json.load(sys.stdin)
    if asked["processors"]:
        os.sched_setaffinity(0, asked["processors"])
    json.dump(uvloop.run(_run(asked)), sys.stdout)
