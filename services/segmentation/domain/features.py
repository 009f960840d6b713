"""What a correction needs to know of a photo, worked out once when the room is analyzed: a click runs no network.

The picture at working size is cut into a few thousand superpixels that keep to its edges. Each has its mean colour,
the network's probabilities and normal; each pair of neighbours the strength of the edge between them.
"""

import io
import zipfile
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.errors import Internal
from roomviz.imaging.codec import Image
from services.segmentation.domain.hierarchy import Hierarchy, build
from services.segmentation.domain.superpixels import Float, Nodes, Superpixels

VERSION = 1


@dataclass(frozen=True)
class Features(Superpixels):
    """The superpixels of a photo at working size, and what the network tells of them.

    grey (h, w) uint8; probability (N, 7) float32, sums to 1; normal (N, 3) float32, unit, camera frame; extent (N, 4)
    int32 smallest box x0, y0, x1, y1, the last two exclusive; centre (N, 2) float32 x, y in pixels; separate (E,) float32:
    probability that the two belong to different surfaces; regions: how they grow together.
    """

    grey: NDArray[np.uint8]
    probability: Float
    normal: Float
    extent: Nodes
    centre: Float
    separate: Float
    regions: Hierarchy

    @property
    def shape(self) -> tuple[int, int]:
        return self.node.shape[0], self.node.shape[1]

    @property
    def nbytes(self) -> int:
        return sum(v.nbytes for x in (self, self.regions) for v in vars(x).values() if isinstance(v, np.ndarray))


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


def compute(working: Image, parts: Superpixels, p: Float, normals: Float) -> Features:
    """The features of a photo.

    Args:
        working: (h, w, 3) uint8 sRGB, at most 2 megapixels.
        parts: its superpixels.
        p: (N, 7) float32 probabilities of the surface kinds, sums to 1.
        normals: (3, h', w') float32 at the network's size.
    """
    normal = parts.means_of(normals)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    separate = separation(parts.lab, p, normal, parts.edges, parts.contrast)
    y, x = np.mgrid[: working.shape[0], : working.shape[1]]
    return Features(
        **vars(parts),
        grey=cv2.cvtColor(working, cv2.COLOR_RGB2GRAY).astype(np.uint8),
        probability=p,
        normal=normal,
        extent=_extent(parts.node, len(parts.size)),
        centre=np.stack([parts.means(x), parts.means(y)], 1),
        separate=separate,
        regions=build(len(parts.size), parts.edges, separate, parts.border, parts.size),
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
