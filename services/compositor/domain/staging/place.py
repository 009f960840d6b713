"""Put one thing into a picture: its shadow on its surface, then itself, lit as the room is lit there.

Model: as shading.py; a cut-out is the albedo of a thing, seen in grey light whose white is 1. What is known of the room
(masks, light) is known on a working copy of at most 2 megapixels, also where the picture is larger.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear, to_srgb
from roomviz.imaging.homography import Matrix, project
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.plate import box_of
from services.compositor.domain.shading import Box, Light, RoomLight, response, scene_light, shading
from services.compositor.domain.staging.cutout import Sheet, seen
from services.compositor.domain.staging.grain import grain
from services.compositor.domain.staging.shadow import Shadow
from services.compositor.domain.texture import footprint

Float = NDArray[np.float32]

STRIP_ROWS = 256  # of what is worked on at a time, so that memory stays bounded
BODY_CONTRAST = 0.6  # log light: how much the light may differ from the middle over a body
BODY_SMOOTH = 0.3  # of the long side of what it covers
LEAST = 1 / 512  # less of a shadow changes nothing
SIDE_POINTS = 8  # of a side that a lens may bend


@dataclass(frozen=True)
class Backdrop:
    """A surface of the room as things are put on it, in its working copy. alpha (h, w) uint8, its soft mask; white (h, w) float32, how a white
    surface would look in each place of it, its median where it is not near; tint (3,), the light's colour."""

    alpha: NDArray[np.uint8]
    white: Float
    tint: Float

    @property
    def nbytes(self) -> int:
        return self.alpha.nbytes + self.white.nbytes


def backdrop(photo: Image, alpha: NDArray[np.uint8], kind: str, light: Light) -> Backdrop:
    """From the working copy (h, w, 3) and a mask (h, w); light: of the mask's box."""
    white = np.zeros(alpha.shape, np.float32)
    x, y, w, h = box_of(alpha)
    if w == 0 or h == 0:
        return Backdrop(alpha, white, np.ones(3, np.float32))
    part = (slice(y, y + h), slice(x, x + w))
    lit, tint = shading(photo[part], np.ascontiguousarray(alpha[part]), kind, light, 0.0)
    white[:] = np.median(lit)
    white[part] = lit
    return Backdrop(alpha, white, tint)


def body_light(light: Light, height: int, width: int) -> LinearImage:
    """How a white body would look in a box of height x width pixels: (height, width, 3). It stands before what the card
    was seen on, so that only slow changes of the light are its own."""
    if isinstance(light, RoomLight):
        return np.asarray(np.broadcast_to(light.level * light.tint, (height, width, 3)), np.float32)
    log = np.log(light.white)
    middle = np.median(log, (0, 1))
    log = np.clip(log, middle - BODY_CONTRAST, middle + BODY_CONTRAST)
    sigma = max(1.0, BODY_SMOOTH * max(log.shape[:2]))
    log = cv2.GaussianBlur(log, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(np.exp(log), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def frame_of(
    pixel_from_plane: Matrix, corners: NDArray[np.float64], height: int, width: int, lens: Lens = STRAIGHT
) -> Box:
    """The part of a picture, x, y, width, height, that a convex shape on a plane covers; all of it where the shape
    reaches behind the camera."""
    if (np.column_stack([corners, np.ones(len(corners))]) @ pixel_from_plane[2]).min() <= 0:
        return 0, 0, width, height
    along = np.linspace(0, 1, SIDE_POINTS)[:, None, None]
    sides = corners * (1 - along) + np.roll(corners, -1, 0) * along
    pixels = lens.bent(project(pixel_from_plane, sides.reshape(-1, 2)))
    low, high = np.floor(pixels.min(0)) - 1, np.ceil(pixels.max(0)) + 1
    x0, y0 = int(np.clip(low[0], 0, width)), int(np.clip(low[1], 0, height))
    x1, y1 = int(np.clip(high[0], 0, width)), int(np.clip(high[1], 0, height))
    return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else (0, 0, 0, 0)


def window(field: NDArray[np.generic], size: tuple[int, int], box: Box) -> Float:
    """A box of a field of the working copy, (h, w) or (h, w, 3), as it is in a picture of size (height, width)."""
    x, y, w, h = box
    sx, sy = size[1] / field.shape[1], size[0] / field.shape[0]
    if (sx, sy) == (1.0, 1.0):
        return np.asarray(field[y : y + h, x : x + w], np.float32)
    # Pixel centres lie at half: x + 0.5 = sx (x' + 0.5).
    back = np.array([[1 / sx, 0, (x + 0.5) / sx - 0.5], [0, 1 / sy, (y + 0.5) / sy - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(np.asarray(field), back, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def warped(field: Float, pixel_from_cell: Matrix, box: Box, lens: Lens = STRAIGHT) -> Float:
    """A grid (h, w), its cells as wide as a unit of its plane, as it is seen in a box; 0 beyond it."""
    x, y, w, h = box
    if not lens.k:
        centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        shift = np.array([[1, 0, -x - 0.5], [0, 1, -y - 0.5], [0, 0, 1.0]])
        return np.asarray(cv2.warpPerspective(field, shift @ pixel_from_cell @ centre, (w, h)), np.float32)
    m = np.linalg.inv(pixel_from_cell)
    px, py = lens.straight_at(np.arange(x, x + w) + 0.5, (np.arange(y, y + h) + 0.5)[:, None])
    ahead = m[2, 0] * px + m[2, 1] * py + m[2, 2]
    ahead[ahead <= 0] = np.inf  # beyond the plane's horizon
    column, row = (np.asarray((m[k, 0] * px + m[k, 1] * py + m[k, 2]) / ahead - 0.5, np.float32) for k in (0, 1))
    column[np.isinf(ahead)] = -2  # is nowhere on the grid
    return np.asarray(cv2.remap(field, column, row, cv2.INTER_LINEAR), np.float32)


def darken(out: Image, shadow: Shadow, alpha: NDArray[np.uint8], lens: Lens = STRAIGHT) -> NDArray[np.bool_]:
    """Draw a shadow into a picture (H, W, 3) uint8 sRGB where its surface is. Returns the pixels (H, W) it changed.

    shadow: in straight pixels of the picture. alpha: of the surface, (h, w) uint8 in the working copy. lens: of the picture.
    """
    size = (out.shape[0], out.shape[1])
    touched = np.zeros(size, bool)
    rows, columns = shadow.darkness.shape
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], float)
    x, y, w, h = frame_of(shadow.pixel_from_grid, corners, *size, lens)
    for top in range(y, y + h, STRIP_ROWS):
        box = (x, top, w, min(STRIP_ROWS, y + h - top))
        part = (slice(top, top + box[3]), slice(x, x + w))
        dark = warped(shadow.darkness, shadow.pixel_from_grid, box, lens) * window(alpha, size, box) / np.float32(255)
        there = dark > LEAST
        light = np.asarray(scene_light(to_linear(out[part])) * (1 - dark)[..., None], np.float32)
        np.copyto(out[part], to_srgb(response(light)), where=there[..., None])
        touched[part] = there
    return touched


def put(
    out: Image,
    source: Sheet,
    size_m: tuple[float, float],
    pixel_from_sheet: Matrix,
    visible: Float,
    white: Float,
    tint: Float,
    noise: float,
    cover: NDArray[np.uint8] | None = None,
    lens: Lens = STRAIGHT,
) -> NDArray[np.bool_]:
    """Put a cut-out into a picture. Returns the pixels (H, W) that it changed.

    Args:
        out: (H, W, 3) uint8 sRGB; written to.
        source: the cut-out.
        size_m: its width and height.
        pixel_from_sheet: from its metres to straight pixels of the picture; the third coordinate positive on all of it.
        visible: (h, w) float32 in the working copy, 0 where something hides it, 1 where nothing does.
        white: (h, w) or (h, w, 3) float32 in the working copy, how white would look.
        tint: (3,), the light's colour where white has none.
        noise: of the photo, levels of 255.
        cover: (H, W) uint8, how much of each pixel is new; written to.
        lens: of the picture.
    """
    size = (out.shape[0], out.shape[1])
    touched = np.zeros(size, bool)
    corners = np.array([[0, 0], [size_m[0], 0], size_m, [0, size_m[1]]], float)
    x, y, w, h = frame_of(pixel_from_sheet, corners, *size, lens)
    for top in range(y, y + h, STRIP_ROWS):
        box = (x, top, w, min(STRIP_ROWS, y + h - top))
        part = (slice(top, top + box[3]), slice(x, x + w))
        color = seen(source, size_m, footprint(pixel_from_sheet, box, lens=lens))
        share = color[..., 3] * window(visible, size, box)
        lit = window(white, size, box)
        albedo = color[..., :3] / np.maximum(color[..., 3:], 1e-4)
        shown = to_srgb(response(np.asarray(albedo * (lit if lit.ndim == 3 else lit[..., None]) * tint, np.float32)))
        new = to_linear(np.asarray(np.clip(shown + grain(box, noise) + 0.5, 0, 255), np.uint8))
        mixed = to_linear(out[part]) * (1 - share)[..., None] + new * share[..., None]
        there = share > LEAST
        np.copyto(out[part], to_srgb(np.asarray(mixed, np.float32)), where=there[..., None])
        touched[part] = there
        if cover is not None:
            # What shows through both: the other way round.
            cover[part] = 255.5 - (255 - cover[part]) * (1 - share)
    return touched
