from itertools import pairwise

import cv2
import numpy as np
import pytest

from services.compositor.domain.staging.order import hidden, occluders
from tests.unit.compositor.staging.scene import HEIGHT, WIDTH, Scene

SCENE = Scene()
FLOOR_H = SCENE.ground().pixel_from_plane


def solid(*boxes: tuple[float, float, float, float, float]) -> np.ndarray:
    """Mask of upright boards (x0, x1, y0, y1, ahead), metres."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x0, x1, y0, y1, ahead in boxes:
        corners = SCENE.seen((x0, y1, ahead), (x1, y1, ahead), (x1, y0, ahead), (x0, y0, ahead))[:, :2]
        cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 255)
    return mask


def floor_without(*masks: np.ndarray) -> np.ndarray:
    floor = np.zeros((HEIGHT, WIDTH), np.uint8)
    floor[int(SCENE.seen((0, 0, 7))[0, 1]) :] = 255
    for mask in masks:
        floor[mask > 0] = 0
    return floor


def share_hidden(room, thing: np.ndarray, x: float, ahead: float) -> float:
    """Part of a thing whose foot is at (x, ahead) that the room hides."""
    foot = SCENE.seen((x, 0, ahead))[0]
    covered = (thing > 0).astype(np.float32)
    gone = hidden(room, FLOOR_H, (foot[0], foot[1]), foot[2], (0, 0, WIDTH, HEIGHT), covered)
    return float((gone * covered).sum() / covered.sum())


SOFA = solid((-1, 1, 0.0, 0.8, 4.0))
LAMP = (-0.2, 0.2, 0.0, 1.6)


def test_furniture_that_is_nearer_hides_a_thing_and_farther_furniture_does_not():
    room = occluders([SOFA], floor_without(SOFA))

    behind, before = solid((*LAMP, 5.0)), solid((*LAMP, 3.2))

    visible_part = (behind > 0) & (SOFA == 0)
    assert share_hidden(room, behind, 0.0, 5.0) == pytest.approx(1 - visible_part.sum() / (behind > 0).sum(), abs=0.01)
    assert share_hidden(room, behind, 0.0, 5.0) > 0.2
    assert share_hidden(room, before, 0.0, 3.2) == 0


def test_a_table_hides_what_is_behind_its_legs_and_nothing_of_what_stands_before_it():
    table = solid((-0.8, 0.8, 0.7, 0.75, 4.0), (-0.8, -0.72, 0, 0.75, 4.0), (0.72, 0.8, 0, 0.75, 4.0))
    room = occluders([table], floor_without(table))

    assert share_hidden(room, solid((-0.3, 0.3, 0, 1.0, 6.0)), 0.0, 6.0) > 0.02
    assert share_hidden(room, solid((-0.3, 0.3, 0, 1.0, 3.5)), 0.0, 3.5) == 0


def test_what_was_put_in_the_corner_of_a_sofa_stands_before_it():
    sofa = solid((-1.2, 1.2, 0.0, 0.8, 5.0), (-1.2, -0.4, 0.0, 0.4, 4.0))
    room = occluders([sofa], floor_without(sofa))
    table = solid((-0.2, 0.6, 0, 0.4, 4.6))

    assert room[0].low[400] < SCENE.seen((0, 0, 4.6))[0, 1] < room[0].hull[400]
    assert share_hidden(room, table, 0.2, 4.6) == 0


def test_what_stands_on_furniture_hides_with_it():
    vase = solid((-0.1, 0.1, 0.8, 1.2, 4.0))
    room = occluders([SOFA, vase], floor_without(SOFA, vase))
    thing = solid((-0.3, 0.3, 0.9, 1.1, 5.0))

    assert share_hidden(room, thing, 0.0, 5.0) > 0.2
    assert share_hidden(room, thing, 0.0, 3.0) == 0


def test_what_hangs_on_a_wall_stands_before_nothing():
    shelf = solid((-0.5, 0.5, 1.2, 1.5, 5.0))

    assert occluders([shelf], floor_without(shelf)) == []


def test_a_rug_of_the_room_does_not_hide_what_is_put_on_it():
    rug = np.zeros((HEIGHT, WIDTH), np.uint8)
    corners = SCENE.seen((-1, 0, 6), (1, 0, 6), (1, 0, 3.2), (-1, 0, 3.2))[:, :2]
    cv2.fillConvexPoly(rug, np.round(corners).astype(np.int32), 255)
    room = occluders([rug], floor_without(rug))

    assert room[0].flat
    assert share_hidden(room, solid((-0.5, 0.5, 0, 0.5, 5.0)), 0.0, 5.0) == 0


def test_a_thing_that_could_not_be_seen_stands_on_what_would_hide_it():
    wall_to_wall = solid((-3, 3, 0, 1.5, 3.5))
    room = occluders([wall_to_wall], floor_without(wall_to_wall))

    assert share_hidden(room, solid((-0.3, 0.3, 0, 0.5, 4.0)), 0.0, 4.0) == 0


BENT = Scene(bend=0.2)


def board(x0: float, x1: float, y1: float, ahead: float) -> np.ndarray:
    """Mask of an upright board on the floor, as BENT's lens shows it."""
    ends = np.array([(x0, y1, ahead), (x1, y1, ahead), (x1, 0, ahead), (x0, 0, ahead), (x0, y1, ahead)])
    outline = np.concatenate([np.linspace(a, b, 40) for a, b in pairwise(ends)])
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.round(BENT.seen(*map(tuple, outline))[:, :2]).astype(np.int32)], 255)
    return mask


@pytest.mark.parametrize(("ahead", "behind"), [(2.7, True), (2.5, False)])
def test_what_stands_before_what_is_told_through_the_lens(ahead: float, behind: bool):
    shelf, lamp = board(0.6, 1.5, 1.3, 2.6), board(1.0, 1.2, 2.3, ahead)
    room = occluders([shelf], floor_without(shelf))
    x, y, depth_m = BENT.seen((1.1, 0, ahead))[0]
    covered = (lamp > 0).astype(np.float32)

    gone = hidden(room, BENT.floor(), (x, y), depth_m, (0, 0, WIDTH, HEIGHT), covered, lens=BENT.camera.lens)

    assert ((gone * covered).sum() > 0) == behind
