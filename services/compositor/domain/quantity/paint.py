"""Litres and cans of paint."""

from dataclasses import dataclass
from math import ceil

from services.compositor.domain.layout.piece import require
from services.compositor.domain.quantity.surface import Interval


@dataclass(frozen=True)
class Paint:
    """litres: needed. cans: to buy for each of litres' low, value and high."""

    litres: Interval
    cans: Interval


def paint(area_m2: Interval, coats: int, coverage_m2_per_l: float, can_l: float) -> Paint:
    """Paint for an area, every coat taking the same.

    Args:
        area_m2: see `surface.area`.
        coverage_m2_per_l: what a litre covers once, as its maker tells.
        can_l: litres in a can.

    Raises:
        ValueError: a number that is not above 0.
    """
    require(coats >= 1 and coverage_m2_per_l > 0 and can_l > 0, "coats, coverage and cans are above 0")
    litres = [a * coats / coverage_m2_per_l for a in (area_m2.low, area_m2.value, area_m2.high)]
    cans = [float(ceil(l / can_l - 1e-9)) for l in litres]
    return Paint(Interval(*litres), Interval(*cans))
