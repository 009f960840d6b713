"""What a correction needs to know of a photo, worked out once when the room is analyzed: a click runs no network.

The picture at working size is cut into a few thousand superpixels that keep to its edges. Each has its mean colour,
the network's probabilities and normal; each pair of neighbours the strength of the edge between them.

Superpixels are the basins of a watershed (Vincent & Soille, "Watersheds in digital spaces", 1991; Meyer's flooding
in OpenCV) from one marker a grid cell, put where the picture is flattest, as in SLIC (Achanta et al., 2012, sec. 3),
and from further markers on thin things, which a grid would miss: extremes of a difference of Gaussians.
"""

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import Internal
from roomviz.imaging.codec import Image
from services.segmentation.domain.hierarchy import Hierarchy, build

Float = NDArray[np.float32]
Nodes = NDArray[np.int32]

VERSION = 1
CELLS = 4000  # grid cells of the picture; thin things add up to as many again
THIN_CONTRAST = 9.0  # of a thin thing to what is around it, in Lab


@dataclass(frozen=True)
class Features:
    """The superpixel graph of a photo at working size, N nodes and E edges.

    node (h, w) int32, 0 to N - 1; grey (h, w) uint8; lab (N, 3) float32 CIELAB, L 0 to 100; probability (N, 7) float32, sums to 1;
    normal (N, 3) float32, unit, camera frame; size (N,) int32 pixels; extent (N, 4)
    int32 smallest box x0, y0, x1, y1, the last two exclusive; centre (N, 2) float32 x, y in pixels;
    edges (E, 2) int32, each pair once, the lower first; contrast (E,) float32: mean gradient along the border of the
    two, Lab a pixel; border (E,) float32: its length in pixels; separate (E,) float32: probability that the two belong
    to different surfaces; regions: how they grow together.
    """

    node: Nodes
    grey: NDArray[np.uint8]
    lab: Float
    probability: Float
    normal: Float
    size: Nodes
    extent: Nodes
    centre: Float
    edges: Nodes
    contrast: Float
    border: Float
    separate: Float
    regions: Hierarchy

    @property
    def shape(self) -> tuple[int, int]:
        return self.node.shape[0], self.node.shape[1]

    @property
    def nbytes(self) -> int:
        return sum(v.nbytes for x in (self, self.regions) for v in vars(x).values() if isinstance(v, np.ndarray))

    def means(self, values: NDArray[Any]) -> Float:
        """Mean of (h, w) values over each node, (N,)."""
        total = np.bincount(self.node.ravel(), values.ravel(), len(self.size))
        return np.asarray(total / self.size, np.float32)


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


def superpixels(working: Image, lab: Float, gradient: Float, cells: int = CELLS) -> Nodes:
    """(h, w) int32 labels 0 to N - 1 of basins that keep to the picture's edges."""
    smooth = cv2.GaussianBlur(working, (0, 0), 0.8)
    flooded = cv2.watershed(smooth, _markers(lab, gradient, cells))
    # OpenCV leaves a line of -1 between basins and around the picture: it goes to either side.
    label = np.maximum(flooded, 0).astype(np.float32)
    while (empty := label == 0).any():
        label[empty] = cv2.dilate(label, np.ones((3, 3), np.uint8))[empty]
    return np.unique(label.astype(np.int32), return_inverse=True)[1].reshape(label.shape).astype(np.int32)


def _extent(node: Nodes, count: int) -> Nodes:
    height, width = node.shape
    out = np.empty((count, 4), np.int32)
    rows, columns = (
        np.repeat(np.arange(height, dtype=np.int32), width),
        np.tile(np.arange(width, dtype=np.int32), height),
    )
    flat = node.ravel()
    for i, values in ((0, columns), (1, rows)):
        low, high = np.full(count, np.iinfo(np.int32).max, np.int32), np.zeros(count, np.int32)
        np.minimum.at(low, flat, values)
        np.maximum.at(high, flat, values)
        out[:, i], out[:, i + 2] = low, high + 1
    return out


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


# Log odds that two neighbours belong to different surfaces. Fitted on rendered rooms, as told in bench/refine.py.
SEPARATE = np.array([-7.81, 0.36, -1.538, 1.011, 1.035, 4.174, 2.243])


def separation(lab: Float, probability: Float, normal: Float, edges: Nodes, contrast: Float) -> Float:
    """(E,) probability that two neighbours belong to different surfaces, from all that is known of both."""
    a, b = edges[:, 0], edges[:, 1]
    d = np.abs(lab[a] - lab[b])
    x = np.stack(
        [
            np.ones(len(a)),
            np.log1p(contrast),
            contrast / 10,
            np.log1p(d[:, 0]),
            np.log1p(np.hypot(d[:, 1], d[:, 2])),
            np.sqrt(np.abs(probability[a] - probability[b]).sum(1)),
            np.sqrt(np.maximum(1 - (normal[a] * normal[b]).sum(1), 0)),
        ],
        1,
    )
    return np.asarray(1 / (1 + np.exp(-x @ SEPARATE)), np.float32)


def compute(working: Image, probability: Float, normals: Float, cells: int = CELLS) -> Features:
    """The features of a photo.

    Args:
        working: (h, w, 3) uint8 sRGB, at most 2 megapixels.
        probability: (7, h', w') float32 of the surface kinds at the network's size.
        normals: (3, h', w') float32 at the network's size.
    """
    height, width = working.shape[:2]
    lab = lab_of(working)
    gradient = _gradient(lab)
    node = superpixels(working, lab, gradient, cells)
    size = np.bincount(node.ravel()).astype(np.int32)

    def means(values: NDArray[Any]) -> Float:
        return np.asarray(np.bincount(node.ravel(), values.ravel(), len(size)) / size, np.float32)

    def at_working_size(values: Float) -> Float:
        return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    p = np.stack([means(at_working_size(layer)) for layer in probability], 1)
    normal = np.stack([means(at_working_size(layer)) for layer in normals], 1)
    y, x = np.mgrid[:height, :width]
    edges, contrast, border = _edges(node, gradient)
    color = np.stack([means(lab[..., c]) for c in range(3)], 1)
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    normal = (normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)).astype(np.float32)
    separate = separation(color, p, normal, edges, contrast)
    regions = build(len(size), edges, separate, border, size)
    centre = np.stack([means(x), means(y)], 1)
    extent = _extent(node, len(size))
    return Features(
        node,
        cv2.cvtColor(working, cv2.COLOR_RGB2GRAY).astype(np.uint8),
        color,
        p,
        normal,
        size,
        extent,
        centre,
        edges,
        contrast,
        border,
        separate,
        regions,
    )


_HALF = ("lab", "probability", "normal", "contrast")


def pack(f: Features) -> bytes:
    """As kept in the object store: a compressed npz, about a byte a pixel."""
    out = io.BytesIO()
    # Differences along a row are mostly small, which compresses well.
    np.savez_compressed(
        out,
        allow_pickle=False,
        version=np.int32(VERSION),
        rows=np.diff(f.node, axis=1, prepend=np.int32(0)),
        grey=np.diff(f.grey, axis=1, prepend=np.uint8(0)),
        extent=f.extent,
        centre=f.centre,
        edges=f.edges,
        border=f.border,
        separate=f.separate,
        **{k: getattr(f, k).astype(np.float16) for k in _HALF},
        **{f"regions_{k}": v for k, v in vars(f.regions).items()},
    )
    return out.getvalue()


def unpack(data: bytes) -> Features:
    """What `pack` wrote. Raises Internal where it is not that."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as z:
            if int(z["version"]) != VERSION:
                raise Internal("FEATURES_VERSION", "the features were kept by another version; analyze the room again")
            node = np.cumsum(z["rows"], axis=1, dtype=np.int32)
            return Features(
                node=node,
                grey=np.cumsum(z["grey"], axis=1, dtype=np.uint8),
                size=np.bincount(node.ravel()).astype(np.int32),
                extent=z["extent"],
                centre=z["centre"],
                edges=z["edges"],
                border=z["border"],
                separate=z["separate"],
                regions=Hierarchy(**{k: z[f"regions_{k}"] for k in ("order", "begin", "end", "parent", "height")}),
                **{k: z[k].astype(np.float32) for k in _HALF},
            )
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise Internal("FEATURES_CORRUPT", "the stored features cannot be read; analyze the room again") from error
