import numpy as np
import pytest

from roomviz.imaging.lens import Lens

GRID = np.stack(np.meshgrid(np.linspace(0, 900, 7), np.linspace(0, 600, 5)), -1).reshape(-1, 2)


@pytest.mark.parametrize("distortion", [-0.03, 0.0, 0.05])
def test_bent_is_the_inverse_of_straight(distortion: float):
    lens = Lens.of(600, 900, 700.0, distortion)

    np.testing.assert_allclose(lens.bent(lens.straight(GRID)), GRID, atol=1e-6)


def test_a_barrel_shows_the_corner_nearer_to_the_middle_than_it_is():
    lens = Lens.of(600, 900, 500.0, 0.1)

    (corner,) = lens.straight(np.array([[900.0, 600.0]]))

    # 0.1 (450^2 + 300^2) / 500^2 = 0.117 of the way out.
    np.testing.assert_allclose(corner, [450 + 450 * 1.117, 300 + 300 * 1.117])


def test_a_lens_goes_with_its_picture_through_sizes_and_boxes():
    lens = Lens.of(600, 900, 500.0, 0.1)
    points = GRID[::3]

    half, box = lens.scaled(0.5, 0.5), lens.shifted(200, 100)

    np.testing.assert_allclose(half.straight(points / 2), lens.straight(points) / 2)
    np.testing.assert_allclose(box.straight(points - (200, 100)), lens.straight(points) - (200, 100))


@pytest.mark.parametrize("distortion", [-0.1, 0.1])
def test_beyond_the_photo_nothing_folds_over(distortion: float):
    lens = Lens.of(600, 900, 500.0, distortion)
    outwards = np.array([[450 + 3 * d, 300 - 2 * d] for d in np.linspace(0, 2000, 401)])

    straight = lens.straight(outwards)

    assert (np.diff(straight[:, 0]) > 0).all()
    assert (np.diff(straight[:, 1]) < 0).all()
    assert np.abs(straight).max() < 1.2 * np.abs(outwards).max()
    np.testing.assert_allclose(lens.bent(straight), outwards, atol=1e-6)


@pytest.mark.parametrize("distortion", [-0.03, 0.05])
def test_the_slope_is_that_of_straight_pixels(distortion: float):
    lens, h = Lens.of(600, 900, 500.0, distortion), 1e-4

    by_x, by_y = ((lens.straight(GRID + step) - lens.straight(GRID - step)) / (2 * h) for step in np.eye(2) * h)

    inside = ((GRID > 0) & (GRID < (900, 600))).all(1)
    xx, xy, yy = (v[inside] for v in lens.slope_at(GRID[:, 0], GRID[:, 1]))
    np.testing.assert_allclose(np.stack([xx, xy], -1), by_x[inside], atol=1e-6)
    np.testing.assert_allclose(np.stack([xy, yy], -1), by_y[inside], atol=1e-6)


def test_where_the_focal_length_is_not_known_lines_are_straight():
    np.testing.assert_array_equal(Lens.of(600, 900, 0.0, 0.1).straight(GRID), GRID)
