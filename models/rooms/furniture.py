"""Furniture: each function builds one object about (x, y), facing `yaw`, and returns its radius.

Sizes follow what houses have: seats at 0.45 m, tables at 0.75 m.
"""

import numpy as np

from models.rooms import raycast as rc
from models.rooms.finishes import hsv, stuff_material
from models.rooms.labels import FURNITURE, OTHER
from models.rooms.scene import Scene, rotation


def box(s: Scene, at, yaw, local, half, material, label=FURNITURE, pitch=0.0, roll=0.0):
    base = rotation(yaw)
    s.add(
        rc.BOX,
        np.array([at[0], at[1], 0]) + base.T @ np.asarray(local, float),
        np.maximum(half, 0.002),
        material,
        label,
        frame=rotation(yaw, pitch, roll),
    )


def round_(s: Scene, kind, at, yaw, local, half, material, label=FURNITURE):
    s.add(
        kind,
        np.array([at[0], at[1], 0]) + rotation(yaw).T @ np.asarray(local, float),
        half,
        material,
        label,
        frame=rotation(yaw),
    )


def legs_on(s, at, yaw, w, d, top, material, inset=0.04, thick=None):
    t = s.rng.uniform(0.012, 0.04) if thick is None else thick
    for sx in (-1, 1):
        for sy in (-1, 1):
            local, half = (sx * (w - inset), sy * (d - inset), top / 2), (t, t, top / 2)
            if s.rng.random() < 0.5:
                box(s, at, yaw, local, half, material)
            else:
                round_(s, rc.CYLINDER, at, yaw, local, (t, t, top / 2), material)


def sofa(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    w, d, seat, back = rng.uniform(0.4, 1.3), rng.uniform(0.38, 0.5), rng.uniform(0.36, 0.46), rng.uniform(0.65, 0.95)
    lift = rng.choice([0.0, 0.0, rng.uniform(0.06, 0.18)])
    box(s, at, yaw, (0, 0, (seat + lift) / 2), (w, d, (seat - lift) / 2), m)
    box(s, at, yaw, (0, -d + 0.1, (back + lift) / 2), (w, 0.1, (back - lift) / 2), m, roll=rng.uniform(-0.12, 0))
    arm = rng.uniform(0.06, 0.14)
    if rng.random() < 0.85:
        for sx in (-1, 1):
            box(s, at, yaw, (sx * (w - arm), 0, (0.6 + lift) / 2), (arm, d, (0.6 - lift) / 2), m)
    if lift:
        legs_on(s, at, yaw, w, d, lift, stuff_material(s))
    if w > 0.8 and rng.random() < 0.3:  # chaise longue
        box(s, at, yaw, (rng.choice([-1, 1]) * (w - 0.35), d + 0.4, seat / 2), (0.35, 0.45, seat / 2), m)
    n = max(1, round(w / 0.35))
    for i in range(n):
        x = -w + arm + (2 * (w - arm)) * (i + 0.5) / n
        box(s, at, yaw, (x, 0.06, seat + 0.05), ((w - arm) / n - 0.01, d - 0.1, 0.06), m)
        if rng.random() < 0.6:
            local, half = (x + rng.uniform(-0.1, 0.1), -d + 0.3, seat + 0.28), (0.22, 0.06, 0.2)
            lean, tilt = rng.uniform(-0.5, -0.1), rng.uniform(-0.3, 0.3)
            box(s, at, yaw, local, half, stuff_material(s), roll=lean, pitch=tilt)
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
        round_(s, rc.CYLINDER, at, yaw, (0, 0, top), (w, w, 0.02), m)
        d = w
        if rng.random() < 0.5:
            round_(
                s, rc.CYLINDER, at, yaw, (0, 0, top / 2), (rng.uniform(0.02, w * 0.8), 1, top / 2), stuff_material(s)
            )
        else:
            legs_on(s, at, yaw, w * 0.65, w * 0.65, top, stuff_material(s))
    else:
        box(s, at, yaw, (0, 0, top), (w, d, rng.uniform(0.012, 0.04)), m)
        legs_on(s, at, yaw, w, d, top, stuff_material(s))
    for _ in range(rng.integers(0, 5)):
        clutter(s, at, yaw, (rng.uniform(-w, w) * 0.7, rng.uniform(-d, d) * 0.7, top + 0.02))
    if s.version >= 4 and top > 0.6 and rng.random() < 0.4:
        _laid(s, at, yaw, w, d, top)
    return max(w, d)


def _laid(s, at, yaw, w, d, top):
    """A cloth over the table, of a pattern as often as not, and what is laid on it."""
    rng = s.rng
    if rng.random() < 0.5:
        size = (rng.uniform(0.08, 0.4),) * 2
        cloth = s.material(
            rng.choice([rc.PATCHES, rc.CHECK, rc.STRIPE, rc.ART]), hsv(rng), hsv(rng), size, rng.uniform(0.2, 1)
        )
    else:
        cloth = stuff_material(s)
    drop = rng.uniform(0.02, 0.6)
    box(s, at, yaw, (0, 0, top + 0.03), (w + 0.03, d + 0.03, 0.006), cloth)
    for local, size in (
        ((w + 0.03, 0), (0.006, d + 0.03)),
        ((-w - 0.03, 0), (0.006, d + 0.03)),
        ((0, d + 0.03), (w + 0.03, 0.006)),
        ((0, -d - 0.03), (w + 0.03, 0.006)),
    ):
        box(s, at, yaw, (*local, top + 0.03 - drop / 2), (*size, drop / 2), cloth)
    plate, mat = stuff_material(s), stuff_material(s)
    for side in (-1, 1):
        for x in np.arange(-w + 0.25, w, 0.6):
            if rng.random() < 0.5:
                box(s, at, yaw, (x, side * (d - 0.2), top + 0.038), (0.2, 0.15, 0.003), mat)
            if rng.random() < 0.7:
                round_(s, rc.CYLINDER, at, yaw, (x, side * (d - 0.2), top + 0.05), (0.13, 1, 0.008), plate)
    for _ in range(rng.integers(0, 4)):
        clutter(s, at, yaw, (rng.uniform(-w, w) * 0.8, rng.uniform(-d, d) * 0.4, top + 0.04))


def clutter(s, at, yaw, local):
    rng, m = s.rng, stuff_material(s)
    x, y, z = local
    h = rng.uniform(0.02, 0.16)
    roll = rng.random()
    if roll < 0.4:
        box(
            s,
            at,
            yaw + rng.uniform(-0.5, 0.5),
            (x, y, z + h * 0.4),
            (rng.uniform(0.04, 0.15), rng.uniform(0.04, 0.12), h * 0.4),
            m,
        )
    elif roll < 0.7:
        round_(s, rc.CYLINDER, at, yaw, (x, y, z + h), (rng.uniform(0.03, 0.09), 1, h), m)
    elif roll < 0.85:
        round_(s, rc.ELLIPSOID, at, yaw, (x, y, z + h), (h, h, h), m)
    else:
        round_(s, rc.CYLINDER, at, yaw, (x, y, z + h * 0.6), (0.05, 1, h * 0.6), m)
        leaves(s, (at[0] + x, at[1] + y), z + 0.15 + h, rng.uniform(0.08, 0.2), 12)


def chair(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    legs = m if rng.random() < 0.5 else stuff_material(s)
    w, seat = rng.uniform(0.19, 0.26), rng.choice([0.45, 0.46, 0.72])
    box(s, at, yaw, (0, 0, seat), (w, w, rng.uniform(0.015, 0.05)), m)
    if rng.random() < 0.8:
        h = rng.uniform(0.15, 0.3)
        if rng.random() < 0.6:
            box(s, at, yaw, (0, -w + 0.02, seat + h), (w, 0.015, h), m, roll=-0.12)
        else:
            for i in range(5):
                box(s, at, yaw, (-w + w * i / 2, -w + 0.02, seat + h), (0.012, 0.012, h), legs)
            box(s, at, yaw, (0, -w + 0.02, seat + 2 * h), (w, 0.014, 0.03), legs)
    legs_on(s, at, yaw, w, w, seat, legs, 0.02, rng.uniform(0.01, 0.02))
    return w


def cabinet(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    w, d, h = (
        rng.uniform(0.25, 1.1),
        rng.uniform(0.17, 0.32),
        float(rng.choice([rng.uniform(0.4, 0.9), rng.uniform(0.9, 1.3), rng.uniform(1.6, 2.3)])),
    )
    lift = rng.choice([0.0, rng.uniform(0.05, 0.2)])
    box(s, at, yaw, (0, 0, (h + lift) / 2), (w, d, (h - lift) / 2), m)
    if lift:
        legs_on(s, at, yaw, w, d, lift, stuff_material(s))
    front, n = stuff_material(s) if rng.random() < 0.4 else m, rng.integers(1, 5)
    for i in range(n):
        x = -w + 2 * w * (i + 0.5) / n
        box(s, at, yaw, (x, d + 0.008, (h + lift) / 2), (w / n - 0.012, 0.008, (h - lift) / 2 - 0.02), front)
        box(
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
            box(s, at, yaw, (0, 0, h + 0.42), (rng.uniform(0.4, 0.7), 0.02, 0.35), screen, OTHER)
    return max(w, d)


def bookcase(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    w, d, h = rng.uniform(0.3, 0.8), rng.uniform(0.13, 0.2), rng.uniform(1.2, 2.3)
    n = rng.integers(3, 7)
    if rng.random() < 0.7:
        box(s, at, yaw, (0, -d, h / 2), (w, 0.01, h / 2), m)
    for sx in (-1, 1):
        box(s, at, yaw, (sx * w, 0, h / 2), (0.012, d, h / 2), m)
    for i in range(n + 1):
        z = 0.03 + (h - 0.04) * i / n
        box(s, at, yaw, (0, 0, z), (w, d, 0.012), m)
        if i < n and rng.random() < 0.75:
            books = s.material(rc.BOOKS, (0, 0, 0), size=(0.035, 10.0), contrast=rng.uniform(0.2, 1))
            bw = rng.uniform(0.2, 0.9) * w
            box(s, at, yaw, (rng.uniform(-1, 1) * (w - bw), 0, z + 0.13), (bw, d * 0.8, 0.12), books)
        elif i < n:
            clutter(s, at, yaw, (rng.uniform(-w, w) * 0.7, 0, z + 0.012))
    return max(w, d)


def bed(s, at, yaw):
    rng = s.rng
    w, d = rng.uniform(0.45, 0.95), rng.uniform(0.95, 1.1)
    base, sheet, cover = stuff_material(s), stuff_material(s), stuff_material(s)
    box(s, at, yaw, (0, 0, 0.15), (w, d, 0.15), base)
    box(s, at, yaw, (0, 0, 0.4), (w - 0.02, d - 0.02, 0.12), sheet)
    box(s, at, yaw, (0, 0.25, 0.48), (w + 0.01, d - 0.25, 0.07), cover)
    if rng.random() < 0.4:
        box(s, at, yaw, (0, 0.25, 0.25), (w + 0.02, d - 0.25, 0.25), cover)
    for _i in range(rng.integers(1, 4)):
        box(s, at, yaw, (rng.uniform(-0.6, 0.6) * w, -d + 0.3, 0.6), (0.3, 0.12, 0.16), stuff_material(s), roll=-0.8)
    if rng.random() < 0.8:
        box(
            s,
            at,
            yaw,
            (0, -d - 0.03, rng.uniform(0.4, 0.7)),
            (w + rng.uniform(0, 0.3), 0.03, rng.uniform(0.4, 0.7)),
            stuff_material(s),
        )
    if s.version >= 4:
        _bedding(s, at, yaw, w, d)
    return d


def _bedding(s, at, yaw, w, d):
    """Pillows that stand, a throw, towels, folds of the cover; a headboard as wide as the wall."""
    rng = s.rng
    if rng.random() < 0.5:
        half = rng.uniform(0.15, 0.35)
        local, size = (0, d - half - rng.uniform(0, 0.4), 0.56), (w + 0.02, half, 0.012)
        box(s, at, yaw, local, size, stuff_material(s))
        if rng.random() < 0.5:
            for side in (-1, 1):
                box(s, at, yaw, (side * (w + 0.02), local[1], 0.38), (0.012, half, 0.18), s.matids[-1])
    for _ in range(rng.integers(0, 4)):
        local = (rng.uniform(-0.7, 0.7) * w, -d + rng.uniform(0.2, 0.5), 0.7)
        box(s, at, yaw, local, (rng.uniform(0.18, 0.35), 0.06, rng.uniform(0.15, 0.25)), stuff_material(s), roll=-0.35)
    for _ in range(rng.integers(0, 3)):
        local = (rng.uniform(-0.6, 0.6) * w, rng.uniform(-0.2, 0.7) * d, 0.59)
        size = (rng.uniform(0.1, 0.25), rng.uniform(0.08, 0.18), rng.uniform(0.02, 0.06))
        box(s, at, yaw + rng.uniform(-0.4, 0.4), local, size, stuff_material(s))
    if rng.random() < 0.6:
        m = s.matids[-1]
        for _ in range(rng.integers(2, 9)):
            c = (rng.uniform(-0.9, 0.9) * w, rng.uniform(-0.3, 0.9) * d, 0.53)
            round_(
                s, rc.ELLIPSOID, at, yaw, c, (rng.uniform(0.1, 0.5), rng.uniform(0.04, 0.2), rng.uniform(0.03, 0.07)), m
            )
    if rng.random() < 0.25:
        z = rng.uniform(0.35, 0.6)
        box(s, at, yaw, (0, -d - 0.06, z), (w + rng.uniform(0.3, 0.9), 0.02, z), stuff_material(s))


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
    round_(s, rc.CYLINDER, at, yaw, (0, 0, h / 2), (pot, 1, h / 2), stuff_material(s))
    top, spread = h + rng.uniform(0.2, 1.1), rng.uniform(0.2, 0.5)
    round_(s, rc.CYLINDER, at, yaw, (0, 0, top / 2), (0.015, 1, top / 2), stuff_material(s))
    leaves(s, at, top, spread, int(rng.integers(15, 40)))
    return pot


def lamp(s, at, yaw):
    rng, m = s.rng, stuff_material(s)
    h = rng.uniform(1.2, 1.8)
    round_(s, rc.CYLINDER, at, yaw, (0, 0, 0.015), (0.14, 1, 0.015), m)
    round_(s, rc.CYLINDER, at, yaw, (0, 0, h / 2), (0.012, 1, h / 2), m)
    shade = s.material(
        rc.PLAIN,
        hsv(rng, (0.05, 0.15), (0, 0.4), (0.7, 1)),
        contrast=0,
        emission=rng.choice([0.0, rng.uniform(0.8, 4)]),
    )
    round_(s, rc.CYLINDER, at, yaw, (0, 0, h), (rng.uniform(0.1, 0.24), 1, rng.uniform(0.08, 0.17)), shade)
    return 0.15


def pouf(s, at, yaw):
    rng, r = s.rng, s.rng.uniform(0.2, 0.4)
    h = rng.uniform(0.12, 0.25)
    if rng.random() < 0.5:
        round_(s, rc.CYLINDER, at, yaw, (0, 0, h), (r, 1, h), stuff_material(s))
    else:
        round_(s, rc.ELLIPSOID, at, yaw, (0, 0, h), (r, r, h), stuff_material(s))
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
    box(s, at, yaw, (0, 0, 0.47), (w, 0.28, 0.41), m)
    box(s, at, yaw, (0, -0.05, 0.03), (w, 0.23, 0.03), stuff_material(s))
    box(s, at, yaw, (0, 0.01, 0.9), (w + 0.01, 0.31, 0.02), top)
    n = int(rng.integers(2, 6))
    for i in range(n):
        x = -w + 2 * w * (i + 0.5) / n
        box(s, at, yaw, (x, 0.285, 0.47), (w / n - 0.006, 0.01, 0.4), m)
        box(s, at, yaw, (x, 0.31, 0.82), (w / n * 0.5, 0.008, 0.008), stuff_material(s))
        if rng.random() < 0.5:
            clutter(s, at, yaw, (x, rng.uniform(-0.1, 0.1), 0.92))
    if rng.random() < 0.7:
        box(
            s,
            at,
            yaw,
            (rng.uniform(-0.3, 0.3) * w, -0.1, 1.8),
            (w * rng.uniform(0.4, 1), 0.17, rng.uniform(0.25, 0.45)),
            m,
        )
    return w


def person(s, at, yaw):
    """Somebody standing or sitting, of cylinders and ellipsoids."""
    rng = s.rng
    size = rng.uniform(0.85, 1.08)
    skin = s.material(rc.PLAIN, hsv(rng, (0.03, 0.08), (0.25, 0.6), (0.3, 0.95)), contrast=0.2)
    hair = s.material(rc.GRAIN, hsv(rng, (0.03, 0.12), (0, 0.7), (0.02, 0.6)), (0.01,) * 3, contrast=0.5)
    top, legs = stuff_material(s), stuff_material(s)
    lower = rng.choice([0.0, 0.38]) * size  # sitting
    for side in (-0.1, 0.1):
        if lower:
            box(s, at, yaw, (side, 0.2, 0.48 * size), (0.08, 0.25, 0.08), legs)
            round_(s, rc.CYLINDER, at, yaw, (side, 0.42, 0.24 * size), (0.06, 1, 0.24 * size), legs)
        else:
            round_(s, rc.CYLINDER, at, yaw, (side, 0, 0.43 * size), (0.075, 1, 0.43 * size), legs)
        round_(s, rc.ELLIPSOID, at, yaw, (side * 2.4, 0.02, 1.15 * size - lower), (0.06, 0.08, 0.34 * size), top)
    round_(s, rc.ELLIPSOID, at, yaw, (0, 0, 1.12 * size - lower), (0.21, 0.13, 0.36 * size), top)
    round_(s, rc.ELLIPSOID, at, yaw, (0, 0.02, 1.6 * size - lower), (0.085, 0.1, 0.12), skin)
    round_(s, rc.ELLIPSOID, at, yaw, (0, -0.02, 1.63 * size - lower), (0.092, 0.1, 0.11), hair)
    return 0.3
