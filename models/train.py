"""Train roomseg on rendered rooms.

    python -m models.train --out .local/train/roomseg --count 6000 --steps 8000

Resumes from the last checkpoint in --out. Writes curve.csv and curve.png there, and weights.pt (the
exponential average of the weights) that `python -m models.export` turns into the served model.
"""

import argparse
import copy
import csv
import hashlib
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.utils.data import DataLoader

from models.curve import plot
from models.rooms import GENERATOR_VERSION
from models.rooms.cache import DEFAULT_ROOT
from models.rooms.labels import NAMES
from models.roomseg.data import Batches, load
from models.roomseg.network import RoomSeg

EVALUATION_SEED = 900  # never trained on


def losses(net: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    surface, junction, normal, grey = net(batch["image"])
    # One pixel of each two by two, another each time: as good as all four on average, at a quarter of the work.
    y, x = torch.randint(0, 2, (2,)).tolist()
    label = batch["label"][:, y::2, x::2]
    truth = batch["normal"]
    known = truth.square().sum(1) > 0.25
    cosine = (normal * truth).sum(1)
    # Edges and thin legs are few pixels and most of what people complain of.
    level = label[:, None].float()
    edge = (F.max_pool2d(level, 3, 1, 1) + F.max_pool2d(-level, 3, 1, 1) > 0)[:, 0]
    weight = 1 + 1.5 * edge
    lit = batch["grey"] > 0
    return {
        "grey": ((grey - batch["grey"]).abs() * lit).sum() / lit.sum().clamp(min=1),
        "surface": (F.cross_entropy(surface, label, reduction="none") * weight).sum() / weight.sum(),
        "junction": F.binary_cross_entropy_with_logits(
            junction, batch["junction"], pos_weight=torch.tensor(6.0, device=junction.device)
        ),
        "normal": ((1 - cosine) * known).sum() / known.sum().clamp(min=1),
    }


WEIGHTS = {"surface": 1.0, "junction": 0.25, "normal": 0.5, "grey": 2.0}


@torch.no_grad()
def evaluate(net: RoomSeg, root: Path, count: int, device: str) -> dict[str, float]:
    """IoU of each surface over whole renders of a seed never trained on, and the mean angle of the normals."""
    net.eval()
    inter, union, angle, n = np.zeros(len(NAMES)), np.zeros(len(NAMES)), 0.0, 0
    dark = 0.0
    for index in range(count):
        s = load(root, EVALUATION_SEED, index)
        h, w = (d // 32 * 32 for d in s["label"].shape)
        surface, _, normal, grey = net(torch.from_numpy(s["image"][None, :h, :w]).to(device))
        guess = F.interpolate(surface, size=(h, w), mode="bilinear", align_corners=False)[0].argmax(0).cpu().numpy()
        label = s["label"][:h, :w]
        for k in range(len(NAMES)):
            a, b = guess == k, label == k
            inter[k] += (a & b).sum()
            union[k] += (a | b).sum()
        truth = torch.from_numpy(s["normal"][: h // 4, : w // 4].astype(np.float32) / 127).permute(2, 0, 1)
        angle += float(torch.rad2deg(torch.arccos((normal[0].cpu() * truth).sum(0).clamp(-1, 1))).mean())
        card = torch.from_numpy(s["grey"][: h // 4, : w // 4].astype(np.float32) / 255).permute(2, 0, 1)
        lit = card > 0
        dark += float((grey[0].cpu() - card).abs()[lit].mean())
        n += 1
    net.train()
    iou = {name: float(inter[k] / max(1, union[k])) for k, name in enumerate(NAMES)}
    return {"iou_" + k: round(v, 4) for k, v in iou.items()} | {
        "normal_degrees": round(angle / n, 2),
        "grey_error": round(dark / n, 4),
    }


def _initialize(net: RoomSeg, state: dict[str, torch.Tensor]) -> None:
    """Start from other weights; what a head of theirs does not tell yet starts from nothing."""
    mine = net.state_dict()
    for name in ("head.weight", "head.bias"):
        mine[name][: len(state[name])] = state[name]
        state[name] = mine[name]
    net.load_state_dict(state)


def train(a: argparse.Namespace) -> None:
    a.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = RoomSeg()
    net.encoder.load_state_dict(load_file(a.encoder))
    net.encoder.freeze()
    net = net.to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    known = {id(p) for p in net.encoder.parameters()}
    fresh = [p for p in net.parameters() if id(p) not in known]
    groups = [
        {"params": [p for p in fresh if p.ndim > 1], "weight_decay": 0.02, "scale": 1.0},
        {"params": [p for p in fresh if p.ndim <= 1], "weight_decay": 0.0, "scale": 1.0},
        {"params": [p for p in net.encoder.parameters() if p.requires_grad], "weight_decay": 0.0, "scale": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups, lr=a.rate)
    step, last = 0, a.out / "last.pt"
    if last.exists():
        state = torch.load(last, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        print(f"resumed at step {step}", flush=True)
    elif a.init:
        _initialize(net, torch.load(a.init, map_location=device, weights_only=True))
        average.load_state_dict(net.state_dict())
    curve, running, began = a.out / "curve.csv", None, time.monotonic()
    batches = Batches(a.cache, a.seed, a.count, a.batch, a.steps, step)
    for batch in DataLoader(batches, batch_size=None, num_workers=a.workers, prefetch_factor=4 if a.workers else None):
        batch = {k: torch.as_tensor(v).to(device) for k, v in batch.items()}
        warm, t = min(1.0, (step + 1) / 200), step / a.steps
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * a.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * t)))
        with torch.autocast(device, torch.bfloat16):
            parts = losses(net, batch)
        loss = sum(WEIGHTS[k] * v for k, v in parts.items())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        step += 1
        keep = min(0.999, 1 - 1 / (step / 10 + 1))
        with torch.no_grad():
            for p, q in zip(average.state_dict().values(), net.state_dict().values(), strict=False):
                p.lerp_(q, 1 - keep) if p.is_floating_point() else p.copy_(q)
        value = float(loss.detach())
        running = value if running is None else 0.98 * running + 0.02 * value
        if step % 50 == 0:
            rate = a.batch * 50 / (time.monotonic() - began)
            began = time.monotonic()
            print(
                f"step {step}/{a.steps} loss {running:.3f} "
                + " ".join(f"{k} {float(v.detach()):.3f}" for k, v in parts.items())
                + f" {rate:.0f} img/s",
                flush=True,
            )
        if step % a.every == 0 or step == a.steps:
            scores = evaluate(average, a.cache, a.evaluate, device)
            row = {"step": step, "loss": round(running, 4)} | scores
            fresh = not curve.exists()
            with curve.open("a", newline="") as f:
                writer = csv.DictWriter(f, row.keys())
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
            plot(curve, {"loss": 2.5, "iou_floor": 1.0, "iou_wall": 1.0, "iou_ceiling": 1.0})
            print(row, flush=True)
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
                "generator_version": GENERATOR_VERSION,
                "seed": a.seed,
                "count": a.count,
                "steps": step,
                "batch": a.batch,
                "rate": a.rate,
                "init": hashlib.sha256(a.init.read_bytes()).hexdigest() if a.init else None,
                "scores": scores,
            }
            (a.out / "training.json").write_text(json.dumps(about, indent=2) + "\n")
            began = time.monotonic()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--cache", type=Path, default=DEFAULT_ROOT)
    p.add_argument("--encoder", type=Path, default=Path(".local/train/encoder.safetensors"))
    p.add_argument("--init", type=Path, help="weights.pt to begin with")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=6000, help="rendered rooms to draw from")
    p.add_argument("--steps", type=int, default=8000)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--every", type=int, default=250, help="steps between evaluation and checkpoint")
    p.add_argument("--evaluate", type=int, default=100, help="rooms of the evaluation seed")
    p.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    p.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    train(p.parse_args())


if __name__ == "__main__":
    main()
