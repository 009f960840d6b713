"""The lens of a photo: how it bends straight lines.

First-order radial distortion (Brown, "Close-Range Camera Calibration", 1971): what a photo shows at p, a lens that bends
no line shows at c + (p - c) (1 + k |p - c|^2), c the middle of the photo. Homographies of planes lead to pixels of the latter,
the straight picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

ROUNDS = 12  # of Newton's, towards less than a millionth of a pixel


@dataclass(frozen=True)
class Lens:
    """x, y: the middle, pixels; k: per square pixel, positive where lines bow outwards (barrel), 0 where they are straight."""

    x: float
    y: float
    k: float

    @classmethod
    def of(cls, height: int, width: int, focal_length_px: float, radial_distortion: float) -> "Lens":
        """Of a photo of that size; radial_distortion: k with lengths in focal lengths, which are 0 where they are not known."""
        return cls(width / 2, height / 2, radial_distortion / focal_length_px**2 if focal_length_px else 0.0)

    def straight(self, points: NDArray[Any]) -> Points:
        """Pixels (..., 2) of the photo as pixels of the straight picture."""
        if not self.k:
            return points
        out = points - (self.x, self.y)
        return np.asarray(out * (1 + self.k * (out**2).sum(-1, keepdims=True)) + (self.x, self.y))

    def bent(self, points: NDArray[Any]) -> Points:
        """Pixels (..., 2) of the straight picture as pixels of the photo. Beyond what the lens can show: at its edge."""
        if not self.k:
            return points
        out = points - (self.x, self.y)
        far = np.linalg.norm(out, axis=-1, keepdims=True)
        r = far
        if self.k < 0:
            edge = np.sqrt(-1 / (3 * self.k))
            far = np.minimum(far, edge * 2 / 3)
            r = np.minimum(far, 0.999 * edge)
        for _ in range(ROUNDS):
            r = r - (r * (1 + self.k * r * r) - far) / (1 + 3 * self.k * r * r)
        share = r / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-12)
        return np.asarray(out * share + (self.x, self.y))

    def slope(self, points: NDArray[Any]) -> Points:
        """(..., 2, 2): of pixels of the straight picture by pixels (..., 2) of the photo."""
        out = points - (self.x, self.y)
        along = (1 + self.k * (out**2).sum(-1))[..., None, None] * np.eye(2)
        return np.asarray(along + 2 * self.k * out[..., :, None] * out[..., None, :])

    def scaled(self, scale_x: float, scale_y: float) -> "Lens":
        """The same for a picture resized by these factors, which are alike but for rounding."""
        return Lens(self.x * scale_x, self.y * scale_y, self.k / (scale_x * scale_y))

    def shifted(self, x: float, y: float) -> "Lens":
        """The same in pixels of a box of the picture that begins at (x, y)."""
        return Lens(self.x - x, self.y - y, self.k)


STRAIGHT = Lens(0.0, 0.0, 0.0)  # a lens that bends no line
