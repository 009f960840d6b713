"""Means of what lies around each pixel of a surface, blind to what lies beside it."""

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def around(values: Float, inside: Float, sigma: float) -> Float:
    """Gaussian blur of what is inside, (h, w), blind to what is outside; wide ones are made in small."""
    height, width = values.shape
    step = max(1, int(sigma / 3))
    size = (max(1, width // step), max(1, height // step))
    weighed, weight = values * inside, inside
    if step > 1:
        weighed = np.asarray(cv2.resize(weighed, size, interpolation=cv2.INTER_AREA), np.float32)
        weight = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), np.float32)
    sigma = max(0.3, sigma / step)
    blurred = cv2.GaussianBlur(weighed, (0, 0), sigma) / (cv2.GaussianBlur(weight, (0, 0), sigma) + np.float32(1e-4))
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
