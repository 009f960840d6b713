"""Random furnished rooms. A room is a function of its random generator alone."""

import math

import numpy as np

from models.rooms import raycast as rc
from models.rooms.bath import basin, bathroom
from models.rooms.finishes import floor_material, hsv, tiles, trim_material, wall_material, wood
from models.rooms.fitted import island, kitchen, stairs, wardrobe
from models.rooms.footprint import footprint, inside, small
from models.rooms.furniture import (
    bed,
    bookcase,
    cabinet,
    chair,
    counter,
    lamp,
    person,
    plant,
    pouf,
    sofa,
    table,
    toys,
)
from models.rooms.labels import CEILING, FLOOR, FURNITURE
from models.rooms.scene import Rng, Scene, rotation
from models.rooms.shell import (
    ceiling_material,
    ceiling_things,
    drapes,
    openings,
    partition,
    slope,
    wall,
)
from models.rooms.structure import boxing, chimney, columns, media, towel_rail

# What a kind of room is furnished with, against its walls and free on its floor, by weight.
KINDS = {
    "living": (
        [(sofa, 4), (cabinet, 3), (bookcase, 2), (lamp, 2), (plant, 2.5), (chair, 1), (table, 1)],
        [(sofa, 2.5), (table, 4), (chair, 2.5), (pouf, 1.5), (plant, 1), (lamp, 0.5), (toys, 0.5), (person, 0.3)],
    ),
    "bedroom": (
        [(bed, 5), (cabinet, 3), (bookcase, 1), (lamp, 1), (plant, 1.5), (chair, 1), (table, 0.7)],
        [(bed, 1.5), (pouf, 1), (chair, 1), (toys, 1), (plant, 0.5), (person, 0.2)],
    ),
    "dining": (
        [(cabinet, 3), (plant, 2), (bookcase, 1), (lamp, 1), (sofa, 0.6)],
        [(table, 5), (chair, 6), (plant, 0.5), (person, 0.4)],
    ),
    "kitchen": (
        [(cabinet, 1), (chair, 0.6), (plant, 0.7), (counter, 1)],
        [(island, 5), (table, 2), (chair, 2.5), (person, 0.3)],
    ),
    "bathroom": ([(cabinet, 1.5), (plant, 1), (chair, 0.3)], [(pouf, 0.5), (chair, 0.3)]),
    "any": (
        [
            (sofa, 3),
            (cabinet, 3),
            (bookcase, 2),
            (bed, 1.5),
            (counter, 1.5),
            (lamp, 1.5),
            (plant, 2),
            (table, 1),
            (chair, 1),
        ],
        [
            (sofa, 2),
            (table, 4),
            (chair, 4),
            (pouf, 1.5),
            (plant, 1),
            (lamp, 0.5),
            (toys, 0.7),
            (cabinet, 0.4),
            (person, 0.4),
        ],
    ),
}
_SHARE = {"living": 0.27, "bedroom": 0.17, "dining": 0.1, "kitchen": 0.22, "bathroom": 0.07, "any": 0.17}
_SHARE_4 = {"living": 0.25, "bedroom": 0.19, "dining": 0.09, "kitchen": 0.18, "bathroom": 0.15, "any": 0.14}


def build(rng: Rng, version: int) -> Scene:
    """A furnished room with its lights."""
    s = Scene(rng, version)
    shares = _SHARE if version < 4 else _SHARE_4
    kind = str(rng.choice(list(shares), p=list(shares.values())))
    tight = version >= 4 and rng.random() < (0.7 if kind == "bathroom" else 0.05)
    s.polygon = small(rng) if tight else footprint(rng)
    s.height = h = float(rng.choice([rng.uniform(2.3, 2.8), rng.uniform(2.5, 3.4)]))
    night = rng.random() < 0.1
    _light(s, night)
    low, high = s.polygon.min(0) - 1, s.polygon.max(0) + 1
    mid, half = (low + high) / 2, (high - low) / 2
    s.add(rc.RECT, (*mid, 0), (*half, 0.001), floor_material(s), FLOOR, s.next_instance())
    ceiling = ceiling_material(s)
    s.add(rc.RECT, (*mid, h), (*half, 0.001), ceiling, CEILING, s.next_instance())
    s.close_group()
    plain, trim = wall_material(s), trim_material(s)
    if version >= 4 and kind == "bathroom":
        roll = rng.random()
        if roll < 0.45:
            plain = tiles(s)
        elif roll < 0.8:
            s.dado = float(rng.uniform(0.9, s.height - 0.4)), tiles(s)
    edges = list(zip(s.polygon, np.roll(s.polygon, -1, 0), strict=True))
    used: list[list] = [[] for _ in edges]
    for (a, b), taken in zip(edges, used, strict=True):
        wall(s, a, b, plain, trim)
        openings(s, a, b, trim, taken)
    if version >= 3:
        for (a, b), taken in zip(edges, used, strict=True):
            if rng.random() < (0.14 if version < 4 or kind != "bathroom" else 0.05):
                drapes(s, a, b, trim, taken)
    if rng.random() < (0.08 if version < 3 else 0.12):
        slope(s, *edges[rng.integers(len(edges))], ceiling)
    elif version >= 4 and len(edges) == 4 and rng.random() < 0.05:
        _gable(s, edges, ceiling)
    if rng.random() < (0.14 if version < 4 else 0.22):
        partition(s, plain, trim)
    if version >= 4:
        _structure(s, kind, edges, used, plain)
    ceiling_things(s, night, plain)
    _fit(s, kind, edges, used, plain)
    _rugs(s)
    _furnish(s, kind, edges)
    return s


def _gable(s: Scene, edges: list, ceiling: int) -> None:
    """A room under a roof: slopes from both sides to the ridge."""
    rng = s.rng
    side = int(rng.integers(2))
    span = float(np.linalg.norm(edges[1 - side][1] - edges[1 - side][0]))
    knee, run = rng.uniform(0.3, 1.3), span / 2 * rng.uniform(0.7, 1.0)
    boards = ceiling
    if rng.random() < 0.5:
        boards = s.material(rc.PLANK, *wood(rng), (3.0, rng.uniform(0.08, 0.2)), rng.uniform(0.1, 0.8), math.pi / 2)
    for k in (side, side + 2):
        slope(s, *edges[k], boards, knee, run)


def _structure(s: Scene, kind: str, edges: list, used: list[list], plain: int) -> None:
    """Columns, chimneys, boxed pipes, walls of screens and shelves."""
    rng = s.rng
    order = [int(i) for i in rng.permutation(len(edges))]
    if kind != "bathroom" and rng.random() < 0.1:
        columns(s, plain)
    if kind in ("living", "dining", "any") and rng.random() < 0.15:
        for i in order:
            if chimney(s, *edges[i], plain, used[i]):
                break
    if kind in ("living", "bedroom", "any") and rng.random() < 0.3:
        for i in order:
            if media(s, *edges[i], used[i]):
                break
    if rng.random() < (0.4 if kind == "bathroom" else 0.08):
        material = s.dado[1] if s.dado and rng.random() < 0.7 else plain
        boxing(s, *edges[order[-1]], material, used[order[-1]])


def _light(s: Scene, night: bool) -> None:
    rng = s.rng
    s.ambient = np.array(hsv(rng, (0.05, 0.15) if night else (0, 1), (0, 0.2), (0.55, 0.8))) * (
        0.3 if night else rng.uniform(0.5, 1.4)
    )
    azimuth, climb = rng.uniform(0, 2 * math.pi), rng.uniform(0.15, 1.0)
    power = rng.uniform(1, 7) if rng.random() < 0.5 and not night else 0.0
    across = math.cos(climb)
    s.sun = np.array([math.cos(azimuth) * across, math.sin(azimuth) * across, math.sin(climb), power])


def _fit(s: Scene, kind: str, edges: list, used: list[list], plain: int) -> None:
    """What is built in, on walls that are free of doors where it stands."""
    rng = s.rng
    order = [int(i) for i in rng.permutation(len(edges))]
    bedrooms, others = (0.45, 0.12) if s.version < 3 else (0.6, 0.35)  # how often they have wardrobes
    if kind == "kitchen":
        runs = rng.integers(1, 3)
        for i in order:
            if runs and kitchen(s, *edges[i], used[i]):
                runs -= 1
    elif kind == "bathroom":
        walls = iter(order)
        for i in walls:
            if bathroom(s, *edges[i], used[i], plain):
                break
        if s.version >= 4:
            second = next(walls, None)
            if second is not None and rng.random() < 0.5:
                bathroom(s, *edges[second], used[second], plain)
            elif rng.random() < 0.5:
                basin(s, *edges[order[-1]], used[order[-1]])
            if rng.random() < 0.4:
                towel_rail(s, *edges[order[0]], used[order[0]])
    elif rng.random() < (bedrooms if kind == "bedroom" else others):
        for i in order:
            if wardrobe(s, *edges[i], used[i]):
                break
    if kind != "bathroom" and rng.random() < (0.05 if s.version < 3 else 0.09):
        for i in order:
            if stairs(s, *edges[i], used[i]):
                break


def _rugs(s: Scene) -> None:
    """A rug lies on the floor; it is an object, not the floor."""
    rng = s.rng
    if rng.random() < 0.5:
        return
    for _ in range(rng.integers(1, 3)):
        c = s.polygon.min(0) + rng.uniform(0.25, 0.75, 2) * np.ptp(s.polygon, axis=0)
        m = s.material(
            rng.choice([rc.CARPET, rc.DAMASK, rc.STRIPE, rc.PATCHES, rc.ART, rc.SPECKLE]),
            hsv(rng, (0, 1), (0, 0.8), (0.2, 1)),
            hsv(rng, (0, 1), (0, 0.8), (0.1, 1)),
            (rng.uniform(0.1, 0.6),) * 2,
            rng.uniform(0.3, 1),
            rng.uniform(0, 1.6),
        )
        half = rng.uniform(0.5, 1.7), rng.uniform(0.4, 1.2)
        yaw = rng.choice([0, math.pi / 2]) + (rng.uniform(-0.6, 0.6) if rng.random() < 0.2 else 0)
        thick = rng.uniform(0.004, 0.012)
        s.next_instance()
        if rng.random() < 0.8:
            s.add(rc.BOX, (*c, thick), (*half, thick), m, FURNITURE, frame=rotation(yaw))
        else:
            s.add(rc.CYLINDER, (*c, thick), (half[0], 1, thick), m, FURNITURE)
        s.close_group()


def _furnish(s: Scene, kind: str, edges: list) -> None:
    rng = s.rng
    against_wall, free = KINDS[kind]
    density = rng.uniform(0.25, 1.0)
    for a, b in edges:
        length = float(np.linalg.norm(b - a))
        along = (b - a) / length
        inward = np.array([-along[1], along[0]])
        for _ in range(int(length / 1.1)):
            if rng.random() > density:
                continue
            _place(s, _pick(rng, against_wall), a + along * rng.uniform(0.3, max(0.31, length - 0.3)), inward)
    low, size = s.polygon.min(0), np.ptp(s.polygon, axis=0)
    for _ in range(max(int(density * size.prod() / 2.5), int(rng.integers(0, 3)))):
        at = low + rng.uniform(0.15, 0.85, 2) * size
        if not inside(s.polygon, *at):
            continue
        make = _pick(rng, free)
        group = rng.integers(2, 5) if make in (chair, person) and rng.random() < 0.5 else 1
        turn = rng.uniform(0, 2 * math.pi) if rng.random() < 0.3 else rng.integers(0, 4) * math.pi / 2
        for _i in range(group):
            _try(s, make, at + rng.uniform(-0.8, 0.8, 2) * (group > 1), turn + (rng.uniform(-1, 1) if group > 1 else 0))


def _pick(rng: Rng, choices: list):
    weights = np.array([w for _, w in choices])
    return choices[rng.choice(len(choices), p=weights / weights.sum())][0]


def _place(s: Scene, make, foot: np.ndarray, inward: np.ndarray) -> None:
    """Put an object with its back to the wall that `foot` is on."""
    rng = s.rng
    yaw = math.atan2(inward[1], inward[0]) - math.pi / 2
    depth = {sofa: 0.55, bed: 1.15, counter: 0.33, cabinet: 0.36, bookcase: 0.22}.get(make, 0.45)
    turn = rng.normal(0, 0.2) if rng.random() < 0.1 else 0.0
    _try(s, make, foot + inward * (depth + rng.uniform(0, 0.08)), yaw + turn)


def _try(s: Scene, make, at, yaw) -> None:
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
