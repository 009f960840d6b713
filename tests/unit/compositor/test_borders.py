"""Borders that find their outline themselves."""

import numpy as np
import pytest

from roomviz.errors import InvalidArgument
from roomviz.imaging.lens import STRAIGHT
from services.compositor.domain.layout import Bond, Bordered, Layout
from services.compositor.domain.perspective import Plane
from services.compositor.domain.quantity.border import scaled
from services.compositor.ports import MaskedSurface
from services.compositor.usecases.borders import bordered, walls_of
from tests.unit.compositor.quantity.test_seen import FLOOR, H, W
from tests.unit.compositor.test_room_outline import BACK, LEFT, RIGHT, wall

FIELD = Layout(Bond(0.3, 0.3))
OPEN = Layout(Bordered((), 0.2, 0.4, FIELD))


def surface(name: str, plane: np.ndarray | None, box: tuple[int, ...] = (0, 250, W, H - 250)) -> MaskedSurface:
    homography = () if plane is None else tuple(plane.ravel().tolist())
    return MaskedSurface(name, name.partition("-")[0], homography, "", box)


ON = surface("floor-1", FLOOR)
ROOM = [surface(f"wall-{n}", *wall) for n, wall in enumerate((LEFT, BACK, RIGHT))]


def planes(**sources: str) -> dict[str, Plane]:
    return {s.surface_id: Plane(s.homography, sources.get(s.surface_id.replace("-", "_"), "proportions")) for s in ROOM}


def found(layout: Layout, on: MaskedSurface = ON, **sources: str) -> Layout:
    return bordered(layout, on, walls_of(ROOM, planes(**sources)), (H, W), STRAIGHT)


def test_it_runs_along_the_walls_and_the_field_goes_on_beyond():
    pattern = found(OPEN).pattern

    assert isinstance(pattern, Bordered)
    assert pattern.goes_on
    assert pattern.field == FIELD
    x, y = np.array(pattern.outline).T
    np.testing.assert_allclose([x.min(), x.max(), y.min()], [-2, 2.5, -5], atol=0.01)


def test_an_outline_that_was_given_stays_and_what_has_no_border_too():
    given = Layout(Bordered(((0, 0), (1, 0), (1, 1)), 0.1, 0.2, FIELD))

    assert found(given) is given
    assert found(FIELD) is FIELD


def test_a_wall_whose_distance_is_assumed_tells_nothing():
    without = found(OPEN, wall_0="assumed_distance").pattern

    assert isinstance(without, Bordered)
    assert min(x for x, _ in without.outline) < -3


def test_what_somebody_sets_right_of_a_wall_does_not_tell_where_it_stands():
    """Its metres may be known then; that the analysis only assumed how far away it is stays true."""
    analysis = planes(wall_0="assumed_distance") | {"wall-2": Plane(())}

    assert walls_of(ROOM, analysis) == ((ROOM[1].homography, ROOM[1].bbox_px),)


def test_an_outline_has_room_for_the_border_where_the_surface_is_smaller_too():
    """At 0.6 of its size the recess, which has room at 1, has none."""
    parts = (LEFT, wall((-2, -5), (0, -5)), wall((0, -5.8), (0.9, -5.8)), wall((0.9, -5.4), (2.5, -5.4)), RIGHT)
    walls = tuple((tuple(h.ravel().tolist()), box) for h, box in parts)
    wide = Layout(Bordered((), 0.3, 0.4, FIELD))

    as_stated, smaller = (bordered(wide, ON, walls, (H, W), STRAIGHT, least).pattern for least in (1.0, 0.6))

    assert isinstance(as_stated, Bordered)
    assert isinstance(smaller, Bordered)
    assert min(y for _, y in as_stated.outline) == pytest.approx(-5.8, abs=0.02)
    scaled(smaller, 0.6)
    with pytest.raises(ValueError, match="narrow"):
        scaled(as_stated, 0.6)


@pytest.mark.parametrize(
    ("on", "sources", "why"),
    [
        (surface("wall-1", FLOOR), {}, "only on a floor"),
        (surface("floor-1", None), {}, "only on a floor"),
        (ON, {f"wall_{n}": "assumed_distance" for n in range(3)}, "no wall is seen"),
    ],
)
def test_where_there_is_none_to_find_it_is_asked_for(on: MaskedSurface, sources: dict[str, str], why: str):
    with pytest.raises(InvalidArgument, match=why) as refused:
        found(OPEN, on, **sources)

    assert refused.value.reason == "LAYOUT_INVALID"
    assert refused.value.metadata["field"] == "border.outline"


def test_a_border_wider_than_the_room_is_refused():
    wide = Layout(Bordered((), 4.0, 0.4, FIELD))

    with pytest.raises(InvalidArgument, match="room"):
        found(wide)
