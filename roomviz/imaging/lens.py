"""The lens of a photo: how it bends straight lines.

First-order radial distortion (Brown, "Close-Range Camera Calibration", 1971): what a photo shows at p, a lens that bends
no line shows at c + (p - c) (1 + k |p - c|^2), c the middle of the photo. Homographies of planes lead to pixels of the latter,
the straight picture. Beyond the photo's corners, where nothing tells how the lens goes on, the factor stays what it is there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

ROUNDS = 12  # of Newton's, towards less than a millionth of a pixel
FOLDS = 0.9 / 3  # of 1 / |k|: so far out a lens of negative k still shows more the farther one looks


@dataclass(frozen=True)
class Lens:
    """x, y: the middle, pixels; k: per square pixel, positive where lines bow outwards (barrel), 0 where they are straight;
    reach: the squared distance from the middle up to which k tells, square pixels."""

    x: float
    y: float
    k: float
    reach: float

    @classmethod
    def of(cls, height: float, width: float, focal_length_px: float, radial_distortion: float) -> "Lens":
        """Of a photo of that size; radial_distortion: k with lengths in focal lengths, which are 0 where they are not known."""
        x, y = width / 2, height / 2
        k = radial_distortion / focal_length_px**2 if focal_length_px else 0.0
        return cls(x, y, k, min(x * x + y * y, FOLDS / -k) if k < 0 else x * x + y * y)

    def straight_at(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """As `straight`, of pixels whose x and y may be given as a row and a column."""
        if not self.k:
            return x, y
        right, down = x - self.x, y - self.y
        bend = self.k * np.minimum(right * right + down * down, self.reach)
        return x + right * bend, y + down * bend

    def straight(self, points: NDArray[Any]) -> Points:
        """Pixels (..., 2) of the photo as pixels of the straight picture."""
        return np.stack(self.straight_at(points[..., 0], points[..., 1]), -1) if self.k else points

    def bent(self, points: NDArray[Any]) -> Points:
        """Pixels (..., 2) of the straight picture as pixels of the photo."""
        if not self.k:
            return points
        out = points - (self.x, self.y)
        far = np.linalg.norm(out, axis=-1, keepdims=True)
        edge = float(np.sqrt(self.reach))
        last = 1 + self.k * self.reach
        sought = np.minimum(far, edge * last)
        r = np.minimum(sought, edge)
        for _ in range(ROUNDS):
            r = r - (r * (1 + self.k * r * r) - sought) / (1 + 3 * self.k * r * r)
        share = np.where(far > edge * last, 1 / last, r / np.maximum(far, 1e-12))
        return np.asarray(out * share + (self.x, self.y))

    def slope_at(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Of straight pixels by pixels of the photo, as `straight_at`: of x by x, of x by y (which is that of y by x), of y by y."""
        right, down = x - self.x, y - self.y
        along = 1 + self.k * (right * right + down * down)
        twice = 2 * self.k
        return along + twice * right * right, twice * right * down, along + twice * down * down

    def scaled(self, scale_x: float, scale_y: float) -> "Lens":
        """The same for a picture resized by these factors, which are alike but for rounding."""
        both = scale_x * scale_y
        return Lens(self.x * scale_x, self.y * scale_y, self.k / both, self.reach * both)

    def shifted(self, x: float, y: float) -> "Lens":
        """The same in pixels of a box of the picture that begins at (x, y)."""
        return Lens(self.x - x, self.y - y, self.k, self.reach)


STRAIGHT = Lens(0.0, 0.0, 0.0, 0.0)  # a lens that bends no line
