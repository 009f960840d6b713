"""What a room looks like from above."""

import numpy as np

from models.rooms.scene import Rng


def footprint(rng: Rng) -> np.ndarray:
    """A rectilinear polygon, counter-clockwise, metres: a box, an L or a box with an alcove."""
    w, d = rng.uniform(2.4, 6.5), rng.uniform(2.6, 7.0)
    roll = rng.random()
    if roll < 0.55:
        return np.array([[0, 0], [w, 0], [w, d], [0, d]])
    a, b = rng.uniform(0.25, 0.7) * w, rng.uniform(0.3, 0.7) * d
    if roll < 0.8:
        shape = np.array([[0, 0], [w, 0], [w, b], [a, b], [a, d], [0, d]])
    else:
        c, e = a + rng.uniform(0.2, 0.9) * (w - a), rng.uniform(0.2, 1.0)
        shape = np.array([[0, 0], [w, 0], [w, d], [c, d], [c, d + e], [a, d + e], [a, d], [0, d]])
    return shape * np.array([1, 1]) if rng.random() < 0.5 else (shape * np.array([-1, 1]))[::-1] + np.array([w, 0])


def small(rng: Rng) -> np.ndarray:
    """As `footprint`, of a bathroom, a hall or a chamber."""
    w, d = rng.uniform(1.5, 3.0), rng.uniform(1.8, 3.6)
    return np.array([[0, 0], [w, 0], [w, d], [0, d]])


def inside(polygon: np.ndarray, x: float, y: float) -> bool:
    a, b = polygon, np.roll(polygon, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = (a[:, 1] > y) != (b[:, 1] > y)
        at = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return bool(np.sum(cross & (x < at)) % 2)


def clearance(polygon: np.ndarray, x: float, y: float) -> float:
    """Distance to the nearest wall."""
    a, b = polygon, np.roll(polygon, -1, 0)
    e, p = b - a, np.array([x, y])
    t = np.clip(((p - a) * e).sum(1) / (e**2).sum(1), 0, 1)
    return float(np.linalg.norm(a + t[:, None] * e - p, axis=1).min())
