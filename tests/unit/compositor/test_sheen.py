import numpy as np
import pytest

from roomviz.imaging.color import luminance
from services.compositor.domain.sheen import F0, fresnel, sheen, whole

H, W, FOCAL, CONTACT = 300, 400, 350.0, 160
NEUTRAL = np.ones(3, np.float32)
BOX = (0, CONTACT, W, H - CONTACT)
FLOOR = np.repeat(np.arange(H) >= CONTACT, W).reshape(H, W) * np.uint8(255)
DARK = np.zeros((H - CONTACT, W), np.float32)


def plane(pitch: float = 0.0) -> np.ndarray:
    """A floor 1.4 m below a camera that looks down by `pitch`, metres to pixels: right, and towards the camera."""
    c, s = np.cos(pitch), np.sin(pitch)
    turned = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    k = np.array([[FOCAL, 0, W / 2], [0, FOCAL, H / 2], [0, 0, 1.0]])
    return k @ turned @ np.column_stack([[1.0, 0, 0], [0, 0, -1.0], [0, 1.4, 4]])


def room(lamp: tuple[int, int] = (100, 200)) -> np.ndarray:
    photo = np.full((H, W, 3), 40, np.uint8)
    y, x = lamp
    photo[y - 6 : y + 6, x - 6 : x + 6] = 255
    return photo


def added(photo: np.ndarray, finish: str, pitch: float = 0.0, kind: str = "floor") -> np.ndarray:
    made = sheen(photo, FLOOR, BOX, kind, finish, DARK, NEUTRAL, plane(pitch), FOCAL)
    assert made is not None
    return luminance(whole(*made, H - CONTACT, W))


def test_fresnel_is_small_straight_on_and_all_at_grazing():
    np.testing.assert_allclose(fresnel(np.array([1.0, 0.0], np.float32)), [F0, 1.0])


@pytest.mark.parametrize("finish", ["matte", "", "unspecified"])
def test_a_matte_floor_mirrors_nothing(finish: str):
    assert sheen(room(), FLOOR, BOX, "floor", finish, DARK, NEUTRAL, plane(), FOCAL) is None


def test_a_lamp_is_seen_in_a_polished_floor_as_far_below_its_foot_as_it_hangs_above():
    found = added(room((130, 200)), "polished")

    y, x = np.unravel_index(found.argmax(), found.shape)
    assert abs(x - 200) < 6
    assert abs(y - (CONTACT - 130)) < 8


def test_where_the_camera_looks_down_the_image_lies_along_the_plumb_line():
    """A point 1 m above the foot, seen from above, and its mirror image 1 m below, by the camera's own geometry."""
    pitch = 0.5
    h = plane(pitch)
    c, s = np.cos(pitch), np.sin(pitch)
    turned = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    k = np.array([[FOCAL, 0, W / 2], [0, FOCAL, H / 2], [0, 0, 1.0]])
    # The foot: where the column of the middle meets the top of the mask.
    foot = np.linalg.inv(h) @ np.array([W / 2, CONTACT, 1.0])
    foot = foot / foot[2]
    point = np.array([foot[0], 1.4, 4 - foot[1]])
    up, down = (k @ turned @ (point + np.array([0, dy, 0])) for dy in (-0.75, 0.75))
    lamp, image = up / up[2], down / down[2]

    found = added(room((round(lamp[1]), round(lamp[0]))), "polished", pitch)

    y, _ = np.unravel_index(found.argmax(), found.shape)
    assert abs(y + CONTACT - image[1]) < 8
    # A mirror laid along the line of contact would be far off.
    assert abs((2 * CONTACT - lamp[1]) - image[1]) > 12


def test_a_rougher_floor_mirrors_less_and_blurs_more():
    polished, gloss, satin = (added(room((110, 200)), f) for f in ("polished", "gloss", "satin"))

    assert polished.max() > 1.5 * gloss.max() > 3 * satin.max()
    spread = [(f > f.max() / 2).sum() for f in (polished, gloss, satin)]
    assert spread[0] < spread[1] < spread[2]


def test_more_is_mirrored_far_away_than_at_the_feet():
    found = added(np.full((H, W, 3), 120, np.uint8), "polished")

    assert found[5].mean() > 2 * found[-5].mean()


def test_highlights_of_the_old_floor_stay_on_a_polished_one():
    old = DARK.copy()
    old[60:70, 100:110] = 0.8

    made = sheen(room(), FLOOR, BOX, "floor", "polished", old, NEUTRAL, plane(), FOCAL)

    assert made is not None
    assert whole(*made, H - CONTACT, W)[65, 105].mean() > 0.6


def test_a_wall_glows_towards_the_light_and_mirrors_no_image():
    photo = np.full((H, W, 3), 40, np.uint8)
    photo[:, :40] = 255  # a window

    found = sheen(photo, FLOOR, BOX, "wall", "gloss", DARK, NEUTRAL, None, 0.0)

    assert found is not None
    row = luminance(whole(*found, H - CONTACT, W))[50]
    assert (np.diff(row) <= 1e-4).all()
    assert row[0] > 3 * row[-1] > 0
    assert row[0] < 0.1


def test_a_large_photo_is_mirrored_in_steps():
    photo = np.repeat(np.repeat(room(), 8, 0), 8, 1)
    alpha = np.repeat(np.repeat(FLOOR, 8, 0), 8, 1)
    box = (0, CONTACT * 8, W * 8, (H - CONTACT) * 8)

    made = sheen(
        photo,
        alpha,
        box,
        "floor",
        "gloss",
        np.zeros(alpha.shape, np.float32),
        NEUTRAL,
        np.diag([8, 8, 1]) @ plane(),
        FOCAL * 8,
    )

    assert made is not None
    grid, step = made
    assert step == 4
    small = added(room(), "gloss")
    np.testing.assert_allclose(luminance(whole(grid, step, *box[:1:-1]))[4::8, 4::8], small, atol=0.03)
