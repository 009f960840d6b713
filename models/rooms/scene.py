"""Random furnished rooms, built from primitives.

A scene is a function of its random generator alone. Sizes are metres and follow what houses have:
ceilings 2.3 to 3.4 m, doors 2.0 to 2.1 m, seats at 0.45 m, tables at 0.75 m.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from models.rooms import raycast as rc
from models.rooms.labels import CEILING, DOOR, FLOOR, FURNITURE, OTHER, WALL, WINDOW

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


# --- colours and materials -------------------------------------------------------------------------


def hsv(rng: Rng, hue=(0, 1), sat=(0, 1), val=(0, 1)) -> tuple[float, float, float]:
    """A random colour, given in HSV of sRGB, returned in linear RGB."""
    # Homes are mostly muted: saturation leans to the low end of its range.
    h, s, v = rng.uniform(*hue) % 1.0, sat[0] + (sat[1] - sat[0]) * rng.uniform() ** 2, rng.uniform(*val)
    i = int(h * 6)
    f = h * 6 - i
    p, q, t = v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))
    r, g, b = [(v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q)][i % 6]
    return tuple(float(c**2.2) for c in (r, g, b))


def wood(rng: Rng) -> tuple[tuple, tuple]:
    light = hsv(rng, (0.06, 0.12), (0.1, 0.6), (0.15, 0.95))
    return light, tuple(c * rng.uniform(0.35, 0.8) for c in light)


def floor_material(s: Scene) -> int:
    rng, gloss = s.rng, float(s.rng.choice([0.0, 0.0, 0.3, 0.8]))
    angle = float(rng.choice([0, math.pi / 2])) + (rng.uniform(-0.8, 0.8) if rng.random() < 0.15 else 0.0)
    a, b = wood(rng)
    roll = rng.random()
    if roll < 0.5:
        return s.material(
            rc.PLANK, a, b, (rng.uniform(0.6, 2.4), rng.uniform(0.06, 0.24)), rng.uniform(0.1, 1.2), angle, 0.05, gloss
        )
    if roll < 0.6:
        n = rng.integers(4, 8)
        w = rng.uniform(0.06, 0.14)
        return s.material(rc.HERRINGBONE, a, b, (n * w, w), rng.uniform(0.2, 1), angle, 0.05, gloss)
    if roll < 0.75:
        c = hsv(rng, (0, 1), (0, 0.25), (0.25, 0.98))
        w = rng.uniform(0.15, 0.9)
        return s.material(
            rc.TILE,
            c,
            hsv(rng, (0, 1), (0, 0.1), (0.2, 0.9)),
            (w, w * rng.choice([1, 1, 0.5])),
            rng.uniform(0, 0.8),
            angle,
            float(rng.random() < 0.3),
            gloss,
        )
    if roll < 0.87:
        return s.material(rc.CARPET, hsv(rng, (0, 1), (0, 0.4), (0.15, 0.95)), (0, 0, 0), (1, 1), rng.uniform(0.2, 1))
    if roll < 0.92:
        return s.material(
            rc.CHECK,
            hsv(rng, (0, 1), (0, 0.2), (0.6, 1)),
            hsv(rng, (0, 1), (0, 0.6), (0.05, 0.6)),
            (w := rng.uniform(0.15, 0.5), w),
            0.5,
            angle,
            0,
            gloss,
        )
    if roll < 0.96:
        return s.material(
            rc.MARBLE,
            hsv(rng, (0, 1), (0, 0.2), (0.3, 1)),
            hsv(rng, (0, 1), (0, 0.2), (0.1, 0.9)),
            (rng.uniform(0.5, 2), 1),
            1,
            angle,
            0.02,
            gloss,
        )
    return s.material(
        rc.SPECKLE,
        hsv(rng, (0, 1), (0, 0.2), (0.4, 1)),
        hsv(rng, (0, 1), (0, 0.5), (0.1, 0.8)),
        (rng.uniform(0.01, 0.04), 1),
        1,
        0,
        0.03,
        gloss,
    )


def wall_material(s: Scene, plain: int | None = None) -> int:
    rng = s.rng
    if plain is not None and rng.random() < 0.75:
        return plain
    roll = rng.random()
    size = rng.uniform(0.15, 0.8)
    a, b = hsv(rng, (0, 1), (0, 0.5), (0.3, 1)), hsv(rng, (0, 1), (0, 0.5), (0.3, 1))
    if roll < 0.4:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.12), (0.75, 1.0)), contrast=rng.uniform(0, 1))
    if roll < 0.65:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0.05, 0.7), (0.12, 0.95)), contrast=rng.uniform(0, 1))
    if roll < 0.72:
        return s.material(rc.STRIPE, a, b, (size, 1))
    if roll < 0.80:
        return s.material(rc.DAMASK, a, tuple(c * rng.uniform(0.6, 1.3) for c in a), (size, size))
    if roll < 0.87:
        return s.material(
            rc.BRICK,
            hsv(rng, (0.0, 0.1), (0, 0.7), (0.25, 1)),
            hsv(rng, (0, 1), (0, 0.15), (0.3, 1)),
            (rng.uniform(0.18, 0.3), rng.uniform(0.06, 0.1)),
            rng.uniform(0.1, 0.8),
        )
    if roll < 0.93:
        return s.material(
            rc.TILE,
            a,
            hsv(rng, (0, 1), (0, 0.1), (0.4, 1)),
            (size, size * rng.choice([0.33, 0.5, 1])),
            rng.uniform(0, 0.4),
            0,
            float(rng.random() < 0.5),
            rng.choice([0, 0.6]),
        )
    if roll < 0.97:
        w = wood(rng)
        return s.material(
            rc.PLANK, *w, (3.0, rng.uniform(0.08, 0.2)), rng.uniform(0.1, 0.8), math.pi / 2 * rng.integers(0, 2)
        )
    return s.material(rc.MARBLE, a, b, (1, 1), 1)


def stuff_material(s: Scene) -> int:
    """What furniture is covered with."""
    rng = s.rng
    if s.covers:
        return int(rng.choice(s.covers))
    roll = rng.random()
    if roll < 0.3:
        return s.material(
            rc.GRAIN,
            *wood(rng),
            contrast=rng.uniform(0.3, 1),
            angle=rng.choice([0, math.pi / 2]),
            variant=0.05,
            gloss=rng.choice([0, 0.5]),
        )
    if roll < 0.55:
        return s.material(
            rc.PLAIN, hsv(rng, (0, 1), (0, 0.2), (0.02, 1)), contrast=0.3, variant=0.05, gloss=rng.choice([0, 0.6])
        )
    if roll < 0.85:
        return s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.8), (0.05, 1)), contrast=rng.uniform(0, 1))
    if roll < 0.93:
        return s.material(rc.STRIPE, hsv(rng), hsv(rng), (rng.uniform(0.03, 0.2), 1))
    return s.material(rc.PATCHES, hsv(rng), size=(rng.uniform(0.05, 0.2),) * 2, contrast=rng.uniform(0.05, 0.6))


# --- furniture: each function builds one object about (x, y), facing `yaw`, and returns its radius ---


def _box(s: Scene, at, yaw, local, half, material, label=FURNITURE, pitch=0.0, roll=0.0):
    base = rotation(yaw)
    s.add(
        rc.BOX,
        np.array([at[0], at[1], 0]) + base.T @ np.asarray(local, float),
        np.maximum(half, 0.002),
        material,
        label,
        frame=rotation(yaw, pitch, roll),
    )


def _round(s: Scene, kind, at, yaw, local, half, material, label=FURNITURE):
    s.add(
        kind,
        np.array([at[0], at[1], 0]) + rotation(yaw).T @ np.asarray(local, float),
        half,
        material,
        label,
        frame=rotation(yaw),
    )


def _legs(s, at, yaw, w, d, top, material, inset=0.04, thick=None):
    t = s.rng.uniform(0.012, 0.04) if thick is None else thick
    for sx in (-1, 1):
        for sy in (-1, 1):
            local, half = (sx * (w - inset), sy * (d - inset), top / 2), (t, t, top / 2)
            if s.rng.random() < 0.5:
                _box(s, at, yaw, local, half, material)
            else:
                _round(s, rc.CYLINDER, at, yaw, local, (t, t, top / 2), material)


def sofa(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    w, d, seat, back = rng.uniform(0.4, 1.3), rng.uniform(0.38, 0.5), rng.uniform(0.36, 0.46), rng.uniform(0.65, 0.95)
    lift = rng.choice([0.0, 0.0, rng.uniform(0.06, 0.18)])
    _box(s, at, yaw, (0, 0, (seat + lift) / 2), (w, d, (seat - lift) / 2), m)
    _box(s, at, yaw, (0, -d + 0.1, (back + lift) / 2), (w, 0.1, (back - lift) / 2), m, roll=rng.uniform(-0.12, 0))
    arm = rng.uniform(0.06, 0.14)
    if rng.random() < 0.85:
        for sx in (-1, 1):
            _box(s, at, yaw, (sx * (w - arm), 0, (0.6 + lift) / 2), (arm, d, (0.6 - lift) / 2), m)
    if lift:
        _legs(s, at, yaw, w, d, lift, stuff_material(s))
    if w > 0.8 and rng.random() < 0.3:  # chaise longue
        _box(s, at, yaw, (rng.choice([-1, 1]) * (w - 0.35), d + 0.4, seat / 2), (0.35, 0.45, seat / 2), m)
    n = max(1, round(w / 0.35))
    for i in range(n):
        x = -w + arm + (2 * (w - arm)) * (i + 0.5) / n
        _box(s, at, yaw, (x, 0.06, seat + 0.05), ((w - arm) / n - 0.01, d - 0.1, 0.06), m)
        if rng.random() < 0.6:
            _box(
                s,
                at,
                yaw,
                (x + rng.uniform(-0.1, 0.1), -d + 0.3, seat + 0.28),
                (0.22, 0.06, 0.2),
                stuff_material(s),
                roll=rng.uniform(-0.5, -0.1),
                pitch=rng.uniform(-0.3, 0.3),
            )
    return max(w, d)


def table(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    top = float(rng.choice([rng.uniform(0.3, 0.5), rng.uniform(0.7, 0.78)]))
    w, d = (
        (rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.45))
        if top < 0.6
        else (rng.uniform(0.4, 1.1), rng.uniform(0.35, 0.5))
    )
    if rng.random() < 0.35:
        _round(s, rc.CYLINDER, at, yaw, (0, 0, top), (w, w, 0.02), m)
        d = w
        if rng.random() < 0.5:
            _round(
                s, rc.CYLINDER, at, yaw, (0, 0, top / 2), (rng.uniform(0.02, w * 0.8), 1, top / 2), stuff_material(s)
            )
        else:
            _legs(s, at, yaw, w * 0.65, w * 0.65, top, stuff_material(s))
    else:
        _box(s, at, yaw, (0, 0, top), (w, d, rng.uniform(0.012, 0.04)), m)
        _legs(s, at, yaw, w, d, top, stuff_material(s))
    for _ in range(rng.integers(0, 5)):
        clutter(s, at, yaw, (rng.uniform(-w, w) * 0.7, rng.uniform(-d, d) * 0.7, top + 0.02))
    return max(w, d)


def clutter(s, at, yaw, local):
    rng, m = s.rng, stuff_material(s)
    x, y, z = local
    h = rng.uniform(0.02, 0.16)
    roll = rng.random()
    if roll < 0.4:
        _box(
            s,
            at,
            yaw + rng.uniform(-0.5, 0.5),
            (x, y, z + h * 0.4),
            (rng.uniform(0.04, 0.15), rng.uniform(0.04, 0.12), h * 0.4),
            m,
        )
    elif roll < 0.7:
        _round(s, rc.CYLINDER, at, yaw, (x, y, z + h), (rng.uniform(0.03, 0.09), 1, h), m)
    elif roll < 0.85:
        _round(s, rc.ELLIPSOID, at, yaw, (x, y, z + h), (h, h, h), m)
    else:
        _round(s, rc.CYLINDER, at, yaw, (x, y, z + h * 0.6), (0.05, 1, h * 0.6), m)
        leaves(s, (at[0] + x, at[1] + y), z + 0.15 + h, rng.uniform(0.08, 0.2), 12)


def chair(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    legs = m if rng.random() < 0.5 else stuff_material(s)
    w, seat = rng.uniform(0.19, 0.26), rng.choice([0.45, 0.46, 0.72])
    _box(s, at, yaw, (0, 0, seat), (w, w, rng.uniform(0.015, 0.05)), m)
    if rng.random() < 0.8:
        h = rng.uniform(0.15, 0.3)
        if rng.random() < 0.6:
            _box(s, at, yaw, (0, -w + 0.02, seat + h), (w, 0.015, h), m, roll=-0.12)
        else:
            for i in range(5):
                _box(s, at, yaw, (-w + w * i / 2, -w + 0.02, seat + h), (0.012, 0.012, h), legs)
            _box(s, at, yaw, (0, -w + 0.02, seat + 2 * h), (w, 0.014, 0.03), legs)
    _legs(s, at, yaw, w, w, seat, legs, 0.02, rng.uniform(0.01, 0.02))
    return w


def cabinet(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    w, d, h = (
        rng.uniform(0.25, 1.1),
        rng.uniform(0.17, 0.32),
        float(rng.choice([rng.uniform(0.4, 0.9), rng.uniform(0.9, 1.3), rng.uniform(1.6, 2.3)])),
    )
    lift = rng.choice([0.0, rng.uniform(0.05, 0.2)])
    _box(s, at, yaw, (0, 0, (h + lift) / 2), (w, d, (h - lift) / 2), m)
    if lift:
        _legs(s, at, yaw, w, d, lift, stuff_material(s))
    front, n = stuff_material(s) if rng.random() < 0.4 else m, rng.integers(1, 5)
    for i in range(n):
        x = -w + 2 * w * (i + 0.5) / n
        _box(s, at, yaw, (x, d + 0.008, (h + lift) / 2), (w / n - 0.012, 0.008, (h - lift) / 2 - 0.02), front)
        _box(
            s,
            at,
            yaw,
            (x + w / n * 0.6, d + 0.03, (h + lift) / 2),
            (0.008, 0.015, rng.uniform(0.02, 0.1)),
            stuff_material(s),
        )
    if h < 1.4:
        for _ in range(rng.integers(0, 6)):
            clutter(s, at, yaw, (rng.uniform(-w, w) * 0.85, rng.uniform(-d, d) * 0.4, h))
        if rng.random() < 0.25:
            screen = s.material(rc.PLAIN, (0.005,) * 3, contrast=0, gloss=1.0)
            _box(s, at, yaw, (0, 0, h + 0.42), (rng.uniform(0.4, 0.7), 0.02, 0.35), screen, OTHER)
    return max(w, d)


def bookcase(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    w, d, h = rng.uniform(0.3, 0.8), rng.uniform(0.13, 0.2), rng.uniform(1.2, 2.3)
    n = rng.integers(3, 7)
    if rng.random() < 0.7:
        _box(s, at, yaw, (0, -d, h / 2), (w, 0.01, h / 2), m)
    for sx in (-1, 1):
        _box(s, at, yaw, (sx * w, 0, h / 2), (0.012, d, h / 2), m)
    for i in range(n + 1):
        z = 0.03 + (h - 0.04) * i / n
        _box(s, at, yaw, (0, 0, z), (w, d, 0.012), m)
        if i < n and rng.random() < 0.75:
            books = s.material(rc.BOOKS, (0, 0, 0), size=(0.035, 10.0), contrast=rng.uniform(0.2, 1))
            bw = rng.uniform(0.2, 0.9) * w
            _box(s, at, yaw, (rng.uniform(-1, 1) * (w - bw), 0, z + 0.13), (bw, d * 0.8, 0.12), books)
        elif i < n:
            clutter(s, at, yaw, (rng.uniform(-w, w) * 0.7, 0, z + 0.012))
    return max(w, d)


def bed(s, at, yaw):
    rng = s.rng
    w, d = rng.uniform(0.45, 0.95), rng.uniform(0.95, 1.1)
    base, sheet, cover = stuff_material(s), stuff_material(s), stuff_material(s)
    _box(s, at, yaw, (0, 0, 0.15), (w, d, 0.15), base)
    _box(s, at, yaw, (0, 0, 0.4), (w - 0.02, d - 0.02, 0.12), sheet)
    _box(s, at, yaw, (0, 0.25, 0.48), (w + 0.01, d - 0.25, 0.07), cover)
    if rng.random() < 0.4:
        _box(s, at, yaw, (0, 0.25, 0.25), (w + 0.02, d - 0.25, 0.25), cover)
    for _i in range(rng.integers(1, 4)):
        _box(s, at, yaw, (rng.uniform(-0.6, 0.6) * w, -d + 0.3, 0.6), (0.3, 0.12, 0.16), stuff_material(s), roll=-0.8)
    if rng.random() < 0.8:
        _box(
            s,
            at,
            yaw,
            (0, -d - 0.03, rng.uniform(0.4, 0.7)),
            (w + rng.uniform(0, 0.3), 0.03, rng.uniform(0.4, 0.7)),
            stuff_material(s),
        )
    return d


def leaves(s, at, z, spread, n):
    rng = s.rng
    green = s.material(rc.LEAF, hsv(rng, (0.2, 0.42), (0.3, 0.9), (0.15, 0.7)))
    for _ in range(n):
        c = np.array([at[0], at[1], z]) + rng.normal(0, 1, 3) * np.array([1, 1, 1.2]) * spread * 0.55
        size = spread * rng.uniform(0.15, 0.5)
        s.add(
            rc.DISC,
            c,
            (size, size * rng.uniform(0.3, 0.7), 0.001),
            green,
            FURNITURE,
            frame=rotation(rng.uniform(0, 6.3), rng.uniform(-1.4, 1.4), rng.uniform(-1.4, 1.4)),
        )


def plant(s, at, yaw):
    rng = s.rng
    pot, h = rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.4)
    _round(s, rc.CYLINDER, at, yaw, (0, 0, h / 2), (pot, 1, h / 2), stuff_material(s))
    top, spread = h + rng.uniform(0.2, 1.1), rng.uniform(0.2, 0.5)
    _round(s, rc.CYLINDER, at, yaw, (0, 0, top / 2), (0.015, 1, top / 2), stuff_material(s))
    leaves(s, at, top, spread, int(rng.integers(15, 40)))
    return pot


def lamp(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    h = rng.uniform(1.2, 1.8)
    _round(s, rc.CYLINDER, at, yaw, (0, 0, 0.015), (0.14, 1, 0.015), m)
    _round(s, rc.CYLINDER, at, yaw, (0, 0, h / 2), (0.012, 1, h / 2), m)
    shade = s.material(
        rc.PLAIN,
        hsv(rng, (0.05, 0.15), (0, 0.4), (0.7, 1)),
        contrast=0,
        emission=rng.choice([0.0, rng.uniform(0.8, 4)]),
    )
    _round(s, rc.CYLINDER, at, yaw, (0, 0, h), (rng.uniform(0.1, 0.24), 1, rng.uniform(0.08, 0.17)), shade)
    return 0.15


def pouf(s, at, yaw):
    rng, r = s.rng, s.rng.uniform(0.2, 0.4)
    h = rng.uniform(0.12, 0.25)
    if rng.random() < 0.5:
        _round(s, rc.CYLINDER, at, yaw, (0, 0, h), (r, 1, h), stuff_material(s))
    else:
        _round(s, rc.ELLIPSOID, at, yaw, (0, 0, h), (r, r, h), stuff_material(s))
    return r


def toys(s, at, yaw):
    rng = s.rng
    for _ in range(rng.integers(1, 6)):
        clutter(s, at, yaw, (rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4), 0.0))
    return 0.3


def counter(s, at, yaw):
    """A kitchen run: base units, worktop, wall units, and what stands on it."""
    rng, m, top = s.rng, stuff_material(s), stuff_material(s)
    w = rng.uniform(0.8, 1.9)
    _box(s, at, yaw, (0, 0, 0.47), (w, 0.28, 0.41), m)
    _box(s, at, yaw, (0, -0.05, 0.03), (w, 0.23, 0.03), stuff_material(s))
    _box(s, at, yaw, (0, 0.01, 0.9), (w + 0.01, 0.31, 0.02), top)
    n = int(rng.integers(2, 6))
    for i in range(n):
        x = -w + 2 * w * (i + 0.5) / n
        _box(s, at, yaw, (x, 0.285, 0.47), (w / n - 0.006, 0.01, 0.4), m)
        _box(s, at, yaw, (x, 0.31, 0.82), (w / n * 0.5, 0.008, 0.008), stuff_material(s))
        if rng.random() < 0.5:
            clutter(s, at, yaw, (x, rng.uniform(-0.1, 0.1), 0.92))
    if rng.random() < 0.7:
        _box(
            s,
            at,
            yaw,
            (rng.uniform(-0.3, 0.3) * w, -0.1, 1.8),
            (w * rng.uniform(0.4, 1), 0.17, rng.uniform(0.25, 0.45)),
            m,
        )
    return w


AGAINST_WALL = [
    (sofa, 3),
    (cabinet, 3),
    (bookcase, 2),
    (bed, 1.5),
    (counter, 1.5),
    (lamp, 1.5),
    (plant, 2),
    (table, 1),
    (chair, 1),
]
FREE = [(sofa, 2), (table, 4), (chair, 4), (pouf, 1.5), (plant, 1), (lamp, 0.5), (toys, 0.7), (cabinet, 0.4)]


def _pick(rng, table_):
    weights = np.array([w for _, w in table_])
    return table_[rng.choice(len(table_), p=weights / weights.sum())][0]


# --- the room --------------------------------------------------------------------------------------


def _footprint(rng: Rng) -> np.ndarray:
    """A rectilinear polygon, counter-clockwise, metres: a box, an L or a box with an alcove."""
    w, d = rng.uniform(2.6, 7.5), rng.uniform(2.8, 8.5)
    roll = rng.random()
    if roll < 0.55:
        return np.array([[0, 0], [w, 0], [w, d], [0, d]])
    a, b = rng.uniform(0.25, 0.7) * w, rng.uniform(0.3, 0.7) * d
    if roll < 0.8:
        shape = np.array([[0, 0], [w, 0], [w, b], [a, b], [a, d], [0, d]])
    else:
        c, e = a + rng.uniform(0.2, 0.9) * (w - a), rng.uniform(0.2, 1.0)
        shape = np.array([[0, 0], [w, 0], [w, d], [c, d], [c, d + e], [a, d + e], [a, d], [0, d]])
    return shape * np.array([1, 1]) if rng.random() < 0.5 else (shape * np.array([-1, 1]))[::-1] + np.array([w, 0])


def inside(polygon: np.ndarray, x: float, y: float) -> bool:
    a, b = polygon, np.roll(polygon, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = (a[:, 1] > y) != (b[:, 1] > y)
        at = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return bool(np.sum(cross & (x < at)) % 2)


def clearance(polygon: np.ndarray, x: float, y: float) -> float:
    """Distance to the nearest wall."""
    a, b = polygon, np.roll(polygon, -1, 0)
    e, p = b - a, np.array([x, y])
    t = np.clip(((p - a) * e).sum(1) / (e**2).sum(1), 0, 1)
    return float(np.linalg.norm(a + t[:, None] * e - p, axis=1).min())


def _wall_things(s: Scene, a, b, used: list):
    """Windows, doors, pictures, mirrors, curtains, radiators on the wall from a to b (inside to its left)."""
    rng, h = s.rng, s.height
    length = float(np.linalg.norm(b - a))
    along = (b - a) / length
    inward = np.array([-along[1], along[0]])
    yaw = math.atan2(along[1], along[0])
    # Local x runs along the wall, z up, y into the room.
    frame = np.array([[*along, 0], [0, 0, 1.0], [*inward, 0]])
    trim = (
        s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.15), (0.7, 1)), contrast=0.1)
        if rng.random() < 0.8
        else s.material(rc.GRAIN, *wood(rng))
    )

    def rect(x, z, hw, hh, material, label, off, kind=rc.RECT):
        c = a + along * x + inward * off
        s.add(kind, (c[0], c[1], z), (hw, hh, 0.001), material, label, frame=frame)

    def bar(x, z, hw, hd, hh, material, label, off=0.0):
        c = a + along * x + inward * (off + hd)
        s.add(rc.BOX, (c[0], c[1], z), (hw, hd, hh), material, label, frame=rotation(yaw))

    def frame_of(x, z, hw, hh, t, depth, label, sill=False):
        for sx in (-1, 1):
            bar(x + sx * (hw + t), z, t, depth, hh + 2 * t, trim, label)
        bar(x, z + hh + t, hw, depth, t, trim, label)
        if sill:
            bar(x, z - hh - t, hw + 0.05, depth + 0.05, t, trim, label)

    def free(x, hw):
        return hw < x < length - hw and all(abs(x - u) > hw + w for u, w in used)

    # Skirting and cornice belong to the wall.
    if rng.random() < 0.75:
        k = rng.uniform(0.03, 0.09)
        bar(length / 2, k, length / 2, 0.008, k, trim, WALL)
    if rng.random() < 0.3:
        k = rng.uniform(0.02, 0.08)
        bar(length / 2, h - k, length / 2, rng.uniform(0.01, 0.05), k, trim, CEILING if rng.random() < 0.5 else WALL)
    s.close_group()
    for _ in range(rng.integers(0, 4)):
        hw = rng.uniform(0.3, min(1.6, max(0.31, length * 0.35)))
        x = rng.uniform(0, length)
        if not free(x, hw + 0.12):
            continue
        roll = rng.random()
        if roll < 0.5:  # window
            s.next_instance()
            low, top = rng.choice([0.05, rng.uniform(0.5, 1.0)]), rng.uniform(1.9, h - 0.12)
            z, hh = (low + top) / 2, (top - low) / 2
            sky = hsv(rng, (0.5, 0.65), (0, 0.5), (0.8, 1))
            ground = hsv(rng, (0.1, 0.45), (0, 0.8), (0.1, 0.8))
            day = s.sun[3] >= 0 and s.ambient[0] > 0.25
            power = rng.uniform(1.2, 6.0) if day else rng.uniform(0.0, 0.08)
            rect(x, z, hw, hh, s.material(rc.VIEW, sky, ground, (1, hh), emission=power + 1e-3), WINDOW, 0.006)
            frame_of(x, z, hw, hh, rng.uniform(0.02, 0.06), rng.uniform(0.01, 0.05), WINDOW, True)
            for i in range(int(rng.integers(0, 4))):
                bar(x - hw + 2 * hw * (i + 1) / 4, z, rng.uniform(0.01, 0.03), 0.02, hh, trim, WINDOW)
            if rng.random() < 0.3:
                bar(x, z + rng.uniform(-0.3, 0.3) * hh, hw, 0.02, 0.015, trim, WINDOW)
            c = a + along * x + inward * 0.03
            s.lights.append(
                [c[0], c[1], z, *(along * hw), 0, 0, 0, hh, *inward, 0, *(power * 4 * hw * hh * np.array(sky) * 0.9), 1]
            )
            s.close_group()
            if rng.random() < 0.5:  # curtains
                s.next_instance()
                m, ch = stuff_material(s), h - rng.uniform(0.05, 0.3)
                for sx in (-1, 1):
                    cw = rng.uniform(0.08, 0.5 * hw + 0.1)
                    for i in range(int(cw / 0.05) + 1):
                        c = a + along * (x + sx * (hw + 0.1 - i * 0.1)) + inward * (0.1 + 0.02 * (i % 2))
                        s.add(rc.CYLINDER, (c[0], c[1], ch / 2), (0.055, 1, ch / 2 - 0.02), m, FURNITURE)
                if rng.random() < 0.7:
                    bar(x, ch, hw + 0.4, 0.012, 0.012, trim, FURNITURE, 0.1)
            elif low > 0.4 and rng.random() < 0.4:  # radiator
                s.next_instance()
                m = s.material(rc.PLAIN, (0.8, 0.8, 0.78), contrast=0.1)
                for i in range(int(hw / 0.05)):
                    bar(x - hw * 0.8 + i * 0.08, low / 2 + 0.02, 0.03, 0.04, low / 2 - 0.08, m, FURNITURE, 0.03)
            s.close_group()
        elif roll < 0.68:  # door
            s.next_instance()
            hw, top = rng.uniform(0.36, 0.5), rng.uniform(1.95, 2.1)
            leaf = trim if rng.random() < 0.5 else stuff_material(s)
            z, hh = top / 2, top / 2
            if rng.random() < 0.7:
                bar(x, z, hw, 0.012, hh, leaf, DOOR)
                for pz in (0.5, 1.45) if rng.random() < 0.6 else ():
                    bar(x, pz, hw * 0.7, 0.02, 0.35, leaf, DOOR)
                _box(
                    s,
                    a + along * (x + hw * 0.8) + inward * 0.05,
                    yaw,
                    (0, 0, 1.0),
                    (0.05, 0.02, 0.012),
                    stuff_material(s),
                    DOOR,
                )
            else:  # an open passage: another room's light or its dark
                rect(
                    x,
                    z,
                    hw,
                    hh,
                    s.material(
                        rc.VIEW,
                        hsv(rng, (0, 1), (0, 0.3), (0.3, 1)),
                        hsv(rng, (0, 0.2), (0, 0.6), (0.2, 0.9)),
                        (1, hh),
                        emission=rng.uniform(0.2, 1.0),
                    ),
                    DOOR,
                    0.006,
                )
            frame_of(x, z, hw, hh, rng.uniform(0.03, 0.06), rng.uniform(0.01, 0.03), DOOR)
            s.close_group()
        else:  # pictures, mirrors, shelves, panels
            s.next_instance()
            z = rng.uniform(1.2, 1.9)
            n = rng.integers(1, 4) if rng.random() < 0.5 else 1
            for i in range(n):
                pw, ph = rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.6)
                px = x + (i - (n - 1) / 2) * 0.7
                kind = rng.random()
                if kind < 0.6:
                    art = s.material(
                        rc.PATCHES,
                        hsv(rng),
                        size=(rng.uniform(0.03, 0.4),) * 2,
                        contrast=rng.uniform(0.2, 1),
                        gloss=rng.choice([0, 0.5]),
                    )
                    bar(px, z, pw + 0.02, 0.012, ph + 0.02, stuff_material(s), OTHER)
                    rect(px, z, pw, ph, art, OTHER, 0.027)
                elif kind < 0.78:
                    mirror = s.material(rc.MIRROR, (0.9,) * 3, gloss=0.9)
                    bar(px, z, pw + 0.02, 0.01, ph + 0.02, stuff_material(s), OTHER)
                    rect(px, z, pw, ph, mirror, OTHER, 0.025, rc.RECT)
                else:
                    shelf = stuff_material(s)
                    bar(px, z, pw, rng.uniform(0.06, 0.14), 0.015, shelf, FURNITURE)
                    c = a + along * px + inward * 0.1
                    for _k in range(rng.integers(1, 5)):
                        clutter(s, c, yaw, (rng.uniform(-pw, pw) * 0.9, 0, z + 0.015))
            s.close_group()
        used.append((x, hw + 0.12))


def build(rng: Rng) -> Scene:
    """A furnished room with its lights."""
    s = Scene(rng)
    s.polygon = _footprint(rng)
    s.height = h = float(rng.choice([rng.uniform(2.3, 2.8), rng.uniform(2.5, 3.4)]))
    night = rng.random() < 0.12
    s.ambient = np.array(hsv(rng, (0.05, 0.15) if night else (0, 1), (0, 0.25), (0.55, 0.8))) * (
        0.3 if night else rng.uniform(0.5, 1.4)
    )
    azimuth, climb = rng.uniform(0, 2 * math.pi), rng.uniform(0.15, 1.0)
    s.sun = np.array(
        [
            math.cos(azimuth) * math.cos(climb),
            math.sin(azimuth) * math.cos(climb),
            math.sin(climb),
            rng.uniform(1, 6) if rng.random() < 0.45 and not night else 0.0,
        ]
    )

    low, high = s.polygon.min(0) - 1, s.polygon.max(0) + 1
    mid, half = (low + high) / 2, (high - low) / 2
    s.add(rc.RECT, (*mid, 0), (*half, 0.001), floor_material(s), FLOOR, s.next_instance())
    roll = rng.random()
    ceiling = (
        s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.1), (0.8, 1)), contrast=rng.uniform(0, 0.6))
        if roll < 0.85
        else (
            s.material(rc.PLANK, *wood(rng), (3, 0.15), 0.5)
            if roll < 0.93
            else s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.6), (0.1, 1)))
        )
    )
    s.add(rc.RECT, (*mid, h), (*half, 0.001), ceiling, CEILING, s.next_instance())
    plain = wall_material(s)
    edges = list(zip(s.polygon, np.roll(s.polygon, -1, 0), strict=False))
    for a, b in edges:
        length = float(np.linalg.norm(b - a))
        along = (b - a) / length
        frame = np.array([[*along, 0], [0, 0, 1.0], [-along[1], along[0], 0]])
        s.add(
            rc.RECT,
            (*((a + b) / 2), h / 2),
            (length / 2, h / 2, 0.001),
            wall_material(s, plain),
            WALL,
            s.next_instance(),
            frame,
        )
    s.close_group()
    used = {i: [] for i in range(len(edges))}
    for i, (a, b) in enumerate(edges):
        _wall_things(s, a, b, used[i])

    # Beams, columns and half walls.
    if rng.random() < 0.12:
        m = s.material(rc.GRAIN, *wood(rng))
        s.next_instance()
        for x in np.arange(low[0] + 0.5, high[0], rng.uniform(0.6, 1.5)):
            s.add(rc.BOX, (x, mid[1], h - 0.08), (0.07, half[1], 0.08), m, CEILING)
        s.close_group()
    if rng.random() < 0.15:
        x, y = (
            rng.uniform(*np.stack([low + 1.5, high - 1.5])[:, 0]),
            rng.uniform(*np.stack([low + 1.5, high - 1.5])[:, 1]),
        )
        if inside(s.polygon, x, y):
            s.add(
                rc.BOX,
                (x, y, h / 2),
                (rng.uniform(0.1, 0.25), rng.uniform(0.1, 0.5), h / 2),
                plain,
                WALL,
                s.next_instance(),
            )
            s.close_group()
            s.footprints.append((x, y, 0.5))

    # Ceiling lamps.
    lit = night or rng.random() < 0.4
    for _ in range(rng.integers(0, 3) + (1 if night else 0)):
        x, y = rng.uniform(low[0] + 1.3, high[0] - 1.3), rng.uniform(low[1] + 1.3, high[1] - 1.3)
        if not inside(s.polygon, x, y):
            continue
        s.next_instance()
        drop = rng.choice([0.04, rng.uniform(0.3, 1.1)])
        glow = rng.uniform(1, 8) if lit else 0.0
        shade = s.material(rc.PLAIN, hsv(rng, (0.04, 0.16), (0, 0.45), (0.3, 1)), contrast=0, emission=glow)
        r = rng.uniform(0.06, 0.3)
        kind = rc.ELLIPSOID if rng.random() < 0.5 else rc.CYLINDER
        s.add(kind, (x, y, h - drop), (r, r, rng.uniform(0.03, 0.2)), shade, FURNITURE)
        s.add(rc.CYLINDER, (x, y, h - drop / 2), (0.006, 1, drop / 2), stuff_material(s), FURNITURE)
        s.close_group()
        if lit:
            tint = np.array(hsv(rng, (0.05, 0.13), (0, 0.5), (0.95, 1)))
            z = h - drop - 0.25
            s.lights.append([x, y, z, 0.1, 0, 0, 0, 0.1, 0, 0, 0, -1, *(tint * rng.uniform(2, 8)), 0])
    _furnish(s, edges)
    return s


def _furnish(s: Scene, edges) -> None:
    rng = s.rng
    if rng.random() < 0.5:  # a rug lies on the floor; it is an object, not the floor
        for _ in range(rng.integers(1, 3)):
            c = s.polygon.min(0) + rng.uniform(0.25, 0.75, 2) * np.ptp(s.polygon, axis=0)
            m = s.material(
                rng.choice([rc.CARPET, rc.DAMASK, rc.STRIPE, rc.PATCHES]),
                hsv(rng, (0, 1), (0, 0.8), (0.2, 1)),
                hsv(rng, (0, 1), (0, 0.8), (0.1, 1)),
                (rng.uniform(0.1, 0.6),) * 2,
                rng.uniform(0.3, 1),
                rng.uniform(0, 1.6),
            )
            half = rng.uniform(0.5, 1.7), rng.uniform(0.4, 1.2)
            yaw = rng.choice([0, math.pi / 2]) + (rng.uniform(-0.6, 0.6) if rng.random() < 0.2 else 0)
            s.next_instance()
            if rng.random() < 0.75:
                s.add(rc.BOX, (*c, 0.006), (*half, 0.006), m, FURNITURE, frame=rotation(yaw))
            else:
                s.add(rc.CYLINDER, (*c, 0.006), (half[0], 1, 0.006), m, FURNITURE)
            s.close_group()
    density = rng.uniform(0.0, 1.0) ** 0.7
    for a, b in edges:
        length = float(np.linalg.norm(b - a))
        along = (b - a) / length
        inward = np.array([-along[1], along[0]])
        for _ in range(int(length / 1.1)):
            if rng.random() > density:
                continue
            _place(s, _pick(rng, AGAINST_WALL), a + along * rng.uniform(0.3, max(0.31, length - 0.3)), inward, rng)
    low, size = s.polygon.min(0), np.ptp(s.polygon, axis=0)
    for _ in range(int(density * size.prod() / 3)):
        at = low + rng.uniform(0.15, 0.85, 2) * size
        if not inside(s.polygon, *at):
            continue
        make = _pick(rng, FREE)
        group = rng.integers(2, 5) if make is chair and rng.random() < 0.5 else 1
        for _i in range(group):
            _try(
                s,
                make,
                at + rng.uniform(-0.8, 0.8, 2) * (group > 1),
                rng.uniform(0, 2 * math.pi) if rng.random() < 0.4 else rng.integers(0, 4) * math.pi / 2,
                0.0,
            )


def _place(s: Scene, make, foot, inward, rng) -> None:
    yaw = math.atan2(inward[1], inward[0]) - math.pi / 2
    depth = {sofa: 0.55, bed: 1.15, counter: 0.33, cabinet: 0.36, bookcase: 0.22}.get(make, 0.45)
    _try(
        s,
        make,
        foot + inward * (depth + rng.uniform(0, 0.08)),
        yaw + (rng.normal(0, 0.2) if rng.random() < 0.1 else 0),
        depth,
    )


def _try(s: Scene, make, at, yaw, depth) -> None:
    """Build the object; take it back where it would stand through a wall or another object."""
    if not inside(s.polygon, *at):
        return
    mark = len(s.kinds)
    s.next_instance()
    radius = make(s, at, yaw)
    clash = any(math.hypot(at[0] - x, at[1] - y) < 0.75 * (radius + r) for x, y, r in s.footprints)
    corners = np.array([[p[0], p[1]] for p in s.prims[mark:]])
    if clash or any(not inside(s.polygon, *c) for c in corners):
        for column in (s.kinds, s.prims, s.matids, s.labels, s.instances):
            del column[mark:]
        return
    s.footprints.append((at[0], at[1], radius))
    s.close_group()
