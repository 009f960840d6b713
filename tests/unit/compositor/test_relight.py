import numpy as np
import pytest

from roomviz.imaging.color import luminance, to_linear, to_srgb
from roomviz.imaging.colorimetry import WHITE, XYZ_FROM_RGB
from services.compositor.domain.relight import KELVIN, light_color, relit, turn
from services.compositor.domain.shading import response

NEUTRAL = np.ones(3, np.float32)
LAMP = np.array([1.3, 0.98, 0.6], np.float32)


def lit(albedo: np.ndarray, light: np.ndarray) -> np.ndarray:
    return to_srgb(response(np.asarray(albedo * light, np.float32)))


def render(picture: np.ndarray, light: np.ndarray, to: str) -> np.ndarray:
    out = np.empty_like(picture)
    for part in relit(picture, turn(light, to), out):
        part()
    return out


GREYS = np.linspace(0.02, 0.6, 300, dtype=np.float32)[:, None, None].repeat(4, 1).repeat(3, 2)


def test_by_day_grey_things_in_a_lamps_light_are_grey():
    found = render(lit(GREYS, LAMP), LAMP, "day")

    assert np.abs(found.astype(int) - found[..., 1:2]).max() <= 4


def test_a_room_in_daylight_stays_as_it_is_by_day():
    picture = np.random.default_rng(0).integers(0, 200, (50, 40, 3), np.uint8)

    found = render(picture, NEUTRAL, "day")

    assert np.abs(found.astype(int) - picture).mean() < 1.5


def test_lamps_are_warm_and_an_overcast_sky_is_cool():
    warm, cool = (to_linear(render(lit(GREYS, NEUTRAL), NEUTRAL, to))[100, 0] for to in ("warm", "cool"))

    assert warm[0] > warm[1] > warm[2]
    assert cool[2] > cool[1] > cool[0]


@pytest.mark.parametrize("to", KELVIN)
@pytest.mark.parametrize("light", [NEUTRAL, LAMP])
def test_exposure_stays(to: str, light: np.ndarray):
    by = turn(light, to)

    assert luminance(np.asarray(by @ light, np.float32)) == pytest.approx(float(luminance(light)), rel=1e-3)


def test_the_asked_light_does_not_depend_on_the_photos():
    a, b = (turn(light, "warm") @ light / luminance(light) for light in (NEUTRAL, LAMP))

    np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (XYZ_FROM_RGB @ a)[2] < 0.85 * WHITE[2]


def test_what_is_clipped_stays_white():
    picture = np.full((8, 8, 3), 255, np.uint8)

    for to in KELVIN:
        np.testing.assert_array_equal(render(picture, LAMP, to), picture)


def test_a_picture_can_be_relit_in_place():
    picture = np.random.default_rng(1).integers(0, 256, (300, 20, 3), np.uint8)
    apart = render(picture, LAMP, "cool")

    for part in relit(picture, turn(LAMP, "cool"), picture):
        part()

    np.testing.assert_array_equal(picture, apart)


def test_the_rooms_light_is_what_its_card_shows_in_most_places():
    card = lit(np.full((10, 10, 3), 0.35, np.float32), LAMP)
    card[:3] = 0

    found = light_color(card, NEUTRAL)

    np.testing.assert_allclose(found, LAMP, rtol=0.03)
    np.testing.assert_array_equal(light_color(None, LAMP), LAMP)
