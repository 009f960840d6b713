"""Rooms of known walls, seen by a camera."""

import numpy as np
import pytest
import shapely

from services.compositor.domain.corners import Wall
from services.compositor.domain.room_outline import room_outline
from tests.unit.compositor.quantity.test_seen import DOWN, EYE_M, FLOOR, H, W, camera

CLEAR_M = 0.1
Place = tuple[float, float]


def wall(begin: Place, end: Place, seen: tuple[float, float] | None = None) -> Wall:
    """Between two places on the floor, x to the right and y towards the camera; in the columns that it is seen in."""
    (x0, y0), (x1, y1) = begin, end
    along = np.array([x1 - x0, 0.0, y0 - y1])
    plane = camera(along / np.linalg.norm(along), DOWN, np.array([x0, EYE_M, -y0]))
    left, right = seen or sorted(np.clip([column(begin), column(end)], 0, W))
    return Wall(plane, left, right)


def column(place: Place) -> float:
    """Of the picture; of what lies behind the camera or beside it, its border."""
    if place[1] > -0.3:
        return 0.0 if place[0] < 0 else float(W)
    q = FLOOR @ (*place, 1.0)
    return float(q[0] / q[2])


def outline(*walls: Wall, clear_m: float = CLEAR_M) -> shapely.Polygon:
    return shapely.Polygon(room_outline(FLOOR, (0, 250, W, H - 250), walls, (H, W), clear_m))


def floor_seen(y_max: float) -> shapely.Polygon:
    """What the picture shows of the floor down to its lower border, as far as y_max."""
    rows = np.linspace(y_max, -1.9, 40)
    inverse = np.linalg.inv(FLOOR)
    sides = []
    for x in (0.0, float(W)):
        q = np.array([inverse @ (x, v, 1.0) for v in range(200, H + 1)])
        p = q[:, :2] / q[:, 2:]
        sides.append([(np.interp(y, p[:, 1], p[:, 0]), y) for y in rows])
    return shapely.Polygon([*sides[0], *sides[1][::-1]])


def same_where_seen(found: shapely.Polygon, truth: shapely.Polygon, y_max: float) -> bool:
    part = floor_seen(y_max)
    return bool(shapely.area((found & part) ^ (truth & part)) < 0.01)


ROOM = shapely.Polygon([(-2, -5), (2.5, -5), (2.5, 3), (-2, 3)])
LEFT, BACK, RIGHT = wall((-2, -0.5), (-2, -5)), wall((-2, -5), (2.5, -5)), wall((2.5, -5), (2.5, -0.5))


def test_it_runs_along_the_walls_of_a_box() -> None:
    assert same_where_seen(outline(LEFT, BACK, RIGHT), ROOM, -6)


def test_the_order_in_which_walls_are_told_changes_nothing() -> None:
    assert outline(RIGHT, LEFT, BACK).equals_exact(outline(LEFT, BACK, RIGHT), 1e-6)


def test_one_wall_is_enough() -> None:
    assert same_where_seen(outline(BACK), shapely.box(-50, -5, 50, 50), -6)


def test_corners_that_things_hide_are_where_the_walls_meet() -> None:
    left = wall((-2, -0.5), (-2, -5), (0, column((-2, -3.5))))
    back = wall((-2, -5), (2.5, -5), (column((-1, -5)), column((1, -5))))
    assert same_where_seen(outline(left, back, RIGHT), ROOM, -6)


def test_it_goes_around_a_pillar() -> None:
    pillar = wall((-0.5, -4.6), (0.5, -4.6))
    truth = ROOM - shapely.box(-0.5, -5, 0.5, -4.6)
    assert same_where_seen(outline(LEFT, BACK, RIGHT, pillar), truth, -4.6)


def test_it_goes_on_around_a_corner_that_points_into_the_room() -> None:
    near = wall((-2, -3.5), (0, -3.5))
    side = wall((0, -3.5), (0, -5), (column((0, -3.5)), column((0, -3.5)) + 1))  # edge-on
    far = wall((0, -5), (2.5, -5))
    found = outline(wall((-2, -0.5), (-2, -3.5)), near, side, far, RIGHT)
    truth = shapely.Polygon([(-2, -3.5), (0, -3.5), (0, -5), (2.5, -5), (2.5, 3), (-2, 3)])
    assert same_where_seen(found, truth, -6)


def test_a_room_that_is_seen_through_an_opening_is_another() -> None:
    left_part, right_part = wall((-2, -5), (-0.5, -5)), wall((0.5, -5), (2.5, -5))
    beyond = wall((-3, -8), (3, -8), (column((-0.5, -5)), column((0.5, -5))))
    assert same_where_seen(outline(LEFT, left_part, beyond, right_part, RIGHT), ROOM, -4.9)


def test_an_alcove_that_has_no_room_for_the_border_is_left_out() -> None:
    back = [wall((-2, -5), (0, -5)), wall((0, -5.4), (0.3, -5.4)), wall((0.3, -5), (2.5, -5))]
    wide, narrow = outline(LEFT, *back, RIGHT, clear_m=0.1), outline(LEFT, *back, RIGHT, clear_m=0.2)
    assert narrow.bounds[1] == pytest.approx(-5, abs=1e-6)
    assert wide.bounds[1] < -4.99


def test_no_wall_is_no_outline() -> None:
    with pytest.raises(ValueError, match="no wall"):
        outline()
    with pytest.raises(ValueError, match="no wall"):
        outline(wall((-2, -60), (2, -60)))  # too far to be told
    with pytest.raises(ValueError, match="no room"):
        outline(LEFT, BACK, RIGHT, clear_m=30)
