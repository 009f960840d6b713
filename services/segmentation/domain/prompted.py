"""What a prompted network is asked and what it answers: points in, masks out, one set for each prompt.

Source: Kirillov et al., "Segment Anything", 2023, sec. 3: a prompt is points with labels, a box is two of them; the
answer is several masks, because a point can mean a thing or a part of it, each with the IoU that the network expects.
"""

import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.proposals import CELL, Float, Letterbox, Proposals

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT, PADDING = 0.0, 1.0, 2.0, 3.0, -1.0
LOGIT_MAX = 1e4  # half precision holds it

Point = tuple[float, float]


def points(positive: tuple[Point, ...], negative: tuple[Point, ...], box: Letterbox) -> tuple[Float, Float]:
    """Coordinates (1, P, 2), x and y in input pixels, and labels (1, P), of points of the photo.

    One that means nothing comes last: the published networks were trained to see it where no box is given.
    """
    at = np.concatenate([box.to_input(np.array([*positive, *negative])), np.zeros((1, 2))])
    labels = [*[POSITIVE] * len(positive), *[NEGATIVE] * len(negative), PADDING]
    return at[None].astype(np.float32), np.array([labels], np.float32)


def corners(xyxy: tuple[float, float, float, float], box: Letterbox) -> tuple[Float, Float]:
    """Coordinates (1, 2, 2) and labels (1, 2) of a box of the photo, as `points` gives them."""
    at = box.to_input(np.array(xyxy)).reshape(1, 2, 2)
    return at.astype(np.float32), np.array([[TOP_LEFT, BOTTOM_RIGHT]], np.float32)


def decode(masks: Float, scores: Float, box: Letterbox) -> Proposals:
    """The masks of an answer, best first, to be drawn as any other proposals; empty ones are left out.

    Args:
        masks: (M, h, w) float32 logits, at stride 4 of the input.
        scores: (M,) float32, the IoU that the network expects; it may leave 0..1 a little.
        box: how the photo lay in the input.
    """
    inner = masks[:, : box.inner_height // CELL, : box.inner_width // CELL]
    order = np.argsort(-scores, kind="stable")
    kept = np.array([i for i in order if (inner[i] > 0).any()], np.intp)
    count = len(kept)
    around = [_around(inner[i] > 0) for i in kept]
    return Proposals(
        box.height,
        box.width,
        np.asarray(box.to_photo(np.array(around, np.float64).reshape(count, 4)), np.float32),
        np.clip(scores[kept], 0, 1).astype(np.float32),
        np.eye(count, dtype=np.float16),
        np.clip(inner[kept], -LOGIT_MAX, LOGIT_MAX).astype(np.float16),
    )


def _around(on: NDArray[np.bool_]) -> list[float]:
    """The box around a mask's cells, x0, y0, x1, y1 in input pixels, half a cell wider: there its edge can lie."""
    rows, columns = np.flatnonzero(on.any(1)), np.flatnonzero(on.any(0))
    ends = np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 1.5, rows[-1] + 1.5])
    return list(np.clip(ends, 0, np.array(on.shape[::-1] * 2)) * CELL)
