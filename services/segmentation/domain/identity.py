"""Which surface of a room is which, from one analysis to the next: what callers know by an id keeps it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import resize, within

SAME = 0.1  # intersection over union from which two masks of a kind are of one surface
LONG_SIDE = 256  # that masks are compared at

Known = tuple[str, NDArray[np.uint8]]  # surface id and mask


def kept_ids(known: Sequence[Known], new: Sequence[Known]) -> list[str]:
    """The ids of new surfaces: those of the known ones of the same kind that they overlap most, one to one; what is new gets
    numbers that none had.

    Args:
        known: of all that the room has had, as in `wall-1`, with (H, W) uint8 masks as they were last.
        new: the same. Masks are of one photo, and of any size.
    """
    if not known or not new:
        return [surface_id for surface_id, _ in new]
    ids = [""] * len(new)
    both = _overlaps([mask for _, mask in known], [mask for _, mask in new])
    best = sorted(((iou, -i, -k) for (i, k), iou in np.ndenumerate(both) if iou >= SAME), reverse=True)
    taken: set[str] = set()
    for _, i, k in best:
        surface_id = known[-i][0]
        if _kind(surface_id) == _kind(new[-k][0]) and not ids[-k] and surface_id not in taken:
            ids[-k] = surface_id
            taken.add(surface_id)
    used = {surface_id for surface_id, _ in known}
    for k, (surface_id, _) in enumerate(new):
        if not ids[k]:
            number = 1
            while (fresh := f"{_kind(surface_id)}-{number}") in used:
                number += 1
            ids[k] = fresh
            used.add(fresh)
    return ids


def small(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask as large as it is compared."""
    return resize(mask, *_compared(mask))


def _compared(mask: NDArray[np.uint8]) -> tuple[int, int]:
    height, width = mask.shape
    return within(height, width, LONG_SIDE)


def _kind(surface_id: str) -> str:
    return surface_id.rpartition("-")[0]


def _overlaps(known: Sequence[NDArray[np.uint8]], new: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """(known, new) intersection over union."""
    size = _compared(new[0])
    a, b = (np.stack([resize(m, *size).ravel() for m in masks]).astype(np.float32) / 255 for masks in (known, new))
    both = a @ b.T
    return np.asarray(both / np.maximum(a.sum(1)[:, None] + b.sum(1) - both, 1e-6), np.float32)
