import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from roomviz.errors import FailedPrecondition, RoomvizError
from roomviz.runtime.memory import Memory
from services.compositor.domain.shading import RoomLight
from services.compositor.ports import MaskedSurface, RenderSpec, ThingSpec
from services.compositor.usecases.things import Staging
from tests.unit.compositor.staging.scene import FOCAL, HEIGHT, WIDTH, Scene

SCENE = Scene()
HORIZON = int(SCENE.seen((0, 0, 6))[0, 1])
PHOTO = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
LIGHT = RoomLight(0.6, np.ones(3, np.float32))


def _mask(rows: slice) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[rows] = 255
    return mask


def _cutout(color: tuple[int, int, int]) -> np.ndarray:
    return np.dstack([np.full((40, 40, 3), color, np.uint8), np.full((40, 40), 255, np.uint8)])


class Stored:
    """Pictures under their keys."""

    def __init__(self) -> None:
        self.kept = {
            "floor": _mask(slice(HORIZON, None)),
            "wall": _mask(slice(0, HORIZON)),
            "cutouts/red.png": _cutout((200, 20, 20)),
            "cutouts/blue.png": _cutout((20, 20, 200)),
        }

    async def grey(self, key: str) -> np.ndarray:
        return self.kept[key]

    rgb = rgba = grey

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        raise AssertionError("nothing is stored")


def thing(color: str, mount: str, **given) -> ThingSpec:
    surface = "wall" if mount == "wall" else "floor"
    plane = SCENE.wall(6.0) if mount == "wall" else SCENE.floor()
    return replace(
        ThingSpec(
            f"products/{color}", surface, tuple(plane.ravel()), mount, color, 0.8, 0.8, 0.4, None, None, 0.0, 1.0, False
        ),  # type: ignore[arg-type]
        **given,
    )


def spec(*things: ThingSpec, focal: float = FOCAL) -> RenderSpec:
    surfaces = tuple(
        MaskedSurface(name, name, tuple(plane.ravel()), name)
        for name, plane in (("floor", SCENE.floor()), ("wall", SCENE.wall(6.0)))
    )
    return RenderSpec("rooms/r", "photo", "photo", WIDTH, HEIGHT, (), (), "", things, surfaces, focal_length_px=focal)


def staged(asked: RenderSpec, cover: np.ndarray | None = None):
    with ThreadPoolExecutor(1) as cpu:
        staging = Staging(Stored(), cpu, Memory(1 << 26), Memory(1 << 26), Memory(1 << 26))
        out = PHOTO.copy()
        placed, touched = asyncio.run(staging.put(asked, "photo", PHOTO, PHOTO, lambda box: LIGHT, out, cover))
        return out, placed, touched


def test_the_nearer_of_two_things_is_drawn_over_the_farther_in_whatever_order_they_are_given():
    near, far = thing("red", "standing", at_m=(0.0, -3.5)), thing("blue", "standing", at_m=(0.2, -4.5))

    one, _, _ = staged(spec(near, far))
    other, _, _ = staged(spec(far, near))

    np.testing.assert_array_equal(one, other)
    x, y = SCENE.seen((0.2, 0.3, 3.5))[0, :2].astype(int)
    assert one[y, x, 0] > 2 * one[y, x, 2]


def test_what_stands_is_drawn_over_a_rug_that_is_given_after_it():
    out, _, _ = staged(
        spec(thing("red", "standing", at_m=(0, -4)), thing("blue", "lying", at_m=(0, -4), width_m=2.0, height_m=3.0))
    )

    x, y = SCENE.seen((0, 0.4, 4))[0, :2].astype(int)
    assert out[y, x, 0] > 2 * out[y, x, 2]
    x, y = SCENE.seen((0.8, 0, 4))[0, :2].astype(int)
    assert out[y, x, 2] > 2 * out[y, x, 0]


def test_a_thing_without_a_place_goes_where_its_surface_has_room():
    _, placed, touched = staged(spec(thing("red", "lying"), thing("blue", "wall")))

    for one, kind in zip(placed, ("floor", "wall"), strict=True):
        assert one.surface_id == kind
        middle = np.mean(one.corners, axis=0)
        assert Stored().kept[kind][int(middle[1]), int(middle[0])] == 255
    assert touched.any()


@pytest.mark.parametrize("at", [(-2.6, -4.0), (2.6, -4.0), (0.0, -1.6), (1.2, -1.9)])
@pytest.mark.parametrize("mount", ["lying", "standing"])
def test_a_thing_that_is_partly_out_of_the_picture_is_cut_off(mount: str, at: tuple[float, float]):
    out, (placed,), touched = staged(spec(thing("red", mount, at_m=at, width_m=1.0, height_m=1.5)))

    corners = np.array(placed.corners)
    assert touched.any()
    assert not ((corners > 0) & (corners < (WIDTH, HEIGHT))).all()
    np.testing.assert_array_equal(out[~touched], PHOTO[~touched])


def test_what_is_told_of_a_thing_is_where_it_was_put():
    pixel = SCENE.seen((0.5, 0, 4))[0, :2]

    _, (placed,), _ = staged(spec(thing("red", "standing", at_px=(pixel[0], pixel[1]), scale=2.0)))

    np.testing.assert_allclose(placed.at_m, (0.5, -4.0), atol=1e-6)
    top, foot = SCENE.seen((0.5, 1.6, 4), (0.5, 0, 4))[:, :2]
    np.testing.assert_allclose(np.mean(placed.corners[:2], axis=0), top, atol=0.5)
    np.testing.assert_allclose(np.mean(placed.corners[2:], axis=0), foot, atol=0.5)


def test_a_picture_of_things_is_the_photo_where_nothing_was_put():
    out, _, touched = staged(spec(thing("red", "standing", at_m=(0, -4)), thing("blue", "wall", at_m=(1.0, -0.5))))

    np.testing.assert_array_equal(out[~touched], PHOTO[~touched])
    assert 0.01 < touched.mean() < 0.3


def test_a_thing_covers_what_is_under_it_and_its_shadow_does_not():
    cover = np.zeros((HEIGHT, WIDTH), np.uint8)

    _, (placed,), touched = staged(spec(thing("red", "standing", at_m=(0, -4))), cover)

    x, y = np.mean(placed.corners, axis=0).astype(int)
    assert cover[y, x] == 255
    shadow = touched & (cover == 0)
    assert shadow.any()
    assert not cover[~touched].any()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (spec(thing("red", "lying", homography=())), "SURFACE_WITHOUT_PLANE"),
        (spec(thing("red", "lying"), focal=0.0), "CAMERA_UNKNOWN"),
        (spec(thing("red", "standing", at_px=(400.0, 5.0))), "PLACEMENT_OFF_PLANE"),
        (spec(thing("red", "lying", at_m=(50.0, -4.0))), "PLACEMENT_OUT_OF_VIEW"),
    ],
)
def test_what_cannot_be_placed_is_refused_and_named(asked: RenderSpec, reason: str):
    with pytest.raises(RoomvizError) as caught:
        staged(asked)

    assert caught.value.reason == reason
    if not isinstance(caught.value, FailedPrecondition) or reason == "SURFACE_WITHOUT_PLANE":
        assert caught.value.metadata["placement"] == "0"
