"""Quantity: what to buy for a surface, by laying the very layout that is shown. Needs no picture."""

from services.compositor.domain.quantity.boxes import Boxes, CutSize, border_boxes, boxes
from services.compositor.domain.quantity.paint import Paint, paint
from services.compositor.domain.quantity.rolls import Drop, Rolls, rolls
from services.compositor.domain.quantity.rules import Finding, Rule, check
from services.compositor.domain.quantity.seen import NotMeasurable, Seen, baseline, floor_corners, seen
from services.compositor.domain.quantity.surface import EXACT, Interval, Patches, Surface, area, over_scale

__all__ = [
    "EXACT",
    "Boxes",
    "CutSize",
    "Drop",
    "Finding",
    "Interval",
    "NotMeasurable",
    "Paint",
    "Patches",
    "Rolls",
    "Rule",
    "Seen",
    "Surface",
    "area",
    "baseline",
    "border_boxes",
    "boxes",
    "check",
    "floor_corners",
    "over_scale",
    "paint",
    "rolls",
    "seen",
]
