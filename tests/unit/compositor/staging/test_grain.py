import cv2
import numpy as np
import pytest

from services.compositor.domain.staging.grain import grain, noise_of


@pytest.mark.parametrize("sigma", [1.5, 4.0])
def test_the_noise_of_a_photo_is_measured_where_nothing_else_is(sigma: float):
    rng = np.random.default_rng(0)
    room = np.full((480, 640), 128.0)
    room[:, ::40] = 60  # edges
    room[240:] = 128 + 40 * rng.standard_normal((240, 640))  # a carpet
    noisy = np.clip(room + sigma * rng.standard_normal(room.shape) + 0.5, 0, 255).astype(np.uint8)

    found = noise_of(cv2.cvtColor(noisy, cv2.COLOR_GRAY2RGB))

    assert found == pytest.approx(sigma, rel=0.15)


def test_a_clean_or_tiny_photo_has_none():
    assert noise_of(np.full((200, 200, 3), 128, np.uint8)) == 0
    assert noise_of(np.full((8, 8, 3), 128, np.uint8)) == 0


def test_grain_belongs_to_the_pixel_and_not_to_the_box():
    whole, part = grain((0, 0, 300, 300), 2.0), grain((37, 290, 20, 10), 2.0)

    np.testing.assert_array_equal(whole[290:300, 37:57], part)
    assert whole.std() == pytest.approx(2.0, rel=0.02)
    assert not grain((0, 0, 9, 9), 0.1).any()
