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


def test_what_a_pincushion_cannot_show_lies_at_its_edge_and_nowhere_else():
    lens = Lens.of(600, 900, 500.0, -0.1)
    out = np.array([[450 + d, 300.0] for d in (900.0, 1000.0, 5000.0)])

    bent = lens.bent(out)

    assert np.isfinite(bent).all()
    assert (np.diff(bent[:, 0]) >= -1e-9).all()
    assert bent[-1, 0] - 450 < np.sqrt(1 / 0.3) * 500


def test_where_the_focal_length_is_not_known_lines_are_straight():
    np.testing.assert_array_equal(Lens.of(600, 900, 0.0, 0.1).straight(GRID), GRID)
