import pytest

from services.compositor.domain.quantity import Interval, paint


def test_litres_follow_from_area_coats_and_coverage():
    need = paint(Interval(18.0, 20.0, 23.0), coats=2, coverage_m2_per_l=10.0, can_l=2.5)

    assert need.litres == Interval(3.6, 4.0, 4.6)
    assert need.cans == Interval(2, 2, 2)


def test_a_can_that_is_just_enough_is_enough():
    assert paint(Interval(25.0, 25.0, 25.1), 1, 10.0, 2.5).cans == Interval(1, 1, 2)


@pytest.mark.parametrize(("coats", "coverage", "can"), [(0, 10.0, 2.5), (1, 0.0, 2.5), (1, 10.0, 0.0)])
def test_numbers_that_make_no_sense_are_refused(coats: int, coverage: float, can: float):
    with pytest.raises(ValueError):
        paint(Interval(1, 1, 1), coats, coverage, can)
