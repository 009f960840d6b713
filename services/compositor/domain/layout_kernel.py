"""The compiled look-up of pieces (native/pieces.c). Its meaning is layout_plate.py's; only rectangular pieces are in it."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import Lens
from services.compositor.domain.layout import (
    BasketWeave,
    Bond,
    Herringbone,
    Layout,
    Pattern,
    Planks,
    Source,
    Versailles,
)
from services.compositor.domain.layout.grout import POINT_M
from services.compositor.domain.layout.joints import ROWS
from services.compositor.domain.layout.piece import key_offset
from services.compositor.domain.layout.rectangle import Rectangular
from services.compositor.domain.layout.versailles import CELLS_OF_CLASS
from services.compositor.domain.native import compiled
from services.compositor.domain.plate import BLOCK
from services.compositor.domain.relief import CONTRAST, LIGHT, OCCLUDED

Points = NDArray[Any]


class _Layout(ctypes.Structure):
    _fields_ = (
        ("pattern", ctypes.c_int32),
        ("length", ctypes.c_float),
        ("width", ctypes.c_float),
        ("grout", ctypes.c_float),
        ("offset", ctypes.c_float),
        ("margin", ctypes.c_float),
        ("strips", ctypes.c_int32),
        ("cells", ctypes.c_void_p),
        ("rows", ctypes.c_int32),
        ("boards", ctypes.c_int32),
        ("buckets", ctypes.c_int32),
        ("period", ctypes.c_float),
        ("bucket", ctypes.c_float),
        ("start", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
        ("kinds", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("pitches", ctypes.c_void_p),
        ("origin", ctypes.c_float * 2),
        ("phase", ctypes.c_float * 2),
        ("cosine", ctypes.c_float),
        ("sine", ctypes.c_float),
        ("seed", ctypes.c_uint64),
        ("source", ctypes.c_float * 2),
        ("turned", ctypes.c_int32),
        ("seamless", ctypes.c_int32),
        ("flip_ends", ctypes.c_uint64),
        ("flip_sides", ctypes.c_uint64),
        ("variants", ctypes.c_uint64),
        ("bevel", ctypes.c_float),
        ("sky", ctypes.c_float),
        ("contrast", ctypes.c_float),
        ("occluded", ctypes.c_float),
        ("light", ctypes.c_float * 2),
        ("plane", ctypes.c_double * 9),
        ("lens", ctypes.c_double * 3),
    )


@dataclass(frozen=True)
class _Pattern:
    """Fields of the structure that tell a pattern, and the arrays that some of them point to; number: as in pieces.c."""

    number: int
    fields: dict[str, float | int | None]
    arrays: dict[str, NDArray[Any]]


def _bond(p: Bond, seed: int) -> _Pattern:
    margin = -1.0 if p.random_stagger_m is None else p.margin
    return _Pattern(0, {"length": p.length_m, "width": p.width_m, "offset": p.offset, "margin": margin}, {})


def _herringbone(p: Herringbone, seed: int) -> _Pattern:
    return _Pattern(1, {"length": p.length_m, "width": p.width_m}, {})


def _basket(p: BasketWeave, seed: int) -> _Pattern:
    return _Pattern(2, {"length": p.length_m, "width": p.width_m, "strips": p.strips}, {})


def _versailles(p: Versailles, seed: int) -> _Pattern:
    return _Pattern(3, {"length": p.unit_m}, {"cells": CELLS_OF_CLASS})


def _planks(p: Planks, seed: int) -> _Pattern:
    table = p.joints(seed)
    arrays = {
        "start": table.start.astype(np.float32),
        "ends": table.ends.astype(np.float32),
        "kinds": table.kinds.astype(np.int32),
        "first": table.first.astype(np.int32),
        "pitches": (np.array(p.lengths_m) + p.grout_m).astype(np.float32),
    }
    numbers = {"rows": ROWS, "boards": table.boards, "buckets": table.first.shape[1]}
    return _Pattern(4, {"width": p.width_m, "period": table.period, "bucket": table.bucket, **numbers}, arrays)


_PATTERNS: dict[type, Callable[[Any, int], _Pattern]] = {
    Bond: _bond,
    Herringbone: _herringbone,
    BasketWeave: _basket,
    Versailles: _versailles,
    Planks: _planks,
}


def knows(pattern: Pattern) -> bool:
    return type(pattern) in _PATTERNS


def look_up(
    plane_from_pixel: Matrix,
    lens: Lens,
    layout: Layout,
    source: Source,
    relief_m: tuple[float, float],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    print_: Points,
    first: NDArray[np.int32],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Taps (T, 2, BLOCK) and shares (N, 2, BLOCK) of N blocks that pieces meet in, as `LayoutPlate` has them.

    Args:
        layout: whose pattern this `knows`.
        relief_m: the width of the bevel, and how far the grout lies below the face.
        places: rows and columns (N,) of the blocks.
        print_: (N, 4) their footprints.
        first: (N + 1,) where the taps of each begin.
    """
    pattern = layout.pattern
    assert isinstance(pattern, Rectangular)
    told = _PATTERNS[type(pattern)](pattern, layout.seed)
    bevel_m, depth_m = relief_m
    deep = depth_m / max(pattern.grout_m, POINT_M)
    a = np.deg2rad(layout.rotation_deg)
    given = _Layout(
        pattern=told.number,
        grout=pattern.grout_m,
        origin=(layout.origin_x_m, layout.origin_y_m),
        phase=(layout.phase_x_m, layout.phase_y_m),
        cosine=np.cos(a),
        sine=np.sin(a),
        seed=key_offset(layout.seed),
        source=(source.width_m, source.height_m),
        turned=source.turned,
        seamless=source.seamless,
        flip_ends=source.flip_ends,
        flip_sides=2 * source.flip_sides,
        variants=source.variants,
        bevel=bevel_m,
        sky=np.sqrt(1 + deep * deep) - deep,
        contrast=CONTRAST,
        occluded=OCCLUDED,
        light=LIGHT,
        plane=tuple(plane_from_pixel.ravel().tolist()),
        lens=(lens.x, lens.y, lens.k),
        **told.fields,
        **{name: array.ctypes.data for name, array in told.arrays.items()},
    )
    rows, columns = (np.ascontiguousarray(p, np.int32) for p in places)
    prints, first = np.ascontiguousarray(print_, np.float32), np.ascontiguousarray(first, np.int32)
    taps = np.empty((int(first[-1]), 2, BLOCK), np.uint16)
    shares = np.empty((len(rows), 2, BLOCK), np.uint16)
    compiled("roomviz_pieces")(
        ctypes.byref(given),
        ctypes.c_int64(len(rows)),
        *(ctypes.c_void_p(array.ctypes.data) for array in (rows, columns, prints, first, taps, shares)),
    )
    return taps, shares
