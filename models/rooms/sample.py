"""One sample: a picture of a random room with its truth, from (version, seed, index) alone."""

import math
from dataclasses import dataclass

import numpy as np

from models.rooms import gpu
from models.rooms import raycast as rc
from models.rooms.footprint import clearance, inside
from models.rooms.labels import CEILING, FLOOR, FURNITURE, OTHER, WALL
from models.rooms.room import build
from models.rooms.scene import Scene

FLAT_M = 0.02
SAMPLES, GRID, STEPS = 3, 2, (1, 2, 4, 8)  # of the light, see `raycast.render`; and how it is smoothed


@dataclass(frozen=True)
class Sample:
    """image (H, W, 3) uint8 sRGB; label (H, W) uint8; instance (H, W) int32; normal (H, W, 3) float32 in the
    camera frame; depth (H, W) float32 metres along the ray; albedo and shading (H, W, 3) float32 linear;
    camera: position, right, down, forward (3 each), focal px, cx, cy, k1, float64 (16,);
    extra (H, W, 3) float32 linear: highlights and what glows; exposure: of the camera. The image is
    `develop(albedo * shading + extra, exposure)`: what another material would look like follows from it."""

    image: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    normal: np.ndarray
    depth: np.ndarray
    albedo: np.ndarray
    shading: np.ndarray
    camera: np.ndarray
    extra: np.ndarray
    exposure: float

    def rays(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(..., 3) directions (z = 1) in the camera frame (x right, y down, z forward) through places of the picture, the
        lens's distortion included; times `axes`, in the world's."""
        focal, cx, cy, k1 = self.camera[12:16]
        a, b = (x - cx) / focal, (y - cy) / focal
        k = 1 + k1 * (a * a + b * b)
        return np.stack([a * k, b * k, np.ones_like(k)], -1)

    @property
    def axes(self) -> np.ndarray:
        """Rows are the camera's right, down and forward in the world."""
        return self.camera[3:12].reshape(3, 3)

    def points(self) -> np.ndarray:
        """(H, W, 3) float32: what each pixel shows, metres in the camera frame."""
        height, width = self.depth.shape
        y, x = np.mgrid[0:height, 0:width] + 0.5
        rays = self.rays(x, y)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        return (rays * self.depth[..., None]).astype(np.float32)

    def planes(self) -> dict[int, np.ndarray]:
        """By instance, of floors, walls and ceilings that are flat for the most part: (4,) float64 nx, ny, nz, d with
        n . p + d = 0 for points of it in the camera frame, n of unit length and towards the camera (d > 0)."""
        points, shell = self.points(), np.isin(self.label, (FLOOR, WALL, CEILING))
        out: dict[int, np.ndarray] = {}
        for instance in np.unique(self.instance[shell]):
            here = shell & (self.instance == instance)
            normals, p = self.normal[here].astype(np.float64), points[here].astype(np.float64)
            _, number, count = np.unique(normals.round(2), axis=0, return_inverse=True, return_counts=True)
            on = number.ravel() == count.argmax()  # not the sides of its mouldings
            n = normals[on].mean(0)
            n /= np.linalg.norm(n)
            d = -float(np.median(p[on] @ n))
            if (np.abs(p @ n + d) < FLAT_M).mean() > 0.5:
                out[int(instance)] = np.array([*n, d]) * (1 if d > 0 else -1)
        return out


def _camera(s: Scene, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    low, size = s.polygon.min(0), np.ptp(s.polygon, axis=0)
    centre = s.polygon.mean(0)
    best, position = -1.0, centre
    # Now and then over a table or a bed that fills the foreground.
    near = 0.25 if rng.random() < (0.7 if s.version < 4 else 0.55) else -0.3
    for _ in range(60):
        p = low + rng.uniform(0, 1, 2) * size
        if not inside(s.polygon, *p) or clearance(s.polygon, *p) < 0.25:
            continue
        gap = min([math.hypot(p[0] - x, p[1] - y) - r for x, y, r in s.footprints] + [3.0])
        # Photographers stand back: far from the middle, clear of furniture.
        score = min(gap, 0.7) * 2 + 0.35 * float(np.linalg.norm(p - centre)) + rng.uniform(0, 1.2)
        if gap > near and score > best:
            best, position = score, p
    z = float(rng.choice([rng.uniform(0.7, 1.2), rng.uniform(1.1, 1.7), rng.uniform(1.4, 2.0)]))
    if near < 0:
        z = max(z, rng.uniform(1.1, 1.7))
    target = centre + rng.normal(0, 0.22, 2) * size
    if s.footprints and rng.random() < 0.7:  # towards what stands in the room
        x, y, _ = s.footprints[rng.integers(len(s.footprints))]
        target = np.array([x, y]) + rng.normal(0, 0.4, 2)
    if s.version >= 4 and s.doorway and rng.random() < 0.5:  # through a doorway
        axis, at, start, end = s.doorway
        back = rng.uniform(0.35, 1.1) * rng.choice([-1, 1])
        here, there = np.zeros(2), np.zeros(2)
        for p, away in ((here, back), (there, -3 * back)):
            p[axis], p[1 - axis] = at + away, (start + end) / 2 + rng.uniform(-0.3, 0.3) * (end - start)
        if inside(s.polygon, *here) and clearance(s.polygon, *here) > 0.25:
            position, target = here, there
    yaw = math.atan2(target[1] - position[1], target[0] - position[0])
    if rng.random() < 0.45:  # square on to a wall
        yaw = round(yaw / (math.pi / 2)) * math.pi / 2 + rng.normal(0, 0.03)
    pitch = rng.normal(-0.04, 0.03) if rng.random() < 0.6 else rng.normal(-0.1, 0.14)
    if s.version >= 4 and rng.random() < 0.12:  # down on what is near
        pitch = -rng.uniform(0.12, 0.5)
    roll = rng.normal(0, 0.008) if rng.random() < 0.7 else rng.normal(0, 0.04)
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    down = np.cross(forward, right)
    right, down = math.cos(roll) * right + math.sin(roll) * down, math.cos(roll) * down - math.sin(roll) * right
    fov = math.radians(rng.uniform(42, 95) if rng.random() < 0.78 else rng.uniform(26, 42))
    if s.version >= 4 and size.prod() < 9:  # in a small room people step back to the wall, and zoom out
        fov = math.radians(rng.uniform(60, 100))
    focal = max(height, width) / 2 / math.tan(fov / 2)
    shift = rng.normal(0, 0.03) * height if rng.random() < 0.3 else 0.0  # cropped photos
    return np.array(
        [
            *position,
            min(z, s.height - 0.3),
            *right,
            *down,
            *forward,
            focal,
            width / 2,
            height / 2 + shift,
            rng.normal(0, 0.02),
        ]
    )


@dataclass(frozen=True)
class Shot:
    """A room and where it is looked at from; arrays: the scene's, for `raycast.render`; camera: as of a `Sample`."""

    arrays: tuple[np.ndarray, ...]
    camera: np.ndarray
    height: int
    width: int


def shot(version: int, rng: np.random.Generator, long_side: int) -> Shot:
    """A random room from a random place.

    Retries inside the same random stream until the picture shows a room: something nearer than 0.35 m, or
    fewer than 10 % of shell pixels, or nearly no floor or nearly nothing but bare walls in most, is no photo
    that anyone would take.
    """
    while True:
        scene = build(rng, version)
        arrays = scene.arrays()
        ratio = float(rng.choice([3 / 4, 2 / 3, 4 / 5, 1.0, 9 / 16], p=[0.35, 0.35, 0.1, 0.1, 0.1]))
        height, width = round(long_side * ratio / 16) * 16, long_side
        if rng.random() < 0.3:
            height, width = width, height
        for _ in range(4):
            camera = _camera(scene, rng, height, width)
            small = camera.copy()
            small[12:15] /= 8
            probe = rc.render(*arrays, small, height // 8, width // 8, 0, 1)
            shell = np.isin(probe[3], [FLOOR, WALL, CEILING]).mean()
            things = np.isin(probe[3], [FURNITURE, OTHER]).mean()
            floor, largest = (probe[3] == FLOOR).mean(), np.bincount(probe[3].ravel()).max() / probe[3].size
            if (
                np.quantile(probe[6], 0.01) > 0.35
                and shell > 0.1
                and largest < 0.75
                and (things > 0.12 or rng.random() < 0.2)
                and (floor > 0.06 or rng.random() < 0.15)
            ):
                return Shot(arrays, camera, height, width)


def stream(version: int, seed: int, index: int) -> np.random.Generator:
    """All that is random of sample `index` of the set `seed`."""
    return np.random.default_rng([version, seed, index])


def render_sample(version: int, seed: int, index: int, long_side: int = 320, samples: int = SAMPLES) -> Sample:
    """Render sample `index` of the set `seed`."""
    rng = stream(version, seed, index)
    taken = shot(version, rng, long_side)
    arrays, camera, height, width = taken.arrays, taken.camera, taken.height, taken.width
    caster = gpu if gpu.here() else rc
    albedo, light, extra, label, instance, normal, depth, _ = caster.picture(
        arrays, camera, height, width, samples, int(rng.integers(1 << 30)), GRID, STEPS
    )
    radiance = albedo * light + extra
    exposure = _exposure(radiance, rng)
    image = develop(radiance, exposure)
    return Sample(image, label, instance, normal, depth, albedo, light, camera, extra, exposure)


def _exposure(radiance: np.ndarray, rng: np.random.Generator) -> float:
    """As a camera's automatic chooses it."""
    luminance = radiance @ np.array([0.2126, 0.7152, 0.0722])
    key = np.exp(np.mean(np.log(np.clip(luminance, 1e-3, 2.0))))
    return float(rng.uniform(0.2, 0.5) / max(key, 1e-3))


def develop(radiance: np.ndarray, exposure: float) -> np.ndarray:
    """Expose and tone-map linear radiance (..., 3) to 8-bit sRGB."""
    linear = radiance * exposure
    # A shoulder instead of a hard clip (Reinhard et al., 2002, eq. 4, white at 4).
    linear = linear * (1 + linear / 16) / (1 + 0.6 * linear)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(np.maximum(linear, 1e-6), 1 / 2.4) - 0.055)
    return (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)
