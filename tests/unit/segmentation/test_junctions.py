from dataclasses import replace

import numpy as np
import pytest

from services.segmentation.domain import junctions
from services.segmentation.domain.camera import Camera

SIZE = (400, 600)
CAMERA = Camera(500.0, 300.0, 200.0, np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), True)
ALONG = np.array([1.0, 0, 0])  # a wall square on to the camera meets the floor in level lines
RNG = np.random.default_rng(0)
WAVE = np.round(3 * np.sin(np.arange(SIZE[1]) / 17) + RNG.normal(0, 0.7, SIZE[1])).astype(int)


def wall_above_floor(level: np.ndarray) -> np.ndarray:
    """Part 0 below `level` (per column), part 1 above it."""
    return np.where(np.arange(SIZE[0])[:, None] >= level[None], 0, 1).astype(np.int16)


def straightened(index: np.ndarray, found: list[junctions.Straight]) -> np.ndarray:
    out = index.copy()
    for s in found:
        window, near, part = junctions.share(s)
        out[window][near] = np.where(part[near] >= 0.5, s.first, s.second)
    return out


def test_a_wavy_border_becomes_the_line_it_waves_about():
    index = wall_above_floor(260 + WAVE)

    out = straightened(index, junctions.find(index, 0, 1, CAMERA, ALONG))

    truth = wall_above_floor(np.full(SIZE[1], 260))
    assert (index != truth).sum() > 800
    assert (out != truth).sum() <= SIZE[1]  # a row at most


def test_two_walls_at_two_depths_keep_their_step():
    level = np.where(np.arange(SIZE[1]) < 320, 260, 300)
    index = wall_above_floor(level + WAVE)

    found = junctions.find(index, 0, 1, CAMERA, ALONG)

    truth = wall_above_floor(level)
    assert len(found) == 2
    assert (straightened(index, found) != truth).mean() < 0.5 * (index != truth).mean()


def test_a_border_that_is_no_line_to_the_vanishing_point_stays():
    index = wall_above_floor(np.linspace(120, 330, SIZE[1]).astype(int))

    out = straightened(index, junctions.find(index, 0, 1, CAMERA, ALONG))

    assert (out != index).mean() < 0.004


def test_what_stands_before_the_junction_stays():
    index = wall_above_floor(260 + WAVE)
    index[180:300, 200:320] = 2

    out = straightened(index, junctions.find(index, 0, 1, CAMERA, ALONG))

    np.testing.assert_array_equal(out == 2, index == 2)


def test_the_share_is_soft_over_the_line_only():
    index = wall_above_floor(260 + WAVE)
    (found,) = junctions.find(index, 0, 1, CAMERA, ALONG)

    _, near, part = junctions.share(found)

    soft = (part > 0.01) & (part < 0.99) & near
    assert 0 < soft.sum() <= 3 * SIZE[1]


@pytest.mark.parametrize("angle", [0.0, 0.4, -0.7])
def test_planes_share_the_direction_in_which_they_meet(angle: float):
    floor, wall = np.array([0, -1.0, 0]), np.array([np.sin(angle), 0, -np.cos(angle)])

    d = junctions.common_direction(floor, wall)

    assert d is not None
    assert abs(d @ floor) < 1e-9
    assert abs(d @ wall) < 1e-9
    assert junctions.common_direction(floor, -floor) is None


def test_through_a_lens_that_bends_the_border_follows_its_arc():
    bent = replace(CAMERA, bend=0.12)
    along = np.linspace(-100, 700, 801)
    arc = np.interp(np.arange(SIZE[1]) + 0.5, *bent.lens.bent(np.column_stack([along, np.full(801, 360.0)])).T)
    truth = wall_above_floor(arc)
    assert np.ptp(arc) > 5

    out = straightened(wall_above_floor(arc + WAVE), junctions.find(wall_above_floor(arc + WAVE), 0, 1, bent, ALONG))

    assert (out != truth).sum() < 1.5 * SIZE[1]
    assert (wall_above_floor(arc + WAVE) != truth).sum() > 1.5 * SIZE[1]


def test_where_the_vanishing_point_is_a_little_off_the_line_follows_the_border():
    level = 250 + np.tan(np.deg2rad(0.3)) * (np.arange(SIZE[1]) - SIZE[1] / 2)  # and not level, as the camera has it
    wavy = wall_above_floor(level + WAVE / 3)

    (found,) = junctions.find(wavy, 0, 1, CAMERA, ALONG)

    ends = np.array([[0.5, level[0]], [SIZE[1] - 0.5, level[-1]]])
    assert np.abs(ends @ found.line[:2] + found.line[2]).max() < 0.8  # 1.6 pixels, were it level
