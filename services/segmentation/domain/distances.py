"""How far away walls are: from where they stand on the floor, meet the ceiling or each other; else from what is in front.

Furniture hides where many walls stand. Of such a wall is known what it can not be: nearer than the floor that is seen in
front of it, or farther than where its lowest pixel would be floor, and its highest ceiling. Pieces that face the same way are
mostly one wall, which a window or a cupboard divides: where one of them tells and these limits allow it, the others follow,
and where none does, they are guessed together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.camera import Vectors
from services.segmentation.domain.labels import CEILING, FLOOR
from services.segmentation.domain.planes import Room

Mask = NDArray[np.bool_]
Facet = tuple[Mask, Vectors]  # (h, w), and the wall's normal

# How far true metres may lie beyond what is stated, on top of the room's own scale; logarithms. Measured on rendered rooms: of
# walls that stand behind something, nine of ten lie within these.
BY_NEIGHBOUR, GUESSED = 0.4, 0.8
DISTANCE_M = 3.5  # where a photo tells nothing
HIDDEN = 0.6  # of the farthest that a wall can be, where what stands in front hides how high its lowest pixel is
NEAREST_M = 0.2
FACES_ALIKE, SLACK = 0.9, 1.15  # cosine; and by how much a wall may miss its limits, which masks blur
PIXELS_MIN, EDGE_MIN = 8, 0.05  # that two walls share, and part of the picture's height that they share it over


@dataclass(frozen=True)
class Distance:
    """metres; doubt: a logarithm, 0 where the wall is seen to stand on the floor or to meet the ceiling."""

    metres: float
    doubt: float = 0.0


def wall_distances(room: Room, facets: Sequence[Facet], label: NDArray[np.uint8]) -> list[Distance]:
    """Of each wall, metres from the camera; labels (h, w)."""
    found: dict[int, Distance] = {}
    for i, (mask, normal) in enumerate(facets):
        metres = _by_contact(room, mask, normal, label)
        if metres is not None:
            found[i] = Distance(metres)
    told = [(facets[i], d.metres) for i, d in found.items()]
    for i, facet in enumerate(facets):
        if i not in found:
            metres = _by_neighbour(room, facet, told)
            if metres is not None:
                found[i] = Distance(metres, BY_NEIGHBOUR)
    limits = {i: _limits(room, facet, label) for i, facet in enumerate(facets) if i not in found}
    known = sorted(found, key=lambda i: -int(facets[i][0].sum()))
    for i, within in limits.items():
        alike = [found[j].metres for j in known if facets[j][1] @ facets[i][1] > FACES_ALIKE]
        metres = next((m for m in alike if within.allow(m)), None)
        if metres is not None:
            found[i] = Distance(metres, BY_NEIGHBOUR)
    rest = [i for i in limits if i not in found]
    for i in rest:
        found[i] = _guess([limits[j] for j in rest if facets[j][1] @ facets[i][1] > FACES_ALIKE])
    return [found[i] for i in range(len(facets))]


def _rays(room: Room, shape: tuple[int, ...], x: NDArray[np.int64], y: NDArray[np.int64]) -> Vectors:
    """(N, 3) through pixels of labels."""
    scale = np.array([2 * room.camera.cx / shape[1], 2 * room.camera.cy / shape[0]])
    return room.camera.rays(np.column_stack([x + 0.5, y + 0.5]) * scale)


def _grown(mask: Mask, size: int) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def _by_contact(room: Room, mask: Mask, normal: Vectors, label: NDArray[np.uint8]) -> float | None:
    """From where it stands on the floor, else from where it meets the ceiling."""
    for kind, level in ((FLOOR, -room.below_m), (CEILING, room.above_m)):
        y, x = np.nonzero(mask & _grown(label == kind, 3))
        distances = _at_level(_rays(room, mask.shape, x, y), level, room.camera.up, normal)
        if len(distances) >= 4 and np.median(distances) > NEAREST_M:
            return float(np.median(distances))
    return None


def _at_level(rays: Vectors, level: float, up: Vectors, normal: Vectors) -> NDArray[np.float64]:
    """Distances of walls whose points on these rays are `level` metres above the camera; of rays that get there."""
    climb = rays @ up
    good = climb * level > 1e-3
    return np.asarray(-(rays[good] * (level / climb[good])[:, None]) @ normal, np.float64)


def _by_neighbour(room: Room, facet: Facet, told: Sequence[tuple[Facet, float]]) -> float | None:
    """From the upright edge that it shares with a wall whose distance is known; the longest such edge."""
    mask, normal = facet
    ring = _grown(mask, 5)
    best, longest = None, 0
    for (other, towards), distance in told:
        if abs(float(towards @ normal)) > 0.5:
            continue
        y, x = np.nonzero(ring & _grown(other, 5))
        if len(x) <= longest or np.ptp(y) < EDGE_MIN * len(mask):
            continue
        rays = _rays(room, mask.shape, x, y)
        facing = -(rays @ towards)
        seen = facing > 0.05
        if seen.sum() < PIXELS_MIN:
            continue
        metres = float(np.median(-(rays[seen] * (distance / facing[seen])[:, None]) @ normal))
        if metres > NEAREST_M:
            best, longest = metres, len(x)
    return best


@dataclass(frozen=True)
class _Limits:
    """metres; farthest: infinite where nothing tells."""

    nearest: float
    farthest: float

    def allow(self, metres: float) -> bool:
        return self.nearest <= SLACK * metres and metres <= SLACK * self.farthest


def _guess(limits: Sequence[_Limits]) -> Distance:
    """Of a wall whose pieces have these limits."""
    farthest = min(within.farthest for within in limits)
    metres = HIDDEN * farthest if np.isfinite(farthest) else DISTANCE_M
    return Distance(max(metres, NEAREST_M, *(within.nearest for within in limits)), GUESSED)


def _limits(room: Room, facet: Facet, label: NDArray[np.uint8]) -> _Limits:
    """The floor that is seen in front of it, and where its lowest pixels would stand on the floor."""
    mask, normal = facet
    columns = np.flatnonzero(mask.any(0))
    lowest, highest = len(mask) - 1 - mask[::-1].argmax(0)[columns], mask.argmax(0)[columns]
    farthest = [
        float(np.quantile(limits, 0.1))
        for y, level in ((lowest, -room.below_m), (highest, room.above_m))
        if len(limits := _before(_at_level(_rays(room, mask.shape, columns, y), level, room.camera.up, normal)))
    ]
    floor = label == FLOOR
    over = columns[floor[:, columns].any(0)]
    before = _before(
        _at_level(_rays(room, mask.shape, over, floor.argmax(0)[over]), -room.below_m, room.camera.up, normal)
    )
    return _Limits(float(np.quantile(before, 0.9)) if len(before) else 0.0, min(farthest, default=np.inf))


def _before(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those of a wall in front of the camera: beyond its vanishing point, where slivers of it may lie, are none."""
    return distances[distances > NEAREST_M]
