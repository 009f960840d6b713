import numpy as np
import pytest

from services.compositor.domain.layout import (
    Bond,
    Bordered,
    Herringbone,
    Layout,
    Pattern,
    Planks,
    Wallpaper,
    around_corners,
    locate,
)
from services.compositor.domain.layout.border import BORDER
from services.compositor.domain.layout.piece import NO_PIECE, pack, turn, unpack
from services.compositor.domain.layout.polygon import area
from tests.unit.compositor.layout.patterns import points

FIELD = Layout(Bond(0.2, 0.2, 0.004), rotation_deg=45)
ROOM = ((0.0, 0.0), (4.0, 0.0), (4.0, 1.5), (2.5, 1.5), (2.5, 3.0), (0.0, 3.0))


def test_ids_come_apart_again():
    rng = np.random.default_rng(0)
    column, row = rng.integers(-(2**26), 2**26, (2, 100))
    index = rng.integers(0, 256, 100)

    piece = pack(column, row, index)

    assert (piece >= 0).all()
    for back, given in zip(unpack(piece), (column, row, index), strict=True):
        np.testing.assert_array_equal(back, given)


def test_a_turned_and_moved_layout_is_the_same_pattern_elsewhere():
    pattern = Herringbone(0.5, 0.1, 0.002)
    x, y = points(500, 0)

    here = locate(Layout(pattern), x, y)
    moved_x, moved_y = turn(x, y, 33.0)
    there = locate(Layout(pattern, 1.5, -2.0, 33.0), moved_x + 1.5, moved_y - 2.0)

    np.testing.assert_array_equal(there.piece, here.piece)
    np.testing.assert_allclose(there.u, here.u, atol=1e-9)
    np.testing.assert_allclose(there.rotation, here.rotation + 33)


@pytest.mark.parametrize(
    "pattern", [Bond(0.6, 0.3, 0.003, 0.5), Planks(0.2, (0.6, 1.2), 0.2), Wallpaper(0.53, 0.64)], ids=str
)
@pytest.mark.parametrize("rotation", [0.0, 45.0])
def test_the_pattern_runs_on_around_a_corner(pattern: Pattern, rotation: float):
    lengths = [3.37, 2.11, 4.05]
    first = Layout(pattern, 0.2, 0.1, rotation, seed=5)
    walls = around_corners(first, lengths)
    y = np.linspace(0, 2.5, 50)

    for before, length, after in zip(walls, lengths, walls[1:], strict=False):
        # On the corner's line, and a little on either side of it as if the walls were one.
        for step in (0.0, 0.25):
            end = locate(before, np.full_like(y, length + step), y)
            begin = locate(after, np.full_like(y, step), y)
            np.testing.assert_array_equal(begin.piece, end.piece)
            np.testing.assert_allclose(begin.u, end.u, atol=1e-9)
            np.testing.assert_allclose(begin.distance, end.distance, atol=1e-9)


def test_a_border_is_as_wide_as_it_is_told_and_mitred():
    pattern = Bordered(ROOM, 0.15, 0.3, FIELD, 0.004)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, [[4.0], [3.0]], (2, 200_000))

    at = locate(Layout(pattern), x, y)

    border = at.kind == BORDER
    lower = border & (y < 0.1) & (x > 0.5) & (x < 3.5)
    assert lower.sum() > 1000
    np.testing.assert_allclose(at.v[lower], y[lower], atol=1e-9)
    np.testing.assert_allclose(at.rotation[lower], 0)
    # The mitre: at the corner at the origin, below the diagonal lies the lower side, above it the left one.
    corner = border & (x < 0.15) & (y < 0.15)
    np.testing.assert_array_equal(at.rotation[corner & (y < x)] == 0, True)
    np.testing.assert_array_equal(at.rotation[corner & (y > x)] == 0, False)
    # Areas: the border's is what the inset takes away.
    share = border.mean() * 12.0
    assert abs(share - (area(ROOM) - area(pattern.inner))) < 0.03
    assert ((at.piece == NO_PIECE) == ((x > 2.5) & (y > 1.5))).mean() > 0.9999


def test_inside_of_a_border_lies_the_field():
    pattern = Bordered(ROOM, 0.15, 0.3, FIELD, 0.004)
    x, y = np.array([1.0, 2.0, 0.6]), np.array([1.0, 0.7, 2.4])

    at, field = locate(Layout(pattern), x, y), locate(FIELD, x, y)

    np.testing.assert_array_equal(at.piece, field.piece)
    np.testing.assert_allclose(at.distance, field.distance)


def test_a_border_alone_lies_where_it_lies_around_a_field_and_leaves_the_field_free():
    x, y = np.random.default_rng(1).uniform(0, [[4.0], [3.0]], (2, 20_000))

    alone = locate(Layout(Bordered(ROOM, 0.15, 0.3, None, 0.004)), x, y)
    both = locate(Layout(Bordered(ROOM, 0.15, 0.3, FIELD, 0.004)), x, y)

    border = both.kind == BORDER
    assert 0.1 < border.mean() < 0.5
    np.testing.assert_array_equal(alone.piece, np.where(border, both.piece, NO_PIECE))
    np.testing.assert_array_equal(alone.distance[border], both.distance[border])


def test_where_the_field_goes_on_it_lies_outside_of_the_border_too():
    around, on = (Bordered(ROOM, 0.15, 0.3, FIELD, 0.004, goes_on) for goes_on in (False, True))
    x, y = np.random.default_rng(2).uniform(-1, [[5.0], [4.0]], (2, 20_000))

    at, more, field = locate(Layout(around), x, y), locate(Layout(on), x, y), locate(FIELD, x, y)

    outside = at.piece == NO_PIECE
    assert 0.3 < outside.mean() < 0.8
    np.testing.assert_array_equal(more.piece[~outside], at.piece[~outside])
    np.testing.assert_array_equal(more.u[outside], field.u[outside])
    assert (more.distance[outside] <= field.distance[outside]).all()
    assert (more.distance[outside] > 0).mean() > 0.9
    # A piece beyond is none of those within, though the border cuts it in two.
    assert not np.isin(more.piece[outside], more.piece[~outside]).any()
    alone = locate(Layout(Bordered(ROOM, 0.15, 0.3, None, 0.004, True)), x, y)
    assert (alone.piece[outside] == NO_PIECE).all()


def test_around_the_field_runs_a_joint():
    at = locate(Layout(Bordered(ROOM, 0.15, 0.3, FIELD, 0.004)), np.full(3, 1.07), np.array([0.1495, 0.152, 0.155]))

    assert (at.distance > 0).tolist() == [True, False, True]


def test_a_border_without_room_is_refused():
    with pytest.raises(ValueError, match="too narrow"):
        Bordered(ROOM, 0.8, 0.3, FIELD)
    with pytest.raises(ValueError):
        Bordered(((0.0, 0.0), (1.0, 0.0), (2.0, 0.0)), 0.1, 0.3, FIELD)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError):
        Layout(Bond(0.3, 0.3), origin_x_m=float("nan"))
