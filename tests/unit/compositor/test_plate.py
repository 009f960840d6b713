import numpy as np
import pytest

from services.compositor.domain import kernel
from services.compositor.domain.plate import surface
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
ROOM = RoomLight(0.8, np.array([1.05, 1.0, 0.9], np.float32))


@pytest.mark.parametrize("light", [CARD, ROOM], ids=["card", "room"])
@pytest.mark.parametrize("painted", [False, True])
@pytest.mark.parametrize("rows", [1, 64, 97])
def test_plates_of_strips_are_the_plate_of_the_whole(light: CardLight | RoomLight, painted: bool, rows: int):
    found = surface(PHOTO, ALPHA, "wall", light, None if painted else PLANE, painted)
    whole = found.plate(0, len(found.alpha))
    touched = np.zeros_like(whole.touched)

    for top in range(0, len(found.alpha), rows):
        strip = found.plate(top, min(top + rows, len(found.alpha)))

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
    found = surface(PHOTO, ALPHA, "floor", CARD, PLANE, False, "polished", 400.0)
    paint = kernel.paint(np.full(3, 0.2, np.float32))
    whole, strips = PHOTO.copy(), PHOTO.copy()

    for part in kernel.lay(whole, found.plate(0, len(found.alpha)), paint):
        part()
    for top in range(0, len(found.alpha), rows):
        for part in kernel.lay(strips, found.plate(top, min(top + rows, len(found.alpha))), paint):
            part()

    assert found.sheen_shift == 2
    np.testing.assert_allclose(strips.astype(int), whole, atol=1)


def test_the_units_that_are_touched_are_those_with_some_of_the_mask():
    whole = surface(PHOTO, ALPHA, "wall", ROOM, None, True).plate(0, 358)

    padded = np.pad(ALPHA > 0, ((0, -H % 16), (0, -W % 16)))
    np.testing.assert_array_equal(whole.touched, padded.reshape(24, 16, 17, 16).any((1, 3)))


def test_a_surface_too_small_to_look_at_is_lit_evenly():
    alpha = np.zeros((H, W), np.uint8)
    alpha[50:52, 60:63] = 255

    lit, tint = shading(PHOTO[50:52, 60:63], alpha[50:52, 60:63], "wall", ROOM, 0.6)

    np.testing.assert_allclose(lit, ROOM.level, rtol=1e-5)
    np.testing.assert_array_equal(tint, ROOM.tint)
