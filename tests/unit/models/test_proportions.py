import numpy as np
import pytest

pytest.importorskip("torch", reason="training packages are not installed (make setup-models)")

from models.proportions import fit
from models.rooms.sample import render_sample, shot, stream
from services.segmentation.domain.proportions import camera_height


def test_what_is_fitted_finds_what_can_be_told_and_how_well():
    rng = np.random.default_rng(0)
    heights, told = rng.normal(0.2, 0.25, 1500), rng.integers(0, 2, 1500)
    noise = np.where(told, 0.05, 0.5) * rng.normal(size=1500)
    rows = np.column_stack([heights + noise, told, rng.normal(size=(1500, 3))]).astype(np.float32)

    n = fit(rows, heights)

    found = np.array([camera_height(r, tuple(n[k] for k in "acbd")) for r in rows])
    sure, unsure = (np.abs(found[told == k, 0] - heights[told == k]).mean() for k in (1, 0))
    assert sure < 0.6 * unsure < 0.15
    assert found[told == 1, 1].mean() < 0.6 * found[told == 0, 1].mean()


@pytest.mark.parametrize("version", [2, 3])
def test_the_camera_that_heights_are_taken_from_is_that_of_the_room(version: int):
    taken = shot(version, stream(version, 5, 1), 64)

    np.testing.assert_array_equal(taken.camera, render_sample(version, 5, 1, 64, samples=1).camera)
