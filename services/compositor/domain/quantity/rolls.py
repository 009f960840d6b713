"""How many rolls of wallpaper a wall takes: drops cut from rolls, each where its pattern fits.

A drop is what a strip needs in one length; a door that takes a strip's whole width leaves two. Where a pattern must
match, a drop begins at its own place of the repeat, and what lies on the roll before that place is waste. A roll
begins anywhere in its repeat, so a repeat of every roll is set aside for its first drop.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely import affinity

from services.compositor.domain.layout import Layout, Match, Wallpaper
from services.compositor.domain.layout.piece import require
from services.compositor.domain.quantity.surface import Patches, Surface

EPS = 1e-9


@dataclass(frozen=True)
class Drop:
    """strip: which one. length_m: with what is trimmed. phase_m: where in the repeat it begins; None: anywhere."""

    strip: int
    length_m: float
    phase_m: float | None


@dataclass(frozen=True)
class Rolls:
    """What to buy. area_m2: of the wall. cut: the drops of each roll, in order. waste: part of the rolls not hung."""

    area_m2: float
    rolls: int
    cut: tuple[tuple[Drop, ...], ...]
    waste: float


def drops(layout: Layout, surface: Surface | Patches, trim_m: float) -> list[Drop]:
    """The drops of a wall, strip by strip. Raises ValueError where the layout is not of wallpaper."""
    paper = layout.pattern
    if not isinstance(paper, Wallpaper):
        raise ValueError("rolls are cut for wallpaper")
    wall = affinity.translate(surface.polygon(), -layout.origin_x_m, -layout.origin_y_m)
    wall = affinity.rotate(wall, -layout.rotation_deg, (0, 0))
    wall = affinity.translate(wall, -layout.phase_x_m, -layout.phase_y_m)
    x0, y0, x1, y1 = wall.bounds
    width = paper.roll_width_m
    out = []
    strips = np.arange(np.floor(x0 / width + EPS), np.ceil(x1 / width - EPS)).astype(np.int64)
    turned, fallen = paper.reversed(strips), paper.drop(strips, layout.seed)
    for k, strip in enumerate(strips.tolist()):
        parts = shapely.get_parts(wall & shapely.box(strip * width, y0 - 1, (strip + 1) * width, y1 + 1))
        for low, high in _merged(shapely.bounds(parts[shapely.area(parts) > 1e-7])):
            begin = -high if turned[k] else low
            phase = float((begin - trim_m / 2 + fallen[k]) % paper.repeat_m)
            free = paper.match is Match.RANDOM
            out.append(Drop(strip, high - low + trim_m, None if free else phase))
    return out


def _merged(bounds: np.ndarray) -> list[tuple[float, float]]:
    """Intervals of y that the parts of a strip span, those that meet as one."""
    out: list[tuple[float, float]] = []
    for low, high in sorted(zip(bounds[:, 1].tolist(), bounds[:, 3].tolist(), strict=True)):
        if out and low <= out[-1][1] + EPS:
            out[-1] = out[-1][0], max(out[-1][1], high)
        else:
            out.append((low, high))
    return out


def span(order: list[Drop], repeat_m: float) -> float:
    """Metres of a roll from the first drop's beginning to the last one's end."""
    total, at = 0.0, 0.0
    for number, drop in enumerate(order):
        gap = 0.0
        if drop.phase_m is not None:
            gap = 0.0 if number == 0 else (drop.phase_m - at) % repeat_m
            # Rounding must not cost a repeat.
            gap = 0.0 if repeat_m - gap < EPS else gap
            at = drop.phase_m + drop.length_m
        total += gap + drop.length_m
    return total


def rolls(layout: Layout, surface: Surface | Patches, roll_length_m: float, trim_m: float = 0.1) -> Rolls:
    """Cut a wall's drops from rolls, longest first, each into the roll where it adds least.

    Args:
        layout: of a `Wallpaper`.
        roll_length_m: of a roll.
        trim_m: cut off each drop at its two ends together.

    Raises:
        ValueError: no wallpaper, or a drop longer than a roll has for it.
    """
    require(trim_m >= 0, "what is trimmed is at least 0 long")
    needed = drops(layout, surface, trim_m)
    paper = layout.pattern
    assert isinstance(paper, Wallpaper)
    repeat = paper.repeat_m
    usable = roll_length_m - (0.0 if paper.match is Match.RANDOM else repeat)
    require(all(d.length_m <= usable + EPS for d in needed), "a roll is too short for a drop of this wall")
    cut: list[list[Drop]] = []
    for drop in sorted(needed, key=lambda d: -d.length_m):
        best, chosen = np.inf, None
        for number, order in enumerate(cut):
            before = span(order, repeat)
            for at in range(len(order) + 1):
                longer = [*order[:at], drop, *order[at:]]
                total = span(longer, repeat)
                # Least waste first; among equals the fullest roll.
                cost = total - before - 1e-3 * before
                if total <= usable + EPS and cost < best:
                    best, chosen = cost, (number, longer)
        if chosen is None:
            cut.append([drop])
        else:
            cut[chosen[0]] = chosen[1]
    hung = float(surface.polygon().area)
    bought = len(cut) * roll_length_m * paper.roll_width_m
    return Rolls(hung, len(cut), tuple(tuple(c) for c in cut), 1 - hung / bought if bought else 0.0)
