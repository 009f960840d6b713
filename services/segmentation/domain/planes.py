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
from services.segmentation.domain.proportions import (
    TOLD,
    USUAL_M,
    USUAL_SPREAD,
    camera_height,
    measure,
    of_photo,
)

ROOM_HEIGHT_M = 2.65  # where floor and ceiling are not both seen
ASSUMED_DISTANCE = "assumed_distance"  # of walls that are not seen to meet floor or ceiling
INTERVAL = 2.0  # standard deviations to each side


@dataclass(frozen=True)
class Plane:
    """normal (3,) towards the camera; pixel_from_plane (3, 3), positive third coordinate where the surface lies;
    true metres per stated metre lie in scale_range; scale_source is `camera_height`, `proportions` or
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
    """Heights of camera and ceiling: the camera's from the room's proportions, or, where these tell nothing, from what is
    usual; the ceiling's from their ratio where the photo shows it.

    The interval is to hold nine of ten rooms (measured on rendered rooms, `bench-segmentation`).
    """
    above, seen = measure(camera, label)
    mean, spread = (float(np.log(USUAL_M)), USUAL_SPREAD) if seen is None else of_photo(*camera_height(seen))
    source = "proportions" if spread < TOLD * USUAL_SPREAD else "camera_height"
    below, reach = float(np.exp(mean)), float(np.exp(INTERVAL * spread))
    rest = max(0.5, ROOM_HEIGHT_M - below) if above is None else float(np.clip(above * below, 0.5, 3.0))
    return Room(camera, below, rest, source, (1 / reach, reach))


def wall_directions(camera: Camera) -> Vectors:
    """(4, 3) normals that a wall of this room can have, towards the camera's side."""
    right, forward, _ = camera.axes
    return np.stack([right, -right, forward, -forward])
