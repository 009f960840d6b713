"""Walls of a room before a camera, unfolded."""

import numpy as np
import pytest

from services.compositor.domain import corners
from services.compositor.domain.corners import Wall

FOCAL, WIDTH = 700.0, 1000.0
K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, 350], [0, 0, 1.0]])
DOWN, BELOW = np.array([0, np.cos(0.1), np.sin(0.1)]), 1.4
RIGHT = np.array([1.0, 0, 0])
AHEAD = np.cross(RIGHT, DOWN)


def unfolded(walls: list[Wall]) -> list[float]:
    return corners.unfolded(walls, int(WIDTH), 700)


def wall(normal: np.ndarray, distance: float, left: float, right: float) -> Wall:
    """As segmentation makes them: x along the wall, y down, y = 0 at the floor."""
    origin = -distance * normal + BELOW * DOWN
    h = K @ np.column_stack([np.cross(normal, DOWN), DOWN, origin])
    return Wall(h / np.abs(h).max(), left, right)


def turned(degrees: float) -> np.ndarray:
    """A normal: 0 faces the camera, positive ones stand on the left."""
    a = np.deg2rad(degrees)
    return np.cos(a) * -AHEAD + np.sin(a) * RIGHT


LEFT, BACK, SIDE = wall(turned(90), 1.6, 0, 250), wall(turned(0), 4.0, 250, 780), wall(turned(-90), 1.9, 780, WIDTH)


def test_where_two_walls_meet_both_lie_at_one_place_of_the_unfolded_wall():
    walls = [BACK, SIDE, LEFT]

    back, side, left = unfolded(walls)

    # The corners stand 1.6 m left and 1.9 m right of the camera, 4 m ahead.
    for (a, at_a), (b, at_b), x in (((LEFT, left), (BACK, back), -1.6), ((BACK, back), (SIDE, side), 1.9)):
        xs = np.linspace(-8, 8, 16001)
        pixel = K @ (x * RIGHT + 4.0 * AHEAD + (BELOW - 1.2) * DOWN)
        corner = pixel[0] / pixel[2]
        xa, xb = (_where(w, corner, xs) for w in (a, b))
        assert xa + at_a == pytest.approx(xb + at_b, abs=0.01)
    assert left == 0


def _where(w: Wall, corner: float, xs: np.ndarray) -> float:
    points = w.pixel_from_plane @ np.stack([xs, np.full_like(xs, -1.2), np.ones_like(xs)])
    seen = points[2] > 0
    return float(xs[seen][np.abs(points[0] / np.where(seen, points[2], 1) - corner)[seen].argmin()])


def test_walls_that_are_not_square_to_each_other_run_on_too():
    normal, distance = turned(-40), 4.2
    oblique = wall(normal, distance, 700, WIDTH)

    first, second = unfolded([BACK, oblique])

    # The point of both planes at the height of the corner's column.
    planes = np.stack([turned(0), normal, DOWN])
    pixel = K @ np.linalg.solve(planes, [-4.0, -distance, BELOW - 1.2])
    xs = np.linspace(-8, 8, 16001)
    xa, xb = (_where(w, pixel[0] / pixel[2], xs) for w in (BACK, oblique))
    assert xa + first == pytest.approx(xb + second, abs=0.01)


def test_one_wall_interrupted_by_a_door_runs_on_behind_it():
    left, right = wall(turned(0), 4.0, 100, 400), wall(turned(0), 4.0, 550, 900)

    assert unfolded([left, right]) == pytest.approx([0, 0], abs=1e-6)


def test_walls_that_do_not_meet_begin_on_their_own():
    behind = wall(turned(0), 6.0, 600, 900)  # seen through an opening

    assert unfolded([BACK, behind]) == [0, 0]


def test_a_corner_that_lies_elsewhere_in_the_picture_joins_nothing():
    swapped = Wall(SIDE.pixel_from_plane, 260, 300)

    assert unfolded([Wall(BACK.pixel_from_plane, 600, 640), swapped]) == [0, 0]


def test_a_wall_of_another_scale_begins_on_its_own():
    measured = Wall(SIDE.pixel_from_plane @ np.diag([0.8, 0.8, 1]), SIDE.left_px, SIDE.right_px)

    assert unfolded([BACK, measured])[1] == 0
