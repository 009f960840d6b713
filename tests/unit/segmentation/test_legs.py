import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.segmentation.domain.labels import FLOOR, FURNITURE
from services.segmentation.domain.legs import with_legs

HEIGHT, WIDTH, FLOOR_COLOR = 600, 800, (140, 140, 140)


def room() -> tuple[np.ndarray, np.ndarray]:
    """The top of a table on a floor: a photo, and refined probabilities that know of no leg."""
    photo = np.full((HEIGHT, WIDTH, 3), FLOOR_COLOR, np.uint8)
    photo[160:240, 200:600] = 60
    p = np.full((7, HEIGHT, WIDTH), 0.005, np.float32)
    p[FLOOR] = 0.97
    p[:, 160:240, 200:600] = 0.005
    p[FURNITURE, 160:240, 200:600] = 0.97
    return photo, p


def draw(
    photo: np.ndarray, color: tuple[int, int, int], top: tuple[int, int], bottom: tuple[int, int], wide: int
) -> None:
    cv2.line(photo, top, bottom, color, wide)


@pytest.mark.parametrize("color", [(60, 60, 60), (230, 230, 230), (190, 125, 60)])  # the last is as bright as the floor
@pytest.mark.parametrize("foot", [180, 240, 300, 360, 420])
def test_a_leg_under_a_table_stays_in_front_of_the_floor(color: tuple[int, int, int], foot: int):
    photo, p = room()
    draw(photo, color, (300, 236), (foot, 436), 9)

    label = with_legs(p, photo).argmax(0)

    rows = np.arange(260, 420)
    middle = np.round(300 + (foot - 300) * (rows - 236) / 200).astype(int)
    assert (label[rows, middle] == FURNITURE).mean() > 0.95
    beside = np.concatenate([label[rows, middle + d] for d in (-20, 20)])
    assert (beside == FLOOR).all()


def test_a_leg_hangs_on_furniture_above_all_of_the_floor():
    photo, p = room()
    photo[:240] = 60
    p[:, :240] = 0.005
    p[FURNITURE, :240] = 0.97
    draw(photo, (60, 60, 60), (300, 236), (330, 436), 9)

    label = with_legs(p, photo).argmax(0)

    assert (
        label[np.arange(260, 420), np.round(300 + 30 * (np.arange(260, 420) - 236) / 200).astype(int)] == FURNITURE
    ).all()


def test_the_floor_between_two_legs_stays_floor():
    photo, p = room()
    for x in (300, 320):
        draw(photo, (60, 60, 60), (x, 236), (x, 436), 8)

    label = with_legs(p, photo).argmax(0)

    assert (label[260:420, 310] == FLOOR).all()
    assert (label[260:420][:, [300, 320]] == FURNITURE).mean() > 0.95


def test_a_streak_that_hangs_on_nothing_is_floor():
    photo, p = room()
    draw(photo, (60, 60, 60), (300, 330), (300, 436), 13)

    assert (with_legs(p, photo).argmax(0)[260:] == FLOOR).all()


def test_a_floor_that_is_streaked_the_same_way_has_no_legs():
    photo, p = room()
    for x in range(-400, 1000, 80):
        draw(photo, (90, 90, 90), (x, 240), (x + 180, 599), 8)

    assert (with_legs(p, photo).argmax(0)[260:] == FLOOR).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60))
def test_probabilities_stay_a_partition_at_any_size(seed: int, height: int, width: int):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(7), (height, width)).astype(np.float32).transpose(2, 0, 1)

    out = with_legs(p, rng.integers(0, 256, (height, width, 3), np.uint8))

    assert out.shape == p.shape
    np.testing.assert_allclose(out.sum(0), 1, atol=1e-4)
