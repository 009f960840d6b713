"""The shell of a room: its walls and ceiling, and what is set into them."""

import math

import numpy as np

from models.rooms import raycast as rc
from models.rooms.along import Along
from models.rooms.finishes import (
    art_material,
    black_glass,
    front_material,
    hsv,
    paint,
    stuff_material,
    trim_material,
    wall_material,
    wood,
)
from models.rooms.footprint import inside
from models.rooms.furniture import clutter
from models.rooms.labels import CEILING, DOOR, FURNITURE, OTHER, WALL, WINDOW
from models.rooms.scene import Scene, rotation
from models.rooms.structure import open_leaf, radiator


def ceiling_material(s: Scene) -> int:
    rng = s.rng
    roll = rng.random()
    if roll < 0.82:
        return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.08), (0.8, 1)), contrast=rng.uniform(0, 0.6))
    if roll < 0.9:
        return s.material(rc.PLANK, *wood(rng), (3, rng.uniform(0.08, 0.2)), 0.5, math.pi / 2 * rng.integers(0, 2))
    if roll < 0.94:  # panels in a grid, as in offices
        c = hsv(rng, (0, 1), (0, 0.05), (0.8, 1))
        return s.material(rc.TILE, c, tuple(x * 0.6 for x in c), (0.6, 0.6), 0.1)
    return s.material(rc.PLAIN, hsv(rng, (0, 1), (0, 0.6), (0.1, 1)))


def wall(s: Scene, a, b, plain: int, trim: int) -> None:
    """One wall with its skirting, cornice, panelling or second tone; all of it is wall."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    s.next_instance()
    w.pane((0, w.length), 0.0, (0, h), wall_material(s, plain), WALL)
    if rng.random() < 0.8:
        k = rng.uniform(0.04, 0.2)
        w.box((0, w.length), (0, 0.016), (0, k), trim, WALL)
    if rng.random() < 0.3:
        k = rng.uniform(0.04, 0.16)
        w.box((0, w.length), (0, rng.uniform(0.02, 0.1)), (h - k, h), trim, CEILING if rng.random() < 0.5 else WALL)
    roll = rng.random()
    if s.dado is not None:  # tiles to half the height, on all walls
        top, tiles = s.dado
        w.pane((0, w.length), 0.004, (0, top), tiles, WALL)
        w.box((0, w.length), (0, 0.012), (top, top + 0.02), tiles, WALL)
    elif roll < 0.06:  # two tones, or tiles to half the height
        top = rng.uniform(0.8, 1.5)
        w.pane((0, w.length), 0.004, (0, top), wall_material(s), WALL)
        w.box((0, w.length), (0, 0.02), (top, top + 0.03), trim, WALL)
    elif roll < 0.15:  # mouldings: a dado rail and frames
        t = trim if rng.random() < 0.5 else plain
        low, rail = rng.uniform(0.15, 0.25), rng.choice([rng.uniform(0.8, 1.1), h - 0.3])
        if rng.random() < 0.7:
            w.box((0, w.length), (0, 0.03), (rail + 0.06, rail + 0.1), t, WALL)
        pitch = rng.uniform(0.6, 1.4)
        rows = [(low, rail)] + ([(rail + 0.25, h - 0.25)] if rail < 1.5 and rng.random() < 0.6 else [])
        for x in np.arange(0.12, w.length - 0.3, pitch):
            x1 = min(x + pitch - 0.15, w.length - 0.1)
            for z0, z1 in rows:
                for z in (z0, z1):
                    w.box((x, x1), (0, 0.014), (z - 0.015, z + 0.015), t, WALL)
                for e in (x, x1):
                    w.box((e - 0.015, e + 0.015), (0, 0.014), (z0, z1), t, WALL)
    elif roll < 0.2:  # slats or boards
        m = s.material(rc.SLATS, *wood(rng), (1.0, rng.uniform(0.03, 0.15)), rng.uniform(0.3, 1), math.pi / 2)
        x0 = rng.choice([0.0, rng.uniform(0, w.length / 2)])
        w.pane((x0, w.length), 0.012, (0, h), m, WALL)
    s.close_group()


def window(s: Scene, w: Along, x: float, hw: float, trim: int) -> None:
    rng, h = s.rng, s.height
    s.next_instance()
    low, top = rng.choice([0.03, rng.uniform(0.5, 1.0), rng.uniform(0.8, 1.3)]), rng.uniform(1.9, h - 0.05)
    z, hh = (low + top) / 2, (top - low) / 2
    sky = hsv(rng, (0.5, 0.65), (0, 0.5), (0.8, 1))
    ground = hsv(rng, (0.1, 0.45), (0, 0.8), (0.1, 0.8))
    day = s.ambient[0] > 0.25
    power = rng.uniform(1.2, 6.0) if day else rng.uniform(0.0, 0.08)
    frame = np.array([[*w.direction, 0], [0, 0, 1.0], [*w.inward, 0]])
    view = s.material(rc.VIEW, sky, ground, (1, hh), emission=power + 1e-3)
    s.add(rc.RECT, (*w.at(x, 0.006), z), (hw, hh, 0.001), view, WINDOW, frame=frame)
    t, depth = rng.uniform(0.03, 0.1), rng.uniform(0.02, 0.1)
    surround(w, (x - hw, x + hw), (low, top), t, depth, trim, WINDOW)
    if rng.random() < 0.6:
        w.box((x - hw - 0.1, x + hw + 0.1), (0, depth + rng.uniform(0.05, 0.2)), (low - 0.04, low), trim, WINDOW)
    bars = int(rng.integers(0, 4))
    for i in range(bars):
        c = x - hw + 2 * hw * (i + 1) / (bars + 1)
        t = rng.uniform(0.01, 0.04)
        w.box((c - t, c + t), (0, 0.04), (low, top), trim, WINDOW)
    for i in range(rows := int(rng.choice([0, 0, 1, 2, 3]))):
        c = low + (top - low) * (i + 1) / (rows + 1)
        w.box((x - hw, x + hw), (0, 0.03), (c - 0.012, c + 0.012), trim, WINDOW)
    roll = rng.random()
    if roll < 0.16:  # blinds, drawn or half drawn: part of the window
        m = s.material(
            rc.SLATS,
            paint(rng),
            (0, 0, 0),
            (1, rng.uniform(0.02, 0.06)),
            rng.uniform(0.2, 0.8),
            emission=rng.uniform(0.3, 1.5) if day else 0.0,
        )
        w.pane((x - hw, x + hw), 0.05, (low + (top - low) * rng.choice([0, rng.uniform(0, 0.8)]), top), m, WINDOW)
    elif roll < 0.24:  # a roller blind
        m = s.material(
            rc.WEAVE, hsv(rng, (0, 1), (0, 0.3), (0.5, 1)), contrast=0.2, emission=rng.uniform(0.4, 1.2) if day else 0.0
        )
        w.pane((x - hw, x + hw), 0.05, (low + (top - low) * rng.uniform(0.2, 0.9), top), m, WINDOW)
    c = w.at(x, 0.03)
    light = power * 4 * hw * hh * np.array(sky) * 0.9
    s.lights.append([*c, z, *(w.direction * hw), 0, 0, 0, hh, *w.inward, 0, *light, 1])
    s.close_group()
    if rng.random() < 0.5:
        curtains(s, w, x, hw, low, top, trim)
    elif s.version >= 4:
        if low > 0.35 and rng.random() < 0.6:
            radiator(s, w, x, hw * rng.uniform(0.4, 1.0), low - 0.08)
    elif low > 0.4 and rng.random() < 0.4:
        s.next_instance()
        m = s.material(rc.SLATS, (0.8, 0.8, 0.78), (0.8, 0.8, 0.78), (1, rng.uniform(0.05, 0.12)), 0.4, math.pi / 2)
        w.box((x - hw * 0.8, x + hw * 0.8), (0.03, 0.12), (0.1, low - 0.1), m, FURNITURE)
        s.close_group()


def curtains(s: Scene, w: Along, x, hw, low, top, trim) -> None:
    rng, h = s.rng, s.height
    s.next_instance()
    sheer = rng.random() < 0.3
    if sheer:
        m = s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.1), (0.85, 1)), contrast=0.2, emission=0.5 * s.ambient[0])
    elif s.version >= 4 and rng.random() < 0.5:  # as pale as walls are, the day through them
        glow = rng.uniform(0, 0.4) * s.ambient[0]
        m = s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.15), (0.55, 1)), contrast=rng.uniform(0.1, 0.4), emission=glow)
    else:
        m = stuff_material(s)
    rod = min(h - 0.03, top + rng.uniform(0.03, 0.4))
    foot = 0.02 if rng.random() < 0.7 else low - 0.1
    for side in (-1, 1):
        width = rng.uniform(0.08, 0.5 * hw + 0.1) if rng.random() < 0.9 else hw
        pitch = rng.uniform(0.06, 0.12)
        for i in range(int(width / pitch) + 1):
            c = w.at(x + side * (hw + 0.1 - i * pitch), 0.1 + 0.02 * (i % 2))
            s.add(rc.CYLINDER, (*c, (rod + foot) / 2), (pitch * 0.56, 1, max(0.02, (rod - foot) / 2)), m, FURNITURE)
    if rng.random() < 0.7:
        w.box((x - hw - 0.25, x + hw + 0.25), (0.09, 0.115), (rod - 0.012, rod + 0.012), trim, FURNITURE)
    s.close_group()


def drapes(s: Scene, a, b, trim: int, used: list) -> None:
    """Curtains that hide what is behind them: a window, a niche, a whole wall. `used` as for `openings`."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    width = w.length * (1.0 if rng.random() < 0.35 else rng.uniform(0.2, 0.8))
    x0 = float(rng.choice([0.0, w.length - width, rng.uniform(0, w.length - width) if width < w.length else 0.0]))
    s.next_instance()
    roll = rng.random()
    if roll < 0.35:
        m = s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.12), (0.6, 1)), contrast=rng.uniform(0.1, 0.5))
    elif roll < 0.55:
        m = s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.4), (0.03, 0.3)), contrast=rng.uniform(0.1, 0.5))
    else:
        m = stuff_material(s)
    rod = h - 0.01 if rng.random() < 0.5 else rng.uniform(min(2.1, h - 0.1), h - 0.05)
    pitch, wave = rng.uniform(0.05, 0.2), rng.uniform(0.01, 0.05)
    x, k = x0, 0
    while x < x0 + width:
        step = pitch * rng.uniform(0.7, 1.3)
        c = w.at(x + step / 2, 0.08 + wave * (k % 2) + rng.uniform(0, 0.01))
        s.add(rc.CYLINDER, (*c, rod / 2 + 0.01), (step * rng.uniform(0.52, 0.62), 1, rod / 2 - 0.01), m, FURNITURE)
        x, k = x + step, k + 1
    if rod < h - 0.03 and rng.random() < 0.8:
        w.box((x0 - 0.1, x0 + width + 0.1), (0.07, 0.1), (rod - 0.015, rod + 0.015), trim, FURNITURE)
    s.close_group()
    used.append((x0 + width / 2, width / 2))


def surround(w: Along, x, z, t, depth, material, label, sill: bool = True) -> None:
    """A frame of four bars (three without a sill) around an opening."""
    w.box((x[0] - t, x[0]), (0, depth), (z[0] - t * sill, z[1] + t), material, label)
    w.box((x[1], x[1] + t), (0, depth), (z[0] - t * sill, z[1] + t), material, label)
    w.box(x, (0, depth), (z[1], z[1] + t), material, label)
    if sill:
        w.box(x, (0, depth), (z[0] - t, z[0]), material, label)


def door(s: Scene, w: Along, x: float, trim: int) -> None:
    rng = s.rng
    s.next_instance()
    hw, top = rng.uniform(0.36, 0.5), rng.uniform(1.95, min(2.3, s.height - 0.05))
    if rng.random() < 0.12:
        hw *= 2
    roll = rng.random()
    t, depth, stands_open = rng.uniform(0.05, 0.12), rng.uniform(0.02, 0.05), False
    if roll < 0.75:
        color = rng.random()
        leaf = trim if color < 0.6 else (stuff_material(s) if color < 0.8 else front_material(s, (9, 9), 0.0))
        w.box((x - hw, x + hw), (0, 0.015), (0.005, top), leaf, DOOR)
        panels = rng.choice([0, 2, 2, 3, 4, 6])
        columns = 2 if panels >= 4 and rng.random() < 0.7 else 1
        rows = max(1, panels // columns)
        glazed = rng.random() < 0.15
        for i in range(columns if panels else 0):
            for j in range(rows):
                x0 = x - hw + 2 * hw * i / columns + 0.1
                x1 = x - hw + 2 * hw * (i + 1) / columns - 0.1
                z0, z1 = 0.2 + (top - 0.35) * j / rows, 0.1 + (top - 0.35) * (j + 1) / rows
                if glazed:
                    glass = s.material(
                        rc.VIEW,
                        (0.8, 0.85, 0.9),
                        hsv(rng, (0, 1), (0, 0.3), (0.2, 0.8)),
                        (1, 1),
                        emission=rng.uniform(0.3, 1.5),
                    )
                    w.pane((x0, x1), 0.018, (z0, z1), glass, DOOR)
                else:
                    for q in ((x0, x0 + 0.02), (x1 - 0.02, x1)):
                        w.box(q, (0.015, 0.026), (z0, z1), leaf, DOOR)
                    for q in ((z0, z0 + 0.02), (z1 - 0.02, z1)):
                        w.box((x0, x1), (0.015, 0.026), q, leaf, DOOR)
        metal = stuff_material(s)
        side = hw * rng.choice([-0.85, 0.85])
        w.box((x + side - 0.06, x + side + 0.06), (0.04, 0.06), (0.99, 1.01), metal, DOOR)
    elif roll < 0.88:  # a passage: another room's light, or its dark
        far = s.material(
            rc.VIEW,
            hsv(rng, (0, 1), (0, 0.3), (0.3, 1)),
            hsv(rng, (0, 0.2), (0, 0.6), (0.2, 0.9)),
            (1, top / 2),
            emission=rng.uniform(0.1, 1.0),
        )
        w.pane((x - hw, x + hw), 0.006, (0, top), far, DOOR)
        stands_open = s.version >= 4 and rng.random() < 0.6
    else:
        w.pane((x - hw, x + hw), 0.006, (0, top), black_glass(s), DOOR)
        w.box((x - 0.02, x + 0.02), (0, 0.03), (0, top), trim, DOOR)
    if rng.random() < 0.9:
        surround(w, (x - hw, x + hw), (0, top), t, depth, trim, DOOR, sill=False)
    s.close_group()
    if stands_open:
        open_leaf(s, w, x, hw, top, trim if rng.random() < 0.6 else stuff_material(s))


def pictures(s: Scene, w: Along, x: float) -> None:
    """Pictures, a mirror, a screen, shelves, switches."""
    rng, h = s.rng, s.height
    z = rng.uniform(1.3, min(1.9, h - 0.5))
    kind = rng.random()
    if kind < 0.55:
        n = rng.integers(1, 5) if rng.random() < 0.4 else 1
        frame = stuff_material(s)
        for i in range(n):
            s.next_instance()
            pw, ph = rng.uniform(0.1, 0.6 if n == 1 else 0.25), rng.uniform(0.12, 0.6 if n == 1 else 0.35)
            px = x + (i - (n - 1) / 2) * 0.55
            art = art_material(s, (pw, ph))
            t = rng.uniform(0.005, 0.04)
            w.box((px - pw - t, px + pw + t), (0, 0.024), (z - ph - t, z + ph + t), frame, OTHER)
            if rng.random() < 0.5:  # a mat
                mat = s.material(
                    rc.PLAIN, hsv(rng, (0, 1), (0, 0.05), (0.85, 1)), variant=0.02, gloss=rng.choice([0, 0.5])
                )
                w.pane((px - pw, px + pw), 0.026, (z - ph, z + ph), mat, OTHER)
                pw, ph = pw * rng.uniform(0.5, 0.8), ph * rng.uniform(0.5, 0.8)
            w.pane((px - pw, px + pw), 0.028, (z - ph, z + ph), art, OTHER)
            s.close_group()
    elif kind < 0.75:
        s.next_instance()
        mirror = s.material(rc.MIRROR, (0.9,) * 3, gloss=0.9)
        frame = np.array([[*w.direction, 0], [0, 0, 1.0], [*w.inward, 0]])
        if rng.random() < 0.5:
            r = rng.uniform(0.25, 0.5)
            s.add(rc.DISC, (*w.at(x, 0.02), z), (r + 0.03, r + 0.03, 0.001), stuff_material(s), OTHER, frame=frame)
            s.add(rc.DISC, (*w.at(x, 0.025), z), (r, r, 0.001), mirror, OTHER, frame=frame)
        else:
            pw, ph = rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.8)
            w.box((x - pw - 0.03, x + pw + 0.03), (0, 0.02), (z - ph - 0.03, z + ph + 0.03), stuff_material(s), OTHER)
            w.pane((x - pw, x + pw), 0.022, (z - ph, z + ph), mirror, OTHER)
        s.close_group()
    elif kind < 0.85:
        s.next_instance()
        pw = rng.uniform(0.4, 0.8)
        w.box((x - pw, x + pw), (0.01, 0.06), (z - pw * 0.56, z + pw * 0.56), black_glass(s), OTHER)
        s.close_group()
    else:
        for level in (z, z + 0.35)[: rng.integers(1, 3)]:
            s.next_instance()
            pw = rng.uniform(0.2, 0.6)
            w.box((x - pw, x + pw), (0, rng.uniform(0.12, 0.28)), (level, level + 0.03), stuff_material(s), FURNITURE)
            for _ in range(rng.integers(1, 5)):
                clutter(s, w.at(x + rng.uniform(-pw, pw) * 0.9, 0.1), w.yaw, (0, 0, level + 0.03))
            s.close_group()
    if rng.random() < 0.4:  # a switch or socket: part of the wall
        c, z = rng.uniform(0.2, w.length - 0.1), rng.choice([0.3, 1.1])
        w.box((c, c + 0.08), (0, 0.012), (z, z + 0.08), s.material(rc.PLAIN, (0.8,) * 3), WALL)
        s.close_group()


def openings(s: Scene, a, b, trim: int, used: list) -> None:
    """Windows, doors, pictures where there is room on the wall; `used` gathers (x, half width)."""
    w, rng = Along(s, a, b), s.rng

    def free(x, hw):
        return hw < x < w.length - hw and all(abs(x - u) > hw + v for u, v in used)

    for _ in range(rng.integers(0, 4)):
        hw = rng.uniform(0.3, min(1.8, max(0.31, w.length * 0.4)))
        x = rng.uniform(0, w.length)
        roll = rng.random()
        if roll < 0.45 and free(x, hw + 0.15):
            window(s, w, x, hw, trim)
            used.append((x, hw + 0.15))
        elif s.version >= 4 and roll >= 0.92 and free(x, 0.5):
            radiator(s, w, x, rng.uniform(0.2, 0.5), s.height)
            used.append((x, 0.5))
        elif roll < 0.68 and free(x, 0.6):
            door(s, w, x, trim)
            used.append((x, 0.6))
        elif roll >= 0.68 and free(x, 0.5):
            pictures(s, w, x)
            used.append((x, 0.5))


def partition(s: Scene, plain: int, trim: int) -> None:
    """A wall across the room with a wide opening, so that one room is seen through another."""
    rng, h = s.rng, s.height
    low, high = s.polygon.min(0), s.polygon.max(0)
    axis = int(rng.integers(2))
    at = rng.uniform(0.35, 0.65) * (high[axis] - low[axis]) + low[axis]
    span = (low[1 - axis], high[1 - axis])
    width, length = rng.uniform(0.8, 2.4), span[1] - span[0]
    if length < width + 0.6:
        return
    gap = rng.uniform(span[0] + 0.2, span[1] - width - 0.2)
    top = rng.choice([rng.uniform(2.0, min(2.3, h)), h])
    material = wall_material(s, plain)
    t = rng.uniform(0.05, 0.12)
    s.next_instance()

    def block(u0, u1, z0, z1, m, grow=0.0, label=WALL):
        c, half = [0.0, 0.0], [0.0, 0.0]
        c[axis], c[1 - axis], half[axis], half[1 - axis] = at, (u0 + u1) / 2, t + grow, (u1 - u0) / 2
        s.add(rc.BOX, (*c, (z0 + z1) / 2), (*half, (z1 - z0) / 2), m, label)

    block(span[0] - 0.5, gap, 0, h, material)
    block(gap + width, span[1] + 0.5, 0, h, material)
    if top < h - 0.01:
        block(gap, gap + width, top, h, material)
    if rng.random() < 0.6:  # a lining and architrave
        for u in (gap, gap + width):
            block(u - 0.04, u + 0.04, 0, top, trim, 0.02, DOOR)
        block(gap, gap + width, top - 0.04, top + 0.04, trim, 0.02, DOOR)
    s.close_group()
    s.doorway = (axis, float(at), float(gap), float(gap + width))
    for u in np.arange(span[0], span[1], 0.5):
        if not gap - 0.2 < u < gap + width + 0.2:
            p = [0.0, 0.0]
            p[axis], p[1 - axis] = at, u
            s.footprints.append((p[0], p[1], 0.3))


def slope(s: Scene, a, b, ceiling: int, knee: float | None = None, run: float | None = None) -> None:
    """A sloped ceiling above the wall from a to b, sometimes with a roof window; it begins at `knee` and is `run` deep."""
    rng, h = s.rng, s.height
    w = Along(s, a, b)
    if knee is None or run is None:
        knee, run = rng.uniform(0.6, h - 0.5), rng.uniform(0.8, 2.6)
    climb = h - knee
    length = math.hypot(run, climb)
    up = np.array([*(w.inward * run / length), climb / length])
    normal = np.cross(np.array([*w.direction, 0.0]), up)
    frame = np.stack([np.array([*w.direction, 0.0]), up, normal])
    centre = np.array([*w.at(w.length / 2, run / 2), (knee + h) / 2])
    s.next_instance()
    s.add(rc.RECT, centre, (w.length / 2 + 1, length / 2 + 0.05, 0.001), ceiling, CEILING, frame=frame)
    if rng.random() < 0.4:
        s.next_instance()
        view = s.material(rc.VIEW, (0.8, 0.9, 1.0), (0.6, 0.8, 1.0), (1, 9), emission=rng.uniform(1, 4))
        down = normal if normal[2] < 0 else -normal
        c = centre + np.array([*(w.direction * rng.uniform(-0.3, 0.3) * w.length), 0]) + down * 0.01
        half = (rng.uniform(0.3, 0.5), min(length / 2 - 0.1, rng.uniform(0.4, 0.7)))
        trim = trim_material(s)
        s.add(rc.RECT, c, (half[0] + 0.06, half[1] + 0.06, 0.001), trim, WINDOW, frame=frame)
        s.add(rc.RECT, c + down * 0.01, (*half, 0.001), view, WINDOW, frame=frame)
    s.close_group()


def ceiling_things(s: Scene, night: bool, plain: int) -> None:
    """Beams, spots, lamps, fans."""
    rng, h = s.rng, s.height
    low, high = s.polygon.min(0), s.polygon.max(0)
    mid, half = (low + high) / 2, (high - low) / 2
    far, near = np.minimum(1.0, 0.9 * half), np.minimum(0.8, 0.9 * half)  # from the walls
    if rng.random() < 0.12:
        m = s.material(rc.GRAIN, *wood(rng)) if rng.random() < 0.7 else plain
        s.next_instance()
        across = rng.random() < 0.3
        d, t = rng.uniform(0.04, 0.16), rng.uniform(0.04, 0.12)
        for axis in (0, 1) if across else (int(rng.integers(2)),):
            for u in np.arange(low[axis] + 0.4, high[axis], rng.uniform(0.5, 1.8)):
                c, e = [*mid, h - d], [*half, d]
                c[axis], e[axis] = u, t
                s.add(rc.BOX, c, e, m, CEILING)
        s.close_group()
    if rng.random() < 0.1:
        x, y = rng.uniform(low + far, high - far)
        if inside(s.polygon, x, y):
            s.next_instance()
            s.add(
                rc.BOX,
                (x, y, h / 2),
                (rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.6), h / 2),
                wall_material(s, plain),
                WALL,
            )
            s.close_group()
            s.footprints.append((x, y, 0.6))
    if rng.random() < 0.07:  # a half wall
        x, y = rng.uniform(low + far, high - far)
        e = (0.08, rng.uniform(0.6, 1.4)) if rng.random() < 0.5 else (rng.uniform(0.6, 1.4), 0.08)
        top = rng.uniform(0.8, 1.2)
        s.next_instance()
        s.add(rc.BOX, (x, y, top / 2), (*e, top / 2), wall_material(s, plain), WALL)
        s.add(rc.BOX, (x, y, top + 0.02), (e[0] + 0.02, e[1] + 0.02, 0.02), trim_material(s), WALL)
        s.close_group()
        s.footprints.append((x, y, 0.7))
    lit = night or rng.random() < 0.5
    if rng.random() < 0.35:  # recessed spots
        glow = s.material(
            rc.PLAIN, hsv(rng, (0.05, 0.15), (0, 0.3), (0.9, 1)), contrast=0, emission=rng.uniform(1, 5) if lit else 0.6
        )
        n = rng.uniform(0.8, 1.8)
        for x in np.arange(low[0] + 0.5, high[0], n):
            for y in np.arange(low[1] + 0.5, high[1], n):
                s.add(rc.DISC, (x, y, h - 0.004), (0.05, 0.05, 0.001), glow, CEILING, frame=None)
        s.close_group()
    for _ in range(rng.integers(0, 3) + (1 if night else 0)):
        x, y = rng.uniform(low + near, high - near)
        if inside(s.polygon, x, y):
            ceiling_lamp(s, x, y, lit)
    if rng.random() < 0.06:
        x, y = mid + rng.normal(0, 0.4, 2)
        s.next_instance()
        m = stuff_material(s)
        s.add(rc.CYLINDER, (x, y, h - 0.15), (0.1, 1, 0.15), m, FURNITURE)
        for turn in np.arange(4) * math.pi / 2 + 0.4:
            blade = (x + 0.35 * math.cos(turn), y + 0.35 * math.sin(turn), h - 0.26)
            s.add(rc.BOX, blade, (0.3, 0.06, 0.01), m, FURNITURE, frame=rotation(turn))
        s.close_group()


def ceiling_lamp(s: Scene, x: float, y: float, lit: bool) -> None:
    """One lamp, a row of pendants, or an arm with bulbs."""
    rng, h = s.rng, s.height
    s.next_instance()
    drop = rng.choice([0.06, rng.uniform(0.3, 1.2)])
    glow = rng.uniform(1, 8) if lit else 0.0
    shade = s.material(rc.PLAIN, hsv(rng, (0.04, 0.16), (0, 0.45), (0.3, 1)), contrast=0, emission=glow)
    if rng.random() < 0.3:
        shade = stuff_material(s)
    cord = stuff_material(s)
    r, half = rng.uniform(0.06, 0.3), rng.uniform(0.03, 0.2)
    kind = rc.ELLIPSOID if rng.random() < 0.5 else rc.CYLINDER
    yaw = rng.choice([0, math.pi / 2])
    n = int(rng.choice([1, 1, 1, 2, 3, 5])) if drop > 0.2 else 1
    step = rng.uniform(0.2, 0.6)
    if n > 2 and rng.random() < 0.6:
        r, half = min(r, 0.06), min(half, 0.08)
        s.add(rc.BOX, (x, y, h - drop + 0.15), (n * step / 2, 0.02, 0.02), cord, FURNITURE, frame=rotation(yaw))
    for i in range(n):
        c = (x + (i - (n - 1) / 2) * step * math.cos(yaw), y + (i - (n - 1) / 2) * step * math.sin(yaw))
        s.add(kind, (*c, h - drop), (r, r, half), shade, FURNITURE)
        s.add(rc.CYLINDER, (*c, h - drop / 2), (0.006, 1, drop / 2), cord, FURNITURE)
    s.close_group()
    if lit:
        tint = np.array(hsv(rng, (0.05, 0.13), (0, 0.5), (0.95, 1)))
        s.lights.append([x, y, h - drop - half - 0.1, 0.1, 0, 0, 0, 0.1, 0, 0, 0, -1, *(tint * rng.uniform(2, 8)), 0])
