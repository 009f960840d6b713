"""The mean of the weights of runs that went on from each other.

    python -m models.average .local/train/first .local/train/second --out .local/train/mean

On pictures unlike those it was trained on it errs less than the last run's end alone (Wortsman et al., "Robust fine-tuning of
zero-shot models", 2022, sec. 3). Writes weights.pt, and training.json with the mean's own scores; the curve is the last run's.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.digest import digest
from models.export import load
from models.failure import Failure, told
from models.rooms.cache import DEFAULT_ROOT
from models.roomseg.network import RoomSeg
from models.train import ABOUT, evaluate


def mean(runs: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of state dicts of one network. Raises Failure where they are of different ones."""
    shapes = [{name: tensor.shape for name, tensor in run.items()} for run in runs]
    if any(s != shapes[0] for s in shapes):
        raise Failure("these runs are not of one network")
    return {name: torch.stack([run[name] for run in runs]).mean(0) for name in runs[0]}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("runs", type=Path, nargs="+", help="folders of models.train, the last one last")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--cache", type=Path, default=DEFAULT_ROOT)
    p.add_argument("--evaluate", type=int, default=100, help="rooms of the evaluation seed")
    a = p.parse_args()
    files = [run / "weights.pt" for run in a.runs]
    weights = mean([torch.load(file, map_location="cpu", weights_only=True) for file in files])
    a.out.mkdir(parents=True, exist_ok=True)
    torch.save(weights, a.out / "weights.pt")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scores = evaluate(load(a.out / "weights.pt", RoomSeg()).to(device), a.cache, a.evaluate, device)
    about = json.loads((a.runs[-1] / ABOUT).read_text())
    about |= {"scores": scores, "mean_of": [digest(file) for file in files], "scores_of_the_last": about["scores"]}
    (a.out / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
    for name in ("curve.csv", "curve.png"):
        shutil.copy(a.runs[-1] / name, a.out / name)
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    with told():
        main()
