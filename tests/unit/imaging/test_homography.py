import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roomviz.imaging.homography import project, rotated, scaled

H = np.array([[900.0, 40, 500], [10, 300, 700], [0.02, 0.4, 1.0]])
POINTS = np.array([[0.0, 0], [1, 0], [0.3, 1.2], [-0.7, 0.4]])


@given(st.floats(0.1, 4), st.floats(0.1, 4))
def test_a_resized_picture_has_its_points_at_resized_places(sx: float, sy: float):
    np.testing.assert_allclose(project(scaled(H, sx, sy), POINTS), project(H, POINTS) * [sx, sy], rtol=1e-9)


def test_a_quarter_turn_takes_the_x_axis_to_the_y_axis():
    turned = project(rotated(H, 90), np.array([[1.0, 0]]))

    np.testing.assert_allclose(turned, project(H, np.array([[0.0, 1]])))


@given(st.floats(-360, 360))
def test_turning_back_gives_the_same_plane(angle: float):
    np.testing.assert_allclose(rotated(rotated(H, angle), -angle), H, atol=1e-9)
