"""Rendered samples on disk: only a cache of (version, seed, index), safe to delete.

python -m models.rooms.cache --seed 1 --count 8000
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np

from models.rooms import GENERATOR_VERSION
from models.rooms.labels import CEILING, FLOOR, WALL
from models.rooms.sample import Sample, develop, render_sample

LONG_SIDE = 512
GREY_CARD = 0.35  # albedo: in the middle of what floors and walls are made of
DEFAULT_ROOT = Path(os.environ.get("ROOMVIZ_STATE", ".local")) / "cache" / "rooms"

# Bits of the junction map.
FLOOR_WALL, WALL_WALL, WALL_CEILING = 1, 2, 4


def junctions(label: np.ndarray, instance: np.ndarray) -> np.ndarray:
    """Where two planes of the shell meet and both are seen: (H, W) uint8 bits."""
    out = np.zeros(label.shape, np.uint8)
    shell = np.isin(label, [FLOOR, WALL, CEILING])
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = (slice(0, label.shape[0] - dy), slice(max(0, -dx), label.shape[1] - max(0, dx)))
        b = (slice(dy, None), slice(max(0, dx), label.shape[1] + min(0, dx)))
        meet = shell[a] & shell[b] & (instance[a] != instance[b])
        low, high = np.minimum(label[a], label[b]), np.maximum(label[a], label[b])
        for bit, pair in ((FLOOR_WALL, (FLOOR, WALL)), (WALL_WALL, (WALL, WALL)), (WALL_CEILING, (WALL, CEILING))):
            hit = meet & (low == pair[0]) & (high == pair[1])
            out[a] |= hit.astype(np.uint8) * np.uint8(bit)
            out[b] |= hit.astype(np.uint8) * np.uint8(bit)
    return out


def training_arrays(s: Sample) -> dict[str, np.ndarray]:
    """image, label and instance (uint16) as rendered; junction bits; normal (H/4, W/4, 3) int8, 127 = 1.0;
    grey (H/4, W/4, 3) uint8 sRGB: how a card of GREY_CARD would look there, 0 where nobody can tell."""
    h, w = s.label.shape
    small = s.normal[2:h:4, 2:w:4]
    light = s.shading[: h // 4 * 4, : w // 4 * 4].reshape(h // 4, 4, w // 4, 4, 3)
    seen = (light > 0).any((-1, 1, 3), keepdims=True)
    grey = np.where(seen[:, 0, :, 0], develop(GREY_CARD * light.mean((1, 3)), s.exposure), 0)
    return {
        "image": s.image,
        "label": s.label,
        "instance": s.instance.astype(np.uint16),
        "junction": junctions(s.label, s.instance),
        "normal": np.round(small * 127).astype(np.int8),
        "grey": grey.astype(np.uint8),
    }


def folder(root: Path, seed: int, version: int = GENERATOR_VERSION) -> Path:
    return root / f"v{version}-seed{seed}-{LONG_SIDE}-light"


def write(root: Path, seed: int, index: int, version: int = GENERATOR_VERSION) -> None:
    cv2.setNumThreads(1)
    path = folder(root, seed, version) / f"{index:06d}.npz"
    if path.exists():
        return
    partial = path.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as f:
        np.savez(f, **training_arrays(render_sample(version, seed, index, LONG_SIDE)))
    partial.rename(path)


def fill(root: Path, seed: int, count: int, workers: int, start: int = 0, version: int = GENERATOR_VERSION) -> None:
    """Render what is missing of samples start .. count-1; prints progress."""
    folder(root, seed, version).mkdir(parents=True, exist_ok=True)
    began, done = time.monotonic(), 0
    # Not forked: the caller may have threads, and a fork would inherit their locks.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(write, root, seed, i, version) for i in range(start, count)]
        for job in as_completed(jobs):
            job.result()
            done += 1
            if done % 100 == 0 or done == len(jobs):
                rate = done / (time.monotonic() - began)
                print(f"rooms {done}/{len(jobs)}  {rate:.1f}/s  {(len(jobs) - done) / rate:.0f} s left", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", type=int, default=GENERATOR_VERSION)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT)
    a = parser.parse_args()
    fill(a.root, a.seed, a.count, a.workers, a.start, a.version)
