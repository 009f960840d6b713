"""Fit what moves roomseg's grey card (models/roomseg/level.py), on rendered rooms, the network itself left as it is.

    python -m models.level --run .local/train/roomseg --out .local/train/level --count 9600

Writes level.safetensors and level.json: what it was fitted on, and its errors on rooms of another seed. What it gathers of
rooms stays in rows.pt, for another fit.
"""

import argparse
import json
import math
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from models.export import load as load_network
from models.rooms import GENERATOR_VERSION, MEASURED_VERSION
from models.rooms.cache import DEFAULT_ROOT, GREY_CARD
from models.roomseg.data import degrade, load
from models.roomseg.level import SURFACES, Level, log_luminance, scene_light
from models.roomseg.network import RoomSeg
from services.segmentation.domain.labels import LONG_SIDES, network_input

VALIDATION_SEED = 7
WINDOW = (0.75, 1.0)  # parts of the picture's sides
SHARE_MIN = 0.04  # of the picture: a smaller surface says little
PART = 160  # rooms that a process takes at a time


def view(sample: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A window with most of the room, mirrored half the time, as large as photos are served: people hold cameras so that
    what they want to see fits."""
    h, w = sample["label"].shape
    part = rng.uniform(*WINDOW)
    ch, cw = int(h * part) // 4 * 4, int(w * part) // 4 * 4
    y, x = (4 * int(rng.integers((whole - cut) // 4 + 1)) for whole, cut in ((h, ch), (w, cw)))
    window = (slice(y, y + ch), slice(x, x + cw))
    quarter = (slice(y // 4, (y + ch) // 4), slice(x // 4, (x + cw) // 4))
    image = network_input(sample["image"][window], LONG_SIDES[int(rng.integers(2))])[0]
    height, width = image.shape[:2]
    out = {
        "image": image,
        "label": cv2.resize(sample["label"][window], (width, height), interpolation=cv2.INTER_NEAREST),
        "grey": cv2.resize(sample["grey"][quarter], (width // 4, height // 4), interpolation=cv2.INTER_NEAREST),
    }
    return {k: np.ascontiguousarray(v[:, ::-1]) for k, v in out.items()} if rng.random() < 0.5 else out


def pictures(
    root: Path, version: int, seed: int, first: int, last: int, worse: float, salt: int
) -> Iterator[dict[str, np.ndarray]]:
    """Views of rooms first .. last - 1, so many of them as a worse camera sees them."""
    for index in range(first, last):
        rng = np.random.default_rng([seed, index, salt])
        s = view(load(root, seed, index, version), rng)
        if rng.random() < worse:
            s["image"], s["grey"] = degrade(s["image"], s["grey"], rng)
        else:
            s["grey"] = s["grey"].astype(np.float32) / 255
        yield {k: v[None] for k, v in s.items()}


def truth(batch: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """(N, 3) log luminance of the true card on floor, wall and ceiling, and (N, 3) their shares; a share of 0 where there is
    too little of them, or the card is clipped."""
    label = torch.from_numpy(np.ascontiguousarray(batch["label"][:, 2::4, 2::4])).long()
    grey = torch.from_numpy(batch["grey"]).permute(0, 3, 1, 2)
    known = ((grey > 0).any(1) & (grey < 0.985).all(1)).float()
    light = log_luminance(scene_light(grey))[:, 0]
    levels, shares = [], []
    for k in SURFACES:
        here = (label == k).float()
        told = here * known
        level = (light * told).sum((1, 2)) / told.sum((1, 2)).clamp(min=1)
        share = here.mean((1, 2))
        enough = (share >= SHARE_MIN) & (told.sum((1, 2)) > 0.7 * here.sum((1, 2)))
        levels.append(level)
        shares.append(share * enough)
    return torch.stack(levels, 1), torch.stack(shares, 1)


@torch.no_grad()
def _gather(
    run: Path, root: Path, version: int, seed: int, first: int, last: int, worse: float, salt: int
) -> tuple[Tensor, ...]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net, level = load_network(run / "weights.pt", RoomSeg()).to(memory_format=torch.channels_last), Level()
    rows = []
    for batch in pictures(root, version, seed, first, last, worse, salt):
        given = net.with_features(torch.from_numpy(batch["image"]))
        rows.append((*level.summary(*given), *truth(batch)))
    return tuple(torch.cat(column) for column in zip(*rows, strict=True))


def gathered(run: Path, root: Path, version: int, seed: int, count: int, worse: float, salt: int) -> tuple[Tensor, ...]:
    """What `Level.summary` gives, and the truth, of a view of each room."""
    rows = []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        parts = [
            pool.submit(_gather, run, root, version, seed, first, min(count, first + PART), worse, salt)
            for first in range(0, count, PART)
        ]
        for number, part in enumerate(parts):
            rows.append(part.result())
            print(f"{number + 1} of {len(parts)} parts", flush=True)
    return tuple(torch.cat(column) for column in zip(*rows, strict=True))


def errors(found: Tensor, levels: Tensor, shares: Tensor) -> dict[str, float]:
    e = (found - levels)[shares > 0].abs()
    return {"median": round(float(e.median()), 4), "rms": round(float(e.square().mean().sqrt()), 4)}


def fit(level: Level, rows: tuple[Tensor, ...], epochs: int, rate: float, batch: int = 128) -> None:
    told, card, levels, shares = rows
    level.mean.copy_(told.mean(0))
    level.deviation.copy_(told.std(0) + 1e-3)
    torch.nn.init.zeros_(level.body[-1].weight)
    torch.nn.init.zeros_(level.body[-1].bias)
    groups = [{"params": level.body.parameters(), "weight_decay": 0.05}, {"params": [level.trust], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    steps = epochs * math.ceil(len(told) / batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    weight = shares.sqrt()
    weight = weight / weight.sum() * len(told)
    level.train()
    for _ in range(epochs):
        for part in torch.randperm(len(told)).split(batch):
            error = F.huber_loss(level.levels(told[part], card[part]), levels[part], reduction="none", delta=0.5)
            loss = (error * weight[part]).sum() / len(part)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    level.eval()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--run", type=Path, required=True, help="folder with the network's weights.pt")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--cache", type=Path, default=DEFAULT_ROOT)
    p.add_argument("--version", type=int, default=GENERATOR_VERSION, help="of the room generator")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=9600, help="rendered rooms to fit on")
    p.add_argument("--views", type=int, default=1, help="of each room")
    p.add_argument("--validate", type=int, default=640, help="rooms of another seed")
    p.add_argument("--worse", type=float, default=0.5, help="part of the views that a worse camera takes")
    p.add_argument("--epochs", type=int, default=20)
    p.add_argument("--rate", type=float, default=1e-3)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    kept = a.out / "rows.pt"
    if not kept.exists():
        views = [gathered(a.run, a.cache, a.version, a.seed, a.count, a.worse, salt) for salt in range(a.views)]
        checks = {
            name: gathered(a.run, a.cache, MEASURED_VERSION, VALIDATION_SEED, a.validate, worse, 0)
            for name, worse in (("as rendered", 0.0), ("by a worse camera", 1.0))
        }
        torch.save([tuple(torch.cat(columns) for columns in zip(*views, strict=True)), checks], kept)
    rows, checks = torch.load(kept, weights_only=True)
    torch.manual_seed(a.seed)
    level = Level()
    fit(level, rows, a.epochs, a.rate)
    scores = {}
    with torch.no_grad():
        for name, (told, card, levels, shares) in checks.items():
            scores[name] = {
                "card": errors(card[:, :3], levels, shares),
                "moved": errors(level.levels(told, card), levels, shares),
            }
    save_file(level.state_dict(), a.out / "level.safetensors")
    about = {
        "generator_version": a.version,
        "seed": a.seed,
        "count": a.count,
        "views": a.views,
        "worse": a.worse,
        "epochs": a.epochs,
        "rate": a.rate,
        "card_albedo": GREY_CARD,
        "errors_of_log_luminance": scores,
    }
    (a.out / "level.json").write_text(json.dumps(about, indent=2) + "\n")
    print(json.dumps(about, indent=2))


if __name__ == "__main__":
    main()
