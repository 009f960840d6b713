"""Homographies between plane metres and pixels: 3 x 3 float64, right to left, `pixel_from_plane`.

Pixel coordinates are continuous: (0, 0) is the corner of the picture, and the centre of pixel i lies at i + 0.5. Pixels are
those of the straight picture; where the lens bends lines, lens.py leads from there to the photo.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def scaled(pixel_from_plane: Matrix, scale_x: float, scale_y: float) -> Matrix:
    """The same homography for a picture resized by these factors."""
    return np.asarray(np.diag([scale_x, scale_y, 1.0]) @ pixel_from_plane)


def rotated(pixel_from_plane: Matrix, degrees: float) -> Matrix:
    """The same plane with its axes turned."""
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
    return np.asarray(pixel_from_plane @ turn)


def project(pixel_from_plane: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) metres to (N, 2) pixels."""
    h = np.column_stack([points, np.ones(len(points))]) @ pixel_from_plane.T
    return np.asarray(h[:, :2] / h[:, 2:])
