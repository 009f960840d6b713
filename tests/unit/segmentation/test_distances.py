import cv2
import numpy as np
import pytest

from services.segmentation.domain.distances import BY_NEIGHBOUR, GUESSED, Distance, wall_distances
from services.segmentation.domain.labels import CEILING, FLOOR, FURNITURE, WALL
from tests.unit.segmentation.test_planes import AXES, ROOM, pixel

RIGHT, AHEAD, _ = AXES
SIZE = (350, 500)  # of labels, half as many as the picture has pixels


def fill(label: np.ndarray, kind: int, *corners: tuple[float, float, float]) -> np.ndarray:
    """Draw a polygon of the room, (right, forward, up) metres from the camera; returns where it is drawn."""
    points = np.array([pixel(c) for c in corners]) / 2
    drawn = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(drawn, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    label[drawn > 0] = kind
    return drawn > 0


def standing(distance: float, until: float = -1.4) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a wall ahead that is seen down to `until` above the camera, and where it is seen."""
    label = np.full(SIZE, FURNITURE, np.uint8)
    fill(label, FLOOR, (-9, distance, -1.4), (9, distance, -1.4), (9, 1.5, -1.4), (-9, 1.5, -1.4))
    seen = fill(label, WALL, (-2, distance, until), (2, distance, until), (2, distance, 0.6), (-2, distance, 0.6))
    return label, seen


@pytest.mark.parametrize("distance", [3.0, 4.0, 6.0])
def test_the_distance_of_a_wall_is_read_where_it_stands_on_the_floor(distance: float):
    label, seen = standing(distance)

    (found,) = wall_distances(ROOM, [(seen, -AHEAD)], label)

    assert found.metres == pytest.approx(distance, rel=0.03)
    assert found == Distance(found.metres)


def test_or_where_it_meets_the_ceiling():
    label = np.full(SIZE, FURNITURE, np.uint8)
    seen = fill(label, WALL, (-2, 4, 0), (2, 4, 0), (2, 4, 1.2), (-2, 4, 1.2))
    fill(label, CEILING, (-2, 4, 1.2), (2, 4, 1.2), (2, 1.5, 1.2), (-2, 1.5, 1.2))

    (found,) = wall_distances(ROOM, [(seen, -AHEAD)], label)

    assert found.metres == pytest.approx(4, rel=0.03)


def test_a_wall_behind_furniture_is_as_far_as_the_corner_that_it_shares_with_one_that_stands_on_the_floor():
    label = np.full(SIZE, FURNITURE, np.uint8)
    side = fill(label, WALL, (-1.5, 2, -1.4), (-1.5, 4, -1.4), (-1.5, 4, 1), (-1.5, 2, 1))
    fill(label, FLOOR, (-1.5, 2, -1.4), (-1.5, 4, -1.4), (-1.2, 3.8, -1.4), (-1.2, 2, -1.4))
    back = fill(label, WALL, (-1.5, 4, -0.6), (1.5, 4, -0.6), (1.5, 4, 1), (-1.5, 4, 1)) & ~side

    behind, beside = wall_distances(ROOM, [(back, -AHEAD), (side, RIGHT)], label)

    assert beside.metres == pytest.approx(1.5, rel=0.05)
    assert behind.metres == pytest.approx(4, rel=0.1)
    assert behind.doubt == BY_NEIGHBOUR


@pytest.mark.parametrize("distance", [2.0, 4.0, 7.0])
@pytest.mark.parametrize("until", [-0.9, -0.6, -0.3])
def test_a_wall_that_meets_nothing_lies_within_the_doubt_that_is_told(distance: float, until: float):
    label, seen = standing(distance, until)
    # What hides its foot also hides the last metre of the floor.
    between = slice(int(pixel((0, distance, until))[1] / 2), int(pixel((0, distance - 1, -1.4))[1] / 2) + 1)
    label[between] = FURNITURE

    (found,) = wall_distances(ROOM, [(seen, -AHEAD)], label)

    assert abs(np.log(found.metres / distance)) < GUESSED == found.doubt


def test_what_a_cupboard_divides_is_one_wall_as_far_as_the_part_that_stands_on_the_floor():
    label, seen = standing(4.0)
    columns = np.arange(SIZE[1])[None]
    left, right = seen & (columns < 230), seen & (columns > 270)
    label[seen & ~left & ~right] = FURNITURE
    hidden = right & (np.arange(SIZE[0])[:, None] > 200)  # what stands before it hides its foot
    label[hidden] = label[(label == FLOOR) & (columns > 270)] = FURNITURE

    stands, beside = wall_distances(ROOM, [(left, -AHEAD), (right & ~hidden, -AHEAD)], label)

    assert stands.metres == pytest.approx(4, rel=0.03)
    assert beside == Distance(stands.metres, BY_NEIGHBOUR)


def test_one_that_can_not_be_as_far_is_guessed_for_itself():
    label, seen = standing(6.0)
    left = seen & (np.arange(SIZE[1])[None] < 240)
    label[seen & ~left] = FURNITURE
    near = fill(label, WALL, (0.3, 2.5, -1.0), (1.2, 2.5, -1.0), (1.2, 2.5, 0.5), (0.3, 2.5, 0.5))
    label[(label == FLOOR) & (np.arange(SIZE[1])[None] > 240)] = FURNITURE

    stands, guessed = wall_distances(ROOM, [(left, -AHEAD), (near, -AHEAD)], label)

    assert stands.metres == pytest.approx(6, rel=0.03)
    assert guessed.doubt == GUESSED
    assert guessed.metres < 4


def test_pieces_of_a_wall_that_nothing_tells_of_are_guessed_together():
    label, seen = standing(4.0, -0.7)
    label[label == FLOOR] = FURNITURE
    columns = np.arange(SIZE[1])[None]
    higher = seen & (columns > 270) & (np.arange(SIZE[0])[:, None] < 170)
    facets = [(seen & (columns < 230), -AHEAD), (higher, -AHEAD)]

    one, other = wall_distances(ROOM, facets, label)

    assert one == other
    assert one.doubt == GUESSED


def test_a_wall_is_not_nearer_than_the_floor_in_front_of_it():
    label = np.full(SIZE, FURNITURE, np.uint8)
    seen = fill(label, WALL, (-2, 8, 0.2), (2, 8, 0.2), (2, 8, 0.8), (-2, 8, 0.8))
    fill(label, FLOOR, (-2, 7, -1.4), (2, 7, -1.4), (2, 2, -1.4), (-2, 2, -1.4))

    (found,) = wall_distances(ROOM, [(seen, -AHEAD)], label)

    assert found.doubt == GUESSED
    assert found.metres > 6.8


@pytest.mark.parametrize("part", [0.05, 0.15, 0.3])
def test_slivers_beyond_its_vanishing_point_do_not_bring_a_wall_nearer(part: float):
    label = np.full(SIZE, FURNITURE, np.uint8)
    side = fill(label, WALL, (-2, 1.5, -0.6), (-2, 6, -0.6), (-2, 6, 0.8), (-2, 1.5, 0.8))
    clean = wall_distances(ROOM, [(side, RIGHT)], label)[0].metres
    columns = np.flatnonzero(side.any(0))
    beyond = int(pixel((0, 60, 0))[0] / 2) + 40  # right of the point that the wall runs to
    side[150:190, beyond : beyond + int(part * len(columns))] = True

    (found,) = wall_distances(ROOM, [(side, RIGHT)], label)

    assert found.metres == pytest.approx(clean, rel=0.3)


def test_no_walls_have_no_distances():
    assert wall_distances(ROOM, [], np.zeros(SIZE, np.uint8)) == []
