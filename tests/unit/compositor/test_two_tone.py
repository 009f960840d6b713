import cv2
import numpy as np
import pytest

from services.compositor.domain.two_tone import without_tones

H, W = 420, 640
Y, X = np.mgrid[0:H, 0:W].astype(np.float32)
INSIDE = np.ones((H, W), np.float32)
INSIDE[:90] = 0
INSIDE[200:260, 250:330] = 0  # a table's leg
SLOPE = np.asarray(0.8 * (X / W - 0.5) + 0.3 * np.sin(Y / 90), np.float32)


def checker(tile: float = 0.5) -> np.ndarray:
    """Which tile of a floor in perspective is the light one, softened as a lens does."""
    depth = 260.0 / (Y - 40 + 1e-3).clip(1)
    u, v = (X - W / 2) * depth / 300, depth * 1.4
    light = (np.floor(u / tile) + np.floor(v / tile)) % 2
    return np.asarray(cv2.GaussianBlur(light.astype(np.float32), (0, 0), 0.7), np.float32)


def apart(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    d = (found - true)[INSIDE > 0]
    return np.abs(d - np.median(d))


@pytest.mark.parametrize("ratio", [0.1, 0.45])
def test_light_on_tiles_of_two_tones_is_found_as_on_one(ratio: float):
    """With a slow slope, and a shadow over some of them."""
    shadow = -0.7 * cv2.GaussianBlur((np.hypot(X - 420, Y - 300) < 80).astype(np.float32), (0, 0), 3)
    light = SLOPE + shadow
    seen = light + np.log(ratio + (1 - ratio) * checker())

    found = without_tones(np.asarray(seen, np.float32), INSIDE)

    before = apart(seen, light)
    after = apart(found, light)
    assert after.mean() < 0.35 * before.mean()
    assert np.corrcoef(found[INSIDE > 0], light[INSIDE > 0])[0, 1] > 0.9


def test_a_pattern_is_the_same_pattern_the_other_way_round():
    seen = SLOPE + np.log(0.3 + 0.7 * checker())

    left = without_tones(np.asarray(seen, np.float32), INSIDE)
    right = without_tones(np.ascontiguousarray(seen[:, ::-1], np.float32), np.ascontiguousarray(INSIDE[:, ::-1]))[
        :, ::-1
    ]

    np.testing.assert_allclose(left, right, atol=0.05)


def panes() -> np.ndarray:
    """Sun through a window of two by three panes."""
    return np.asarray(
        cv2.GaussianBlur(
            (((X - 150) % 90 < 70) & ((Y - 220) % 80 < 60) & (X > 150) & (X < 410) & (Y > 220) & (Y < 380)).astype(
                np.float32
            ),
            (0, 0),
            1.5,
        )
    )


@pytest.mark.parametrize(
    "light",
    [
        SLOPE,
        SLOPE + 1.2 * panes(),
        SLOPE - 1.0 * (X > 300),
        SLOPE + np.random.default_rng(0).normal(0, 0.3, (H, W)),
        np.zeros((H, W)),
    ],
    ids=["slope", "panes of sun", "the shadow of a wall", "grain", "nothing"],
)
def test_light_without_a_pattern_stays_as_it_is(light: np.ndarray):
    given = np.asarray(light, np.float32)

    np.testing.assert_array_equal(without_tones(given, INSIDE), given)


def test_sun_and_shadow_that_legs_stand_before_are_no_pattern():
    """As many pieces as tiles, but what parts them is no floor."""
    inside = INSIDE.copy()
    for x in range(60, W, 70):
        inside[90:, x : x + 8] = 0
    light = np.asarray(SLOPE + 1.2 * (Y + 0.3 * X > 350), np.float32)

    np.testing.assert_array_equal(without_tones(light, inside), light)


def test_the_card_tells_a_panel_from_a_patch_of_sun():
    """Neither lies there in several pieces; a network shows less of the light than there is."""
    part = cv2.GaussianBlur(((X > 200) & (X < 480) & (Y > 300)).astype(np.float32), (0, 0), 1)
    seen = np.asarray(SLOPE + 1.1 * part, np.float32)

    panel, sun = (without_tones(seen, INSIDE, np.asarray(SLOPE + s * part, np.float32)) for s in (0.05, 0.4))

    assert apart(panel, SLOPE).mean() < 0.15 * apart(seen, SLOPE).mean()
    np.testing.assert_array_equal(sun, seen)


def test_three_tones_go_one_after_the_other():
    tiles = np.floor(X / 80) % 3
    seen = np.asarray(SLOPE + np.choose(tiles.astype(int), [0.0, 0.8, 2.0]), np.float32)

    found = without_tones(seen, INSIDE, SLOPE)

    assert apart(found, SLOPE).mean() < 0.3 * apart(seen, SLOPE).mean()


def test_sun_on_tiles_stays_when_the_tiles_go():
    sun = 0.9 * cv2.GaussianBlur((np.hypot(X - 420, Y - 300) < 110).astype(np.float32), (0, 0), 3)
    light = np.asarray(SLOPE + sun, np.float32)
    seen = np.asarray(light + np.log(0.25 + 0.75 * checker(0.9)), np.float32)

    found = without_tones(seen, INSIDE, np.asarray(SLOPE + 0.4 * sun, np.float32))

    assert apart(found, light).mean() < 0.3 * apart(seen, light).mean()


@pytest.mark.parametrize("shape", [(2, 3), (1, 40), (20, 20)])
def test_small_surfaces_are_taken_as_they_are(shape: tuple[int, int]):
    given = np.asarray(np.random.default_rng(1).normal(0, 1, shape), np.float32)

    found = without_tones(given, np.ones(shape, np.float32))

    assert found.shape == shape
    assert np.isfinite(found).all()
