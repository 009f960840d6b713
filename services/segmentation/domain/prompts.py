"""What a caller can ask of the proposals: everything, points, a box, words.

Source: Zhao et al., "Fast Segment Anything", 2023, sec. 3.3: the network finds everything once, and a prompt only
chooses. A prompt is answered by a `Selection`, cheap to make; its mask is drawn when it is wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from roomviz.errors import Unimplemented
from roomviz.imaging.codec import Image
from services.segmentation.domain.proposals import Float, Mask, Proposals

# CLIP's input (Radford et al., "Learning Transferable Visual Models", 2021): side, and its data's mean and deviation.
CLIP_SIDE = 224
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
CLIP_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
CROPS_MAX = 64
MARGIN = 0.05  # of context around a crop, in parts of its box


@dataclass(frozen=True)
class Selection:
    """Proposals whose masks are joined, and those that are taken away from them.

    include, exclude: indices; score: how well the prompt is met, 0..1; negative: points that stay outside.
    """

    include: tuple[int, ...]
    score: float
    exclude: tuple[int, ...] = ()
    negative: tuple[tuple[float, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.include)


NOTHING = Selection((), 0.0)


class TextEncoder(Protocol):
    """CLIP or its like; weights are the user's own. Rows need not have unit length."""

    async def text(self, words: str) -> Float:
        """(D,) float32."""

    async def images(self, crops: Float) -> Float:
        """(K, 3, 224, 224) float32, as `crops` makes them, to (K, D) float32."""


def text_unavailable() -> Unimplemented:
    """What the use case raises where no text encoder is configured."""
    return Unimplemented(
        "TEXT_PROMPT_UNAVAILABLE", "text prompts need a CLIP model, and none is set up; use points or a box"
    )


def everything(proposals: Proposals) -> list[Selection]:
    """One selection for each proposal, largest first, so that painting them in order leaves small ones on top."""
    areas = proposals.areas()
    order = np.lexsort((np.arange(len(proposals)), -areas))
    return [Selection((int(i),), float(proposals.scores[i])) for i in order if areas[i] > 0]


def points(
    proposals: Proposals, positive: Sequence[tuple[float, float]], negative: Sequence[tuple[float, float]] = ()
) -> Selection:
    """The masks that the positive points lie in, joined, without what the negative points lie in.

    As few masks as cover the positive points: first the one that holds the most of them, then the better score. A
    mask that holds a negative point is passed over; where no other holds a positive point, it is taken less the
    smallest mask around the negative point. Points are x, y in photo pixels.

    Returns:
        A selection; its score is the part of the positive points that it covers, times the mean score of its masks.
        `NOTHING` where no mask answers.
    """
    if not positive or not len(proposals):
        return NOTHING
    holds = proposals.logits_at(np.array(positive)) > 0
    holds_not = proposals.logits_at(np.array(negative)) > 0 if negative else np.zeros((len(proposals), 0), bool)
    clean = ~holds_not.any(1)
    areas = proposals.areas()
    include, exclude, covered = list[int](), set[int](), np.zeros(len(positive), bool)
    while True:
        gain = (holds & ~covered).sum(1) * clean
        if not gain.any():
            break
        best = _first(-gain, -proposals.scores, areas)
        include.append(best)
        covered |= holds[best]
    for candidate in np.lexsort((areas, -proposals.scores)):
        if not (holds[candidate] & ~covered).any():
            continue
        cut = _cut(candidate, holds, holds_not, areas)
        if cut is not None:
            include.append(int(candidate))
            exclude |= cut
            covered |= holds[candidate]
    if not include:
        return NOTHING
    score = float(covered.mean() * proposals.scores[include].mean())
    outside = tuple((float(x), float(y)) for x, y in negative)
    return Selection(tuple(include), score, tuple(sorted(exclude)), outside)


def box(proposals: Proposals, xyxy: tuple[float, float, float, float]) -> Selection:
    """The proposal whose box overlaps the given one most; its score is their IoU. Photo pixels."""
    if not len(proposals):
        return NOTHING
    given = np.array(xyxy, np.float32)
    given = np.concatenate([np.minimum(given[:2], given[2:]), np.maximum(given[:2], given[2:])])
    sides = np.minimum(proposals.boxes[:, 2:], given[2:]) - np.maximum(proposals.boxes[:, :2], given[:2])
    inter = np.maximum(sides, 0).prod(1)
    whole = (proposals.boxes[:, 2:] - proposals.boxes[:, :2]).prod(1) + (given[2:] - given[:2]).prod() - inter
    overlap = inter / np.maximum(whole, 1e-6)
    best = _first(-overlap, -proposals.scores)
    return Selection((best,), float(overlap[best])) if overlap[best] > 0 else NOTHING


def crops(proposals: Proposals, photo: Image) -> tuple[NDArray[np.intp], Float]:
    """The proposals that are compared with words, cut out of the photo on white, as CLIP takes them.

    Returns:
        Their indices (C,), the best CROPS_MAX; and (C, 3, 224, 224) float32, normalised.
    """
    chosen = np.flatnonzero(proposals.areas() > 0)[:CROPS_MAX]
    height, width = photo.shape[:2]
    out = np.empty((len(chosen), 3, CLIP_SIDE, CLIP_SIDE), np.float32)
    for place, index in enumerate(chosen):
        mask = proposals.mask(int(index), height, width)
        ratio = np.tile([width / proposals.width, height / proposals.height], 2)
        x0, y0, x1, y1 = proposals.boxes[index] * ratio
        mx, my = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
        window = (
            slice(max(0, int(y0 - my)), min(height, int(y1 + my) + 1)),
            slice(max(0, int(x0 - mx)), min(width, int(x1 + mx) + 1)),
        )
        out[place] = clip_input(np.where(mask[window][..., None], photo[window], np.uint8(255)))
    return chosen, out


def clip_input(image: NDArray[np.uint8]) -> Float:
    """CLIP's preprocessing: the shorter side to 224 by cubic resampling, the middle square, normalised.

    Args:
        image: (H, W, 3) uint8 sRGB.

    Returns:
        (3, 224, 224) float32.
    """
    height, width = image.shape[:2]
    scale = CLIP_SIDE / min(height, width)
    whole = np.array([max(CLIP_SIDE, int(width * scale)), max(CLIP_SIDE, int(height * scale))])
    corner = np.round((whole - CLIP_SIDE) / 2)
    # Only the square that is kept is resampled: a crop can be a long strip.
    ratio = np.array([width, height]) / whole
    x0, y0, x1, y1 = np.concatenate([corner * ratio, (corner + CLIP_SIDE) * ratio]).tolist()
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    window = (x0, y0, min(x1, width), min(y1, height))
    small = picture.resize((CLIP_SIDE, CLIP_SIDE), Pillow.Resampling.BICUBIC, box=window)
    square = np.asarray(small, np.float32) / 255
    return np.asarray(((square - CLIP_MEAN) / CLIP_DEVIATION).transpose(2, 0, 1), np.float32)


def text(chosen: NDArray[np.intp], images: Float, words: Float) -> Selection:
    """The crop that is most like the words.

    Args:
        chosen: (C,) indices of `crops`; images: (C, D) their embeddings; words: (D,) that of the text.

    Returns:
        A selection whose score is the cosine of the two embeddings, 0 where it is negative.
    """
    if not len(chosen):
        return NOTHING
    unit = images / np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-6)
    likeness = unit @ (words / max(float(np.linalg.norm(words)), 1e-6))
    best = int(likeness.argmax())
    return Selection((int(chosen[best]),), max(0.0, float(likeness[best])))


def mask(proposals: Proposals, selection: Selection, height: int, width: int) -> Mask:
    """The selection's mask, (height, width) bool.

    Gaps between joined masks are closed (Zhao et al., 2023, sec. 3.3), unless that would take in a negative point.
    """
    joined = np.zeros((height, width), bool)
    for index in selection.include:
        joined |= proposals.mask(index, height, width)
    if len(selection.include) > 1:
        side = max(3, round(max(height, width) / 300) | 1)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        closed = cv2.morphologyEx(joined.astype(np.uint8), cv2.MORPH_CLOSE, kernel).astype(bool)
        if not any(closed[y, x] for x, y in _pixels(proposals, selection.negative, height, width)):
            joined = closed
    for index in selection.exclude:
        joined &= ~proposals.mask(index, height, width)
    return joined


def _first(*keys: NDArray[Any]) -> int:
    """Index of the least by the first key, then the second, and so on."""
    return int(np.lexsort(keys[::-1])[0])


def _cut(candidate: int, holds: NDArray[np.bool_], holds_not: NDArray[np.bool_], areas: Float) -> set[int] | None:
    """The smallest masks that take the negative points out of `candidate` and no positive one; None without them."""
    cut = set[int]()
    for point in np.flatnonzero(holds_not[candidate]):
        able = holds_not[:, point] & ~holds.any(1)
        if not able.any():
            return None
        cut.add(int(np.where(able, areas, np.inf).argmin()))
    return cut


def _pixels(
    proposals: Proposals, many: Sequence[tuple[float, float]], height: int, width: int
) -> list[tuple[int, int]]:
    """Points of the photo as pixels of a mask of another size; those outside the photo are left out."""
    found = [(int(x * width / proposals.width), int(y * height / proposals.height)) for x, y in many]
    return [(x, y) for x, y in found if 0 <= x < width and 0 <= y < height]
