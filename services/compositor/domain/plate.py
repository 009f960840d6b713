"""What of a surface does not depend on the product: where it is, its light, how large its pixels are on its plane.

A plate is computed once for a surface, a mask and a size of picture; laying another product on it then costs one pass
over its pixels (kernel.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.edges import Sides, sharpened, sides
from services.compositor.domain.grain import grained, noise
from services.compositor.domain.shading import Box, Light, Shade, shade
from services.compositor.domain.sheen import sheen
from services.compositor.domain.splice import units_of
from services.compositor.domain.texture import footprint

BLOCK = 16  # pixels of a row that share one footprint
GAIN_ONE, TINT_ONE, SHEEN_ONE = 8192, 32768, 4096
# Of the relief, and with it the grain, of what paint is on, this stays; the rest of the grain is drawn.
PAINT_DETAIL, PAINT_GRAIN = 0.6, 0.8


@dataclass(frozen=True)
class Plate:
    """box: x, y, width, height in the picture. alpha (h, w) uint8. spans (h, 2) int32: first and last + 1 column of
    each row that alpha is not 0 in. touched (units down, units across) bool: the JPEG's units of the picture with some
    of the mask in them. gain (h, w) uint16: scene light on white, GAIN_ONE = 1. tint (4,) uint16, its
    colour, TINT_ONE = 1. plane_from_pixel (3, 3) float64, from straight pixels of the box to metres, and footprints
    (h, ceil(w / BLOCK), 4) float32, long axis x and y, length of the long and of the short one, metres; both None
    where the surface has no plane. lens: in pixels of the box. sheen (rows, columns, 4) uint16: scene light to add, SHEEN_ONE = 1, a point every
    1 << sheen_shift pixels; None where nothing is mirrored. sides: of the edge, `edges.Sides.colors`. Of those two the first row lies
    `above` rows of pixels above the box, and `sides` has `height` of them."""

    box: Box
    alpha: NDArray[np.uint8]
    spans: NDArray[np.int32]
    touched: NDArray[np.bool_]
    gain: NDArray[np.uint16]
    tint: NDArray[np.uint16]
    plane_from_pixel: Matrix | None
    footprints: NDArray[np.float32] | None
    lens: Lens
    sheen: NDArray[np.uint16] | None
    sheen_shift: int
    sides: NDArray[np.uint8]
    above: int
    height: int

    @property
    def nbytes(self) -> int:
        parts = (self.alpha, self.spans, self.gain, self.footprints, self.sheen, self.sides)
        return sum(p.nbytes for p in parts if p is not None)


def box_of(alpha: Image) -> Box:
    """The smallest box with all of a mask in it."""
    x, y, w, h = cv2.boundingRect(alpha)
    return x, y, w, h


@dataclass(frozen=True)
class Surface:
    """A surface of which plates can be made, whole or some rows at a time: all that a smaller copy of the photo tells.
    alpha (h, w) of its box, which lies in a picture of height x width; pixel_from_plane: metres to pixels of that picture, by its lens;
    grain: how much of the photo's noise is wanted; sheen and sheen_shift as a plate of the whole box has them; sides: of its edge."""

    box: Box
    alpha: NDArray[np.uint8]
    shade: Shade
    pixel_from_plane: Matrix | None
    lens: Lens
    height: int
    width: int
    grain: float
    sheen: NDArray[np.uint16] | None
    sheen_shift: int
    sides: Sides

    def plate(self, photo: Image, noise: NDArray[np.float32], top: int, bottom: int) -> Plate:
        """Of rows top .. bottom - 1 of the box; photo (height, width, 3), and its noise (256,), as `grain.noise` tells it."""
        x, y, w, h = self.box
        box = (x, y + top, w, bottom - top)
        shown = photo[y : y + h, x : x + w]
        mine = sharpened(shown, self.alpha, self.sides, top, bottom)
        seen = mine > 0
        first = seen.argmax(1)
        last = np.where(seen.any(1), w - seen[:, ::-1].argmax(1), 0)
        lit = self.shade.rows(shown, self.alpha, top, bottom)
        lit = grained(lit, box[:2], noise, self.grain)
        to_plane, footprints = None, None
        if self.pixel_from_plane is not None:
            to_plane, footprints = _plane(self.pixel_from_plane, self.lens, box)
        return Plate(
            box,
            mine,
            np.stack([np.where(seen.any(1), first, 0), last], 1).astype(np.int32),
            units_of(seen, (self.height, self.width), box[:2]),
            np.minimum(lit * GAIN_ONE + 0.5, 65535).astype(np.uint16),
            np.minimum(np.append(self.shade.tint, 0) * TINT_ONE + 0.5, 65535).astype(np.uint16),
            to_plane,
            footprints,
            self.lens.shifted(*box[:2]),
            self.sheen,
            self.sheen_shift,
            self.sides.colors,
            top,
            h,
        )


def surface(
    photo: Image,
    alpha: Image,
    kind: str,
    light: Callable[[Box], Light],
    pixel_from_plane: Matrix | None,
    painted: bool,
    finish: str = "matte",
    focal_length_px: float = 0.0,
    lens: Lens = STRAIGHT,
) -> Surface:
    """What plates of a surface are made of.

    Args:
        photo: (rows, columns, 3) uint8 sRGB, of any size.
        alpha: (H, W) uint8, the soft mask, of the size of the picture; somewhere above 0.
        kind: `floor`, `wall` or `ceiling`.
        light: in a box of `photo`.
        pixel_from_plane: metres to pixels of the picture.
        painted: paint keeps the relief of what it is on.
        finish: of the products that will be laid: `matte`, `eggshell`, `satin`, `gloss` or `polished`.
        focal_length_px: of the picture; 0 where it is not known.
        lens: of the picture.
    """
    height, width = alpha.shape
    box, looked_at = _boxes(box_of(alpha), (height, width), photo.shape[:2])
    x, y, w, h = box
    mine = np.ascontiguousarray(alpha[y : y + h, x : x + w])
    x, y, columns, rows = looked_at
    small = mine if (rows, columns) == (h, w) else cv2.resize(mine, (columns, rows), interpolation=cv2.INTER_AREA)
    part = photo[y : y + rows, x : x + columns]
    detail = PAINT_DETAIL if painted else 0.0
    found = shade(part, np.asarray(small, np.uint8), kind, light(looked_at), detail, shown=(h, w))
    added = sheen(photo, alpha, box, kind, finish, found.mirrored, found.tint, pixel_from_plane, focal_length_px)
    grid, shift = _sheen(*added) if added is not None else (None, 0)
    grain = PAINT_GRAIN if painted else 1.0
    edge = sides(photo, np.asarray(small, np.uint8), looked_at)
    return Surface(box, mine, found, pixel_from_plane, lens, height, width, grain, grid, shift, edge)


def plate(
    photo: Image,
    alpha: Image,
    kind: str,
    light: Callable[[Box], Light],
    pixel_from_plane: Matrix | None,
    painted: bool,
    finish: str = "matte",
    focal_length_px: float = 0.0,
    lens: Lens = STRAIGHT,
) -> Plate:
    """The plate of a whole surface in a picture of the photo's own size; arguments as `surface`."""
    found = surface(photo, alpha, kind, light, pixel_from_plane, painted, finish, focal_length_px, lens)
    return found.plate(photo, noise(photo), 0, len(found.alpha))


def _boxes(box: Box, size: tuple[int, int], other: tuple[int, int]) -> tuple[Box, Box]:
    """A box of a picture (height, width), and of another size of it, that show the same and have all of `box` in them: whole
    pixels of the smaller one."""
    ends = []
    for start, length, here, there in zip(box[:2], box[2:], size[::-1], other[::-1], strict=True):
        # In whole numbers: the last pixel of one is the last of the other.
        first, last = start * there // here, -(-(start + length) * there // here)
        ends.append((first * here // there, -(-last * here // there), first, last))
    (x0, x1, u0, u1), (y0, y1, v0, v1) = ends
    return (x0, y0, x1 - x0, y1 - y0), (u0, v0, u1 - u0, v1 - v0)


def _sheen(light: NDArray[np.float32], step: int) -> tuple[NDArray[np.uint16], int]:
    out = np.zeros((*light.shape[:2], 4), np.uint16)
    out[..., :3] = light * SHEEN_ONE + 0.5
    return out, step.bit_length() - 1


def _plane(pixel_from_plane: Matrix, lens: Lens, box: Box) -> tuple[Matrix, NDArray[np.float32]]:
    shift = np.array([[1, 0, box[0]], [0, 1, box[1]], [0, 0, 1.0]])
    at = footprint(pixel_from_plane, box, BLOCK, lens)
    return np.linalg.inv(pixel_from_plane) @ shift, np.stack([at.ax, at.ay, at.long, at.short], -1)
