"""Render a room: as a preview for the caller who waits, or at full size to keep."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.codec import Image, encode, encode_jpeg, encode_png, preview_size, resize
from roomviz.imaging.color import linear_from_rgb24
from roomviz.imaging.homography import rotated, scaled
from roomviz.runtime.metrics import stage
from services.compositor.domain.compose import Layer, compose
from services.compositor.domain.texture import Pyramid, pyramid
from services.compositor.ports import Export, LayerSpec, Pictures, Renders, RenderSpec, Write

Progress = Callable[[str, int], Awaitable[None]]

LAYERS_MAX = 64
_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def check(spec: RenderSpec) -> None:
    """Refuse what cannot be rendered before anything is read."""
    if not 1 <= len(spec.layers) <= LAYERS_MAX:
        raise InvalidArgument("APPLICATIONS_INVALID", f"a picture needs 1 to {LAYERS_MAX} layers")
    for layer in spec.layers:
        if layer.texture_digest and not layer.homography:
            raise FailedPrecondition(
                "SURFACE_WITHOUT_PLANE",
                f"{layer.surface_id} has no plane to lay a material on; only paint can go there",
                {"surface": layer.surface_id},
            )


@dataclass(frozen=True)
class Rendered:
    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Renderer:
    """What both ways of rendering share: read, then compose in the thread pool."""

    pictures: Pictures
    cpu: Executor

    async def picture(self, spec: RenderSpec, photo_key: str, height: int, width: int) -> Image:
        """The composed picture at this size."""
        with stage("read"):
            async with asyncio.TaskGroup() as group:
                photo = group.create_task(self.pictures.rgb(photo_key))
                masks = [group.create_task(self.pictures.grey(layer.mask_key)) for layer in spec.layers]
                white_keys = () if spec.light_key else spec.white_mask_keys
                whites = [group.create_task(self.pictures.grey(key)) for key in white_keys]
                card = group.create_task(self.pictures.rgb(spec.light_key)) if spec.light_key else None
                digests = {layer.texture_digest for layer in spec.layers if layer.texture_digest}
                textures = {d: group.create_task(self.pictures.rgb(f"textures/{d}.png")) for d in digests}
        run = asyncio.get_running_loop().run_in_executor
        with stage("render"):
            return await run(
                self.cpu,
                _compose,
                spec,
                photo.result(),
                [m.result() for m in masks],
                [w.result() for w in whites],
                card.result() if card else None,
                {d: t.result() for d, t in textures.items()},
                height,
                width,
            )


def _compose(
    spec: RenderSpec,
    photo: Image,
    masks: list[Image],
    whites: list[Image],
    card: Image | None,
    textures: dict[str, Image],
    height: int,
    width: int,
) -> Image:
    photo = resize(photo, height, width)
    sx, sy = width / spec.width, height / spec.height
    pyramids: dict[tuple[str, float, float], Pyramid] = {}
    layers = []
    for layer, mask in zip(spec.layers, masks, strict=True):
        layers.append(
            Layer(
                layer.kind,
                resize(mask, height, width),
                _homography(layer, sx, sy),
                _pyramid(layer, textures, pyramids),
                linear_from_rgb24(layer.color_rgb),
            )
        )
    return compose(photo, layers, _union(whites, height, width), card)


def _homography(layer: LayerSpec, sx: float, sy: float) -> NDArray[np.float64] | None:
    if not layer.homography:
        return None
    return rotated(scaled(np.array(layer.homography).reshape(3, 3), sx, sy), layer.rotation_deg)


def _pyramid(
    layer: LayerSpec, textures: dict[str, Image], made: dict[tuple[str, float, float], Pyramid]
) -> Pyramid | None:
    if not layer.texture_digest:
        return None
    key = (layer.texture_digest, layer.repeat_width_m, layer.repeat_height_m)
    if key not in made:
        made[key] = pyramid(textures[layer.texture_digest], layer.repeat_width_m, layer.repeat_height_m)
    return made[key]


def _union(masks: list[Image], height: int, width: int) -> NDArray[np.bool_]:
    out = np.zeros((height, width), bool)
    for mask in masks:
        out |= cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 230
    return out


@dataclass(frozen=True)
class RenderPreview:
    renderer: Renderer

    async def __call__(self, spec: RenderSpec) -> Rendered:
        check(spec)
        height, width = preview_size(spec.height, spec.width)
        picture = await self.renderer.picture(spec, spec.working_key, height, width)
        with stage("encode"):
            data = await asyncio.get_running_loop().run_in_executor(self.renderer.cpu, encode_jpeg, picture, 88)
        return Rendered(data, width, height)


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
        picture = await self.renderer.picture(spec, spec.photo_key, spec.height, spec.width)
        await progress("encode", 70)
        with stage("encode"):
            data = await asyncio.get_running_loop().run_in_executor(self.renderer.cpu, encode_as, picture, format)
        await progress("store", 90)
        key = f"renders/{operation}-{attempt}.{format}"
        with stage("store"):
            await self.pictures.put(key, data, _TYPES[format])
        export = Export(key, spec.width, spec.height, format, len(data), hashlib.sha256(data).hexdigest())
        return export, self.renders.save(tenant, operation, spec.room, export)
