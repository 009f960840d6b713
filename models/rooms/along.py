"""Boxes and panes in the frame of a wall: x along it, y into the room, z up."""

import math
from dataclasses import dataclass

import numpy as np

from models.rooms import raycast as rc
from models.rooms.labels import FURNITURE
from models.rooms.scene import Scene, rotation


@dataclass(frozen=True)
class Along:
    """A wall from a to b with the room to its left, and boxes placed in its frame."""

    s: Scene
    a: np.ndarray
    b: np.ndarray

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.b - self.a))

    @property
    def direction(self) -> np.ndarray:
        return (self.b - self.a) / self.length

    @property
    def inward(self) -> np.ndarray:
        return np.array([-self.direction[1], self.direction[0]])

    @property
    def yaw(self) -> float:
        return math.atan2(self.direction[1], self.direction[0])

    def at(self, x: float, y: float) -> np.ndarray:
        return self.a + self.direction * x + self.inward * y

    def box(self, x, y, z, material, label=FURNITURE) -> None:
        """x, y, z: (low, high) of the box."""
        centre = self.at((x[0] + x[1]) / 2, (y[0] + y[1]) / 2)
        half = [max(0.002, abs(v[1] - v[0]) / 2) for v in (x, y, z)]
        self.s.add(rc.BOX, (*centre, (z[0] + z[1]) / 2), half, material, label, frame=rotation(self.yaw))

    def pane(self, x, y, z, material, label=FURNITURE) -> None:
        """An upright rectangle at depth y, its texture centred on it."""
        frame = np.array([[*self.direction, 0], [0, 0, 1.0], [*self.inward, 0]])
        half = (max(0.002, (x[1] - x[0]) / 2), max(0.002, (z[1] - z[0]) / 2), 0.001)
        centre = self.at((x[0] + x[1]) / 2, y)
        self.s.add(rc.RECT, (*centre, (z[0] + z[1]) / 2), half, material, label, frame=frame)

    def keep_clear(self, x0: float, x1: float, depth: float) -> None:
        for x in np.arange(x0, x1 + 0.3, 0.6):
            p = self.at(min(x, x1), depth / 2)
            self.s.footprints.append((p[0], p[1], depth / 2))
