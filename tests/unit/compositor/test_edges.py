import cv2
import numpy as np
import pytest

from roomviz.imaging.color import to_linear, to_srgb
from services.compositor.domain.edges import rest, sharpened, sides, without_old

H, W, FINE = 96, 128, 8
BOX = (0, 0, W, H)
WALL, LEAF = (200, 195, 185), (30, 80, 40)


def shown(share: np.ndarray, surface: tuple, thing: tuple) -> np.ndarray:
    """A picture of a thing before a surface of which this share of each pixel is seen."""
    s, t = (to_linear(np.full((*share.shape, 3), c, np.uint8)) for c in (surface, thing))
    return to_srgb(np.asarray(s * share[..., None] + t * (1 - share[..., None]), np.float32))


def leaf() -> np.ndarray:
    """(H, W) float32: how much of the wall is seen in each pixel beside a slanting leaf."""
    fine = np.ones((H * FINE, W * FINE), np.float32)
    cv2.ellipse(fine, (W * FINE // 2, H * FINE // 2), (240, 130), 30, 0, 360, 0, -1)
    return np.asarray(cv2.resize(fine, (W, H), interpolation=cv2.INTER_AREA), np.float32)


SHARE = leaf()
# As masks are: softer than the photo, a little to one side, and with nothing of the wall a few pixels into the leaf.
MASK = (np.clip(cv2.GaussianBlur(np.roll(SHARE, 1, 1), (0, 0), 1.5) * 1.1 - 0.05, 0, 1) * 255 + 0.5).astype(np.uint8)


def test_the_edge_of_a_mask_goes_where_the_photo_has_it():
    photo = shown(SHARE, WALL, LEAF)

    found = sharpened(photo, MASK, sides(photo, MASK, BOX), 0, H)

    off, was = (np.abs(m / 255 - SHARE)[(MASK > 0) & (MASK < 255)].mean() for m in (found, MASK))
    assert off < 0.25 * was


def test_what_is_outside_stays_outside_and_nothing_else_goes_there():
    photo = shown(SHARE, WALL, LEAF)

    found = sharpened(photo, MASK, sides(photo, MASK, BOX), 0, H)

    np.testing.assert_array_equal(found > 0, MASK > 0)


@pytest.mark.parametrize("step", [1, 7, 40])
def test_strips_are_the_whole(step: int):
    photo = shown(SHARE, WALL, LEAF)
    edge = sides(photo, MASK, BOX)

    strips = [sharpened(photo, MASK, edge, top, min(top + step, H)) for top in range(0, H, step)]

    np.testing.assert_array_equal(np.concatenate(strips), sharpened(photo, MASK, edge, 0, H))


def test_where_both_sides_look_the_same_the_mask_is_believed():
    photo = shown(SHARE, WALL, (195, 192, 184))
    photo = np.clip(photo + np.random.default_rng(1).normal(0, 3, photo.shape), 0, 255).astype(np.uint8)

    found = sharpened(photo, MASK, sides(photo, MASK, BOX), 0, H)

    assert np.abs(found.astype(int) - MASK).mean() < 2


@pytest.mark.parametrize("alpha", [np.full((H, W), 255, np.uint8), np.full((H, W), 90, np.uint8)])
def test_a_mask_without_another_side_stays_what_it_is(alpha: np.ndarray):
    photo = shown(SHARE, WALL, LEAF)
    edge = sides(photo, alpha, BOX)

    np.testing.assert_array_equal(sharpened(photo, alpha, edge, 0, H), alpha)
    assert not edge.colors[..., 3].any()


def test_the_smallest_masks_have_an_edge_too():
    for h, w in ((1, 1), (1, 9), (5, 1), (2, 3)):
        photo, alpha = np.full((h, w, 3), 90, np.uint8), np.full((h, w), 128, np.uint8)
        assert sharpened(photo, alpha, sides(photo, alpha, (0, 0, w, h)), 0, h).shape == (h, w)


def test_no_rim_of_the_old_surface_is_left():
    photo = shown(SHARE, WALL, LEAF)
    edge = sides(photo, MASK, BOX)
    alpha = sharpened(photo, MASK, edge, 0, H)
    y, x = np.nonzero((alpha > 0) & (alpha < 255))
    share = (alpha[y, x] / np.float32(255))[:, None]
    rows, columns = edge.spread.shape

    rest = without_old(to_linear(photo)[y, x], share, edge.colors[y * rows // H, x * columns // W])

    true = to_linear(np.full((1, 1, 3), LEAF, np.uint8))[0, 0] * (1 - SHARE[y, x, None])
    plain = to_linear(photo)[y, x] * (1 - share)
    assert np.abs(rest - true).max() < 0.05
    assert np.abs(rest - true).mean() < 0.2 * np.abs(plain - true).mean()


def test_where_a_mask_is_wrong_nothing_is_made_up():
    """In the middle of a dark leaf that a mask takes for wall, there is no wall to take away."""
    pixel = to_linear(np.full((1, 1, 3), LEAF, np.uint8))[0]
    colors = np.array([[*WALL, 255, *LEAF, 0]], np.uint8)

    rest = without_old(pixel, np.full((1, 1), 0.5, np.float32), colors)

    np.testing.assert_allclose(rest, pixel * 0.5, atol=1e-6)


@pytest.mark.parametrize("phase", range(4))
def test_what_is_blown_out_is_white(phase: int):
    """Where a cell shows a part of it, too, and not black because a mean came out above the largest value."""
    photo, alpha = np.full((H, W, 3), 255, np.uint8), np.zeros((H, W), np.uint8)
    photo[:, 40 + phase :] = WALL
    alpha[:, 40 + phase :] = 255

    colors = sides(photo, alpha, BOX).colors

    known = colors[..., 3] > 0
    assert known.any()
    np.testing.assert_array_equal(colors[known][:, 4:7], 255)
    np.testing.assert_array_equal(colors[known][:, :3], np.broadcast_to(WALL, (known.sum(), 3)))
    assert sides(photo, alpha, BOX).spread[known].max() < 1e-4


@pytest.mark.parametrize("off", [0, 1, 2])
def test_two_walls_that_meet_leave_nothing_of_the_old_ones(off: int):
    """Masks of one kind end beside each other without a soft edge, and not always where the photo has it."""
    photo = np.full((H, W, 3), 215, np.uint8)
    photo[:, W // 2 + off :] = 170
    left = np.zeros((H, W), np.uint8)
    left[:, : W // 2] = 255

    for mask in (left, 255 - left):
        np.testing.assert_array_equal(sharpened(photo, mask, sides(photo, mask, BOX), 0, H), mask)


def test_an_edge_along_the_box_is_seen():
    share = np.ones((H, W), np.float32)
    share[:, : W // 2], share[:, W // 2] = 0, 0.5
    photo = shown(share, WALL, LEAF)
    mask = (share * 255).astype(np.uint8)
    x = W // 2

    edge = sides(photo, np.ascontiguousarray(mask[:, x:]), (x, 0, W - x, H))

    assert edge.colors[:, 0, 3].all()
    np.testing.assert_allclose(edge.colors[:, 0, 4:7], np.broadcast_to(LEAF, (len(edge.colors), 3)), atol=1)


def test_a_mask_of_a_larger_picture_is_told_by_the_sides_in_a_smaller_one():
    photo = shown(SHARE, WALL, LEAF)
    half = np.asarray(cv2.resize(photo, (W // 2, H // 2), interpolation=cv2.INTER_AREA), np.uint8)
    mask = np.asarray(cv2.resize(MASK, (W // 2, H // 2), interpolation=cv2.INTER_AREA), np.uint8)

    found = sharpened(photo, MASK, sides(half, mask, (0, 0, W // 2, H // 2)), 0, H)

    off, was = (np.abs(m / 255 - SHARE)[(MASK > 0) & (MASK < 255)].mean() for m in (found, MASK))
    assert off < 0.25 * was


def laid_both(first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) linear: edge pixels of a floor and a wall that are both laid anew in grey levels, and what they should be."""
    photo = shown(SHARE, WALL, LEAF)
    masks = [MASK, np.asarray(255 - MASK, np.uint8)]
    found = [sides(photo, m, BOX) for m in masks]
    alphas = [sharpened(photo, m, f, 0, H) for m, f in zip(masks, found, strict=True)]
    y, x = np.nonzero((alphas[0] > 0) & (alphas[0] < 255) & (alphas[1] > 0) & (alphas[1] < 255))
    shares = [np.asarray(a[y, x, None] / np.float32(255), np.float32) for a in alphas]
    new = [to_linear(np.full((1, 1, 3), v, np.uint8))[0] for v in (first, second)]
    pixel, covered = to_linear(photo)[y, x], np.zeros((len(y), 1), np.float32)
    laid = pixel
    for share, edge, color in zip(shares, found, new, strict=True):
        rows, columns = edge.spread.shape
        laid = rest(pixel, laid, share, covered, edge.colors[y * rows // H, x * columns // W]) + share * color
        covered = np.minimum(covered + share, 1)
    true = SHARE[y, x, None]
    return laid, new[0] * true + new[1] * (1 - true)


@pytest.mark.parametrize(
    ("first", "second", "mean", "largest"),
    [(30, 60, 0.001, 0.005), (60, 30, 0.001, 0.005), (230, 40, 0.01, 0.03), (40, 230, 0.01, 0.03)],
)
def test_nothing_of_either_is_left_between_two_surfaces_laid_anew(first: int, second: int, mean: float, largest: float):
    laid, true = laid_both(first, second)

    assert len(laid) > 500
    assert np.abs(laid - true).mean() < mean
    assert np.abs(laid - true).max() < largest


def test_what_is_more_than_is_left_of_the_photo_hides_what_was_laid_before():
    """A surface has 0.6 of a pixel of which another one has taken 0.7."""
    old, other, new = (to_linear(np.full((1, 1, 3), v, np.uint8))[0] for v in (200, 60, 120))
    colors = np.array([[200, 200, 200, 255, 60, 60, 60, 0]], np.uint8)
    share, covered = (np.full((1, 1), v, np.float32) for v in (0.6, 0.7))

    left = rest(0.3 * old + 0.7 * other, 0.3 * old + 0.7 * new, share, covered, colors)

    np.testing.assert_allclose(left, 0.4 * new, rtol=1e-4)


def test_what_covers_all_hides_what_was_laid_before():
    colors = np.array([[*WALL, 255, *LEAF, 0]], np.uint8)
    pixel, laid = (to_linear(np.full((1, 1, 3), v, np.uint8))[0] for v in (90, 200))
    half, whole = (np.full((1, 1), v, np.float32) for v in (0.5, 1.0))

    np.testing.assert_allclose(rest(pixel, laid, half, whole, colors), laid * 0.5, rtol=1e-6)
