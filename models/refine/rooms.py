"""Rendered rooms as the service has them after an analysis, with their truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.repository import versions
from models.rooms import MEASURED_VERSION
from models.rooms.sample import render_sample
from services.segmentation.domain import features, labels, masks, surfaces
from services.segmentation.domain.features import Features
from services.segmentation.domain.labels import CEILING, FLOOR, FURNITURE, KINDS, WALL
from services.segmentation.domain.masks import Masks
from services.segmentation.domain.superpixels import superpixels

MODEL = versions(Path(__file__).parents[2] / "model_repository" / "roomseg")[-1]
CACHE = Path(".local/cache/refine")
TRUTH_MIN = 0.02  # of the picture: what is smaller is not measured
THING = (0.004, 0.12)  # of the picture: least and most of a thing that is hidden from the network
TARGETS = {FLOOR: 1, WALL: 2, CEILING: 1, FURNITURE: 3}  # at most so many of a room, the largest


@dataclass(frozen=True)
class Room:
    """photo (H, W, 3) uint8; label (H, W) uint8 and instance (H, W) int16 are the truth; masks are the automatic ones."""

    photo: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    known: Features
    masks: Masks


@dataclass(frozen=True)
class Target:
    """A surface that is to be corrected: its layer, and where it truly is, (H, W) bool."""

    layer: int
    truth: np.ndarray


@cache
def network() -> Any:
    """The shipped roomseg, in this process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(MODEL), options)


def predicted(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The network's answer on a photo and its mirror image: logits (2, 7, h, w) and normals (2, 3, h, w)."""
    answers = (network().run(["surface_logits", "normals"], {"image": i}) for i in labels.network_inputs(photo))
    logits, normals = labels.together(*answers)
    return logits, normals


def analyzed(photo: np.ndarray) -> tuple[Features, Masks]:
    """What the service makes of a photo of at most 2 megapixels."""
    return _analyzed(photo, *predicted(photo))


def _analyzed(photo: np.ndarray, logits: np.ndarray, normals: np.ndarray) -> tuple[Features, Masks]:
    split = superpixels(photo)
    found = surfaces.layout(photo, split, logits, normals)
    seen = surfaces.analyze(photo, photo, split, found).surfaces
    layers = [masks.layer(s.surface_id, KINDS.index(s.kind), s.alpha) for s in seen]
    turned = labels.mean_normals(normals, *found.probability.shape[1:])
    known = features.compute(photo, split, found.settled, turned)
    return known, masks.assemble(layers, *photo.shape[:2])


def rendered(seed: int, index: int, long_side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """photo, label and instance, from the cache where they are there."""
    path = CACHE / f"v{MEASURED_VERSION}-{seed}-{index:04d}-{long_side}.npz"
    if not path.exists():
        s = render_sample(MEASURED_VERSION, seed, index, long_side)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        with partial.open("wb") as f:
            np.savez(f, image=s.image, label=s.label, instance=s.instance.astype(np.int16))
        partial.rename(path)
    with np.load(path) as z:
        return z["image"], z["label"], z["instance"]


def room(seed: int, index: int, long_side: int) -> Room:
    photo, label, instance = rendered(seed, index, long_side)
    return Room(photo, label, instance, *analyzed(photo))


def _sized(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A mask (h, w) at the size of an answer (…, H, W)."""
    return cv2.resize(mask.astype(np.uint8), values.shape[:-3:-1], interpolation=cv2.INTER_AREA)


def _shrunk(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same with a margin."""
    return cv2.dilate(_sized(mask, values), np.ones((5, 5), np.uint8))


def blinded(seed: int, index: int, long_side: int, rng: np.random.Generator) -> tuple[Room, list[Target]]:
    """A room in which the network does not see one thing: it takes it for what is around it.

    So colour and edges alone must tell the thing, as they must where the network fails on photos. The targets are
    that some surface of the thing's kind gets it, and that the one around it loses it.
    """
    photo, label, instance = rendered(seed, index, long_side)
    logits, normals = (v.copy() for v in predicted(photo))
    things = [i for i in np.unique(instance) if THING[0] < (instance == i).mean() < THING[1]]
    things = [i for i in things if label[instance == i][0] not in (FLOOR, WALL, CEILING)]
    if things:
        thing = instance == int(rng.choice(things))
        for side, seen in enumerate((thing, thing[:, ::-1])):
            hidden = _shrunk(seen, logits)
            ring = (cv2.dilate(hidden, np.ones((5, 5), np.uint8)) > 0) & (hidden == 0)
            if ring.any():
                kinds = logits[side].argmax(0)
                most = ring & (kinds == np.bincount(kinds[ring]).argmax())
                for values in (logits[side], normals[side]):  # the normals are told at half the size
                    gone, source = _shrunk(seen, values) > 0, np.flatnonzero(_sized(most, values))
                    if len(source):
                        picked = rng.choice(source, int(gone.sum()))
                        values[:, gone] = values.reshape(len(values), -1)[:, picked]
    r = Room(photo, label, instance, *_analyzed(photo, logits, normals))
    found: list[Target] = []
    if things:
        owner = np.bincount(r.masks.owner[thing] + 1).argmax() - 1
        kind = int(label[thing][0])
        for k, x in enumerate(r.masks.layers):
            if x.kind == kind and k != owner:
                found.append(Target(k, (r.masks.owner == k) | thing))
                break
        if owner >= 0:
            found.append(Target(int(owner), (r.masks.owner == owner) & ~thing))
    return r, found


def _truth(r: Room, k: int) -> np.ndarray | None:
    """Where the thing truly is that layer `k` is about: the floor, the ceiling, one wall, one piece of furniture
    (things that touch each other are one piece, as surfaces are made); None where it is about nothing."""
    kind, own = r.masks.layers[k].kind, r.masks.owner == k
    all_of_kind = r.label == kind
    if kind in (FLOOR, CEILING):
        return all_of_kind
    if kind == WALL:
        parts = [(r.instance == i) & all_of_kind for i in np.unique(r.instance[all_of_kind & own])]
    else:
        _, piece = cv2.connectedComponents(all_of_kind.astype(np.uint8), connectivity=8)
        parts = [piece == i for i in np.unique(piece[all_of_kind & own]) if i > 0]
    return max(parts, key=lambda p: (p & own).sum() / (p | own).sum(), default=None)


def targets(r: Room) -> Iterator[Target]:
    """The floor, the two largest walls, the ceiling and up to three large pieces of furniture."""
    left, seen = dict(TARGETS), []
    for k in sorted(range(len(r.masks.layers)), key=lambda k: -r.masks.area(k)):
        kind = r.masks.layers[k].kind
        truth = _truth(r, k) if left.get(kind, 0) else None
        if truth is None or truth.mean() < TRUTH_MIN or any(np.array_equal(truth, t) for t in seen):
            continue
        seen.append(truth)
        left[kind] -= 1
        yield Target(k, truth)
