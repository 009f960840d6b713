import numpy as np
import pytest

from roomviz.imaging.color import linear_from_rgb24, to_linear, to_srgb
from services.compositor.domain import kernel
from services.compositor.domain.color_truth import shown_on
from services.compositor.domain.plate import Plate, plate
from services.compositor.domain.relight import relit, turn
from services.compositor.domain.shading import GREY_CARD, light_in, response

H, W, SAGE = 120, 160, 0xA4B29A
LAMP = np.array([1.25, 0.98, 0.7], np.float32)
WALL = np.full((H, W), 255, np.uint8)


def photo(level: float, color: np.ndarray = LAMP) -> tuple[np.ndarray, np.ndarray]:
    """A plain wall in this light, and the card."""
    lit = np.linspace(0.8, 1.2, W, dtype=np.float32)[None, :, None] * np.ones((H, 1, 1), np.float32) * level * color
    small = lit[::10, ::10] * np.float32(GREY_CARD)
    return to_srgb(response(lit * np.float32(0.6))), to_srgb(response(small))


def painted(level: float, color: np.ndarray = LAMP, finish: str = "matte") -> tuple[np.ndarray, Plate]:
    picture, card = photo(level, color)
    on = plate(picture, WALL, "wall", light_in(picture, WALL > 0, card), None, True, finish)
    for part in kernel.lay(picture, on, kernel.paint(linear_from_rgb24(SAGE))):
        part()
    return picture, on


def test_paint_in_a_lamps_light_is_told_from_the_lamps_colour():
    picture, on = painted(0.7)

    found = shown_on(picture, [on], (), SAGE, False, None)

    assert found is not None
    assert found.delta_e00 < 1.5
    red, green, blue = found.illuminant_rgb.to_bytes(3)
    assert red == 255 > green > blue
    # What is seen is far from what was asked, before the light is taken out.
    assert np.abs(to_linear(picture)[60, 80] / linear_from_rgb24(SAGE) - 1).max() > 0.2


def test_too_much_light_for_a_screen_is_a_difference():
    picture, on = painted(8.0)

    found = shown_on(picture, [on], (), SAGE, False, None)

    assert found is not None
    assert found.delta_e00 > 5


def test_a_relit_room_is_told_in_its_new_light():
    picture, on = painted(0.6)
    by = turn(LAMP, "cool")
    for part in relit(picture, by, picture):
        part()

    found = shown_on(picture, [on], (), SAGE, False, by)

    assert found is not None
    assert found.delta_e00 < 4
    red, _, blue = found.illuminant_rgb.to_bytes(3)
    assert blue == 255 > red


def test_what_lies_under_something_else_is_not_looked_at():
    picture, on = painted(0.6)
    picture[:, : W // 2] = 0  # a black thing
    over = np.zeros((H, W), np.uint8)
    over[:, : W // 2] = 255
    above = plate(picture, over, "wall", light_in(picture, WALL > 0, photo(0.6)[1]), None, True)

    half = shown_on(picture, [on], (above,), SAGE, False, None)

    assert half is not None
    assert half.delta_e00 < 3
    assert shown_on(picture, [on], (on,), SAGE, False, None) is None
    with_thing = shown_on(picture, [on], (), SAGE, False, None, over > 0)
    assert with_thing is not None
    assert with_thing.delta_e00 < 3
    assert (on.alpha == 255).all()  # and the plate, which others use, is as it was


@pytest.mark.parametrize("textured", [False, True])
def test_of_a_texture_the_mean_is_told(textured: bool):
    picture, on = painted(0.6)
    picture[::4] = 0

    found = shown_on(picture, [on], (), SAGE, textured, None)

    assert found is not None
    assert (found.delta_e00 > 4) == textured
