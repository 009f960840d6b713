import numpy as np
import pytest

from services.catalog.domain.demo_range import ITEMS
from services.catalog.domain.product import Packaging
from services.catalog.seed import draw

TEXTURED = [i for i in ITEMS if i.draw is not None]


def test_the_range_has_forty_materials_sixteen_of_them_paints_each_with_its_own_sku():
    assert len(ITEMS) >= 40
    assert sum(i.category == "paint" for i in ITEMS) == 16
    assert len({i.sku for i in ITEMS}) == len(ITEMS)


@pytest.mark.parametrize(
    "word", ["plank", "parquet", "herringbone", "ceramic", "marble", "terrazzo", "brick", "carpet", "wallpaper"]
)
def test_every_kind_of_material_that_a_shop_needs_is_there(word: str):
    assert any(word in i.category for i in ITEMS)


@pytest.mark.parametrize("item", TEXTURED, ids=lambda i: i.sku)
def test_a_texture_goes_on_at_its_edges_as_it_does_inside(item):
    texture, width, height = item.texture()
    image = texture.astype(float)

    assert 0.2 < width < 3
    assert 0.2 < height < 3
    for axis in (0, 1):
        steps = np.abs(np.diff(image, axis=axis)).mean(tuple({0, 1, 2} - {axis}))
        seam = np.abs(np.take(image, 0, axis) - np.take(image, -1, axis)).mean()
        # Joints between boards and tiles are steps too, so the seam may be as strong as the strongest of them.
        assert seam <= steps.max() * 1.15 + 1.0


def test_a_texture_is_the_same_each_time():
    item = TEXTURED[0]

    np.testing.assert_array_equal(item.texture()[0], item.texture()[0])


@pytest.mark.parametrize("item", [i for i in TEXTURED if i.draw_face], ids=lambda i: i.sku)
def test_a_face_goes_on_at_its_edges_and_is_larger_than_its_pieces(item):
    face, width, height = item.face()
    image = face.astype(float)

    assert width >= max(item.piece_m)
    assert height >= 2 * min(item.piece_m)
    for axis in (0, 1):
        steps = np.abs(np.diff(image, axis=axis)).mean(tuple({0, 1, 2} - {axis}))
        seam = np.abs(np.take(image, 0, axis) - np.take(image, -1, axis)).mean()
        assert seam <= np.quantile(steps, 0.99) * 1.1 + 0.5


def test_pieces_cut_from_a_face_anywhere_differ():
    item = next(i for i in ITEMS if i.sku == "FLR-OAK-NATURAL")
    face, _, height = item.face()
    rows = round(item.piece_m[0] / height * len(face))

    tones = [face[k : k + rows].mean() for k in range(0, len(face) - rows, rows)]

    assert len(tones) >= 7
    assert np.std(tones) > 3


@pytest.mark.parametrize("item", ITEMS, ids=lambda i: i.sku)
def test_what_is_laid_in_a_pattern_has_a_face_and_everything_with_pieces_is_sold_in_something(item):
    assert (item.face() is not None) == (item.layout is not None)
    if "carpet" not in item.category:
        assert item.packaging != Packaging()


def test_boards_keep_their_real_width():
    item = next(i for i in ITEMS if i.sku == "FLR-OAK-NATURAL")
    texture, width, _ = item.texture()
    dark = texture.astype(float).mean((0, 2))

    # Joints are the dark columns; they lie one board apart.
    joints = np.flatnonzero(dark < np.quantile(dark, 0.02))
    pitch = np.median(np.diff(joints)[np.diff(joints) > 5]) * width / texture.shape[1]
    assert pitch == pytest.approx(item.piece_m[0], rel=0.03)


def test_paint_has_a_colour_and_no_texture():
    index = next(k for k, i in enumerate(ITEMS) if i.sku == "PNT-SAGE")

    product, pictures = draw(index)
    material = product.material

    assert pictures == {}
    assert material.texture_digest == ""
    assert material.color_rgb == (164 << 16 | 178 << 8 | 154)
