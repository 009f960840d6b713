"""A small drawn room with what corrections need, for tests."""

from functools import cache

import cv2
import numpy as np

from services.segmentation.domain import features, masks
from services.segmentation.domain.features import Features
from services.segmentation.domain.labels import CEILING, FLOOR, FURNITURE, KINDS, WALL
from services.segmentation.domain.masks import Masks
from services.segmentation.domain.superpixels import superpixels

HEIGHT, WIDTH = 240, 320
PHOTO = (HEIGHT, WIDTH)
COLORS = {FLOOR: (150, 110, 70), WALL: (190, 200, 210), CEILING: (250, 250, 250), FURNITURE: (60, 70, 120)}
FLOOR_1, WALL_1, CEILING_1, FURNITURE_1 = range(4)
ORDER = (FLOOR, WALL, CEILING, FURNITURE)
# The network takes this cabinet, in front of the wall, for wall; and a patch of wall far from it for ceiling.
CABINET = (slice(90, 170), slice(40, 110))
PATCH = (slice(60, 75), slice(280, 310))
# And it does not see this leg of the table, 4 pixels wide, in front of the floor.
LEG = (slice(180, 225), slice(216, 220))


def truth() -> np.ndarray:
    """(H, W) labels of the drawn room."""
    out = np.full(PHOTO, WALL, np.uint8)
    out[:40] = CEILING
    out[170:] = FLOOR
    out[150:180, 180:260] = FURNITURE
    out[CABINET] = FURNITURE
    out[LEG] = FURNITURE
    return out


def seen() -> np.ndarray:
    """(H, W) labels as the network has them."""
    out = truth()
    out[CABINET] = WALL
    out[LEG] = FLOOR
    out[PATCH] = CEILING
    return out


@cache
def photo() -> np.ndarray:
    shades = np.zeros((len(KINDS), 3), np.uint8)
    for kind, color in COLORS.items():
        shades[kind] = color
    image = shades[truth()]
    image[CABINET] = (225, 226, 228)
    noise = np.random.default_rng(0).integers(-3, 4, image.shape)
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0).astype(int) + noise, 0, 255).astype(np.uint8)


@cache
def known() -> Features:
    p = np.full((len(KINDS), HEIGHT // 4, WIDTH // 4), 0.03, np.float32)
    small = cv2.resize(seen(), (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_NEAREST)
    for kind in range(len(KINDS)):
        p[kind][small == kind] = 0.82
    normals = np.zeros((3, HEIGHT // 4, WIDTH // 4), np.float32)
    normals[2] = -1
    normals[:, small == FLOOR] = np.array([0, -1, 0], np.float32)[:, None]
    normals[:, small == CEILING] = np.array([0, 1, 0], np.float32)[:, None]
    parts = superpixels(photo(), cells=600)
    return features.compute(photo(), parts, parts.means_of(p / p.sum(0)), normals)


@cache
def automatic() -> Masks:
    label = seen()
    layers = [masks.layer(f"{KINDS[k]}-1", k, (label == k).astype(np.uint8) * 255) for k in ORDER]
    return masks.assemble(layers, HEIGHT, WIDTH)
