import numpy as np
import pytest

from services.segmentation.domain.camera import Camera, _rotation
from services.segmentation.domain.labels import CEILING, DOOR, FLOOR, FURNITURE, WALL, WINDOW
from services.segmentation.domain.proportions import (
    HEIGHTS,
    KIND,
    KINDS,
    RENDERED_M,
    ROOM_USUAL,
    TOLD,
    USUAL_M,
    USUAL_SPREAD,
    camera_height,
    measure,
    of_photo,
)

H, W = 350, 500  # half of the camera's pixels
AXES = _rotation(np.array([0.0]), np.array([0.1]), np.array([0.0]))[0]
CAMERA = Camera(700, 500, 350, AXES, True)


def row(height_m: float, camera_m: float, away_m: float) -> int:
    """Of the label's rows, the one in which a height above the floor is seen at a wall straight ahead."""
    p = np.array([0, away_m, height_m - camera_m]) @ AXES
    return int(np.clip((p[1] / p[2] * 700 + 350) / 2, 0, H))


def room(camera_m: float, away_m: float = 4.0, **tops: float) -> np.ndarray:
    """A room looked at from this height, with a door, a window and a cupboard on the wall ahead, of these heights."""
    label = np.full((H, W), WALL, np.uint8)
    foot = row(0, camera_m, away_m)
    label[foot:] = FLOOR
    if "ceiling" in tops:
        label[: row(tops["ceiling"], camera_m, away_m)] = CEILING
    if "door" in tops:
        label[row(tops["door"], camera_m, away_m) : foot, 40:120] = DOOR
    if "window" in tops:
        label[row(tops["window"], camera_m, away_m) : row(0.9, camera_m, away_m), 200:300] = WINDOW
    if "cupboard" in tops:
        label[row(tops["cupboard"], camera_m, away_m) : foot, 350:450] = FURNITURE
    return label


def read(label: np.ndarray) -> np.ndarray | None:
    return measure(CAMERA, label)[1]


def ends(seen: np.ndarray, kind: int) -> np.ndarray:
    """(13,) how often such surfaces end at each height."""
    return seen[: KINDS * 2 * len(HEIGHTS)].reshape(KINDS, 2, -1)[KIND[kind], 1]


@pytest.mark.parametrize("away_m", [3.0, 5.0])
def test_a_height_in_camera_heights_is_read_whatever_the_distance(away_m: float):
    seen = read(room(1.3, away_m, door=2.05))

    assert seen is not None
    told = ends(seen, DOOR) ** 2
    assert np.exp((told * HEIGHTS).sum() / told.sum()) == pytest.approx(2.05 / 1.3, rel=0.05)
    assert told.sum() == pytest.approx(80 / W, rel=0.1)
    assert not ends(seen, WINDOW).any()


def test_the_rooms_height_in_camera_heights_is_among_what_is_told():
    with_ceiling, without = read(room(1.3, ceiling=2.6)), read(room(1.3))

    assert with_ceiling is not None
    assert without is not None
    assert list(without[-2:]) == [0, 0]
    assert with_ceiling[-2] == 1
    assert with_ceiling[-1] + ROOM_USUAL == pytest.approx(np.log(2.6 / 1.3), abs=0.05)


def test_without_a_floor_there_is_nothing_to_measure_by():
    assert read(np.full((H, W), WALL, np.uint8)) is None
    assert read(np.full((H, W), FLOOR, np.uint8)) is None


@pytest.mark.parametrize("camera_m", [0.9, 1.3, 1.7])
def test_the_height_of_the_camera_is_told_by_what_stands_in_the_room(camera_m: float):
    seen = read(room(camera_m, door=2.05, window=2.1, cupboard=0.85, ceiling=2.6))

    assert seen is not None
    mean, spread = camera_height(seen)
    assert np.exp(mean) == pytest.approx(camera_m, rel=0.2)
    assert spread < TOLD * USUAL_SPREAD


def test_a_bare_wall_leaves_more_doubt():
    bare, furnished = (read(room(1.3, **tops)) for tops in ({}, {"door": 2.05, "ceiling": 2.6}))

    assert bare is not None
    assert furnished is not None
    assert camera_height(bare)[1] > 1.3 * camera_height(furnished)[1]


def test_what_is_usual_of_photos_counts_where_little_is_told():
    assert of_photo(0.2, 0.05) == pytest.approx((0.2, 0.05), abs=0.005)
    assert 0.2 < of_photo(0.2, 0.15)[0] < of_photo(0.2, USUAL_SPREAD)[0]
    assert of_photo(np.log(RENDERED_M), USUAL_SPREAD) == pytest.approx((np.log(USUAL_M), USUAL_SPREAD))
