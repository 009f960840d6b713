"""Patterns made to repeat."""

import cv2
import numpy as np
import pytest

from services.catalog.domain.seamless import SEAM_RATIO, SIDE_MIN, evened, seam_ratio, seamless


def leaves(seed: int, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: blots on paper, cut off at the sides."""
    rng = np.random.default_rng(seed)
    out = np.full((height, width, 3), (222, 214, 196), np.uint8)
    for _ in range(height * width // 700):
        at = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        color = tuple(int(v) for v in rng.integers(40, 180, 3))
        cv2.ellipse(out, at, (14, 6), float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    return out


def test_sides_meet() -> None:
    picture = leaves(1, 300, 420)
    assert min(seam_ratio(picture)) > SEAM_RATIO
    made = seamless(picture)
    assert made.shape == (250, 350, 3)
    assert max(seam_ratio(made)) < 1.3


def test_the_pattern_stays() -> None:
    picture = leaves(2, 240, 240)
    made = seamless(picture).astype(int)
    # What no cut went through is what it was, but for the light.
    inside = picture[40:, 40:][:190, :190].astype(int)
    same = np.abs(made[40:, 40:][:150, :150] - inside[:150, :150]).max(-1) < 24
    assert same.mean() > 0.95


def test_what_repeats_is_left_alone() -> None:
    y, x = np.mgrid[:96, :144]
    wave = 120 + 60 * np.sin(2 * np.pi * x / 48) * np.cos(2 * np.pi * y / 32)
    picture = np.repeat(wave[..., None], 3, 2).astype(np.uint8)
    assert seamless(picture) is picture


def test_one_axis_alone() -> None:
    picture = leaves(3, 200, 200)
    picture = np.concatenate([picture, picture[::-1]])  # mirrored: top and bottom meet
    made = seamless(picture)
    assert made.shape[0] == 400
    assert made.shape[1] < 200


def test_uneven_light_goes() -> None:
    ramp = np.linspace(0.2, 0.6, 300, dtype=np.float32)
    even = evened(np.repeat(np.tile(ramp, (200, 1))[..., None], 3, 2))
    assert np.ptp(even[100].mean(-1)) < 0.12
    assert np.ptp(ramp) > 0.39


def test_too_small() -> None:
    with pytest.raises(ValueError, match=str(SIDE_MIN)):
        seamless(np.zeros((SIDE_MIN - 1, 100, 3), np.uint8))
