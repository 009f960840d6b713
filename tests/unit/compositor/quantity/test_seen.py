"""Surfaces of known size, seen by a camera, with and without things before them."""

import cv2
import numpy as np
import pytest

from roomviz.imaging.homography import project
from roomviz.imaging.lens import Lens
from services.compositor.domain.quantity import NotMeasurable, Seen, area, baseline, floor_corners, seen

H, W, FOCAL, EYE_M = 600, 900, 600.0, 1.5
# Looking down a little, along -y of the floor's plane: x to the right, y towards the camera.
TILT = np.deg2rad(20.0)


def camera(x: np.ndarray, y: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """pixel_from_plane of a plane with these axes and origin, in a frame x right, y down, z forward (level)."""
    c, s = np.cos(TILT), np.sin(TILT)
    down = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    k = np.array([[FOCAL, 0, W / 2], [0, FOCAL, H / 2], [0, 0, 1.0]])
    h = k @ down @ np.column_stack([x, y, origin])
    return h / np.abs(h).max()


RIGHT, DOWN, AHEAD = np.eye(3)
FLOOR = camera(RIGHT, -AHEAD, EYE_M * DOWN)


def drawn(corners: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """(H, W) bool, the polygon of a plane as the camera sees it."""
    q = np.column_stack([corners, np.ones(len(corners))]) @ plane.T
    assert (q[:, 2] > 0).all()
    fine = np.zeros((8 * H, 8 * W), np.uint8)  # fillPoly also draws the pixels that an edge only touches
    cv2.fillPoly(fine, [np.round((8 * q[:, :2] / q[:, 2:] - 0.5) * 16).astype(np.int32)], 255, shift=4)
    return cv2.resize(fine, (W, H), interpolation=cv2.INTER_AREA) > 127


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def square_metres(found: Seen) -> float:
    return area(found.patches).value


# A floor 3 m wide and 3 m deep, all of it in the picture.
ROOM = rectangle(-1.5, -6.0, 1.5, -3.0)
NOTHING = np.zeros((H, W), bool)


def test_a_floor_all_in_the_picture_has_its_true_size():
    found = seen(drawn(ROOM, FLOOR), NOTHING, FLOOR)

    assert square_metres(found) == pytest.approx(9.0, rel=0.01)
    assert len(found.patches.parts) == 1
    assert 4 <= len(found.patches.parts[0].outline) <= 8  # straight sides stay straight
    assert found.open_border == 0.0


@pytest.mark.parametrize("bend", [-0.06, 0.1])
def test_through_a_lens_that_bends_lines_a_floor_has_its_true_size_too(bend: float):
    lens, wide = Lens.of(H, W, FOCAL, bend), rectangle(-2.0, -6.0, 2.0, -3.0)
    pixels = np.stack(np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5), -1)
    q = np.dstack([lens.straight(pixels), np.ones((H, W))]) @ np.linalg.inv(FLOOR).T
    at = q[..., :2] / q[..., 2:]
    bent = (q[..., 2] > 0) & (at > wide.min(0)).all(2) & (at < wide.max(0)).all(2)

    assert square_metres(seen(bent, NOTHING, FLOOR, (), lens)) == pytest.approx(12.0, rel=0.01)
    assert square_metres(seen(bent, NOTHING, FLOOR)) != pytest.approx(12.0, rel=0.012)
    # The line in which it ends towards the camera, for which its own plane, begun there, stands in for a wall's.
    front = FLOOR @ np.array([[1, 0, 0], [0, 1, -3.0], [0, 0, 1.0]])
    line = baseline(bent, front, lens)
    assert line is not None
    np.testing.assert_allclose(
        line, lens.bent(project(front, np.array([[-2.0, 0], [2.0, 0]]))), atol=5
    )  # half a percent of it to each side


def test_a_floor_goes_on_under_a_table_but_not_under_a_pillar():
    table = drawn(rectangle(-0.5, -5.0, 0.3, -4.0), FLOOR)
    floor = drawn(ROOM, FLOOR) & ~table

    assert square_metres(seen(floor, table, FLOOR)) == pytest.approx(9.0, rel=0.01)
    pillar = seen(floor, NOTHING, FLOOR)
    assert square_metres(pillar) == pytest.approx(9.0 - 0.8, rel=0.015)
    assert len(pillar.patches.parts[0].holes) == 1


def test_what_stands_against_the_far_wall_hides_floor_only_as_far_as_the_wall():
    sofa = drawn(rectangle(-0.8, -7.5, 0.8, -5.2), FLOOR)  # its back covers wall as well
    floor = drawn(ROOM, FLOOR) & ~sofa

    assert square_metres(seen(floor, sofa, FLOOR)) == pytest.approx(9.0, rel=0.015)


def test_a_hidden_corner_is_where_the_walls_meet():
    sofa = drawn(rectangle(0.2, -7.5, 2.5, -5.0), FLOOR)
    floor = drawn(ROOM, FLOOR) & ~sofa
    back = camera(RIGHT, DOWN, EYE_M * DOWN + 6.0 * AHEAD)
    side = camera(AHEAD, DOWN, EYE_M * DOWN + 1.5 * RIGHT)
    back_seen = drawn(rectangle(-1.5, -1.0, 0.1, 0), back)
    side_seen = drawn(rectangle(3.0, -1.0, 4.8, 0), side)
    lines = [baseline(back_seen, back), baseline(side_seen, side)]

    corners = floor_corners(floor, [line for line in lines if line is not None])

    assert square_metres(seen(floor, sofa, FLOOR)) < 8.7
    assert square_metres(seen(floor, sofa, FLOOR, corners)) == pytest.approx(9.0, rel=0.02)


def test_a_niche_that_is_no_thing_is_not_counted():
    ell = np.array([(-1.5, -3.0), (-1.5, -6.0), (0.0, -6.0), (0.0, -4.5), (1.5, -4.5), (1.5, -3.0)])

    assert square_metres(seen(drawn(ell, FLOOR), NOTHING, FLOOR)) == pytest.approx(6.75, rel=0.01)


def test_a_floor_that_leaves_the_picture_counts_as_far_as_it_is_seen_and_says_so():
    wide = rectangle(-9, -6.0, 9, -3.0)

    found = seen(drawn(wide, FLOOR), NOTHING, FLOOR)

    # Both sides are the picture's border, some 3.6 m and 3.6 m of about 21 m around.
    assert 0.2 < found.open_border < 0.45
    assert square_metres(found) < 30


def test_parts_that_something_divides_are_all_counted():
    bar = drawn(rectangle(-0.2, -6.5, 0.2, -2.8), FLOOR)  # no thing: a wall between two rooms
    found = seen(drawn(ROOM, FLOOR) & ~bar, NOTHING, FLOOR)

    assert len(found.patches.parts) == 2
    assert square_metres(found) == pytest.approx(9.0 - 1.2, rel=0.02)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(NotMeasurable):
        seen(NOTHING, NOTHING, FLOOR)
    with pytest.raises(NotMeasurable):  # above the horizon
        seen(np.arange(H)[:, None] + np.zeros((H, W)) < 60, NOTHING, FLOOR)
    speck = NOTHING.copy()
    speck[500, 400:403] = True
    with pytest.raises(NotMeasurable):
        seen(speck, NOTHING, FLOOR)
