"""Fit what tells borders between surfaces from others (`services/segmentation/domain/coherence.py`).

    python -m models.borders --count 60     prints the numbers of BORDER

Rooms of seed 901 alone; 900 is for evaluation. A logistic regression over pairs of superpixels that touch, each as heavy as
its border is long; those that lie on two surfaces at once teach nothing.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np

from models.refine.rooms import network, rendered
from services.segmentation.domain import labels
from services.segmentation.domain.coherence import evidence
from services.segmentation.domain.superpixels import superpixels

SEED, LONG_SIDE = 901, 1024
PURE = 0.8  # of a superpixel that has to be of one kind
ROUNDS, RIDGE = 25, 1e-3


def gather(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one room: evidence (M, F), whether kinds differ (M,), length of the border (M,)."""
    cv2.setNumThreads(1)
    photo, label, _ = rendered(SEED, index, LONG_SIDE)
    answers = (network().run(["normals", "junction_logits"], {"image": i}) for i in labels.network_inputs(photo))
    normals, junctions = labels.together(*answers)
    parts = superpixels(photo)
    x = evidence(parts, labels.mean_normals(normals, *normals.shape[2:]), labels.mean_junctions(junctions))
    shares = np.stack([parts.means(label == kind) for kind in range(len(labels.KINDS))], 1)
    used = (shares.max(1) > PURE)[parts.edges].all(1)
    kind = shares.argmax(1)[parts.edges]
    return x[used], (kind[:, 0] != kind[:, 1])[used], parts.border[used]


def fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(F,) by Newton's method."""
    theta = np.zeros(x.shape[1])
    for _ in range(ROUNDS):
        p = 1 / (1 + np.exp(-x @ theta))
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(len(theta))
        theta -= np.linalg.solve(curvature, x.T @ (weight * (p - y)) + RIDGE * theta)
    return theta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    a = parser.parse_args()
    with ProcessPoolExecutor(a.workers, multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(gather, range(a.count)))
    x, y, border = (np.concatenate(r).astype(np.float64) for r in zip(*rows, strict=True))
    theta = fit(x, y, border / border.mean())
    p = np.clip(1 / (1 + np.exp(-x @ theta)), 1e-9, 1 - 1e-9)
    loss = -np.average(y * np.log(p) + (1 - y) * np.log(1 - p), weights=border)
    print(f"{len(y)} borders of {a.count} rooms, {y.mean():.1%} between kinds, loss {loss:.4f}")
    print(f"BORDER = np.array({theta.round(3).tolist()})")


if __name__ == "__main__":
    main()
