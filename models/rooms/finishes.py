"""Colours and materials that rooms are finished with."""

import math

from models.rooms import raycast as rc
from models.rooms.scene import Rng, Scene


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
    if s.version >= 3 and rng.random() < 0.12:
        if rng.random() < 0.7:  # plaster, limewash, concrete
            a = hsv(rng, (0, 1), (0, 0.25), (0.2, 1.0))
            b = tuple(c * rng.uniform(0.6, 1.2) for c in a)
            return s.material(rc.MARBLE, a, b, (rng.uniform(0.3, 3.0), 1), rng.uniform(0.3, 1), rng.uniform(0, 3))
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.5), (0.02, 0.25)), contrast=rng.uniform(0, 1))
    roll = rng.random()
    size = rng.uniform(0.15, 0.8)
    a, b = hsv(rng, (0, 1), (0, 0.5), (0.3, 1)), hsv(rng, (0, 1), (0, 0.5), (0.3, 1))
    if roll < 0.5:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.12), (0.75, 1.0)), contrast=rng.uniform(0, 1))
    if roll < 0.6:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.2), (0.35, 0.8)), contrast=rng.uniform(0, 1))
    if roll < 0.72:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0.05, 0.6), (0.12, 0.95)), contrast=rng.uniform(0, 1))
    if roll < 0.76:
        return s.material(rc.STRIPE, a, b, (size, 1))
    if roll < 0.82:
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


def tiles(s: Scene) -> int:
    """What walls of bathrooms are tiled with: small and large formats, stone, mosaic."""
    rng = s.rng
    roll = rng.random()
    a = hsv(rng, (0, 1), (0, 0.3), (0.35, 1))
    if roll < 0.2:
        b = tuple(c * rng.uniform(0.5, 1.1) for c in a)
        return s.material(rc.MARBLE, a, b, (rng.uniform(0.5, 2.5), 1), rng.uniform(0.3, 1), rng.uniform(0, 3), 0, 0.6)
    w = rng.uniform(0.02, 0.05) if roll < 0.3 else rng.uniform(0.1, 0.8)
    joint = (
        tuple(c * rng.uniform(0.6, 1.2) for c in a) if rng.random() < 0.6 else hsv(rng, (0, 1), (0, 0.1), (0.3, 0.95))
    )
    shape = (w, w * rng.choice([0.3, 0.5, 1, 1, 2]))
    return s.material(
        rc.TILE, a, joint, shape, rng.uniform(0, 0.6), 0, float(rng.random() < 0.35), rng.choice([0, 0.4, 0.8])
    )


def stuff_material(s: Scene) -> int:
    """What furniture is covered with."""
    rng = s.rng
    if s.covers:
        return int(rng.choice(s.covers))
    roll = rng.random()
    if roll < 0.3:
        angle, gloss = rng.choice([0, math.pi / 2]), rng.choice([0, 0.5])
        return s.material(rc.GRAIN, *wood(rng), contrast=rng.uniform(0.3, 1), angle=angle, variant=0.05, gloss=gloss)
    if roll < 0.45:
        color = hsv(rng, (0, 1), (0, 0.2), (0.02, 1))
        return s.material(rc.PLAIN, color, contrast=0.3, variant=0.05, gloss=rng.choice([0, 0.6]))
    if roll < 0.58:
        return s.material(rc.PLAIN, paint(rng), contrast=0.3, variant=0.05, gloss=rng.choice([0, 0.6]))
    if roll < 0.9:
        return s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.7), (0.05, 1)), contrast=rng.uniform(0, 1))
    if roll < 0.93:
        a, b = hsv(rng, (0, 1), (0, 0.6), (0.1, 1)), hsv(rng, (0, 1), (0, 0.6), (0.1, 1))
        return s.material(rc.STRIPE, a, b, (rng.uniform(0.03, 0.2), 1))
    if roll < 0.96:
        a, b = hsv(rng, (0, 1), (0, 0.6), (0.1, 1)), hsv(rng, (0, 1), (0, 0.6), (0.1, 1))
        return s.material(rc.DAMASK, a, b, (rng.uniform(0.05, 0.3),) * 2)
    return s.material(rc.PATCHES, hsv(rng), size=(rng.uniform(0.05, 0.2),) * 2, contrast=rng.uniform(0.05, 0.4))


def trim_material(s: Scene) -> int:
    """Door and window frames, skirting: mostly painted, sometimes wood, seldom black."""
    rng = s.rng
    roll = rng.random()
    if roll < 0.72:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.12), (0.75, 1)), contrast=0.1)
    if roll < 0.9:
        return s.material(rc.GRAIN, *wood(rng))
    return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.3), (0.02, 0.35)), contrast=0.1)


def paint(rng: Rng) -> tuple[float, float, float]:
    """What people paint furniture and cabinets: mostly white and grey, then dark, then muted colours."""
    roll = rng.random()
    if roll < 0.45:
        return hsv(rng, (0, 1), (0, 0.08), (0.78, 1.0))
    if roll < 0.62:
        return hsv(rng, (0, 1), (0, 0.12), (0.35, 0.8))
    if roll < 0.78:
        return hsv(rng, (0, 1), (0, 0.4), (0.06, 0.3))
    return hsv(rng, (0, 1), (0.1, 0.6), (0.25, 0.85))


def front_material(s: Scene, cell: tuple[float, float], inset: float, angle: float = 0.0, rgb=None) -> int:
    """Cabinet fronts of one cell size (metres); inset 0 is a flat front, else a panel's bevel."""
    rng = s.rng
    if rgb is None and rng.random() < 0.25:
        a, b = wood(rng)
        return s.material(rc.FRONT, a, b, cell, rng.uniform(0.4, 1), angle, inset, rng.choice([0, 0.4]))
    color = paint(rng) if rgb is None else rgb
    return s.material(rc.FRONT, color, color, cell, 0.0, angle, inset, rng.choice([0, 0.4, 0.8]))


def steel(s: Scene) -> int:
    v = s.rng.uniform(0.25, 0.6)
    return s.material(rc.GRAIN, (v, v, v * 1.02), (v * 0.8,) * 3, contrast=0.3, variant=0.1, gloss=0.8)


def black_glass(s: Scene) -> int:
    return s.material(rc.PLAIN, (0.006,) * 3, contrast=0, variant=0.01, gloss=1.0)


def stone(s: Scene) -> int:
    """Worktops: stone, laminate, wood or steel."""
    rng = s.rng
    roll = rng.random()
    if roll < 0.35:
        c = hsv(rng, (0, 1), (0, 0.06), (0.75, 1))
        return s.material(
            rc.MARBLE, c, tuple(x * 0.5 for x in c), (rng.uniform(0.3, 1), 1), rng.uniform(0, 0.7), 0, 0.03, 0.8
        )
    if roll < 0.6:
        c = hsv(rng, (0, 1), (0, 0.15), (0.1, 0.7))
        return s.material(rc.SPECKLE, c, tuple(x * 0.6 for x in c), (0.01, 1), 1, 0, 0.03, 0.6)
    if roll < 0.85:
        return s.material(rc.GRAIN, *wood(rng), contrast=rng.uniform(0.3, 1), variant=0.05, gloss=0.3)
    return s.material(rc.PLAIN, paint(rng), contrast=0.1, variant=0.03, gloss=0.6)


def art_material(s: Scene, half: tuple[float, float]) -> int:
    rng = s.rng
    roll = rng.random()
    gloss = rng.choice([0, 0.5])
    if roll < 0.5:
        a, b = paint(rng), hsv(rng, (0, 1), (0, 0.8), (0.02, 0.9))
        return s.material(rc.ART, a, b, half, rng.uniform(0, 1), 0, 0.02, gloss)
    if roll < 0.7:
        return s.material(
            rc.VIEW,
            hsv(rng, (0, 1), (0, 0.5), (0.5, 1)),
            hsv(rng, (0, 1), (0, 0.7), (0.05, 0.6)),
            (1, half[1]),
            variant=0.02,
            gloss=gloss,
        )
    if roll < 0.85:
        return s.material(rc.MARBLE, hsv(rng), hsv(rng), (half[0], 1), 1.0, rng.uniform(0, 3), 0.02, gloss)
    return s.material(
        rc.PATCHES, hsv(rng), size=(rng.uniform(0.03, 0.4),) * 2, contrast=rng.uniform(0.2, 1), gloss=gloss
    )
