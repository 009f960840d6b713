"""How good and how fast corrections are, by simulated clicks on rendered rooms of the evaluation seed.

    python -m bench.refine [--rooms 20] [--jitters 20]     quality; then time of a click, in this process
    python -m bench.refine --stack [PHOTO]                 time of a click through a running stack (`make up`)

A surface counts as reached when the IoU of its mask with the truth is 0.90. `clicks` is the mean over all surfaces,
those that the automatic masks have right already included (0 clicks); `needing` over the others. `spread` is the
standard deviation, over the ways in which the clicks were jittered, of the mean. `leak` is the part of a mask that
lies outside the truth. Nothing was fitted on these rooms.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.refine.clicks import iou, leak, next_click
from models.refine.rooms import Target, analyzed, room, targets
from roomviz.imaging.codec import decode_rgb, encode_png, preview_size, resize
from services.segmentation.domain import refine, revision
from services.segmentation.domain.features import Features
from services.segmentation.domain.labels import KINDS
from services.segmentation.domain.masks import Masks
from services.segmentation.domain.strokes import Shape, Stroke

SEED, LONG_SIDE = 900, 960
REACHED, CLICKS_MAX, LEAK_CLICKS = 0.90, 10, 2
SAMPLE = Path("samples/living-room.jpg")


@dataclass(frozen=True)
class Course:
    """One surface clicked right in one way of jittering: IoU and leak after 0, 1, 2 … clicks."""

    kind: str
    jitter: int
    iou: list[float]
    leak: list[float]

    @property
    def clicks(self) -> int:
        return next((i for i, v in enumerate(self.iou) if v >= REACHED), CLICKS_MAX)

    def after(self, values: list[float], clicks: int) -> float:
        return values[min(clicks, len(values) - 1)]


def course(known: Features, automatic: Masks, t: Target, jitter: int, seed: list[int]) -> Course:
    rng = np.random.default_rng([jitter, *seed])
    masks, pins = automatic, refine.no_pins()
    ious, leaks = [], []
    for number in range(CLICKS_MAX + 1):
        mask = masks.owner == t.layer
        ious.append(iou(mask, t.truth))
        leaks.append(leak(mask, t.truth))
        if number == CLICKS_MAX or (ious[-1] >= REACHED and number >= LEAK_CLICKS):
            break
        click = next_click(mask, t.truth, rng)
        if click is None:
            break
        step = refine.apply(known, masks, pins, t.layer, [click.stroke], masks.shape)
        masks, pins = step.masks, step.pins
    return Course(KINDS[automatic.layers[t.layer].kind], jitter, ious, leaks)


def courses(index: int, jitters: int) -> list[Course]:
    cv2.setNumThreads(1)
    r = room(SEED, index, LONG_SIDE)
    return [
        course(r.known, r.masks, t, jitter, [index, number])
        for number, t in enumerate(targets(r))
        for jitter in range(jitters)
    ]


def tell(name: str, found: list[Course], jitters: int) -> None:
    if not found:
        return
    needing = [c.clicks for c in found if c.iou[0] < REACHED]
    per_jitter = [np.mean([c.clicks for c in found if c.jitter == j]) for j in range(jitters)]
    ious = "  ".join(f"{np.mean([c.after(c.iou, k) for c in found]):.3f}" for k in range(3))
    leaks = [np.array([c.after(c.leak, k) for c in found]) for k in (0, LEAK_CLICKS)]
    print(
        f"{name:10s} {len(found) // jitters:4d}   {ious}   {np.mean([c.clicks for c in found]):5.2f}"
        f" {np.mean(needing) if needing else 0:8.2f} {np.std(per_jitter):7.3f}"
        f"   {leaks[0].mean():6.1%} {leaks[1].mean():6.1%} {np.median(leaks[1]):6.1%}   {(leaks[1] <= 0.005).mean():5.0%}"
    )


def quality(rooms: int, jitters: int, workers: int) -> None:
    print(f"{rooms} rooms of seed {SEED} at {LONG_SIDE} px, clicks jittered {jitters} ways")
    print("                     IoU after            clicks to 0.90            leak: before, after two clicks")
    print("surface       n    0      1      2       mean  needing  spread     mean   mean median   <= 0.5 %")
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        found = [c for part in pool.map(courses, range(rooms), [jitters] * rooms) for c in part]
    for kind in ("floor", "wall", "ceiling", "furniture"):
        tell(kind, [c for c in found if c.kind == kind], jitters)
    tell("all", found, jitters)


def _photo(path: Path) -> np.ndarray:
    """The photo, made as large as a working copy may be."""
    photo = decode_rgb(path.read_bytes())
    scale = (2_000_000 / (photo.shape[0] * photo.shape[1])) ** 0.5
    height, width = (round(n * max(scale, 1.0)) for n in photo.shape[:2])
    return resize(photo, *preview_size(height, width)) if scale < 1 else resize(photo, height, width)


def speed(path: Path, count: int = 200) -> None:
    """Time of what the service computes at a click: region, masks, PNGs of those that changed; store and row not."""
    cv2.setNumThreads(1)
    photo = _photo(path)
    known, masks = analyzed(photo)
    height, width = masks.shape
    rng, took = np.random.default_rng(0), []
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        index = int(rng.integers(len(masks.layers)))
        erase = bool(masks.owner[int(y), int(x)] == index)
        stroke = Stroke(Shape.POINT, ((x, y),), 0.0, erase)
        began = time.perf_counter()
        step = refine.apply(known, masks, refine.no_pins(), index, [stroke], masks.shape)
        old = {k: masks.full(k) for k in step.changed}
        for alpha in revision.at_photo_size(masks, step, old, [stroke], index).full.values():
            encode_png(alpha)
        took.append(time.perf_counter() - began)
    report(f"in this process, {width} x {height}", took)


def report(name: str, took: list[float]) -> None:
    p50, p95 = np.quantile(took, [0.5, 0.95]) * 1000
    print(f"time of a click, {name}, {len(took)} clicks: p50 {p50:.0f} ms, p95 {p95:.0f} ms")


def through_the_stack(path: Path, count: int = 100) -> None:
    """Time that a caller waits for RefineSurface: gateway, segmentation, rows and store included."""
    from deploy.local.settings import LocalSettings
    from roomviz.client import Client

    settings = LocalSettings()
    key = settings.api_key
    with Client(f"{settings.host}:{settings.gateway_port}", key) as client:
        photo = _photo(path)
        found = client.analyze(client.upload(encode_png(photo)).name)
        client.reset(found.room)
        rng, took = np.random.default_rng(0), []
        for number in range(count + 3):
            surface = found.surfaces[int(rng.integers(len(found.surfaces)))]
            at = rng.uniform(0, photo.shape[1]), rng.uniform(0, photo.shape[0])
            began = time.perf_counter()
            client.refine(surface.name, [client.point(*at, erase=bool(rng.random() < 0.3))])
            if number >= 3:
                took.append(time.perf_counter() - began)
            if number % 10 == 9:  # back to sound masks, or the room becomes a mosaic
                client.reset(found.room)
    report(f"through the stack, {photo.shape[1]} x {photo.shape[0]}", took)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("photo", type=Path, nargs="?", default=SAMPLE)
    p.add_argument("--rooms", type=int, default=20)
    p.add_argument("--jitters", type=int, default=20)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--stack", action="store_true", help="time clicks through a running stack")
    a = p.parse_args()
    if a.stack:
        through_the_stack(a.photo)
        return
    if a.rooms:
        quality(a.rooms, a.jitters, a.workers)
    speed(a.photo)


if __name__ == "__main__":
    main()
