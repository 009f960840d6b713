"""Put things into a picture: rugs and pictures first, then what stands and hangs, the farthest first."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition
from roomviz.imaging.codec import Image, resize
from roomviz.imaging.homography import scaled
from roomviz.runtime.memory import Memory
from services.compositor.domain.plate import box_of
from services.compositor.domain.shading import Box, Light
from services.compositor.domain.staging import place, shadow
from services.compositor.domain.staging.cutout import Sheet, sheet
from services.compositor.domain.staging.grain import noise_of
from services.compositor.domain.staging.order import Occluder, hidden, occluders
from services.compositor.domain.staging.place import Backdrop
from services.compositor.domain.staging.pose import Camera, Ground, Pose, camera_of, ground, pose, seen_at
from services.compositor.ports import MaskedSurface, Pictures, PlacedThing, RenderSpec, ThingSpec

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

THICKNESS_M = {"lying": 0.008, "wall": 0.02}  # where a product does not say
FREE_SIDE = 480  # long side in pixels of the mask that room is looked for in


@dataclass(frozen=True)
class Furniture:
    """What of a room can stand before a thing."""

    occluders: tuple[Occluder, ...]

    @property
    def nbytes(self) -> int:
        return sum(o.alpha.nbytes + o.low.nbytes + o.hull.nbytes for o in self.occluders)


@dataclass(frozen=True)
class Staging:
    """What was needed lately of cut-outs and rooms stays in memory."""

    pictures: Pictures
    cpu: Executor
    sheets: Memory[Sheet]
    backdrops: Memory[Backdrop]
    furniture: Memory[Furniture]

    async def put(
        self,
        spec: RenderSpec,
        key: str,
        photo: Image,
        working: Image,
        light: Callable[[Box], Light],
        out: Image,
        cover: Image | None = None,
    ) -> tuple[list[PlacedThing], NDArray[np.bool_]]:
        """Put the things of a request into a picture.

        Args:
            spec: the request.
            key: names the photo.
            photo: (H, W, 3), as it was.
            working: (h, w, 3), the same at no more than 2 megapixels.
            light: of a box of it.
            out: (H, W, 3), the picture so far; written to.
            cover: (H, W) uint8, how much of each pixel is new; written to, without shadows.

        Returns:
            where they went, in the order of the request, and the pixels (H, W) bool that they changed.
        """
        poses = [await self._pose(spec, n, thing) for n, thing in enumerate(spec.things)]
        noise = await self._run(noise_of, photo)
        touched = np.zeros(out.shape[:2], bool)
        for n in _order(spec, poses):
            thing, at = spec.things[n], poses[n]
            on = await self._backdrop(spec, key, photo.shape, thing.surface_id, working, light)
            source = await self._sheet(thing)
            if thing.mount in ("lying", "wall"):
                visible = await self._open(spec, thing, on, working)
                work = self._run(_flat, thing, at, spec, source, on, visible, noise, out, cover)
            else:
                room = await self._furniture(spec, working)
                floor = _floor(spec)
                work = self._run(_upright, thing, at, spec, source, on, room, floor, light, noise, out, cover)
            touched |= await work
        return [
            PlacedThing(t.surface_id, p.at_m, tuple((float(x), float(y)) for x, y in p.corners))
            for t, p in zip(spec.things, poses, strict=True)
        ], touched

    async def _pose(self, spec: RenderSpec, n: int, thing: ThingSpec) -> Pose:
        told = {"placement": str(n), "product": thing.product, "surface": thing.surface_id}
        if not thing.homography:
            raise FailedPrecondition(
                "SURFACE_WITHOUT_PLANE", f"{thing.surface_id} has no plane to put {thing.product} on", told
            )
        on = ground(_matrix(thing.homography), _camera(spec))
        if thing.at_m is not None:
            at = thing.at_m
        elif thing.at_px is not None:
            at = seen_at(on, thing.at_px, told)
        else:
            mask = await self.pictures.grey(_masked(spec, thing.surface_id).mask_key)
            at = seen_at(on, await self._run(_roomiest, mask), told)
        size = (thing.width_m * thing.scale, thing.height_m * thing.scale)
        return pose(on, thing.mount, at, size, thing.rotation_deg, (spec.height, spec.width), told)

    async def _sheet(self, thing: ThingSpec) -> Sheet:
        async def made() -> Sheet:
            image = await self.pictures.rgba(f"cutouts/{thing.image_digest}.png")
            return await self._run(sheet, image, thing.mirrored)

        return await self.sheets.once((thing.image_digest, thing.mirrored), made)

    async def _mask(self, surface: MaskedSurface, working: Image) -> Image:
        return await self._run(resize, await self.pictures.grey(surface.mask_key), *working.shape[:2])

    async def _backdrop(
        self,
        spec: RenderSpec,
        photo_key: str,
        size: tuple[int, ...],
        surface_id: str,
        working: Image,
        light: Callable[[Box], Light],
    ) -> Backdrop:
        masked = _masked(spec, surface_id)
        key = (photo_key, size, working.shape, spec.light_key or spec.white_mask_keys, masked.mask_key)

        async def made() -> Backdrop:
            return await self._run(_lit, working, await self._mask(masked, working), masked.kind, light)

        return await self.backdrops.once(key, made)

    async def _open(self, spec: RenderSpec, thing: ThingSpec, on: Backdrop, working: Image) -> Image:
        """Where nothing of the room lies over a surface, (h, w) uint8. A new picture may hang over an old one."""
        if thing.mount == "lying":
            return on.alpha
        others = [await self._mask(s, working) for s in spec.surfaces if s.kind == "other"]
        return np.asarray(np.maximum.reduce([on.alpha, *others]), np.uint8)

    async def _furniture(self, spec: RenderSpec, working: Image) -> Furniture:
        floor = next((s for s in spec.surfaces if s.kind == "floor"), None)
        pieces = [s for s in spec.surfaces if s.kind == "furniture"]
        if floor is None or not pieces:
            return Furniture(())
        key = (working.shape, floor.mask_key, *(p.mask_key for p in pieces))

        async def made() -> Furniture:
            # One after the other: at the photo's own size each may be as large as the photo.
            masks = [await self._mask(p, working) for p in pieces]
            return Furniture(tuple(await self._run(occluders, masks, await self._mask(floor, working))))

        return await self.furniture.once(key, made)

    async def _run(self, function: Callable[[*Given], Result], *arguments: *Given) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.cpu, function, *arguments)


def _matrix(homography: tuple[float, ...]) -> NDArray[np.float64]:
    return np.asarray(homography, np.float64).reshape(3, 3)


def _masked(spec: RenderSpec, surface_id: str) -> MaskedSurface:
    return next(s for s in spec.surfaces if s.surface_id == surface_id)


def _lit(working: Image, alpha: Image, kind: str, light: Callable[[Box], Light]) -> Backdrop:
    return place.backdrop(working, alpha, kind, light(box_of(alpha)))


def _floor(spec: RenderSpec) -> Ground | None:
    """The largest floor's plane in pixels of the photo; surfaces come largest first."""
    found = next((s for s in spec.surfaces if s.kind == "floor" and s.homography), None)
    if found is None:
        return None
    return ground(_matrix(found.homography), _camera(spec))


def _camera(spec: RenderSpec) -> Camera:
    return camera_of(spec.focal_length_px, spec.height, spec.width, spec.radial_distortion)


def _roomiest(mask: Image) -> tuple[float, float]:
    """The pixel of a mask that is farthest from its edge."""
    scale = min(1.0, FREE_SIDE / max(mask.shape))
    small = cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    inside = np.pad((small > 127).astype(np.uint8), 1)
    y, x = np.unravel_index(int(cv2.distanceTransform(inside, cv2.DIST_L2, 3).argmax()), inside.shape)
    return (float(x) - 0.5) * mask.shape[1] / small.shape[1], (float(y) - 0.5) * mask.shape[0] / small.shape[0]


def _order(spec: RenderSpec, poses: list[Pose]) -> list[int]:
    """What lies, what hangs on walls, then the rest from far to near; as given where that does not tell."""
    layer = {"lying": 0, "wall": 1, "standing": 2, "ceiling": 2}

    def key(n: int) -> tuple[float, ...]:
        which = layer[spec.things[n].mount]
        return which, -float(poses[n].foot[2]) if which == 2 else 0.0

    return sorted(range(len(poses)), key=key)


def _scales(spec: RenderSpec, picture: Image) -> tuple[float, float]:
    return picture.shape[1] / spec.width, picture.shape[0] / spec.height


def _flat(
    thing: ThingSpec,
    at: Pose,
    spec: RenderSpec,
    source: Sheet,
    on: Backdrop,
    visible: Image,
    noise: float,
    out: Image,
    cover: Image | None,
) -> NDArray[np.bool_]:
    from_sheet = scaled(at.pixel_from_sheet, *_scales(spec, out))
    thickness = thing.depth_m * thing.scale or THICKNESS_M[thing.mount]
    # Light comes from above: what hangs throws its shadow down the wall, however it is turned.
    turn = np.deg2rad(thing.rotation_deg)
    fall = (float(np.sin(turn)), float(np.cos(turn))) if thing.mount == "wall" else (0.0, 0.0)
    lens = spec.lens.scaled(*_scales(spec, out))
    touched = place.darken(out, shadow.flat(source.alpha, *at.size_m, thickness, fall, from_sheet), visible, lens)
    seen = np.asarray(visible / np.float32(255), np.float32)
    return touched | place.put(out, source, at.size_m, from_sheet, seen, on.white, on.tint, noise, cover, lens)


def _upright(
    thing: ThingSpec,
    at: Pose,
    spec: RenderSpec,
    source: Sheet,
    on: Backdrop,
    room: Furniture,
    floor: Ground | None,
    light: Callable[[Box], Light],
    noise: float,
    out: Image,
    cover: Image | None,
) -> NDArray[np.bool_]:
    touched, lens = np.zeros(out.shape[:2], bool), spec.lens.scaled(*_scales(spec, out))
    if at.pixel_from_foot is not None:
        depth = max(thing.depth_m * thing.scale, 0.02)
        cast = shadow.standing(source.alpha, *at.size_m, depth, scaled(at.pixel_from_foot, *_scales(spec, out)))
        touched |= place.darken(out, cast, on.alpha, lens)
    height, width = on.alpha.shape
    sx, sy = width / spec.width, height / spec.height
    small, small_lens = scaled(at.pixel_from_sheet, sx, sy), spec.lens.scaled(sx, sy)
    corners = np.array([[0, 0], [at.size_m[0], 0], at.size_m, [0, at.size_m[1]]], float)
    x, y, w, h = place.frame_of(small, corners, height, width, small_lens)
    if w == 0 or h == 0:
        return touched
    visible, white = np.zeros((height, width), np.float32), np.zeros((height, width, 3), np.float32)
    part = (slice(y, y + h), slice(x, x + w))
    white[part] = place.body_light(light((x, y, w, h)), h, w)
    visible[part] = 1
    if room.occluders and floor is not None:
        foot = _foot(at, floor)
        seen_x, seen_y = floor.camera.shows(foot)
        anchor = (seen_x * sx, seen_y * sy)
        cells = np.diag([at.size_m[0] / source.alpha.shape[1], at.size_m[1] / source.alpha.shape[0], 1.0])
        box = (x, y, w, h)
        covered = place.warped(source.alpha, small @ cells, box, small_lens)
        room_floor = scaled(floor.pixel_from_plane, sx, sy)
        visible[part] -= hidden(room.occluders, room_floor, anchor, float(foot[2]), box, covered, small_lens)
    ones = np.ones(3, np.float32)
    touched |= place.put(
        out,
        source,
        at.size_m,
        scaled(at.pixel_from_sheet, *_scales(spec, out)),
        np.maximum(visible, 0),
        white,
        ones,
        noise,
        cover,
        lens,
    )
    return touched


def _foot(at: Pose, floor: Ground) -> NDArray[np.float64]:
    """The point of the floor under a thing, in the camera's frame."""
    origin, up = floor.frame[:, 2], floor.normal
    return np.asarray(at.foot - ((at.foot - origin) @ up) * up)
