"""Planes of surfaces, and the homography from metres on a plane to pixels.

A plane is n . P + d = 0 for points P in metres before the camera, n the unit normal towards the camera,
so d > 0 is its distance. With t and g the plane's axes and O its origin, a point (x, y) on it is
x t + y g + O, and the homography is K [t g O] (Hartley & Zisserman, "Multiple View Geometry", 2004, ch. 8).
The axes look like the picture's: x to the right, y downwards.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.camera import Camera, Vectors
from services.segmentation.domain.labels import CEILING, DOOR, FLOOR, OTHER, WALL, WINDOW

# Where nothing in the photo tells the scale: photos of rooms are taken from chest or eye height.
# Medians and standard deviations of the logarithm.
CAMERA_HEIGHT_M, CAMERA_HEIGHT_SPREAD = 1.38, 0.22
ROOM_HEIGHT_M, ROOM_HEIGHT_SPREAD = 2.65, 0.10
IN_WALL = (OTHER, WALL, WINDOW, DOOR)  # what hangs on it or is let into it hides neither of its ends
ASSUMED_DISTANCE = "assumed_distance"  # of walls that are not seen to meet floor or ceiling
INTERVAL = 2.6  # standard deviations to each side


@dataclass(frozen=True)
class Plane:
    """normal (3,) towards the camera; pixel_from_plane (3, 3), positive third coordinate where the surface lies;
    true metres per stated metre lie in scale_range; scale_source is `camera_height`, `room_height` or
    `assumed_distance`."""

    normal: Vectors
    pixel_from_plane: Vectors
    scale_source: str
    scale_range: tuple[float, float]


@dataclass(frozen=True)
class Room:
    """camera height above the floor and ceiling height above the camera, metres."""

    camera: Camera
    below_m: float
    above_m: float
    scale_source: str
    scale_range: tuple[float, float]

    def _plane(self, normal: Vectors, x: Vectors, y: Vectors, origin: Vectors) -> Plane:
        h = self.camera.matrix @ np.column_stack([x, y, origin])
        return Plane(normal, h / np.abs(h).max(), self.scale_source, self.scale_range)

    def floor(self) -> Plane:
        right, forward, up = self.camera.axes
        return self._plane(up, right, -forward, -self.below_m * up)

    def ceiling(self) -> Plane:
        right, forward, up = self.camera.axes
        return self._plane(-up, right, forward, self.above_m * up)

    def wall(self, normal: Vectors, distance: float, doubt: float = 0.0) -> Plane:
        """A wall `distance` metres away; y = 0 at the floor. Its metres may be off by `doubt`, a logarithm, beyond the room's
        own scale."""
        down = -self.camera.up
        plane = self._plane(normal, np.cross(normal, down), down, -distance * normal + self.below_m * down)
        low, high = (float(np.exp(np.hypot(np.log(end), doubt))) for end in self.scale_range)
        source = ASSUMED_DISTANCE if doubt else self.scale_source
        return replace(plane, scale_source=source, scale_range=(1 / low, high))


def measure_room(camera: Camera, label: NDArray[np.uint8]) -> Room:
    """Heights of camera and ceiling from what is usual for both, and from their ratio where the photo shows it.

    Both priors are normal in the logarithm of the height, so their product is too (precision-weighted mean).
    The interval is to hold nine of ten rooms; what the photo tells is now and then misread, so its tails are heavier
    than a normal distribution's (measured on rendered rooms, `bench-segmentation`).
    """
    above, doubt, pairs = _height_ratio(camera, label)
    mean, spread, source = np.log(CAMERA_HEIGHT_M), CAMERA_HEIGHT_SPREAD, "camera_height"
    if pairs >= 4:
        by_room = np.log(ROOM_HEIGHT_M / (1 + above))
        a, b = 1 / spread**2, 1 / (ROOM_HEIGHT_SPREAD**2 + doubt**2)
        mean, spread, source = (a * mean + b * by_room) / (a + b), (a + b) ** -0.5, "room_height"
    below = float(np.exp(mean))
    reach = float(np.exp(INTERVAL * spread))
    rest = float(np.clip(above * below, 0.5, 3.0)) if pairs >= 4 else max(0.5, ROOM_HEIGHT_M - below)
    return Room(camera, below, rest, source, (1 / reach, reach))


def _height_ratio(camera: Camera, label: NDArray[np.uint8]) -> tuple[float, float, int]:
    """Ceiling above the camera over floor below it; how far the columns disagree on the room's height (standard
    deviation of its logarithm, at least 0.06); and how many columns there are.

    In columns where floor, wall and ceiling follow each other, both contacts lie on one wall.

    At a contact the ray (s, with s . up = sine of its climb) meets floor and ceiling at the same level
    distance, so the heights are as the tangents of the two angles.
    """
    height, width = label.shape
    ratios = []
    scale = np.array([2 * camera.cx / width, 2 * camera.cy / height])
    for x in range(0, width, max(1, width // 96)):
        column = label[:, x]
        floor, ceiling = np.flatnonzero(column == FLOOR), np.flatnonzero(column == CEILING)
        if len(floor) == 0 or len(ceiling) == 0 or floor[0] <= ceiling[-1]:
            continue
        between = column[ceiling[-1] + 1 : floor[0]]
        if len(between) < height * 0.08 or np.isin(between, IN_WALL).mean() < 0.9:
            continue
        rays = camera.rays(np.array([[x + 0.5, ceiling[-1] + 1], [x + 0.5, floor[0]]]) * scale)
        climb = rays @ camera.up
        level = np.linalg.norm(rays - climb[:, None] * camera.up, axis=1)
        tangent = climb / level
        if tangent[0] > 0.02 and tangent[1] < -0.02:
            ratios.append(tangent[0] / -tangent[1])
    if not ratios:
        return ROOM_HEIGHT_M / CAMERA_HEIGHT_M - 1, 1.0, 0
    heights = np.log1p(ratios)
    # 1.4826: from the median deviation to the standard deviation of a normal distribution.
    doubt = 1.4826 * float(np.median(np.abs(heights - np.median(heights))))
    return float(np.median(ratios)), max(0.06, doubt), len(ratios)


def wall_directions(camera: Camera) -> Vectors:
    """(4, 3) normals that a wall of this room can have, towards the camera's side."""
    right, forward, _ = camera.axes
    return np.stack([right, -right, forward, -forward])
