"""Pieces on a plate: the compiled pass against reference.py, and what both owe to the layout."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomviz.imaging.color import linear_from_rgb24, to_linear, to_srgb
from roomviz.imaging.lens import Lens
from services.compositor.domain import kernel, layout_kernel
from services.compositor.domain import layout as d
from services.compositor.domain.layout_plate import (
    COUNTS,
    WHOLE,
    LayoutPlate,
    Pieces,
    joined,
    layout_plate,
    looked_up,
    spread,
)
from services.compositor.domain.plate import Plate, plate
from services.compositor.domain.reference import Layer, compose
from services.compositor.domain.shading import light_in, scene_light
from services.compositor.domain.texture import pyramid

RNG = np.random.default_rng(0)
H, W = 330, 420
LENS = Lens.of(H, W, 420.0, 0.04)
ROOM = RNG.integers(90, 170, (H, W, 3), np.uint8)
CARD = to_srgb(np.full((18, 24, 3), 0.3, np.float32))
NO_WHITE = np.zeros((H, W), bool)
# A floor seen from 1.4 m: a pixel is 4 mm wide in front, and 10 cm long at the far end.
FLOOR = np.array([[420.0, 0, 210], [0, 420, 40], [0, 0, 1.0]]) @ np.array([[1.0, 0, 0], [0, 0, 1.4], [0, -1, 0]])
FACE = pyramid(np.repeat(np.repeat(RNG.integers(70, 180, (12, 12, 3)), 8, 0), 8, 1).astype(np.uint8), 0.9, 0.9)
SOURCE = d.Source(0.9, 0.9)
GROUT = 0x404850
LAYOUTS = {
    "grid": d.Layout(d.Bond(0.3, 0.3, 0.004), rotation_deg=20),
    "planks": d.Layout(d.Planks(0.15, (0.9,), 0.3), rotation_deg=90),
    "herringbone": d.Layout(d.Herringbone(0.4, 0.08), rotation_deg=45),
    "chevron": d.Layout(d.Chevron(0.4, 0.08, 45, 0.002)),
    "basket": d.Layout(d.BasketWeave(0.06, 4, 0.002)),
    "versailles": d.Layout(d.Versailles(0.2, 0.004)),
    "hexagon": d.Layout(d.Hexagon(0.15, 0.004)),
    "penny": d.Layout(d.Penny(0.08, 0.004)),
    "wallpaper": d.Layout(d.Wallpaper(0.53, 0.9, d.Match.HALF_DROP, True)),
    "mural": d.Layout(d.Mural(0.9, 0.9, 0.3), -0.4, -2.5, 15),
    "carpet": d.Layout(d.Carpet(), rotation_deg=30),
    "border": d.Layout(
        d.Bordered(((-1, -4), (1, -4), (1, -1.6), (-1, -1.6)), 0.2, 0.4, d.Layout(d.Bond(0.2, 0.2, 0.004)), 0.004)
    ),
}


def mask() -> np.ndarray:
    alpha = np.zeros((H, W), np.uint8)
    alpha[52:, 10:-7] = 255
    alpha[52:, 10:13] = 90
    return alpha


def on(alpha: np.ndarray) -> Plate:
    return plate(ROOM, alpha, "floor", light_in(ROOM, NO_WHITE, CARD), FLOOR, False, lens=LENS)


def laid(pieces: Pieces, alpha: np.ndarray, rows: int = 1) -> LayoutPlate:
    under = on(alpha)
    ends = np.linspace(0, under.box[3], rows + 1).astype(int)
    return joined([layout_plate(under, pieces, int(a), int(b)) for a, b in pairwise(ends)])


def rendered(pieces: Pieces, alpha: np.ndarray, face=FACE, grout: int = GROUT) -> np.ndarray:
    out = ROOM.copy()
    joints = kernel.Joined(laid(pieces, alpha), linear_from_rgb24(grout))
    size, seen = (face.width_m, face.height_m), replace(on(alpha), alpha=joints.plate.alpha)
    for part in kernel.lay(out, seen, kernel.texels(face.levels), size, 0.0, 2, joints):
        part()
    return out


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_kernel_lays_pieces_as_the_reference_does(name: str):
    alpha, pieces = mask(), Pieces(LAYOUTS[name], SOURCE, 0.002, 0.001)
    wanted = Layer("floor", alpha, FLOOR, FACE, linear_from_rgb24(GROUT), pieces)

    found = rendered(pieces, alpha)

    difference = np.abs(found.astype(int) - compose(ROOM, [wanted], NO_WHITE, CARD, lens=LENS))
    assert difference[alpha > 0].mean() < 1.0
    # At the edges of pieces the reference looks at more points than the kernel does.
    assert np.quantile(difference[alpha > 0], 0.99) <= 12
    np.testing.assert_array_equal(found[alpha == 0], ROOM[alpha == 0])


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(sorted(LAYOUTS)), st.integers(2, 5))
def test_rows_made_apart_are_those_made_together(name: str, rows: int):
    pieces = Pieces(LAYOUTS[name], SOURCE, 0.002)

    apart, together = laid(pieces, mask(), rows), laid(pieces, mask())

    for field in ("alpha", "entry", "frame", "first", "taps", "shares"):
        np.testing.assert_array_equal(getattr(apart, field), getattr(together, field))


def test_beside_a_mural_the_photo_stays_to_the_bit():
    alpha, layout = mask(), LAYOUTS["mural"]
    at = np.linalg.inv(FLOOR)
    x, y = LENS.straight_at(*(np.mgrid[0:H, 0:W][::-1] + 0.5))
    p = np.einsum("ij,jhw->ihw", at, np.stack([x, y, np.ones_like(x)]))
    located = d.locate(layout, p[0] / p[2], p[1] / p[2])
    beside = (located.piece == d.NO_PIECE) & (located.distance < -0.15)

    out = rendered(Pieces(layout, SOURCE), alpha)

    assert (beside & (alpha > 0)).sum() > 1000
    np.testing.assert_array_equal(out[beside], ROOM[beside])
    assert (out[(located.piece != d.NO_PIECE) & (alpha == 255)] != 0).any()


@pytest.mark.parametrize("width_m", [0.2, 0.06, 0.03])
def test_a_border_alone_is_seen_all_along_also_where_it_is_narrower_than_a_block(width_m: float):
    outline = ((-1, -4), (1, -4), (1, -1.6), (-1, -1.6))
    alone = d.Layout(d.Bordered(outline, width_m, 0.4, None, 0.004))
    alpha = np.zeros((H, W), np.uint8)
    alpha[52:, 10:-7] = 255
    x, y = LENS.straight_at(*(np.mgrid[0:H, 0:W][::-1] + 0.5))
    p = np.einsum("ij,jhw->ihw", np.linalg.inv(FLOOR), np.stack([x, y, np.ones_like(x)]))
    located = d.locate(alone, p[0] / p[2], p[1] / p[2])

    found = laid(Pieces(alone, SOURCE), alpha)

    on_it = (located.piece != d.NO_PIECE) & (alpha > 0)
    box = on(alpha).box
    shown = np.zeros((H, W), np.uint8)
    shown[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = found.alpha
    assert on_it.sum() > 400
    assert (shown[on_it] == 0).mean() < 0.02
    far = (located.piece == d.NO_PIECE) & np.isfinite(located.distance) & (located.distance > 0.2)
    assert not shown[far].any()


def test_a_layout_of_one_piece_is_its_picture_laid_as_a_texture():
    alpha = mask()
    plain = ROOM.copy()
    for part in kernel.lay(plain, on(alpha), kernel.texels(FACE.levels), (0.9, 0.9), 30.0):
        part()

    out = rendered(Pieces(LAYOUTS["carpet"], SOURCE), alpha)

    assert (laid(Pieces(LAYOUTS["carpet"], SOURCE), alpha).entry == WHOLE).all()
    assert np.abs(out.astype(int) - plain).max() <= 3


def test_far_away_joints_and_pieces_have_their_mean():
    face = pyramid(np.full((8, 8, 3), 200, np.uint8), 0.9, 0.9)
    albedo = float(face.levels[0].mean())
    layout = d.Layout(d.Herringbone(0.05, 0.0125, 0.002), rotation_deg=45)
    alpha = np.zeros((H, W), np.uint8)
    alpha[46:56] = 255  # 36 to 90 m away

    def light(layout: d.Layout, grout: int) -> float:
        return float(scene_light(to_linear(rendered(Pieces(layout, SOURCE), alpha, face, grout)))[46:56].mean())

    face_alone, black, white = light(d.Layout(d.Carpet()), 0), light(layout, 0), light(layout, 0xFFFFFF)

    share = d.grout_fraction(layout)
    assert black / face_alone == pytest.approx(1 - share, rel=0.015)
    assert white / face_alone == pytest.approx(1 - share + share / albedo, rel=0.015)


@given(st.sampled_from([4, 8, 16]))
def test_points_are_spread_evenly(count: int):
    for axis in spread(count):
        np.testing.assert_allclose(np.sort(axis), (np.arange(count) + 0.5) / count - 0.5)


def test_a_layout_needs_a_plane():
    alpha = mask()
    flat = plate(ROOM, alpha, "floor", light_in(ROOM, NO_WHITE, CARD), None, True)

    with pytest.raises(ValueError, match="plane"):
        layout_plate(flat, Pieces(LAYOUTS["grid"], SOURCE), 0, 10)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_surface_of_a_few_pixels_is_laid_too(name: str):
    alpha = np.zeros((H, W), np.uint8)
    alpha[200, 100:103] = 255

    # More parts than rows: some are empty.
    made = laid(Pieces(LAYOUTS[name], SOURCE, 0.002), alpha, rows=3)

    assert made.entry.shape == (1, 1)
    assert made.alpha.shape == (1, 3)


RECTANGULAR = {
    "running bond": d.Bond(0.3, 0.15, 0.004, 1 / 3),
    "no joint": d.Bond(0.3, 0.15),
    "random stagger": d.Bond(0.6, 0.12, 0.002, random_stagger_m=0.15),
    "herringbone": d.Herringbone(0.4, 0.09, 0.001),
    "basket": d.BasketWeave(0.06, 3, 0.002),
    "versailles": d.Versailles(0.2, 0.004),
    "planks": d.Planks(0.15, d.lengths_between(0.6, 1.8), 0.2, 0.002),
}


@pytest.mark.parametrize("name", RECTANGULAR)
@settings(deadline=None, max_examples=8)
@given(
    st.floats(-180, 180),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.integers(0, 2**40),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.003]),
)
def test_the_compiled_look_up_tells_what_numpy_tells(
    name: str, turn: float, x: float, y: float, seed: int, turned: bool, seamless: bool, bevel: float
):
    layout = d.Layout(RECTANGULAR[name], x, y, turn, 0.1 * x, 0.2 * y, seed)
    source = d.Source(0.9, 1.1, turned, seamless, 64, turned, seamless)
    pieces, under = Pieces(layout, source, bevel, 0.002), on(mask())
    assert layout_kernel.knows(layout.pattern)
    rows, columns = (a.ravel() for a in np.mgrid[8:270:9, 2:24:3])
    prints = under.footprints[rows, columns].astype(np.float64)
    first = np.concatenate([[0], np.cumsum(np.resize(COUNTS, len(rows)))]).astype(np.int32)

    taps, shares = layout_kernel.look_up(
        under.plane_from_pixel, under.lens, layout, source, (bevel, 0.002), (rows, columns), prints, first
    )

    wanted, shares_wanted, _ = looked_up(under.plane_from_pixel, under.lens, pieces, (rows, columns), prints, first)
    # On an edge single precision may tell either piece; a face repeats, so that 65535 lies beside 0.
    apart = np.abs(taps.astype(int) - wanted)
    apart = np.minimum(apart, 65536 - apart).max(1)
    assert np.mean(apart > 8) < 0.005
    # The same points, since where all of them lie in one piece that piece alone is asked for.
    away = np.abs(shares.astype(int) - shares_wanted)
    assert np.mean(away > 60) < 0.005
    assert 0 < (shares[:, 1] > 0).mean() <= 1 or not layout.pattern.grout_m
