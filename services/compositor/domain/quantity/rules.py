"""Whether tile can be installed as shown, by ANSI A108.02 (its text on grout joints and running bond).

Grout is never narrower than 1/16 in. In a running bond of tiles with a side above 15 in each row is offset by 33 %
at most, and the grout is at least 1/8 in wide for rectified tiles and 3/16 in for calibrated ones.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.compositor.domain.layout import (
    BasketWeave,
    Bond,
    Chevron,
    Herringbone,
    Hexagon,
    Penny,
    Planks,
    Versailles,
)

INCH_M = 0.0254
GROUT_MIN_M = INCH_M / 16
LARGE_SIDE_M = 15 * INCH_M
OFFSET_MAX = 0.33
BOND_GROUT_MIN_M = {True: INCH_M / 8, False: 3 * INCH_M / 16}  # by whether the tile is rectified
# One third is meant by 33 %; and rounding is no fault.
OFFSET_SLACK, LENGTH_SLACK_M = 0.005, 1e-7

Tiled = Bond | Planks | Herringbone | Chevron | BasketWeave | Versailles | Hexagon | Penny


class Rule(StrEnum):
    GROUT_MIN = "A108.02/GROUT_MIN"
    BOND_OFFSET_MAX = "A108.02/BOND_OFFSET_MAX"
    BOND_GROUT_MIN = "A108.02/BOND_GROUT_MIN"


@dataclass(frozen=True)
class Finding:
    """A rule that is not kept. measured and limit: metres, or a part of the tile's length for offsets."""

    rule: Rule
    message: str
    measured: float
    limit: float


def bond_offset(pattern: Tiled) -> float | None:
    """The largest offset between rows as a part of a tile, 0 to 1/2; None where there are no rows in bond."""
    if isinstance(pattern, Planks):
        return 0.5
    if not isinstance(pattern, Bond):
        return None
    if pattern.random_stagger_m is not None:
        return 0.5
    return min(pattern.offset, 1 - pattern.offset) if pattern.offset else None


def _sides(pattern: Bond | Planks) -> tuple[float, ...]:
    lengths = pattern.lengths_m if isinstance(pattern, Planks) else (pattern.length_m,)
    return (*lengths, pattern.width_m)


def check(pattern: Tiled, rectified: bool) -> list[Finding]:
    """What a tiler would object to.

    Args:
        pattern: of tiles; planks of wood are not meant.
        rectified: whether the tiles' edges were ground to size after firing; else they are calibrated.
    """
    found = []
    grout = pattern.grout_m
    if grout < GROUT_MIN_M - LENGTH_SLACK_M:
        message = f"grout of {grout * 1e3:.1f} mm is narrower than 1/16 in: make it {GROUT_MIN_M * 1e3:.1f} mm or more"
        found.append(Finding(Rule.GROUT_MIN, message, grout, GROUT_MIN_M))
    offset = bond_offset(pattern)
    if (
        offset is None
        or not isinstance(pattern, Bond | Planks)
        or max(_sides(pattern)) <= LARGE_SIDE_M + LENGTH_SLACK_M
    ):
        return found
    if offset > OFFSET_MAX + OFFSET_SLACK:
        message = f"rows of tiles with a side above 15 in are offset by {offset:.0%}: offset them by 33 % at most"
        found.append(Finding(Rule.BOND_OFFSET_MAX, message, offset, OFFSET_MAX))
    limit = BOND_GROUT_MIN_M[rectified]
    if grout < limit - LENGTH_SLACK_M:
        made = "rectified" if rectified else "calibrated"
        message = f"{made} tiles with a side above 15 in in running bond need grout of {limit * 1e3:.1f} mm or more"
        found.append(Finding(Rule.BOND_GROUT_MIN, message, grout, limit))
    return found
