"""Fit how the camera's height is told from the room's proportions (`services/segmentation/domain/proportions.py`).

    python -m models.proportions --count 2500     writes services/segmentation/domain/proportion_weights.py

On rendered rooms of both versions of the generator, those that the network was trained on, with the surfaces and the camera that it
and the service find in them, but for what a second look and junctions add. Prints the errors on rooms that the network has not
seen either. What it gathers stays in .local/train, for another fit: remove it when the profile has changed.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from models.numbers import text
from models.refine.rooms import MODEL, network
from models.rooms import GENERATOR_VERSION, MEASURED_VERSION
from models.rooms.cache import DEFAULT_ROOT, LONG_SIDE
from models.rooms.sample import shot, stream
from models.roomseg.data import load
from services.segmentation.domain import labels, proportions, surfaces
from services.segmentation.domain.superpixels import superpixels

SEED, VALIDATION_SEED = 2, 7
PART, HIDDEN, EPOCHS, BATCH, RATE, DECAY, DROPOUT = 100, 16, 60, 128, 3e-3, 0.1, 0.1
VERSIONS = (MEASURED_VERSION, GENERATOR_VERSION)
KEPT = Path(".local/train")
WEIGHTS = Path("services/segmentation/domain/proportion_weights.py")


def _seen(photo: np.ndarray) -> list[np.ndarray]:
    """Logits and normals of the photo and of its mirror image, as if that had been looked at too: nearly the same at a
    third of the time."""
    image = labels.network_input(photo, labels.LONG_SIDES[0])
    logits, normals = network().run(["surface_logits", "normals"], {"image": image})
    turned = np.array([-1, 1, 1], np.float32)[:, None, None]
    return [np.concatenate([logits, logits[..., ::-1]]), np.concatenate([normals, normals[..., ::-1] * turned])]


def gather(version: int, seed: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Profiles (N, F) of the rooms first .. last - 1 that have one, and (N,) the logarithm of the true height."""
    cv2.setNumThreads(1)
    profiles, heights = [], []
    for index in range(first, last):
        photo = load(DEFAULT_ROOT, seed, index, version)["image"]
        found = surfaces.layout(photo, superpixels(photo), *_seen(photo))
        label = found.probability.argmax(0).astype(np.uint8)
        _, seen = proportions.measure(found.camera, label)
        if seen is not None:
            profiles.append(seen)
            heights.append(np.log(shot(version, stream(version, seed, index), LONG_SIDE).camera[2]))
    return np.array(profiles), np.array(heights)


def gathered(sets: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Of so many rooms of each version and seed."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(gather, version, seed, first, min(count, first + PART))
            for version, seed, count in sets
            for first in range(0, count, PART)
        ]
        found = []
        for number, job in enumerate(jobs):
            found.append(job.result())
            print(f"{number + 1} of {len(jobs)} parts", flush=True)
    profiles, heights = zip(*(f for f in found if len(f[1])), strict=True)
    return np.concatenate(profiles), np.concatenate(heights)


def fit(profiles: np.ndarray, heights: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers of `proportions.camera_height`, by the likelihood of the heights."""
    torch.manual_seed(0)
    mean, spread = profiles.mean(0), profiles.std(0) + 0.02
    x = torch.tensor((profiles - mean) / spread, dtype=torch.float32)
    y = torch.tensor(heights, dtype=torch.float32)
    net = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(x.shape[1], HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2))
    with torch.no_grad():
        net[3].bias.copy_(torch.tensor([float(y.mean()), 0.0]))
    low, high = np.log(proportions.SPREAD)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-len(x) // BATCH))
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            centre, doubt = net(x[part]).T
            log_spread = low + (high - low) * doubt.sigmoid()
            loss = ((centre - y[part]).square() / (2 * (2 * log_spread).exp()) + log_spread).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    a, c, b, d = (p.detach().numpy().astype(float) for p in net.parameters())
    return {"a": a / spread, "c": c - (a / spread) @ mean, "b": b, "d": d}


def write(n: dict[str, np.ndarray]) -> None:
    about = (
        "The numbers of `proportions.camera_height`, fitted by `python -m models.proportions` on rendered rooms alone."
    )
    tensors = "".join(f"    {text(n[k])},\n" for k in "acbd")
    WEIGHTS.write_text(f'"""{about}"""\n\n# fmt: off\nHEIGHT = (\n{tensors})\n')


def report(name: str, n: dict[str, np.ndarray], profiles: np.ndarray, heights: np.ndarray) -> None:
    """Print the median error, and how the intervals hold."""
    found = np.array([proportions.camera_height(p, tuple(n[k] for k in "acbd")) for p in profiles])
    error = found[:, 0] - heights
    print(
        f"{name}: {len(heights)} rooms, median error {np.median(np.abs(np.expm1(error))):.1%} (of the mean height "
        f"{np.median(np.abs(np.expm1(heights.mean() - heights))):.1%}), bias {error.mean():+.3f}, "
        f"nine of ten within {np.quantile(np.abs(error) / found[:, 1], 0.9):.2f} standard deviations",
        flush=True,
    )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--count", type=int, default=2500, help="rendered rooms of each version of the generator")
    p.add_argument("--validate", type=int, default=160, help="rooms of another seed")
    a = p.parse_args()
    kept = KEPT / f"proportions-{MODEL.parent.name}-{a.count}-{a.validate}.npz"
    if not kept.exists():
        sets = {"fitted on": [(v, SEED, a.count) for v in VERSIONS]}
        sets |= {f"not seen, version {v}": [(v, VALIDATION_SEED, a.validate)] for v in VERSIONS}
        KEPT.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **{f"{name} {k}": x for name, of in sets.items() for k, x in enumerate(gathered(of))})
    with np.load(kept) as z:
        rows = {name.rpartition(" ")[0]: (z[name], z[name[:-1] + "1"]) for name in z.files if name.endswith("0")}
    numbers = fit(*rows["fitted on"])
    write(numbers)
    for name, seen in rows.items():
        report(name, numbers, *seen)


if __name__ == "__main__":
    main()
