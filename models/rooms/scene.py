"""A scene: primitives, materials and lights, as the ray caster takes them. Metres, z up."""

import math
from dataclasses import dataclass, field

import numpy as np

from models.rooms import raycast as rc

Rng = np.random.Generator


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Rows are the local axes in the world: yaw about z, then pitch about the local y, then roll about x."""
    cy, sy, cp, sp, cr, sr = (
        math.cos(yaw),
        math.sin(yaw),
        math.cos(pitch),
        math.sin(pitch),
        math.cos(roll),
        math.sin(roll),
    )
    turn = np.array([[cy, sy, 0], [-sy, cy, 0], [0, 0, 1]])
    nod = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    lean = np.array([[1, 0, 0], [0, cr, sr], [0, -sr, cr]])
    return lean @ nod @ turn


@dataclass
class Scene:
    """A room ready for the ray caster, see `raycast.render` for the layout of the arrays."""

    rng: Rng
    version: int = 2  # of the generator
    kinds: list = field(default_factory=list)
    prims: list = field(default_factory=list)
    matids: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    instances: list = field(default_factory=list)
    starts: list = field(default_factory=lambda: [0])
    materials: list = field(default_factory=list)
    lights: list = field(default_factory=list)
    sun: np.ndarray = field(default_factory=lambda: np.zeros(4))
    ambient: np.ndarray = field(default_factory=lambda: np.ones(3))
    polygon: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    height: float = 2.6
    footprints: list = field(default_factory=list)  # (x, y, radius) of what stands on the floor
    covers: list = field(default_factory=list)  # what furniture is covered with; empty: anything
    dado: tuple | None = None  # (metres, material): what all walls have to that height
    doorway: tuple | None = None  # (axis, where, from, to) of an opening in a wall across the room
    _instance: int = 0

    def material(
        self, kind, rgb, rgb2=(0, 0, 0), size=(1.0, 1.0), contrast=0.5, angle=0.0, variant=0.0, gloss=0.0, emission=0.0
    ) -> int:
        row = [kind, *rgb, *rgb2, *size, self.rng.integers(1, 1 << 20), contrast, angle, variant, gloss, emission]
        self.materials.append(row)
        return len(self.materials) - 1

    def next_instance(self) -> int:
        self._instance += 1
        return self._instance

    def add(self, kind, centre, half, material, label, instance=None, frame=None) -> None:
        self.kinds.append(kind)
        self.prims.append([*centre, *(np.eye(3) if frame is None else frame).ravel(), *half])
        self.matids.append(material)
        self.labels.append(label)
        self.instances.append(self._instance if instance is None else instance)

    def close_group(self) -> None:
        if len(self.kinds) > self.starts[-1]:
            self.starts.append(len(self.kinds))

    def arrays(self):
        prims = np.asarray(self.prims, np.float64)
        reach = np.abs(prims[:, 3:12].reshape(-1, 3, 3)) * prims[:, 12:15, None]
        reach = reach.sum(1)
        reach = np.where(
            np.isin(self.kinds, [rc.CYLINDER])[:, None], np.linalg.norm(prims[:, 12:15], axis=1)[:, None], reach
        )
        low, high = prims[:, :3] - reach - 1e-3, prims[:, :3] + reach + 1e-3
        bounds = np.array(
            [[*low[a:b].min(0), *high[a:b].max(0)] for a, b in zip(self.starts, self.starts[1:], strict=False)]
        )
        return (
            np.asarray(self.kinds, np.int64),
            prims,
            np.asarray(self.matids, np.int64),
            np.asarray(self.labels, np.int64),
            np.asarray(self.instances, np.int64),
            np.asarray(self.starts, np.int64),
            bounds,
            np.asarray(self.materials, np.float64),
            np.asarray(self.lights, np.float64).reshape(-1, 16),
            self.sun,
            self.ambient,
        )
