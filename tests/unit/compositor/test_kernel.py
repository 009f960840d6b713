"""The compiled pass against what reference.py says a picture is."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomviz.imaging.color import linear_from_rgb24, to_linear, to_srgb
from roomviz.imaging.homography import rotated
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain import kernel
from services.compositor.domain.plate import plate
from services.compositor.domain.reference import Layer, compose
from services.compositor.domain.shading import light_in
from services.compositor.domain.texture import Pyramid, pyramid

RNG = np.random.default_rng(0)
H, W = 450, 615
ROOM = RNG.integers(60, 200, (H, W, 3), np.uint8)
CARD = to_srgb(np.asarray(RNG.uniform(0.1, 0.4, (18, 24, 3)), np.float32))
NO_WHITE = np.zeros((H, W), bool)
FLOOR = np.array([[480.0, 0, 300], [0, 480, 90], [0, 0, 1.0]]) @ np.array([[1.0, 0, 0], [0, 0, 1.4], [0, -1, 0]])
# Smooth enough that neighbouring texels are alike, as in any photographed material.
BOARDS = np.repeat(RNG.integers(60, 190, (12, 16, 3)), 8, 0).repeat(8, 1).astype(np.uint8)
WOOD = pyramid(BOARDS, 1.3, 0.9)


def mask(x: int, y: int, w: int, h: int) -> np.ndarray:
    alpha = np.zeros((H, W), np.uint8)
    alpha[y : y + h, x : x + w] = 255
    alpha[y : y + h, x : x + 2] = 100
    return alpha


def lay(
    alpha: np.ndarray,
    texture: Pyramid | None,
    color: int,
    turn: float,
    parts: int,
    finish: str = "matte",
    lens: Lens = STRAIGHT,
) -> np.ndarray:
    out = ROOM.copy()
    light, plane = light_in(ROOM, NO_WHITE, CARD), FLOOR if texture else None
    on = plate(ROOM, alpha, "floor", light, plane, texture is None, finish, lens=lens)
    texels = kernel.texels(texture.levels) if texture else kernel.paint(linear_from_rgb24(color))
    repeat = (texture.width_m, texture.height_m) if texture else (1.0, 1.0)
    for part in kernel.lay(out, on, texels, repeat, turn, parts):
        part()
    return out


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 300),
    st.integers(150, 330),
    st.integers(3, 300),
    st.integers(1, 120),
    st.floats(-200, 200),
    st.booleans(),
    st.sampled_from(["matte", "satin", "polished"]),
    st.floats(-0.06, 0.06),
)
def test_the_kernel_comes_to_what_the_reference_says(
    x: int, y: int, w: int, h: int, turn: float, textured: bool, finish: str, bend: float
):
    alpha = mask(x, y, w, h)
    # Turning the pattern does not turn what is mirrored: only the plane's normal matters there.
    plane = rotated(FLOOR, turn) if textured else None
    wanted = Layer("floor", alpha, plane, WOOD if textured else None, linear_from_rgb24(0x806040), finish=finish)

    lens = Lens.of(H, W, 480.0, bend)

    found = lay(alpha, WOOD if textured else None, 0x806040, turn, 1, finish, lens)

    difference = np.abs(found.astype(int) - compose(ROOM, [wanted], NO_WHITE, CARD, lens=lens))
    # Where the number of taps changes, a block of pixels may change some pixels earlier than each of them would.
    assert np.quantile(difference[alpha > 0], 0.99) <= 8
    assert difference[alpha > 0].mean() < 1.0
    np.testing.assert_array_equal(found[alpha == 0], ROOM[alpha == 0])


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_make_the_same_picture(parts: int):
    alpha = mask(30, 180, 450, 240)

    np.testing.assert_array_equal(lay(alpha, WOOD, 0, 20, parts), lay(alpha, WOOD, 0, 20, 1))


@pytest.mark.parametrize("step", [1, 2, 4])
def test_what_is_mirrored_is_added_between_its_points(step: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.compositor.domain.sheen.SIDE", 620 // step)
    alpha = mask(33, 180, 451, 240)
    wanted = Layer("floor", alpha, FLOOR, WOOD, linear_from_rgb24(0), finish="polished")

    found = lay(alpha, WOOD, 0, 0, 3, "polished")

    difference = np.abs(found.astype(int) - compose(ROOM, [wanted], NO_WHITE, CARD))
    assert difference[alpha > 0].mean() < 1.0
    assert (found.astype(int) - lay(alpha, WOOD, 0, 0, 3, "matte"))[alpha == 255].mean() > 2


def test_a_texture_needs_a_plane():
    alpha = mask(30, 180, 150, 120)
    on = plate(ROOM, alpha, "floor", light_in(ROOM, NO_WHITE, CARD), None, False)

    with pytest.raises(ValueError, match="plane"):
        kernel.lay(ROOM.copy(), on, kernel.texels(WOOD.levels))


def test_a_texture_too_large_for_the_kernels_numbers_is_refused():
    with pytest.raises(ValueError, match="4095"):
        kernel.texels((np.zeros((1, 4096, 3), np.float32),))


def test_work_holds_on_to_all_that_it_points_to(monkeypatch: pytest.MonkeyPatch):
    alpha = mask(100, 180, 300, 120)
    wanted = lay(alpha, WOOD, 0, 0.0, 1)
    found = ROOM.copy()
    # As where many threads lay their first material at once, and each makes tables of its own.
    monkeypatch.setattr(kernel, "_tables", kernel._tables.__wrapped__)
    on = plate(ROOM, alpha, "floor", light_in(ROOM, NO_WHITE, CARD), FLOOR, False)
    (part,) = kernel.lay(found, on, kernel.texels(WOOD.levels), (WOOD.width_m, WOOD.height_m))
    others = [np.full(n, 77, np.uint8) for n in (256, 65536, 16384, 1024) for _ in range(200)]

    part()

    np.testing.assert_array_equal(found, wanted)
    assert others


@pytest.mark.parametrize("shape", [(64, 48), (37, 90), (1, 5), (1, 1)])
def test_a_textures_numbers_are_those_of_its_pyramid(shape: tuple[int, int]):
    texture = np.random.default_rng(2).integers(0, 256, (*shape, 3), np.uint8)

    made, wanted = kernel.texels_of(texture), kernel.texels(pyramid(texture, 1.0, 1.0).levels)

    assert [level.shape for level in made.levels] == [level.shape for level in wanted.levels]
    for a, b in zip(made.levels, wanted.levels, strict=True):
        np.testing.assert_allclose(a[..., :3].astype(int), b[..., :3], atol=3)  # each halving rounds


def test_a_texture_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="4095"):
        kernel.texels_of(np.zeros((4096, 2, 3), np.uint8))


@pytest.mark.parametrize("texture", [None, WOOD])
def test_soft_edges_before_a_thing_of_another_color_are_those_of_the_reference(texture: Pyramid | None):
    share = np.ones((H, W), np.float32)
    cv2.ellipse(share, (320, 300), (90, 60), 20, 0, 360, 0, -1)
    share = np.asarray(cv2.GaussianBlur(share, (0, 0), 1.2), np.float32)
    share[:200] = 0
    room = to_srgb(
        to_linear(np.full((H, W, 3), (190, 170, 150), np.uint8)) * share[..., None]
        + (1 - share[..., None]) * np.float32(0.02)
    )
    alpha = np.asarray(np.clip(share * 1.1 - 0.05, 0, 1) * 255 + 0.5, np.uint8)
    light, plane = light_in(room, NO_WHITE, CARD), FLOOR if texture else None
    on = plate(room, alpha, "floor", light, plane, texture is None)
    out = room.copy()
    color = linear_from_rgb24(0x204050)
    texels = kernel.texels(texture.levels) if texture else kernel.paint(color)
    repeat = (texture.width_m, texture.height_m) if texture else (1.0, 1.0)

    for part in kernel.lay(out, on, texels, repeat, 0.0, 1):
        part()

    expected = compose(room, [Layer("floor", alpha, plane, texture, color)], NO_WHITE, CARD)
    soft = (on.alpha > 0) & (on.alpha < 255)
    x, y, w, h = on.box
    assert on.sides[..., 3].any()
    assert soft.sum() > 500
    apart = np.abs(out[y : y + h, x : x + w].astype(int) - expected[y : y + h, x : x + w])[soft]
    assert apart.max() <= 2


def two_surfaces() -> tuple[np.ndarray, list[np.ndarray]]:
    """A pale room whose floor and wall meet in a slanting edge that pixels show both sides of; their masks, which overlap."""
    fine = np.zeros((2 * H, 2 * W), np.float32)
    cv2.fillPoly(fine, [np.array([[0, 620], [1230, 500], [1230, 900], [0, 900]])], 1.0)
    share = np.asarray(
        cv2.GaussianBlur(cv2.resize(fine, (W, H), interpolation=cv2.INTER_AREA), (0, 0), 1.0), np.float32
    )
    floor, wall = (to_linear(np.full((1, 1, 3), v, np.uint8)) for v in (190, 230))
    room = to_srgb(np.asarray(floor * share[..., None] + wall * (1 - share[..., None]), np.float32))
    lower = np.asarray(share * 255 + 0.5, np.uint8)
    return room, [255 - np.roll(lower, 2, 0), lower]


@pytest.mark.parametrize("pick", [(0, 1), (1, 0)])
def test_several_layers_are_those_of_the_reference(pick: tuple[int, int]):
    room, masks = two_surfaces()
    kinds, colors = ("wall", "floor"), [linear_from_rgb24(v) for v in (0x203040, 0x405030)]
    light = light_in(room, NO_WHITE, CARD)
    out, under = room.copy(), kernel.Under(room, np.zeros((H, W), np.uint8))

    for k in pick:
        on = plate(room, masks[k], kinds[k], light, None, True)
        for part in kernel.lay(out, on, kernel.paint(colors[k]), parts=2, under=under):
            part()

    expected = compose(room, [Layer(kinds[k], masks[k], None, None, colors[k]) for k in pick], NO_WHITE, CARD)
    apart = np.abs(out.astype(int) - expected)
    both = (masks[0] > 0) & (masks[1] > 0) & ((masks[0] < 255) | (masks[1] < 255))
    assert both.sum() > 1500
    assert apart[both].max() <= 3
    assert np.quantile(apart, 0.999) <= 2
    # Dark paint on both sides of the edge: nothing there is paler than they are.
    assert out[both].max() <= max(out[m == 255].max() for m in masks)
    assert (under.covered[(masks[0] == 255) | (masks[1] == 255)] == 255).all()


def test_without_what_was_under_it_a_layer_alone_is_the_same():
    room, masks = two_surfaces()
    on = plate(room, masks[1], "floor", light_in(room, NO_WHITE, CARD), None, True)
    alone, first = room.copy(), room.copy()
    under = kernel.Under(room, np.zeros((H, W), np.uint8))

    for out, before in ((alone, None), (first, under)):
        for part in kernel.lay(out, on, kernel.paint(linear_from_rgb24(0x405030)), under=before):
            part()

    np.testing.assert_array_equal(alone, first)
    x, y, w, h = on.box
    np.testing.assert_array_equal(under.covered[y : y + h, x : x + w], on.alpha)
