"""Where two flat surfaces meet, the border between their masks is a straight line that runs to a known vanishing point.

Networks and filters leave that border wavy. For each pair of touching parts the line is looked for among
those through the vanishing point of the planes' common direction, which leaves it one degree of freedom (in the straight
picture: the photo's lens may bend it), and then fitted to the border; where enough of the border agrees, the pixels beside
it are given to the side of the line they lie on. What stands in front of the junction is no border between the two and stays
as it is; beams and mouldings, which are no lines, stay too.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.lens import Lens
from services.segmentation.domain.camera import Camera, Vectors

REACH = 0.006  # of the diagonal: how far a border may be off its line
AGREE = 0.0035  # of the diagonal: what counts as on the line
PART_MIN = 0.3  # of the border that has to agree for a line to be believed
LINES_MAX = 3  # an alcove's wall and its neighbours face the same way and stand at several depths
SAMPLES = 96
FITS = 4
TURN_MAX = float(np.cos(np.deg2rad(0.4)))  # how far it may then turn away from its vanishing point


@dataclass(frozen=True)
class Straight:
    """One junction: `first` on the side where line . (x, y, 1) > 0 for pixels of the straight picture, `second` on the other,
    inside `near` (H, W) bool."""

    first: int
    second: int
    line: Vectors
    lens: Lens
    near: NDArray[np.bool_]


def common_direction(a: Vectors, b: Vectors) -> Vectors | None:
    """Unit direction that two planes share, from their normals; None where they are parallel."""
    d = np.cross(a, b)
    n = float(np.linalg.norm(d))
    return None if n < 0.2 else np.asarray(d / n)


def border(index: NDArray[np.int16], a: int, b: int) -> Vectors:
    """(N, 2) points (x, y) between neighbouring pixels of part `a` and part `b`."""
    points = []
    for axis in (0, 1):
        first = index[:-1] if axis == 0 else index[:, :-1]
        second = index[1:] if axis == 0 else index[:, 1:]
        y, x = np.nonzero(((first == a) & (second == b)) | ((first == b) & (second == a)))
        points.append(np.column_stack([x + 0.5, y + 1.0]) if axis == 0 else np.column_stack([x + 1.0, y + 0.5]))
    return np.concatenate(points)


def _lines_through(vanishing: Vectors, points: Vectors) -> Vectors:
    """(N, 3) lines, normalised so that line . (x, y, 1) is a distance in pixels, from a vanishing point through points."""
    lines = np.cross(vanishing, np.column_stack([points, np.ones(len(points))]))
    return np.asarray(lines / np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12))


def _fitted(line: Vectors, points: Vectors, within: float) -> Vectors:
    """The line along a border (N, 2) by least squares, in which points count the less the farther off they lie. Its vanishing
    point is known to a tenth of a degree, which is pixels at the ends of a long line."""
    given = line
    for _ in range(FITS):
        weight = np.exp(-((_beyond(line, points) / within) ** 2))
        middle = weight @ points / weight.sum()
        out = points - middle
        _, across = np.linalg.eigh((out * weight[:, None]).T @ out)
        n = across[:, 0]
        if abs(float(n @ given[:2])) < TURN_MAX:
            return given
        n = n * np.sign(n @ line[:2])
        line = np.array([*n, -n @ middle])
    return line


def find(index: NDArray[np.int16], a: int, b: int, camera: Camera, direction: Vectors) -> list[Straight]:
    """The straight pieces of the border between two parts whose planes share `direction`.

    Args:
        index: (H, W) part of each pixel of the working picture, -1 for none.
        camera: of that picture.
        direction: unit, camera frame.
    """
    height, width = index.shape
    diagonal = float(np.hypot(height, width))
    left = border(index, a, b)
    at = camera.lens.straight(left)
    total = len(left)
    if total < 0.02 * diagonal:
        return []
    vanishing = camera.matrix @ direction
    rng = np.random.default_rng(0)
    found: list[Straight] = []
    for _ in range(LINES_MAX):
        if len(left) < max(PART_MIN * total, 0.02 * diagonal):
            break
        picked = at[rng.integers(len(at), size=min(SAMPLES, len(at)))]
        voters = at[:: max(1, len(at) // 800)]
        lines = _lines_through(vanishing, picked)
        distance = np.abs(lines @ np.column_stack([voters, np.ones(len(voters))]).T)
        best = lines[np.exp(-((distance / (AGREE * diagonal)) ** 2)).sum(1).argmax()]
        signed = _beyond(best, at)
        if (np.abs(signed) < AGREE * diagonal).mean() < PART_MIN:
            break
        line = _fitted(best, at[np.abs(signed) < 2 * AGREE * diagonal], AGREE * diagonal)
        signed = _beyond(line, at)
        close = np.abs(signed) < REACH * diagonal
        inliers = left[close & (np.abs(signed) < AGREE * diagonal)]
        straight = _beside(index, a, b, line, camera.lens, inliers, REACH * diagonal)
        if straight is not None:
            found.append(straight)
        left, at = left[~close], at[~close]
    return found


def _beyond(line: Vectors, points: Vectors) -> Vectors:
    """How far points (N, 2) of the straight picture lie on the positive side of a line, pixels."""
    return np.asarray(points @ line[:2] + line[2])


def _beside(
    index: NDArray[np.int16], a: int, b: int, line: Vectors, lens: Lens, inliers: Vectors, reach: float
) -> Straight | None:
    """The pixels within `reach` of the line, beside its inliers, that belong to either part."""
    if len(inliers) < 2:
        return None
    height, width = index.shape
    near = np.zeros((height, width), np.uint8)
    x, y = (np.clip(v.astype(int), 0, limit - 1) for v, limit in zip(inliers.T, (width, height), strict=True))
    near[y, x] = 1
    size = int(reach) * 2 + 1
    x0, y0, w, h = cv2.boundingRect(near)
    top, left = max(0, y0 - size), max(0, x0 - size)
    window = (slice(top, min(height, y0 + h + size)), slice(left, min(width, x0 + w + size)))
    near[window] = cv2.dilate(near[window], np.ones((size, size), np.uint8))
    part = index[window]
    here = (near[window] > 0) & ((part == a) | (part == b))
    signed = _signed(line, lens, window)
    side, is_a = signed[here], part[here] == a
    if not is_a.any() or is_a.all():
        return None
    flip = np.sign(float(np.median(side[is_a]) - np.median(side[~is_a]))) or 1.0
    inside = np.zeros((height, width), bool)
    inside[window] = here & (np.abs(signed) < reach)
    return Straight(a, b, np.asarray(line * flip), lens, inside)


def _signed(line: Vectors, lens: Lens, window: tuple[slice, slice]) -> NDArray[np.float64]:
    y, x = np.mgrid[window] + 0.5
    x, y = lens.straight_at(x, y)
    return np.asarray(line[0] * x + line[1] * y + line[2])


def share(straight: Straight) -> tuple[tuple[slice, slice], NDArray[np.bool_], NDArray[np.float32]]:
    """Where the junction rules, and how much of each pixel there is the first part's: 0 to 1, soft over a pixel and a half."""
    x, y, w, h = cv2.boundingRect(straight.near.astype(np.uint8))
    window = (slice(y, y + h), slice(x, x + w))
    part = np.clip(0.5 + _signed(straight.line, straight.lens, window) / 1.5, 0, 1)
    return window, straight.near[window], np.asarray(part, np.float32)
