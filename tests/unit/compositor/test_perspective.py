import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomviz.errors import InvalidArgument, NotFound
from roomviz.imaging.homography import project
from roomviz.imaging.lens import Lens
from services.compositor.domain.perspective import (
    Corners,
    Plane,
    Reference,
    aspect_of,
    check_horizon,
    corrected,
    homography_of,
)

SIZE, FOCAL = (600, 800), 700.0
K = np.array([[FOCAL, 0, 400], [0, FOCAL, 300], [0, 0, 1.0]])


def seen(tilt: float, turn: float, below: float = 1.4, away: float = 3.0) -> np.ndarray:
    """Homography of a plane with its origin in front of the camera, tilted away from it and turned."""
    a, b = math.radians(tilt), math.radians(turn)
    right = np.array([math.cos(b), math.sin(b) * math.cos(a), math.sin(b) * math.sin(a)])
    down = np.array([-math.sin(b), math.cos(b) * math.cos(a), math.cos(b) * math.sin(a)])
    # Metres along y come towards the camera, as on a floor.
    return K @ np.column_stack([right, down * [1, 1, -1], [0, below - 1, away]])


def plane(h: np.ndarray, source: str = "camera_height") -> Plane:
    return Plane(tuple(h.ravel()), source, 0.8, 1.25)


FLOOR = plane(seen(70, 5))
ROOM = {"floor-1": FLOOR, "wall-1": plane(seen(5, 0)), "lamp-1": Plane(())}


def rectangle(h: np.ndarray, w: float, d: float, x: float = -0.4, y: float = -0.3) -> tuple[tuple[float, float], ...]:
    points = project(h, np.array([[x, y], [x + w, y], [x + w, y + d], [x, y + d]]))
    return tuple((float(a), float(b)) for a, b in points)


def metres(p: Plane, a: tuple[float, float], b: tuple[float, float]) -> float:
    h = np.linalg.inv(np.array(p.homography).reshape(3, 3))
    return float(np.linalg.norm(np.subtract(*project(h, np.array([a, b])))))


def test_the_unit_square_goes_to_the_corners():
    points = np.array([[10, 20], [200, 30], [260, 180], [-30, 140.0]])

    np.testing.assert_allclose(
        project(homography_of(points), np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])), points, atol=1e-9
    )


@settings(deadline=None)
@given(st.floats(10, 75), st.floats(-40, 40), st.floats(0.4, 2.0), st.floats(0.4, 2.0))
def test_a_rectangle_tells_its_own_shape(tilt: float, turn: float, w: float, d: float):
    unit = homography_of(np.array(rectangle(seen(tilt, turn), w, d)))

    assert aspect_of(unit, SIZE, FOCAL) == pytest.approx(w / d, rel=1e-6)


@settings(deadline=None)
@given(st.floats(20, 75), st.floats(-30, 30), st.floats(0.4, 1.5), st.floats(0.4, 1.5))
def test_corners_where_the_estimate_has_them_change_nothing(tilt: float, turn: float, w: float, d: float):
    h = seen(tilt, turn)
    points = rectangle(h, w, d)

    made = corrected({"floor-1": plane(h)}, [Corners("floor-1", points)], None, SIZE, FOCAL)["floor-1"]

    assert metres(made, points[0], points[1]) == pytest.approx(w, rel=1e-6)
    assert metres(made, points[1], points[2]) == pytest.approx(d, rel=1e-6)
    assert (made.source, made.low, made.high) == ("camera_height", 0.8, 1.25)
    kept = np.array(made.homography).reshape(3, 3)
    np.testing.assert_allclose(kept / kept[2, 2], h / h[2, 2], rtol=1e-5, atol=1e-5 * np.abs(h / h[2, 2]).max())


def test_patterns_begin_where_they_did_when_corners_turn_a_plane():
    h = seen(60, 10)
    points = rectangle(seen(65, 4), 1.2, 0.8)

    made = np.array(
        corrected(ROOM | {"floor-1": plane(h)}, [Corners("floor-1", points)], None, SIZE, FOCAL)["floor-1"].homography
    )

    np.testing.assert_allclose(project(made.reshape(3, 3), np.zeros((1, 2))), project(h, np.zeros((1, 2))), atol=1e-6)


def test_corners_with_metres_set_them_and_the_other_side_follows():
    points = rectangle(seen(60, 10), 1.2, 0.8)  # not where the estimate has its plane

    wide = corrected(ROOM, [Corners("floor-1", points, width_m=2.4)], None, SIZE, FOCAL)["floor-1"]
    both = corrected(ROOM, [Corners("floor-1", points, 3.0, 1.0)], None, SIZE, FOCAL)["floor-1"]

    assert metres(wide, points[0], points[1]) == pytest.approx(2.4)
    assert metres(wide, points[1], points[2]) == pytest.approx(1.6, rel=1e-6)
    assert metres(both, points[2], points[3]) == pytest.approx(3.0)
    assert metres(both, points[3], points[0]) == pytest.approx(1.0)
    assert both.source == "reference"
    assert 0.95 < both.low < 0.98 < 1.02 < both.high < 1.05


def test_a_surface_without_a_plane_gets_one_from_corners_with_metres():
    points = rectangle(seen(10, 3), 1.2, 0.8)

    made = corrected(ROOM, [Corners("lamp-1", points, 1.2, 0.0)], None, SIZE, FOCAL)["lamp-1"]

    assert metres(made, points[1], points[2]) == pytest.approx(0.8, rel=1e-6)
    with pytest.raises(InvalidArgument, match="no plane") as caught:
        corrected(ROOM, [Corners("lamp-1", points)], None, SIZE, FOCAL)
    assert caught.value.reason == "CORNERS_INVALID"


@settings(deadline=None)
@given(st.floats(0.3, 8.0))
def test_a_measured_length_scales_the_whole_room(length: float):
    a, b = project(np.array(FLOOR.homography).reshape(3, 3), np.array([[-0.5, 0.1], [0.5, 0.1]]))
    line = Reference("floor-1", tuple(a), tuple(b), length)

    made = corrected(ROOM, [], line, SIZE, FOCAL)

    assert metres(made["floor-1"], tuple(a), tuple(b)) == pytest.approx(length)
    before = metres(ROOM["wall-1"], (300, 200), (500, 350))
    assert metres(made["wall-1"], (300, 200), (500, 350)) == pytest.approx(before * length)
    assert made["wall-1"].source == "reference"
    assert 0.02 < made["wall-1"].high - 1 < 0.04
    assert made["lamp-1"] == Plane(())


def test_a_short_line_is_trusted_less_than_a_long_one():
    def width(px: float) -> float:
        made = corrected(ROOM, [], Reference("wall-1", (400, 300), (400 + px, 300), px / 200), SIZE, FOCAL)["wall-1"]
        return made.high - made.low

    assert width(400) < 0.06 < width(40) < width(12)


def test_corners_with_metres_keep_them_when_the_room_is_scaled():
    points = rectangle(seen(60, 10), 1.2, 0.8)
    line = Reference("wall-1", (300, 300), (500, 300), 2.0)

    made = corrected(ROOM, [Corners("floor-1", points, 1.0, 0.7)], line, SIZE, FOCAL)

    assert metres(made["floor-1"], points[0], points[1]) == pytest.approx(1.0)
    with pytest.raises(InvalidArgument) as caught:
        corrected(
            ROOM, [Corners("floor-1", points, 1.0, 0.7)], Reference("floor-1", points[0], points[1], 1), SIZE, FOCAL
        )
    assert caught.value.reason == "REFERENCE_INVALID"


GOOD = ((100.0, 100.0), (300.0, 110.0), (320.0, 300.0), (90.0, 280.0))


@pytest.mark.parametrize(
    "points",
    [
        GOOD[:3],
        (*GOOD, (1.0, 1.0)),
        GOOD[::-1],  # counter-clockwise: the pattern would be a mirror image
        (GOOD[0], GOOD[2], GOOD[1], GOOD[3]),  # sides cross
        ((100, 100), (300, 100), (150, 150), (100, 300)),  # a dent
        ((100, 100), (104, 100), (104, 104), (100, 104)),
        ((100, 100), (200, 100), (300, 100), (100, 300)),  # three in a line
        ((math.nan, 100), *GOOD[1:]),
        ((100, 100), (math.inf, 110), *GOOD[2:]),
        ((-1e5, 100), *GOOD[1:]),
    ],
)
def test_corners_that_are_no_rectangle_are_refused(points: tuple[tuple[float, float], ...]):
    with pytest.raises(InvalidArgument) as caught:
        corrected(ROOM, [Corners("floor-1", points, 1, 1)], None, SIZE, FOCAL)
    assert caught.value.reason == "CORNERS_INVALID"


@pytest.mark.parametrize("size", [(-1, 0), (0, math.nan), (math.inf, 1), (1000, 1)])
def test_corners_of_no_size_are_refused(size: tuple[float, float]):
    with pytest.raises(InvalidArgument) as caught:
        corrected(ROOM, [Corners("floor-1", GOOD, *size)], None, SIZE, FOCAL)
    assert caught.value.reason == "CORNERS_INVALID"


@pytest.mark.parametrize(
    ("surface", "start", "end", "length"),
    [
        ("wall-1", (100, 100), (102, 100), 1.0),
        ("wall-1", (100, math.nan), (300, 100), 1.0),
        ("wall-1", (100, 100), (300, 100), 0.0),
        ("wall-1", (100, 100), (300, 100), math.inf),
        ("wall-1", (100, 100), (300, 100), 90.0),  # the line is about a metre
        ("floor-1", (100, 500), (300, -900), 1.0),  # beyond the horizon
        ("lamp-1", (100, 100), (300, 100), 1.0),
    ],
)
def test_lengths_that_cannot_be_are_refused(surface: str, start: tuple, end: tuple, length: float):
    with pytest.raises(InvalidArgument) as caught:
        corrected(ROOM, [], Reference(surface, start, end, length), SIZE, FOCAL)
    assert caught.value.reason == "REFERENCE_INVALID"


def test_surfaces_that_are_not_there_are_named():
    with pytest.raises(NotFound) as caught:
        corrected(ROOM, [Corners("pool-1", GOOD)], None, SIZE, FOCAL)
    assert caught.value.reason == "SURFACE_NOT_FOUND"
    with pytest.raises(NotFound):
        corrected(ROOM, [], Reference("", (100, 100), (300, 100), 1.0), SIZE, FOCAL)
    with pytest.raises(InvalidArgument):
        corrected(ROOM, [Corners("floor-1", GOOD), Corners("floor-1", GOOD)], None, SIZE, FOCAL)


def test_points_are_given_in_the_photo_and_planes_lie_in_the_straight_picture():
    lens = Lens.of(*SIZE, FOCAL, 0.3)
    h = seen(70, 5)
    points = tuple((float(x), float(y)) for x, y in lens.bent(np.array(rectangle(h, 1.2, 0.7))))
    assert np.abs(np.subtract(points, rectangle(h, 1.2, 0.7))).max() > 5

    by_corners = corrected(ROOM, [Corners("floor-1", points, 1.2)], None, SIZE, FOCAL, lens)["floor-1"]
    line = Reference("floor-1", points[0], points[1], 1.2)
    by_length = corrected(ROOM, (), line, SIZE, FOCAL, lens)["floor-1"]

    for found in (by_corners, by_length):
        straight = [tuple(p) for p in lens.straight(np.array(points))]
        assert metres(found, straight[0], straight[1]) == pytest.approx(1.2, rel=1e-6)
        assert metres(found, straight[1], straight[2]) == pytest.approx(0.7, rel=1e-6)


def test_a_plane_that_ends_within_its_surface_is_refused():
    # A floor whose sides meet at row 40 of 100.
    floor = homography_of(np.array([[40.0, 60], [60, 60], [100, 100], [0, 100]]))
    mask = np.zeros((100, 100), np.uint8)
    mask[55:] = 255

    check_horizon(floor, mask, "floor-1")

    mask[20:] = 255
    with pytest.raises(InvalidArgument, match="beyond its horizon") as caught:
        check_horizon(floor, mask, "floor-1")
    assert caught.value.reason == "CORNERS_INVALID"
    check_horizon(floor, np.zeros_like(mask), "floor-1")


def test_a_lens_may_show_what_lies_beyond_the_horizon_below_its_row():
    # A floor whose sides meet at row 20 of 100.
    floor = homography_of(np.array([[40.0, 30], [60, 30], [100, 70], [0, 70]]))
    mask = np.zeros((100, 100), np.uint8)
    mask[24:30] = 255

    check_horizon(floor, mask, "floor-1")

    with pytest.raises(InvalidArgument, match="beyond its horizon"):
        check_horizon(floor, mask, "floor-1", Lens.of(100, 100, 100.0, 1.2))


def test_a_wall_whose_distance_is_a_guess_takes_the_rooms_scale_and_keeps_its_doubt():
    room = ROOM | {"wall-2": plane(seen(5, 10), "assumed_distance")}
    ends = rectangle(np.array(FLOOR.homography).reshape(3, 3), 1.0, 0.5)[:2]

    made = corrected(room, (), Reference("floor-1", *ends, 2.0), SIZE, FOCAL)

    assert made["wall-1"].source == "reference"
    assert (made["wall-2"].source, made["wall-2"].low, made["wall-2"].high) == ("assumed_distance", 0.8, 1.25)
    assert metres(made["wall-2"], (300, 300), (400, 300)) == pytest.approx(
        2 * metres(room["wall-2"], (300, 300), (400, 300)), rel=1e-6
    )


def test_a_length_on_such_a_wall_tells_of_that_wall_alone():
    room = ROOM | {"wall-2": plane(seen(5, 10), "assumed_distance")}
    length = metres(room["wall-2"], (300, 300), (400, 300))

    made = corrected(room, (), Reference("wall-2", (300, 300), (400, 300), 3 * length), SIZE, FOCAL)

    assert made["wall-2"].source == "reference"
    assert metres(made["wall-2"], (300, 300), (400, 300)) == pytest.approx(3 * length, rel=1e-6)
    assert {name: made[name] for name in ROOM} == ROOM
