"""Where a cut-out goes: from metres on its surface, or a pixel, to its sheet's place in the photo.

A cut-out is a sheet: metres from its top left corner, x to the right, y down. What lies or hangs flat is a part of its
surface's plane. What stands or hangs down is a sheet upright on the plane, as wide as the picture is level: its feet
are where the plane says, its upright lines run to the room's vertical vanishing point, its size follows from depth.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.homography import Matrix, project, rotated
from roomviz.imaging.lens import STRAIGHT, Lens

Mount = Literal["lying", "wall", "standing", "ceiling"]
Point = tuple[float, float]
Vector = NDArray[np.float64]

NEAR_M = 0.05  # nothing can be shown that comes nearer to the lens than this
FAR_M = 100.0  # or that is farther away


@dataclass(frozen=True)
class Camera:
    """focal in pixels; (cx, cy) the principal point, the middle of the photo."""

    focal: float
    cx: float
    cy: float
    lens: Lens = STRAIGHT

    @property
    def matrix(self) -> Matrix:
        """(3, 3) to pixels of the straight picture."""
        return np.array([[self.focal, 0, self.cx], [0, self.focal, self.cy], [0, 0, 1.0]])

    def shows(self, point: Vector) -> Point:
        """The pixel of the photo where a point (3,) of its frame is seen."""
        seen = self.matrix @ point
        x, y = self.lens.bent(seen[:2] / seen[2])
        return float(x), float(y)


@dataclass(frozen=True)
class Ground:
    """A plane in the camera's frame (x right, y down, z forward), metres.

    frame (3, 3): columns are the plane's x and y axes and its origin; normal: towards the camera's side.
    """

    camera: Camera
    frame: Matrix
    normal: Vector

    @property
    def pixel_from_plane(self) -> Matrix:
        """Third coordinate: depth in metres."""
        return self.camera.matrix @ self.frame

    def at(self, point: Point) -> Vector:
        return np.asarray(self.frame @ np.array([*point, 1.0]))

    def seen_at(self, pixel: Point) -> Point | None:
        """Metres on the plane of what is seen at a pixel of the photo; None where the plane is not."""
        straight = self.camera.lens.straight(np.array(pixel))
        found = np.linalg.inv(self.pixel_from_plane) @ np.array([*straight, 1.0])
        if not found[2] >= 1 / FAR_M:
            return None
        return float(found[0] / found[2]), float(found[1] / found[2])


def depths(pixel_from_plane: Matrix, x: Vector, y: Vector, lens: Lens = STRAIGHT) -> Vector:
    """Metres along the optical axis of a plane at pixels (N,), (N,) of the photo; infinite at and above its horizon.

    pixel_from_plane: its third coordinate in metres, as Ground's.
    """
    row = np.linalg.inv(pixel_from_plane)[2]
    x, y = lens.straight_at(x, y)
    inverse = row[0] * x + row[1] * y + row[2]
    return np.where(inverse > 1 / FAR_M, 1 / np.maximum(inverse, 1 / FAR_M), np.inf)


def ground(pixel_from_plane: Matrix, camera: Camera) -> Ground:
    """The plane of a homography, which is camera x (x axis, y axis, origin) up to its scale (Zhang, "A Flexible New
    Technique for Camera Calibration", 2000, eq. 2); both axes have length 1, which gives the scale."""
    frame = np.linalg.inv(camera.matrix) @ pixel_from_plane
    frame = frame / np.sqrt(np.linalg.norm(frame[:, 0]) * np.linalg.norm(frame[:, 1]))
    normal = np.cross(frame[:, 0], frame[:, 1])
    normal /= np.linalg.norm(normal)
    return Ground(camera, frame, normal if normal @ frame[:, 2] < 0 else -normal)


@dataclass(frozen=True)
class Pose:
    """A sheet in the photo.

    pixel_from_sheet (3, 3): metres on the sheet to pixels of the straight picture; pixel_from_foot: for what stands, from metres
    on the floor, x to the right of the middle of its foot line and y away from the camera, to pixels. at_m: on the
    surface's plane; at_px: the same in the photo. size_m: width and height. corners (4, 2) px. foot: in the camera's
    frame, metres.
    """

    pixel_from_sheet: Matrix
    pixel_from_foot: Matrix | None
    at_m: Point
    at_px: Point
    size_m: tuple[float, float]
    corners: NDArray[np.float64]
    foot: Vector


def pose(
    on: Ground,
    mount: Mount,
    at_m: Point,
    size_m: tuple[float, float],
    rotation_deg: float,
    photo: tuple[int, int],
    told: dict[str, str],
) -> Pose:
    """Where a sheet of size_m (width, height) comes to be.

    Args:
        on: its surface.
        mount: how it is put there.
        at_m: its middle; the middle of its foot line for what stands, its fixing for what hangs from the ceiling.
        rotation_deg: for what lies or hangs on a wall.
        photo: height and width in pixels.
        told: goes with an error.

    Raises:
        InvalidArgument: PLACEMENT_OUT_OF_VIEW, it is not in the picture, or reaches behind the camera.
    """
    width, height = size_m
    foot = on.at(at_m)
    from_foot = None
    if mount in ("lying", "wall"):
        shift = np.array([[1, 0, at_m[0]], [0, 1, at_m[1]], [0, 0, 1.0]])
        middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
        from_sheet = rotated(on.pixel_from_plane @ shift, rotation_deg) @ middle
    else:
        right = np.array([1.0, 0, 0]) - on.normal[0] * on.normal
        right /= np.linalg.norm(right)
        down, top = (-on.normal, foot + on.normal * height) if mount == "standing" else (on.normal, foot)
        from_sheet = on.camera.matrix @ np.column_stack([right, down, top - right * width / 2])
        if mount == "standing":
            away = np.cross(on.normal, right)
            away = away if away[2] > 0 else -away
            from_foot = on.camera.matrix @ np.column_stack([right, away, foot])
    sheet = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    depth = np.column_stack([sheet, np.ones(4)]) @ from_sheet[2]
    out_of_view = InvalidArgument(
        "PLACEMENT_OUT_OF_VIEW", "the thing would not be in the picture, or reach behind the camera", told
    )
    if not (depth.min() > NEAR_M and depth.max() < FAR_M):
        raise out_of_view
    corners = on.camera.lens.bent(project(from_sheet, sheet))
    low, high = corners.min(0), corners.max(0)
    if low[0] >= photo[1] or low[1] >= photo[0] or high[0] <= 0 or high[1] <= 0:
        raise out_of_view
    return Pose(from_sheet, from_foot, at_m, on.camera.shows(foot), size_m, corners, foot)


def seen_at(on: Ground, pixel: Point, told: dict[str, str]) -> Point:
    """Metres on the plane of a pixel. Raises InvalidArgument PLACEMENT_OFF_PLANE above its horizon."""
    found = on.seen_at(pixel)
    if found is None:
        raise InvalidArgument(
            "PLACEMENT_OFF_PLANE", "the surface's plane is not seen at this pixel; choose one of the surface", told
        )
    return found


def camera_of(focal: float, height: int, width: int, radial_distortion: float = 0.0) -> Camera:
    """Raises FailedPrecondition CAMERA_UNKNOWN where the analysis did not tell the focal length."""
    if not focal > 0:
        raise FailedPrecondition("CAMERA_UNKNOWN", "the room's camera is not known; analyze the room again")
    return Camera(focal, width / 2, height / 2, Lens.of(height, width, focal, radial_distortion))
