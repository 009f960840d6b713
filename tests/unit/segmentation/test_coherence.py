import numpy as np

from services.segmentation.domain.coherence import changed, coherent
from services.segmentation.domain.superpixels import Superpixels, superpixels

KINDS, FLOOR, WALL, DOOR = 7, 1, 2, 6
HEIGHT, WIDTH = 120, 200


def picture(*areas: tuple[slice, slice, int]) -> np.ndarray:
    """(120, 200, 3) grey, with areas of other greys, and a little noise."""
    out = np.full((HEIGHT, WIDTH, 3), 200, np.int16)
    for y, x, grey in areas:
        out[y, x] = grey
    noise = np.random.default_rng(0).integers(-2, 3, (HEIGHT, WIDTH, 1))
    return np.clip(out + noise, 0, 255).astype(np.uint8)


def told(kinds: np.ndarray, sure: np.ndarray | float) -> np.ndarray:
    """(7, 60, 100) of a network that says these kinds, so sure; all else is a wall."""
    p = np.full((KINDS, *kinds.shape), 0.01, np.float32)
    for kind in np.unique(kinds):
        p[kind] += np.where(kinds == kind, sure, 0)
    p[WALL] += 1 - p.sum(0)
    return (p / p.sum(0)).astype(np.float32)


def settle(parts: Superpixels, p: np.ndarray, normals: np.ndarray | None = None, junctions=None) -> np.ndarray:
    """(60, 100) kinds."""
    flat = np.zeros((3, 60, 100), np.float32) if normals is None else normals
    x = coherent(parts, p, flat, junctions)
    np.testing.assert_allclose(x.sum(1), 1, atol=1e-5)
    assert (x > 0).all()
    return parts.spread(x, 60, 100).argmax(0)


def test_a_patch_of_doubt_takes_after_what_it_hangs_together_with():
    wall = np.full((60, 100), WALL)
    doubt = wall.copy()
    doubt[20:35, 40:60] = DOOR  # on a wall of one colour
    sure = np.where(doubt == DOOR, 0.5, 0.9)

    kinds = settle(superpixels(picture(), cells=300), told(doubt, sure))

    assert (kinds == WALL).all()


def test_what_the_network_is_sure_of_stays():
    there = np.full((60, 100), WALL)
    there[20:45, 40:60] = DOOR

    kinds = settle(superpixels(picture(), cells=300), told(there, 0.97))

    assert (kinds[22:43, 42:58] == DOOR).mean() > 0.9
    assert (kinds[:15] == WALL).all()


def test_doubt_ends_at_the_edges_of_the_picture():
    """A cabinet of another colour: the network is sure of its left half alone, and a little for the wall on its right."""
    photo = picture((slice(30, 100), slice(60, 160), 120))
    there = np.full((60, 100), WALL)
    there[15:50, 30:55] = DOOR
    sure = np.full((60, 100), 0.95)
    sure[15:50, 55:80] = 0.5  # of the wall: the rest is the door's
    p = told(there, sure)
    p[DOOR, 15:50, 55:80], p[WALL, 15:50, 55:80] = 0.42, 0.5

    kinds = settle(superpixels(photo, cells=300), p)

    truth = np.full((60, 100), WALL)
    truth[15:50, 30:80] = DOOR
    assert (kinds == truth).mean() > 0.98


def test_where_colours_are_the_same_the_planes_keep_a_border():
    """A white wall above a white floor, of whose border the network is not sure."""
    there = np.full((60, 100), WALL)
    there[46:] = FLOOR  # sixteen rows too low
    sure = np.full((60, 100), 0.95)
    sure[30:46] = 0.45
    p = told(there, sure)
    p[FLOOR, 30:46], p[WALL, 30:46] = 0.44, 0.46
    normals = np.zeros((3, 60, 100), np.float32)
    normals[2, :30], normals[1, 30:] = -1, -1
    meet = np.zeros((60, 100), np.float32)
    meet[28:32] = 1
    parts = superpixels(picture(), cells=300)

    plain = settle(parts, p)
    kept = settle(parts, p, normals, meet)

    truth = np.where(np.arange(60)[:, None] < 30, WALL, FLOOR)
    assert (plain == truth).mean() < 0.92
    assert (kept == truth).mean() > 0.94


def test_a_picture_that_is_one_superpixel_is_left_alone():
    parts = superpixels(np.full((16, 16, 3), 90, np.uint8), cells=1)
    p = told(np.full((8, 8), FLOOR), 0.6)

    x = coherent(parts, p, np.zeros((3, 8, 8), np.float32), None)

    assert len(x) == len(parts.size)
    np.testing.assert_allclose(x, p[:, :1, 0].T.repeat(len(x), 0), atol=1e-3)


def test_means_and_spread_undo_each_other_on_superpixels():
    parts = superpixels(picture((slice(0, 60), slice(0, 100), 80)), cells=300)
    values = np.random.default_rng(1).random((len(parts.size), 3), np.float32)

    back = parts.means_of(parts.spread(values, HEIGHT, WIDTH))

    np.testing.assert_allclose(back, values, atol=1e-5)


def test_what_befalls_the_probabilities_of_the_network_befalls_superpixels():
    parts = superpixels(picture(), cells=300)
    settled = coherent(parts, told(np.full((60, 100), FLOOR), 0.6), np.zeros((3, 60, 100), np.float32), None)
    before = parts.spread(settled, 60, 100)
    after = before.copy()
    after[FLOOR, :30] = 1e-6  # no floor above the horizon

    same, fewer = changed(parts, settled, before, before), changed(parts, settled, before, after)

    np.testing.assert_allclose(same, settled, atol=1e-5)
    np.testing.assert_allclose(fewer.sum(1), 1, atol=1e-5)
    kinds = parts.spread(fewer, 60, 100).argmax(0)
    assert (kinds[:24] == WALL).mean() > 0.97
    assert (kinds[36:] == FLOOR).mean() > 0.97
