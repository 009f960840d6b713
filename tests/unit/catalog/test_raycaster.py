import numpy as np
import pytest

from roomviz.imaging.color import to_linear
from services.catalog.domain.raycaster import Coat, Frame, Solid, draw, turned

WHITE = Coat(np.ones((1, 1, 3), np.float32), 1.0)
EYE = (0.0, 1.0, -4.0)
PX = 100.0


def seen(*solids: Solid, ground: float | None = None) -> np.ndarray:
    return draw(solids, Frame(2.0, 0.0, 2.0), PX, EYE, ground)


@pytest.mark.parametrize("away", [0.0, 2.0])
def test_a_ball_covers_the_circle_that_the_eye_sees(away: float):
    alpha = seen(Solid("ball", (0.0, 1.0, away), (0.5, 0.5, 0.5), WHITE))[..., 3] / 255

    # Half angle of the cone that touches a ball of radius r at distance d: sin a = r / d.
    half = np.arcsin(0.5 / (4 + away))
    assert alpha.sum() == pytest.approx(np.pi * (4 * np.tan(half) * PX) ** 2, rel=0.005)
    rows, columns = np.nonzero(alpha > 0)
    assert abs(rows.mean() - 99.5) < 0.1
    assert abs(columns.mean() - 99.5) < 0.1


def test_a_board_in_the_pane_has_its_real_size():
    alpha = seen(Solid("box", (0.2, 0.5, 0.01), (0.3, 0.5, 0.01), WHITE))[..., 3]

    rows, columns = np.nonzero(alpha > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (100, 199, 90, 149)


def test_a_cone_is_as_wide_above_and_below_as_it_is():
    alpha = seen(Solid("cone", (0.0, 1.0, 1.0), (0.5, 0.4, 0.2), WHITE))[..., 3] > 127

    # Its axis is 5 m away, the pane 4: a row of the pane shows it 5 / 4 as high over or under the eye.
    for row in (128, 100, 72):
        up = (99.5 - row) / PX * 5 / 4
        radius = 0.35 - 0.15 * up / 0.4
        assert alpha[row].sum() == pytest.approx(2 * radius * 4 / 5 * PX, abs=3), row


def test_the_nearer_solid_hides_the_farther_in_whatever_order():
    red, blue = (Coat(np.array([[color]], np.float32), 1.0) for color in ((1, 0, 0), (0, 0, 1)))
    near = Solid("box", (0.0, 1.0, 0.2), (0.2, 0.2, 0.1), red)
    far = Solid("box", (0.0, 1.0, 1.0), (0.5, 0.5, 0.1), blue)

    one, other = seen(near, far), seen(far, near)

    np.testing.assert_array_equal(one, other)
    assert one[100, 100, 0] > 0
    assert one[100, 100, 2] == 0


def test_a_turned_box_is_seen_with_its_corner_up():
    alpha = seen(Solid("box", (0.0, 1.0, 0.3), (0.2, 0.2, 0.01), WHITE, turn=turned(roll_deg=45.0)))[..., 3] > 127

    reach = 0.2 * np.sqrt(2) * 4 / 4.3 * PX
    assert alpha.any(1).sum() == pytest.approx(2 * reach, abs=3)
    assert alpha[100 - int(reach) + 3].sum() < 10


def test_white_that_looks_up_is_white_and_what_is_under_a_slab_is_in_its_shade():
    slab = Solid("box", (0.0, 0.2, 1.0), (0.8, 0.02, 0.8), WHITE)
    open_top = to_linear(seen(slab, ground=0.0)[..., :3])
    covered = to_linear(seen(slab, Solid("box", (0.0, 0.36, 1.0), (0.8, 0.02, 0.8), WHITE), ground=0.0)[..., :3])

    row = 200 - 37
    assert open_top[row, 100].mean() == pytest.approx(1.0, abs=0.06)
    assert covered[row, 100].mean() < 0.6 * open_top[row, 100].mean()
