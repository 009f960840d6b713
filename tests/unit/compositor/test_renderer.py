import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from services.compositor.domain.layout import Bond, Layout
from services.compositor.domain.perspective import Plane
from services.compositor.ports import Laid, LayerSpec, RenderSpec
from services.compositor.usecases.renderer import Renderer, _plate_key, around_corners

# Two walls that meet 2 m right of the camera and 4 m ahead of it: one across, one along. y = 0 at the floor.
K = np.array([[800.0, 0, 500], [0, 800, 300], [0, 0, 1]])
ACROSS = K @ np.array([[1.0, 0, 0], [0, 1, 1.4], [0, 0, 4]])
ALONG = K @ np.array([[0.0, 0, 2], [0, 1, 1.4], [-1, 0, 0]])
TILES = Laid(Layout(Bond(0.3, 0.3, 0.003)), "face", 1.2, 1.2, 0, 0.001, 0.001)


def layer(surface: str, kind: str, homography: np.ndarray, bbox: tuple[int, ...], laid: Laid | None) -> LayerSpec:
    flat = tuple(homography.ravel().tolist())
    return LayerSpec(surface, kind, Plane(flat), "mask", "texture", 1, 1, 0, 0.0, bbox, laid)


BACK = layer("wall-1", "wall", ACROSS, (100, 0, 800, 600), TILES)
SIDE = layer("wall-2", "wall", ALONG, (900, 0, 100, 700), TILES)


def moved(*layers: LayerSpec) -> list[float]:
    spec = RenderSpec("rooms/1", "photo", "working", 1000, 700, layers, ())
    return [la.laid.layout.origin_x_m if la.laid else 0.0 for la in around_corners(spec)]


def test_what_is_laid_alike_on_two_walls_runs_on_around_the_corner():
    back, side = moved(BACK, SIDE)

    # The corner: x = 2 of the wall across, x = -4 of the wall along.
    assert back == 0
    assert -4 - side == pytest.approx(2 - back, abs=1e-6)


def test_what_is_laid_in_another_way_begins_on_its_own():
    other = replace(SIDE, laid=replace(TILES, bevel_m=0.002))

    assert moved(BACK, other) == [0, 0]


def test_floors_and_paints_stay_where_they_are():
    floor = replace(SIDE, kind="floor")
    paint = replace(SIDE, laid=None, texture_digest="")

    assert moved(BACK, floor, paint) == [0, 0, 0]


def test_a_texture_without_pieces_runs_on_too():
    spec = RenderSpec(
        "rooms/1", "photo", "working", 1000, 700, (replace(BACK, laid=None), replace(SIDE, laid=None)), ()
    )

    back, side = around_corners(spec)

    assert back.along_m == 0
    assert -4 + side.along_m == pytest.approx(2, abs=1e-6)


def test_the_texture_of_one_size_does_not_run_on_into_that_of_another():
    small = replace(SIDE, laid=None, repeat_width_m=0.5)
    spec = RenderSpec("rooms/1", "photo", "working", 1000, 700, (replace(BACK, laid=None), small), ())

    assert [la.along_m for la in around_corners(spec)] == [0, 0]


async def test_who_gives_up_waits_for_the_thread_that_has_begun_and_for_no_other():
    begun, end, log = threading.Event(), threading.Event(), list[str]()

    def long() -> None:
        begun.set()
        end.wait(10)
        log.append("ended")

    with ThreadPoolExecutor(1) as cpu:
        renderer = cast(Renderer, SimpleNamespace(cpu=cpu))
        working = asyncio.create_task(Renderer.run(renderer, long))
        queued = asyncio.create_task(Renderer.run(renderer, log.append, "never"))
        await asyncio.to_thread(begun.wait, 10)

        queued.cancel()
        working.cancel()
        await asyncio.wait([queued], timeout=5)
        assert queued.cancelled()
        assert not working.done()
        end.set()
        await asyncio.wait([working], timeout=5)

    assert working.cancelled()
    assert log == ["ended"]


@pytest.mark.parametrize(
    ("of_room", "of_layer", "another"),
    [
        ({"radial_distortion": 0.03}, {}, True),
        ({"focal_length_px": 900.0}, {}, True),
        ({"light_key": "card"}, {}, True),
        ({"white_mask_keys": ("wall",)}, {}, True),
        ({}, {"mask_key": "clicked"}, True),
        ({}, {"kind": "floor"}, True),
        ({}, {"plane": Plane(tuple(ALONG.ravel().tolist()))}, True),
        ({}, {"finish": "polished"}, True),
        ({}, {"texture_digest": ""}, True),
        ({}, {"texture_digest": "another"}, False),
        ({}, {"rotation_deg": 45.0, "product": "another", "color_rgb": 255}, False),
    ],
)
def test_a_plate_serves_whatever_is_laid_on_the_same_surface_seen_in_the_same_way(
    of_room: dict, of_layer: dict, another: bool
):
    photo = np.zeros((70, 100, 3), np.uint8)
    spec = RenderSpec("rooms/1", "photo", "working", 1000, 700, (BACK,), ())

    key = _plate_key(replace(spec, **of_room), "photo", photo, replace(BACK, **of_layer))

    assert (key != _plate_key(spec, "photo", photo, BACK)) == another
