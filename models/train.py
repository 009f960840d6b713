"""Train roomseg on rendered rooms.

    python -m models.train --out .local/train/roomseg --count 6000 --steps 8000

Resumes from the last checkpoint in --out. Writes curve.csv and curve.png there, and weights.pt (the
exponential average of the weights) that `python -m models.export` turns into the served model.
"""

import argparse
import copy
import csv
import json
import math
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.utils.data import DataLoader

from models.autocast import autocast
from models.curve import plot
from models.digest import digest
from models.failure import Failure, told
from models.fold import fold
from models.rooms import GENERATOR_VERSION, MEASURED_VERSION
from models.rooms.cache import DEFAULT_ROOT
from models.rooms.labels import NAMES
from models.roomseg.data import Batches, load
from models.roomseg.network import RoomSeg
from models.roomseg.served import read

EVALUATION_SEED = 900  # never trained on
LAST, ABOUT = "last.pt", "training.json"


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
def evaluate(
    net: torch.nn.Module, root: Path, count: int, device: str, part: int = 0, parts: int = 1
) -> dict[str, float]:
    """IoU of each surface over whole renders of a seed never trained on, the mean angle of the normals, and the mean
    error of the card. Of `parts` processes each looks at its part of the rooms; all are told what they found together."""
    net.eval()
    inter, union = torch.zeros(2, len(NAMES), dtype=torch.float64)
    angle, dark = torch.zeros(2, dtype=torch.float64)
    for index in range(part, count, parts):
        s = load(root, EVALUATION_SEED, index, MEASURED_VERSION)
        h, w = (d // 32 * 32 for d in s["label"].shape)
        surface, _, normal, grey = net(torch.from_numpy(s["image"][None, :h, :w]).to(device))
        guess = F.interpolate(surface, size=(h, w), mode="bilinear", align_corners=False)[0].argmax(0).cpu()
        label = torch.from_numpy(s["label"][:h, :w])
        for k in range(len(NAMES)):
            a, b = guess == k, label == k
            inter[k] += (a & b).sum()
            union[k] += (a | b).sum()
        truth = torch.from_numpy(s["normal"][: h // 4, : w // 4].astype(np.float32) / 127).permute(2, 0, 1)
        angle += torch.rad2deg(torch.arccos((normal[0].cpu() * truth).sum(0).clamp(-1, 1))).mean()
        card = torch.from_numpy(s["grey"][: h // 4, : w // 4].astype(np.float32) / 255).permute(2, 0, 1)
        dark += (grey[0].cpu() - card).abs()[card > 0].mean()
    net.train()
    if parts > 1:
        for found in (inter, union, angle, dark):
            dist.all_reduce(found)
    iou = (inter / union.clamp(min=1)).tolist()
    return {f"iou_{name}": round(value, 4) for name, value in zip(NAMES, iou, strict=True)} | {
        "normal_degrees": round(float(angle) / count, 2),
        "grey_error": round(float(dark) / count, 4),
    }


def _together(net: torch.nn.Module, parts: int) -> None:
    """Give each process the mean of what all have found."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= parts
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _keep(
    a: argparse.Namespace,
    net: torch.nn.Module,
    average: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    loss: float,
    scores: dict[str, float],
) -> None:
    """Write the checkpoint, the weights, the curve and what is told of the run."""
    row, curve = {"step": step, "loss": round(loss, 4)} | scores, a.out / "curve.csv"
    begun = curve.exists()
    with curve.open("a", newline="") as f:
        writer = csv.DictWriter(f, row.keys())
        if not begun:
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
    partial = a.out / "last.part"
    torch.save(state, partial)
    partial.rename(a.out / LAST)
    torch.save(fold(copy.deepcopy(average).eval()).state_dict(), a.out / "weights.pt")
    about = {
        "generator_version": a.version,
        "seed": a.seed,
        "count": a.count,
        "steps": step,
        "batch": a.batch,
        "rate": a.rate,
        "scores": scores,
    } | a.begun
    (a.out / ABOUT).write_text(json.dumps(about, indent=2) + "\n")


def _train_together(part: int, a: argparse.Namespace, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=part, world_size=a.processes)
    train(part, a)
    # Not as usual: libraries have threads that outlive the interpreter, and one that lets go of a tensor after its end
    # aborts the process (of gloo's this is known, and without its group it happens too).
    sys.stdout.flush()
    os._exit(0)


def train(part: int, a: argparse.Namespace) -> None:
    """One of `a.processes` that train the same network together, each on its part of every batch."""
    device, first = "cuda" if torch.cuda.is_available() else "cpu", part == 0
    torch.manual_seed(a.seed)
    net = RoomSeg()
    if a.init:
        net = read(a.init, net).train()
    else:
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
    step, last = 0, a.out / LAST
    if last.exists():
        state = torch.load(last, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        if first:
            print(f"resumed at step {step}", flush=True)
    running, began, pictures = None, time.monotonic(), 0
    batches = Batches(a.cache, a.seed, a.count, a.batch, a.steps, step, part, a.processes, a.version)
    for batch in DataLoader(batches, batch_size=None, num_workers=a.workers, prefetch_factor=4 if a.workers else None):
        batch = {k: torch.as_tensor(v).to(device) for k, v in batch.items()}
        warm, t = min(1.0, (step + 1) / 200), step / a.steps
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * a.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * t)))
        with autocast(device):
            parts = losses(net, batch)
        loss = sum(WEIGHTS[k] * v for k, v in parts.items())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if a.processes > 1:
            _together(net, a.processes)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        step += 1
        keep = min(0.999, 1 - 1 / (step / 10 + 1))
        with torch.no_grad():
            for p, q in zip(average.state_dict().values(), net.state_dict().values(), strict=False):
                p.lerp_(q, 1 - keep) if p.is_floating_point() else p.copy_(q)
        value = float(loss.detach())
        running = value if running is None else 0.98 * running + 0.02 * value
        pictures += len(batch["image"]) * a.processes
        if first and step % 50 == 0:
            rate = pictures / (time.monotonic() - began)
            began, pictures = time.monotonic(), 0
            print(
                f"step {step}/{a.steps} loss {running:.3f} "
                + " ".join(f"{k} {float(v.detach()):.3f}" for k, v in parts.items())
                + f" {rate:.0f} img/s",
                flush=True,
            )
        if step % a.every == 0 or step == a.steps:
            if a.processes > 1:
                for buffer in average.buffers():  # statistics of normalisations: each process has its own
                    dist.broadcast(buffer, 0)
            scores = evaluate(average, a.cache, a.evaluate, device, part, a.processes)
            if first:
                _keep(a, net, average, optimizer, step, running, scores)
            began, pictures = time.monotonic(), 0


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--cache", type=Path, default=DEFAULT_ROOT)
    p.add_argument("--encoder", type=Path, default=Path(".local/train/encoder.safetensors"))
    p.add_argument(
        "--init", type=Path, help="model.onnx of a served version to go on from, its normalisations folded away"
    )
    p.add_argument("--version", type=int, default=GENERATOR_VERSION, help="of the room generator")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=6000, help="rendered rooms to draw from")
    p.add_argument("--steps", type=int, default=8000)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--rate", type=float, help="of learning; default: 1.5e-3, with --init 4e-4")
    p.add_argument("--every", type=int, default=250, help="steps between evaluation and checkpoint")
    p.add_argument("--evaluate", type=int, default=100, help="rooms of the evaluation seed")
    gpu = torch.cuda.is_available()
    cores = os.cpu_count() or 1
    p.add_argument(
        "--processes",
        type=int,
        default=1 if gpu else cores,
        help="that train; on a CPU one a core is faster than one with as many threads; at most half as many as --batch",
    )
    a = p.parse_args()
    a.processes = max(1, min(a.processes, a.batch // 2))
    a.workers = min(8, cores) if a.processes == 1 else 0  # that load; of several processes each loads its own
    a.rate = a.rate or (4e-4 if a.init else 1.5e-3)
    a.begun = {}
    if a.init:
        read(a.init, RoomSeg())  # fails here, and not in each process
        a.begun = {"init": digest(a.init), "before": json.loads(a.init.with_name("card.json").read_text())["training"]}
    about = a.out / ABOUT
    if about.exists() and json.loads(about.read_text()).get("init") != a.begun.get("init"):
        raise Failure(f"{a.out}: the run there did not begin from {a.init or a.encoder}")
    a.out.mkdir(parents=True, exist_ok=True)
    if a.processes == 1:
        train(0, a)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # or they would go on alone
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_train_together, (a, f"file://{folder}/meeting"), nprocs=a.processes, daemon=True)


if __name__ == "__main__":
    with told():
        main()
