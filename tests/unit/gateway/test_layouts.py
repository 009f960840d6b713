import pytest

from roomviz.errors import InvalidArgument
from roomviz.v1 import layouts_pb2, products_pb2
from services.gateway.usecases.layouts import layout_of

GROUT = layouts_pb2.Grout(width_m=0.003, color_rgb=0x808080, depth_m=0.001)
TILE = products_pb2.Product(
    sku="TIL-1",
    material=products_pb2.Material(
        texture_digest="aa",
        face_digest="bb",
        layout=layouts_pb2.Layout(pattern="PATTERN_RUNNING_BOND", offset=0.25, grout=GROUT, bevel_m=0.001),
    ),
)
FACELESS = products_pb2.Product(sku="TIL-2", material=products_pb2.Material(texture_digest="aa"))
PAINT = products_pb2.Product(sku="PNT-1", material=products_pb2.Material())


def asked(pattern: str = "UNSPECIFIED", **fields) -> layouts_pb2.Layout:
    return layouts_pb2.Layout(pattern=f"PATTERN_{pattern}", **fields)


def test_without_a_layout_a_material_is_laid_as_it_says():
    assert layout_of(None, TILE) == TILE.material.layout
    assert layout_of(None, FACELESS) is None
    assert layout_of(None, PAINT) is None


def test_a_texture_is_laid_as_it_was_pictured():
    assert layout_of(asked("TEXTURE"), TILE) is None
    assert layout_of(asked("TEXTURE"), FACELESS) is None


def test_what_is_not_asked_is_the_materials():
    out = layout_of(asked(seed=5), TILE)

    assert (out.pattern, out.offset, out.seed) == (layouts_pb2.PATTERN_RUNNING_BOND, 0.25, 5)


def test_another_pattern_keeps_the_joints_and_forgets_what_the_first_pattern_needed():
    out = layout_of(asked("HERRINGBONE"), TILE)

    assert (out.pattern, out.offset, out.bevel_m) == (layouts_pb2.PATTERN_HERRINGBONE, 0, 0.001)
    assert out.grout == GROUT


def test_a_grout_is_taken_whole():
    out = layout_of(asked(grout=layouts_pb2.Grout(color_rgb=0xFF0000)), TILE)

    assert (out.grout.width_m, out.grout.color_rgb) == (0, 0xFF0000)


def test_a_pattern_needs_a_face_and_paint_has_no_pieces():
    with pytest.raises(InvalidArgument) as faceless:
        layout_of(asked("GRID"), FACELESS)
    with pytest.raises(InvalidArgument) as paint:
        layout_of(asked("GRID"), PAINT)

    assert faceless.value.reason == "PATTERN_WITHOUT_FACE"
    assert paint.value.reason == "LAYOUT_INVALID"


FAR = layouts_pb2.PlanePoint(x_m=1e9)
NOWHERE = layouts_pb2.PlanePoint(y_m=float("nan"))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"offset": float("nan")}, "offset"),
        ({"offset": -0.1}, "offset"),
        ({"min_stagger_m": float("inf")}, "min_stagger_m"),
        ({"angle_deg": 91}, "angle_deg"),
        ({"bevel_m": 0.02}, "bevel_m"),
        ({"grout": layouts_pb2.Grout(width_m=0.06)}, "grout.width_m"),
        ({"grout": layouts_pb2.Grout(depth_m=-1)}, "grout.depth_m"),
        ({"grout": layouts_pb2.Grout(color_rgb=1 << 24)}, "grout.color_rgb"),
        ({"origin": FAR}, "origin"),
        ({"phase": NOWHERE}, "phase"),
        ({"border": layouts_pb2.Border(width_m=0.2, piece_length_m=0.4, outline=[FAR] * 2)}, "border.outline"),
        ({"border": layouts_pb2.Border(width_m=0.2, outline=[FAR] * 3)}, "border.piece_length_m"),
        ({"match": 9}, "match"),
    ],
)
def test_numbers_out_of_range_are_refused_and_named(fields: dict, named: str):
    with pytest.raises(InvalidArgument) as refused:
        layout_of(asked("GRID", **fields), TILE)

    assert refused.value.reason == "LAYOUT_INVALID"
    assert refused.value.metadata["field"] == named


def test_an_unknown_pattern_is_refused():
    with pytest.raises(InvalidArgument, match="pattern"):
        layout_of(layouts_pb2.Layout(pattern=99), TILE)
