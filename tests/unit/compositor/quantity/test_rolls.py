import itertools

import numpy as np
import pytest

from services.compositor.domain.layout import Bond, Layout, Match, Wallpaper
from services.compositor.domain.quantity import Drop, Surface, rolls
from services.compositor.domain.quantity.rolls import drops, span


def wall(width: float, height: float, *holes: tuple[float, float, float, float]) -> Surface:
    rings = tuple(((a, b), (c, b), (c, d), (a, d)) for a, b, c, d in holes)
    return Surface(((0.0, 0.0), (width, 0.0), (width, height), (0.0, height)), rings)


def unrolled(order: tuple[Drop, ...], repeat: float) -> float:
    """Metres of a roll, by walking along it in steps of the repeat; another way than `span`'s."""
    at = order[0].phase_m or 0.0
    begin = at
    for drop in order:
        if drop.phase_m is not None:
            turns = 0
            while drop.phase_m + turns * repeat < at - 1e-9:
                turns += 1
            at = drop.phase_m + turns * repeat
        at += drop.length_m
    return at - begin


def fewest_rolls(needed: list[Drop], usable: float, repeat: float, most: int) -> int:
    """Exactly the fewest rolls, by trying every set of drops in every order."""
    count = len(needed)
    fits = {0}
    for members in range(1, 1 << count):
        some = [needed[k] for k in range(count) if members >> k & 1]
        if sum(d.length_m for d in some) > usable + 1e-9:
            continue
        if any(unrolled(o, repeat) <= usable + 1e-9 for o in itertools.permutations(some)):
            fits.add(members)
    whole = (1 << count) - 1
    reached = {0}
    for number in range(1, most + 1):
        reached = {r | f for r in reached for f in fits if not r & f}
        if whole in reached:
            return number
    return most + 1


def random_wall(rng: np.random.Generator) -> Surface:
    w, h = rng.uniform(1.0, 3.4), rng.uniform(1.9, 3.1)
    kind = rng.integers(3)
    if kind == 0:
        return wall(w, h)
    if kind == 1:  # a window, which may take whole strips
        a = rng.uniform(0.1, 0.3) * w
        return wall(w, h, (a, 0.8, a + 0.5 * w, 1.7))
    slope = rng.uniform(0.4, 1.0) * h  # under a roof
    return Surface(((0.0, 0.0), (w, 0.0), (w, slope), (0.0, h)))


@pytest.mark.parametrize("match", Match)
@pytest.mark.parametrize("reverse", [False, True])
def test_rolls_are_never_short_and_at_most_one_over(match: Match, reverse: bool):
    """35 walls for each way of hanging, some 200 in all, against an exhaustive search."""
    rng = np.random.default_rng(3 + reverse)
    for _ in range(35):
        repeat = float(rng.choice([0.32, 0.53, 0.64]))
        layout = Layout(Wallpaper(0.53, repeat, match, reverse), *rng.uniform(0, 0.5, 2).tolist())
        surface = random_wall(rng)

        bought = rolls(layout, surface, 10.05)

        usable = 10.05 - (0 if match is Match.RANDOM else repeat)
        needed = drops(layout, surface, 0.1)
        assert sorted(map(repr, itertools.chain(*bought.cut))) == sorted(map(repr, needed))
        assert all(unrolled(order, repeat) <= usable + 1e-9 for order in bought.cut)
        least = int(np.ceil(sum(d.length_m for d in needed) / usable - 1e-9))
        if bought.rolls > least + 1 and len(needed) <= 8:
            least = fewest_rolls(needed, usable, repeat, bought.rolls)
        assert least <= bought.rolls <= least + 1


@pytest.mark.parametrize("match", [Match.STRAIGHT, Match.HALF_DROP])
def test_small_walls_get_the_fewest_rolls_or_one_more(match: Match):
    rng = np.random.default_rng(8)
    exact = 0
    for _ in range(12):
        repeat = 0.64
        layout = Layout(Wallpaper(0.53, repeat, match), *rng.uniform(0, 0.5, 2).tolist())
        surface = random_wall(rng)
        needed = drops(layout, surface, 0.1)
        if len(needed) > 6:
            continue
        bought = rolls(layout, surface, 6.2)
        best = fewest_rolls(needed, 6.2 - repeat, repeat, bought.rolls)
        assert best <= bought.rolls <= best + 1
        exact += bought.rolls == best
    assert exact >= 5


def test_four_drops_of_a_low_wall_come_from_a_roll_but_three_of_a_high_one():
    layout = Layout(Wallpaper(0.53, 0.64))

    assert rolls(layout, wall(2.12, 1.8), 10.05).rolls == 1
    assert rolls(layout, wall(2.12, 2.6), 10.05).rolls == 2


def test_pattern_that_need_not_match_wastes_no_repeat():
    assert rolls(Layout(Wallpaper(0.53, 0.64, Match.RANDOM)), wall(2.12, 2.4), 10.05).rolls == 1
    assert rolls(Layout(Wallpaper(0.53, 0.64)), wall(2.12, 2.4), 10.05).rolls == 2


def test_a_door_that_takes_whole_strips_leaves_short_drops():
    needed = drops(Layout(Wallpaper(0.5, 0.64)), wall(2.5, 2.5, (0.5, 0.001, 1.5, 2.0)), 0.1)

    lengths = sorted(round(d.length_m, 2) for d in needed)
    assert lengths == [0.1, 0.1, 0.6, 0.6, 2.6, 2.6, 2.6]


def test_reversed_and_dropped_strips_begin_elsewhere_in_the_repeat():
    def phases(paper: Wallpaper) -> list[float]:
        return [round(d.phase_m or 0.0, 3) for d in drops(Layout(paper), wall(1.5, 2.4), 0.0)]

    assert phases(Wallpaper(0.5, 0.64)) == [0.0, 0.0, 0.0]
    assert phases(Wallpaper(0.5, 0.64, Match.HALF_DROP)) == [0.0, 0.32, 0.0]
    assert phases(Wallpaper(0.5, 0.64, Match.STRAIGHT, True)) == [0.0, 0.16, 0.0]


def test_span_and_a_walk_along_the_roll_agree():
    rng = np.random.default_rng(0)
    for _ in range(200):
        order = tuple(Drop(k, float(rng.uniform(0.3, 3)), float(rng.uniform(0, 0.6))) for k in range(4))
        assert span(list(order), 0.6) == pytest.approx(unrolled(order, 0.6))


def test_a_wall_higher_than_a_roll_is_refused():
    with pytest.raises(ValueError, match="too short"):
        rolls(Layout(Wallpaper(0.53, 0.64)), wall(2.0, 9.8), 10.05)
    with pytest.raises(ValueError, match="wallpaper"):
        rolls(Layout(Bond(0.3, 0.3)), wall(2.0, 2.0), 10.05)
