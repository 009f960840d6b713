"""Perspective by hand: corners of a rectangle say how a surface lies, a measured length says how large the room is.

Both replace what the analysis estimated, before anything is rendered: a plane stays a homography from metres to pixels
of the straight picture, and how far its metres can be trusted. Points are given in the photo.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roomviz.errors import InvalidArgument, NotFound
from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens

Vectors = NDArray[np.float64]

REFERENCE = "reference"
ASSUMED_DISTANCE = "assumed_distance"
# How well people read a tape along a line in a photo, and how well they hit a point, pixels.
TAPE_ERROR, POINT_ERROR_PX = 0.02, 1.0
LENGTH_MIN_M, LENGTH_MAX_M = 0.01, 100.0
SIDE_MIN_PX = 8.0
# Of the angle at a corner: below one degree there is no corner.
SINE_MIN = math.sin(math.radians(1))
# Corners may lie outside the photo, this many times its size.
FAR = 10.0
# A measured length that changes the room by more than this means another line.
RATIO_MAX = 20.0
# An origin that would come to lie farther away than this is given up for the first corner.
ORIGIN_FAR_M = 100.0
# Part of a surface that may lie beyond its horizon, looked at every so manieth pixel: masks are not exact.
BEYOND_MAX, LOOKED = 0.005, 4
# In parts of the long side, where the analysis has none: that of a phone's main camera, 26 mm of 36 mm.
FOCAL_LENGTH = 0.72


@dataclass(frozen=True)
class Plane:
    """homography: 9 numbers row by row, metres to pixels of the straight picture, empty where no plane was found. True metres
    per stated metre lie in low .. high; source says whence: `camera_height`, `room_height`, `proportions`, `assumed_distance`, `reference`,
    or nothing."""

    homography: tuple[float, ...]
    source: str = ""
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Corners:
    """A rectangle on a surface. points: four of (x, y) in pixels, clockwise from the top left; sizes in metres, 0 where
    they are the estimate's."""

    surface_id: str
    points: tuple[tuple[float, float], ...]
    width_m: float = 0.0
    height_m: float = 0.0


@dataclass(frozen=True)
class Reference:
    """A line on a surface, (x, y) in pixels at its ends, that is this long."""

    surface_id: str
    start: tuple[float, float]
    end: tuple[float, float]
    length_m: float


def corrected(
    planes: Mapping[str, Plane],
    corners: Sequence[Corners],
    reference: Reference | None,
    size: tuple[int, int],
    focal_length_px: float,
    lens: Lens = STRAIGHT,
) -> dict[str, Plane]:
    """Planes of a room as somebody set them right. Corners first, then the length, which scales every plane but those
    whose corners came with metres of their own. Walls whose distance is assumed keep their intervals, and a length on one
    of them scales that one alone.

    Args:
        planes: of all surfaces, by surface id.
        size: height and width of the photo.
        focal_length_px: of its camera; 0 where it is not known.
        lens: of its camera.

    Raises:
        NotFound: SURFACE_NOT_FOUND.
        InvalidArgument: CORNERS_INVALID, REFERENCE_INVALID.
    """
    out = dict(planes)
    measured = set()
    for given in corners:
        out[given.surface_id] = _by_corners(_plane_of(out, given.surface_id), given, size, focal_length_px, lens)
        if given.width_m or given.height_m:
            measured.add(given.surface_id)
    if len({c.surface_id for c in corners}) != len(corners):
        raise _corners("a surface has one set of corners", "")
    if reference is None:
        return out
    if reference.surface_id in measured:
        raise _reference("the length lies on a surface whose corners have metres already; give one of them", reference)
    told = _plane_of(out, reference.surface_id)
    ratio, error = _ratio(told, reference, size, lens)
    for name, plane in out.items():
        if not plane.homography or name in measured:
            continue
        mine = name == reference.surface_id
        if not mine and told.source == ASSUMED_DISTANCE:
            continue  # how far one wall is away says nothing of the others
        h = _matrix(plane) @ np.diag([1 / ratio, 1 / ratio, 1.0])
        if not mine and plane.source == ASSUMED_DISTANCE:
            out[name] = replace(_plane(h), source=plane.source, low=plane.low, high=plane.high)
        else:
            out[name] = replace(_plane(h), source=REFERENCE, low=1 - error, high=1 + error)
    return out


def check_horizon(pixel_from_plane: Matrix, alpha: NDArray[np.uint8], surface_id: str, lens: Lens = STRAIGHT) -> None:
    """Refuse a plane that ends within its surface's mask (H, W), seen by a lens: beyond its horizon nothing can be laid.

    Raises:
        InvalidArgument: CORNERS_INVALID.
    """
    rows, columns = np.nonzero(alpha[::LOOKED, ::LOOKED] > 127)
    depth = np.linalg.inv(pixel_from_plane)[2]
    x, y = lens.straight_at(columns * LOOKED, rows * LOOKED)
    beyond = depth[0] * x + depth[1] * y + depth[2] <= 0
    if len(beyond) and beyond.mean() > BEYOND_MAX:
        raise _corners(
            f"a plane with these corners ends within {surface_id}: {beyond.mean():.0%} of the surface would lie beyond its "
            "horizon; two sides run together too fast",
            surface_id,
        )


def homography_of(points: Vectors) -> Matrix:
    """From the unit square, (0, 0), (1, 0), (1, 1), (0, 1), to four points (4, 2) (Heckbert, 1989, eq. 2.7 to 2.9)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    a = np.array([[x1 - x2, x3 - x2], [y1 - y2, y3 - y2]])
    g, h = np.linalg.solve(a, [x0 - x1 + x2 - x3, y0 - y1 + y2 - y3])
    return np.array(
        [[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, 1.0]], np.float64
    )


def aspect_of(pixel_from_unit: Matrix, size: tuple[int, int], focal_length_px: float) -> float:
    """Width over height of a rectangle whose unit square this maps to the picture: the first two columns are its sides
    as the camera sees them (Zhang & He, "Whiteboard scanning and image enhancement", 2007, eq. 19 and 20). The
    camera looks through the middle of the picture."""
    height, width = size
    focal = focal_length_px or FOCAL_LENGTH * max(size)
    rays = np.array([[1 / focal, 0, -width / 2 / focal], [0, 1 / focal, -height / 2 / focal], [0, 0, 1.0]])
    sides = np.linalg.norm(rays @ pixel_from_unit, axis=0)
    return float(sides[0] / sides[1])


def _by_corners(plane: Plane, given: Corners, size: tuple[int, int], focal_length_px: float, lens: Lens) -> Plane:
    points = lens.straight(_checked(given, size))
    unit = homography_of(points)
    aspect = aspect_of(unit, size, focal_length_px)
    w, h = given.width_m, given.height_m
    if w or h:
        w, h = w or h * aspect, h or w / aspect
        # An error of a pixel at both ends of the shortest side that has a length.
        sides = np.linalg.norm(points - np.roll(points, -1, 0), axis=1)
        error = TAPE_ERROR + 2 * POINT_ERROR_PX / float(sides.min())
        source, low, high = REFERENCE, 1 - error, 1 + error
    else:
        middle = unit @ np.array([0.5, 0.5, 1.0])
        here = _area(_matrix(plane), middle) if plane.homography else 0.0
        if here <= 0:
            raise _corners(
                f"{given.surface_id} has no plane there to take metres from; give width_m or height_m",
                given.surface_id,
            )
        area = here / _area(unit, middle)
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        source, low, high = plane.source, plane.low, plane.high
    corrected = unit @ np.diag([1 / w, 1 / h, 1.0])
    return replace(_plane(_from_origin(corrected, plane)), source=source, low=low, high=high)


def _from_origin(pixel_from_plane: Matrix, before: Plane) -> Matrix:
    """The plane with its origin where it was in the picture, if that can still be: patterns and things begin there."""
    if not before.homography:
        return pixel_from_plane
    origin = _matrix(before)[:, 2]
    at = np.linalg.solve(pixel_from_plane, origin)
    if origin[2] <= 0 or at[2] <= 0 or (np.abs(at[:2]) > ORIGIN_FAR_M * at[2]).any():
        return pixel_from_plane
    moved = np.eye(3)
    moved[:2, 2] = at[:2] / at[2]
    return pixel_from_plane @ moved


def _area(pixel_from_plane: Matrix, pixel: Vectors) -> float:
    """Square metres of the plane in a pixel (3,) homogeneous; 0 where the plane is not seen."""
    inverse = np.linalg.inv(pixel_from_plane)
    depth = float(inverse[2] @ (pixel / pixel[2]))
    return abs(float(np.linalg.det(inverse))) / depth**3 if depth > 1e-12 else 0.0


def _ratio(plane: Plane, reference: Reference, size: tuple[int, int], lens: Lens) -> tuple[float, float]:
    """True metres over stated ones, and the part by which that may be wrong."""
    ends = np.array([reference.start, reference.end], np.float64)
    if not (np.isfinite(ends).all() and (np.abs(ends) <= FAR * max(size)).all()):
        raise _reference("the ends of the line are points in the photo, x and y in pixels", reference)
    if not LENGTH_MIN_M <= reference.length_m <= LENGTH_MAX_M:  # which NaN is not either
        raise _reference(f"length_m must be {LENGTH_MIN_M:g} to {LENGTH_MAX_M:g} metres", reference)
    if not plane.homography:
        raise _reference(f"{reference.surface_id} has no plane that a length could lie on", reference)
    ends = lens.straight(ends)
    along = ends[1] - ends[0]
    pixels = float(np.linalg.norm(along))
    if pixels < SIDE_MIN_PX:
        raise _reference(f"the line is {pixels:.1f} pixels long; at least {SIDE_MIN_PX:g} are needed", reference)
    step = along / pixels * POINT_ERROR_PX
    shorter, stated, longer = (_length(plane, ends + k * np.array([-step, step]), reference) for k in (-1, 0, 1))
    ratio = reference.length_m / stated
    if not 1 / RATIO_MAX <= ratio <= RATIO_MAX:
        raise _reference(
            f"the line is about {stated:.2g} m in this room; {reference.length_m:g} m cannot be the same line",
            reference,
        )
    return ratio, TAPE_ERROR + max(longer - stated, stated - shorter) / stated


def _length(plane: Plane, ends: Vectors, reference: Reference) -> float:
    """Metres between two points (2, 2) of the straight picture."""
    at = np.column_stack([ends, np.ones(2)]) @ np.linalg.inv(_matrix(plane)).T
    if (at[:, 2] <= 1e-12).any():
        raise _reference(f"the line does not lie on {reference.surface_id}: it crosses its horizon", reference)
    return float(np.linalg.norm(np.subtract(*(at[:, :2] / at[:, 2:]))))


def _checked(given: Corners, size: tuple[int, int]) -> Vectors:
    points = np.array(given.points, np.float64).reshape(-1, 2)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise _corners("corners are four points, x and y in pixels", given.surface_id)
    if (np.abs(points) > FAR * max(size)).any():
        raise _corners("corners lie in the photo, or not far outside it", given.surface_id)
    for metres in (given.width_m, given.height_m):
        if metres and not LENGTH_MIN_M <= metres <= LENGTH_MAX_M:
            raise _corners(
                f"width_m and height_m are {LENGTH_MIN_M:g} to {LENGTH_MAX_M:g} metres, or 0", given.surface_id
            )
    sides = np.roll(points, -1, 0) - points
    lengths = np.linalg.norm(sides, axis=1)
    if lengths.min() < SIDE_MIN_PX:
        raise _corners(f"each side must be at least {SIDE_MIN_PX:g} pixels long", given.surface_id)
    after, lengths_after = np.roll(sides, -1, 0), np.roll(lengths, -1)
    turns = (sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]) / (lengths * lengths_after)
    if turns.min() < SINE_MIN:
        raise _corners(
            "corners go clockwise: top left, top right, bottom right, bottom left, and no side crosses another",
            given.surface_id,
        )
    return points


def _plane_of(planes: Mapping[str, Plane], surface_id: str) -> Plane:
    if surface_id not in planes:
        have = ", ".join(planes)
        raise NotFound(
            "SURFACE_NOT_FOUND",
            f"the room has no surface {surface_id[:64] or '(none given)'}; it has {have}",
            {"surface": surface_id[:64]},
        )
    return planes[surface_id]


def _matrix(plane: Plane) -> Matrix:
    return np.array(plane.homography, np.float64).reshape(3, 3)


def _plane(pixel_from_plane: Matrix) -> Plane:
    return Plane(tuple(float(v) for v in (pixel_from_plane / np.abs(pixel_from_plane).max()).ravel()))


def _corners(message: str, surface_id: str) -> InvalidArgument:
    return InvalidArgument("CORNERS_INVALID", message, {"surface": surface_id[:64]})


def _reference(message: str, reference: Reference) -> InvalidArgument:
    return InvalidArgument("REFERENCE_INVALID", message, {"surface": reference.surface_id[:64]})
