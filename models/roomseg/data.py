"""Batches for roomseg: cached renders, cropped, flipped and put through a worse camera than the renderer's."""

from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from models.rooms import GENERATOR_VERSION
from models.rooms.cache import folder, write
from models.rooms.labels import CEILING

# (height, width) of a batch: small ones, of which there are more in the same time, and ones as large as photos are served.
SHAPES = ((256, 384), (288, 384), (320, 320), (384, 256), (384, 512), (352, 512), (512, 352))
AREA = 256 * 384  # that has `batch` pictures; a larger one has fewer


def load(root: Path, seed: int, index: int, version: int = GENERATOR_VERSION) -> dict[str, np.ndarray]:
    """One cached sample; rendered now where the cache lacks it."""
    path = folder(root, seed, version) / f"{index:06d}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(root, seed, index, version)
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _below_ceiling(label: np.ndarray) -> int:
    """The first row below the ceiling, a multiple of 4; 0 where too little would be left."""
    rows = np.flatnonzero(np.count_nonzero(label == CEILING, 1) > 0.02 * label.shape[1])
    top = -(-(int(rows[-1]) + 1) // 4) * 4 if len(rows) else 0
    return top if top < 0.6 * label.shape[0] else 0


def crop(sample: dict[str, np.ndarray], shape: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A random window of the target's aspect, resized to it; mirrored half the time."""
    height, width = shape
    h, w = sample["label"].shape
    # People photograph furniture before a wall; the generator stands back and shows the ceiling.
    top = _below_ceiling(sample["label"]) if rng.random() < 0.3 else 0
    h -= top
    scale = min(h / height, w / width) * (rng.uniform(0.5, 0.75) if rng.random() < 0.2 else rng.uniform(0.75, 1.0))
    # Now and then a little stretched, as a photo taken off its axis.
    ch, cw = min(h, round(height * scale * rng.uniform(0.9, 1.1))), min(w, round(width * scale * rng.uniform(0.9, 1.1)))
    y, x = top + rng.integers(0, h - ch + 1), rng.integers(0, w - cw + 1)
    window = (slice(y, y + ch), slice(x, x + cw))
    quarter = (slice(y // 4, max(y // 4 + 1, (y + ch) // 4)), slice(x // 4, max(x // 4 + 1, (x + cw) // 4)))
    size, small = (width, height), (width // 4, height // 4)
    out = {
        "image": cv2.resize(
            sample["image"][window], size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        ),
        "label": cv2.resize(sample["label"][window], size, interpolation=cv2.INTER_NEAREST),
        "normal": cv2.resize(
            sample["normal"][quarter].astype(np.float32) / 127, small, interpolation=cv2.INTER_NEAREST
        ),
    }
    out["grey"] = cv2.resize(sample["grey"][quarter], small, interpolation=cv2.INTER_NEAREST)
    bits = cv2.resize(sample["junction"][window], size, interpolation=cv2.INTER_NEAREST)
    planes = cv2.merge([(bits & (1 << k)) * np.uint8(255 >> k) for k in range(3)])
    seen = cv2.resize(planes, small, interpolation=cv2.INTER_AREA) > 0  # one of the four by four is enough
    out["junction"] = seen.transpose(2, 0, 1).astype(np.float32)
    if rng.random() < 0.5:
        out = {k: np.ascontiguousarray(v[..., ::-1] if k == "junction" else v[:, ::-1]) for k, v in out.items()}
        out["normal"][..., 0] *= -1
    return out


_NOISE = np.random.default_rng(0).standard_normal(1 << 22, np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise cut from a bank at a random place: drawing it anew costs more than all the rest."""
    size = int(np.prod(shape))
    start = int(rng.integers(len(_NOISE) - size))
    return _NOISE[start : start + size].reshape(shape)


def degrade(image: np.ndarray, grey: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Exposure, white balance, local light, blur, noise, resampling, JPEG.

    Args:
        image: (H, W, 3) uint8 sRGB.
        grey: (h, w, 3) uint8, the card in the same light; what changes the light changes it too. 0: nobody can tell.

    Returns:
        The picture (H, W, 3) uint8, and the card (h, w, 3) float32, 1.0 = display white.
    """
    h, w = image.shape[:2]
    tone = np.power(np.arange(256) / 255, np.exp(rng.normal(0, 0.25)))
    tone = (tone - 0.5) * rng.uniform(0.65, 1.35) + 0.5 + rng.normal(0, 0.08)
    table = tone[:, None] * np.exp(rng.normal(0, 0.07, 3))
    x, card = (cv2.LUT(i, table[:, None].astype(np.float32)) for i in (image, grey))
    saturation = 0.0 if rng.random() < 0.08 else rng.uniform(0.2, 1.5)
    mix = (saturation * np.eye(3) + (1 - saturation) / 3).astype(np.float32)
    x, card = (cv2.transform(i, mix) for i in (x, card))
    off = rng.random()
    if off < 0.12:  # blown out, or taken with hardly any light; what the card would look like, nobody can tell
        x, grey = x * np.exp(rng.uniform(0.3, 1.0) if off < 0.07 else rng.uniform(-1.6, -0.5)), np.zeros_like(grey)
    if rng.random() < 0.6:  # slow changes of light over the picture
        strength = 0.15 if rng.random() < 0.7 else 0.4  # strong: a floor that the window bleaches
        field = rng.normal(0, strength, (4, 5, 1)) + rng.normal(0, 0.03, (4, 5, 3))
        x, card = (
            i * np.exp(cv2.resize(field.astype(np.float32), i.shape[1::-1], interpolation=cv2.INTER_CUBIC))
            for i in (x, card)
        )
    if rng.random() < 0.35:  # a hard-edged patch of sun or shade
        patch = np.zeros((h, w), np.float32)
        cv2.fillPoly(patch, [(rng.uniform(0, 1, (4, 2)) * [w, h]).astype(np.int32)], 1.0)
        patch = cv2.GaussianBlur(patch, (0, 0), rng.uniform(0.6, 6))
        patch *= np.float32(rng.normal(0, 0.5))
        x, card = (i * np.exp(cv2.resize(patch, i.shape[1::-1]))[..., None] for i in (x, card))
    if rng.random() < 0.5:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.35:  # texture that the renderer's flat surfaces lack
        grain = rng.normal(0, 1, (max(2, h // int(rng.integers(1, 6))), max(2, w // int(rng.integers(1, 6))))).astype(
            np.float32
        )
        x = x * (1 + rng.uniform(0, 0.08) * cv2.resize(grain, (w, h)))[..., None]
    x = x + np.float32(rng.uniform(0, 0.025)) * _noise(rng, x.shape)
    if rng.random() < 0.05:  # few tones, as an editor's filters leave
        steps = rng.integers(6, 20)
        x = np.round(x * steps) / steps
    x = (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.3:
        f = rng.uniform(0.45, 0.9)
        x = cv2.resize(cv2.resize(x, (int(w * f), int(h * f)), interpolation=cv2.INTER_AREA), (w, h))
    if rng.random() < 0.6:
        _, data = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        x = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return x, np.where(grey.any(2, keepdims=True), np.maximum(card, 1e-3), 0).astype(np.float32)


class Batches(Dataset):
    """Item i is batch i of the run: a function of (seed, i), so that a resumed run goes on as if never stopped.

    Of `parts` processes each gets its part of every batch, of the same shape; together they are the batch.
    """

    def __init__(
        self,
        root: Path,
        seed: int,
        count: int,
        batch: int,
        length: int,
        first: int = 0,
        part: int = 0,
        parts: int = 1,
        version: int = GENERATOR_VERSION,
    ):
        self.root, self.seed, self.count, self.batch, self.length, self.first = root, seed, count, batch, length, first
        self.part, self.parts, self.version = part, parts, version

    def __len__(self) -> int:
        return self.length - self.first

    def __getitem__(self, item: int) -> dict[str, np.ndarray]:
        cv2.setNumThreads(1)
        step = item + self.first
        height, width = SHAPES[np.random.default_rng([self.seed, step]).integers(len(SHAPES))]
        each = max(1, round(self.batch * AREA / (height * width) / self.parts))
        picked = [self._picture(step, k, (height, width)) for k in range(self.part, each * self.parts, self.parts)]
        return {
            "image": np.stack([s["image"] for s in picked]),
            "label": np.stack([s["label"] for s in picked]).astype(np.int64),
            "junction": np.stack([s["junction"] for s in picked]),
            "normal": np.stack([s["normal"] for s in picked]).transpose(0, 3, 1, 2).copy(),
            "grey": np.stack([s["grey"] for s in picked]).transpose(0, 3, 1, 2).copy(),
        }

    def _picture(self, step: int, k: int, shape: tuple[int, int]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self.seed, step, 1 + k])  # [seed, step, 0] is [seed, step], which drew the shape
        epoch, offset = divmod(step * self.batch + k, self.count)
        # The first epoch goes in order, so that a renderer running ahead keeps ahead.
        index = offset if epoch == 0 else int(rng.integers(self.count))
        s = crop(load(self.root, self.seed, index, self.version), shape, rng)
        s["image"], s["grey"] = degrade(s["image"], s["grey"], rng)
        return s
