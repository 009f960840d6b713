import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.compositor.domain import kernel
from services.compositor.domain.grain import noise
from services.compositor.domain.plate import _boxes, box_of, plate, surface
from services.compositor.domain.shading import CardLight, RoomLight, shading

RNG = np.random.default_rng(0)
H, W = 380, 260
PHOTO = RNG.integers(60, 200, (H, W, 3), np.uint8)
ALPHA = np.zeros((H, W), np.uint8)
ALPHA[13:371, 21:241] = 255
ALPHA[13:20, 21:241] = 130
ALPHA[100:140, 60:90] = 0
PLANE = np.array([[480.0, 0, 130], [0, 480, 90], [0, 0, 1.0]]) @ np.array([[1.0, 0, 0], [0, 0, 1.4], [0, -1, 3.0]])
CARD = CardLight(np.asarray(RNG.uniform(0.2, 0.9, (9, 7, 3)), np.float32), np.array([0.5, 0.45, 0.4], np.float32))
NOISE = noise(PHOTO)
ROOM = RoomLight(0.8, np.array([1.05, 1.0, 0.9], np.float32))


@pytest.mark.parametrize("light", [CARD, ROOM], ids=["card", "room"])
@pytest.mark.parametrize("painted", [False, True])
@pytest.mark.parametrize("rows", [1, 64, 97])
def test_plates_of_strips_are_the_plate_of_the_whole(light: CardLight | RoomLight, painted: bool, rows: int):
    found = surface(PHOTO, ALPHA, "wall", lambda _: light, None if painted else PLANE, painted)
    whole = found.plate(PHOTO, NOISE, 0, len(found.alpha))
    touched = np.zeros_like(whole.touched)

    for top in range(0, len(found.alpha), rows):
        strip = found.plate(PHOTO, NOISE, top, min(top + rows, len(found.alpha)))

        part = slice(top, top + strip.box[3])
        assert strip.box == (whole.box[0], whole.box[1] + top, whole.box[2], min(rows, len(found.alpha) - top))
        np.testing.assert_array_equal(strip.alpha, whole.alpha[part])
        np.testing.assert_array_equal(strip.spans, whole.spans[part])
        np.testing.assert_array_equal(strip.tint, whole.tint)
        np.testing.assert_allclose(strip.gain.astype(int), whole.gain[part], atol=1)
        if not painted:
            assert strip.footprints is not None
            assert whole.footprints is not None
            np.testing.assert_allclose(strip.footprints, whole.footprints[part], rtol=1e-5)
        touched |= strip.touched
    np.testing.assert_array_equal(touched, whole.touched)


@pytest.mark.parametrize("rows", [64, 97])
def test_what_is_mirrored_goes_on_from_strip_to_strip(rows: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.compositor.domain.sheen.SIDE", 100)  # a point every four pixels
    found = surface(PHOTO, ALPHA, "floor", lambda _: CARD, PLANE, False, "polished", 400.0)
    paint = kernel.paint(np.full(3, 0.2, np.float32))
    whole, strips = PHOTO.copy(), PHOTO.copy()

    for part in kernel.lay(whole, found.plate(PHOTO, NOISE, 0, len(found.alpha)), paint):
        part()
    for top in range(0, len(found.alpha), rows):
        strip = found.plate(PHOTO, NOISE, top, min(top + rows, len(found.alpha)))
        for part in kernel.lay(strips, strip, paint):
            part()

    assert found.sheen_shift == 2
    np.testing.assert_allclose(strips.astype(int), whole, atol=1)


def test_the_units_that_are_touched_are_those_with_some_of_the_mask():
    whole = plate(PHOTO, ALPHA, "wall", lambda _: ROOM, None, True)

    padded = np.pad(ALPHA > 0, ((0, -H % 16), (0, -W % 16)))
    np.testing.assert_array_equal(whole.touched, padded.reshape(24, 16, 17, 16).any((1, 3)))


def test_a_surface_too_small_to_look_at_is_lit_evenly():
    alpha = np.zeros((H, W), np.uint8)
    alpha[50:52, 60:63] = 255

    lit, tint = shading(PHOTO[50:52, 60:63], alpha[50:52, 60:63], "wall", ROOM, 0.6)

    np.testing.assert_allclose(lit, ROOM.level, rtol=1e-5)
    np.testing.assert_array_equal(tint, ROOM.tint)


@pytest.mark.parametrize("finish", ["matte", "polished"])
@pytest.mark.parametrize("small", [(570, 390), (541, 367)])
def test_a_smaller_copy_of_the_photo_tells_the_same_light(finish: str, small: tuple[int, int]):
    """A shadow with soft edges over half of a floor, in a picture of four times the size."""
    height, width = 4 * H, 4 * W
    x = np.arange(width, dtype=np.float32) / width
    shadow = 90 + 80 / (1 + np.exp((x - 0.5) * 40))
    photo = np.repeat(np.tile(shadow, (height, 1))[..., None], 3, 2).astype(np.uint8)
    alpha = cv2.resize(ALPHA, (width, height), interpolation=cv2.INTER_NEAREST)
    plane = np.diag([4.0, 4, 1]) @ PLANE
    copy = np.asarray(cv2.resize(photo, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)

    large, found = (
        on.plate(photo, NOISE, 0, len(on.alpha))
        for on in (surface(p, alpha, "floor", lambda _: ROOM, plane, False, finish, 1600.0) for p in (photo, copy))
    )

    x, y, w, h = box_of(alpha)
    left, top = x - found.box[0], y - found.box[1]
    assert left >= 0
    assert top >= 0
    shown = found.alpha[top : top + h, left : left + w] > 0
    np.testing.assert_array_equal(shown, alpha[y : y + h, x : x + w] > 0)
    ratio = found.gain[top : top + h, left : left + w] / large.gain
    apart = np.abs(ratio - 1)[alpha[y : y + h, x : x + w] > 242]
    assert np.quantile(apart, 0.99) < 0.01
    assert apart.max() < 0.1  # at the mask's edges, where what lies within is told to what lies without
    assert (found.sheen is None) == (large.sheen is None)


@st.composite
def stretches(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Width of a picture, part of it, width of another size of it; every other part ends where the picture does."""
    width, other = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    x = draw(st.integers(0, width - 1))
    return width, x, draw(st.sampled_from([width - x, draw(st.integers(1, width - x))])), other


@settings(max_examples=500)
@given(stretches())
@example((3264, 0, 3264, 1633))
@example((1126, 1000, 126, 1633))
@example((7, 0, 7, 29))
def test_boxes_of_two_sizes_show_the_same(stretch: tuple[int, int, int, int]):
    width, x, w, other = stretch

    (x0, y0, w0, h0), (u0, _, columns, _) = _boxes((x, 0, w, 7), (7, width), (7, other))

    assert (y0, h0) == (0, 7)
    assert 0 <= x0 <= x < x + w <= x0 + w0 <= width
    assert 0 <= u0 < u0 + columns <= other
    for here, there in ((x0, u0), (x0 + w0, u0 + columns)):
        assert abs(here / width - there / other) < 1 / width + 1e-9
    if other == width:
        assert (x0, w0) == (x, w)
