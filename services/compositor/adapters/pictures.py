"""Stored pictures, decoded in threads, with the latest kept in memory up to a number of bytes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVarTuple

from roomviz.imaging.codec import Image, decode_grey, decode_rgb, decode_rgba, resize
from roomviz.runtime.memory import Memory
from roomviz.runtime.objects import Objects

Given = TypeVarTuple("Given")


class CachedPictures:
    """Keys name pictures that never change, so nothing in the cache can be stale."""

    def __init__(self, objects: Objects, cpu: Executor, bytes_max: int):
        self._objects, self._cpu = objects, cpu
        self._kept = Memory[Image](bytes_max)

    async def rgb(self, key: str) -> Image:
        return await self._kept.once(key, lambda: self._load(key, decode_rgb))

    async def sized(self, key: str, height: int, width: int) -> Image:
        kept = self._kept.get((key, height, width))
        whole = await self.rgb(key) if kept is None else kept
        if whole.shape[:2] == (height, width):
            return whole
        return await self._kept.once((key, height, width), lambda: self._run(resize, whole, height, width))

    async def grey(self, key: str) -> Image:
        return await self._kept.once(key, lambda: self._load(key, decode_grey))

    async def rgba(self, key: str) -> Image:
        return await self._kept.once(key, lambda: self._load(key, decode_rgba))

    def forget(self, which: Callable[[str], bool]) -> None:
        """Drop what is in memory of these rooms."""
        self._kept.forget(which)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await self._objects.put(key, data, content_type)

    async def _load(self, key: str, decode: Callable[[bytes], Image]) -> Image:
        return await self._run(decode, await self._objects.get(key))

    async def _run(self, function: Callable[[*Given], Image], *arguments: *Given) -> Image:
        image = await asyncio.get_running_loop().run_in_executor(self._cpu, function, *arguments)
        image.setflags(write=False)
        return image
