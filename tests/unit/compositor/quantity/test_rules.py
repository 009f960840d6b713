"""A table of what A108.02 asks of grout and offset."""

import pytest

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
from services.compositor.domain.quantity import Rule, check

IN = 0.0254
GROUT, OFFSET, BOND = Rule.GROUT_MIN, Rule.BOND_OFFSET_MAX, Rule.BOND_GROUT_MIN
LARGE, LIMIT, SMALL = 24 * IN, 15 * IN, 12 * IN


@pytest.mark.parametrize(
    ("pattern", "rectified", "expected"),
    [
        # Never under 1/16 in, whatever the pattern.
        (Bond(0.3, 0.3, 0.0), True, [GROUT]),
        (Bond(0.3, 0.3, 0.0015), True, [GROUT]),
        (Bond(0.3, 0.3, IN / 16), True, []),
        (Bond(0.3, 0.3, 0.0016), False, []),
        (Bond(LARGE, LARGE, 0.002), False, []),
        (Herringbone(0.6, 0.1, 0.001), True, [GROUT]),
        (Herringbone(0.6, 0.1, 0.002), False, []),
        (Chevron(0.6, 0.1, 45, 0.001), True, [GROUT]),
        (BasketWeave(0.1, 3, 0.001), True, [GROUT]),
        (Versailles(0.2, 0.001), True, [GROUT]),
        (Versailles(0.2, 0.004), True, []),
        (Hexagon(0.2, 0.0), True, [GROUT]),
        (Penny(0.02, 0.002), True, []),
        # Running bond of small tiles: any offset, any grout above 1/16 in.
        (Bond(SMALL, 0.1, 0.002, 0.5), True, []),
        (Bond(LIMIT, 0.1, 0.002, 0.5), False, []),
        (Bond(SMALL, SMALL, 0.002, 0.5), False, []),
        # A side above 15 in: at most 33 %, whichever way it is counted and whichever side is long.
        (Bond(LARGE, 0.1, IN / 8, 0.5), True, [OFFSET]),
        (Bond(LARGE, 0.1, IN / 8, 0.4), True, [OFFSET]),
        (Bond(LARGE, 0.1, IN / 8, 0.6), True, [OFFSET]),
        (Bond(LARGE, 0.1, IN / 8, 1 / 3), True, []),
        (Bond(LARGE, 0.1, IN / 8, 2 / 3), True, []),
        (Bond(LARGE, 0.1, IN / 8, 0.33), True, []),
        (Bond(LARGE, 0.1, IN / 8, 0.25), True, []),
        (Bond(0.3, 16 * IN, IN / 8, 0.5), True, [OFFSET]),
        (Bond(15.01 * IN, 0.1, IN / 8, 0.5), True, [OFFSET]),
        # And its grout: 1/8 in rectified, 3/16 in calibrated.
        (Bond(LARGE, 0.1, 0.003, 1 / 3), True, [BOND]),
        (Bond(LARGE, 0.1, 0.0031, 1 / 3), True, [BOND]),
        (Bond(LARGE, 0.1, 0.0032, 1 / 3), True, []),
        (Bond(LARGE, 0.1, IN / 8, 1 / 3), False, [BOND]),
        (Bond(LARGE, 0.1, 0.0047, 1 / 3), False, [BOND]),
        (Bond(LARGE, 0.1, 3 * IN / 16, 1 / 3), False, []),
        (Bond(LARGE, 0.1, 0.005, 0.2), False, []),
        # All at once.
        (Bond(LARGE, 0.1, 0.001, 0.5), False, [GROUT, OFFSET, BOND]),
        (Bond(LARGE, 0.1, 0.002, 0.5), True, [OFFSET, BOND]),
        # Random rows come as near to a half as chance will have it.
        (Bond(LARGE, 0.1, IN / 8, random_stagger_m=0.1), True, [OFFSET]),
        (Bond(SMALL, 0.1, 0.002, random_stagger_m=0.1), True, []),
        (Planks(0.2, (0.6, 0.9), 0.15, IN / 8), True, [OFFSET]),
        (Planks(0.2, (0.3, 0.35), 0.1, 0.002), True, []),
        # A grid is no bond.
        (Bond(LARGE, 0.1, 0.002, 0.0), False, []),
        (Bond(1.2, 0.6, IN / 16, 0.0), True, []),
    ],
)
def test_findings(pattern, rectified: bool, expected: list[Rule]):
    found = check(pattern, rectified)

    assert [f.rule for f in found] == expected
    for finding in found:
        over = finding.rule is OFFSET
        assert (finding.measured > finding.limit) if over else (finding.measured < finding.limit)
        assert "or more" in finding.message or "at most" in finding.message
