"""Sheen: what a new material mirrors of the room, by its finish. It is added to the light that the material scatters.

A surface mirrors a part of what falls on it that grows towards grazing angles (Schlick, "An Inexpensive BRDF Model for
Physically-based Rendering", 1994, eq. 15), the blurrier the rougher it is and the farther away what it mirrors is. What
stands on a floor is seen in it upside down below its foot; what lies behind the camera is not known, so that walls
and ceilings get a glow from where the room is bright, and no image. Where the old surface had highlights, there is
something bright to mirror: a glossy new one keeps them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear
from roomviz.imaging.homography import Matrix
from services.compositor.domain.perspective import FOCAL_LENGTH
from services.compositor.domain.shading import Box, scene_light

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Gloss:
    """roughness: of the mirrored image, in pixels of blur a pixel of distance; strength: part of a perfect varnish's
    reflection; kept: part of the old surface's highlights that is seen again."""

    roughness: float
    strength: float
    kept: float


# Gloss meters read about 12, 25, 70 and 90 units at 60 degrees (ISO 2813) on what is sold under these names, 5 on matte.
FINISHES = {
    "eggshell": Gloss(0.6, 0.15, 0.15),
    "satin": Gloss(0.35, 0.35, 0.35),
    "gloss": Gloss(0.10, 0.75, 0.8),
    "polished": Gloss(0.025, 1.0, 1.0),
}
# Reflectance of varnish, glaze and stone straight on: index of refraction 1.5.
F0 = 0.04
# Long side in which the mirrored room is drawn, and blurs in pixels of it that are drawn from; up and down they reach
# twice as far, as the image in a rough floor does.
SIDE = 900
BLURS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
STREAK = 2.0
# Of the long side: what glows on walls and ceilings is blurred by this.
GLOW = 0.12
# A clipped window is brighter than the photo can tell.
CLIPPED_TIMES, CLIPPED_FROM = 1.8, 0.85
LIGHT_MAX = 3.0


def fresnel(cosine: Float) -> Float:
    """Part of the light that is mirrored, by the cosine of the angle to the normal."""
    return np.asarray(F0 + (1 - F0) * (1 - np.clip(cosine, 0, 1)) ** 5, np.float32)


def sheen(
    photo: Image,
    alpha: NDArray[np.uint8],
    box: Box,
    kind: str,
    finish: str,
    mirrored: Float,
    tint: Float,
    pixel_from_plane: Matrix | None,
    focal_length_px: float,
) -> tuple[Float, int] | None:
    """Scene light to add, (rows, columns, 3) float32, and its step: pixel (x, y) of the box with both divisible by it is
    [y / step, x / step], others lie between, so that every one has four around it. None where nothing is mirrored.

    Args:
        photo: (rows, columns, 3) uint8 sRGB, of any size.
        alpha: (H, W) uint8, the mask, of the size of the picture.
        box: x, y, width, height in the picture.
        kind: `floor`, `wall` or `ceiling`.
        finish: a key of FINISHES, or any other word for what mirrors nothing.
        mirrored: luminance of the old surface's highlights in the box, of any size.
        tint: (3,) colour of the light.
        pixel_from_plane: metres to pixels of the picture, or None.
        focal_length_px: of the picture; 0 where it is not known.
    """
    gloss = FINISHES.get(finish)
    if gloss is None:
        return None
    height, width = alpha.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    room = _radiance(np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8))
    focal = (focal_length_px or FOCAL_LENGTH * max(height, width)) * scale
    plane = None if pixel_from_plane is None else _plane(pixel_from_plane, size, width, height, focal)
    if kind == "floor" and plane is not None:
        inside = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.uint8) > 127
        image = _image_in_floor(room, inside, plane, focal, gloss.roughness)
    else:
        image = np.asarray(cv2.GaussianBlur(room, (0, 0), GLOW * max(size)), np.float32)
    image = image * (gloss.strength * fresnel(_cosine(plane, size, focal)))[..., None]
    step = 1
    while step < 32 and max(height, width) / step > SIDE:
        step *= 2
    x, y, w, h = box
    at_x = (x + np.arange((w - 1) // step + 2, dtype=np.float32) * step + 0.5) * (size[0] / width) - 0.5
    at_y = (y + np.arange((h - 1) // step + 2, dtype=np.float32) * step + 0.5) * (size[1] / height) - 0.5
    grid_x, grid_y = np.meshgrid(at_x, at_y)
    out = cv2.remap(image, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    old = cv2.resize(mirrored, (out.shape[1], out.shape[0]), interpolation=cv2.INTER_AREA)[..., None]
    return np.asarray(np.minimum(np.maximum(out, gloss.kept * old * tint), LIGHT_MAX), np.float32), step


def whole(grid: Float, step: int, height: int, width: int) -> Float:
    """A sheen at every pixel of the box, (height, width, 3), as the kernel reads it."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) / step, np.arange(height, dtype=np.float32) / step)
    return np.asarray(cv2.remap(grid, x, y, cv2.INTER_LINEAR), np.float32)


def _radiance(photo: Image) -> LinearImage:
    """Scene light, (h, w, 3), of what a surface can mirror."""
    value = to_linear(photo)
    clipped = np.clip((value.min(2) - CLIPPED_FROM) / (1 - CLIPPED_FROM), 0, 1)[..., None]
    return np.asarray(scene_light(value) * (1 + (CLIPPED_TIMES - 1) * clipped), np.float32)


@dataclass(frozen=True)
class _Plane:
    """normal (3,) towards the camera and distance along it, camera frame, metres."""

    normal: NDArray[np.float64]
    distance: float


def _plane(pixel_from_plane: Matrix, size: tuple[int, int], width: int, height: int, focal: float) -> _Plane:
    to_small = np.diag([size[0] / width, size[1] / height, 1.0])
    a = _ray_from_pixel(size, focal) @ to_small @ pixel_from_plane
    a = a / np.sqrt(np.linalg.norm(a[:, 0]) * np.linalg.norm(a[:, 1]))
    normal = np.cross(a[:, 0], a[:, 1])
    normal /= np.linalg.norm(normal)
    distance = float(normal @ a[:, 2])
    return _Plane(normal, distance) if distance < 0 else _Plane(-normal, -distance)


def _ray_from_pixel(size: tuple[int, int], focal: float) -> Matrix:
    return np.array([[1 / focal, 0, -size[0] / 2 / focal], [0, 1 / focal, -size[1] / 2 / focal], [0, 0, 1.0]])


def _rays(size: tuple[int, int], focal: float) -> tuple[Float, Float]:
    """Slopes right (w,) and down (h,) of the rays through the pixels, forward 1."""
    x = (np.arange(size[0], dtype=np.float32) + 0.5 - size[0] / 2) / focal
    y = (np.arange(size[1], dtype=np.float32) + 0.5 - size[1] / 2) / focal
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _cosine(plane: _Plane | None, size: tuple[int, int], focal: float) -> Float:
    """Of the angle between each pixel's ray and the normal, (h, w); a surface without a plane is seen straight on."""
    if plane is None:
        return np.ones((size[1], size[0]), np.float32)
    x, y = _rays(size, focal)
    n = plane.normal
    along = np.abs(n[0] * x[None] + n[1] * y[:, None] + n[2])
    return np.asarray(along / np.sqrt(x[None] ** 2 + y[:, None] ** 2 + 1), np.float32)


def _image_in_floor(
    room: LinearImage, inside: NDArray[np.bool_], plane: _Plane, focal: float, roughness: float
) -> Float:
    """The room upside down below the line where it stands on the floor, (h, w, 3), blurrier farther from that line.

    What is seen above the line is taken for upright: a point t above its foot is mirrored t below it, and both lie on
    the picture of one plumb line, which the floor's normal gives.
    """
    height, width = inside.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    foot = np.maximum.accumulate(np.where(inside, np.float32(-1), rows), axis=0) + 1
    # Along the line masks are a pixel too high or too low; the image should not be torn there.
    foot = np.asarray(cv2.medianBlur(np.ascontiguousarray(foot, np.float32), 5), np.float32)
    foot = np.minimum(foot, rows)
    x, _ = _rays((width, height), focal)
    x = x[None]
    y0, y = ((v + 0.5 - height / 2) / focal for v in (foot, rows))
    n = plane.normal
    # The foot at depth d: normal . (d * ray) = distance. One metre up the plumb line adds the normal.
    with np.errstate(divide="ignore", invalid="ignore"):
        d = plane.distance / (n[0] * x + n[1] * y0 + n[2])
        t = d * (y - y0) / (n[1] - y * n[2])
        up, down = d - t * n[2], d + t * n[2]
        to_y = (d * y0 - t * n[1]) / up
        to_x = x + (d * x - t * n[0]) / up - (d * x + t * n[0]) / down
        sound = (d > 0) & (t <= 0) & (up > 0.05 * d) & (down > 0)
    to_y = np.where(sound, to_y * focal + height / 2 - 0.5, 2 * foot - rows)
    to_x = np.where(sound, to_x * focal + width / 2 - 0.5, np.arange(width, dtype=np.float32)[None])
    at_x, at_y = np.asarray(to_x, np.float32), np.asarray(to_y, np.float32)
    blur = np.asarray(roughness * (rows - foot) + 0.5, np.float32)
    # Which of BLURS: 0 is the first, then 1 + log2.
    level = np.where(blur < 1, blur, 1 + np.log2(np.maximum(blur, 1)))
    level = np.clip(level, 0, len(BLURS) - 1)
    out = np.zeros_like(room)
    for k, sigma in enumerate(BLURS):
        share = np.clip(1 - np.abs(level - k), 0, 1)
        if not share[inside].any():
            continue
        blurred = room if sigma == 0 else cv2.GaussianBlur(room, (0, 0), sigma, sigmaY=sigma * STREAK)
        seen = cv2.remap(blurred, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out += np.asarray(share, np.float32)[..., None] * seen
    return np.asarray(out, np.float32)
