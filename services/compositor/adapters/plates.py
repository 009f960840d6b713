"""Plates in memory, and behind it in the object store: what one worker computed, another reads.

A plate in the store is worth no more than the time that it takes to make again, so whatever goes wrong there is no
error: it is made again.
"""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import astuple, fields
from datetime import UTC, datetime
from typing import Any
from zipfile import BadZipFile

import numpy as np
import structlog
from numpy.typing import NDArray

from roomviz.errors import RoomvizError
from roomviz.imaging.lens import Lens
from roomviz.runtime.background import beside
from roomviz.runtime.memory import Memory
from roomviz.runtime.objects import Objects
from services.compositor.domain.personal import of_room
from services.compositor.domain.plate import Plate
from services.compositor.domain.version import renderer

log = structlog.get_logger()

PREFIX = "plates/"
# Plates on their way to the store, at most: more are not worth their memory.
WRITES_MAX = 4
SWEEP_S = 600.0
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


Gone = Callable[[str], Awaitable[bool]]


async def never(room: str) -> bool:
    return False


class StoredPlates:
    """`objects` is None where memory alone keeps them. `gone` tells whether a room was purged."""

    def __init__(self, memory: Memory[Plate], objects: Objects | None, cpu: Executor, gone: Gone = never):
        self._memory, self._objects, self._cpu, self._gone = memory, objects, cpu, gone
        self._writes: set[asyncio.Task[None]] = set()

    async def get(self, room: str, key: Hashable) -> Plate | None:
        objects = self._objects
        if objects is None:
            return self._memory.get((room, key))

        async def read() -> Plate:
            data = await objects.get(stored_at(room, key))
            return await asyncio.get_running_loop().run_in_executor(self._cpu, unpacked, data)

        try:
            return await self._memory.once((room, key), read)
        except (RoomvizError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def put(self, room: str, key: Hashable, plate: Plate) -> None:
        """Keep it; the store gets it while others go on."""
        self._memory.put((room, key), plate)
        if self._objects is not None and len(self._writes) < WRITES_MAX:
            task = asyncio.create_task(self._write(self._objects, room, stored_at(room, key), plate))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    def forget(self, which: Callable[[str], bool]) -> None:
        """Drop from memory each whose key, written out, is one of these."""
        self._memory.forget(which)

    async def written(self) -> None:
        """Wait for what is on its way to the store."""
        await asyncio.gather(*self._writes)

    async def trim(self, bytes_max: int) -> int:
        """Remove the oldest from the store until the rest is within the budget; returns how many."""
        if self._objects is None:
            return 0
        kept = sorted(await self._objects.under(PREFIX), key=lambda o: o.write_time or LONG_AGO)
        held, gone = sum(o.size_bytes for o in kept), 0
        for oldest in kept:
            if held <= bytes_max:
                break
            await self._objects.remove(oldest.key)
            held -= oldest.size_bytes
            gone += 1
        return gone

    @asynccontextmanager
    async def trimmed(self, bytes_max: int) -> AsyncIterator["StoredPlates"]:
        """Keep the store within the budget until left."""
        try:
            async with beside(self._sweep(bytes_max)):
                yield self
        finally:
            await asyncio.gather(*self._writes, return_exceptions=True)

    async def _sweep(self, bytes_max: int) -> None:
        while True:
            try:
                gone = await self.trim(bytes_max)
            except RoomvizError as error:
                log.warning("plates not trimmed", error=error.message)
            else:
                if gone:
                    log.info("plates trimmed", count=gone)
            await asyncio.sleep(SWEEP_S)

    async def _write(self, objects: Objects, room: str, key: str, plate: Plate) -> None:
        try:
            data = await asyncio.get_running_loop().run_in_executor(self._cpu, packed, plate)
            await objects.put(key, data, "application/octet-stream")
            if await self._gone(room):  # while it was on its way
                await objects.remove(key)
        except RoomvizError as error:
            log.warning("plate not stored", error=error.message)


def stored_at(room: str, key: Hashable) -> str:
    """Under its room, so that it can go with it. The renderer's name stands for how plates are made."""
    digest = hashlib.sha256(repr((renderer(), key)).encode()).hexdigest()
    return f"{of_room(room)}{digest}.npz"


def packed(plate: Plate) -> bytes:
    """Every field as an array, those that are None left out. Not compressed: that would take longer than it saves."""
    out = io.BytesIO()
    values = {f.name: getattr(plate, f.name) for f in fields(plate)} | {"lens": astuple(plate.lens)}
    np.savez(out, allow_pickle=False, **{k: np.asarray(v) for k, v in values.items() if v is not None})
    return out.getvalue()


def unpacked(data: bytes) -> Plate:
    """As it was packed. Raises ValueError, KeyError, EOFError or BadZipFile where this is no plate."""
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        values: dict[str, NDArray[Any]] = {k: found[k] for k in found.files}
    x, y, w, h = values.pop("box").tolist()
    return Plate(
        (x, y, w, h),
        values["alpha"],
        values["spans"],
        values["touched"],
        values["gain"],
        values["tint"],
        values.get("plane_from_pixel"),
        values.get("footprints"),
        Lens(*values["lens"].tolist()),
        values.get("sheen"),
        int(values["sheen_shift"]),
        values["sides"],
        int(values["above"]),
        int(values["height"]),
    )
