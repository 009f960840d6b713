"""The soft masks of a room at working size."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.strokes import Box

Alpha = NDArray[np.uint8]
Owner = NDArray[np.int16]


@dataclass(frozen=True)
class Layer:
    """One surface: its mask inside the smallest box that holds it. alpha (y1 - y0, x1 - x0) uint8."""

    surface_id: str
    kind: int
    box: Box
    alpha: Alpha

    def window(self, box: Box) -> Alpha:
        """The mask inside `box`, zero where the layer has nothing. A new array."""
        x0, y0, x1, y1 = box
        out = np.zeros((y1 - y0, x1 - x0), np.uint8)
        a0, b0, a1, b1 = max(x0, self.box[0]), max(y0, self.box[1]), min(x1, self.box[2]), min(y1, self.box[3])
        if a0 < a1 and b0 < b1:
            own = self.alpha[b0 - self.box[1] : b1 - self.box[1], a0 - self.box[0] : a1 - self.box[0]]
            out[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] = own
        return out

    def with_window(self, box: Box, alpha: Alpha) -> "Layer":
        """The layer with other values inside `box`."""
        if self.alpha.size == 0:
            return replace(self, box=box, alpha=alpha.copy())
        hull = (min(box[0], self.box[0]), min(box[1], self.box[1]), max(box[2], self.box[2]), max(box[3], self.box[3]))
        out = self.window(hull)
        out[box[1] - hull[1] : box[3] - hull[1], box[0] - hull[0] : box[2] - hull[0]] = alpha
        return layer(self.surface_id, self.kind, out, (hull[0], hull[1]))


def layer(surface_id: str, kind: int, alpha: Alpha, at: tuple[int, int] = (0, 0)) -> Layer:
    """A layer of a mask whose first pixel lies at `at`, cut to what it covers."""
    x, y, w, h = cv2.boundingRect(alpha)
    return Layer(
        surface_id, kind, (at[0] + x, at[1] + y, at[0] + x + w, at[1] + y + h), alpha[y : y + h, x : x + w].copy()
    )


@dataclass(frozen=True)
class Masks:
    """owner (h, w) int16: at each pixel the index of the layer that is strongest there, -1 where none is."""

    layers: tuple[Layer, ...]
    owner: Owner

    @property
    def shape(self) -> tuple[int, int]:
        return self.owner.shape[0], self.owner.shape[1]

    @property
    def nbytes(self) -> int:
        return self.owner.nbytes + sum(x.alpha.nbytes for x in self.layers)

    def index(self, surface_id: str) -> int | None:
        return next((i for i, x in enumerate(self.layers) if x.surface_id == surface_id), None)

    def full(self, index: int) -> Alpha:
        """(h, w) uint8."""
        height, width = self.shape
        return self.layers[index].window((0, 0, width, height))

    def area(self, index: int) -> int:
        """Pixels that a layer owns."""
        return int((self.owner == index).sum())


def assemble(layers: list[Layer], height: int, width: int) -> Masks:
    """Masks of layers. Automatic ones may add up to a little more than 255 at a pixel, and stay so until changed."""
    best = np.zeros((height, width), np.uint8)
    owner = np.full((height, width), -1, np.int16)
    for i, x in enumerate(layers):
        window = (slice(x.box[1], x.box[3]), slice(x.box[0], x.box[2]))
        stronger = x.alpha > best[window]
        owner[window][stronger] = i
        best[window][stronger] = x.alpha[stronger]
    return Masks(tuple(layers), owner)
