"""Plates in the real object store."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from roomviz.client import Client
from roomviz.runtime import objects
from roomviz.runtime.memory import Memory
from roomviz.runtime.objects import Stored
from roomviz.v1 import rooms_pb2
from services.compositor.adapters.plates import PREFIX, StoredPlates, unpacked
from services.compositor.settings import Settings
from tests.conftest import Running


def test_plates_of_a_preview_lie_in_the_store_and_go_when_it_is_full(
    running: Running, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse, monkeypatch
):
    for name, value in running.settings.service_environment("compositor").items():
        monkeypatch.setenv(name, value)
    settings = Settings()

    async def stored() -> list[Stored]:
        async with objects.connect(settings) as store:
            return await store.under(f"{PREFIX}{analyzed.room.removeprefix('rooms/')}/")

    async def read(key: str) -> bytes:
        async with objects.connect(settings) as store:
            return await store.get(key)

    async def trim(bytes_max: int) -> int:
        async with objects.connect(settings) as store:
            with ThreadPoolExecutor(1) as pool:
                return await StoredPlates(Memory(1), store, pool).trim(bytes_max)

    client.preview(analyzed.room, [client.apply("FLR-WALNUT", kind="floor")])
    limit = time.monotonic() + 20
    while not (found := asyncio.run(stored())):
        assert time.monotonic() < limit
        time.sleep(0.1)

    plate = unpacked(asyncio.run(read(found[0].key)))
    assert plate.alpha.shape == plate.gain.shape
    assert asyncio.run(trim(10 << 30)) == 0
    assert asyncio.run(trim(0)) >= len(found)
    assert not asyncio.run(stored())
