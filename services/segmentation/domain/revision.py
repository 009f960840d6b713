"""A revision of a room's masks: between what is stored, at the photo's size, and what is corrected, at working size.

Stored masks are the truth: working copies are always made of them, so that a correction comes out the same whether
the masks were at hand or read back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import resize
from services.segmentation.domain.labels import KINDS
from services.segmentation.domain.masks import Alpha, Masks, assemble, layer
from services.segmentation.domain.record import SurfaceRecord
from services.segmentation.domain.refine import Pins, Step
from services.segmentation.domain.strokes import Mask, Shape, Stroke, raster


@dataclass(frozen=True)
class Revised:
    """What a correction came to. full: new masks (H, W) uint8 at the photo's size of the layers that changed; box: x, y,
    width, height in pixels of the photo, None where nothing changed."""

    masks: Masks
    pins: Pins
    full: dict[int, Alpha]
    box: tuple[int, int, int, int] | None


def working_masks(surfaces: Sequence[SurfaceRecord], alphas: Sequence[Alpha], size: tuple[int, int]) -> Masks:
    """The masks of all surfaces at working size, from those at the photo's."""
    layers = [layer(s.surface_id, KINDS.index(s.kind), resize(a, *size)) for s, a in zip(surfaces, alphas, strict=True)]
    return assemble(layers, *size)


def at_photo_size(before: Masks, step: Step, old: dict[int, Alpha], strokes: Sequence[Stroke], target: int) -> Revised:
    """Carry a step over to the photo's size.

    Args:
        before: the masks before the step.
        step: at working size.
        old: masks before the step at the photo's size, of all layers that changed.
        strokes: what was drawn, on layer `target`.
    """
    if step.box is None:
        return Revised(step.masks, step.pins, {}, None)
    photo = next(iter(old.values())).shape
    size = before.shape
    height, width = int(photo[0]), int(photo[1])
    x0, y0, x1, y1 = step.box
    if (height, width) == size:
        full = {k: step.masks.full(k) for k in step.changed}
        return Revised(step.masks, step.pins, full, (x0, y0, x1 - x0, y1 - y0))
    full = {}
    for k in step.changed:
        new = step.masks.full(k)
        differs = cv2.dilate((new != before.full(k)).astype(np.uint8), np.ones((3, 3), np.uint8))
        here = cv2.resize(differs, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        full[k] = np.where(here, resize(new, height, width), old[k]).astype(np.uint8)
    _hold(full, strokes, target, (height, width))
    layers = list(step.masks.layers)
    for k in step.changed:
        layers[k] = layer(layers[k].surface_id, layers[k].kind, resize(full[k], *size))
    box = _changed_box(old, full)
    return Revised(assemble(layers, *size), step.pins, full, box)


def _hold(full: dict[int, Alpha], strokes: Sequence[Stroke], target: int, photo: tuple[int, int]) -> None:
    """Make masks at the photo's size keep to the strokes, in place."""
    for s in strokes:
        if s.shape is Shape.BOX:
            continue
        marked = raster(s, photo, photo)
        for k, alpha in full.items():
            if k == target:
                alpha[marked.window][marked.mask] = 0 if s.erase else 255
            elif not s.erase:
                alpha[marked.window][marked.mask] = 0


def _changed_box(old: dict[int, Alpha], new: dict[int, Alpha]) -> tuple[int, int, int, int] | None:
    changed = np.zeros(next(iter(new.values())).shape, bool)
    for k, alpha in new.items():
        changed |= alpha != old[k]
    if not changed.any():
        return None
    x, y, w, h = cv2.boundingRect(changed.astype(np.uint8))
    return x, y, w, h


def measured(
    record: SurfaceRecord, before: Masks, after: Masks, index: int, full: Alpha, mask_key: str
) -> SurfaceRecord:
    """The record of a surface after a correction: what a person gave it counts as certain."""
    was, now = before.owner == index, after.owner == index
    kept, area = int((was & now).sum()), int(now.sum())
    confidence = (record.confidence * kept + (area - kept)) / area if area else record.confidence
    x, y, w, h = cv2.boundingRect(full)
    return replace(record, confidence=confidence, area_fraction=area / now.size, bbox=[x, y, w, h], mask_key=mask_key)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 of two empty masks."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def counterpart(mask: Mask, kind: int, masks: Masks) -> int | None:
    """Of the layers of this kind the one that overlaps `mask` most, relative to both; None without any."""
    scores = [(iou(mask, masks.owner == i), -i) for i, x in enumerate(masks.layers) if x.kind == kind]
    return -max(scores)[1] if scores else None
