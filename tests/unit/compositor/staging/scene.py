"""A camera in an empty room, in plain 3-D, to hold the staging to."""

from dataclasses import dataclass

import numpy as np

from services.compositor.domain.staging.pose import Camera, Ground, camera_of, ground

HEIGHT, WIDTH, FOCAL = 600, 800, 700.0


@dataclass(frozen=True)
class Scene:
    """height_m above the floor, looking down by pitch_deg, rolled by roll_deg; bend: the lens's radial distortion."""

    height_m: float = 1.5
    pitch_deg: float = 10.0
    roll_deg: float = 0.0
    bend: float = 0.0

    @property
    def camera(self) -> Camera:
        return camera_of(FOCAL, HEIGHT, WIDTH, self.bend)

    @property
    def turn(self) -> np.ndarray:
        """From the room (x right, y up, z ahead) to the camera (x right, y down, z ahead)."""
        p, r = np.deg2rad([self.pitch_deg, self.roll_deg])
        down = np.array([[1, 0, 0], [0, -np.cos(p), -np.sin(p)], [0, -np.sin(p), np.cos(p)]])
        roll = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
        return roll @ down

    def seen(self, *points: tuple[float, float, float]) -> np.ndarray:
        """(N, 3) pixels and depth of points of the room; the camera stands over its origin."""
        at = (np.asarray(points, float) - [0, self.height_m, 0]) @ self.turn.T
        straight = at[:, :2] / at[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
        return np.column_stack([self.camera.lens.bent(straight), at[:, 2]])

    def floor(self, factor: float = 1.0) -> np.ndarray:
        """Homography of the floor, x to the right and y towards the camera; times any factor it is the same."""
        frame = self.turn @ np.array([[1, 0, 0], [0, 0, -self.height_m], [0, -1, 0]])
        return factor * self.camera.matrix @ frame

    def wall(self, ahead_m: float) -> np.ndarray:
        """Homography of a wall, x to the right, y down from the camera's height."""
        frame = self.turn @ np.array([[1, 0, 0], [0, -1, 0], [0, 0, ahead_m]])
        return self.camera.matrix @ frame

    def ceiling(self, height_m: float) -> np.ndarray:
        """Homography of a ceiling so high above the floor, x to the right, y ahead."""
        frame = self.turn @ np.array([[1, 0, 0], [0, 0, height_m - self.height_m], [0, 1, 0]])
        return self.camera.matrix @ frame

    def ground(self) -> Ground:
        return ground(self.floor(3.7), self.camera)
