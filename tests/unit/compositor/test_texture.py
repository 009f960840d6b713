import numpy as np
import pytest

from roomviz.imaging.color import luminance
from roomviz.imaging.homography import project
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.texture import TAPS, finest_m, footprint, halved, lay, pyramid

# A floor seen from 1.4 m: x to the right, y towards the viewer, focal length 800 px, horizon at row 300.
FOCAL, HEIGHT_M = 800.0, 1.4
FLOOR = np.array([[FOCAL, 0, 512], [0, FOCAL, 300], [0, 0, 1.0]]) @ np.array(
    [[1.0, 0, 0], [0, 0, HEIGHT_M], [0, -1, 0]]
)


def checker(n: int = 256) -> np.ndarray:
    y, x = np.mgrid[0:n, 0:n] * 2 // n
    return np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, 2)


def test_the_footprint_inverts_the_projection():
    at = footprint(FLOOR, (400, 500, 64, 32))

    pixels = project(FLOOR, np.stack([at.x[5, 7], at.y[5, 7]])[None].astype(np.float64))

    np.testing.assert_allclose(pixels, [[400 + 7.5, 500 + 5.5]], atol=1e-3)


def test_tile_edges_lie_where_the_ideal_projection_puts_them():
    texture = pyramid(checker(), 1.0, 1.0)
    picture = luminance(lay(texture, footprint(FLOOR, (0, 420, 1024, 340))))

    errors = []
    for row in (100, 200, 320):
        at = footprint(FLOOR, (0, 420 + row, 1024, 1))
        y = float(at.y[0, 0])
        edges = np.arange(-3, 3.5, 0.5)
        ideal = project(FLOOR, np.stack([edges, np.full_like(edges, y)], 1))[:, 0]
        line = picture[row]
        cross = np.flatnonzero(np.diff(np.sign(line - 0.5)))
        found = cross + 0.5 + (0.5 - line[cross]) / (line[cross + 1] - line[cross])
        errors += [np.abs(found - x).min() for x in ideal[(ideal > 20) & (ideal < 1004)]]
    assert len(errors) > 12
    assert max(errors) <= 0.5


def test_far_away_a_fine_pattern_becomes_its_mean_and_not_noise():
    texture = pyramid(checker(), 0.02, 0.02)
    far = luminance(lay(texture, footprint(FLOOR, (0, 305, 1024, 10))))

    assert abs(float(far.mean()) - 0.5) < 0.03
    assert float(far.std()) < 0.05


@pytest.mark.parametrize("shift", [0, 7, 1000])
def test_the_texture_goes_on_without_a_seam(shift: int):
    ramp = np.sin(np.linspace(0, 2 * np.pi, 128, endpoint=False)) * 100 + 128
    image = np.repeat(np.tile(ramp.astype(np.uint8), (128, 1))[..., None], 3, 2)
    flat = np.diag([64.0, 64.0, 1.0])  # 64 pixels a metre
    moved = flat @ np.array([[1.0, 0, -shift], [0, 1, 0], [0, 0, 1]])

    row = luminance(lay(pyramid(image, 2.0, 2.0), footprint(moved, (0, 10, 512, 1))))[0]

    assert np.abs(np.diff(row)).max() < 0.06
    np.testing.assert_allclose(row[:128], row[128:256], atol=0.01)


def test_the_finest_that_a_box_reads_is_found_without_looking_at_each_pixel():
    for box in ((0, 420, 1024, 340), (100, 330, 300, 40), (3, 700, 9, 5)):
        at = footprint(FLOOR, box)
        taps = np.clip(np.floor(at.long / at.short + 0.8), 1, TAPS)
        true = float(np.maximum(at.long / taps, at.short).min())

        assert finest_m(FLOOR, box) == pytest.approx(true, rel=0.1)


def test_a_smaller_copy_shows_the_same_where_its_finest_level_is_enough():
    texture = np.random.default_rng(1).integers(0, 256, (512, 384, 3), np.uint8)
    box = (0, 420, 1024, 340)
    finest = finest_m(FLOOR, box)
    side = 0.9 * finest / 2  # of a texel, metres
    width, height = 384 * side, 512 * side

    whole = lay(pyramid(texture, width, height), footprint(FLOOR, box))
    small = lay(pyramid(halved(texture), width, height), footprint(FLOOR, box))

    assert halved(texture).shape == (256, 192, 3)
    np.testing.assert_allclose(small, whole, atol=0.01)  # a copy is rounded to 8 bits


def test_through_a_lens_a_footprint_is_what_a_step_of_a_pixel_is_on_the_plane():
    lens = Lens.of(768, 1024, FOCAL, 0.08)
    at, straight = (footprint(FLOOR, (20, 600, 64, 64), lens=by) for by in (lens, STRAIGHT))
    pixel, step = np.array([20 + 40.5, 600 + 50.5]), np.eye(2) * 1e-3

    def metres(p: np.ndarray) -> np.ndarray:
        return project(np.linalg.inv(FLOOR), lens.straight(p[None]))[0]

    jacobian = np.stack([(metres(pixel + s) - metres(pixel - s)) / 2e-3 for s in step], 1)

    long, short = np.linalg.svd(jacobian)[1]
    np.testing.assert_allclose([at.x[50, 40], at.y[50, 40]], metres(pixel), rtol=1e-5)
    np.testing.assert_allclose([at.long[50, 40], at.short[50, 40]], [long, short], rtol=1e-4)
    assert abs(straight.short[50, 40] / short - 1) > 0.02
    assert finest_m(FLOOR, (0, 600, 1024, 168), lens) > 1.01 * finest_m(FLOOR, (0, 600, 1024, 168))
