import numpy as np
import pytest

from services.compositor.domain import layout as d
from services.compositor.domain.relief import LIGHT, relief

GRID = d.Layout(d.Bond(0.3, 0.3, 0.004))


def line(layout: d.Layout, x: np.ndarray, y: float, pixel: float, bevel: float, depth: float):
    """(face, grout) along x, of round pixels."""
    located = d.locate(layout, x, np.full_like(x, y))
    size = np.full_like(x, pixel)
    return relief(layout, located, size, np.zeros_like(x), size, bevel, depth)


def test_what_is_no_joint_is_face():
    face, grout = line(GRID, np.linspace(0.02, 0.28, 50), 0.15, 0.001, 0.002, 0.001)

    np.testing.assert_array_equal(face, 1)
    np.testing.assert_array_equal(grout, 0)


def test_grout_is_as_wide_as_it_is_and_darker_where_it_is_deep():
    x = np.linspace(0.27, 0.33, 6001)

    _, flat = line(GRID, x, 0.15, 0.001, 0, 0)
    _, deep = line(GRID, x, 0.15, 0.001, 0, 0.004)

    assert flat.sum() * (x[1] - x[0]) == pytest.approx(0.004, rel=0.01)
    assert deep.sum() / flat.sum() == pytest.approx(np.sqrt(2) - 1, rel=1e-3)


@pytest.mark.parametrize("pixel", [0.0005, 0.003, 0.02])
def test_slopes_take_as_much_light_whatever_the_size_of_a_pixel(pixel: float):
    x = np.linspace(0, 0.304 * 3, 30001)[:-1]

    sharp, _ = line(GRID, x, 0.15, 0.0002, 0.002, 0)
    blurred, _ = line(GRID, x, 0.15, pixel, 0.002, 0)

    assert blurred.mean() == pytest.approx(sharp.mean(), abs=1e-3)


def test_the_slope_that_faces_the_light_is_brighter_and_its_like_darker():
    y = np.array([0.304 - 0.003, 0.304 + 0.003])  # this side and that of a joint, y down the picture
    located = d.locate(GRID, np.full(2, 0.15), y)
    size = np.full(2, 0.0005)

    face, _ = relief(GRID, located, size, np.zeros(2), size, 0.002, 0)

    assert LIGHT[1] < 0  # from above the picture
    assert face[1] > face[0] + 0.2
    assert face.mean() < 0.8


def test_slopes_fade_into_their_mean_below_a_pixel():
    x = np.linspace(0, 0.304, 301)

    near, _ = line(GRID, x, 0.15, 0.001, 0.001, 0)
    far, _ = line(GRID, x, 0.15, 0.6, 0.001, 0)

    assert np.ptp(near) > 0.1
    assert np.ptp(far) < 0.01
