"""Pictures of several layers, over the real renderer and pictures in memory."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from roomviz.imaging.color import to_linear, to_srgb
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.v1 import layouts_pb2, rooms_pb2
from services.compositor.transport.messages import order_of
from services.compositor.usecases.picture import MakePicture
from tests.unit.compositor.test_receipts import PREVIEW, H, Stored, W, fresh, output, spec  # noqa: F401

GREY = 0x3C3C3C


def lower() -> np.ndarray:
    """(H, W) float32: how much of each pixel is floor; a slanting edge, which a chair's dark leg stands before."""
    fine = np.zeros((4 * H, 4 * W), np.float32)
    cv2.fillPoly(fine, [np.array([[0, 640], [4 * W, 500], [4 * W, 4 * H], [0, 4 * H]])], 1.0)
    return np.asarray(cv2.GaussianBlur(cv2.resize(fine, (W, H), interpolation=cv2.INTER_AREA), (0, 0), 0.8), np.float32)


SHARE = lower()
LEG = np.zeros((H, W), np.float32)
LEG[200:, 180:220] = 1
LEG = np.asarray(cv2.GaussianBlur(LEG, (0, 0), 1.0), np.float32)
FLOOR, WALL = SHARE * (1 - LEG), (1 - SHARE) * (1 - LEG)


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pale room whose floor and wall meet in an edge that pixels show both sides of."""
    floor, wall, leg = (to_linear(np.full((1, 1, 3), v, np.uint8)) for v in (190, 230, 60))
    light = floor * FLOOR[..., None] + wall * WALL[..., None] + leg * LEG[..., None]
    before = Stored.__init__

    def init(self: Stored) -> None:
        before(self)
        self.kept["photo"] = to_srgb(np.asarray(light, np.float32))
        self.kept["floor"], self.kept["wall"] = (np.asarray(m * 255 + 0.5, np.uint8) for m in (FLOOR, WALL))
        self.kept["light"] = np.full((12, 16, 3), 150, np.uint8)
        self.kept["textures/t.png"] = np.full((8, 8, 3), GREY & 255, np.uint8)

    monkeypatch.setattr(Stored, "__init__", init)


def painted(*layers: tuple[str, int]) -> compositor_pb2.RenderSpec:
    out, floor = spec(), spec().layers[0].surface
    for field in ("layers", "things"):
        out.ClearField(field)
    for key, color in layers:
        layer = out.layers.add(mask_key=key)
        layer.surface.CopyFrom(floor)
        layer.surface.surface_id = f"{key}-1"
        if key == "wall":
            layer.surface.kind = rooms_pb2.SURFACE_KIND_WALL
            layer.surface.ClearField("plane")
        layer.material.color_rgb = color
    return out


async def picture(make: MakePicture, asked: compositor_pb2.RenderSpec, wanted: compositor_pb2.Output) -> np.ndarray:
    made = await make(order_of("a", asked, wanted))
    return np.asarray(Image.open(io.BytesIO(made.data)), np.int16)


@pytest.mark.parametrize(("wanted", "slack"), [(PREVIEW, 8), (output("PNG"), 2)], ids=["preview", "full"])
@pytest.mark.parametrize("first", ["wall", "floor"])
async def test_no_pale_line_is_left_between_a_dark_wall_and_a_dark_floor(
    fresh: Callable,  # noqa: F811
    first: str,
    wanted: compositor_pb2.Output,
    slack: int,
):
    make, _, _ = fresh()
    both = [("wall", 0x303030), ("floor", GREY)]
    made = await picture(make, painted(*(both if first == "wall" else both[::-1])), wanted)

    seam = (SHARE > 0.02) & (SHARE < 0.98) & (LEG < 0.01)
    inside = [made[(m > 0.999)].max() for m in (FLOOR, WALL)]
    assert seam.sum() > 800
    assert made[seam].max() <= max(inside) + slack


async def test_the_layer_of_two_surfaces_laid_over_the_photo_is_the_picture(fresh: Callable):  # noqa: F811
    make, _, _ = fresh()
    asked = painted(("wall", 0x303030), ("floor", GREY))
    before, after, layer = [await picture(make, asked, output("PNG", view)) for view in ("BEFORE", "AFTER", "LAYER")]

    alpha = layer[..., 3:] / 255
    np.testing.assert_allclose(before * (1 - alpha) + layer[..., :3] * alpha, after, atol=1.5)
    # Of the leg's edge it covers what the masks cover.
    edge = (LEG > 0.1) & (LEG < 0.9) & (SHARE > 0.99)
    assert np.abs(alpha[edge, 0] - (1 - LEG[edge])).mean() < 0.15


@pytest.mark.parametrize("view", ["AFTER", "LAYER"])
async def test_of_two_paints_on_one_surface_the_later_one_is_seen_alone(fresh: Callable, view: str):  # noqa: F811
    make, _, _ = fresh()

    twice = await picture(make, painted(("wall", 0xE0E0E0), ("wall", 0x303030)), output("PNG", view))
    alone = await picture(make, painted(("wall", 0x303030)), output("PNG", view))

    np.testing.assert_array_equal(twice, alone)


@pytest.mark.parametrize("wanted", [PREVIEW, output("PNG")], ids=["preview", "full"])
async def test_a_border_of_the_fields_color_is_not_seen_at_the_surfaces_edge(
    fresh: Callable,  # noqa: F811
    wanted: compositor_pb2.Output,
):
    """It is a layer over the field's, on the same mask."""
    make, _, _ = fresh()
    asked = painted(("floor", GREY))
    field = await picture(make, asked, wanted)
    over = asked.layers.add()
    over.CopyFrom(asked.layers[0])
    over.border_alone, material = True, over.material
    material.texture_digest, material.face_digest = "t", "t"
    material.face_width_m, material.face_height_m, material.piece_width_m, material.piece_length_m = 1.0, 1.0, 0.2, 0.5
    outline = [layouts_pb2.PlanePoint(x_m=x, y_m=y) for x, y in ((-1, -0.9), (1, -0.9), (1, -0.1), (-1, -0.1))]
    border = layouts_pb2.Border(width_m=0.25, piece_length_m=0.1, outline=outline)

    async def with_joints(rgb: int) -> np.ndarray:
        grout = layouts_pb2.Grout(width_m=0.004, color_rgb=rgb)
        over.layout.CopyFrom(layouts_pb2.Layout(pattern="PATTERN_GRID", border=border, grout=grout))
        return await picture(make, asked, wanted)

    made, other = await with_joints(GREY), await with_joints(0xFFFFFF)

    soft = (FLOOR > 0.05) & (FLOOR < 0.95)
    joints = np.abs(other - made).max(2) > 8
    assert joints[soft].sum() > 20, "it lies at the edge, too"
    assert np.abs(made - field)[soft].mean() < 1
    assert np.abs(made - field)[FLOOR > 0.999].mean() < 1
