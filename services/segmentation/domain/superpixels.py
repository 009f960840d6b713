"""Superpixels of a photo at working size, and the graph of those that touch: what is known of a photo before any network.

Superpixels are the basins of a watershed (Vincent & Soille, "Watersheds in digital spaces", 1991; Meyer's flooding
in OpenCV) from one marker a grid cell, put where the picture is flattest, as in SLIC (Achanta et al., 2012, sec. 3),
and from further markers on thin things, which a grid would miss: extremes of a difference of Gaussians.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image

Float = NDArray[np.float32]
Nodes = NDArray[np.int32]

CELLS = 4000  # grid cells of the picture; thin things add up to as many again
THIN_CONTRAST = 9.0  # of a thin thing to what is around it, in Lab


@dataclass(frozen=True)
class Superpixels:
    """N of them, of which E pairs touch.

    node (h, w) int32, 0 to N - 1; lab (N, 3) float32 CIELAB, L 0 to 100; size (N,) int32 pixels; edges (E, 2) int32, each
    pair once, the lower first; contrast (E,) float32: mean gradient along the border of the two, Lab a pixel; border
    (E,) float32: its length in pixels.
    """

    node: Nodes
    lab: Float
    size: Nodes
    edges: Nodes
    contrast: Float
    border: Float

    def means(self, values: NDArray[Any]) -> Float:
        """Mean of (h, w) values over each, (N,)."""
        total = np.bincount(self.node.ravel(), values.ravel(), len(self.size))
        return np.asarray(total / self.size, np.float32)

    def means_of(self, channels: Float) -> Float:
        """(N, C) means of (C, h', w') values of another size."""
        height, width = self.node.shape
        resized = (cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in channels)
        return np.stack([self.means(c) for c in resized], 1)

    def spread(self, values: Float, height: int, width: int) -> Float:
        """(C, height, width) of values (N, C), no larger than the picture: each pixel's mean over what it covers."""
        size = (width, height)
        return np.stack([cv2.resize(v[self.node], size, interpolation=cv2.INTER_AREA) for v in values.T])


def superpixels(working: Image, cells: int = CELLS) -> Superpixels:
    """Those of a picture (h, w, 3) uint8 sRGB of at most 2 megapixels; they keep to its edges."""
    lab = lab_of(working)
    gradient = _gradient(lab)
    node = _nodes(working, lab, gradient, cells)
    size = np.bincount(node.ravel()).astype(np.int32)
    color = np.stack([np.bincount(node.ravel(), lab[..., c].ravel()) / size for c in range(3)], 1)
    return Superpixels(node, color.astype(np.float32), size, *_edges(node, gradient))


def lab_of(working: Image) -> Float:
    """(h, w, 3) float32 CIELAB of an sRGB picture, L 0 to 100."""
    return np.asarray(cv2.cvtColor(working.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _gradient(lab: Float) -> Float:
    """(h, w) length of the gradient over all channels, Lab a pixel; the finer of two scales where that is stronger."""
    out = np.zeros(lab.shape[:2], np.float32)
    for sigma, gain in ((0.8, 1.0), (2.0, 1.6)):
        smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
        dx, dy = (cv2.Scharr(smooth, cv2.CV_32F, *d) / 32 for d in ((1, 0), (0, 1)))
        np.maximum(out, gain * np.sqrt((dx * dx + dy * dy).sum(2)), out=out)
    return out


def _markers(lab: Float, gradient: Float, cells: int) -> Nodes:
    """(h, w) int32: 1, 2, … at the pixels from which the basins grow."""
    height, width = gradient.shape
    step = max(4, round((height * width / cells) ** 0.5))
    rows, columns = -(-height // step), -(-width // step)
    padded = np.full((rows * step, columns * step), np.inf, np.float32)
    padded[:height, :width] = gradient
    block = padded.reshape(rows, step, columns, step).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    flattest = block.argmin(2)
    y = (np.arange(rows)[:, None] * step + flattest // step).ravel()
    x = (np.arange(columns)[None, :] * step + flattest % step).ravel()
    kept = (y < height) & (x < width)
    # Thin things: stronger than all around them in a window a little smaller than a cell.
    fine, coarse = cv2.GaussianBlur(lab, (0, 0), 1.0), cv2.GaussianBlur(lab, (0, 0), step / 3)
    thin = np.linalg.norm(fine - coarse, axis=2)
    window = np.ones((max(3, step // 2 | 1),) * 2, np.uint8)
    ty, tx = np.nonzero((thin >= cv2.dilate(thin, window)) & (thin > THIN_CONTRAST))
    order = np.argsort(-thin[ty, tx], kind="stable")[:cells]
    markers = np.zeros((height, width), np.int32)
    points = np.concatenate([np.stack([y, x], 1)[kept], np.stack([ty, tx], 1)[order]])
    markers[points[:, 0], points[:, 1]] = np.arange(1, len(points) + 1)
    return markers


def _nodes(working: Image, lab: Float, gradient: Float, cells: int) -> Nodes:
    """(h, w) int32 labels 0 to N - 1 of basins that keep to the picture's edges."""
    smooth = cv2.GaussianBlur(working, (0, 0), 0.8)
    flooded = cv2.watershed(smooth, _markers(lab, gradient, cells))
    # OpenCV leaves a line of -1 between basins and around the picture: it goes to either side.
    label = np.maximum(flooded, 0).astype(np.float32)
    if not label.any():  # a picture so small that all markers were on its border
        label[:] = 1
    while (empty := label == 0).any():
        label[empty] = cv2.dilate(label, np.ones((3, 3), np.uint8))[empty]
    return np.unique(label.astype(np.int32), return_inverse=True)[1].reshape(label.shape).astype(np.int32)


def _edges(node: Nodes, strength: Float) -> tuple[Nodes, Float, Float]:
    """Neighbouring pairs, the mean strength along their border, and its length."""
    count = int(node.max()) + 1
    codes, values = [], []
    for a, b in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        low, high = np.minimum(node[a], node[b]), np.maximum(node[a], node[b])
        meet = low != high
        codes.append(low[meet].astype(np.int64) * count + high[meet])
        values.append(np.maximum(strength[a], strength[b])[meet])
    pairs, index = np.unique(np.concatenate(codes), return_inverse=True)
    border = np.bincount(index).astype(np.float32)
    mean = np.bincount(index, np.concatenate(values)) / border
    return np.stack([pairs // count, pairs % count], 1).astype(np.int32), mean.astype(np.float32), border
