"""The sample photos of the repository: two rooms furnished by hand, rendered large.

python -m models.rooms.photo samples/
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from models.rooms import furniture as fu
from models.rooms import raycast as rc
from models.rooms.labels import CEILING, FLOOR, FURNITURE, OTHER, WALL, WINDOW
from models.rooms.scene import Scene, rotation

SOFA, TABLE, DINING = 1, 1, 6  # seeds that gave good furniture


def shell(s: Scene, width: float, depth: float, height: float, floor: int, walls: list[int]) -> None:
    """Floor, ceiling, four walls (front, right, back, left seen from the door) and skirting."""
    s.polygon, s.height = np.array([[0, 0], [width, 0], [width, depth], [0, depth]]), height
    white = s.material(rc.PLAIN, (0.82, 0.82, 0.80), contrast=0.15)
    middle = (width / 2, depth / 2)
    s.add(rc.RECT, (*middle, 0), (width, depth, 0.001), floor, FLOOR, s.next_instance())
    s.add(rc.RECT, (*middle, height), (width, depth, 0.001), white, CEILING, s.next_instance())
    for (a, b), material in zip(zip(s.polygon, np.roll(s.polygon, -1, 0), strict=True), walls, strict=True):
        length = float(np.linalg.norm(b - a))
        along = (b - a) / length
        inward = np.array([-along[1], along[0]])
        frame = np.array([[*along, 0], [0, 0, 1.0], [*inward, 0]])
        centre = (a + b) / 2
        half = (length / 2, height / 2, 0.001)
        s.add(rc.RECT, (*centre, height / 2), half, material, WALL, s.next_instance(), frame)
        low = (*(centre + inward * 0.008), 0.05)
        yaw = math.atan2(along[1], along[0])
        s.add(rc.BOX, low, (length / 2, 0.008, 0.05), white, WALL, frame=rotation(yaw))
    s.close_group()


def window(s: Scene, at: tuple[float, float], inward: tuple[float, float], z: float, half: tuple[float, float]) -> None:
    """A window with frame, bars and daylight; `at` is on the wall."""
    s.next_instance()
    n = np.array(inward, float)
    along = np.array([n[1], -n[0]])
    yaw = math.atan2(along[1], along[0])
    hw, hh = half
    view = s.material(rc.VIEW, (0.80, 0.90, 1.0), (0.35, 0.45, 0.22), (1, hh), emission=4.5)
    frame = s.material(rc.PLAIN, (0.8, 0.8, 0.8), contrast=0.05)
    c = np.array(at) + n * 0.006
    basis = np.array([[*along, 0], [0, 0, 1.0], [*n, 0]])
    s.add(rc.RECT, (*c, z), (hw, hh, 0.001), view, WINDOW, frame=basis)
    for x in (-hw, -hw / 3, hw / 3, hw):
        p = np.array(at) + along * x + n * 0.03
        s.add(rc.BOX, (*p, z), (0.03, 0.03, hh + 0.03), frame, WINDOW, frame=rotation(yaw))
    for dz in (-hh, hh):
        p = np.array(at) + n * 0.03
        s.add(rc.BOX, (*p, z + dz), (hw + 0.03, 0.03, 0.03), frame, WINDOW, frame=rotation(yaw))
    power = np.array([1.0, 0.97, 0.92]) * 5.0 * 4 * hw * hh
    p = np.array(at) + n * 0.08
    s.lights.append([*p, z, *(along * hw), 0, 0, 0, hh, *n, 0, *power, 1])
    s.close_group()


def picture(s: Scene, at: tuple[float, float, float], yaw: float, half: tuple[float, float]) -> None:
    s.next_instance()
    frame = s.material(rc.GRAIN, (0.12, 0.07, 0.04), (0.06, 0.03, 0.02), contrast=0.5)
    paper = s.material(rc.PLAIN, (0.85, 0.84, 0.8), contrast=0.05)
    art = s.material(rc.MARBLE, (0.62, 0.55, 0.45), (0.10, 0.20, 0.26), (0.5, 1), 1.0)
    basis = rotation(yaw)
    for depth, grow, material in ((0.015, 0.02, frame), (0.018, 0.0, paper), (0.021, -0.09, art)):
        s.add(rc.BOX, at, (half[0] + grow, depth, half[1] + grow), material, OTHER, frame=basis)
    s.close_group()


def rug(s: Scene, at: tuple[float, float], half: tuple[float, float], material: int) -> None:
    s.next_instance()
    s.add(rc.BOX, (*at, 0.006), (*half, 0.006), material, FURNITURE)
    s.close_group()


def put(s: Scene, make: Callable[..., float], at: tuple[float, float], yaw: float, seed: int, *covers: int) -> None:
    """One piece of furniture, drawn by a seed of its own and covered with these materials."""
    s.next_instance()
    s.rng, s.covers = np.random.default_rng(seed), list(covers)
    make(s, np.array(at), yaw)
    s.close_group()


def wood(s: Scene, light: tuple[float, float, float]) -> int:
    return s.material(rc.GRAIN, light, tuple(c * 0.55 for c in light), contrast=0.6, variant=0.05, gloss=0.3)


def cloth(s: Scene, color: tuple[float, float, float]) -> int:
    return s.material(rc.WEAVE, color, contrast=0.4)


def living_room() -> tuple[Scene, np.ndarray]:
    """A bright living room with a worn oak floor; and the camera."""
    s = Scene(np.random.default_rng(41))
    s.ambient = np.array([0.46, 0.46, 0.45])
    s.sun = np.array([0.78, -0.22, 0.58, 2.2])
    floor = s.material(rc.PLANK, (0.36, 0.23, 0.12), (0.22, 0.13, 0.07), (1.4, 0.11), 0.7, math.pi / 2, 0.05, 0.35)
    wall = s.material(rc.PLAIN, (0.72, 0.71, 0.67), contrast=0.2)
    accent = s.material(rc.PLAIN, (0.30, 0.36, 0.33), contrast=0.2)
    shell(s, 5.0, 6.2, 2.65, floor, [wall, wall, accent, wall])
    window(s, (5.0, 4.1), (-1, 0), 1.42, (0.95, 0.78))
    window(s, (5.0, 1.6), (-1, 0), 1.42, (0.8, 0.78))
    picture(s, (1.55, 6.18, 1.62), 0.0, (0.42, 0.30))
    picture(s, (2.75, 6.18, 1.62), 0.0, (0.26, 0.36))
    walnut, linen, grey = wood(s, (0.20, 0.11, 0.06)), cloth(s, (0.62, 0.56, 0.46)), cloth(s, (0.20, 0.22, 0.25))
    rust, clay, black = (
        cloth(s, (0.48, 0.16, 0.07)),
        s.material(rc.PLAIN, (0.5, 0.42, 0.36)),
        s.material(rc.PLAIN, (0.02, 0.02, 0.02)),
    )
    put(s, fu.sofa, (2.1, 5.6), math.pi, SOFA, grey, grey, linen, rust)
    put(s, fu.table, (2.3, 4.2), 0.0, TABLE, walnut)
    put(s, fu.chair, (0.8, 3.9), -math.pi / 2 + 0.3, 5, walnut)
    put(s, fu.plant, (4.4, 5.6), 0.4, 3, clay)
    put(s, fu.lamp, (0.5, 5.7), 0.0, 2, black)
    return s, camera((2.9, 0.35, 1.42), yaw=math.pi / 2 + 0.10, pitch=-0.10, field_of_view=74)


def dining_room() -> tuple[Scene, np.ndarray]:
    """A dining corner on pale tiles; and the camera."""
    s = Scene(np.random.default_rng(7))
    s.ambient = np.array([0.46, 0.45, 0.43])
    s.sun = np.array([-0.74, -0.30, 0.6, 2.0])
    floor = s.material(rc.TILE, (0.52, 0.49, 0.44), (0.36, 0.34, 0.31), (0.45, 0.45), 0.25, 0.0, 0.0, 0.25)
    wall = s.material(rc.PLAIN, (0.78, 0.74, 0.66), contrast=0.2)
    shell(s, 4.6, 5.4, 2.6, floor, [wall, wall, wall, wall])
    window(s, (0.0, 3.2), (1, 0), 1.4, (1.0, 0.8))
    picture(s, (2.9, 5.38, 1.55), 0.0, (0.5, 0.34))
    oak, black, clay = (
        wood(s, (0.45, 0.30, 0.16)),
        s.material(rc.PLAIN, (0.02, 0.02, 0.02)),
        s.material(rc.PLAIN, (0.45, 0.30, 0.22)),
    )
    put(s, fu.table, (2.2, 3.6), 0.0, DINING, oak)
    for x, y, yaw in ((1.7, 2.95, 0.15), (2.8, 3.0, -0.2), (1.7, 4.25, math.pi), (2.8, 4.25, math.pi + 0.1)):
        put(s, fu.chair, (x, y), yaw, 5, black, oak)
    put(s, fu.plant, (0.55, 4.95), 0.0, 8, clay)
    put(s, fu.bookcase, (4.35, 4.3), math.pi / 2, 4, oak)
    return s, camera((1.5, 0.3, 1.5), yaw=math.pi / 2 - 0.14, pitch=-0.13, field_of_view=72)


def camera(position: tuple[float, float, float], yaw: float, pitch: float, field_of_view: float) -> np.ndarray:
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    focal = 0.5 / math.tan(math.radians(field_of_view) / 2)  # of a picture one unit wide
    return np.array([*position, *right, *np.cross(forward, right), *forward, focal, 0.5, 1 / 3, -0.01])


def photograph(scene: Scene, view: np.ndarray, width: int, samples: int) -> np.ndarray:
    """(width * 2/3, width, 3) uint8 sRGB, with a camera's exposure, shoulder and grain."""
    view = view.copy()
    view[12:15] *= width
    height = width * 2 // 3
    albedo, light, extra, *_ = rc.picture(scene.arrays(), view, height, width, samples, 1, 1, (1, 2))
    radiance = albedo * light + extra
    key = np.exp(np.mean(np.log(np.clip(radiance @ np.array([0.2126, 0.7152, 0.0722]), 1e-3, 2))))
    linear = radiance * (0.30 / key)
    linear = linear * (1 + linear / 16) / (1 + 0.55 * linear)
    linear = cv2.GaussianBlur(linear, (0, 0), 0.7)  # a lens is not as sharp as a ray
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055)
    srgb = srgb + np.random.default_rng(0).normal(0, 0.008, srgb.shape)
    return (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1728)
    parser.add_argument("--samples", type=int, default=48)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for name, build in (("living-room", living_room), ("dining-room", dining_room)):
        image = photograph(*build(), a.width, a.samples)
        cv2.imwrite(str(a.out / f"{name}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        print(a.out / f"{name}.jpg", flush=True)
