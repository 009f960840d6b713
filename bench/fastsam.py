"""What the service adds to the network: its own time over the bare run of the model on the same picture.

    python -m bench.fastsam [--model model_repository/fastsam/1/model.onnx] [--photo PHOTO] [--detections 60]

Own time: letterbox, decoding and suppression, the masks of everything at prototype resolution, and one picked mask at
2 megapixels. Both sides run in this process, in turns, and the least of each counts. Without --model the network is
of size s with fresh weights; scores are then shifted so that --detections proposals are left, whose boxes and masks
are as large as those of a real photo.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from deploy.local.settings import ROOT
from roomviz.imaging.codec import decode_rgb, resize
from services.segmentation.domain.proposals import COEFFICIENTS, LONG_SIDE, Proposals, decode, network_input

RATIO_MAX = 1.15


def fresh_model(folder: Path) -> Path:
    """Size s with fresh weights; needs the training packages."""
    import torch

    from models.fastsam.export import export
    from models.fastsam.network import FastSam, initialize

    torch.manual_seed(0)
    export(initialize(FastSam("s")), folder / "model.onnx")
    return folder / "model.onnx"


def lifelike(predictions: np.ndarray, count: int) -> np.ndarray:
    """The answer of fresh weights, with boxes and coefficients such that `count` proposals are left.

    Sides run from 3 to 80 % of the picture, as in a room; each proposal is found by about eight cells, so that
    suppression has its usual work.
    """
    rng = np.random.default_rng(0)
    out = predictions.copy()
    out[4] = 0.1
    cells = out.shape[1]
    for _ in range(count):
        size = LONG_SIDE * np.exp(rng.uniform(np.log(0.03), np.log(0.8), 2))
        centre = rng.uniform(0.1, 0.9, 2) * LONG_SIDE
        own = rng.choice(cells, 8, replace=False)
        out[:2, own] = centre[:, None] + rng.normal(0, 0.002, (2, 8)) * size[:, None]
        out[2:4, own] = size[:, None] * (1 + rng.normal(0, 0.002, (2, 8)))
        out[4, own] = rng.uniform(0.5, 0.95, 8)
        out[5:, own] = rng.normal(0, 1, (COEFFICIENTS, 1))
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--model", type=Path)
    p.add_argument("--photo", type=Path, default=ROOT / "samples" / "living-room.jpg")
    p.add_argument("--detections", type=int, default=60)
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    cv2.setNumThreads(a.threads)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = a.threads
        session = onnxruntime.InferenceSession(str(a.model or fresh_model(Path(folder))), options)
    photo = decode_rgb(a.photo.read_bytes())
    scale = (2_000_000 / (photo.shape[0] * photo.shape[1])) ** 0.5
    height, width = round(photo.shape[0] * scale), round(photo.shape[1] * scale)
    photo = resize(photo, height, width)
    image, _ = network_input(photo)

    least: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        done = work()
        took = time.perf_counter() - began
        least[name] = min(least.get(name, took), took)
        return done

    found: Proposals | None = None
    for _ in range(a.runs):
        predictions, prototypes = timed("network", lambda: session.run(["predictions", "prototypes"], {"image": image}))
        answer = predictions[0] if a.model else lifelike(predictions[0], a.detections)

        def own(answer: np.ndarray = answer, prototypes: np.ndarray = prototypes) -> Proposals:
            _, lies = timed("letterbox", lambda: network_input(photo))
            made = timed("decode", lambda: decode(answer, prototypes[0], lies))
            timed("masks of everything", lambda: list(made.small_masks()))
            if len(made):
                largest = int(np.argmax((made.boxes[:, 2:] - made.boxes[:, :2]).prod(1)))
                timed("picked mask", lambda: made.mask(largest, height, width))
            return made

        found = timed("own", own)
    assert found is not None
    print(f"photo {width} x {height}, input {image.shape[2]} x {image.shape[1]}, {len(found)} proposals")
    for name, seconds in least.items():
        print(f"{name:<22}{1000 * seconds:>9.1f} ms")
    ratio = (least["network"] + least["own"]) / least["network"]
    print(f"\nwhole / network: {ratio:.3f} (limit {RATIO_MAX})")
    raise SystemExit(ratio > RATIO_MAX)


if __name__ == "__main__":
    main()
