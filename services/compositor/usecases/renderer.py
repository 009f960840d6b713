"""Compose a picture: what all ways of rendering share."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.codec import Image, resize
from roomviz.imaging.color import linear_from_rgb24
from roomviz.imaging.homography import scaled
from roomviz.runtime.memory import Memory
from roomviz.runtime.metrics import stage
from services.compositor.domain import kernel, splice
from services.compositor.domain.kernel import Texels
from services.compositor.domain.plate import Plate, box_of, plate
from services.compositor.domain.shading import Box, Light, light_in
from services.compositor.domain.splice import Tiles
from services.compositor.domain.texture import pyramid
from services.compositor.ports import LayerSpec, Pictures, RenderSpec

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

LAYERS_MAX = 64
PREVIEW_QUALITY = 88
_NOWHERE = np.zeros((1, 1), bool)


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
class Composed:
    """photo (H, W, 3) uint8 as it was; whole: the picture, padded to whole units; touched: units that differ."""

    photo: Image
    whole: Image
    touched: NDArray[np.bool_]

    @property
    def picture(self) -> Image:
        height, width = self.photo.shape[:2]
        return self.whole[:height, :width]


@dataclass(frozen=True)
class Renderer:
    """What both ways of rendering share. What was needed lately of rooms and products stays in memory."""

    pictures: Pictures
    cpu: Executor
    threads: int
    plates: Memory[Plate]
    textures: Memory[Texels]
    tiles: Memory[Tiles]

    async def picture(self, spec: RenderSpec, photo_key: str, height: int, width: int, keep: bool) -> Composed:
        """The composed picture at this size; `keep` its plates for the next one."""
        with stage("read"):
            photo = await self._run(resize, await self.pictures.rgb(photo_key), height, width)
        with stage("plate"):
            plates = await self._plates(spec, photo_key, photo, keep)
        with stage("texture"):
            textures = await asyncio.gather(*(self._texels(layer) for layer in spec.layers))
        with stage("render"):
            whole = await self._run(splice.padded, photo)
            out = whole[:height, :width]
            touched = np.zeros((whole.shape[0] // splice.UNIT, whole.shape[1] // splice.UNIT), bool)
            for layer, plate, texels in zip(spec.layers, plates, textures, strict=True):
                if plate is not None:
                    repeat = (layer.repeat_width_m, layer.repeat_height_m) if layer.texture_digest else (1.0, 1.0)
                    parts = kernel.lay(out, plate, texels, repeat, layer.rotation_deg, self.threads)
                    await asyncio.gather(*(self._run(part) for part in parts))
                    touched |= plate.touched
            splice.pad_again(whole, height, width)
        return Composed(photo, whole, touched)

    async def jpeg(self, made: Composed, photo_key: str) -> bytes:
        """The picture as a JPEG; what the layers do not touch is encoded once a photo and size."""
        key = (photo_key, made.photo.shape)
        base = self.tiles.get(key)
        if base is None:
            height, width = made.photo.shape[:2]
            base = await self._run(splice.tiles, splice.padded(made.photo), height, width, PREVIEW_QUALITY)
            self.tiles.put(key, base)
        return await self._run(splice.splice, base, made.whole, made.touched)

    async def _plates(self, spec: RenderSpec, photo_key: str, photo: Image, keep: bool) -> list[Plate | None]:
        """A plate a layer; None where its mask is empty."""
        light_keys = spec.light_key or spec.white_mask_keys  # what the light is read from
        keys = [
            (photo_key, photo.shape, light_keys, layer.mask_key, layer.homography, not layer.texture_digest)
            for layer in spec.layers
        ]
        found = [self.plates.get(key) for key in keys]
        missing = [n for n, plate in enumerate(found) if plate is None]
        if missing:
            light = await self._light(spec, photo)
            made = await asyncio.gather(*(self._plate(spec, spec.layers[n], photo, light) for n in missing))
            for n, plate in zip(missing, made, strict=True):
                found[n] = plate
                if keep and plate is not None:
                    self.plates.put(keys[n], plate)
        return found

    async def _plate(
        self, spec: RenderSpec, layer: LayerSpec, photo: Image, light: Callable[[Box], Light]
    ) -> Plate | None:
        mask = await self.pictures.grey(layer.mask_key)
        return await self._run(_make_plate, spec, layer, photo, mask, light)

    async def _light(self, spec: RenderSpec, photo: Image) -> Callable[[Box], Light]:
        if spec.light_key:
            return light_in(photo, _NOWHERE, await self.pictures.rgb(spec.light_key))
        whites = await asyncio.gather(*(self.pictures.grey(key) for key in spec.white_mask_keys))
        white = await self._run(_union, whites, *photo.shape[:2])
        return await self._run(light_in, photo, white, None)

    async def _texels(self, layer: LayerSpec) -> Texels:
        if not layer.texture_digest:
            return kernel.paint(linear_from_rgb24(layer.color_rgb))
        found = self.textures.get(layer.texture_digest)
        if found is None:
            texture = await self.pictures.rgb(f"textures/{layer.texture_digest}.png")
            found = await self._run(_make_texels, texture)
            self.textures.put(layer.texture_digest, found)
        return found

    async def _run(self, function: Callable[[*Given], Result], *arguments: *Given) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.cpu, function, *arguments)


def _make_plate(
    spec: RenderSpec, layer: LayerSpec, photo: Image, mask: Image, light: Callable[[Box], Light]
) -> Plate | None:
    height, width = photo.shape[:2]
    alpha = resize(mask, height, width)
    if not alpha.any():
        return None
    plane = None
    if layer.homography:
        plane = scaled(np.array(layer.homography).reshape(3, 3), width / spec.width, height / spec.height)
    return plate(photo, alpha, layer.kind, light(box_of(alpha)), plane, not layer.texture_digest)


def _make_texels(texture: Image) -> Texels:
    levels = pyramid(texture, 1.0, 1.0).levels
    # Finer ones than the kernel reads are finer than any photo shows.
    return kernel.texels([level for level in levels if max(level.shape[:2]) <= kernel.SIDE_MAX])


def _union(masks: Sequence[Image], height: int, width: int) -> NDArray[np.bool_]:
    out = np.zeros((height, width), bool)
    for mask in masks:
        out |= cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 230
    return out
