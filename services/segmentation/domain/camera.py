"""The camera of a room photo: focal length, lens and rotation, from the room's lines and the network's normals.

Rooms are mostly built along three perpendicular axes (Coughlan & Yuille, "Manhattan World", 1999). Each straight line of
the room that runs along one of them points at that axis's vanishing point, once the lens's bend is taken out. We look for
the camera for which most line length does so: among many at random around where the network's surface normals point, then
from the best of these by least squares, in which what misses counts the less the more it misses (Holland & Welsch, "Robust
Regression Using Iteratively Reweighted Least-Squares", 1977), ever more strictly.

Camera frame: x right, y down, z forward. Pixels of the working picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.lens import Lens
from services.segmentation.domain.labels import CEILING, FLOOR, WALL, Float

Vectors = NDArray[np.float64]

DEFAULT_FIELD_OF_VIEW_DEG = 66.0  # along the long side: a phone's main lens
_FILM_LONG_SIDE_MM = 36.0

# A camera is five numbers: logarithm of the focal length, yaw, pitch, roll (radians), and the lens's bend: its k, lengths in
# focal lengths. How far each lies from what is expected, standard deviations; how a photo is turned about the room is open.
PITCH, ROLL, BEND = 0.12, 0.06, 0.02
PRIOR = np.array([0.005, 0.003, 0.003, 0.003, 0.006])  # parts of the line length that one such deviation outweighs
RANDOM, ANYWHERE = 1800, 600  # cameras that are tried, and those of them that may be turned anyhow
BEGIN = 16  # from which least squares begin, each unlike the others by one of these at least
UNLIKE = np.array([0.2, 0.1, 0.06, 0.04, 1.0])
LOOSE_DEG, STRICT_DEG = 2.0, (2.0, 1.4, 1.0, 0.7, 0.5)  # by which a line may miss
ROUNDS = 4  # of least squares, of each
STEP, STEP_MAX = 1e-4, np.array([0.1, 0.05, 0.05, 0.05, 0.02])
LINES_MIN = 8
# Of the line length that must meet a vanishing point; of few lines more do so by chance: of n unrelated ones, about CHANCE / sqrt(n)
# at most, for the best camera.
MEASURED, CHANCE = 0.35, 2.2


@dataclass(frozen=True)
class Camera:
    """focal in pixels; (cx, cy) the principal point; axes: rows are the room's right, forward and up in the camera frame; bend:
    of the lens, its k with lengths in focal lengths."""

    focal: float
    cx: float
    cy: float
    axes: Vectors
    measured: bool
    bend: float = 0.0

    @property
    def up(self) -> Vectors:
        return np.asarray(self.axes[2])

    @property
    def lens(self) -> Lens:
        return Lens.of(2 * self.cy, 2 * self.cx, self.focal, self.bend)

    @property
    def matrix(self) -> Vectors:
        """(3, 3) from the camera frame to pixels of the straight picture."""
        return np.array([[self.focal, 0, self.cx], [0, self.focal, self.cy], [0, 0, 1.0]])

    def rays(self, points: Vectors) -> Vectors:
        """(N, 3) directions (z = 1) through (N, 2) pixels."""
        straight = self.lens.straight(points)
        return np.column_stack(
            [(straight[:, 0] - self.cx) / self.focal, (straight[:, 1] - self.cy) / self.focal, np.ones(len(points))]
        )

    def rays_through(self, height: int, width: int) -> Vectors:
        """(height * width, 3) directions (z = 1) through the pixels of a picture of that size."""
        y, x = np.mgrid[0:height, 0:width]
        at = np.column_stack([x.ravel() + 0.5, y.ravel() + 0.5])
        return self.rays(at * [2 * self.cx / width, 2 * self.cy / height])

    def below_horizon(self, height: int, width: int) -> Float:
        """(height, width): how far each pixel of a picture of that size lies below the horizon, in parts of the height."""
        scale = height / (2 * self.cy)
        distance = -(self.rays_through(height, width) @ self.up).reshape(height, width)
        return np.asarray(
            distance * self.focal * scale / height / max(1e-6, float(np.hypot(self.up[0], self.up[1]))), np.float32
        )


def line_segments(photo: Image, long_side: int = 1000) -> Vectors:
    """Straight segments (N, 4) x1 y1 x2 y2 in pixels of `photo`, longest first, at most 400.

    Source: von Gioi et al., "LSD: a Line Segment Detector", 2012, as OpenCV implements it.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(grey)[0]
    if found is None:
        return np.zeros((0, 4))
    segments = found.reshape(-1, 4).astype(np.float64) / scale
    length = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    keep = np.argsort(-length)[:400]
    return np.asarray(segments[keep][length[keep] > 0.02 * max(height, width)])


def _rotation(yaw: NDArray[np.float64], pitch: NDArray[np.float64], roll: NDArray[np.float64]) -> Vectors:
    """(N, 3, 3) axes of a room seen with these angles (radians): rows right, forward, up."""
    sy, cy, sp, cp, sr, cr = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch), np.sin(roll), np.cos(roll)
    up = np.stack([sr * cp, -cr * cp, -sp], -1)  # pitch > 0 looks down: up leans towards the camera
    ahead = np.stack([sr * sp, -cr * sp, cp], -1)
    side = np.stack([cr, sr, np.zeros_like(sr)], -1)
    right = cy[:, None] * side + sy[:, None] * ahead
    forward = cy[:, None] * ahead - sy[:, None] * side
    return np.stack([right, forward, up], 1)


def _sines(segments: Vectors, v: Vectors, cx: float, cy: float) -> Vectors:
    """(N, 3, M): by how much M segments miss the three vanishing points of N cameras, sines of angles in the straight picture.

    Args:
        v: (N, 5) cameras.
    """
    focal, axes = np.exp(v[:, 0, None]), _rotation(v[:, 1], v[:, 2], v[:, 3])
    begin, end = (segments[:, k : k + 2] - (cx, cy) for k in (0, 2))
    (ax, ay), (bx, by) = (p.T[:, None] * (1 + v[:, 4, None] * ((p**2).sum(1) / focal**2)) for p in (begin, end))
    along_x, along_y = bx - ax, by - ay
    length = np.maximum(np.hypot(along_x, along_y), 1e-9)
    # Direction from a segment's middle to a vanishing point (f X, f Y, Z): (f X - m_x Z, f Y - m_y Z).
    z = axes[:, :, 2, None]
    x = focal[..., None] * axes[:, :, 0, None] - ((ax + bx) / 2)[:, None] * z
    y = focal[..., None] * axes[:, :, 1, None] - ((ay + by) / 2)[:, None] * z
    cross = x * (along_y / length)[:, None] - y * (along_x / length)[:, None]
    return np.asarray(cross / np.maximum(np.hypot(x, y), 1e-9))


def prior_focal(height: int, width: int, focal_35mm: float) -> tuple[float, float]:
    """Focal length in pixels and its uncertainty (standard deviation of its logarithm)."""
    long_side = max(height, width)
    if focal_35mm > 0:
        return focal_35mm / _FILM_LONG_SIDE_MM * long_side, 0.03
    return long_side / 2 / float(np.tan(np.deg2rad(DEFAULT_FIELD_OF_VIEW_DEG / 2))), 0.28


def _start(p: Float, normals: Float) -> tuple[float, float, float]:
    """Yaw, pitch and roll (radians) that the network's normals tell."""
    up = np.zeros(3)
    for kind, sign in ((FLOOR, 1.0), (CEILING, -1.0)):
        weight = p[kind] * (p[kind] > 0.6)
        up += sign * (normals * weight).reshape(3, -1).sum(1)
    if np.linalg.norm(up) < 20:
        up = np.array([0, -1.0, 0])
    up /= np.linalg.norm(up)
    pitch = float(np.clip(-np.arcsin(np.clip(up[2], -1, 1)), -0.6, 0.6))
    roll = float(np.clip(np.arctan2(up[0], -up[1]), -0.25, 0.25))
    side, ahead, _ = _rotation(np.zeros(1), np.array([pitch]), np.array([roll]))[0]
    weight = p[WALL] * (p[WALL] > 0.6)
    a = np.tensordot(side, normals, 1)
    b = np.tensordot(ahead, normals, 1)
    angle = np.arctan2(b, a)
    # Walls face each other in right angles: a quarter turn is no turn.
    yaw = float(np.arctan2((np.sin(4 * angle) * weight).sum(), (np.cos(4 * angle) * weight).sum()) / 4)
    return yaw, pitch, roll


def estimate(height: int, width: int, segments: Vectors, p: Float, normals: Float, focal_35mm: float = 0.0) -> Camera:
    """The camera of a photo of that size, given its straight lines (N, 4) and probabilities (7, h, w) and normals (3, h, w) of
    the network.

    The search is a seeded random one: the same photo gives the same camera.
    """
    cx, cy = width / 2, height / 2
    focal0, spread = prior_focal(height, width, focal_35mm)
    yaw0, pitch0, roll0 = _start(p, normals)
    expected = np.array([np.log(focal0), yaw0, pitch0, 0.0, 0.0])
    spreads = np.array([spread, np.inf, PITCH, ROLL, BEND])
    start = np.array([np.log(focal0), yaw0, pitch0, roll0 * 0.5, 0.0])
    best, measured = start, False
    if len(segments) >= LINES_MIN:
        search = _Search(segments, cx, cy, expected, PRIOR / spreads**2)
        found = search.best(start, np.array([spread, 0.25, 0.12, 0.04, 0.0]))
        measured = bool(search.met(found[None], LOOSE_DEG)[0] > max(MEASURED, CHANCE / np.sqrt(len(segments))))
        best = found if measured else start
    axes = _rotation(*(best[None, k] for k in (1, 2, 3)))[0]
    return Camera(float(np.exp(best[0])), cx, cy, _ordered(axes), measured, float(best[4]))


class _Search:
    """For the camera that the room's lines tell."""

    def __init__(self, segments: Vectors, cx: float, cy: float, expected: Vectors, precision: Vectors):
        self._segments, self._cx, self._cy = segments, cx, cy
        self._expected, self._precision = expected, precision
        length = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
        self._weight = length / length.sum()

    def _sines(self, v: Vectors) -> Vectors:
        return _sines(self._segments, v, self._cx, self._cy)

    def met(self, v: Vectors, within_deg: float) -> Vectors:
        """(N,) part of the line length, 0 to 1, that points at one of the vanishing points of N cameras (N, 5)."""
        miss = np.abs(self._sines(v)).min(1) / np.sin(np.deg2rad(within_deg))
        return np.asarray(np.exp(-(miss**2)) @ self._weight)

    def _value(self, v: Vectors, within_deg: float) -> Vectors:
        return np.asarray(self.met(v, within_deg) - (self._precision * (v - self._expected) ** 2).sum(1))

    def best(self, start: Vectors, wide: Vectors) -> Vectors:
        """(5,), looked for around a camera; a seeded search: the same lines give the same camera."""
        rng = np.random.default_rng(0)
        tried = start + rng.normal(0, 1, (RANDOM, len(start))) * wide
        tried[:ANYWHERE, 1] = rng.uniform(-np.pi / 4, np.pi / 4, ANYWHERE)
        tried = np.vstack([start, tried])
        v = self._unlike(tried[np.argsort(-self._value(tried, LOOSE_DEG), kind="stable")])
        for within in STRICT_DEG:
            for _ in range(ROUNDS):
                v = self._step(v, np.sin(np.deg2rad(within)))
        return np.asarray(v[self._value(v, STRICT_DEG[-1]).argmax()])

    def _unlike(self, ranked: Vectors) -> Vectors:
        """The first cameras that differ from all before them."""
        out: list[Vectors] = []
        for v in ranked:
            if all((np.abs(v - other) > UNLIKE).any() for other in out):
                out.append(v)
            if len(out) == BEGIN:
                break
        return np.array(out)

    def _step(self, v: Vectors, within: float) -> Vectors:
        """One step of least squares from each of N cameras (N, 5); each line counts for the vanishing point it misses least."""
        n, size = v.shape
        moved = (v[:, None] + np.vstack([np.zeros(size), np.eye(size) * STEP])).reshape(-1, size)
        sines = self._sines(moved).reshape(n, 1 + size, 3, -1)
        nearest = np.abs(sines[:, 0]).argmin(1)[:, None, None]
        miss = np.take_along_axis(sines, nearest, 2)[:, :, 0]
        slope = (miss[:, 1:] - miss[:, :1]) / STEP
        weight = self._weight * np.exp(-((miss[:, 0] / within) ** 2)) / within**2
        weighted = slope * weight[:, None]
        curvature = weighted @ slope.swapaxes(1, 2) + np.diag(self._precision + 1e-9)
        pull = (weighted @ miss[:, 0, :, None])[..., 0] + self._precision * (v - self._expected)
        return np.asarray(v - np.clip(np.linalg.solve(curvature, pull[..., None])[..., 0], -STEP_MAX, STEP_MAX))


def _ordered(axes: Vectors) -> Vectors:
    """Name the level axes so that the first runs most to the right and the second away from the camera."""
    right, forward, up = axes
    if abs(right[0]) < abs(forward[0]):
        right, forward = forward, right
    return np.stack([right * np.sign(right[0] or 1), forward * np.sign(forward[2] or 1), up])
