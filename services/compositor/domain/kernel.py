"""The compiled pass that lays a material on a plate (native/lay.c). Its meaning is reference.py's."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear, to_srgb
from services.compositor.domain.layout_plate import LayoutPlate
from services.compositor.domain.native import compiled
from services.compositor.domain.plate import BLOCK, Plate
from services.compositor.domain.shading import response
from services.compositor.domain.texture import halvings

LIGHT_ONE, LIGHT_MAX = 4096, 16384  # entries of the table of what light looks like
REPEAT_ONE = 1 << 20  # of a coordinate within one repeat of the texture
SIDE_MAX = 4095  # texels; more do not fit the kernel's numbers


_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)[None]  # every sRGB value
_TEXELS = np.round(to_linear(_GREYS)[0, :, 0] * 65535).astype(np.uint16)


class _Level(ctypes.Structure):
    _fields_ = (
        ("texels", ctypes.c_void_p),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("half_x", ctypes.c_uint32),
        ("half_y", ctypes.c_uint32),
    )


class _Job(ctypes.Structure):
    _fields_ = (
        ("out", ctypes.c_void_p),
        ("stride", ctypes.c_int64),
        ("x", ctypes.c_int32),
        ("y", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("alpha", ctypes.c_void_p),
        ("spans", ctypes.c_void_p),
        ("gain", ctypes.c_void_p),
        ("footprints", ctypes.c_void_p),
        ("plane", ctypes.c_double * 9),
        ("lens", ctypes.c_double * 3),
        ("turn", ctypes.c_float * 4),
        ("repeat", ctypes.c_float * 2),
        ("levels", ctypes.c_void_p),
        ("level_count", ctypes.c_int32),
        ("tint", ctypes.c_uint16 * 4),
        ("shown", ctypes.c_void_p),
        ("shown_linear", ctypes.c_void_p),
        ("linear", ctypes.c_void_p),
        ("srgb", ctypes.c_void_p),
        ("entry", ctypes.c_void_p),
        ("frames", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("taps", ctypes.c_void_p),
        ("shares", ctypes.c_void_p),
        ("grout", ctypes.c_uint16 * 4),
        ("sheen", ctypes.c_void_p),
        ("sheen_shift", ctypes.c_int32),
        ("sheen_columns", ctypes.c_int32),
        ("sides", ctypes.c_void_p),
        ("sides_rows", ctypes.c_int32),
        ("sides_columns", ctypes.c_int32),
        ("above", ctypes.c_int32),
        ("whole", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("photo", ctypes.c_void_p),
        ("covered", ctypes.c_void_p),
        ("photo_stride", ctypes.c_int64),
        ("covered_stride", ctypes.c_int64),
        ("taken", ctypes.c_int32),
    )


def _level(texels: NDArray[np.uint16]) -> _Level:
    height, width = texels.shape[0] - 1, texels.shape[1] - 1
    return _Level(texels.ctypes.data, width, height, REPEAT_ONE // 2 // width, REPEAT_ONE // 2 // height)


@dataclass(frozen=True)
class Texels:
    """A texture as the kernel reads it: for each level (h + 1, w + 1, 4) uint16 linear, 65535 = 1, whose last row and
    column repeat the first; the fourth number means nothing."""

    levels: tuple[NDArray[np.uint16], ...]

    @property
    def nbytes(self) -> int:
        return sum(level.nbytes for level in self.levels)


def paint(color: NDArray[np.float32]) -> Texels:
    """A texture of one texel: (3,) linear RGB."""
    return texels((np.asarray(color, np.float32).reshape(1, 1, 3),))


def texels(levels: Sequence[LinearImage]) -> Texels:
    """From levels (h, w, 3) float32 linear. Raises ValueError where a side has more than SIDE_MAX texels."""
    return Texels(tuple(_wrapped(cv2.multiply(level, np.full(4, 65535.0), dtype=cv2.CV_16U)) for level in levels))


def texels_of(texture: Image) -> Texels:
    """The pyramid of a (H, W, 3) uint8 sRGB texture (`texture.pyramid`), without going through floating point. Raises
    ValueError where a side has more than SIDE_MAX texels."""
    return Texels(tuple(map(_wrapped, halvings(np.asarray(cv2.LUT(texture, _TEXELS), np.uint16)))))


def _wrapped(level: MatLike) -> NDArray[np.uint16]:
    height, width = level.shape[:2]
    if max(height, width) > SIDE_MAX:
        raise ValueError(f"a texture has at most {SIDE_MAX} texels a side, not {width} x {height}")
    whole = np.empty((height + 1, width + 1, 4), np.uint16)
    cv2.cvtColor(level, cv2.COLOR_RGB2RGBA, dst=whole[:-1, :-1])
    whole[-1, :-1] = whole[0, :-1]
    whole[:, -1] = whole[:, 0]
    return whole


@dataclass(frozen=True)
class Joined:
    """Pieces and the grout between them: color (3,) linear RGB."""

    plate: LayoutPlate
    color: NDArray[np.float32]


@dataclass(frozen=True)
class Under:
    """What the layers of a picture are laid over: photo (H, W, 3) uint8 sRGB; covered (H, W) uint8: how much of each pixel they
    have taken so far, written to."""

    photo: Image
    covered: NDArray[np.uint8]


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """sRGB and linear value of light; linear value of sRGB; sRGB of a linear value."""
    light = np.asarray(np.arange(LIGHT_MAX) / LIGHT_ONE, np.float32)
    shown = np.asarray(np.minimum(response(light), 1), np.float32)
    linear = np.ascontiguousarray(to_linear(_GREYS)[0, :, 0])
    values = np.asarray(np.arange(65536) / 65535, np.float32)
    return to_srgb(shown), shown, linear, to_srgb(values)


def lay(
    out: Image,
    on: Plate,
    texture: Texels,
    repeat_m: tuple[float, float] = (1.0, 1.0),
    rotation_deg: float = 0.0,
    parts: int = 1,
    pieces: Joined | None = None,
    under: Under | None = None,
) -> list[Callable[[], None]]:
    """Work that lays a texture over `out` where the plate is, once: parts that may run at the same time, each of which
    takes rows until none are left.

    Args:
        out: (H, W, 3) uint8 sRGB, the picture so far; written to.
        on: where, with the alpha of its pieces where it has some; a plate without a plane takes only paint, which is a texture of
            one texel.
        texture: what.
        repeat_m: width and height in metres after which the texture repeats.
        rotation_deg: turns the pattern on its plane.
        parts: how many.
        pieces: how it is laid in pieces; the texture is then the material's face, and the rotation the layout's.
        under: what there was before, in pictures of several layers. Without it `out` is taken for the photo.

    Raises:
        ValueError: a texture has no place on a plate without a plane.
    """
    x, y, w, h = on.box
    assert out.strides[1:] == (3, 1)
    assert out.flags.writeable
    # What the compiled pass goes by: it looks at no size itself.
    assert on.alpha.shape == (h, w)
    assert on.sides.dtype == np.uint8
    assert on.sides.size > 0
    assert on.sides.shape[2] == 8
    assert on.sides.flags.c_contiguous
    assert 0 <= on.above <= on.above + h <= on.height
    assert 0 <= x <= x + w <= out.shape[1]
    assert 0 <= y <= y + h <= out.shape[0]
    if under:
        assert under.photo.shape == out.shape
        assert not np.may_share_memory(under.photo, out)
        assert under.photo.strides[1:] == (3, 1)
        assert under.covered.shape == out.shape[:2]
        assert under.covered.strides[1] == 1
        assert under.covered.flags.writeable
    if on.plane_from_pixel is not None and on.footprints is not None:
        plane, footprints = on.plane_from_pixel.ravel(), on.footprints
    elif len(texture.levels) == 1:
        plane, footprints = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1.0]), np.zeros((h, -(-w // BLOCK), 4), np.float32)
    else:
        raise ValueError("a texture needs a plane")
    shown, shown_linear, linear, srgb = tables = _tables()
    levels = (_Level * len(texture.levels))(*map(_level, texture.levels))
    a = np.deg2rad(rotation_deg)
    job = _Job(
        out.ctypes.data,
        out.strides[0],
        x,
        y,
        w,
        on.alpha.ctypes.data,
        on.spans.ctypes.data,
        on.gain.ctypes.data,
        footprints.ctypes.data,
        (ctypes.c_double * 9)(*plane),
        (ctypes.c_double * 3)(on.lens.x, on.lens.y, on.lens.k),
        (ctypes.c_float * 4)(np.cos(a), np.sin(a), -np.sin(a), np.cos(a)),
        (ctypes.c_float * 2)(*repeat_m),
        ctypes.cast(levels, ctypes.c_void_p),
        len(levels),
        (ctypes.c_uint16 * 4)(*on.tint),
        shown.ctypes.data,
        shown_linear.ctypes.data,
        linear.ctypes.data,
        srgb.ctypes.data,
        *(_joined(pieces) if pieces else (None, None, None, None, None, (ctypes.c_uint16 * 4)())),
        on.sheen.ctypes.data if on.sheen is not None else None,
        on.sheen_shift,
        on.sheen.shape[1] if on.sheen is not None else 0,
        on.sides.ctypes.data,
        *on.sides.shape[:2],
        on.above,
        on.height,
        h,
        *(
            (under.photo.ctypes.data, under.covered.ctypes.data, under.photo.strides[0], under.covered.strides[0])
            if under
            else (None, None, 0, 0)
        ),
    )
    run = compiled("roomviz_lay")
    # What the job points to. The tables too: two threads that are the first to ask may each get their own.
    held = (out, on, texture, levels, footprints, tables, pieces, under)

    def part() -> None:
        run(ctypes.byref(job))
        assert held

    return [part] * parts


def _joined(pieces: Joined) -> tuple[object, ...]:
    """The last fields of a job."""
    p = pieces.plate
    arrays = (p.entry, p.frame, p.first, p.taps, p.shares)
    assert all(a.flags.c_contiguous for a in arrays)
    grout = np.append(np.clip(pieces.color, 0, 1), 0) * 65535 + 0.5
    return *(a.ctypes.data for a in arrays), (ctypes.c_uint16 * 4)(*grout.astype(np.uint16).tolist())
