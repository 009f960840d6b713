"""What looks like one surface is one: the network's probabilities, settled over the superpixels of a photo.

The network sees a photo small, and is unsure of much. Where it is sure stays as it is; what it is unsure of takes after
what it hangs together with, up to the picture's edges. That is a random walker with prior models (Grady, "Multilabel
random walker image segmentation using prior models", 2005, section 3): for each kind, the one solution x of (L + A) x = A p,
where L is the Laplacian of the graph of superpixels, p what the network tells of each, and A how sure it is of it.
"""

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from services.segmentation.domain.superpixels import Float, Superpixels

# Log odds that two neighbours belong to surfaces of different kinds. Fitted by `python -m models.borders`.
BORDER = np.array([-7.69, 0.979, -1.246, 1.032, 0.825, 6.342, 1.259])
# Where the odds are lower than this a walker passes freely, where they are higher hardly; and how sudden that is.
PASSES, SUDDEN = -5.25, 3.0
# How a superpixel that is the whole picture holds on to its own, where the network is sure and where it is not; and how its
# hold falls as the two likeliest kinds come closer.
HOLD, UNSURE, FALL = 1e4, 1e-4, 3
RATIO_MAX = 4.0  # of logarithms


def evidence(parts: Superpixels, normals: Float, junctions: Float | None) -> Float:
    """(E, 7) what tells borders between surfaces from others; normals and junctions as of `coherent`."""
    normals = parts.means_of(normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 0.5)
    meet = np.zeros(len(normals), np.float32) if junctions is None else parts.means_of(junctions[None])[:, 0]
    a, b = parts.edges.T
    d = np.abs(parts.lab[a] - parts.lab[b])
    known = np.minimum(np.linalg.norm(normals[a], axis=1), np.linalg.norm(normals[b], axis=1)) > 0.5
    turned = np.where(known, np.maximum(1 - (normals[a] * normals[b]).sum(1), 0), 0)
    columns = (
        np.ones(len(d)),
        np.log1p(parts.contrast),
        parts.contrast / 10,
        np.log1p(d[:, 0]),
        np.log1p(np.hypot(d[:, 1], d[:, 2])),
        np.sqrt(turned),
        np.maximum(meet[a], meet[b]),
    )
    return np.stack(columns, 1).astype(np.float32)


def changed(parts: Superpixels, settled: Float, before: Float, after: Float) -> Float:
    """(N, K) the probabilities `settled` (N, K), with what befell them at the network's size, (K, h, w) before and after."""
    ratio = np.log(np.maximum(after, 1e-6)) - np.log(np.maximum(before, 1e-6))
    # What is lost altogether on a corner of a superpixel is not lost on all of it.
    out = settled * np.exp(parts.means_of(np.clip(ratio, -RATIO_MAX, RATIO_MAX)))
    return np.asarray(out / out.sum(1, keepdims=True), np.float32)


def coherent(parts: Superpixels, p: Float, normals: Float, junctions: Float | None) -> Float:
    """(N, K) float32, sums to 1: the probabilities of each superpixel.

    Args:
        p: (K, h, w) the network's.
        normals: (3, h, w) unit, zeros where none are known.
        junctions: (h', w') probability that planes meet, where a model tells it.
    """
    count, told = len(parts.size), parts.means_of(p).astype(np.float64)
    odds = evidence(parts, normals, junctions) @ BORDER
    easy = 1 / (1 + np.exp(np.clip(SUDDEN * (odds - PASSES), -30, 30)))
    # A border's length over the distance of two middles: resistance as of a sheet, whatever its pieces.
    passes = parts.border / np.sqrt(parts.size.mean()) * easy + 1e-9
    first, second = np.sort(told, 1)[:, [-1, -2]].T
    hold = parts.size / parts.size.sum() * HOLD * (UNSURE + (first - second) ** FALL)
    a, b = parts.edges.T
    own = hold + np.bincount(a, passes, count) + np.bincount(b, passes, count)
    every = np.arange(count)
    rows, columns = np.concatenate([a, b, every]), np.concatenate([b, a, every])
    system = csc_array((np.concatenate([-passes, -passes, own]), (rows, columns)), shape=(count, count))
    settled = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(hold[:, None] * told)
    settled = np.maximum(settled, 1e-6)
    return np.asarray(settled / settled.sum(1, keepdims=True), np.float32)
