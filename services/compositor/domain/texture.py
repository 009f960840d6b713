"""Textures in perspective: repeated over a plane, and filtered so that nothing aliases however far it lies.

A pixel's footprint on the plane is an ellipse. The texture is read from a pyramid at the level where the
ellipse's short side is about one texel, in a few taps along its long side (Heckbert, "Fundamentals of
Texture Mapping and Image Warping", 1989, ch. 3; taps as in McCormack et al., "Feline", 1999).
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear, to_srgb
from roomviz.imaging.homography import Matrix, scaled
from roomviz.imaging.lens import STRAIGHT, Lens

Float = NDArray[np.float32]
TAPS = 4
SNAP = 0.15  # levels


@dataclass(frozen=True)
class Pyramid:
    """levels[k] is the texture in linear light, halved k times; it repeats every (width_m, height_m) metres."""

    levels: tuple[LinearImage, ...]
    width_m: float
    height_m: float


def pyramid(texture: Image, width_m: float, height_m: float) -> Pyramid:
    """Halve a (H, W, 3) uint8 sRGB texture down to its mean colour; averages in linear light."""
    return Pyramid(halvings(to_linear(texture)), width_m, height_m)


Level = TypeVar("Level", bound=NDArray[Any])


def half(level: Level) -> Level:
    """The next level of a pyramid: (h, w, channels) to (h / 2, w / 2, channels), of the same dtype."""
    h, w = level.shape[:2]
    return cv2.resize(level, (max(1, w // 2), max(1, h // 2)), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def halvings(level: Level) -> tuple[Level, ...]:
    """All levels of a pyramid, from this one (h, w, channels) down to a single texel."""
    levels = [level]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(half(levels[-1]))
    return tuple(levels)


@dataclass(frozen=True)
class Footprint:
    """For each pixel of a box: (x, y) on the plane in metres, the long axis of the pixel's ellipse there
    (ax, ay) in metres, and the lengths of both axes. All (h, w) float32."""

    x: Float
    y: Float
    ax: Float
    ay: Float
    long: Float
    short: Float


def footprint(
    pixel_from_plane: Matrix, box: tuple[int, int, int, int], every: int = 1, lens: Lens = STRAIGHT
) -> Footprint:
    """Where the pixels of box (x, y, width, height) lie on the plane, and how large they are there.

    The homography's third coordinate must be positive where the plane is seen. With `every` above 1, one for so many
    pixels of a row, at their middle.
    """
    bx, by, w, h = box
    m = np.linalg.inv(pixel_from_plane)
    px = (np.arange(0, w, every, dtype=np.float64) + bx + every / 2)[None]
    py = (np.arange(h, dtype=np.float64) + by + 0.5)[:, None]
    bent = lens.slope_at(px, py) if lens.k else None
    px, py = lens.straight_at(px, py)
    c = m[2, 0] * px + m[2, 1] * py + m[2, 2]
    # Positive where the plane is seen; beyond its horizon kept finite, and left out by the mask.
    c = np.maximum(c, 1e-9)
    x = (m[0, 0] * px + m[0, 1] * py + m[0, 2]) / c
    y = (m[1, 0] * px + m[1, 1] * py + m[1, 2]) / c
    # Jacobian of (x, y) by the pixel's coordinates.
    xx, xy = (m[0, 0] - x * m[2, 0]) / c, (m[0, 1] - x * m[2, 1]) / c
    yx, yy = (m[1, 0] - y * m[2, 0]) / c, (m[1, 1] - y * m[2, 1]) / c
    if bent is not None:
        by_x, across, by_y = bent
        xx, xy = xx * by_x + xy * across, xx * across + xy * by_y
        yx, yy = yx * by_x + yy * across, yx * across + yy * by_y
    # Singular values and the long axis of the 2 x 2 Jacobian J, from J Jt.
    a, b, d = xx * xx + xy * xy, xx * yx + xy * yy, yx * yx + yy * yy
    root = np.sqrt(np.maximum(((a - d) / 2) ** 2 + b * b, 0))
    long = np.sqrt((a + d) / 2 + root)
    short = np.sqrt(np.maximum((a + d) / 2 - root, 0))
    angle = 0.5 * np.arctan2(2 * b, a - d)
    f = np.float32
    return Footprint(
        x.astype(f),
        y.astype(f),
        (long * np.cos(angle)).astype(f),
        (long * np.sin(angle)).astype(f),
        long.astype(f),
        short.astype(f),
    )


def density_of(source: Pyramid) -> float:
    """Texels a metre."""
    height, width = source.levels[0].shape[:2]
    return float(np.sqrt(width / source.width_m * height / source.height_m))


def taps_of(source: Pyramid, at: Footprint) -> Float:
    """As many as the ellipse is longer than wide; each covers its share of the long side, or the short side."""
    taps = np.clip(np.floor(at.long / np.maximum(at.short, 1e-9) + 0.8), 1, TAPS)
    return np.where(at.long * density_of(source) <= 1, 1, taps).astype(np.float32)


def finest_m(pixel_from_plane: Matrix, box: tuple[int, int, int, int], lens: Lens = STRAIGHT) -> float:
    """Metres between the points of the plane that two taps next to each other read, where they are nearest; in a box
    (x, y, width, height) of the picture, looked at every eighth pixel."""
    every = 8.0
    shrunk = scaled(pixel_from_plane, 1 / every, 1 / every)
    x, y = int(box[0] // every), int(box[1] // every)
    width, height = int(-(-(box[0] + box[2]) // every)) - x, int(-(-(box[1] + box[3]) // every)) - y
    at = footprint(shrunk, (x, y, max(1, width), max(1, height)), lens=lens.scaled(1 / every, 1 / every))
    taps = np.clip(np.floor(at.long / np.maximum(at.short, 1e-9) + 0.8), 1, TAPS)
    return float(np.maximum(at.long / taps, at.short).min()) / every


def halved(texture: Image) -> Image:
    """A (H, W, 3) uint8 sRGB texture at half its size, averaged in linear light as levels of a pyramid are."""
    return to_srgb(half(to_linear(texture)))


def lay(source: Pyramid, at: Footprint) -> LinearImage:
    """The texture as the camera sees it: (h, w, 3) float32 linear."""
    density, taps = density_of(source), taps_of(source, at)
    depth = np.log2(np.maximum(np.maximum(at.long / taps, at.short) * density, 1.0))
    depth = np.minimum(depth, len(source.levels) - 1).astype(np.float32)
    # Near a level that level alone is read: nobody sees the difference, and it is half of the work.
    whole = np.floor(depth)
    level = whole + np.clip((depth - whole - SNAP) / (1 - 2 * SNAP), 0, 1)
    out = np.zeros((*level.shape, 3), np.float32)
    for k in range(int(np.floor(level.min())), int(np.ceil(level.max())) + 1):
        weight = np.maximum(0, 1 - np.abs(level - k))
        rows, cols = np.flatnonzero(weight.any(1)), np.flatnonzero(weight.any(0))
        if len(rows) == 0:
            continue
        part = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        image, many = source.levels[k], taps[part]
        h, w = image.shape[:2]
        for tap in range(int(many.max())):
            offset = (tap + 0.5) / many - 0.5
            u = (at.x[part] + offset * at.ax[part]) * np.float32(1 / source.width_m)
            v = (at.y[part] + offset * at.ay[part]) * np.float32(1 / source.height_m)
            u = (u - np.floor(u)) * np.float32(w) - np.float32(0.5)
            v = (v - np.floor(v)) * np.float32(h) - np.float32(0.5)
            seen = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            out[part] += seen * (weight[part] * (tap < many) / many)[..., None]
    return out
