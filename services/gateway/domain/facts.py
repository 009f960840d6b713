"""What an analysis and its pixels say of a room, measured: what descriptions are written from, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear
from roomviz.imaging.colorimetry import lab
from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens
from services.gateway.domain.color_names import color_name

PIXELS_MAX = 200_000  # of the picture that is measured: boxes, medians and extents need no more
INSIDE = 128  # of a soft mask
RING = 0.012  # of the picture's long side: what is that near to a thing is next to it
BESIDE_MIN = 0.15  # of a ring: less is chance
DEPTH_MAX = 12.0  # farther away than so many times the nearest point, a pixel is too deep for a length
EXTENT_M, WALL_HEIGHT_MAX_M = (0.2, 30.0), 6.0  # lengths beyond are errors
MIXED_DELTA = 14.0  # median distance from the median colour, CIE 1976


class Kind(StrEnum):
    FLOOR = "floor"
    WALL = "wall"
    CEILING = "ceiling"
    FURNITURE = "furniture"
    WINDOW = "window"
    DOOR = "door"
    OTHER = "other"


@dataclass(frozen=True)
class Plane:
    """pixel_from_plane: (3, 3) in pixels of the straight picture, lens: from there to the photo. normal: (3,) towards the camera; x right, y down, z forward.
    low, high: bounds of true metres per stated metre. source: `camera height`, `room height`,
    `proportions`, `assumed distance` or `reference`."""

    pixel_from_plane: Matrix
    normal: tuple[float, float, float]
    low: float
    high: float
    source: str
    lens: Lens = STRAIGHT


@dataclass(frozen=True)
class Found:
    """A surface as the analysis has it. box: x, y, width, height in pixels of the photo."""

    surface_id: str
    kind: Kind
    confidence: float
    area: float
    box: tuple[int, int, int, int]
    plane: Plane | None


@dataclass(frozen=True)
class Size:
    """Metres of what is seen, along the plane's axes: for floors and ceilings across and into the picture, for walls
    across and up. low, high: bounds, as factors. cut: whether the picture's border cuts it off."""

    across_m: float
    other_m: float
    low: float
    high: float
    source: str
    cut: bool


@dataclass(frozen=True)
class SurfaceFacts:
    """box: left, top, right, bottom as parts of the picture, 0 to 1. color: of the median, in the photo's light; mixed:
    whether much of the surface has other colours. facing: the plane looks at the camera. beside: ids of what is next to
    it, by how much of its outline. below: id of what its lower edge touches most."""

    surface_id: str
    kind: Kind
    confidence: float
    area: float
    box: tuple[float, float, float, float]
    color: str
    rgb: tuple[int, int, int]
    mixed: bool
    size: Size | None
    facing: bool | None
    beside: tuple[str, ...]
    below: str


@dataclass(frozen=True)
class Finding:
    reason: str
    severe: bool
    value: float
    bar: float
    advice: str


@dataclass(frozen=True)
class QualityFacts:
    """luma, clipped, sharpness, confidence: 0 to 1; angles in degrees."""

    confidence: float
    luma: float
    clipped: float
    sharpness: float
    roll: float
    pitch: float
    field_of_view: float
    camera_measured: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class RoomFacts:
    """surfaces: as in the analysis, largest first within a kind. usable: not NEEDS_REFINEMENT."""

    width: int
    height: int
    model: str
    usable: bool
    surfaces: tuple[SurfaceFacts, ...]
    quality: QualityFacts


def matrix(row_by_row: Sequence[float]) -> Matrix:
    """(3, 3) of nine numbers."""
    return np.array(row_by_row, np.float64).reshape(3, 3)


def small_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) in which pictures and masks are measured."""
    scale = min(1.0, (PIXELS_MAX / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def measure(
    found: Sequence[Found], masks: Sequence[Image], picture: Image, width: int, height: int
) -> tuple[SurfaceFacts, ...]:
    """Facts of the surfaces.

    Args:
        found: the surfaces.
        masks: of each, (h, w) uint8 soft, all of the picture's size.
        picture: (h, w, 3) uint8 sRGB, the photo reduced (`small_size`).
        width, height: of the photo, in whose pixels boxes and planes are.
    """
    inside = [m >= INSIDE for m in masks]
    # To whom each pixel belongs: where soft masks overlap, to the strongest.
    owner = np.full(picture.shape[:2], -1, np.int16)
    strongest = np.zeros(picture.shape[:2], np.uint8)
    for i, mask in enumerate(masks):
        here = (mask >= INSIDE) & (mask > strongest)
        owner[here], strongest[here] = i, mask[here]
    colors = lab(to_linear(picture))
    facts = []
    for i, (f, here) in enumerate(zip(found, inside, strict=True)):
        # The soft edge has the neighbour's colour in it.
        core = cv2.erode(here.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        of = core if core.any() else here
        rgb = np.median(picture[of], 0).astype(np.uint8) if of.any() else np.zeros(3, np.uint8)
        color = lab(to_linear(rgb.reshape(1, 1, 3)))[0, 0]
        spread = float(np.median(np.linalg.norm(colors[of] - color, axis=-1))) if of.any() else 0.0
        beside, below = _neighbours(i, here, owner, [g.surface_id for g in found])
        x, y, w, h = f.box
        facts.append(
            SurfaceFacts(
                f.surface_id,
                f.kind,
                f.confidence,
                f.area,
                (x / width, y / height, (x + w) / width, (y + h) / height),
                color_name(color),
                (int(rgb[0]), int(rgb[1]), int(rgb[2])),
                spread > MIXED_DELTA,
                _size(f, here, width, height),
                None if f.plane is None else bool(-f.plane.normal[2] > np.cos(np.radians(25))),
                beside,
                below,
            )
        )
    return tuple(facts)


def _neighbours(
    index: int, here: NDArray[np.bool_], owner: NDArray[np.int16], ids: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """Who is next to a surface, most first; and who is below its lower edge."""
    reach = max(2, round(RING * max(here.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    ring = (cv2.dilate(here.astype(np.uint8), kernel) > 0) & ~here

    def shares(where: NDArray[np.bool_]) -> list[str]:
        around = owner[where & (owner != index)]
        counts = np.bincount(around[around >= 0], minlength=len(ids))
        order = np.argsort(-counts, kind="stable")
        return [ids[j] for j in order if counts[j] > BESIDE_MIN * max(1, int(where.sum()))]

    # The lowest pixel of each of the middle columns, and what follows it.
    columns = np.flatnonzero(here.any(0))
    below = np.zeros_like(here)
    if len(columns):
        lowest = here.shape[0] - 1 - np.argmax(here[::-1, columns], 0)
        for column, row in zip(columns, lowest, strict=True):
            below[row + 1 : row + 1 + reach, column] = True
    return tuple(shares(ring)), (shares(below) or [""])[0]


def _size(f: Found, here: NDArray[np.bool_], width: int, height: int) -> Size | None:
    """How large what is seen is, from the extents of its pixels on the plane."""
    if f.plane is None or not here.any():
        return None
    rows, columns = np.nonzero(here)
    scale = np.array([width / here.shape[1], height / here.shape[0]])
    pixels = f.plane.lens.straight(np.column_stack([columns + 0.5, rows + 0.5]) * scale)
    try:
        m = np.linalg.inv(f.plane.pixel_from_plane)
        on_plane = pixels @ m[:, :2].T + m[:, 2]
    except np.linalg.LinAlgError:
        return None
    near = on_plane[:, 2] > 0
    if near.mean() < 0.9:
        return None
    on_plane = on_plane[near]
    far = on_plane[:, 2] < on_plane[:, 2].max() / DEPTH_MAX
    if far.mean() > 0.02:  # it goes on to where nothing can be measured
        return None
    points: Any = on_plane[~far, :2] / on_plane[~far, 2:]
    across, other = (float(v) for v in np.ptp(np.quantile(points, [0.003, 0.997], axis=0), axis=0))
    if not all(EXTENT_M[0] <= v <= EXTENT_M[1] for v in (across, other)):
        return None
    if f.kind is Kind.WALL and other > WALL_HEIGHT_MAX_M:
        return None
    x, y, w, h = f.box
    cut = x <= 1 or y <= 1 or x + w >= width - 1 or y + h >= height - 1
    return Size(across, other, f.plane.low, f.plane.high, f.plane.source, cut)
