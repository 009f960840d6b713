import cv2
import numpy as np
import pytest

from roomviz.imaging.color import luminance, to_linear, to_srgb
from roomviz.imaging.homography import project, scaled
from roomviz.imaging.lens import STRAIGHT
from services.compositor.domain.shading import CardLight, RoomLight, response
from services.compositor.domain.staging import place, shadow
from services.compositor.domain.staging.cutout import sheet
from services.compositor.domain.staging.pose import pose
from tests.unit.compositor.staging.scene import HEIGHT, WIDTH, Scene

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(40, 160, (HEIGHT, WIDTH, 3), np.uint8)
OPEN = np.ones((HEIGHT, WIDTH), np.float32)
NEUTRAL = np.ones(3, np.float32)
FLOOR = np.full((HEIGHT, WIDTH), 255, np.uint8)


def opaque(height: int, width: int, color: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    return np.dstack([np.full((height, width, 3), color, np.uint8), np.full((height, width), 255, np.uint8)])


def put(out, image, made, visible=OPEN, white=OPEN, tint=NEUTRAL, noise=0.0, scale=1.0):
    from_sheet = scaled(made.pixel_from_sheet, scale, scale)
    return place.put(out, sheet(image, False), made.size_m, from_sheet, visible, white, tint, noise)


def row_extent(corners: np.ndarray, y: float) -> tuple[float, float]:
    """Where a horizontal line enters and leaves a convex polygon."""
    xs = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (a[1] - y) * (b[1] - y) < 0:
            xs.append(a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]))
    return min(xs), max(xs)


@pytest.mark.parametrize("turn", [0.0, 33.0])
def test_a_rug_of_two_by_three_metres_is_drawn_where_its_homography_says_to_half_a_pixel(turn: float):
    made = pose(Scene().ground(), "lying", (0.1, -4.2), (2.0, 3.0), turn, (HEIGHT, WIDTH), {})
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    put(out, opaque(900, 600), made)

    full = to_linear(to_srgb(response(np.ones((1, 1, 3), np.float32))))[0, 0, 0]
    share = to_linear(out)[..., 0] / full
    top, bottom = made.corners[:, 1].min(), made.corners[:, 1].max()
    for row in range(int(top) + 3, min(HEIGHT, int(bottom)) - 3, 7):
        left, right = row_extent(made.corners, row + 0.5)
        covered = share[row].sum()
        middle = (share[row] * (np.arange(WIDTH) + 0.5)).sum() / covered
        assert abs(covered - (right - left)) < 0.5, row
        assert abs(middle - (left + right) / 2) < 0.5, row


@pytest.mark.parametrize("bend", [-0.05, 0.08])
def test_a_lens_that_bends_lines_bends_a_rug_and_its_shadow(bend: float):
    on = Scene(bend=bend).ground()
    made = pose(on, "lying", (0.2, -3.6), (3.6, 1.6), 0.0, (HEIGHT, WIDTH), {})
    out, lens = np.zeros((HEIGHT, WIDTH, 3), np.uint8), on.camera.lens
    straight, shaded = out.copy(), np.full_like(out, 200)

    for picture, by in ((out, lens), (straight, STRAIGHT)):
        image = sheet(opaque(400, 900), False)
        place.put(picture, image, made.size_m, made.pixel_from_sheet, OPEN, OPEN, NEUTRAL, 0.0, lens=by)
    cast = shadow.flat(np.ones((400, 900), np.float32), *made.size_m, 0.01, (0.0, 0.0), made.pixel_from_sheet)
    dark = place.darken(shaded, cast, FLOOR, lens)

    truth = np.zeros((HEIGHT, WIDTH), bool)
    for y, x in np.argwhere(truth == 0)[::7]:
        at = on.seen_at((x + 0.5, y + 0.5))
        truth[y, x] = at is not None and abs(at[0] - 0.2) < 1.8 and abs(at[1] + 3.6) < 0.8
    looked = np.zeros_like(truth)
    looked.ravel()[::7] = True
    assert (truth != (out[..., 0] > 127))[looked].sum() < 0.01 * truth.sum()
    assert (truth != (straight[..., 0] > 127))[looked].sum() > 0.03 * truth.sum()
    assert dark[truth].mean() > 0.98
    # A rim of six times its thickness lies around it, and nothing farther away.
    assert dark.sum() < 1.2 * 7 * truth.sum()


def test_a_standing_thing_is_drawn_as_tall_and_as_wide_as_it_is():
    scene = Scene()
    made = pose(scene.ground(), "standing", (0.0, -4.0), (0.8, 1.2), 0.0, (HEIGHT, WIDTH), {})
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    put(out, opaque(480, 320), made)

    foot, top = scene.seen((0, 0, 4), (0, 1.2, 4))[:, :2]
    column = out[:, round(foot[0]), 0] > 0
    assert abs(np.flatnonzero(column)[0] - top[1]) <= 1
    assert abs(np.flatnonzero(column)[-1] + 1 - foot[1]) <= 1


def test_pixels_outside_a_thing_and_its_shadow_stay_as_they_are():
    made = pose(Scene().ground(), "standing", (0.3, -4.0), (1.0, 0.8), 0.0, (HEIGHT, WIDTH), {})
    image = opaque(80, 100)
    image[:40, :50, 3] = 0
    out = PHOTO.copy()

    cast = shadow.standing(image[..., 3] / np.float32(255), 1.0, 0.8, 0.5, made.pixel_from_foot)
    touched = place.darken(out, cast, FLOOR) | put(out, image, made, noise=2.0)

    np.testing.assert_array_equal(out[~touched], PHOTO[~touched])
    quad = cv2.fillConvexPoly(np.zeros((HEIGHT, WIDTH), np.uint8), np.round(made.corners).astype(np.int32), 1)
    rows, columns = np.nonzero(touched & (cv2.dilate(quad, np.ones((5, 5))) == 0))
    far = cv2.perspectiveTransform(
        (np.column_stack([columns, rows]) + 0.5).reshape(-1, 1, 2), np.linalg.inv(made.pixel_from_foot)
    ).reshape(-1, 2)
    assert np.abs(far[:, 0]).max() < 0.5 + shadow.MARGIN_M + 0.02
    assert far[:, 1].min() > -shadow.MARGIN_M - 0.02
    assert far[:, 1].max() < 0.5 + shadow.MARGIN_M + 0.05


def test_what_hides_a_thing_shows_through_nowhere():
    made = pose(Scene().ground(), "standing", (0.0, -4.0), (1.0, 1.0), 0.0, (HEIGHT, WIDTH), {})
    visible = OPEN.copy()
    visible[:, 400:] = 0
    out = PHOTO.copy()

    touched = put(out, opaque(100, 100), made, visible)

    assert touched[:, :400].any()
    np.testing.assert_array_equal(out[:, 400:], PHOTO[:, 400:])


def test_a_thing_is_as_bright_as_the_light_and_of_its_colour():
    made = pose(Scene().ground(), "lying", (0.0, -4.0), (2.0, 2.0), 0.0, (HEIGHT, WIDTH), {})
    grey = opaque(200, 200, (128, 128, 128))
    warm = np.array([1.2, 0.97, 0.7], np.float32)
    y, x = np.round(project(made.pixel_from_sheet, np.array([[1.0, 1.0]]))[0, ::-1]).astype(int)
    albedo = to_linear(grey[:1, :1, :3].copy())[0, 0]
    for level in (0.2, 0.8):
        out = PHOTO.copy()

        put(out, grey, made, white=level * OPEN, tint=warm)

        np.testing.assert_array_equal(out[y, x], to_srgb(response(albedo * np.float32(level) * warm)))


def test_shadows_of_the_room_lie_on_a_rug():
    made = pose(Scene().ground(), "lying", (0.0, -4.0), (2.0, 2.0), 0.0, (HEIGHT, WIDTH), {})
    white = OPEN.copy()
    white[:, :400] = 0.4
    out = PHOTO.copy()

    put(out, opaque(200, 200, (128, 128, 128)), made, white=white)

    y = int(made.corners[:, 1].mean())
    light = luminance(to_linear(out[y : y + 1]))[0]
    assert light[390] < 0.6 * light[410]


def test_a_larger_picture_is_the_same_picture():
    made = pose(Scene().ground(), "lying", (0.0, -4.0), (2.0, 2.0), 20.0, (HEIGHT, WIDTH), {})
    image = opaque(200, 200)
    image[..., :3] = cv2.resize(RNG.integers(0, 256, (10, 10, 3), np.uint8), (200, 200))
    visible = cv2.GaussianBlur((np.arange(WIDTH) < 420) * OPEN, (0, 0), 3)
    small, large = np.full((HEIGHT, WIDTH, 3), 90, np.uint8), np.full((2 * HEIGHT, 2 * WIDTH, 3), 90, np.uint8)

    put(small, image, made, visible)
    put(large, image, made, visible, scale=2.0)

    halved = cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(halved - small).mean() < 0.25
    assert np.quantile(np.abs(halved - small), 0.999) < 25  # at the edges alone


def test_a_mirrored_thing_has_its_left_on_the_right():
    image = opaque(10, 20)
    image[:, :10, :3] = 0

    a, b = sheet(image, False).levels[0], sheet(image, True).levels[0]

    np.testing.assert_array_equal(a[:, ::-1], b)


def test_a_shadow_falls_on_its_surface_alone_and_is_darkest_under_the_thing():
    made = pose(Scene().ground(), "standing", (0.0, -4.0), (1.0, 0.6), 0.0, (HEIGHT, WIDTH), {})
    alpha = np.ones((60, 100), np.float32)
    alpha[45:, 10:90] = 0  # legs of 15 cm
    floor = FLOOR.copy()
    floor[:, 450:] = 0
    out = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)

    touched = place.darken(out, shadow.standing(alpha, 1.0, 0.6, 0.5, made.pixel_from_foot), floor)

    assert not touched[:, 450:].any()
    at = np.round(project(made.pixel_from_foot, np.array([[0, 0.25], [0, -0.15], [-0.9, 0.25]]))).astype(int)
    under, before, beside = (int(out[y, x, 0]) for x, y in at)
    assert under < 90 < before < 150
    assert beside > 140


def test_the_shadow_of_a_picture_falls_down_the_wall_however_it_is_turned():
    alpha = np.ones((50, 50), np.float32)
    for fall, dark, pale in (((0.0, 1.0), (0, 27), (0, -27)), ((1.0, 0.0), (27, 0), (-27, 0))):
        cast = shadow.flat(alpha, 0.5, 0.5, 0.02, fall, np.eye(3))
        x, y = np.linalg.inv(cast.pixel_from_grid)[:2, 2] + 0.25 / cast.pixel_from_grid[0, 0]
        step = 0.01 / cast.pixel_from_grid[0, 0]

        below = cast.darkness[round(y + dark[1] * step), round(x + dark[0] * step)]
        above = cast.darkness[round(y + pale[1] * step), round(x + pale[0] * step)]

        assert below > 2 * above


def test_the_light_of_a_body_follows_the_room_but_not_what_stands_in_it():
    white = np.full((20, 30, 3), 0.5, np.float32)
    white[:, 15:] = 0.8
    white[8:12, 4:6] = 1.8  # a lamp

    made = place.body_light(CardLight(white, white.mean((0, 1))), 100, 150)

    assert made.shape == (100, 150, 3)
    assert made[50, 140, 0] > 1.1 * made[50, 60, 0]
    assert made[50, 25].max() < 0.75
    np.testing.assert_allclose(place.body_light(RoomLight(0.4, NEUTRAL), 2, 3), 0.4)
