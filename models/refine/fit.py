"""Fit the scoring of superpixels (`services/segmentation/domain/region.py`) on simulated clicks.

    python -m models.refine.fit --rounds 2 --count 140     writes services/segmentation/domain/region_weights.py

Rooms of seed 901 alone; 900 is for evaluation. Questions are gathered where clicks really lead to: each round clicks
its way through the rooms with the scoring of the round before (as Ross et al., "A Reduction of Imitation Learning
to No-Regret Online Learning", 2011), so the second and third click are learned from, not only the first. In every room
three things are hidden from the network in turn, so colour and edges count where it fails.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize

from models.numbers import text
from models.refine.clicks import iou, next_click
from models.refine.rooms import Room, Target, blinded, room, targets
from services.segmentation.domain import refine, region
from services.segmentation.domain.masks import Masks

SEED, LONG_SIDE = 901, 640
CLICKS, ENOUGH, BLINDED = 6, 0.97, 3
HIDDEN, ROWS, PER_QUESTION = 16, 250_000, 1200
DECAY, ITERATIONS = 5e-3, 200
WEIGHTS = Path("services/segmentation/domain/region_weights.py")

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # evidence (M, F), moves (M,) bool, weight (M,)


def _rows(r: Room, masks: Masks, t: Target, q: region.Question, error: np.ndarray, x: np.ndarray) -> Rows:
    """What one question teaches: which candidates should have moved. Mixed superpixels, those out of reach, and those
    of other mistakes than the one clicked on teach nothing."""
    f, mask = r.known, masks.owner == t.layer
    right = f.means(t.truth) if q.grows else 1 - f.means(t.truth)
    wrong_now = f.means(t.truth & ~mask if q.grows else mask & ~t.truth)
    used = q.candidate & ~q.seed & ~q.fixed & (np.abs(right - 0.5) > 0.2) & (x[:, 1] * 5 < region.WAY_MAX)
    used &= ~((right > 0.5) & (f.means(error) < 0.3) & (wrong_now > 0.5))
    rows = np.flatnonzero(used)
    rows = np.random.default_rng(0).choice(rows, min(len(rows), PER_QUESTION), replace=False)
    size = f.size[rows].astype(float)
    weight = size / max(1.0, size.sum()) * min(1.0, 0.25 + 10 * error.mean())
    return x[rows], right[rows] > 0.5, weight


def _of_a_line(rows: Rows) -> Rows:
    """What they would be if the mark were a line."""
    x = rows[0].copy()
    x[:, -len(region.DEEP) :] = 0
    return x, rows[1], rows[2]


def gather(index: int) -> dict[bool, list[Rows]]:
    """The rows of one room, as the network sees it and with a thing that it does not see, by whether surfaces gain."""
    cv2.setNumThreads(1)
    out: dict[bool, list[Rows]] = {True: [], False: []}
    r = room(SEED, index, LONG_SIDE)
    for number, t in enumerate(targets(r)):
        _follow(r, t, CLICKS, np.random.default_rng([index, number]), out)
    for number in range(BLINDED):
        rng = np.random.default_rng([index, 1000 + number])
        r, hidden = blinded(SEED, index, LONG_SIDE, rng)
        for t in hidden:
            _follow(r, t, 2, rng, out)
    return out


def _follow(r: Room, t: Target, clicks: int, rng: np.random.Generator, out: dict[bool, list[Rows]]) -> None:
    """Click one surface right, and keep what each click teaches."""
    masks, pins = r.masks, refine.no_pins()
    for _ in range(clicks):
        mask = masks.owner == t.layer
        click = next_click(mask, t.truth, rng) if iou(mask, t.truth) < ENOUGH or clicks == 2 else None
        if click is None:
            break
        size, grows = masks.shape, not click.stroke.erase
        marked = refine.pinned(pins, t.layer, [click.stroke], size, size)
        seeds = refine.seeds(r.known, [click.stroke], size, size)
        q = refine.question(r.known, masks, marked, t.layer, grows, seeds, np.zeros_like(seeds), None, True)
        rows = _rows(r, masks, t, q, click.error, region.evidence(r.known, q))
        out[grows] += [rows, _of_a_line(rows)]
        step = refine.apply(r.known, masks, pins, t.layer, [click.stroke], size)
        masks, pins = step.masks, step.pins


def fit(rows: list[Rows], rng: np.random.Generator) -> tuple[dict[str, np.ndarray], float]:
    """The numbers of `region.score`, and the mean loss on those rows."""
    x, y, w = (np.concatenate([r[i] for r in rows]) for i in range(3))
    if len(x) > ROWS:
        kept = rng.choice(len(x), ROWS, replace=False)
        x, y, w = x[kept], y[kept], w[kept]
    mean, spread = x.mean(0), x.std(0) + 1e-3
    mean[0], spread[0] = 0, 1
    x, y, w = ((x - mean) / spread).astype(np.float32), y.astype(np.float32), (w / w.sum()).astype(np.float32)
    shapes = [(HIDDEN, x.shape[1]), (HIDDEN,), (HIDDEN,), (1,)]
    ends = np.cumsum([int(np.prod(s)) for s in shapes])

    def parts(theta: np.ndarray) -> list[np.ndarray]:
        return [p.reshape(s) for p, s in zip(np.split(theta, ends[:-1]), shapes, strict=True)]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        a, c, b, d = (p.astype(np.float32) for p in parts(theta))
        hidden = np.tanh(x @ a.T + c)
        s = hidden @ b + d
        value = (w * (np.logaddexp(0, s) - y * s)).sum() + DECAY * (a * a).sum() / HIDDEN + 1e-4 * (b * b).sum()
        g = w * (1 / (1 + np.exp(-s)) - y)
        back = (g[:, None] * b) * (1 - hidden * hidden)
        gradient = [
            (back.T @ x + 2 * DECAY * a / HIDDEN).ravel(),
            back.sum(0),
            hidden.T @ g + 2e-4 * b,
            g.sum(keepdims=True),
        ]
        return float(value), np.concatenate(gradient).astype(float)

    begin = rng.normal(0, 0.25, ends[-1])
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    a, c, b, d = parts(found.x)
    return {"a": a / spread, "c": c - (a / spread) @ mean, "b": b, "d": d}, float(found.fun)


def write(numbers: dict[str, np.ndarray]) -> None:
    """Write the module; keys are `a1` … of gaining and `a0` … of losing."""
    out = '"""The numbers of `region.score`, fitted by `python -m models.refine.fit` on rendered rooms alone."""\n\n# fmt: off\n'
    for name, i in (("GROW", 1), ("SHRINK", 0)):
        a, c, b = (text(numbers[f"{k}{i}"]) for k in "acb")
        out += f"{name} = (\n    {a},\n    {c},\n    {b},\n    {float(numbers[f'd{i}'][0]):.3g},\n)\n"
    WEIGHTS.write_text(out)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--count", type=int, default=140, help="rendered rooms of seed 901")
    p.add_argument("--workers", type=int, default=2)
    a = p.parse_args()
    rows: dict[bool, list[Rows]] = {True: [], False: []}
    for number in range(a.rounds):
        # A new pool each round: its processes read the weights that the round before wrote.
        with ProcessPoolExecutor(a.workers, multiprocessing.get_context("spawn")) as pool:
            for found in pool.map(gather, range(a.count)):
                for grows in rows:
                    rows[grows] += found[grows]
        numbers = {}
        for grows in rows:
            fitted, value = fit(rows[grows], np.random.default_rng(0))
            numbers |= {f"{k}{int(grows)}": v for k, v in fitted.items()}
            print(
                f"round {number + 1}: {'gains' if grows else 'losses'}, {len(rows[grows])} questions, loss {value:.4f}",
                flush=True,
            )
        write(numbers)


if __name__ == "__main__":
    main()
