"""Compose a picture: what all ways of rendering share."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from typing import TypeVar, TypeVarTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, unwrap
from roomviz.imaging.codec import Image, preview_size, resize
from roomviz.imaging.codec import encode as encode_image
from roomviz.imaging.color import linear_from_rgb24
from roomviz.imaging.homography import Matrix, scaled
from roomviz.runtime.memory import Memory
from roomviz.runtime.metrics import stage
from services.compositor.domain import encode, kernel, perspective, relight, splice, version
from services.compositor.domain.corners import Wall, unfolded
from services.compositor.domain.edges import left_by
from services.compositor.domain.encode import STRIP, Rows
from services.compositor.domain.grain import noise
from services.compositor.domain.kernel import Joined, Texels, Under
from services.compositor.domain.layout import Source
from services.compositor.domain.layout_plate import LayoutPlate, Pieces, joined, layout_plate
from services.compositor.domain.plate import Plate, Surface, surface
from services.compositor.domain.shading import Box, Light, light_in, light_of
from services.compositor.domain.sheen import FINISHES
from services.compositor.domain.splice import Tiles
from services.compositor.domain.texture import finest_m, halved
from services.compositor.ports import Laid, LayerSpec, Pictures, PlacedThing, Plates, RenderSpec
from services.compositor.usecases.borders import bordered, walls_of
from services.compositor.usecases.things import Staging

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

LAYERS_MAX = 64
PREVIEW_QUALITY = 88
# Texels a metre. Where a texture of as many would not be read at its finest level, a smaller copy is tried first.
DENSITY_USUAL = 1000.0
VARIANTS = 4096  # windows on a face; so many that hardly two pieces in a room show the same
_NOWHERE = np.zeros((1, 1), bool)
NO_NOISE = np.zeros(256, np.float32)
NEUTRAL = np.ones(3, np.float32)


def check(spec: RenderSpec) -> None:
    """Refuse what cannot be rendered before anything is read."""
    if len(spec.layers) > LAYERS_MAX or not (spec.layers or spec.things or spec.relight):
        raise InvalidArgument("APPLICATIONS_INVALID", f"a picture needs 1 to {LAYERS_MAX} layers, or things")
    found, spec = spec.planes, corrected(spec)
    for layer in spec.layers:
        if layer.texture_digest and not layer.homography:
            raise FailedPrecondition(
                "SURFACE_WITHOUT_PLANE",
                f"{layer.surface_id} has no plane to lay a material on; only paint can go there",
                {"surface": layer.surface_id},
            )
    along_walls(spec, found)


def corrected(spec: RenderSpec) -> RenderSpec:
    """With its planes as somebody set them right, and nothing left to correct."""
    if not spec.corners and spec.reference is None:
        return spec
    planes = perspective.corrected(
        spec.planes, spec.corners, spec.reference, (spec.height, spec.width), spec.focal_length_px, spec.lens
    )
    layers = tuple(replace(layer, plane=planes[layer.surface_id]) for layer in spec.layers)
    things = tuple(replace(t, homography=planes[t.surface_id].homography) for t in spec.things)
    surfaces = tuple(replace(s, homography=planes[s.surface_id].homography) for s in spec.surfaces)
    return replace(
        spec,
        planes=planes,
        layers=layers,
        things=things,
        surfaces=surfaces,
        corners=(),
        reference=None,
        by_hand=frozenset(c.surface_id for c in spec.corners),
    )


@dataclass(frozen=True)
class Composed:
    """photo (H, W, 3) uint8 as it was; whole: the picture, padded to whole units; touched: units that may differ;
    coverage (H, W) uint8: how much of each pixel is new, where it was asked for; layers: as they were laid, but for
    those that others hide; plates: one of each, or where none is kept what it is made of, None where its mask is empty;
    turned: what relight did to linear light, None where it did nothing; placed: where its things went; staged (H, W) bool:
    what they changed, None where there are none."""

    photo: Image
    whole: Image
    touched: NDArray[np.bool_]
    coverage: NDArray[np.uint8] | None = None
    layers: tuple[LayerSpec, ...] = ()
    plates: tuple[Plate | Surface | None, ...] = ()
    turned: Matrix | None = None
    placed: tuple[PlacedThing, ...] = ()
    staged: NDArray[np.bool_] | None = None

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
    plates: Plates
    layouts: Memory[LayoutPlate]
    textures: Memory[Texels]
    tiles: Memory[Tiles]
    staging: Staging

    async def photo(self, photo_key: str, height: int, width: int) -> Image:
        """The room as it was, at this size."""
        with stage("read"):
            return await self.pictures.sized(photo_key, height, width)

    async def picture(
        self, spec: RenderSpec, photo_key: str, height: int, width: int, keep: bool, coverage: bool = False
    ) -> Composed:
        """The composed picture at this size; `keep` its plates for the next one, or make them in strips that are gone
        once they are used."""
        found, spec = spec.planes, corrected(spec)
        spec = replace(spec, layers=along_walls(spec, found))
        spec = replace(spec, layers=not_hidden(around_corners(spec)))
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self.photo(photo_key, height, width))
                textured = group.create_task(self._textures(spec, height, width))
                making = self._plates(spec, photo_key, reading) if keep else self._surfaces(spec, height, width)
                plated = group.create_task(making)
        except BaseExceptionGroup as failed:
            raise unwrap(failed) from failed
        photo, textures, made = reading.result(), textured.result(), plated.result()
        with stage("layout"):
            joints = await self._joints(spec, photo_key, photo, made)
            plates = [_seen(on, pieces) for on, pieces in zip(made, joints, strict=True)]
            if any(_later(spec.layers, n) for n in range(len(plates))):
                plates = await self.run(_shared, spec.layers, plates)
        with stage("render"):
            whole = await self.run(splice.padded, photo)
            strips = any(isinstance(on, Surface) for on in made)
            grain = await self.run(noise, photo) if strips else NO_NOISE
            out = whole[:height, :width]
            touched = np.full((whole.shape[0] // splice.UNIT, whole.shape[1] // splice.UNIT), not keep)
            many = coverage or sum(on is not None for on in plates) > 1
            under = Under(photo, np.zeros((height, width), np.uint8)) if many else None
            for n, (layer, on, pieces, texels) in enumerate(zip(spec.layers, plates, joints, textures, strict=True)):
                if isinstance(on, Plate):
                    parts = _work(layer, out, on, pieces, texels, under, self.threads)
                    touched |= on.touched
                elif on is not None:
                    later = [(spec.layers[k], plates[k]) for k in _later(spec.layers, n)]
                    parts = [
                        partial(_lay_strip, layer, out, on, photo, grain, texels, under, later, top)
                        for top in range(0, len(on.alpha), STRIP)
                    ]
                else:
                    parts = []
                await asyncio.gather(*(self.run(part) for part in parts))
        cover = under.covered if under and coverage else None
        placed: list[PlacedThing] = []
        changed: NDArray[np.bool_] | None = None
        if spec.things:
            with stage("things"):
                working = await self.run(resize, photo, *preview_size(height, width))
                light = await self._light(spec, working)
                placed, changed = await self.staging.put(spec, photo_key, photo, working, light, out, cover)
                touched |= splice.units_of(changed, (height, width), (0, 0))
        with stage("relight"):
            turned = await self._turn(spec, photo)
            if turned is not None:
                await asyncio.gather(*(self.run(part) for part in relight.relit(out, turned, out)))
                touched[:] = True
        splice.pad_again(whole, height, width)
        return Composed(photo, whole, touched, cover, spec.layers, tuple(plates), turned, tuple(placed), changed)

    async def _turn(self, spec: RenderSpec, photo: Image) -> Matrix | None:
        """What the light that is asked for does to linear light."""
        if not spec.relight:
            return None
        card = await self.pictures.rgb(spec.light_key) if spec.light_key else None
        white = await self._white(spec, photo) if card is None else _NOWHERE
        tint = NEUTRAL if card is not None else (await self.run(light_of, photo, white)).tint
        return relight.turn(relight.light_color(card, tint), spec.relight)

    async def jpeg(self, made: Composed, photo_key: str) -> bytes:
        """The picture as a JPEG; what the layers do not touch is encoded once a photo and size."""
        height, width = made.photo.shape[:2]

        async def untouched() -> Tiles:
            return await self.run(splice.tiles, splice.padded(made.photo), height, width, PREVIEW_QUALITY)

        base = await self.tiles.once((photo_key, made.photo.shape), untouched)
        chosen = splice.changed(base, made.touched)
        parts = (self.run(splice.encoded, base, made.whole, part) for part in np.array_split(chosen, self.threads))
        return splice.spliced(base, chosen, list(chain.from_iterable(await asyncio.gather(*parts))))

    async def encoded(
        self, picture: Image | Rows, format: str, packet: bytes = b"", quality: int = encode.JPEG_QUALITY
    ) -> bytes:
        """File bytes (`encode.encode_as`); the strips of a JPEG at the same time."""
        if format != "jpeg":
            return await self.run(encode.encode_as, picture, format, packet)
        source = picture if isinstance(picture, Rows) else encode.of(picture)
        encode.check_output(format, source.height, source.width, source.channels == 4)
        strips = await asyncio.gather(*map(self.run, encode.jpeg_strips(source, quality)))
        return encode.jpeg_joined(strips, source.height, source.width, packet)

    async def _plates(
        self, spec: RenderSpec, photo_key: str, reading: asyncio.Task[Image]
    ) -> Sequence[Plate | Surface | None]:
        """A plate a layer; None where its mask is empty."""
        photo = await reading
        with stage("plate"):
            return await self._kept_plates(spec, photo_key, photo)

    async def _kept_plates(self, spec: RenderSpec, photo_key: str, photo: Image) -> list[Plate | None]:
        keys = [_plate_key(spec, photo_key, photo, layer) for layer in spec.layers]
        layers = dict(zip(keys, spec.layers, strict=True))  # a border and its field have one plate
        got = await asyncio.gather(*(self.plates.get(spec.room, key) for key in layers))
        found = dict(zip(layers, got, strict=True))
        missing = [key for key, plate in found.items() if plate is None]
        if missing:
            light = await self._light(spec, photo)

            async def one(layer: LayerSpec) -> Surface | None:
                mask = await self.pictures.grey(layer.mask_key)
                return await self.run(_make_surface, spec, layer, photo, mask, light, photo.shape[:2])

            async with asyncio.TaskGroup() as group:
                measuring = group.create_task(self.run(noise, photo))
                made = [group.create_task(one(layers[key])) for key in missing]
            for key, task in zip(missing, made, strict=True):
                if (on := task.result()) is not None:
                    plate = await self.run(on.plate, photo, measuring.result(), 0, len(on.alpha))
                    found[key] = plate
                    self.plates.put(spec.room, key, plate)
        return [found[key] for key in keys]

    async def _surfaces(self, spec: RenderSpec, height: int, width: int) -> Sequence[Plate | Surface | None]:
        """A surface a layer, found on the working photo while the large one is still read."""

        async def working() -> tuple[Image, Callable[[Box], Light]]:
            photo = await self.photo(spec.working_key, *preview_size(height, width))
            return photo, await self._light(spec, photo)

        # Not all at once: a mask at full size is as large as a third of the photo.
        few = asyncio.Semaphore(self.threads)

        async def one(layer: LayerSpec) -> Surface | None:
            async with few:
                mask = await self.pictures.grey(layer.mask_key)
                photo, light = await looking
                with stage("plate"):
                    return await self.run(_make_surface, spec, layer, photo, mask, light, (height, width))

        if not spec.layers:
            return []
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(working())
            made = [group.create_task(one(layer)) for layer in spec.layers]
        return [task.result() for task in made]

    async def _joints(
        self, spec: RenderSpec, photo_key: str, photo: Image, plates: Sequence[Plate | Surface | None]
    ) -> list[Joined | None]:
        """Where the pieces of each layer lie; None where it has none, or is laid in strips. Products of the same sizes
        share it."""
        out: list[Joined | None] = []
        for layer, on in zip(spec.layers, plates, strict=True):
            if layer.laid is None or not isinstance(on, Plate):
                out.append(None)
                continue
            pieces = _pieces(layer.laid)
            key = (*_plate_key(spec, photo_key, photo, layer), pieces)
            found = await self.layouts.once(key, partial(self._laid_out, on, pieces))
            out.append(Joined(found, linear_from_rgb24(layer.laid.grout_rgb)))
        return out

    async def _laid_out(self, on: Plate, pieces: Pieces) -> LayoutPlate:
        rows = [on.box[3] * k // self.threads for k in range(self.threads + 1)]
        return joined(await asyncio.gather(*(self.run(layout_plate, on, pieces, *part) for part in pairwise(rows))))

    async def _light(self, spec: RenderSpec, photo: Image) -> Callable[[Box], Light]:
        if spec.light_key:
            return light_in(photo, _NOWHERE, await self.pictures.rgb(spec.light_key))
        return await self.run(light_in, photo, await self._white(spec, photo), None)

    async def _white(self, spec: RenderSpec, photo: Image) -> NDArray[np.bool_]:
        """Walls and ceiling."""
        whites = await asyncio.gather(*(self.pictures.grey(key) for key in spec.white_mask_keys))
        return await self.run(_union, whites, *photo.shape[:2])

    async def _textures(self, spec: RenderSpec, height: int, width: int) -> list[Texels]:
        with stage("texture"):
            return await asyncio.gather(
                *(self._texels(layer, _finest_m(spec, layer, height, width)) for layer in spec.layers)
            )

    async def _texels(self, layer: LayerSpec, finest_m: float) -> Texels:
        """The texture, or a smaller copy of it that has all that a picture shows of it."""
        if not layer.texture_digest:
            return kernel.paint(linear_from_rgb24(layer.color_rgb))
        digest = layer.laid.face_digest if layer.laid else layer.texture_digest
        if finest_m * DENSITY_USUAL >= 2:
            smaller = await self._kept(digest, small=True)
            height, width = smaller.levels[0].shape[:2]
            repeat_x, repeat_y = _repeat(layer)
            if finest_m**2 * (height / repeat_y) * (width / repeat_x) >= 1:
                return smaller
        return await self._kept(digest, small=False)

    async def _kept(self, digest: str, small: bool) -> Texels:
        async def texels() -> Texels:
            return await self.run(_make_texels, await self._texture(digest, small))

        return await self.textures.once((digest, small), texels)

    async def _texture(self, digest: str, small: bool) -> Image:
        """A texture, or its copy of half the size. Whoever needs that first, keeps it for all."""
        if not small:
            return await self.pictures.rgb(f"textures/{digest}.png")
        # The name of a renderer stands for its bytes, whoever halved. Uncompressed: it is read more often than written.
        key = f"halved/{version.renderer().replace('/', '-')}/{digest}.bmp"
        try:
            return await self.pictures.rgb(key)
        except NotFound:
            half = await self.run(halved, await self.pictures.rgb(f"textures/{digest}.png"))
            await self.pictures.put(key, await self.run(encode_image, half, ".bmp"), "image/bmp")
            return half

    async def run(self, function: Callable[[*Given], Result], *arguments: *Given) -> Result:
        """In a thread of its own. A thread that has begun cannot be stopped: who gives up waits for its end, so that nobody takes
        its memory for free."""
        work = self.cpu.submit(function, *arguments)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if work.running():
                await asyncio.gather(asyncio.wrap_future(work), return_exceptions=True)
            raise


def along_walls(spec: RenderSpec, found: Mapping[str, perspective.Plane]) -> tuple[LayerSpec, ...]:
    """Its layers; borders that were given no outline run along the walls. found: planes as the analysis has them."""
    walls, size = walls_of(spec.surfaces, found), (spec.height, spec.width)
    return tuple(
        replace(layer, laid=replace(layer.laid, layout=bordered(layer.laid.layout, layer, walls, size, spec.lens)))
        if layer.laid
        else layer
        for layer in spec.layers
    )


def around_corners(spec: RenderSpec) -> tuple[LayerSpec, ...]:
    """Its layers; what is laid alike on several walls runs on from one to the next."""
    layers = spec.layers
    out = list(layers)
    alike = defaultdict[Hashable, list[int]](list)
    for n, layer in enumerate(layers):
        if layer.kind == "wall" and layer.texture_digest and layer.homography and layer.bbox_px:
            alike[layer.laid or (layer.texture_digest, _repeat(layer), layer.rotation_deg)].append(n)
    for numbers in alike.values():
        walls = [_wall(layers[n]) for n in numbers]
        for n, along in zip(numbers, unfolded(walls, spec.width, spec.height), strict=True):
            laid = layers[n].laid
            if laid is None:
                out[n] = replace(layers[n], along_m=along)
            else:
                moved = replace(laid.layout, origin_x_m=laid.layout.origin_x_m - along)
                out[n] = replace(layers[n], laid=replace(laid, layout=moved))
    return tuple(out)


def _wall(layer: LayerSpec) -> Wall:
    x, _, width, _ = layer.bbox_px
    return Wall(np.array(layer.homography).reshape(3, 3), x, x + width)


def _plate_key(spec: RenderSpec, photo_key: str, photo: Image, layer: LayerSpec) -> tuple[object, ...]:
    light_keys = spec.light_key or spec.white_mask_keys  # what the light is read from
    finish = layer.finish if layer.finish in FINISHES else ""
    return (
        photo_key,
        photo.shape,
        light_keys,
        layer.mask_key,
        layer.kind,
        layer.homography,
        spec.focal_length_px,
        spec.radial_distortion,
        not layer.texture_digest,
        finish,
    )


def _pieces(laid: Laid) -> Pieces:
    source = Source(laid.face_width_m, laid.face_height_m, variants=VARIANTS)
    return Pieces(laid.layout, source, laid.bevel_m, laid.grout_depth_m)


def _repeat(layer: LayerSpec) -> tuple[float, float]:
    if layer.laid:
        return layer.laid.face_width_m, layer.laid.face_height_m
    return (layer.repeat_width_m, layer.repeat_height_m) if layer.texture_digest else (1.0, 1.0)


def _finest_m(spec: RenderSpec, layer: LayerSpec, height: int, width: int) -> float:
    """See `texture.finest_m`; 0 where it is not known."""
    if not layer.homography or not layer.bbox_px:
        return 0.0
    sx, sy = width / spec.width, height / spec.height
    x, y, w, h = layer.bbox_px
    box = (int(x * sx), int(y * sy), max(1, round(w * sx)), max(1, round(h * sy)))
    return finest_m(scaled(np.array(layer.homography).reshape(3, 3), sx, sy), box, spec.lens.scaled(sx, sy))


def _make_surface(
    spec: RenderSpec,
    layer: LayerSpec,
    photo: Image,
    mask: Image,
    light: Callable[[Box], Light],
    size: tuple[int, int],
) -> Surface | None:
    """Of a picture of this height and width, by a photo of whatever size."""
    height, width = size
    alpha = resize(mask, height, width)
    if not alpha.any():
        return None
    plane, sx, sy = None, width / spec.width, height / spec.height
    lens = spec.lens.scaled(sx, sy)
    if layer.homography:
        plane = scaled(np.array(layer.homography).reshape(3, 3), sx, sy)
        if layer.surface_id in spec.by_hand:
            perspective.check_horizon(plane, alpha, layer.surface_id, lens)
    painted = not layer.texture_digest
    return surface(photo, alpha, layer.kind, light, plane, painted, layer.finish, spec.focal_length_px * sx, lens)


def _work(
    layer: LayerSpec, out: Image, on: Plate, pieces: Joined | None, texels: Texels, under: Under | None, parts: int
) -> list[Callable[[], None]]:
    """What is to be done to lay a layer on a plate."""
    if layer.along_m and on.plane_from_pixel is not None:
        on = replace(on, plane_from_pixel=np.array([[1, 0, layer.along_m], [0, 1, 0], [0, 0, 1]]) @ on.plane_from_pixel)
    return kernel.lay(out, on, texels, _repeat(layer), layer.rotation_deg, parts, pieces, under)


def strip(
    layer: LayerSpec, on: Surface, photo: Image, grain: NDArray[np.float32], top: int, bottom: int
) -> tuple[Plate, Joined | None]:
    """The plate of some rows of a surface's box, where the layer is seen, and where its pieces lie in them."""
    plate = on.plate(photo, grain, top, bottom)
    if layer.laid is None:
        return plate, None
    found = layout_plate(plate, _pieces(layer.laid), 0, len(plate.alpha))
    joints = Joined(found, linear_from_rgb24(layer.laid.grout_rgb))
    return replace(plate, alpha=found.alpha), joints


def _lay_strip(
    layer: LayerSpec,
    out: Image,
    on: Surface,
    photo: Image,
    grain: NDArray[np.float32],
    texels: Texels,
    under: Under | None,
    later: Sequence[tuple[LayerSpec, Plate | Surface | None]],
    top: int,
) -> None:
    """Lay some rows of a layer; later: what is laid after it on the same mask. The strips of a layer share no row, and so may be
    laid at the same time."""
    bottom = min(top + STRIP, len(on.alpha))
    plate, pieces = strip(layer, on, photo, grain, top, bottom)
    for above, lies in later:
        if isinstance(lies, Surface):
            plate = _less(plate, strip(above, lies, photo, grain, top, bottom)[0])
    for part in _work(layer, out, plate, pieces, texels, under, 1):
        part()


def _seen(on: Plate | Surface | None, pieces: Joined | None) -> Plate | Surface | None:
    """Where a layer is seen: less than its plate where no piece lies."""
    return replace(on, alpha=pieces.plate.alpha) if pieces and isinstance(on, Plate) else on


def _less(plate: Plate, later: Plate) -> Plate:
    """Without what a later layer on its mask takes."""
    return replace(plate, alpha=left_by(plate.alpha, later.alpha))


def _later(layers: Sequence[LayerSpec], n: int) -> list[int]:
    """Which layers come after the nth on its mask."""
    return [k for k in range(n + 1, len(layers)) if layers[k].mask_key == layers[n].mask_key]


def _shared(layers: Sequence[LayerSpec], plates: Sequence[Plate | Surface | None]) -> list[Plate | Surface | None]:
    """Plates without what later layers on the same mask take."""
    out = list(plates)
    for n in range(len(layers)):
        for k in _later(layers, n):
            mine, above = out[n], plates[k]
            if isinstance(mine, Plate) and isinstance(above, Plate):
                out[n] = _less(mine, above)
    return out


def not_hidden(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Layers without those that a later one hides: on the same mask, and laid everywhere. One in pieces may leave some free."""
    return tuple(layer for n, layer in enumerate(layers) if not any(layers[k].laid is None for k in _later(layers, n)))


def _make_texels(texture: Image) -> Texels:
    while max(texture.shape[:2]) > kernel.SIDE_MAX:  # finer than any photo shows
        texture = halved(texture)
    return kernel.texels_of(texture)


def _union(masks: Sequence[Image], height: int, width: int) -> NDArray[np.bool_]:
    out = np.zeros((height, width), bool)
    for mask in masks:
        out |= cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 230
    return out
