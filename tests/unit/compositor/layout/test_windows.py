"""Which part of a picture a piece shows, and how strips of wallpaper fit together."""

import numpy as np
import pytest

from services.compositor.domain.layout import (
    NO_PIECE,
    Bond,
    Carpet,
    Layout,
    Match,
    Mural,
    Planks,
    Source,
    Wallpaper,
    direction,
    locate,
    outlines,
    sample,
    window,
)
from tests.unit.compositor.layout.patterns import points

PAPER = Source(0.53, 0.64)


def test_boards_show_many_different_parts():
    layout = Layout(Planks(0.2, (1.2,)), seed=4)
    found = outlines(layout, (0, 0, 6, 4))
    x, y = found.corners().mean(1).T
    source = Source(0.9, 2.4, turned=True)

    shown = window(layout, locate(layout, x, y), source)

    looks = set(zip(shown.variant.tolist(), shown.flip_ends.tolist(), shown.flip_sides.tolist(), strict=True))
    assert len(np.unique(shown.variant)) >= 8
    assert len(looks) > 30


def test_a_piece_shows_one_window_without_stretch():
    layout = Layout(Bond(0.4, 0.2, 0.0), rotation_deg=30, seed=1)
    source = Source(1.0, 0.7)
    x, y = points(2000, 3)
    located = locate(layout, x, y)
    shown = window(layout, located, source)
    s, t = sample(source, located, shown)

    step = 1e-3
    moved = locate(layout, x + step, y)
    s1, t1 = sample(source, moved, window(layout, moved, source))

    same = moved.piece == located.piece
    dx, dy = direction(source, located, shown, np.full_like(x, step), np.zeros_like(x))
    np.testing.assert_allclose((s1 - s)[same], dx[same], atol=1e-9)
    np.testing.assert_allclose((t1 - t)[same], dy[same], atol=1e-9)
    np.testing.assert_allclose(np.hypot(dx, dy), step)


def test_boards_that_run_down_the_picture_do_so():
    layout = Layout(Planks(0.2, (1.2,)))
    source = Source(0.9, 2.4, turned=True, flip_ends=False, flip_sides=False)
    located = locate(layout, np.array([1.0, 1.05]), np.array([0.05, 0.05]))

    s, t = sample(source, located, window(layout, located, source))

    assert located.piece[0] == located.piece[1]
    np.testing.assert_allclose([s[1] - s[0], t[1] - t[0]], [0, 0.05], atol=1e-9)


def test_a_picture_that_does_not_repeat_is_never_left():
    layout = Layout(Bond(0.3, 0.2, 0.0), seed=2)
    source = Source(0.9, 0.5, seamless=False)
    located = locate(layout, *points(3000, 8))

    s, t = sample(source, located, window(layout, located, source))

    assert s.min() >= 0
    assert s.max() <= 0.9
    assert t.min() >= 0
    assert t.max() <= 0.5


def paper(match: Match, reverse: bool, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    layout = Layout(Wallpaper(0.53, 0.64, match, reverse), seed=3)
    located = locate(layout, x, y)
    s, t = sample(PAPER, located, window(layout, located, PAPER))
    return s % 0.53, t % 0.64


def test_strips_match_straight_across_a_seam():
    x, y = np.array([0.1, 0.1 + 0.53]), np.array([0.2, 0.2])

    s, t = paper(Match.STRAIGHT, False, x, y)

    np.testing.assert_allclose([s[1], t[1]], [s[0], t[0]], atol=1e-9)


def test_every_second_strip_drops_by_half_a_repeat():
    x, y = 0.1 + 0.53 * np.arange(3), np.full(3, 0.2)

    _, t = paper(Match.HALF_DROP, False, x, y)

    np.testing.assert_allclose(t, [0.2, 0.52, 0.2])


def test_random_strips_differ_but_stay():
    x, y = 0.1 + 0.53 * np.arange(6), np.full(6, 0.2)

    _, t = paper(Match.RANDOM, False, x, y)

    assert len(np.unique(np.round(t, 3))) == 6
    np.testing.assert_array_equal(t, paper(Match.RANDOM, False, x, y)[1])


def test_reversed_strips_hang_upside_down():
    x, y = np.array([0.53 + 0.1, 0.53 + 0.12]), np.array([0.2, 0.25])

    s, t = paper(Match.STRAIGHT, True, x, y)

    np.testing.assert_allclose([s[1] - s[0], t[1] - t[0]], [-0.02, -0.05], atol=1e-9)


def test_a_mural_is_one_picture_over_its_panels():
    layout = Layout(Mural(3.0, 2.0, 0.5))
    picture = Source(3.0, 2.0, seamless=False)
    x, y = np.array([0.1, 1.3, 2.9, 3.1, -0.1]), np.array([0.3, 1.0, 1.9, 1.0, 1.0])

    located = locate(layout, x, y)
    s, t = sample(picture, located, window(layout, located, picture))

    np.testing.assert_allclose(s[:3], x[:3])
    np.testing.assert_allclose(t[:3], y[:3])
    assert len(set(located.piece[:3].tolist())) == 3
    assert located.piece[3:].tolist() == [NO_PIECE, NO_PIECE]
    np.testing.assert_allclose(located.distance[3:], -0.1)


def test_a_carpet_runs_on():
    layout = Layout(Carpet(), rotation_deg=90)
    located = locate(layout, np.array([0.0]), np.array([7.3]))

    s, t = sample(Source(0.8, 0.8), located, window(layout, located, Source(0.8, 0.8)))

    np.testing.assert_allclose([s[0], t[0]], [7.3, 0], atol=1e-9)


@pytest.mark.parametrize("bad", [lambda: Source(0, 1), lambda: Source(1, 1, variants=0), lambda: Wallpaper(0.5, 0)])
def test_impossible_pictures_are_refused(bad):
    with pytest.raises(ValueError):
        bad()
