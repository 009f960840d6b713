"""The patterns that the tests go through, and points to try them on."""

import numpy as np

from services.compositor.domain.layout import (
    BasketWeave,
    Bond,
    Chevron,
    Herringbone,
    Hexagon,
    Pattern,
    Penny,
    Planks,
    Versailles,
    lengths_between,
)

PIECES: dict[str, Pattern] = {
    "grid": Bond(0.3, 0.2, 0.004),
    "grid without grout": Bond(0.3, 0.3),
    "running bond 1/2": Bond(0.6, 0.15, 0.003, offset=1 / 2),
    "running bond 1/3": Bond(0.6, 0.15, 0.003, offset=1 / 3),
    "random bond": Bond(0.4, 0.1, 0.003, random_stagger_m=0.08),
    "herringbone": Herringbone(0.45, 0.09, 0.002),
    "herringbone of odd ratio": Herringbone(0.61, 0.13, 0.01),
    "chevron 45": Chevron(0.5, 0.09, 45, 0.004),
    "chevron 30": Chevron(0.4, 0.1, 30, 0.004),
    "basket-weave": BasketWeave(0.07, 3, 0.003),
    "versailles": Versailles(0.2, 0.005),
    "hexagon": Hexagon(0.2, 0.006),
    "penny": Penny(0.025, 0.002),
    "planks of a set": Planks(0.18, (0.6, 0.9, 1.2), 0.15, 0.001),
    "planks of a range": Planks(0.15, lengths_between(0.6, 1.8), 0.25, 0.0),
}


def points(count: int, seed: int, size: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Random points around the origin, float64."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-size, size, count), rng.uniform(-size, size, count)
