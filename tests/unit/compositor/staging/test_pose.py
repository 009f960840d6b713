import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.homography import project
from services.compositor.domain.staging.pose import camera_of, depths, ground, pose, seen_at
from tests.unit.compositor.staging.scene import FOCAL, HEIGHT, WIDTH, Scene

PHOTO = (HEIGHT, WIDTH)
SCENES = st.builds(
    Scene,
    height_m=st.floats(0.8, 2.2),
    pitch_deg=st.floats(-5, 25),
    roll_deg=st.floats(-6, 6),
    bend=st.sampled_from([-0.03, 0.0, 0.06]),
)


@settings(deadline=None, max_examples=50)
@given(SCENES, st.floats(-1, 1), st.floats(4, 6), st.floats(0, 360))
def test_a_rug_has_its_corners_where_the_camera_sees_them(scene: Scene, x: float, ahead: float, turn: float):
    assume(0 < scene.seen((x, 0, ahead))[0, 1] < HEIGHT)
    made = pose(scene.ground(), "lying", (x, -ahead), (2.0, 3.0), turn, PHOTO, {})
    a = np.deg2rad(turn)
    corners = [
        (x + u * np.cos(a) - v * np.sin(a), 0.0, ahead - (u * np.sin(a) + v * np.cos(a)))
        for u, v in ((-1, -1.5), (1, -1.5), (1, 1.5), (-1, 1.5))
    ]

    np.testing.assert_allclose(made.corners, scene.seen(*corners)[:, :2], atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(SCENES, st.floats(-0.8, 0.8), st.floats(3, 8), st.floats(0.3, 2.0))
def test_what_stands_is_as_tall_as_the_camera_sees_it(scene: Scene, x: float, ahead: float, height: float):
    assume(0 < scene.seen((x, 0, ahead))[0, 1] < HEIGHT)
    made = pose(scene.ground(), "standing", (x, -ahead), (0.6, height), 0.0, PHOTO, {})

    foot, top = scene.seen((x, 0, ahead), (x, height, ahead))[:, :2]

    np.testing.assert_allclose(project_middle(scene, made, 1.0), foot, atol=1e-6)
    np.testing.assert_allclose(project_middle(scene, made, 0.0), top, atol=1e-6)
    np.testing.assert_allclose(made.at_px, foot, atol=1e-6)


def project_middle(scene: Scene, made, part: float) -> np.ndarray:
    """The pixel of the middle of a sheet, so far down it."""
    width, height = made.size_m
    return scene.camera.lens.bent(project(made.pixel_from_sheet, np.array([[width / 2, part * height]])))[0]


def test_twice_as_far_away_is_half_as_large():
    level = Scene(pitch_deg=0).ground()

    near = pose(level, "standing", (0, -3), (1.0, 1.0), 0.0, PHOTO, {}).corners
    far = pose(level, "standing", (0, -6), (1.0, 1.0), 0.0, PHOTO, {}).corners

    np.testing.assert_allclose(near[2] - near[0], [FOCAL / 3, FOCAL / 3])
    np.testing.assert_allclose(far[2] - far[0], [FOCAL / 6, FOCAL / 6])


@settings(deadline=None, max_examples=30)
@given(SCENES.filter(lambda s: abs(s.pitch_deg) > 2), st.floats(-1, 1))
def test_upright_lines_run_to_the_vanishing_point_of_the_room(scene: Scene, x: float):
    made = pose(scene.ground(), "standing", (x, -4), (1.0, 1.5), 0.0, PHOTO, {})
    up = scene.camera.matrix @ scene.turn @ [0, 1, 0]

    corners = scene.camera.lens.straight(made.corners)
    for top, foot in ((0, 3), (1, 2)):
        edge = np.cross([*corners[top], 1], [*corners[foot], 1])
        assert abs(edge @ up) / np.linalg.norm(edge[:2]) / np.linalg.norm(up) < 1e-6


def test_a_picture_on_a_wall_has_its_real_size_and_its_middle_where_it_was_put():
    scene = Scene(pitch_deg=0)
    wall = ground(scene.wall(4.0), scene.camera)

    made = pose(wall, "wall", (0.5, -0.2), (0.8, 0.6), 0.0, PHOTO, {})

    expected = scene.seen((0.1, 2.0, 4), (0.9, 2.0, 4), (0.9, 1.4, 4), (0.1, 1.4, 4))[:, :2]
    np.testing.assert_allclose(made.corners, expected, atol=1e-9)


def test_a_lamp_hangs_down_from_where_it_is_fixed():
    scene = Scene(bend=0.04)
    ceiling = ground(scene.ceiling(2.5), scene.camera)

    made = pose(ceiling, "ceiling", (0.2, 4.0), (0.4, 1.0), 0.0, PHOTO, {})

    fixing, end = scene.seen((0.2, 2.5, 4), (0.2, 1.5, 4))[:, :2]
    np.testing.assert_allclose(project_middle(scene, made, 0.0), fixing, atol=1e-6)
    np.testing.assert_allclose(project_middle(scene, made, 1.0), end, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(SCENES, st.floats(-1, 1), st.floats(2, 9))
def test_a_pixel_of_the_floor_is_the_place_that_is_seen_there(scene: Scene, x: float, ahead: float):
    pixel = scene.seen((x, 0, ahead))[0]

    found = seen_at(scene.ground(), (pixel[0], pixel[1]), {})

    np.testing.assert_allclose(found, (x, -ahead), atol=1e-6)
    depth = depths(scene.ground().pixel_from_plane, pixel[:1], pixel[1:2], scene.camera.lens)
    np.testing.assert_allclose(depth, pixel[2], atol=1e-9)


def test_above_the_horizon_there_is_no_floor():
    with pytest.raises(InvalidArgument) as caught:
        seen_at(Scene(pitch_deg=0).ground(), (400, 250), {"placement": "0"})

    assert caught.value.reason == "PLACEMENT_OFF_PLANE"
    assert np.isinf(depths(Scene(pitch_deg=0).ground().pixel_from_plane, np.array([400.0]), np.array([250.0])))


@pytest.mark.parametrize(
    ("at", "size"), [((40, -4), (1.0, 1.0)), ((0, -0.5), (2.0, 3.0)), ((0, 3), (1.0, 1.0)), ((0, -400), (1.0, 1.0))]
)
def test_what_would_not_be_seen_or_reaches_behind_the_camera_is_refused(at, size):
    with pytest.raises(InvalidArgument) as caught:
        pose(Scene().ground(), "lying", at, size, 0.0, PHOTO, {})

    assert caught.value.reason == "PLACEMENT_OUT_OF_VIEW"


def test_without_a_focal_length_nothing_can_be_placed():
    with pytest.raises(FailedPrecondition) as caught:
        camera_of(0.0, 600, 800)

    assert caught.value.reason == "CAMERA_UNKNOWN"
