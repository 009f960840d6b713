"""The camera of a room photo: focal length and rotation, from the room's lines and the network's normals.

Rooms are mostly built along three perpendicular axes (Coughlan & Yuille, "Manhattan World", 1999). Each
straight line of the photo that runs along one of them points at that axis's vanishing point. We look for
the focal length and rotation under which most line length does so, beginning where the network's surface
normals point.

Camera frame: x right, y down, z forward. Pixels of the working picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from services.segmentation.domain.labels import CEILING, FLOOR, WALL, Float

Vectors = NDArray[np.float64]

DEFAULT_FIELD_OF_VIEW_DEG = 66.0  # along the long side: a phone's main lens
_FILM_LONG_SIDE_MM = 36.0


@dataclass(frozen=True)
class Camera:
    """focal in pixels; (cx, cy) the principal point; axes: rows are the room's right, forward and up in the camera frame."""

    focal: float
    cx: float
    cy: float
    axes: Vectors
    measured: bool

    @property
    def up(self) -> Vectors:
        return np.asarray(self.axes[2])

    @property
    def matrix(self) -> Vectors:
        return np.array([[self.focal, 0, self.cx], [0, self.focal, self.cy], [0, 0, 1.0]])

    def rays(self, points: Vectors) -> Vectors:
        """(N, 3) directions (z = 1) through (N, 2) pixels."""
        return np.column_stack(
            [(points[:, 0] - self.cx) / self.focal, (points[:, 1] - self.cy) / self.focal, np.ones(len(points))]
        )

    def below_horizon(self, height: int, width: int) -> Float:
        """(height, width): how far each pixel of a picture of that size lies below the horizon, in parts of the height."""
        scale = height / (2 * self.cy)
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        u = (x + 0.5 - self.cx * width / (2 * self.cx)) / (self.focal * scale)
        v = (y + 0.5 - height / 2) / (self.focal * scale)
        distance = -(self.up[0] * u + self.up[1] * v + self.up[2])
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


def _agreement(
    segments: Vectors, focal: NDArray[np.float64], axes: Vectors, cx: float, cy: float
) -> NDArray[np.float64]:
    """For N cameras: part of the line length (0 to 1) that points at one of the three vanishing points."""
    length = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    weight = length / length.sum()
    direction = (segments[:, 2:] - segments[:, :2]) / length[:, None]
    middle = (segments[:, :2] + segments[:, 2:]) / 2 - [cx, cy]
    # Direction from a segment's middle to a vanishing point (f X, f Y, Z): (f X - m_x Z, f Y - m_y Z).
    x = focal[:, None, None] * axes[:, :, None, 0] - middle[:, 0] * axes[:, :, None, 2]
    y = focal[:, None, None] * axes[:, :, None, 1] - middle[:, 1] * axes[:, :, None, 2]
    sine = np.abs(x * direction[:, 1] - y * direction[:, 0]) / np.maximum(np.hypot(x, y), 1e-9)
    best = np.exp(-((sine / np.sin(np.deg2rad(2.0))) ** 2)).max(1)
    return np.asarray(best @ weight)


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


def estimate(photo: Image, p: Float, normals: Float, focal_35mm: float = 0.0) -> Camera:
    """The camera of `photo` (H, W, 3), given probabilities (7, h, w) and normals (3, h, w) of the network.

    The search is a seeded random one: the same photo gives the same camera.
    """
    height, width = photo.shape[:2]
    cx, cy = width / 2, height / 2
    focal0, spread = prior_focal(height, width, focal_35mm)
    yaw0, pitch0, roll0 = _start(p, normals)
    segments = line_segments(photo)
    rng = np.random.default_rng(0)

    def score(v: Vectors) -> NDArray[np.float64]:
        prior = ((v[:, 0] - np.log(focal0)) / spread) ** 2 + ((v[:, 2] - pitch0) / 0.12) ** 2 + (v[:, 3] / 0.06) ** 2
        axes = _rotation(v[:, 1], v[:, 2], v[:, 3])
        return np.asarray(_agreement(segments, np.exp(v[:, 0]), axes, cx, cy) - 0.02 * prior)

    best = np.array([np.log(focal0), yaw0, pitch0, roll0 * 0.5])
    measured = False
    if len(segments) >= 8:
        wide = np.array([spread, 0.25, 0.12, 0.04])
        turns = rng.uniform(-np.pi / 4, np.pi / 4, 600)
        candidates = best + rng.normal(0, 1, (1800, 4)) * wide
        candidates[:600, 1] = turns
        candidates = np.vstack([best, candidates])
        found = score(candidates)
        best, value = candidates[found.argmax()], float(found.max())
        for shrink in (0.3, 0.1, 0.03, 0.01):
            candidates = np.vstack([best, best + rng.normal(0, 1, (300, 4)) * wide * shrink])
            found = score(candidates)
            best, value = candidates[found.argmax()], float(found.max())
        measured = value > 0.35
    axes = _rotation(*(best[None, k] for k in (1, 2, 3)))[0]
    return Camera(float(np.exp(best[0])), cx, cy, _ordered(axes), measured)


def _ordered(axes: Vectors) -> Vectors:
    """Name the level axes so that the first runs most to the right and the second away from the camera."""
    right, forward, up = axes
    if abs(right[0]) < abs(forward[0]):
        right, forward = forward, right
    return np.stack([right * np.sign(right[0] or 1), forward * np.sign(forward[2] or 1), up])
