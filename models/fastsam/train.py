"""Train fastsam-room, our own class-agnostic instances of size n, on rendered rooms.

    python -m models.fastsam.train --out .local/train/fastsam-room --count 6000 --steps 8000

Resumes from the last checkpoint in --out. Writes curve.csv and curve.png there, and weights.pt (the exponential
average of the weights) that `roomviz-models export-fastsam` turns into the served model.
"""

import argparse
import copy
import csv
import json
import math
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from models.autocast import autocast
from models.curve import plot
from models.fastsam.data import Batches, instances, sample
from models.fastsam.losses import WEIGHTS, losses
from models.fastsam.network import SIZES, FastSam, initialize
from models.rooms import GENERATOR_VERSION, MEASURED_VERSION
from models.rooms.cache import DEFAULT_ROOT
from services.segmentation.domain.proposals import decode, network_input

EVALUATION_SEED = 900  # never trained on
EVALUATION_LONG_SIDE = 448
PROPOSALS_MAX = 100  # of a picture that count, as in the recall of proposals (Hosang et al., 2015)


def best_ious(masks: np.ndarray, instance: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of each true instance, the IoU of the mask that fits it best: (M,) float64.

    Args:
        masks: (K, H, W) bool; instance: (H, W) uint16; places: of `data.instances`.
    """
    number = places[instance].ravel()
    truth = np.bincount(number, minlength=int(places.max()) + 1)[1:].astype(np.float64)
    best = np.zeros(len(truth))
    for mask in masks:
        shared = np.bincount(number[mask.ravel()], minlength=len(truth) + 1)
        best = np.maximum(best, shared[1:] / (truth + shared.sum() - shared[1:]))
    return best


@torch.no_grad()
def evaluate(net: FastSam, root: Path, count: int, device: str) -> dict[str, float]:
    """Best IoU per true instance, and recall at 0.5 and 0.75, over renders of a seed never trained on."""
    net.eval()
    found: list[np.ndarray] = []
    proposals_count = 0
    for index in range(count):
        arrays = sample(root, EVALUATION_SEED, index, MEASURED_VERSION)
        h, w = arrays["instance"].shape
        image, box = network_input(arrays["image"], EVALUATION_LONG_SIDE)
        predictions, prototypes = (x[0].cpu().numpy() for x in net(torch.from_numpy(image).to(device)))
        # A low score is enough here: recall is measured among the best 100, and ranking decides which those are.
        proposals = decode(predictions, prototypes, box, score_min=0.02, iou_max=0.8, proposals_max=PROPOSALS_MAX)
        proposals_count += len(proposals)
        masks = np.stack([proposals.mask(i, h, w) for i in range(len(proposals))] or [np.zeros((h, w), bool)])
        found.append(best_ious(masks, arrays["instance"], instances(arrays["instance"])[1]))
    net.train()
    best = np.concatenate(found)
    return {
        "mean_best_iou": round(float(best.mean()), 4),
        "recall_50": round(float((best >= 0.5).mean()), 4),
        "recall_75": round(float((best >= 0.75).mean()), 4),
        "proposals": round(proposals_count / count, 1),
    }


def optimizer_of(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for p in net.parameters() if p.requires_grad and p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in net.parameters() if p.requires_grad and p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate)


def train(a: argparse.Namespace) -> None:
    a.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    cv2.setNumThreads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = initialize(FastSam(a.size)).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    optimizer = optimizer_of(net, a.rate)
    step, last = 0, a.out / "last.pt"
    if last.exists():
        state = torch.load(last, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        print(f"resumed at step {step}", flush=True)
    curve, running, began = a.out / "curve.csv", None, time.monotonic()
    batches = Batches(a.cache, a.seed, a.count, a.batch, a.steps, step)
    for batch in DataLoader(batches, batch_size=None, num_workers=a.workers, prefetch_factor=4 if a.workers else None):
        batch = {k: torch.as_tensor(v).to(device) for k, v in batch.items()}
        warm, t = min(1.0, (step + 1) / 300), step / a.steps
        for group in optimizer.param_groups:
            group["lr"] = a.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * t)))
        with autocast(device):
            parts = losses(net, batch)
        loss = sum((WEIGHTS[k] * v for k, v in parts.items()), torch.zeros((), device=device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        step += 1
        keep = min(0.999, 1 - 1 / (step / 10 + 1))
        with torch.no_grad():
            for p, q in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                p.lerp_(q, 1 - keep) if p.is_floating_point() else p.copy_(q)
        value = float(loss.detach())
        running = value if running is None else 0.98 * running + 0.02 * value
        if step % 50 == 0:
            rate = a.batch * 50 / (time.monotonic() - began)
            began = time.monotonic()
            told = " ".join(f"{k} {float(v.detach()):.3f}" for k, v in parts.items())
            print(f"step {step}/{a.steps} loss {running:.3f} {told} {rate:.1f} img/s", flush=True)
        if step % a.every == 0 or step == a.steps:
            scores = evaluate(average, a.cache, a.evaluate, device)
            _record(curve, {"step": step, "loss": round(running, 4)} | scores)
            state = {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
            }
            torch.save(state, last.with_suffix(".part"))
            last.with_suffix(".part").rename(last)
            torch.save(average.state_dict(), a.out / "weights.pt")
            about = {
                "size": a.size,
                "generator_version": GENERATOR_VERSION,
                "seed": a.seed,
                "count": a.count,
                "steps": step,
                "batch": a.batch,
                "rate": a.rate,
                "scores": scores,
            }
            (a.out / "training.json").write_text(json.dumps(about, indent=2) + "\n")
            began = time.monotonic()


def _record(curve: Path, row: dict[str, float]) -> None:
    fresh = not curve.exists()
    with curve.open("a", newline="") as f:
        writer = csv.DictWriter(f, row.keys())
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    plot(curve, {"loss": 20.0, "mean_best_iou": 1.0, "recall_50": 1.0, "recall_75": 1.0})
    print(row, flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--cache", type=Path, default=DEFAULT_ROOT)
    p.add_argument("--size", choices=SIZES, default="n")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=6000, help="rendered rooms to draw from")
    p.add_argument("--steps", type=int, default=8000)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--every", type=int, default=250, help="steps between evaluation and checkpoint")
    p.add_argument("--evaluate", type=int, default=50, help="rooms of the evaluation seed")
    p.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    p.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    train(p.parse_args())


if __name__ == "__main__":
    main()
