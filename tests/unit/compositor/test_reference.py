import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomviz.imaging.color import linear_from_rgb24, luminance, to_linear, to_srgb
from services.compositor.domain.reference import Layer, compose
from services.compositor.domain.shading import GREY_CARD, RoomLight, response, room_light, scene_light, shading
from services.compositor.domain.texture import pyramid

RNG = np.random.default_rng(0)
H, W = 120, 160
ROOM = RNG.integers(60, 200, (H, W, 3), np.uint8)
FLOOR = np.array([[160.0, 0, 80], [0, 160, 30], [0, 0, 1.0]]) @ np.array([[1.0, 0, 0], [0, 0, 1.4], [0, -1, 0]])
WOOD = RNG.integers(80, 160, (64, 64, 3), np.uint8)
NO_WHITE = np.zeros((H, W), bool)


def layer(alpha: np.ndarray, textured: bool = True) -> Layer:
    return Layer("floor", alpha, FLOOR, pyramid(WOOD, 1, 1) if textured else None, linear_from_rgb24(0x804020))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 100), st.integers(40, 110), st.integers(1, 60), st.integers(1, 40), st.booleans())
def test_outside_the_mask_no_pixel_changes_to_the_bit(x: int, y: int, w: int, h: int, textured: bool):
    alpha = np.zeros((H, W), np.uint8)
    alpha[y : y + h, x : x + w] = RNG.integers(0, 256, alpha[y : y + h, x : x + w].shape)

    out = compose(ROOM, [layer(alpha, textured)], NO_WHITE)

    np.testing.assert_array_equal(out[alpha == 0], ROOM[alpha == 0])


def test_the_photo_itself_is_not_written_to():
    before = ROOM.copy()

    compose(ROOM, [layer(np.full((H, W), 255, np.uint8))], NO_WHITE)

    np.testing.assert_array_equal(ROOM, before)


def test_inside_the_mask_the_old_floor_is_gone():
    alpha = np.zeros((H, W), np.uint8)
    alpha[60:, :] = 255
    patterned = ROOM.copy()
    patterned[60:, ::2] = (patterned[60:, ::2] * 0.9).astype(np.uint8)

    a = compose(ROOM, [layer(alpha)], NO_WHITE).astype(int)
    b = compose(patterned, [layer(alpha)], NO_WHITE).astype(int)

    ghost = (a - b)[70:]
    assert np.abs(ghost - ghost.mean()).mean() < 1
    assert np.abs(ghost).mean() < 6  # a darker floor is taken for a little less light


def test_a_shadow_on_the_old_floor_lies_on_the_new_one():
    room = np.full((H, W, 3), 150, np.uint8)
    room[60:, 70:110] = 75  # in shadow
    alpha = np.zeros((H, W), np.uint8)
    alpha[60:, :] = 255

    out = luminance(to_linear(compose(room, [layer(alpha, textured=False)], NO_WHITE)))

    old = luminance(to_linear(room))
    ratio_old = old[100, 90] / old[100, 20]
    ratio_new = out[100, 90] / out[100, 20]
    assert abs(ratio_new / ratio_old - 1) < 0.15


def test_shading_scales_with_exposure():
    alpha = np.full((H, W), 255, np.uint8)
    light = RoomLight(0.5, np.ones(3, np.float32))
    darker = RoomLight(0.25, np.ones(3, np.float32))
    half = to_srgb(response(scene_light(to_linear(ROOM)) * np.float32(0.5)))

    a, _ = shading(ROOM, alpha, "floor", light, 0.0)
    b, _ = shading(half, alpha, "floor", darker, 0.0)

    np.testing.assert_allclose(b, a * 0.5, rtol=0.02)


def test_the_light_of_a_room_is_read_from_its_white_walls():
    photo = np.full((60, 80, 3), 0.05, np.float32)
    photo[:30] = 0.6
    wall = np.zeros((60, 80), bool)
    wall[:30] = True

    light = room_light(photo, wall)

    assert 0.6 < light.level < 0.9
    np.testing.assert_allclose(light.tint, 1, atol=0.01)


def test_a_large_photo_is_laid_in_strips_that_do_not_show(monkeypatch):
    alpha = np.full((H, W), 255, np.uint8)
    whole = compose(ROOM, [layer(alpha)], NO_WHITE)

    monkeypatch.setattr("services.compositor.domain.reference.STRIP_ROWS", 7)

    np.testing.assert_allclose(compose(ROOM, [layer(alpha)], NO_WHITE).astype(int), whole.astype(int), atol=1)


def test_a_layer_with_an_empty_mask_changes_nothing():
    out = compose(ROOM, [layer(np.zeros((H, W), np.uint8))], NO_WHITE)

    np.testing.assert_array_equal(out, ROOM)


def card(value: float) -> np.ndarray:
    """A grey card that shows this linear value everywhere."""
    return to_srgb(np.full((24, 32, 3), value, np.float32))


def test_how_bright_a_surface_becomes_follows_the_grey_card_and_not_the_old_surface():
    alpha = np.full((H, W), 255, np.uint8)
    paint = [layer(alpha, textured=False)]
    pale, dark = (np.full((H, W, 3), v, np.uint8) for v in (220, 60))

    on_pale, on_dark = (luminance(to_linear(compose(room, paint, NO_WHITE, card(0.2)))).mean() for room in (pale, dark))
    brighter = luminance(to_linear(compose(dark, paint, NO_WHITE, card(0.3)))).mean()

    np.testing.assert_allclose(on_pale, on_dark, rtol=0.03)
    assert brighter > 1.3 * on_dark


def test_a_card_that_is_laid_shows_as_the_card_does():
    alpha = np.full((H, W), 255, np.uint8)
    grey = Layer("wall", alpha, None, None, np.full(3, GREY_CARD, np.float32))
    room = np.full((H, W, 3), 150, np.uint8)

    out = compose(room, [grey], NO_WHITE, card(0.25))

    np.testing.assert_allclose(to_linear(out).mean(), 0.25, rtol=0.03)


def told(shading: np.ndarray) -> np.ndarray:
    """The picture of a grey card under this light (H, W)."""
    small = cv2.resize(GREY_CARD * shading, (32, 24), interpolation=cv2.INTER_AREA)
    return to_srgb(np.repeat(small[..., None], 3, 2).astype(np.float32))


def painted(room: np.ndarray, card: np.ndarray) -> np.ndarray:
    """Luminance of a linear room (H, W) with paint all over."""
    photo = to_srgb(np.repeat(room[..., None], 3, 2).astype(np.float32))
    alpha = np.full((H, W), 255, np.uint8)
    return luminance(to_linear(compose(photo, [layer(alpha, textured=False)], NO_WHITE, card)))


def wooden(mirrored: float, brighter: float) -> tuple[np.ndarray, np.ndarray]:
    """A wooden floor (H, W, 3) with a spot that mirrors this much light, and is lit so many times as bright; the spot."""
    y, x = np.mgrid[:H, :W].astype(np.float32)
    spot = np.exp(-((x - 60) ** 2 + (y - 60) ** 2) / (2 * 14**2))[..., None]
    wood = np.array([0.28, 0.16, 0.08], np.float32)
    photo = to_srgb(np.asarray(response(wood * (1 + (brighter - 1) * spot) + mirrored * spot), np.float32))
    return photo, spot[..., 0]


def test_most_of_a_reflection_in_the_old_floor_goes_where_the_new_one_is_matte_and_stays_where_it_is_polished():
    photo, spot = wooden(mirrored=0.2, brighter=1.0)
    card = told(np.ones((H, W), np.float32))
    alpha = np.full((H, W), 255, np.uint8)

    def over(finish: str) -> float:
        new = Layer("floor", alpha, FLOOR, None, np.full(3, 0.2, np.float32), finish=finish)
        out = luminance(to_linear(compose(photo, [new], NO_WHITE, card)))
        return float(out[spot > 0.8].mean() / out[spot < 0.05].mean() - 1)

    seen = luminance(to_linear(photo))
    there = float(seen[spot > 0.8].mean() / seen[spot < 0.05].mean() - 1)
    assert over("matte") < 0.35 * there
    assert over("polished") > 2 * over("matte")


def test_a_patch_of_sun_on_the_old_floor_stays():
    photo, spot = wooden(mirrored=0.0, brighter=2.0)
    card = told(np.asarray((1 + spot) ** 0.4, np.float32))  # which knows of it, and takes it for less

    new = Layer("floor", np.full((H, W), 255, np.uint8), FLOOR, None, np.full(3, 0.2, np.float32))
    out = luminance(to_linear(compose(photo, [new], NO_WHITE, card)))

    assert out[spot > 0.8].mean() / out[spot < 0.05].mean() > 1.5


def test_a_striped_wall_leaves_no_ghost_and_the_shadow_across_it_stays():
    """Stripes broad enough that the edge-keeping filter takes them for light."""
    h, w = 360, 480
    x = np.arange(w)
    stripes = np.where(x // 6 % 2, 0.6, 0.25)[None] * np.ones((h, 1))
    shadow = np.where(np.arange(h)[:, None] > 180, 0.5, 1.0)
    photo = to_srgb(np.repeat((stripes * shadow)[..., None], 3, 2).astype(np.float32))
    paint = Layer("wall", np.full((h, w), 255, np.uint8), None, None, np.full(3, 0.3, np.float32))

    out = luminance(to_linear(compose(photo, [paint], NO_WHITE, told(shadow**0.4 * np.ones((h, w))))))

    row = np.log(out[60, 20:-20])
    assert row.std() < 0.1 * np.log(stripes[0]).std()
    assert 0.4 < out[300].mean() / out[60].mean() < 0.65


def test_the_edge_of_a_shadow_stays_where_the_photo_has_it():
    shadow = np.where(np.arange(W) > W / 2, 0.4, 1.0) * np.ones((H, 1))

    out = painted(0.3 * shadow, told(shadow.astype(np.float32)))

    assert 0.3 < out[60, 140] / out[60, 20] < 0.5
    assert out[60, 76] / out[60, 84] > 1.7


def test_the_color_of_the_light_is_the_cards():
    warm = np.full((24, 32, 3), (200, 160, 120), np.uint8)
    alpha = np.full((H, W), 255, np.uint8)
    grey = Layer("wall", alpha, None, None, np.full(3, GREY_CARD, np.float32))

    out = to_linear(compose(ROOM, [grey], NO_WHITE, warm)).mean((0, 1))

    told = to_linear(warm)[0, 0]
    np.testing.assert_allclose(out / out[1], told / told[1], rtol=0.12)


@pytest.mark.parametrize("thing", [10, 250], ids=["dark", "bright"])
def test_a_thing_before_a_painted_wall_has_no_halo(thing: int):
    photo = np.full((240, 320, 3), 170, np.uint8)
    alpha = np.full((240, 320), 255, np.uint8)
    cv2.rectangle(photo, (120, 80), (200, 160), (thing,) * 3, -1)
    cv2.rectangle(alpha, (120, 80), (200, 160), 0, -1)

    lit, _ = shading(photo, alpha, "wall", RoomLight(1.0, np.ones(3, np.float32)), keep_detail=1.0)

    beside = np.concatenate([lit[120, 205:215], lit[120, 105:115], lit[65:75, 160], lit[165:175, 160]])
    np.testing.assert_allclose(beside, np.median(lit[alpha > 0]), rtol=0.01)


def test_plaster_shows_through_paint():
    rng = np.random.default_rng(5)
    photo = np.clip(rng.normal(170, 2, (240, 320, 1)).repeat(3, 2), 0, 255).astype(np.uint8)

    bare, kept = (
        shading(photo, np.full((240, 320), 255, np.uint8), "wall", RoomLight(1.0, np.ones(3, np.float32)), keep)[0]
        for keep in (0.0, 1.0)
    )

    seen = np.log(kept) - np.log(bare)
    assert np.corrcoef(seen.ravel(), photo[..., 0].ravel())[0, 1] > 0.95
