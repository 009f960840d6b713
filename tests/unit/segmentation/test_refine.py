"""Corrections of masks: what must hold whatever is drawn, and what a click is meant to do."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.segmentation.domain import refine, region
from services.segmentation.domain.masks import Masks
from services.segmentation.domain.strokes import Shape, Stroke, raster
from tests.unit.segmentation.refinable import (
    CABINET,
    CEILING_1,
    FLOOR_1,
    FURNITURE_1,
    LEG,
    PATCH,
    PHOTO,
    WALL_1,
    automatic,
    known,
    truth,
)

coordinates = st.tuples(st.floats(0, PHOTO[1]), st.floats(0, PHOTO[0]))
strokes = st.one_of(
    st.builds(lambda p, e: Stroke(Shape.POINT, (p,), 0, e), coordinates, st.booleans()),
    st.builds(
        lambda p, w, e: Stroke(Shape.SCRIBBLE, tuple(p), w, e),
        st.lists(coordinates, min_size=1, max_size=5),
        st.floats(0.2, 30),
        st.booleans(),
    ),
    st.builds(
        lambda p, e: Stroke(Shape.POLYGON, tuple(p), 0, e), st.lists(coordinates, min_size=3, max_size=6), st.booleans()
    ),
)
steps = st.tuples(st.integers(0, 3), st.lists(strokes, min_size=1, max_size=3))


def point(x: float, y: float, erase: bool = False) -> Stroke:
    return Stroke(Shape.POINT, ((x, y),), 0, erase)


def step(index: int, *drawn: Stroke, masks: Masks | None = None) -> refine.Step:
    return refine.apply(known(), masks or automatic(), refine.no_pins(), index, drawn, PHOTO)


def total(masks: Masks) -> np.ndarray:
    return np.sum([masks.full(k).astype(int) for k in range(len(masks.layers))], axis=0)


def replay(drawn: list[tuple[int, list[Stroke]]]) -> tuple[Masks, refine.Pins]:
    masks, pins = automatic(), refine.no_pins()
    for index, marks in drawn:
        done = refine.apply(known(), masks, pins, index, marks, PHOTO)
        masks, pins = done.masks, done.pins
    return masks, pins


@settings(deadline=None, max_examples=40)
@given(st.lists(steps, min_size=1, max_size=4))
def test_what_was_marked_last_at_a_pixel_holds_to_the_pixel(drawn: list[tuple[int, list[Stroke]]]):
    masks, _ = replay(drawn)

    meant = np.zeros(PHOTO, int)
    for index, marks in drawn:
        for s in marks:
            marked = raster(s, PHOTO, PHOTO)
            meant[marked.window][marked.mask] = -(index + 1) if s.erase else index + 1
    for k in range(4):
        alpha = masks.full(k)
        assert (alpha[meant == k + 1] == 255).all()
        assert (alpha[(meant > 0) & (meant != k + 1)] == 0).all()
        assert (alpha[meant == -(k + 1)] == 0).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(steps, min_size=1, max_size=4))
def test_masks_stay_a_partition(drawn: list[tuple[int, list[Stroke]]]):
    masks, _ = replay(drawn)

    assert total(masks).max() <= 255
    assert (masks.owner == np.argmax([masks.full(k) for k in range(4)], 0))[total(masks) > 0].all()


@settings(deadline=None, max_examples=40)
@given(steps)
def test_nothing_changes_outside_the_box_that_is_told(drawn: tuple[int, list[Stroke]]):
    done = step(drawn[0], *drawn[1])

    for k in range(4):
        changed = done.masks.full(k) != automatic().full(k)
        assert k in done.changed or not changed.any()
        if done.box is not None:
            x0, y0, x1, y1 = done.box
            changed[y0:y1, x0:x1] = False
        assert not changed.any()


@settings(deadline=None, max_examples=15)
@given(st.lists(steps, min_size=1, max_size=3))
def test_the_same_steps_give_the_same_bytes(drawn: list[tuple[int, list[Stroke]]]):
    first, second = replay(drawn)[0], replay(drawn)[0]

    for a, b in zip(first.layers, second.layers, strict=True):
        assert a.box == b.box
        np.testing.assert_array_equal(a.alpha, b.alpha)


def test_a_click_on_a_missed_cabinet_takes_all_of_it_and_little_else():
    done = step(FURNITURE_1, point(75, 130))

    mask = done.masks.owner == FURNITURE_1
    assert mask[CABINET].mean() > 0.97
    gained = mask & (automatic().owner != FURNITURE_1)
    assert gained[truth() != 4].sum() < 0.03 * gained.sum()
    assert (done.masks.full(WALL_1)[100:160, 50:100] == 0).all()


def test_a_click_that_erases_gives_the_region_to_the_surface_that_fits():
    done = step(CEILING_1, point(295, 67, erase=True))

    assert (done.masks.owner[PATCH] == WALL_1).mean() > 0.97
    assert (done.masks.owner[:35] == CEILING_1).all()


def test_a_click_here_changes_nothing_far_away():
    done = step(FURNITURE_1, point(75, 130))

    np.testing.assert_array_equal(done.masks.full(CEILING_1), automatic().full(CEILING_1))
    np.testing.assert_array_equal(done.masks.owner[:, 150:], automatic().owner[:, 150:])


def test_a_scribble_down_a_thin_leg_takes_the_leg_and_leaves_the_floor():
    x = (LEG[1].start + LEG[1].stop) / 2
    done = step(FURNITURE_1, Stroke(Shape.SCRIBBLE, ((x, 185), (x, 222)), 3))

    mask = done.masks.owner == FURNITURE_1
    assert mask[LEG].mean() > 0.9
    beside = np.zeros(PHOTO, bool)
    beside[185:222, 190:250] = True
    beside[185:222, LEG[1].start - 3 : LEG[1].stop + 3] = False
    assert not mask[beside].any()


def test_a_polygon_means_its_inside_and_no_more():
    square = Stroke(Shape.POLYGON, ((100, 60), (140, 60), (140, 100), (100, 100)))
    done = step(FURNITURE_1, square)

    gained = (done.masks.owner == FURNITURE_1) & (automatic().owner != FURNITURE_1)
    assert gained[61:99, 101:139].all()
    gained[59:102, 99:142] = False
    assert not gained.any()


def test_a_box_around_a_thing_takes_the_thing():
    done = step(FURNITURE_1, Stroke(Shape.BOX, ((30, 80), (120, 180))))

    mask = done.masks.owner == FURNITURE_1
    assert mask[CABINET].mean() > 0.95
    mask[CABINET] = False
    assert mask[85:168, 32:118].mean() < 0.1


def test_a_box_limits_what_a_click_may_change():
    done = step(FURNITURE_1, point(75, 110), Stroke(Shape.BOX, ((40, 95), (110, 125))))

    gained = (done.masks.owner == FURNITURE_1) & (automatic().owner != FURNITURE_1)
    assert gained.any()
    gained[93:127] = False
    assert not gained.any()


def test_a_later_correction_leaves_alone_what_was_marked_before():
    first = step(FURNITURE_1, point(75, 130))

    second = refine.apply(known(), first.masks, first.pins, FURNITURE_1, [point(75, 100, erase=True)], PHOTO)

    assert second.masks.full(FURNITURE_1)[130, 75] == 255
    assert second.masks.full(FURNITURE_1)[100, 75] == 0


def test_a_click_on_what_is_right_already_changes_no_owner():
    done = step(FLOOR_1, point(40, 220))

    np.testing.assert_array_equal(done.masks.owner, automatic().owner)


def test_new_edges_are_soft_over_a_few_pixels_only():
    alpha = step(FURNITURE_1, point(75, 130)).masks.full(FURNITURE_1)

    soft = (alpha > 0) & (alpha < 255)
    near = cv2.dilate(
        (cv2.morphologyEx((alpha > 127).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))), np.ones((7, 7))
    )
    assert not (soft & (near == 0)).any()


def test_how_deep_a_point_lies_is_measured_and_a_line_tells_nothing_of_it():
    f, masks = known(), automatic()
    none = np.zeros(len(f.size), bool)
    x, y = 150, 104  # the wall's middle, between ceiling and floor
    seed = none.copy()
    seed[f.node[y, x]] = True

    def asked(grows: bool, points: bool) -> region.Question:
        return refine.question(f, masks, refine.no_pins(), WALL_1, grows, seed, none, None, points)

    mine, rim = masks.owner == WALL_1, f.node[167, x]
    depth = asked(False, True).depth
    assert depth is not None
    assert depth[f.node[y, x]] == pytest.approx(65, abs=8)
    assert depth[rim] < 12
    assert (depth[~f.means(mine).astype(bool)] == 0).all()
    outside = asked(True, True).depth
    assert outside is not None
    assert outside[f.node[y, x]] == 0
    assert asked(False, False).depth is None
    names = len(region.DEEP)
    assert (region.evidence(f, asked(False, False))[:, -names:] == 0).all()
    assert region.evidence(f, asked(False, True))[:, -names:].any(0).all()
