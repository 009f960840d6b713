import numpy as np
import pytest

from roomviz.imaging.color import to_linear, to_srgb
from services.compositor.domain.grain import TYPICAL_ALBEDO, grained, noise
from services.compositor.domain.shading import response

RNG = np.random.default_rng(3)
H, W = 300, 400


def photo(sigma: float, low: int = 40, high: int = 220) -> np.ndarray:
    """A slope from dark to light with noise, and a piece of texture that is none."""
    clean = np.linspace(low, high, W)[None, :, None] * np.ones((H, 1, 3))
    clean[:80, ::2] -= 25
    grain = RNG.normal(0, sigma, (H, W, 1))
    return np.clip(clean + grain + 0.5, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [1.5, 4.0, 8.0])
def test_noise_is_measured_where_the_photo_is_flat(sigma: float):
    found = noise(photo(sigma))[60:200] * 255

    np.testing.assert_allclose(found, sigma, rtol=0.25)


def test_a_clean_photo_has_hardly_any():
    assert noise(photo(0.0)).max() * 255 < 0.6


def test_noise_may_differ_with_brightness():
    picture = photo(1.0)
    picture[:, : W // 2] = np.clip(picture[:, : W // 2] + RNG.normal(0, 6, (H, W // 2, 1)), 0, 255)

    found = noise(picture)

    assert found[70] > 3 * found[190]


def test_of_a_black_photo_nothing_is_told():
    assert not noise(np.zeros((H, W, 3), np.uint8)).any()


def test_a_large_photo_is_looked_at_here_and_there():
    large = np.tile(photo(4.0), (10, 10, 1))

    np.testing.assert_allclose(noise(large)[60:200], noise(photo(4.0))[60:200], rtol=0.2)


def test_a_surface_gets_the_noise_that_the_photo_has():
    wanted = np.full(256, 4 / 255, np.float32)
    lit = np.full((H, W), 0.8, np.float32)

    seen = to_srgb(response(grained(lit, (0, 0), wanted, 1.0) * np.float32(TYPICAL_ALBEDO)))

    np.testing.assert_allclose(noise(np.repeat(seen[..., None], 3, 2))[int(seen.mean())] * 255, 4, rtol=0.3)
    assert grained(lit, (0, 0), wanted, 1.0).mean() == pytest.approx(0.8, rel=0.01)


def test_the_same_place_has_the_same_noise():
    wanted = np.full(256, 4 / 255, np.float32)
    lit = np.full((H, W), 0.8, np.float32)
    whole = grained(lit, (5, 7), wanted, 1.0)

    np.testing.assert_array_equal(grained(lit, (5, 7), wanted, 1.0), whole)
    np.testing.assert_array_equal(grained(lit[:50, :60], (25, 107), wanted, 1.0), whole[100:150, 20:80])
    np.testing.assert_array_equal(grained(lit, (0, 0), np.zeros(256, np.float32), 1.0), lit)
    assert to_linear(to_srgb(np.repeat(whole[..., None], 3, 2))).std() > 0
