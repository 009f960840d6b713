"""Quantities as they are asked for: by what a box holds in all, not by what it holds of each article."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from services.compositor.domain.layout import Bond, Chevron, Layout, Pattern, Planks, Versailles
from services.compositor.domain.quantity import EXACT
from services.compositor.ports import MaskedSurface, Pictures
from services.compositor.usecases.quantity import EstimateQuantity, Packaging, Quantity, QuantityAsk

ROOM = ((0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0))


async def counted(pattern: Pattern, pieces: int) -> Quantity:
    ask = QuantityAsk(
        MaskedSurface("floor-1", "floor", (), ""),
        (),
        1000,
        1500,
        EXACT,
        Layout(pattern),
        is_paint=False,
        tiles=not isinstance(pattern, Planks),
        rectified=True,
        packaging=Packaging(pieces, 0, 0, 0),
        outline=ROOM,
    )
    with ThreadPoolExecutor(1) as cpu:
        return await EstimateQuantity(cast(Pictures, None), cpu)(ask)


@pytest.mark.parametrize("pieces", [1, 3, 6, 8, 12])
@pytest.mark.parametrize(
    ("pattern", "shares"),
    [
        (Versailles(0.2, 0.003), (2, 1, 2, 1)),
        (Chevron(0.5, 0.1, 45), (1, 1)),
        (Planks(0.19, (0.6, 1.2), 0.2), (1, 1)),
        (Bond(0.3, 0.3, 0.003), (1,)),
    ],
)
async def test_boxes_hold_what_is_used_and_one_less_would_not(pattern: Pattern, shares: tuple[int, ...], pieces: int):
    found = (await counted(pattern, pieces)).boxes

    assert found
    for used, share in zip(found.pieces, shares, strict=True):
        assert used <= math.floor(found.boxes * pieces * share / sum(shares) + 1e-9)
    assert any(
        used > (found.boxes - 1) * pieces * share / sum(shares)
        for used, share in zip(found.pieces, shares, strict=True)
    )


async def test_bundles_of_the_trade_leave_little_over():
    """12 m2 in bundles of six tiles, 18 cells of 20.3 cm each: what the cut edges waste comes on top."""
    found = (await counted(Versailles(0.2, 0.003), 6)).boxes

    assert found
    least = 12 / (18 * 0.203**2)
    assert least <= found.boxes < 1.2 * least
