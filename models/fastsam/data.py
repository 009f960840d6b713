"""Batches for fastsam-room: cached renders with their instances, cropped, mirrored, seen by a worse camera."""

from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from models.rooms import GENERATOR_VERSION
from models.roomseg.data import degrade, load

NO_CARD = np.zeros((1, 1, 3), np.uint8)  # the light does not matter here

SHAPES = ((320, 448), (320, 448), (288, 384), (352, 352), (448, 320), (256, 320))  # (height, width) of a batch
AREA_MIN = 0.001  # of the picture; smaller instances are background
Arrays = dict[str, np.ndarray]


def sample(root: Path, seed: int, index: int, version: int = GENERATOR_VERSION) -> Arrays:
    """image (H, W, 3) uint8 and instance (H, W) uint16, 0 = none."""
    arrays = load(root, seed, index, version)
    if "instance" not in arrays:
        raise RuntimeError(f"the rooms in {root} were cached without instances: remove them and run `make rooms`")
    return {"image": arrays["image"], "instance": arrays["instance"]}


def instances(instance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The list of what is to be found, and the map of it.

    Args:
        instance: (H, W) uint16, 0 = none.

    Returns:
        boxes (M, 4) float32 x0, y0, x1, y1 in pixels; places (65536,) int64: from a number in `instance` to
        1 + its place in the list, 0 for what is too small.
    """
    height, width = instance.shape
    counts = np.bincount(instance.ravel(), minlength=1)
    counts[0] = 0
    kept = np.flatnonzero(counts >= AREA_MIN * instance.size)
    places = np.zeros(65536, np.int64)
    places[kept] = np.arange(1, len(kept) + 1)
    number = places[instance]
    rows, columns = np.zeros((len(kept) + 1, height), bool), np.zeros((len(kept) + 1, width), bool)
    rows[number, np.arange(height)[:, None]] = True
    columns[number, np.arange(width)[None]] = True
    rows, columns = rows[1:], columns[1:]
    x0, y0 = columns.argmax(1), rows.argmax(1)
    x1, y1 = width - columns[:, ::-1].argmax(1), height - rows[:, ::-1].argmax(1)
    return np.stack([x0, y0, x1, y1], 1).astype(np.float32), places


def crop(arrays: Arrays, shape: tuple[int, int], rng: np.random.Generator) -> Arrays:
    """A random window of the target's aspect, resized to it; mirrored half the time.

    Returns:
        image (h, w, 3) uint8; boxes (M, 4) float32 pixels; instance (h/4, w/4) int64, 0 = none, else 1 + place.
    """
    height, width = shape
    h, w = arrays["instance"].shape
    scale = min(h / height, w / width) * (rng.uniform(0.5, 0.75) if rng.random() < 0.25 else rng.uniform(0.75, 1.0))
    # Now and then a little stretched, as a photo taken off its axis.
    ch, cw = min(h, round(height * scale * rng.uniform(0.9, 1.1))), min(w, round(width * scale * rng.uniform(0.9, 1.1)))
    y, x = rng.integers(0, h - ch + 1), rng.integers(0, w - cw + 1)
    image, numbers = (arrays[k][y : y + ch, x : x + cw] for k in ("image", "instance"))
    if rng.random() < 0.5:
        image, numbers = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(numbers[:, ::-1])
    shrinks = cw > width
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # From the window itself, both times: a second resampling would move the masks by half a pixel.
    full = cv2.resize(numbers, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    small = cv2.resize(numbers, (width // 4, height // 4), interpolation=cv2.INTER_NEAREST_EXACT)
    boxes, places = instances(full)
    return {"image": image, "boxes": boxes, "instance": places[small]}


def collate(picked: list[Arrays]) -> Arrays:
    """One batch: lists of boxes padded to the longest, with `exists` telling which are real."""
    longest = max(len(s["boxes"]) for s in picked)
    boxes, exists = np.zeros((len(picked), longest, 4), np.float32), np.zeros((len(picked), longest), bool)
    for k, s in enumerate(picked):
        boxes[k, : len(s["boxes"])], exists[k, : len(s["boxes"])] = s["boxes"], True
    image, instance = (np.stack([s[k] for s in picked]) for k in ("image", "instance"))
    return {"image": image, "boxes": boxes, "exists": exists, "instance": instance}


class Batches(Dataset):
    """Item i is batch i of the run: a function of (seed, i), so that a resumed run goes on as if never stopped."""

    def __init__(self, root: Path, seed: int, count: int, batch: int, length: int, first: int = 0):
        self.root, self.seed, self.count, self.batch, self.length, self.first = root, seed, count, batch, length, first

    def __len__(self) -> int:
        return self.length - self.first

    def __getitem__(self, item: int) -> Arrays:
        cv2.setNumThreads(1)
        step = item + self.first
        rng = np.random.default_rng([self.seed, step, 7])
        shape = SHAPES[rng.integers(len(SHAPES))]
        picked = []
        for k in range(self.batch):
            epoch, offset = divmod(step * self.batch + k, self.count)
            # The first epoch goes in order, so that a renderer running ahead keeps ahead.
            again = np.random.default_rng([self.seed, epoch, offset])
            index = offset if epoch == 0 else int(again.integers(self.count))
            s = crop(sample(self.root, self.seed, index), shape, rng)
            s["image"], _ = degrade(s["image"], NO_CARD, rng)
            picked.append(s)
        return collate(picked)
