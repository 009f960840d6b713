"""Quantity: what to buy for a surface, by laying the very layout that is shown. Needs no picture."""

from services.compositor.domain.quantity.boxes import Boxes, CutSize, boxes
from services.compositor.domain.quantity.paint import Paint, paint
from services.compositor.domain.quantity.rolls import Drop, Rolls, rolls
from services.compositor.domain.quantity.rules import Finding, Rule, check
from services.compositor.domain.quantity.surface import Interval, Surface, area, over_scale

__all__ = [
    "Boxes",
    "CutSize",
    "Drop",
    "Finding",
    "Interval",
    "Paint",
    "Rolls",
    "Rule",
    "Surface",
    "area",
    "boxes",
    "check",
    "over_scale",
    "paint",
    "rolls",
]
