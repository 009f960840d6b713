import numpy as np
import pytest

from roomviz.errors import InvalidArgument
from roomviz.v1 import layouts_pb2, products_pb2
from services.compositor.domain import layout as d
from services.compositor.transport.layouts import layout_from_proto

CORNER = layouts_pb2.PlanePoint(x_m=1, y_m=1)
BOARD = products_pb2.Material(piece_width_m=0.1, piece_length_m=0.6, face_width_m=2, face_height_m=1.5)


def laid(pattern: str, material: products_pb2.Material = BOARD, turned: float = 0.0, **fields) -> d.Layout:
    return layout_from_proto(layouts_pb2.Layout(pattern=f"PATTERN_{pattern}", **fields), material, turned)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("GRID", d.Bond(0.6, 0.1, 0.002)),
        ("RUNNING_BOND", d.Bond(0.6, 0.1, 0.002, 0.5)),
        ("RANDOM_BOND", d.Bond(0.6, 0.1, 0.002, random_stagger_m=0.6 * (1 / 3))),
        ("HERRINGBONE", d.Herringbone(0.6, 0.1, 0.002)),
        ("CHEVRON", d.Chevron(0.6, 0.1, 45, 0.002)),
        ("BASKET_WEAVE", d.BasketWeave(0.1, 6, 0.002)),
        ("VERSAILLES", d.Versailles(0.1, 0.002)),
        ("HEXAGON", d.Hexagon(0.1, 0.002)),
        ("PENNY", d.Penny(0.1, 0.002)),
        ("PLANK", d.Planks(0.1, (0.6,), 0.6 * (1 / 3), 0.002)),
        ("WALLPAPER", d.Wallpaper(0.1, 1.5)),
        ("MURAL", d.Mural(2, 1.5, 0.1)),
        ("CARPET", d.Carpet()),
    ],
)
def test_a_pattern_has_the_sizes_of_the_materials_pieces(pattern: str, wanted: d.Pattern):
    assert laid(pattern, grout=layouts_pb2.Grout(width_m=0.002)).pattern == wanted


def test_a_customers_own_pattern_comes_in_strips_as_wide_as_it_is():
    own = products_pb2.Material(face_width_m=0.8, face_height_m=0.6)

    found = laid("WALLPAPER", own, match="WALLPAPER_MATCH_HALF_DROP")

    assert found.pattern == d.Wallpaper(0.8, 0.6, d.Match.HALF_DROP)


def test_every_pattern_of_the_wire_is_known_or_refused():
    for value in layouts_pb2.Pattern.values():
        name = layouts_pb2.Pattern.Name(value).removeprefix("PATTERN_")
        if name in ("UNSPECIFIED", "TEXTURE"):
            with pytest.raises(InvalidArgument, match="ask for a pattern"):
                laid(name)
        else:
            laid(name)


def test_what_a_layout_says_of_the_pattern_is_kept():
    origin, phase = layouts_pb2.PlanePoint(x_m=1, y_m=2), layouts_pb2.PlanePoint(x_m=0.1, y_m=0.2)

    found = laid("RUNNING_BOND", turned=30, offset=1 / 3, origin=origin, phase=phase, seed=7)

    assert found == d.Layout(d.Bond(0.6, 0.1, 0, 1 / 3), 1, 2, 30, 0.1, 0.2, 7)


def test_planks_run_down_the_picture():
    located = d.locate(laid("PLANK"), np.zeros(1), np.zeros(1))

    assert located.rotation == 90


def test_boards_of_random_lengths_lie_no_shorter_than_the_shortest():
    layout = laid("PLANK", min_length_m=0.3)

    pattern = layout.pattern
    assert isinstance(pattern, d.Planks)
    assert (min(pattern.lengths_m), max(pattern.lengths_m)) == (0.3, 0.6)
    laid_lengths = np.ptp(d.outlines(layout, (0, 0, 6, 6)).local[..., 0], axis=1)
    np.testing.assert_allclose(np.unique(laid_lengths.round(4)), pattern.lengths_m, atol=1e-4)


def test_a_mural_stands_on_the_floor_of_a_wall():
    located = d.locate(laid("MURAL"), np.array([0.0, 0.0, 0.0]), np.array([-0.01, -1.49, 0.01]))

    assert list(located.piece >= 0) == [True, True, False]


def test_a_border_runs_around_its_field():
    corners = [layouts_pb2.PlanePoint(x_m=x, y_m=y) for x, y in ((0, 0), (3, 0), (3, 2), (0, 2))]
    border = layouts_pb2.Border(width_m=0.2, piece_length_m=0.4, outline=corners)

    found = laid("GRID", turned=45, border=border)

    assert isinstance(found.pattern, d.Bordered)
    assert found.pattern.field == d.Layout(d.Bond(0.6, 0.1), rotation_deg=45)
    alone = layout_from_proto(
        layouts_pb2.Layout(pattern="PATTERN_GRID", border=border), products_pb2.Material(), 45, border_alone=True
    )
    assert alone == d.Layout(d.Bordered(found.pattern.outline, 0.2, 0.4, None))


@pytest.mark.parametrize(
    ("pattern", "fields", "advice"),
    [
        ("RUNNING_BOND", {"offset": 1.5}, "shifted by 0 to below 1"),
        ("PLANK", {"min_stagger_m": 0.5}, "half of the shortest board"),
        ("PLANK", {"min_length_m": 0.7}, "0.6 m long at most"),
        ("CHEVRON", {"angle_deg": 80}, "at most 75"),
        (
            "GRID",
            {"border": layouts_pb2.Border(width_m=0.1, piece_length_m=0.2, outline=[CORNER] * 2)},
            "three corners",
        ),
        ("GRID", {"origin": layouts_pb2.PlanePoint(x_m=float("nan"))}, "finite"),
    ],
)
def test_what_cannot_be_laid_is_refused_with_what_to_change(pattern: str, fields: dict, advice: str):
    with pytest.raises(InvalidArgument, match=advice) as refused:
        laid(pattern, **fields)

    assert refused.value.reason == "LAYOUT_INVALID"


def test_square_pieces_make_no_basket():
    with pytest.raises(InvalidArgument, match="twice as long as wide"):
        laid("BASKET_WEAVE", products_pb2.Material(piece_width_m=0.3, piece_length_m=0.3))


def test_goods_without_pieces_are_not_laid_in_pieces():
    with pytest.raises(InvalidArgument, match="wider than 0"):
        laid("HERRINGBONE", products_pb2.Material(face_width_m=1, face_height_m=1))
