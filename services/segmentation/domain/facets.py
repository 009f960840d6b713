"""Walls split by which way they face. A wall stands upright: whatever of it lies on one plumb line faces one way."""

import cv2
import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.camera import Camera, Vectors
from services.segmentation.domain.labels import Float
from services.segmentation.domain.planes import wall_directions

PLUMB_DEG = 0.5  # between two plumb lines, seen from the camera
# What another facet has to explain better: cosines with the normals, times the part of the picture. Anything from a third to three
# times as much gives the same facets in nearly all rooms.
TURN = 0.001
LINE = 20.0  # what a pixel along a line tells, against the normal at a pixel
RUNS_DEG = 1.0  # how well a line points along an axis of the room
LEAST = 0.006  # of the picture; what is smaller goes to the nearest facet


def facets(
    wall: NDArray[np.bool_], normals: Float, segments: Vectors, camera: Camera
) -> list[tuple[NDArray[np.bool_], Vectors]]:
    """The facets of walls (h, w): each as (h, w) bool with its normal (3,), largest first.

    Args:
        wall: where walls are.
        normals: (3, h, w) unit, zeros where none are known.
        segments: (N, 4) straight lines x1 y1 x2 y2 in pixels of the camera's picture.
        camera: whose room's two horizontal axes walls face along.
    """
    if not wall.any():
        return []
    directions = wall_directions(camera)
    told = np.tensordot(directions, normals, 1) + LINE * _along(segments, wall, camera)
    which = np.where(wall, _facing(wall, told, camera), -1)
    found: list[tuple[NDArray[np.bool_], Vectors]] = []
    rest = wall.copy()
    for k, direction in enumerate(directions):
        count, components, stats, _ = cv2.connectedComponentsWithStats((which == k).astype(np.uint8), connectivity=8)
        for c in range(1, count):
            if stats[c, cv2.CC_STAT_AREA] >= LEAST * wall.size:
                facet = components == c
                found.append((facet, direction))
                rest &= ~facet
    if not found:
        k = int(np.bincount(which[wall], minlength=len(directions)).argmax())
        return [(wall, directions[k])]
    if rest.any():
        distance = np.stack([cv2.distanceTransform((~f).astype(np.uint8), cv2.DIST_L2, 3) for f, _ in found])
        nearest = distance.argmin(0)
        found = [(f | (rest & (nearest == i)), d) for i, (f, d) in enumerate(found)]
    return sorted(found, key=lambda facet: -int(facet[0].sum()))


def _along(segments: Vectors, wall: NDArray[np.bool_], camera: Camera) -> Vectors:
    """(4, h, w) length in pixels of the lines there that say that a wall faces so: they run along the other horizontal axis."""
    height, width = wall.shape
    ends = camera.rays(segments.reshape(-1, 2)).reshape(-1, 2, 3)
    plane = np.cross(ends[:, 0], ends[:, 1])
    plane /= np.maximum(np.linalg.norm(plane, axis=1, keepdims=True), 1e-9)
    runs = np.exp(-((plane @ camera.axes.T / np.sin(np.radians(RUNS_DEG))) ** 2))
    sideways, ahead = (runs[:, k] * (1 - runs[:, 2]) for k in (0, 1))
    lines = segments * (width / (2 * camera.cx))
    length = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    points = length.astype(np.int64) + 2
    of = np.repeat(np.arange(len(lines)), points)
    part = (np.arange(len(of)) - np.repeat(np.cumsum(points) - points, points)) / (points[of] - 1)
    at = lines[of, :2] + part[:, None] * (lines[of, 2:] - lines[of, :2])
    x, y = np.clip(at, 0, [width - 1, height - 1]).astype(np.int64).T
    each = (length / points)[:, None] * np.stack([ahead, ahead, sideways, sideways], 1)
    told = [np.bincount(y * width + x, weight, height * width) for weight in each[of].T]
    return np.asarray(np.stack(told).reshape(-1, height, width), np.float64)


def _facing(wall: NDArray[np.bool_], told: Vectors, camera: Camera) -> NDArray[np.int64]:
    """(h, w) index of the direction that each pixel's plumb line faces: as is told (4, h, w) of the pixels on it, of those that
    face the camera, with as few turns as explain it (Viterbi, 1967, over plumb lines)."""
    right, forward, _ = camera.axes
    rays = camera.rays_through(*wall.shape)
    azimuth = np.degrees(np.arctan2(rays @ right, rays @ forward))
    first = azimuth.min()
    line = np.round((azimuth - first) / PLUMB_DEG).astype(np.int64)
    inside = wall.ravel()
    gain = np.stack([np.bincount(line[inside], t.ravel()[inside], line.max() + 1) for t in told], 1) / wall.size
    at = np.radians(first + PLUMB_DEG * np.arange(len(gain)))
    level = np.outer(np.sin(at), right) + np.outer(np.cos(at), forward)
    gain[level @ wall_directions(camera).T > 0] = -np.inf  # nobody sees a wall from behind
    turn = TURN * (1 - np.eye(len(told)))
    best, came = gain[0], []
    for more in gain[1:]:
        ways = best - turn
        came.append(ways.argmax(1))
        best = ways.max(1) + more
    path = [int(best.argmax())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    return np.asarray(np.array(path[::-1])[line].reshape(wall.shape))
