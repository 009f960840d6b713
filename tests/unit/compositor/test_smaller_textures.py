"""Which copy of a texture a picture is made from, over the real renderer and pictures in memory."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from roomviz.errors import NotFound
from roomviz.imaging.codec import decode_rgb
from services.compositor.transport.messages import order_of
from services.compositor.usecases import renderer as renderers
from services.compositor.usecases.renderer import Renderer
from tests.unit.compositor.test_receipts import MASK, PREVIEW, H, Stored, W, fresh, spec

__all__ = ["fresh"]


class Written(Stored):
    """Keeps what is put, and says what it lacks."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        coarse = rng.integers(40, 220, (32, 32, 3), np.uint8)
        self.kept["textures/t.png"] = cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_CUBIC)

    async def rgb(self, key: str) -> np.ndarray:
        if key not in self.kept:
            raise NotFound("OBJECT_NOT_FOUND", key)
        return self.kept[key]

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        assert key not in self.kept, "kept once for all"
        self.kept[key] = decode_rgb(data)


@pytest.fixture
def draw(fresh: Callable) -> Callable:
    async def floor(pictures: Stored, repeat_m: float, size: tuple[int, int]) -> np.ndarray:
        base: Renderer = fresh()[0].renderer
        made = spec()
        del made.layers[1:], made.things[:]
        layer = made.layers[0]
        layer.surface.bbox_px.extend([20, 150, 360, H - 150])
        layer.material.repeat_width_m = layer.material.repeat_height_m = repeat_m
        order = order_of("a", made, PREVIEW)
        renderer = Renderer(pictures, base.cpu, 2, base.plates, base.layouts, base.textures, base.tiles, base.staging)
        return (await renderer.picture(order.spec, "photo", *size, keep=False)).picture

    return floor


@pytest.mark.parametrize(
    ("repeat_m", "size", "made"),
    [
        (0.5, (H, W), False),
        (0.5, (120, 160), True),
        (4.0, (120, 160), True),  # made, and seen not to be enough
    ],
)
async def test_a_picture_is_made_from_the_smaller_copy_where_that_has_all_it_shows(
    draw: Callable, monkeypatch: pytest.MonkeyPatch, repeat_m: float, size: tuple[int, int], made: bool
):
    pictures, whole = Written(), Written()

    first = await draw(pictures, repeat_m, size)
    again = await draw(pictures, repeat_m, size)
    monkeypatch.setattr(renderers, "DENSITY_USUAL", 0.0)
    full = await draw(whole, repeat_m, size)

    assert any(key.startswith("halved/") for key in pictures.kept) == made
    assert not any(key.startswith("halved/") for key in whole.kept)
    np.testing.assert_array_equal(first, again)
    inside = cv2.resize(MASK, size[::-1]) == 255
    assert np.abs(first.astype(int) - full)[inside].mean() < 0.7
