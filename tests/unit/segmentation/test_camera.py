import cv2
import numpy as np
import pytest

from roomviz.imaging.lens import Lens
from services.segmentation.domain.camera import Camera, _rotation, estimate, line_segments, prior_focal
from services.segmentation.domain.labels import CEILING, FLOOR, WALL

HEIGHT, WIDTH = 600, 900


def wire_room(focal: float, yaw: float, pitch: float, roll: float, bend: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a 5 x 7 x 2.7 m room drawn as lines, and the up vector in the camera frame."""
    axes = _rotation(np.array([yaw]), np.array([pitch]), np.array([roll]))[0]
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    lens = Lens.of(HEIGHT, WIDTH, focal, bend)

    def line(a: tuple, b: tuple) -> None:
        points = np.linspace(a, b, 60) @ axes  # room coordinates right, forward, up; the camera at the origin
        points = points[points[:, 2] > 0.2]
        if len(points) > 1:
            pixels = lens.bent(points[:, :2] / points[:, 2:] * focal + [WIDTH / 2, HEIGHT / 2])
            cv2.polylines(picture, [np.round(pixels * 16).astype(np.int32)], False, (60, 60, 60), 2, cv2.LINE_AA, 4)

    x0, x1, y1, z0, z1 = -2.2, 2.8, 5.0, -1.4, 1.3
    for z in (z0, z1, -0.4, 0.5):
        line((x0, 0.2, z), (x0, y1, z))
        line((x1, 0.2, z), (x1, y1, z))
        line((x0, y1, z), (x1, y1, z))
    for x in np.linspace(x0, x1, 7):
        line((x, y1, z0), (x, y1, z1))
        line((x, 0.2, z0), (x, y1, z0))
    for y in np.linspace(1.5, y1, 5):
        line((x0, y, z0), (x0, y, z1))
        line((x1, y, z0), (x1, y, z1))
    return picture, axes[2]


def network_answer(axes_up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and normals such as the network gives: right in the large, wrong by some degrees."""
    p = np.full((7, 96, 144), 0.01, np.float32)
    normals = np.zeros((3, 96, 144), np.float32)
    rough = axes_up + np.array([0.05, 0.03, -0.08])
    rough /= np.linalg.norm(rough)
    for rows, kind, normal in (
        (slice(70, 96), FLOOR, rough),
        (slice(0, 20), CEILING, -rough),
        (slice(20, 70), WALL, np.array([0, 0, -1.0])),
    ):
        p[kind, rows] = 0.94
        normals[:, rows] = normal[:, None, None]
    return p, normals


def seen(picture: np.ndarray, p: np.ndarray, normals: np.ndarray) -> Camera:
    return estimate(*picture.shape[:2], line_segments(picture), p, normals)


@pytest.mark.parametrize(
    ("field_of_view", "yaw", "pitch", "roll"), [(65, 0.3, 0.05, 0.0), (80, -0.4, 0.15, 0.02), (55, 0.35, -0.05, -0.02)]
)
def test_the_camera_of_a_room_is_found_from_its_lines(field_of_view: float, yaw: float, pitch: float, roll: float):
    focal = WIDTH / 2 / np.tan(np.deg2rad(field_of_view / 2))
    picture, up = wire_room(focal, yaw, pitch, roll)

    camera = seen(picture, *network_answer(up))

    assert camera.measured
    assert np.rad2deg(np.arccos(np.clip(camera.up @ up, -1, 1))) < 0.2
    assert abs(camera.focal / focal - 1) < 0.01
    assert abs(camera.bend) < 0.003


@pytest.mark.parametrize("bend", [-0.03, 0.03, 0.045])
def test_a_lens_that_bends_lines_is_found_and_taken_out(bend: float):
    picture, up = wire_room(620, 0.4, 0.08, 0.0, bend)

    camera = seen(picture, *network_answer(up))

    assert camera.bend == pytest.approx(bend, abs=0.006)
    assert np.rad2deg(np.arccos(np.clip(camera.up @ up, -1, 1))) < 0.3
    assert abs(camera.focal / 620 - 1) < 0.02


def test_a_ray_goes_through_the_pixel_that_shows_it():
    picture, up = wire_room(620, 0.4, 0.08, 0.0, 0.03)
    camera = seen(picture, *network_answer(up))
    pixels = np.array([[20.0, 30.0], [450.0, 300.0], [880.0, 580.0]])

    shown = camera.rays(pixels) @ camera.matrix.T

    np.testing.assert_allclose(camera.lens.bent(shown[:, :2] / shown[:, 2:]), pixels, atol=1e-6)


def test_the_horizon_of_a_room_seen_head_on_is_found_though_the_lens_cannot_be():
    picture, up = wire_room(860, 0.04, 0.08, 0.01)

    camera = seen(picture, *network_answer(up))

    assert np.rad2deg(np.arccos(np.clip(camera.up @ up, -1, 1))) < 0.3


def test_the_same_photo_gives_the_same_camera():
    picture, up = wire_room(700, 0.3, 0.1, 0.0)

    a, b = seen(picture, *network_answer(up)), seen(picture, *network_answer(up))

    np.testing.assert_array_equal(a.axes, b.axes)


def test_without_lines_the_camera_is_assumed_and_says_so():
    blank = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)

    camera = seen(blank, *network_answer(np.array([0, -1.0, 0])))

    assert not camera.measured
    assert camera.up[1] < -0.9


@pytest.mark.parametrize("count", [8, 20, 60])
def test_lines_that_run_anyhow_tell_no_camera(count: int):
    rng = np.random.default_rng(count)
    blank = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
    for (x, y), angle in zip(rng.uniform(60, HEIGHT - 60, (count, 2)), rng.uniform(0, np.pi, count), strict=True):
        along = 45 * np.array([np.cos(angle), np.sin(angle)])
        ends = np.round((np.outer([-1, 1], along) + np.array([x, y])) * 16).astype(np.int32)
        cv2.polylines(blank, [ends], False, (40, 40, 40), 2, cv2.LINE_AA, 4)

    camera = seen(blank, *network_answer(np.array([0, -1.0, 0])))

    assert not camera.measured
    assert camera.bend == 0
    assert camera.focal == pytest.approx(prior_focal(HEIGHT, WIDTH, 0)[0])


def test_the_axes_are_right_handed_and_perpendicular():
    picture, up = wire_room(700, 0.6, 0.1, 0.01)

    axes = seen(picture, *network_answer(up)).axes

    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-9)
    assert axes[0][0] > 0
    assert axes[1][2] > 0


def test_focal_length_from_metadata_is_trusted():
    focal, spread = prior_focal(3000, 4000, 26)

    assert focal == pytest.approx(26 / 36 * 4000)
    assert spread < 0.05
