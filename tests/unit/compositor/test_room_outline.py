"""Rooms of known walls, seen by a camera."""

import numpy as np
import pytest
import shapely

from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.room_outline import room_outline
from tests.unit.compositor.quantity.test_seen import DOWN, EYE_M, FLOOR, FOCAL, H, W, camera

CLEAR_M, CEILING_M = 0.1, 2.5
Place = tuple[float, float]
Seen = tuple[np.ndarray, tuple[int, int, int, int]]


def wall(begin: Place, end: Place, between: tuple[float, float] = (0, 1)) -> Seen:
    """Between two places on the floor, x to the right and y towards the camera: its plane, and the box of what is seen of
    it; of that only a part along it where things stand before the rest."""
    (x0, y0), (x1, y1) = begin, end
    along = np.array([x1 - x0, 0.0, y0 - y1])
    length = float(np.linalg.norm(along))
    plane = camera(along / length, DOWN, np.array([x0, EYE_M, -y0]))
    s, up = np.meshgrid(np.linspace(*between, 400) * length, np.linspace(-CEILING_M, 0, 200))
    q = np.stack([s.ravel(), up.ravel(), np.ones(s.size)], 1) @ plane.T
    pixels = (q[:, :2] / q[:, 2:])[q[:, 2] > 1e-6]
    pixels = pixels[((pixels >= 0) & (pixels <= (W, H))).all(1)]
    (left, top), (right, bottom) = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int)
    return plane, (int(left), int(top), int(right - left), int(bottom - top))


def outline(*walls: Seen, clear_m: float = CLEAR_M) -> shapely.Polygon:
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


def test_through_a_lens_that_bends_lines_it_runs_along_them_too() -> None:
    lens, near = Lens.of(H, W, FOCAL, 0.15), wall((-1.0, -3.5), (0.6, -3.5))

    def bent(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        x, y, w, h = box
        (left, top), (right, bottom) = np.round(lens.bent(np.array([[x, y], [x + w, y + h]]))).astype(int)
        return int(left), int(top), int(right - left), int(bottom - top)

    walls = [(plane, bent(box)) for plane, box in (LEFT, BACK, near, RIGHT)]
    truth, part = outline(LEFT, BACK, near, RIGHT), floor_seen(-6)

    def miss(by: Lens) -> float:
        found = shapely.Polygon(room_outline(FLOOR, (0, 250, W, H - 250), walls, (H, W), CLEAR_M, by))
        return float(shapely.area((found & part) ^ (truth & part)))

    assert miss(lens) < 0.04
    assert miss(STRAIGHT) > 0.06


def test_the_order_in_which_walls_are_told_changes_nothing() -> None:
    assert outline(RIGHT, LEFT, BACK).equals_exact(outline(LEFT, BACK, RIGHT), 1e-6)


def test_one_wall_is_enough() -> None:
    assert same_where_seen(outline(BACK), shapely.box(-50, -5, 50, 50), -6)


def test_corners_that_things_hide_are_where_the_walls_meet() -> None:
    left, back = wall((-2, -0.5), (-2, -5), (0, 0.7)), wall((-2, -5), (2.5, -5), (0.2, 0.7))
    assert same_where_seen(outline(left, back, RIGHT), ROOM, -6)


def test_it_goes_around_a_pillar() -> None:
    pillar = wall((-0.5, -4.6), (0.5, -4.6))
    truth = ROOM - shapely.box(-0.5, -5, 0.5, -4.6)
    assert same_where_seen(outline(LEFT, BACK, RIGHT, pillar), truth, -4.6)


def test_it_goes_on_around_a_corner_that_points_into_the_room() -> None:
    """The side of the corner is seen, and its box is wider than its foot: upright edges lean, for the camera looks down."""
    near, side, far = wall((-2, -3.5), (-0.8, -3.5)), wall((-0.8, -3.5), (-0.8, -5)), wall((-0.8, -5), (2.5, -5))
    assert side[1][2] > 0.03 * W
    found = outline(wall((-2, -0.5), (-2, -3.5)), near, side, far, RIGHT)
    truth = shapely.Polygon([(-2, -3.5), (-0.8, -3.5), (-0.8, -5), (2.5, -5), (2.5, 3), (-2, 3)])
    assert same_where_seen(found, truth, -6)


def test_the_side_of_a_corner_that_is_not_seen_goes_straight_back() -> None:
    found = outline(wall((-2, -0.5), (-2, -3.5)), wall((-2, -3.5), (0, -3.5)), wall((0.3, -5), (2.5, -5)), RIGHT)
    truth = shapely.Polygon([(-2, -3.5), (0, -3.5), (0, -5), (2.5, -5), (2.5, 3), (-2, 3)])
    assert same_where_seen(found, truth, -6)


@pytest.mark.parametrize("moved", [-4, -1, 0, 1, 4])
def test_a_room_that_is_seen_through_an_opening_is_another(moved: int) -> None:
    """The jamb too, wherever its box begins to the pixel."""
    plane, (x, y, w, h) = wall((-0.5, -5), (-0.5, -5.3))
    jamb = plane, (x + moved, y, w, h)
    beyond = wall((-0.5, -8), (0.5, -8))
    parts = wall((-2, -5), (-0.5, -5)), jamb, beyond, wall((0.5, -5), (2.5, -5))
    assert same_where_seen(outline(LEFT, *parts, RIGHT), ROOM, -4.9)


def test_a_recess_that_has_no_room_for_the_border_is_left_out() -> None:
    parts = wall((-2, -5), (0, -5)), wall((0, -5.8), (0.5, -5.8)), wall((0.5, -5.4), (2.5, -5.4))
    wide, narrow = (outline(LEFT, *parts, RIGHT, clear_m=c) for c in (0.1, 0.3))
    assert wide.bounds[1] == pytest.approx(-5.8, abs=0.02)
    assert narrow.bounds[1] == pytest.approx(-5.4, abs=0.02)


def test_no_wall_is_no_outline() -> None:
    with pytest.raises(ValueError, match="no wall"):
        outline()
    with pytest.raises(ValueError, match="no wall"):
        outline(wall((-2, -60), (2, -60)))  # too far to be told
    with pytest.raises(ValueError, match="no room"):
        outline(LEFT, BACK, RIGHT, clear_m=30)


def test_a_wall_that_the_camera_nearly_touches_breaks_nothing() -> None:
    plane, _ = wall((-0.1, -0.5), (-0.1, -5))
    found = outline((plane, (0, 0, W, H)), BACK)
    assert np.abs(found.bounds).max() < 300
