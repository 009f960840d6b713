import numpy as np
import pytest

from services.compositor.domain.layout import (
    Bond,
    Bordered,
    Layout,
    Pattern,
    coverage,
    grout_coverage,
    grout_fraction,
    locate,
)
from tests.unit.compositor.layout.patterns import PIECES

WITH_GROUT = {name: p for name, p in PIECES.items() if p.grout_fraction() > 0}


def pixels(size_m: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Middles of square pixels that cover count x count of them, from an odd place."""
    at = (np.arange(count) + 0.5) * size_m
    x, y = np.meshgrid(at + 0.3137, at - 1.2711)
    return x, y


@pytest.mark.parametrize("footprint", [0.0005, 0.002, 0.01, 0.05, 0.19])
def test_a_joint_keeps_its_width_however_large_the_pixels_are(footprint: float):
    """Along a line across two joints 0.2 m apart the coverage adds up to their width."""
    x = np.arange(-0.1, 0.1, 1e-5) + 5e-6

    cover = coverage(np.abs(np.abs(x) - 0.0) - 0.0015, 0.0015, footprint, 0.2)

    assert abs(cover.sum() * 1e-5 - 0.003) < 1e-5


def test_a_pixel_inside_a_joint_is_all_grout_and_one_inside_a_piece_is_none():
    distance = np.array([-0.002, 0.0, 0.002])

    np.testing.assert_allclose(coverage(distance, 0.003, 0.001), [1, 0.5, 0])


@pytest.mark.parametrize("pattern", WITH_GROUT.values(), ids=WITH_GROUT)
@pytest.mark.parametrize("size_m", [0.001, 0.008, 0.06, 0.5, 4.0])
def test_the_mean_over_a_picture_is_the_share_of_grout(pattern: Pattern, size_m: float):
    layout = Layout(pattern, rotation_deg=20, seed=2)
    count = 250 if size_m < 0.05 else 120
    x, y = pixels(size_m, count)
    footprint = np.full_like(x, size_m)

    located = locate(layout, x, y)
    mean = float(grout_coverage(layout, located, footprint, 0 * footprint, footprint).mean())

    # Where a pixel holds many pieces it must be exact; where few pixels hold a part of the pattern, what they hold.
    truth = grout_fraction(layout) if size_m * count > 5 else float(_dense(layout, size_m, count))
    tolerance = 0.03 if size_m >= 0.5 else 0.12
    assert abs(mean / truth - 1) < tolerance


def _dense(layout: Layout, size_m: float, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, size_m * count, (2, 200_000))
    return (locate(layout, x + 0.3137, y - 1.2711).distance < 0).mean()


def test_a_pixel_that_is_long_in_one_direction_blurs_only_the_joints_across_it():
    layout = Layout(Bond(0.2, 0.2, 0.004))
    x = np.array([0.0, 0.1])  # on an upright joint, and beside it
    y = np.array([0.03, 0.0])  # and the other way round
    long, short = np.full(2, 0.02), np.full(2, 0.001)

    along_y = grout_coverage(layout, locate(layout, x, y), 0 * long, long, short)

    # The upright joint is crisp, the level one shares the pixel with its tiles.
    np.testing.assert_allclose(along_y, [1.0, 0.2], atol=1e-6)


def test_crossing_joints_do_not_break_each_other_where_one_is_blurred():
    """Near a crossing the crisp joint goes on, though the other joint's middle is nearer."""
    layout = Layout(Bond(0.2, 0.2, 0.004))
    x, y = np.array([0.0018]), np.array([0.0005])

    cover = grout_coverage(layout, locate(layout, x, y), np.array([0.0]), np.array([0.15]), np.array([0.0002]))

    np.testing.assert_allclose(cover, 1, atol=1e-6)


def test_a_border_and_its_field_each_show_their_own_joints():
    room = ((0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0))
    layout = Layout(Bordered(room, 0.15, 0.25, Layout(Bond(0.2, 0.2, 0.004), rotation_deg=30), 0.004))
    x, y = np.meshgrid((np.arange(800) + 0.5) * 0.005, (np.arange(600) + 0.5) * 0.005)
    f = np.full_like(x, 0.005)

    located = locate(layout, x, y)
    cover = grout_coverage(layout, located, f, 0 * f, f)

    rng = np.random.default_rng(0)
    jitter = rng.uniform(-0.0025, 0.0025, (2, *x.shape))
    truth = (locate(layout, x + jitter[0], y + jitter[1]).distance < 0).mean()
    assert abs(cover.mean() / truth - 1) < 0.1
    assert (cover[located.distance > 0.006] < 1e-6).all()
    assert cover[located.distance < -0.0015].min() > 0.3
