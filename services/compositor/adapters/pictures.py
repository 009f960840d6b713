"""Stored pictures, decoded in threads, with the latest kept in memory up to a number of bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

from roomviz.imaging.codec import Image, decode_grey, decode_rgb
from roomviz.runtime.objects import Objects


class CachedPictures:
    """Keys name pictures that never change, so nothing in the cache can be stale."""

    def __init__(self, objects: Objects, cpu: Executor, bytes_max: int):
        self._objects, self._cpu, self._max = objects, cpu, bytes_max
        self._kept: OrderedDict[str, Image] = OrderedDict()
        self._size = 0
        self._loading: dict[str, asyncio.Task[Image]] = {}

    async def rgb(self, key: str) -> Image:
        return await self._get(key, decode_rgb)

    async def grey(self, key: str) -> Image:
        return await self._get(key, decode_grey)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await self._objects.put(key, data, content_type)

    async def _get(self, key: str, decode: Callable[[bytes], Image]) -> Image:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        task = self._loading.get(key)
        if task is None:  # one load for all who ask at the same time
            task = self._loading[key] = asyncio.create_task(self._load(key, decode))
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(task)

    async def _load(self, key: str, decode: Callable[[bytes], Image]) -> Image:
        data = await self._objects.get(key)
        image = await asyncio.get_running_loop().run_in_executor(self._cpu, decode, data)
        image.setflags(write=False)
        self._kept[key] = image
        self._size += image.nbytes
        while self._size > self._max and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._size -= old.nbytes
        return image
