import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.compositor.domain.encode import STRIP
from services.compositor.domain.views import layer, lifted, side_by_side

RNG = np.random.default_rng(0)


def over(below: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """As a browser lays a transparent picture over another."""
    alpha = layer[..., 3:].astype(float) / 255
    return np.round(below * (1 - alpha) + layer[..., :3] * alpha)


@given(
    arrays(np.uint8, (4, 5, 3)),
    arrays(np.uint8, (4, 5, 3)),
    arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 9, 128, 254, 255])),
)
def test_the_layer_over_the_photo_is_the_picture(before: np.ndarray, after: np.ndarray, coverage: np.ndarray):
    found = lifted(before, after, coverage)

    assert np.abs(over(before, found) - after).max() <= 1
    assert (found[..., 3] >= coverage).all()
    assert (found[..., 3][(coverage == 0) & (before == after).all(2)] == 0).all()


def test_the_layer_has_the_material_s_own_colour_at_a_soft_edge():
    before = np.full((1, 3, 3), 200, np.uint8)
    coverage = np.array([[0, 128, 255]], np.uint8)
    material = np.array([90, 60, 30])
    after = np.round(before + (coverage / 255)[..., None] * (material - before)).astype(np.uint8)

    found = lifted(before, after, coverage)

    assert found[0, 0].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(found[0, 1:, :3], [material] * 2, atol=1)
    assert found[0, 1:, 3].tolist() == [128, 255]


def test_the_room_as_it_was_is_on_the_left():
    before, after = (RNG.integers(0, 256, (STRIP + 9, 7, 3), np.uint8) for _ in range(2))

    both = side_by_side(before, after)

    np.testing.assert_array_equal(both.whole(), np.concatenate([before, after], 1))


def test_a_layer_by_its_rows_is_the_whole_layer():
    before, after = (RNG.integers(0, 256, (STRIP + 9, 7, 3), np.uint8) for _ in range(2))
    coverage = RNG.integers(0, 256, before.shape[:2], np.uint8)

    np.testing.assert_array_equal(layer(before, after, coverage).whole(), lifted(before, after, coverage))
