"""Everything the fastsam model sees in a photo: scored boxes, and masks that are decoded when asked for.

The answer is kept as mask coefficients and prototypes (Bolya et al., "YOLACT", 2019, sec. 3.1): a mask's logits
are their dot product. A mask is evaluated inside its own box only, and the logits, not the mask, are brought to
the photo's size, so that a picked mask is smooth where stride 4 would show steps.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image

Float = NDArray[np.float32]
Half = NDArray[np.float16]
Mask = NDArray[np.bool_]

LONG_SIDE = 1024  # what FastSAM is trained at (Zhao et al., 2023, sec. 4)
STRIDE = 32
CELL = 4  # input pixels per prototype cell
GREY = 114  # of the border; what the published weights have seen there
COEFFICIENTS = 32

# Defaults of the published "everything" mode.
SCORE_MIN, IOU_MAX = 0.4, 0.9
CANDIDATES_MAX, PROPOSALS_MAX = 2000, 300


@dataclass(frozen=True)
class Letterbox:
    """How a photo of (height, width) lies in the input: resized to (inner_height, inner_width), at the top left.

    The inner sides are multiples of 4, so that the prototypes cover the photo by whole cells; the rest of the input
    up to (input_height, input_width), multiples of 32, is grey.
    """

    height: int
    width: int
    inner_height: int
    inner_width: int
    input_height: int
    input_width: int

    @property
    def scale(self) -> NDArray[np.float64]:
        """Input pixels per photo pixel: x, y."""
        return np.array([self.inner_width / self.width, self.inner_height / self.height])

    def to_input(self, coordinates: NDArray[Any]) -> NDArray[np.float64]:
        """Points (…, 2) or boxes (…, 4) of the photo, in the input."""
        return np.asarray(coordinates * np.tile(self.scale, coordinates.shape[-1] // 2), np.float64)

    def to_photo(self, coordinates: NDArray[Any]) -> NDArray[np.float64]:
        """Points (…, 2) or boxes (…, 4) of the input, in the photo."""
        return np.asarray(coordinates / np.tile(self.scale, coordinates.shape[-1] // 2), np.float64)


def fit(height: int, width: int, long_side: int = LONG_SIDE) -> Letterbox:
    """The letterbox of a photo of this size; `long_side` is a multiple of 32."""
    factor = long_side / max(height, width)
    inner = [min(long_side, max(CELL, round(d * factor / CELL) * CELL)) for d in (height, width)]
    outer = [math.ceil(d / STRIDE) * STRIDE for d in inner]
    return Letterbox(height, width, *inner, *outer)


def network_input(photo: Image, long_side: int = LONG_SIDE) -> tuple[NDArray[np.uint8], Letterbox]:
    """The photo as the network takes it, (1, h, w, 3) uint8, and how it lies there."""
    box = fit(photo.shape[0], photo.shape[1], long_side)
    shrinks = box.inner_width < box.width
    inner = cv2.resize(
        photo, (box.inner_width, box.inner_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    canvas = np.full((1, box.input_height, box.input_width, 3), GREY, np.uint8)
    canvas[0, : box.inner_height, : box.inner_width] = inner
    return canvas, box


@dataclass(frozen=True)
class Proposals:
    """What was found, best score first.

    boxes (K, 4) float32 x0, y0, x1, y1 in photo pixels; scores (K,) float32; coefficients (K, 32) float16;
    prototypes (32, h, w) float16 of the photo alone, without the border: h and w are the photo's inner size / 4.
    Half precision throughout, so that an answer from the cache is the answer that was given first.
    """

    height: int
    width: int
    boxes: Float
    scores: Float
    coefficients: Half
    prototypes: Half

    def __len__(self) -> int:
        return len(self.scores)

    def mask(self, index: int, height: int, width: int) -> Mask:
        """Proposal `index` decoded on the photo at (height, width), whatever size it is wanted in.

        Returns:
            (height, width) bool, False outside the box.
        """
        out = np.zeros((height, width), np.bool_)
        window = _window(self.boxes[index] * _ratio(self, height, width), height, width)
        if window is None:
            return out
        x0, y0, x1, y1 = window
        cells_y, cells_x = self.prototypes.shape[1:]
        sx, sy = cells_x / width, cells_y / height
        # The cells that the window touches, and one more for the interpolation.
        u0, v0 = max(0, math.floor(x0 * sx) - 1), max(0, math.floor(y0 * sy) - 1)
        u1, v1 = min(cells_x, math.ceil(x1 * sx) + 1), min(cells_y, math.ceil(y1 * sy) + 1)
        logits = self._logits(index, u0, v0, u1, v1)
        cell_from_pixel = np.array(
            [[sx, 0, (x0 + 0.5) * sx - 0.5 - u0], [0, sy, (y0 + 0.5) * sy - 0.5 - v0]], np.float64
        )
        full = cv2.warpAffine(
            logits,
            cell_from_pixel,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        out[y0:y1, x0:x1] = full > 0
        return out

    def logits_at(self, points: NDArray[Any]) -> Float:
        """Every proposal's logits at points of the photo, as `mask` at the photo's own size has them there.

        Args:
            points: (P, 2) x, y in photo pixels; a point means the pixel that it lies in.

        Returns:
            (K, P) float32, minus infinity outside a proposal's box and outside the photo.
        """
        pixel = np.floor(np.asarray(points, np.float64).reshape(-1, 2))
        middle = pixel + 0.5
        cells = np.array(self.prototypes.shape[:0:-1])
        place = np.clip(middle * cells / [self.width, self.height] - 0.5, 0, cells - 1)
        low = np.minimum(place.astype(int), np.maximum(cells - 2, 0))
        high = np.minimum(low + 1, cells - 1)
        part = (place - low).astype(np.float32)
        (u0, v0), (u1, v1), (fu, fv) = low.T, high.T, part.T
        p = self._planes
        top = p[:, v0, u0] * (1 - fu) + p[:, v0, u1] * fu
        bottom = p[:, v1, u0] * (1 - fu) + p[:, v1, u1] * fu
        logits = self.coefficients.astype(np.float32) @ (top * (1 - fv) + bottom * fv)
        x, y = middle.T
        x0, y0, x1, y1 = self.boxes.T[:, :, None]
        # The pixels of `_window`: those whose middles lie in the box, its right and bottom side not included.
        within = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        within &= (x > 0) & (x < self.width) & (y > 0) & (y < self.height)
        return np.asarray(np.where(within, logits, -np.inf), np.float32)

    def areas(self) -> Float:
        """Part of the photo that each proposal's mask covers, (K,) float32, measured in prototype cells."""
        cells = self.prototypes.shape[1] * self.prototypes.shape[2]
        return np.array([mask.sum() / cells for _, mask in self.small_masks()], np.float32)

    def small_masks(self) -> Iterator[tuple[tuple[int, int, int, int], Mask]]:
        """Of each proposal, its window x0, y0, x1, y1 in prototype cells and its mask there, for ranking."""
        height, width = self.prototypes.shape[1:]
        boxes = self.boxes * _ratio(self, height, width)
        for index, box in enumerate(boxes):
            x0, y0, x1, y1 = _window(box, height, width) or (0, 0, 0, 0)
            yield (x0, y0, x1, y1), self._logits(index, x0, y0, x1, y1) > 0

    @cached_property
    def _planes(self) -> Float:
        """The prototypes to compute with; widened once, not for each mask."""
        return self.prototypes.astype(np.float32)

    def _logits(self, index: int, x0: int, y0: int, x1: int, y1: int) -> Float:
        window = self._planes[:, y0:y1, x0:x1]
        found = self.coefficients[index].astype(np.float32) @ window.reshape(len(window), -1)
        return np.asarray(found.reshape(window.shape[1:]), np.float32)

    def to_bytes(self) -> bytes:
        """For the object store; `from_bytes` gives an equal object."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            size=np.array([self.height, self.width], np.int32),
            boxes=self.boxes,
            scores=self.scores,
            coefficients=self.coefficients,
            prototypes=self.prototypes,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Proposals":
        """Raises ValueError where the bytes are none of ours."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                height, width = (int(v) for v in arrays["size"])
                found = cls(
                    height,
                    width,
                    arrays["boxes"].astype(np.float32),
                    arrays["scores"].astype(np.float32),
                    arrays["coefficients"].astype(np.float16),
                    arrays["prototypes"].astype(np.float16),
                )
        except Exception as error:
            raise ValueError("these are no stored proposals") from error
        count = len(found.scores)
        if found.boxes.shape != (count, 4) or found.coefficients.shape != (count, len(found.prototypes)):
            raise ValueError("these are no stored proposals")
        return found


def decode(
    predictions: Float,
    prototypes: Float,
    box: Letterbox,
    score_min: float = SCORE_MIN,
    iou_max: float = IOU_MAX,
    proposals_max: int = PROPOSALS_MAX,
) -> Proposals:
    """Proposals from the network's answer for one photo.

    Args:
        predictions: (37, A) float32 of the wire contract.
        prototypes: (32, h, w) float32.
        box: how the photo lay in the input.
        score_min: proposals below it are dropped.
        iou_max: of two proposals whose boxes overlap more, the one with the lower score is dropped.
        proposals_max: how many are kept.
    """
    kept = np.flatnonzero(predictions[4] >= score_min)
    found = predictions[:, kept].T
    # By score; among equals by box, so that the order of the cells does not matter.
    order = np.lexsort((found[:, 3], found[:, 2], found[:, 1], found[:, 0], -found[:, 4]))[:CANDIDATES_MAX]
    found = found[order]
    corner = found[:, :2] - found[:, 2:4] / 2
    xyxy = np.concatenate([corner, corner + found[:, 2:4]], 1)
    limit = np.array([box.inner_width, box.inner_height] * 2, np.float32)
    xyxy = np.clip(xyxy, 0, limit)
    whole = (xyxy[:, 2:] - xyxy[:, :2] > 1).all(1)
    found, xyxy = found[whole], xyxy[whole]
    keep = suppress(xyxy, found[:, 4], iou_max)[:proposals_max]
    cells = prototypes[:, : box.inner_height // CELL, : box.inner_width // CELL]
    return Proposals(
        box.height,
        box.width,
        np.asarray(box.to_photo(xyxy[keep]), np.float32),
        np.ascontiguousarray(found[keep, 4], np.float32),
        found[keep, 5:].astype(np.float16),
        cells.astype(np.float16),
    )


def suppress(boxes_xyxy: Float, scores: Float, iou_max: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression of boxes that come best first; indices of those that stay, in order."""
    if not len(boxes_xyxy):
        return np.zeros(0, np.intp)
    xywh = np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], 1)
    # Arrays go through without a copy; OpenCV's stubs ask for lists.
    return np.asarray(cv2.dnn.NMSBoxes(cast(Any, xywh), cast(Any, scores), 0.0, iou_max), np.intp).ravel()


def _ratio(proposals: Proposals, height: int, width: int) -> Float:
    return np.tile(np.array([width / proposals.width, height / proposals.height], np.float32), 2)


def _window(box: Float, height: int, width: int) -> tuple[int, int, int, int] | None:
    """The pixels whose centres lie in the box, as x0, y0, x1, y1; None where there are none."""
    x0, y0 = (max(0, math.ceil(float(v) - 0.5)) for v in box[:2])
    x1, y1 = min(width, math.ceil(float(box[2]) - 0.5)), min(height, math.ceil(float(box[3]) - 0.5))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
