import numpy as np
import pytest

from roomviz.imaging.homography import project
from services.segmentation.domain.camera import Camera, _rotation
from services.segmentation.domain.labels import CEILING, FLOOR, FURNITURE, WALL, WINDOW
from services.segmentation.domain.planes import ROOM_HEIGHT_M, Room, measure_room, wall_directions
from services.segmentation.domain.proportions import USUAL_M

AXES = _rotation(np.array([0.0]), np.array([0.1]), np.array([0.0]))[0]
CAMERA = Camera(800, 500, 350, AXES, True)
ROOM = Room(CAMERA, 1.4, 1.2, "camera_height", (0.7, 1.25))
BELOW, ABOVE = 1.38, 1.2


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


def room_of(below: float, above: float | None = None, away: float = 4.0) -> np.ndarray:
    """Labels of a wall straight ahead, with the floor before it and, where its height is given, the ceiling."""
    label = np.full((350, 500), WALL, np.uint8)
    label[int(pixel((0, away, -below))[1] / 2) :] = FLOOR
    if above is not None:
        label[: int(pixel((0, away, above))[1] / 2)] = CEILING
    return label


def test_the_height_of_the_ceiling_is_read_from_a_wall_seen_from_floor_to_ceiling():
    room = measure_room(CAMERA, room_of(BELOW, ABOVE))

    assert room.above_m / room.below_m == pytest.approx(ABOVE / BELOW, rel=0.05)
    assert room.scale_source == "proportions"
    assert room.scale_range[0] < 1 < room.scale_range[1]


@pytest.mark.parametrize(("between", "read"), [(WINDOW, True), (FURNITURE, False)])
def test_a_window_hides_neither_end_of_its_wall_and_a_cupboard_may(between: int, read: bool):
    label = room_of(BELOW, ABOVE)
    wall = np.flatnonzero(label[:, 0] == WALL)
    label[wall[0] + 20 : wall[-1] - 20] = between

    room = measure_room(CAMERA, label)

    assert (room.above_m / room.below_m == pytest.approx(ABOVE / BELOW, rel=0.05)) == read
    assert (room.above_m == pytest.approx(ROOM_HEIGHT_M - room.below_m)) != read


def test_a_ceiling_in_the_photo_makes_the_scale_surer():
    without, room = measure_room(CAMERA, room_of(BELOW)), measure_room(CAMERA, room_of(BELOW, ABOVE))

    assert room.scale_range[1] - room.scale_range[0] < 0.8 * (without.scale_range[1] - without.scale_range[0])


def test_without_a_floor_the_camera_is_as_high_as_usual():
    room = measure_room(CAMERA, np.full((350, 500), WALL, np.uint8))

    assert room.scale_source == "camera_height"
    assert room.below_m == pytest.approx(USUAL_M)
    assert room.scale_range[0] < 0.7
    assert room.scale_range[1] > 1.4


def test_a_low_camera_in_a_room_of_usual_height_is_found_to_be_low():
    room = measure_room(CAMERA, room_of(0.8, 1.85, away=6.0))

    assert room.below_m < 0.75 * USUAL_M
    assert room.below_m * room.scale_range[0] < 0.8


def test_walls_face_four_ways_towards_the_room():
    directions = wall_directions(CAMERA)

    np.testing.assert_allclose(directions @ AXES[2], 0, atol=1e-12)
    np.testing.assert_allclose(directions.sum(0), 0, atol=1e-12)
