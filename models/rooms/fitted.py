"""What is built in: kitchens, wardrobes, stairs."""

import math
from dataclasses import dataclass

import numpy as np

from models.rooms import raycast as rc
from models.rooms.along import Along
from models.rooms.finishes import black_glass, hsv, paint, steel, stone, stuff_material, wood
from models.rooms.furniture import chair, clutter
from models.rooms.labels import OTHER, WALL
from models.rooms.scene import Scene, rotation


@dataclass(frozen=True)
class Style:
    """One look for all fronts of a kitchen or wardrobe."""

    rgb: tuple | None
    inset: float
    handle: str
    metal: int

    @staticmethod
    def draw(s: Scene) -> "Style":
        rng = s.rng
        rgb = paint(rng) if rng.random() < 0.75 else None
        inset = float(rng.choice([0.0, rng.uniform(0.04, 0.09)]))
        metal = steel(s) if rng.random() < 0.6 else stuff_material(s)
        return Style(rgb, inset, str(rng.choice(["bar", "knob", "upright", "none"])), metal)


def fronts(w: Along, style: Style, material_of, x, y, z, columns: int, rows: int) -> None:
    """A carcass with `columns` x `rows` fronts and their handles; y is (0, depth)."""
    width, tall = x[1] - x[0], z[1] - z[0]
    cell = (width / columns, tall / rows)
    w.box(x, y, z, material_of((10.0, 10.0)))
    material = material_of(cell)
    for i in range(columns):
        for j in range(rows):
            x0, z0 = x[0] + i * cell[0], z[0] + j * cell[1]
            face = y[1] + 0.012
            w.box((x0 + 0.002, x0 + cell[0] - 0.002), (y[1], face), (z0 + 0.002, z0 + cell[1] - 0.002), material)
            if style.handle == "bar":
                h = min(0.12, cell[0] * 0.3)
                mid, top = x0 + cell[0] / 2, z0 + cell[1] - 0.06
                w.box((mid - h, mid + h), (face + 0.015, face + 0.028), (top - 0.006, top + 0.006), style.metal)
            elif style.handle != "none":
                side = x0 + (0.05 if (i + j) % 2 else cell[0] - 0.05)
                at = z0 + (cell[1] - 0.1 if z[0] < 0.6 else 0.1) if cell[1] > 0.3 else z0 + cell[1] / 2
                half = 0.015 if style.handle == "knob" else min(0.12, cell[1] * 0.3)
                w.box((side - 0.008, side + 0.008), (face, face + 0.03), (at - half, at + half), style.metal)


def panel(s: Scene, style: Style):
    """A function from a cell to one material; the same colour for all cells."""
    rgb, grain = style.rgb, None
    if rgb is None:
        rgb, grain = wood(s.rng)
    gloss = float(s.rng.choice([0, 0.4, 0.8]))

    def of(cell):
        return s.material(
            rc.FRONT, rgb, grain or rgb, (cell[0], cell[1]), 0.7 if grain else 0.0, 0.0, style.inset, gloss
        )

    return of


def kitchen(s: Scene, a, b, windows: list) -> bool:
    """A fitted kitchen along one wall; `windows` are (x, half width) of its openings."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    if w.length < 2.0:
        return False
    style = Style.draw(s)
    upper = style if rng.random() < 0.65 else Style.draw(s)
    lower_of = panel(s, style)
    upper_of = lower_of if upper is style else panel(s, upper)
    top, plinth = stone(s), stuff_material(s)
    x0, x1 = rng.uniform(0, 0.3), w.length - rng.uniform(0, 0.3) * (rng.random() < 0.5)
    if rng.random() < 0.3:
        x1 = x0 + max(1.8, (x1 - x0) * rng.uniform(0.5, 1.0))
    x1 = min(x1, w.length - 0.02)
    depth, ceiling = rng.uniform(0.55, 0.65), h - (0.01 if rng.random() < 0.45 else rng.uniform(0.15, 0.6))
    bottom = rng.uniform(1.35, 1.55)
    s.next_instance()

    # Tall units at one end or both: fridge, ovens, larder.
    for end in (0, 1):
        if rng.random() < 0.5 or x1 - x0 < 1.9:
            continue
        tall = rng.uniform(0.55, 0.7) * rng.integers(1, 3)
        span = (x0, x0 + tall) if end == 0 else (x1 - tall, x1)
        if any(abs(sum(span) / 2 - x) < half + tall / 2 for x, half in windows):
            continue
        s.next_instance()
        kind = rng.random()
        n = max(1, round(tall / 0.6))
        if kind < 0.3:  # a fridge of steel or white
            metal = steel(s) if rng.random() < 0.6 else s.material(rc.PLAIN, (0.8,) * 3, gloss=0.6)
            z1 = rng.uniform(1.7, 2.0)
            w.box(span, (0, depth + 0.05), (0.02, z1), metal)
            split = z1 * rng.uniform(0.35, 0.65)
            w.box(span, (depth + 0.05, depth + 0.053), (split - 0.005, split + 0.005), black_glass(s))
            w.box((span[0] + 0.05, span[0] + 0.07), (depth + 0.05, depth + 0.09), (split + 0.05, split + 0.5), metal)
            if rng.random() < 0.5:
                fronts(w, style, upper_of, span, (0, depth), (z1 + 0.02, max(z1 + 0.1, ceiling)), n, 1)
        else:
            fronts(w, style, lower_of, span, (0, depth), (0.08, ceiling), n, int(rng.integers(1, 4)))
            if kind < 0.7:
                metal, dark = steel(s), black_glass(s)
                low = rng.uniform(0.6, 1.0)
                for k in range(rng.integers(1, 3)):
                    z = (low + k * 0.62, low + k * 0.62 + 0.58)
                    ox = (span[0] + 0.02, span[0] + 0.58)
                    w.box(ox, (depth, depth + 0.025), z, metal, OTHER)
                    w.box((ox[0] + 0.04, ox[1] - 0.04), (depth, depth + 0.03), (z[0] + 0.06, z[1] - 0.14), dark, OTHER)
                    w.box(
                        (ox[0] + 0.06, ox[1] - 0.06),
                        (depth + 0.05, depth + 0.065),
                        (z[1] - 0.12, z[1] - 0.105),
                        metal,
                        OTHER,
                    )
        s.close_group()
        x0, x1 = (span[1], x1) if end == 0 else (x0, span[0])

    # Base units under a worktop.
    s.next_instance()
    n = max(1, round((x1 - x0) / rng.uniform(0.45, 0.8)))
    edges = np.linspace(x0, x1, n + 1)
    for i in range(n):
        fronts(
            w,
            style,
            lower_of,
            (edges[i], edges[i + 1]),
            (0, depth - 0.02),
            (0.1, 0.86),
            1,
            int(rng.choice([1, 1, 2, 3])),
        )
    w.box((x0, x1), (0, depth - 0.08), (0, 0.1), plinth)
    w.box((x0 - 0.01, x1 + 0.01), (0, depth + 0.01), (0.86, 0.9), top)
    if rng.random() < 0.75:  # splashback: wall, however it is tiled
        roll = rng.random()
        tiled = s.material(
            rc.TILE,
            hsv(rng, (0, 1), (0, 0.2), (0.5, 1)),
            hsv(rng, (0, 1), (0, 0.1), (0.4, 0.95)),
            (t := rng.uniform(0.05, 0.25), t * rng.choice([0.35, 0.5, 1])),
            rng.uniform(0, 0.5),
            0,
            float(rng.random() < 0.7),
            0.6,
        )
        w.pane((x0, x1), 0.006, (0.9, bottom if roll < 0.7 else ceiling), tiled if roll < 0.7 else top, WALL)
    hob = rng.uniform(x0 + 0.3, max(x0 + 0.31, x1 - 0.3))
    w.box((hob - 0.29, hob + 0.29), (0.05, depth - 0.05), (0.9, 0.906), black_glass(s))
    if rng.random() < 0.5:
        w.box(
            (hob - 0.29, hob + 0.29),
            (depth - 0.02, depth + 0.02),
            (0.2, 0.84),
            steel(s) if rng.random() < 0.6 else black_glass(s),
        )
    sink = rng.uniform(x0 + 0.3, max(x0 + 0.31, x1 - 0.3))
    if abs(sink - hob) > 0.6:
        metal = steel(s) if rng.random() < 0.8 else black_glass(s)
        w.box((sink - 0.25, sink + 0.25), (0.1, depth - 0.1), (0.9, 0.903), metal)
        w.box((sink - 0.012, sink + 0.012), (0.06, 0.084), (0.9, 1.2), metal)
        w.box((sink - 0.012, sink + 0.012), (0.06, 0.26), (1.18, 1.2), metal)
    s.close_group()
    for _ in range(rng.integers(0, 7)):
        s.next_instance()
        clutter(s, w.at(rng.uniform(x0, x1), rng.uniform(0.1, 0.4)), w.yaw, (0, 0, 0.9))
        s.close_group()

    # Wall units, a hood, open shelves.
    open_ = rng.random() < 0.15
    for i in range(n):
        x = (edges[i], edges[i + 1])
        mid = (x[0] + x[1]) / 2
        if any(abs(mid - wx) < half + (x[1] - x[0]) / 2 for wx, half in windows) or rng.random() < 0.08:
            continue
        s.next_instance()
        if abs(mid - hob) < 0.35 and rng.random() < 0.8:
            metal = steel(s) if rng.random() < 0.6 else stuff_material(s)
            w.box((hob - 0.3, hob + 0.3), (0, 0.45), (bottom + 0.1, bottom + rng.uniform(0.14, 0.4)), metal)
            w.box((hob - 0.14, hob + 0.14), (0, 0.28), (bottom + 0.1, ceiling), metal)
        elif open_:
            shelf = stuff_material(s)
            for z in (bottom, bottom + 0.35):
                w.box(x, (0, 0.24), (z, z + 0.025), shelf)
                for _ in range(rng.integers(0, 4)):
                    clutter(s, w.at(rng.uniform(*x), 0.12), w.yaw, (0, 0, z + 0.025))
        else:
            fronts(
                w,
                upper,
                upper_of,
                x,
                (0, 0.34),
                (bottom, max(bottom + 0.4, ceiling)),
                1,
                1 if rng.random() < 0.8 else 2,
            )
        s.close_group()
    if rng.random() < 0.25 and ceiling < h - 0.05:  # a soffit closes the gap; it is wall
        w.box((x0, x1), (0, 0.36), (ceiling, h), s.material(rc.PLAIN, (0.8, 0.8, 0.79)), WALL)
        s.close_group()
    w.keep_clear(0, w.length, depth)
    return True


def wardrobe(s: Scene, a, b, windows: list) -> bool:
    """Fitted cupboards, mostly to the ceiling."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    width = min(w.length, rng.uniform(1.0, 3.6))
    x0 = rng.choice([0.0, w.length - width])
    if any(x0 - half < x < x0 + width + half for x, half in windows):
        return False
    style = Style.draw(s)
    if s.version >= 3 and rng.random() < 0.35:  # of no handles and one dark or pale colour, as a wall might be
        value = (0.02, 0.3) if rng.random() < 0.6 else (0.75, 1.0)
        style = Style(hsv(rng, (0, 1), (0, 0.3), value), style.inset, "none", style.metal)
    front = panel(s, style)
    s.next_instance()
    top = h - 0.01 if rng.random() < 0.6 else rng.uniform(1.9, 2.3)
    n = max(1, round(width / rng.uniform(0.4, 0.9)))
    rows = [(0.06, top)] if rng.random() < 0.6 else [(0.06, top * 0.8), (top * 0.8, top)]
    for z in rows:
        fronts(w, style, front, (x0, x0 + width), (0, 0.58), z, n, 1)
    if rng.random() < 0.2:
        mirror = s.material(rc.MIRROR, (0.9,) * 3, gloss=0.9)
        k = rng.integers(n)
        w.pane((x0 + width * k / n, x0 + width * (k + 1) / n), 0.6, (0.08, top - 0.05), mirror, OTHER)
    s.close_group()
    w.keep_clear(x0, x0 + width, 0.6)
    return True


def stairs(s: Scene, a, b, windows: list) -> bool:
    """A straight flight along a wall, with balusters and a handrail on its open side."""
    w, rng, h = Along(s, a, b), s.rng, s.height
    run, rise, width = rng.uniform(0.22, 0.29), rng.uniform(0.165, 0.19), rng.uniform(0.8, 1.0)
    n = min(int(h / rise), int((w.length - 0.3) / run))
    if n < 5:
        return False
    x0 = rng.uniform(0.1, w.length - n * run)
    up = rng.random() < 0.5
    tread, riser, rail = stuff_material(s), stuff_material(s), stuff_material(s)
    side = s.material(rc.PLAIN, paint(rng))
    closed = rng.random() < 0.5
    s.next_instance()
    for k in range(n):
        x = x0 + (k if up else n - 1 - k) * run
        z = (k + 1) * rise
        w.box((x - 0.02, x + run + 0.02), (0, width), (z - 0.04, z), tread, OTHER)
        if closed:
            w.box((x, x + run), (0, width - 0.01), (0, z - 0.04), riser if k % 2 else side, OTHER)
        for f in (0.25, 0.75):
            bx = x + f * run
            w.box((bx - 0.012, bx + 0.012), (width - 0.04, width - 0.016), (z, z + 0.9), rail, OTHER)
    mid = w.at(x0 + n * run / 2, width - 0.028)
    slope = math.atan2(rise, run) * (-1 if up else 1)
    s.add(
        rc.BOX,
        (*mid, n * rise / 2 + 0.98),
        (n * math.hypot(run, rise) / 2, 0.025, 0.03),
        rail,
        OTHER,
        frame=rotation(w.yaw, slope),
    )
    s.close_group()
    w.keep_clear(x0, x0 + n * run, width)
    return True


def island(s: Scene, at, yaw) -> float:
    """A kitchen island with stools."""
    rng = s.rng
    half, depth = rng.uniform(0.7, 1.4), rng.uniform(0.4, 0.55)
    direction = np.array([math.cos(yaw), math.sin(yaw)])
    inward = np.array([-direction[1], direction[0]])
    origin = np.asarray(at) - direction * half - inward * depth
    w = Along(s, origin, origin + direction * 2 * half)
    style = Style.draw(s)
    fronts(w, style, panel(s, style), (0, 2 * half), (0, 2 * depth - 0.2), (0.08, 0.87), max(2, round(half / 0.3)), 1)
    w.box((-0.03, 2 * half + 0.03), (-0.03, 2 * depth + 0.1), (0.87, rng.choice([0.9, 0.93])), stone(s))
    for _ in range(rng.integers(0, 4)):
        clutter(s, w.at(rng.uniform(0.2, 2 * half - 0.2), rng.uniform(0.1, 0.7)), yaw, (0, 0, 0.92))
    if rng.random() < 0.8:
        for k in range(rng.integers(1, 4)):
            chair(s, w.at(0.4 + k * 0.6, -0.35 if rng.random() < 0.2 else 2 * depth + 0.25), yaw + math.pi)
    return half
