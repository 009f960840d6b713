"""Render at full size, to keep."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import cv2

from roomviz.imaging.codec import Image, encode, encode_jpeg, encode_png
from roomviz.runtime.metrics import stage
from services.compositor.ports import Export, Pictures, Renders, RenderSpec, Write
from services.compositor.usecases.renderer import Renderer, check

Progress = Callable[[str, int], Awaitable[None]]

_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def encode_as(picture: Image, format: str) -> bytes:
    if format == "png":
        return encode_png(picture)
    if format == "webp":
        return encode(picture, ".webp", cv2.IMWRITE_WEBP_QUALITY, 90)
    return encode_jpeg(picture, 92)


@dataclass(frozen=True)
class ExportPicture:
    renderer: Renderer
    pictures: Pictures
    renders: Renders

    async def __call__(
        self, tenant: str, operation: str, attempt: int, spec: RenderSpec, format: str, progress: Progress
    ) -> tuple[Export, Write]:
        check(spec)
        await progress("render", 10)
        made = await self.renderer.picture(spec, spec.photo_key, spec.height, spec.width, keep=False)
        await progress("encode", 70)
        with stage("encode"):
            data = await asyncio.get_running_loop().run_in_executor(self.renderer.cpu, encode_as, made.picture, format)
        await progress("store", 90)
        key = f"renders/{operation}-{attempt}.{format}"
        with stage("store"):
            await self.pictures.put(key, data, _TYPES[format])
        export = Export(key, spec.width, spec.height, format, len(data), hashlib.sha256(data).hexdigest())
        return export, self.renders.save(tenant, operation, spec.room, export)
