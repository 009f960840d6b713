"""What belongs to the building and stands out of its walls: columns, chimney breasts, boxed pipes, open doors."""

import math

import numpy as np

from models.rooms import raycast as rc
from models.rooms.along import Along
from models.rooms.finishes import hsv, steel, stone, stuff_material, trim_material, wall_material
from models.rooms.footprint import inside
from models.rooms.furniture import clutter
from models.rooms.labels import DOOR, FURNITURE, OTHER, WALL
from models.rooms.scene import Scene, rotation


def free(used: list, x0: float, x1: float) -> bool:
    """Whether nothing of what is on a wall, (x, half width), reaches into x0 .. x1."""
    return not any(x0 - half < x < x1 + half for x, half in used)


def column(s: Scene, x: float, y: float, material: int) -> None:
    """A column or a pillar from floor to ceiling, round or square, with a base and a capital now and then; it is wall."""
    rng, h = s.rng, s.height
    r, round_ = rng.uniform(0.08, 0.28), rng.random() < 0.5
    s.next_instance()

    def drum(grow: float, z0: float, z1: float) -> None:
        half = (r + grow, 1 if round_ else r + grow, (z1 - z0) / 2)
        s.add(rc.CYLINDER if round_ else rc.BOX, (x, y, (z0 + z1) / 2), half, material, WALL)

    drum(0, 0, h)
    if rng.random() < 0.5:
        for grow, tall in ((0.03, rng.uniform(0.04, 0.2)), (0.06, rng.uniform(0.03, 0.1))):
            drum(grow, 0, tall)
            drum(grow, h - tall, h)
    s.close_group()
    s.footprints.append((x, y, r + 0.2))


def columns(s: Scene, plain: int) -> None:
    """One column, or a pair or a row in line with the walls."""
    rng, low, size = s.rng, s.polygon.min(0), np.ptp(s.polygon, axis=0)
    material = plain if rng.random() < 0.6 else wall_material(s)
    at = low + rng.uniform(0.2, 0.8, 2) * size
    step = np.array([[1.0, 0.0], [0.0, 1.0]][rng.integers(2)]) * rng.uniform(1.0, 2.6)
    for k in range(int(rng.choice([1, 1, 2, 2, 3]))):
        x, y = at + k * step
        if inside(s.polygon, x, y):
            column(s, x, y, material)


def chimney(s: Scene, a: np.ndarray, b: np.ndarray, plain: int, used: list) -> bool:
    """A chimney breast, of the wall's own finish, brick or stone: wall, with a fireplace in it that is not."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    width, depth = rng.uniform(0.9, 2.0), rng.uniform(0.12, 0.6)
    if w.length < width + 0.4:
        return False
    x = rng.uniform(width / 2 + 0.1, w.length - width / 2 - 0.1)
    if not free(used, x - width / 2, x + width / 2):
        return False
    used.append((x, width / 2))
    roll = rng.random()
    if roll < 0.4:
        brick = hsv(rng, (0.0, 0.1), (0, 0.7), (0.25, 1)), hsv(rng, (0, 1), (0, 0.15), (0.3, 1))
        size = (rng.uniform(0.18, 0.45), rng.uniform(0.06, 0.2))
        face = s.material(rc.BRICK, *brick, size, rng.uniform(0.1, 0.8))
    elif roll < 0.75:
        face = plain
    else:
        face = wall_material(s)
    left, right = x - width / 2, x + width / 2
    low = h if rng.random() < 0.75 else rng.uniform(1.0, 1.4)  # to the ceiling, or a fireplace as high as its mantel
    s.next_instance()
    w.box((left, right), (0, depth), (0, low), face, WALL)
    if low < h and rng.random() < 0.6:  # its flue
        inset = rng.uniform(0.1, 0.3) * width
        w.box((left + inset, right - inset), (0, depth * 0.7), (low, h), plain if rng.random() < 0.7 else face, WALL)
    s.close_group()
    if rng.random() < 0.8:
        s.next_instance()
        hw, top, sill = (
            rng.uniform(0.28, 0.42) * width,
            rng.uniform(0.55, 0.85),
            rng.choice([0.0, rng.uniform(0.1, 0.4)]),
        )
        soot = s.material(rc.MARBLE, (0.02,) * 3, (0.05,) * 3, (0.4, 1), 0.6)
        w.box((x - hw, x + hw), (depth, depth + 0.006), (sill, top), soot, OTHER)
        if rng.random() < 0.5:  # a stove's frame
            frame = steel(s) if rng.random() < 0.4 else s.material(rc.PLAIN, (0.02,) * 3, gloss=0.5)
            for z in (sill, top):
                w.box((x - hw - 0.03, x + hw + 0.03), (depth, depth + 0.03), (z - 0.03, z + 0.03), frame, OTHER)
            for side in (x - hw, x + hw):
                w.box((side - 0.03, side + 0.03), (depth, depth + 0.03), (sill, top), frame, OTHER)
        shelf = stuff_material(s) if rng.random() < 0.6 else trim_material(s)
        mantel = min(low, top + rng.uniform(0.15, 0.5))
        if rng.random() < 0.7:
            w.box((left - 0.05, right + 0.05), (0, depth + rng.uniform(0.05, 0.18)), (mantel, mantel + 0.07), shelf)
            for _ in range(rng.integers(0, 5)):
                clutter(s, w.at(rng.uniform(left, right), depth / 2 + 0.08), w.yaw, (0, 0, mantel + 0.07))
        if rng.random() < 0.5:  # a hearth
            w.box((left - 0.1, right + 0.1), (depth, depth + rng.uniform(0.25, 0.5)), (0, 0.03), stone(s))
        s.close_group()
    w.keep_clear(left, right, depth + 0.3)
    return True


def boxing(s: Scene, a: np.ndarray, b: np.ndarray, material: int, used: list) -> None:
    """Part of a wall that stands out of it, to half its height with a ledge, or to the ceiling in a corner: wall."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    depth, half_high = rng.uniform(0.08, 0.3), rng.random() < 0.65
    if half_high:
        x = (0.0, w.length) if rng.random() < 0.5 else (x0 := rng.uniform(0, w.length * 0.5), x0 + w.length * 0.5)
    else:
        span = rng.uniform(0.15, 0.7)
        x = (0.0, span) if rng.random() < 0.5 else (w.length - span, w.length)
    if not free(used, *x):
        return
    used.append(((x[0] + x[1]) / 2, (x[1] - x[0]) / 2))
    w.keep_clear(*x, depth)
    s.next_instance()
    if half_high:
        top = rng.uniform(0.8, 1.4)
        w.box(x, (0, depth), (0, top), material, WALL)
        w.box(
            x, (0, depth + rng.uniform(0, 0.02)), (top, top + 0.02), stone(s) if rng.random() < 0.5 else material, WALL
        )
        s.close_group()
        for _ in range(rng.integers(0, 6)):
            s.next_instance()
            clutter(s, w.at(rng.uniform(*x), depth / 2), w.yaw, (0, 0, top + 0.02))
            s.close_group()
    else:
        w.box(x, (0, depth), (0, h), material, WALL)
        s.close_group()


def open_leaf(s: Scene, w: Along, x: float, half: float, top: float, material: int) -> None:
    """The leaf of a door that stands open into the room; x, half: the doorway's middle and half width along the wall."""
    rng = s.rng
    side = float(rng.choice([-1.0, 1.0]))
    half, x = (half / 2, x + side * half / 2) if half > 0.55 else (half, x)  # one leaf of two
    turn = rng.uniform(0.9, 2.6)  # from the wall it closes
    hinge = w.at(x + side * half, 0.03)
    yaw = w.yaw + (math.pi - turn if side > 0 else turn)
    reach = np.array([math.cos(yaw), math.sin(yaw)])
    s.next_instance()
    middle = hinge + reach * half
    s.add(rc.BOX, (*middle, top / 2), (half, 0.02, top / 2 - 0.01), material, DOOR, frame=rotation(yaw))
    handle = hinge + reach * half * 1.85
    s.add(rc.BOX, (*handle, 1.0), (0.05, 0.06, 0.01), steel(s), DOOR, frame=rotation(yaw))
    s.close_group()
    s.footprints.append((*middle, half))


def media(s: Scene, a: np.ndarray, b: np.ndarray, used: list) -> bool:
    """A low bench with a screen, and shelves and cabinets that hang over it, with bare wall between them."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    width = rng.uniform(1.2, 2.8)
    if w.length < width + 0.2:
        return False
    x0 = rng.uniform(0.05, w.length - width - 0.05)
    x1 = x0 + width
    if not free(used, x0, x1):
        return False
    used.append(((x0 + x1) / 2, width / 2))
    body, second = stuff_material(s), stuff_material(s)
    s.next_instance()
    depth, top = rng.uniform(0.35, 0.5), rng.uniform(0.35, 0.65)
    lift = rng.choice([0.0, rng.uniform(0.1, 0.25)])
    w.box((x0, x1), (0, depth), (lift, top), body)
    n = int(rng.integers(2, 5))
    for k in range(n):
        cell = (x0 + width * k / n + 0.01, x0 + width * (k + 1) / n - 0.01)
        w.box(cell, (depth, depth + 0.015), (lift + 0.02, top - 0.02), body if rng.random() < 0.7 else second)
    s.close_group()
    s.next_instance()
    middle, half = (x0 + x1) / 2 + rng.uniform(-0.3, 0.3), rng.uniform(0.4, 0.75)
    low = top + (0.05 if rng.random() < 0.6 else rng.uniform(0.2, 0.5))
    back = rng.uniform(0.02, depth / 2)
    screen = s.material(rc.PLAIN, (0.005,) * 3, contrast=0, gloss=1.0)
    w.box((middle - half, middle + half), (back, back + 0.05), (low, low + half * 1.13), screen, OTHER)
    s.close_group()
    over = low + half * 1.13 + rng.uniform(0.15, 0.5)
    if over < h - 0.4 and rng.random() < 0.8:
        s.next_instance()
        span = sorted(rng.uniform(x0, x1, 2))
        w.box((span[0], max(span[1], span[0] + 0.5)), (0, 0.22), (over, over + 0.035), second)
        for _ in range(rng.integers(0, 7)):
            clutter(s, w.at(rng.uniform(span[0], max(span[1], span[0] + 0.5)), 0.11), w.yaw, (0, 0, over + 0.035))
        s.close_group()
    for side in (x0 + 0.2, x1 - 0.2):
        if rng.random() < 0.5 and abs(side - middle) > half + 0.25:
            s.next_instance()
            z = rng.uniform(top + 0.1, max(top + 0.11, h - 1.2)) if rng.random() < 0.7 else 0.0
            w.box(
                (side - 0.22, side + 0.22),
                (0, rng.uniform(0.2, 0.4)),
                (z, min(h - 0.05, z + rng.uniform(0.6, 1.6))),
                body,
            )
            s.close_group()
    w.keep_clear(x0, x1, depth + 0.1)
    return True


def radiator(s: Scene, w: Along, x: float, half: float, top: float) -> None:
    """A radiator on a wall: a panel with its flutes and grille, or a row of columns, with pipes at its foot."""
    rng = s.rng
    low, high = rng.uniform(0.08, 0.2), min(top, rng.choice([0.45, 0.6, 0.75, 0.9]) + rng.uniform(0, 0.1))
    if high - low < 0.2:
        return
    color = hsv(rng, (0, 1), (0, 0.08), (0.78, 1)) if rng.random() < 0.85 else hsv(rng, (0, 1), (0, 0.2), (0.03, 0.5))
    m = s.material(rc.PLAIN, color, contrast=0.05, variant=0.02, gloss=0.4)
    left, right = x - half, x + half
    s.next_instance()
    if rng.random() < 0.6:
        back, front = 0.03, rng.uniform(0.07, 0.17)
        w.box((left, right), (back, front), (low, high), m)
        pitch = rng.uniform(0.025, 0.06)
        if rng.random() < 0.8:
            for c in np.arange(left + pitch, right - pitch / 2, pitch):
                w.box((c - pitch * 0.3, c + pitch * 0.3), (front, front + 0.008), (low + 0.03, high - 0.05), m)
        if rng.random() < 0.6:  # the grille on top lets its dark through
            dark = s.material(rc.PLAIN, (0.1,) * 3, contrast=0)
            for c in np.arange(left + 0.03, right - 0.03, 0.04):
                w.box((c, c + 0.015), (back + 0.02, front - 0.02), (high, high + 0.003), dark)
    else:
        pitch, r = rng.uniform(0.045, 0.075), rng.uniform(0.015, 0.024)
        for c in np.arange(left + pitch / 2, right, pitch):
            for depth in (0.06, 0.06 + 2.4 * r):
                s.add(rc.CYLINDER, (*w.at(c, depth), (low + high) / 2), (r, 1, (high - low) / 2), m, FURNITURE)
        for z in (low + 0.03, high - 0.03):
            w.box((left, right), (0.045, 0.075 + 2.4 * r), (z - 0.025, z + 0.025), m)
    metal = steel(s) if rng.random() < 0.5 else m
    for side in (left - 0.03, right + 0.03) if rng.random() < 0.5 else (right + 0.03,):
        s.add(rc.CYLINDER, (*w.at(side, 0.06), (low + 0.04) / 2), (0.009, 1, (low + 0.04) / 2), metal, FURNITURE)
        w.box((side - 0.02, side + 0.025), (0.04, 0.08), (low + 0.02, low + 0.1), metal)
    s.close_group()
    w.keep_clear(left, right, 0.2)


def towel_rail(s: Scene, a: np.ndarray, b: np.ndarray, used: list) -> None:
    """A radiator of bathrooms: a ladder of bars, a towel over it now and then."""
    w, rng = Along(s, a, b), s.rng
    half, low, top = rng.uniform(0.2, 0.35), rng.uniform(0.3, 0.9), rng.uniform(1.3, 1.9)
    if w.length < 2 * half + 0.1:
        return
    x = rng.uniform(half, w.length - half)
    if not free(used, x - half, x + half):
        return
    used.append((x, half))
    metal = steel(s) if rng.random() < 0.4 else s.material(rc.PLAIN, (rng.choice([0.02, 0.85]),) * 3, gloss=0.5)
    s.next_instance()
    for side in (x - half, x + half):
        w.box((side - 0.015, side + 0.015), (0.05, 0.08), (low, top), metal)
    for z in np.arange(low + 0.03, top, rng.uniform(0.05, 0.12)):
        w.box((x - half, x + half), (0.055, 0.075), (z - 0.012, z + 0.012), metal)
    if rng.random() < 0.5:  # a towel over it
        m = s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.6), (0.1, 1)), contrast=0.4)
        z = rng.uniform(low + 0.3, top)
        w.box((x - half * 0.8, x + half * 0.8), (0.08, 0.11), (z - rng.uniform(0.3, 0.6), z), m, FURNITURE)
    s.close_group()
