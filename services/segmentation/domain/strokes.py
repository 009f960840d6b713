"""What a person draws on a photo to correct a mask: points, scribbles, boxes and polygons, and their pixels."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import InvalidArgument

Mask = NDArray[np.bool_]

STROKES_MAX, POINTS_MAX = 64, 4096
POINT_PART = 0.002  # radius of a point, in parts of the picture's longer side
WIDTH_PART_MAX = 0.25  # of the picture's longer side
_SUBPIXEL = 4  # bits of OpenCV's fixed-point coordinates


class Shape(StrEnum):
    POINT = "point"
    SCRIBBLE = "scribble"
    BOX = "box"
    POLYGON = "polygon"


@dataclass(frozen=True)
class Stroke:
    """points in pixels of the normalized photo: one, the line's, two opposite corners, or the corners in order.

    width_px is the brush's, of a scribble alone. `erase` takes away from the surface what it marks.
    """

    shape: Shape
    points: tuple[tuple[float, float], ...]
    width_px: float = 0.0
    erase: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": self.shape.value,
            "points": [list(p) for p in self.points],
            "width_px": self.width_px,
            "erase": self.erase,
        }

    @staticmethod
    def from_json(raw: dict[str, Any]) -> "Stroke":
        points = tuple((float(x), float(y)) for x, y in raw["points"])
        return Stroke(Shape(raw["shape"]), points, float(raw["width_px"]), bool(raw["erase"]))


_COUNT = {Shape.POINT: (1, 1), Shape.SCRIBBLE: (1, POINTS_MAX), Shape.BOX: (2, 2), Shape.POLYGON: (3, POINTS_MAX)}


def check(strokes: list[Stroke], height: int, width: int) -> None:
    """Raises InvalidArgument, naming the stroke, for what cannot be drawn on a picture of this size."""

    def refuse(index: int, field: str, why: str) -> InvalidArgument:
        where = f"strokes[{index}].{field}" if field else f"strokes[{index}]"
        return InvalidArgument("STROKE_INVALID", f"{where}: {why}", {"field": where})

    if not 1 <= len(strokes) <= STROKES_MAX:
        raise InvalidArgument("STROKES_INVALID", f"a correction has 1 to {STROKES_MAX} strokes", {"field": "strokes"})
    if sum(len(s.points) for s in strokes) > POINTS_MAX:
        raise InvalidArgument("STROKES_INVALID", f"a correction has at most {POINTS_MAX} points", {"field": "strokes"})
    for i, s in enumerate(strokes):
        low, high = _COUNT[s.shape]
        if not low <= len(s.points) <= high:
            raise refuse(i, s.shape.value, f"takes {low} to {high} points" if low != high else f"takes {low} points")
        for x, y in s.points:
            if not (math.isfinite(x) and math.isfinite(y)):
                raise refuse(i, s.shape.value, "a coordinate is not a finite number")
            if not (0 <= x <= width and 0 <= y <= height):
                raise refuse(i, s.shape.value, f"({x:g}, {y:g}) lies outside the picture of {width} x {height} pixels")
        if s.shape is Shape.SCRIBBLE and not (
            math.isfinite(s.width_px) and 0 < s.width_px <= WIDTH_PART_MAX * max(height, width)
        ):
            raise refuse(i, "scribble.width_px", f"is above 0 and at most {WIDTH_PART_MAX * max(height, width):g}")
        if s.shape is Shape.BOX and (s.points[0][0] == s.points[1][0] or s.points[0][1] == s.points[1][1]):
            raise refuse(i, "box", "has no area")
        if s.shape is Shape.BOX and s.erase:
            raise refuse(
                i, "box", "limits a correction, and so cannot erase; erase with points, scribbles or a polygon"
            )
    if sum(s.shape is Shape.BOX for s in strokes) > 1:
        raise InvalidArgument("STROKES_INVALID", "a correction has at most one box", {"field": "strokes"})


Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, the last two exclusive


@dataclass(frozen=True)
class Marked:
    """The pixels that a stroke marks: mask (y1 - y0, x1 - x0) bool inside `box`."""

    box: Box
    mask: Mask

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.box[1], self.box[3]), slice(self.box[0], self.box[2])


def raster(stroke: Stroke, photo: tuple[int, int], size: tuple[int, int]) -> Marked:
    """The pixels that a stroke marks on a copy of the photo.

    Args:
        stroke: in pixels of the photo.
        photo: (height, width) of the photo.
        size: (height, width) of the copy.

    Returns:
        At least one pixel, however thin the stroke.
    """
    height, width = size
    scale = np.array([width / photo[1], height / photo[0]])
    points = np.asarray(stroke.points, np.float64) * scale
    low, high = points.min(0), points.max(0)
    radius = 0.0
    if stroke.shape is Shape.POINT:
        radius = POINT_PART * max(size)
    elif stroke.shape is Shape.SCRIBBLE:
        radius = stroke.width_px * float(scale.mean()) / 2
    rim = math.ceil(radius) + 2
    x0, y0 = (max(0, min(math.floor(v), n - 1) - rim) for v, n in zip(low, (width, height), strict=True))
    x1, y1 = (min(n, math.ceil(v) + rim + 1) for v, n in zip(high, (width, height), strict=True))
    canvas = np.zeros((y1 - y0, x1 - x0), np.uint8)
    # OpenCV draws at pixel centres: (0.5, 0.5) is the middle of the first pixel.
    fixed = np.asarray(np.round((points - (x0 + 0.5, y0 + 0.5)) * (1 << _SUBPIXEL)), np.int32)
    if stroke.shape is Shape.BOX:
        canvas[
            math.floor(low[1]) - y0 : max(math.ceil(high[1]), 1) - y0,
            math.floor(low[0]) - x0 : max(math.ceil(high[0]), 1) - x0,
        ] = 1
    elif stroke.shape is Shape.POLYGON:
        cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL)
    else:
        if radius > 0.75:
            for x, y in fixed:
                cv2.circle(canvas, (int(x), int(y)), round(radius * (1 << _SUBPIXEL)), 1, -1, shift=_SUBPIXEL)
        if len(points) > 1:
            cv2.polylines(canvas, [fixed], False, 1, max(1, round(2 * radius)), shift=_SUBPIXEL)
    if stroke.shape is not Shape.BOX:
        for x, y in points:
            canvas[min(int(y), height - 1) - y0, min(int(x), width - 1) - x0] = 1
    return Marked((x0, y0, x1, y1), canvas > 0)
