"""How high the camera was, told from what stands in the room.

Seen from the place where it meets the floor, a thing's height in camera heights is told by two angles: a point that is r
camera heights above the floor climbs with tangent (r - 1) t, where -t is the tangent of its foot (Criminisi, Reid & Zisserman,
"Single View Metrology", 2000, sec. 3.1). Tables, seats, counters, window sills, doors and ceilings have usual heights, so how often
which heights are met tells that of the camera. A small regression, fitted on rendered rooms, weighs them.
"""

import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain import proportion_weights
from services.segmentation.domain.camera import Camera, Vectors
from services.segmentation.domain.labels import CEILING, DOOR, FLOOR, OTHER, WALL, WINDOW, Float

COLUMNS = 96  # of the picture that are looked at, about
LEAST = 0.04  # part of the columns that must meet the floor
KINDS = 5
KIND = np.zeros(DOOR + 1, np.int64)  # of a label; 0: things
KIND[[WINDOW, DOOR, WALL, CEILING]] = 1, 2, 3, 4
HEIGHTS = np.log(np.geomspace(0.12, 3.2, 13))  # of the bins, in camera heights, logarithms
IN_WALL = (OTHER, WALL, WINDOW, DOOR)  # what hangs on it or is let into it hides neither of its ends
WALL_LEAST = 0.08  # of the picture's height: what shows less of a wall is not looked at
PAIRS = 4  # columns that show both ends of a wall, at least
ROOM, ROOM_USUAL = (0.2, 1.8), 0.75  # its height in camera heights, logarithms: bounds, and what is usual
HEIGHT_M = (0.5, 2.3)
# Rooms are photographed from chest or eye height: median, and standard deviation of the logarithm. The regression was fitted
# on rendered rooms, which are looked at from everywhere.
USUAL_M, USUAL_SPREAD = 1.38, 0.27
RENDERED_M = 1.22
SPREAD = (0.05, USUAL_SPREAD)
TOLD = 0.9  # of the usual spread: above, the room has told nothing

Weights = tuple[Float, ...]  # a (H, F), c (H,), b (2, H), d (2,)
FITTED: Weights = tuple(np.array(v, np.float32) for v in proportion_weights.HEIGHT)


def measure(camera: Camera, label: NDArray[np.uint8]) -> tuple[float | None, Float | None]:
    """Ceiling above the camera over floor below it, and the profile: what `camera_height` is told by. Each None where the
    picture does not show it.

    Args:
        label: (h, w), of a picture of whatever size.
    """
    columns, tangent = _columns(camera, label)
    above = _ceiling_ratio(columns, tangent)
    return above, _profile(camera, columns, tangent, above)


def _profile(camera: Camera, columns: NDArray[np.uint8], tangent: Vectors, above: float | None) -> Float | None:
    """(KINDS * 2 * 13 + 5,) float32: how often each kind of surface begins and ends at which height, seen from below; how many
    columns meet the floor; climb of the line of sight; focal length over the long side; whether the ceiling's height is
    known, and the room's in camera heights, its logarithm. None where hardly any floor is met.

    Args:
        columns, tangent: as of `_columns`.
        above: as of `_ceiling_ratio`.
    """
    floor = columns == FLOOR
    foot = floor.argmax(0)
    base = tangent[foot, np.arange(len(foot))]
    met = floor.any(0) & (foot >= 3) & (base < -0.02)
    if met.mean() < LEAST:
        return None
    foot, base, columns, tangent = foot[met], base[met], columns[:, met], tangent[:, met]
    # Row y: what lies above the line y and what lies below it, for lines above the foot.
    y, k = np.nonzero(columns[1:] != columns[:-1])
    y += 1
    y, k = y[y < foot[k]], k[y < foot[k]]
    ratio = 1 - tangent[y, k] / base[k]
    seen = ratio > 0.05
    y, k, ratio = y[seen], k[seen], ratio[seen]
    place = np.interp(np.log(ratio), HEIGHTS, np.arange(len(HEIGHTS)))
    low = place.astype(np.int64)
    part = place - low
    counts = np.zeros((KINDS, 2, len(HEIGHTS) + 1))
    for side, row in ((0, y - 1), (1, y)):
        of = KIND[columns[row, k]]
        np.add.at(counts, (of, side, low), 1 - part)
        np.add.at(counts, (of, side, low + 1), part)
    climb, focal = np.arcsin(np.clip(camera.up[2], -1, 1)), camera.focal / (2 * max(camera.cx, camera.cy))
    room = (0.0, 0.0) if above is None else (1.0, np.clip(np.log1p(above), *ROOM) - ROOM_USUAL)
    rates = np.sqrt(counts[..., :-1].ravel() / len(met))
    return np.concatenate([rates, [met.mean(), climb, focal], room]).astype(np.float32)


def _ceiling_ratio(columns: NDArray[np.uint8], tangent: Vectors) -> float | None:
    """Ceiling above the camera over floor below it; None where hardly a column shows both ends of a wall.

    In columns where floor, wall and ceiling follow each other, both contacts lie on one wall.

    At a contact the ray (s, with s . up = sine of its climb) meets floor and ceiling at the same level
    distance, so the heights are as the tangents of the two angles.
    """
    floor, ceiling = columns == FLOOR, columns == CEILING
    # The wall of a column has the rows top .. foot - 1.
    top, foot = len(columns) - ceiling[::-1].argmax(0), floor.argmax(0)
    k = np.flatnonzero(floor.any(0) & ceiling.any(0) & (foot - top >= WALL_LEAST * len(columns)))
    top, foot = top[k], foot[k]
    wall = np.cumsum(np.isin(columns, IN_WALL), 0)
    part = (wall[foot - 1, k] - wall[top - 1, k]) / (foot - top)
    rise, fall = tangent[top, k], -tangent[foot, k]
    shown = (part >= 0.9) & (rise > 0.02) & (fall > 0.02)
    return float(np.median(rise[shown] / fall[shown])) if shown.sum() >= PAIRS else None


def _columns(camera: Camera, label: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Vectors]:
    """(h, n) labels of the columns that are looked at; (h + 1, n) tangent of the climb of the rays through the upper
    edges of their pixels."""
    height, width = label.shape
    x = np.arange(0, width, max(1, width // COLUMNS))
    v, u = np.mgrid[0 : height + 1, 0 : len(x)]
    at = np.column_stack([(x[u.ravel()] + 0.5) * (2 * camera.cx / width), v.ravel() * (2 * camera.cy / height)])
    rays = camera.rays(at)
    climb = rays @ camera.up
    level = np.linalg.norm(rays - climb[:, None] * camera.up, axis=1)
    return label[:, x], np.asarray((climb / np.maximum(level, 1e-6)).reshape(v.shape))


def camera_height(seen: Float, weights: Weights = FITTED) -> tuple[float, float]:
    """Logarithm of the camera's height above the floor in metres, and its standard deviation, by a profile."""
    a, c, b, d = weights
    mean, doubt = b @ np.tanh(a @ seen + c) + d
    low, high = np.log(SPREAD)
    return float(np.clip(mean, *np.log(HEIGHT_M))), float(np.exp(low + (high - low) / (1 + np.exp(-doubt))))


def of_photo(mean: float, spread: float) -> tuple[float, float]:
    """Mean and spread for a photo: what was usual of the rendered rooms is taken for what is usual of photos.

    Both are normal in the logarithm and alike in spread, so that the posterior is as wide as it was and moves by their
    difference, the more the less was told.
    """
    return mean + (spread / USUAL_SPREAD) ** 2 * float(np.log(USUAL_M / RENDERED_M)), spread
