import numpy as np
import pytest

from roomviz.imaging.homography import project
from services.segmentation.domain.camera import Camera, _rotation
from services.segmentation.domain.labels import CEILING, FLOOR, FURNITURE, WALL, WINDOW
from services.segmentation.domain.planes import (
    CAMERA_HEIGHT_M,
    Room,
    measure_room,
    wall_directions,
)

AXES = _rotation(np.array([0.0]), np.array([0.1]), np.array([0.0]))[0]
CAMERA = Camera(800, 500, 350, AXES, True)
ROOM = Room(CAMERA, 1.4, 1.2, "camera_height", (0.7, 1.25))


def pixel(room_point: tuple[float, float, float]) -> np.ndarray:
    """Where a point (right, forward, up metres from the camera) is seen."""
    p = np.array(room_point) @ AXES
    return p[:2] / p[2] * 800 + [500, 350]


def test_points_on_the_floor_are_seen_where_the_homography_puts_them():
    # x to the right, y towards the viewer: (0.5, -3) is half a metre right and three metres ahead.
    np.testing.assert_allclose(
        project(ROOM.floor().pixel_from_plane, np.array([[0.5, -3.0]]))[0], pixel((0.5, 3.0, -1.4))
    )


def test_points_on_the_ceiling_are_seen_where_the_homography_puts_them():
    np.testing.assert_allclose(
        project(ROOM.ceiling().pixel_from_plane, np.array([[0.5, 3.0]]))[0], pixel((0.5, 3.0, 1.2))
    )


def test_a_wall_ahead_has_x_to_the_right_and_y_downwards_from_the_floor():
    wall = ROOM.wall(-AXES[1], 4.0)

    np.testing.assert_allclose(
        project(wall.pixel_from_plane, np.array([[0.7, -2.0]]))[0], pixel((0.7, 4.0, 0.6)), atol=1e-9
    )


def test_a_side_wall_keeps_x_to_the_right():
    left = ROOM.wall(AXES[0], 2.0)  # two metres to the left, facing right

    a, b = project(left.pixel_from_plane, np.array([[-4.0, 0.0], [-3.0, 0.0]]))

    assert a[0] < b[0]


def test_a_wall_whose_distance_is_in_doubt_has_a_wider_interval_on_top_of_the_rooms():
    sure, doubtful = ROOM.wall(-AXES[1], 4.0), ROOM.wall(-AXES[1], 4.0, 0.5)

    assert sure.scale_range == pytest.approx(ROOM.scale_range)
    assert doubtful.scale_range[0] < np.exp(-0.5)
    assert doubtful.scale_range[1] > np.exp(0.5)
    assert (sure.scale_source, doubtful.scale_source) == ("camera_height", "assumed_distance")


def test_the_height_of_the_ceiling_is_read_from_a_wall_seen_from_floor_to_ceiling():
    label = np.full((350, 500), WALL, np.uint8)
    label[int(pixel((0, 4.0, -CAMERA_HEIGHT_M))[1] / 2) :] = FLOOR
    label[: int(pixel((0, 4.0, 1.2))[1] / 2)] = CEILING

    room = measure_room(CAMERA, label)

    assert abs(room.above_m / room.below_m - 1.2 / CAMERA_HEIGHT_M) < 0.04
    assert room.scale_source == "room_height"
    assert room.scale_range[0] < 1 < room.scale_range[1]


@pytest.mark.parametrize(("between", "source"), [(WINDOW, "room_height"), (FURNITURE, "camera_height")])
def test_a_window_hides_neither_end_of_its_wall_and_a_cupboard_may(between: int, source: str):
    label = np.full((350, 500), WALL, np.uint8)
    top, bottom = (int(pixel((0, 4.0, z))[1] / 2) for z in (1.2, -CAMERA_HEIGHT_M))
    label[bottom:], label[:top] = FLOOR, CEILING
    label[top + 20 : bottom - 20] = between

    assert measure_room(CAMERA, label).scale_source == source


def test_a_ceiling_in_the_photo_makes_the_scale_surer():
    label = np.full((350, 500), WALL, np.uint8)
    label[int(pixel((0, 4.0, -CAMERA_HEIGHT_M))[1] / 2) :] = FLOOR
    without = measure_room(CAMERA, label)
    label[: int(pixel((0, 4.0, 1.2))[1] / 2)] = CEILING

    room = measure_room(CAMERA, label)

    assert without.scale_source == "camera_height"
    assert room.scale_range[1] - room.scale_range[0] < 0.6 * (without.scale_range[1] - without.scale_range[0])


def test_a_low_camera_in_a_room_of_usual_height_is_found_to_be_low():
    label = np.full((350, 500), WALL, np.uint8)
    label[int(pixel((0, 6.0, -0.8))[1] / 2) :] = FLOOR
    label[: int(pixel((0, 6.0, 1.85))[1] / 2)] = CEILING

    room = measure_room(CAMERA, label)

    assert room.below_m == pytest.approx(0.8, rel=0.15)


def test_walls_face_four_ways_towards_the_room():
    directions = wall_directions(CAMERA)

    np.testing.assert_allclose(directions @ AXES[2], 0, atol=1e-12)
    np.testing.assert_allclose(directions.sum(0), 0, atol=1e-12)
