"""From the network's logits to soft labels at full resolution."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear
from services.segmentation.domain.superpixels import Superpixels

Float = NDArray[np.float32]

OTHER, FLOOR, WALL, CEILING, FURNITURE, WINDOW, DOOR = range(7)
KINDS = ("other", "floor", "wall", "ceiling", "furniture", "window", "door")

# Long sides of the photo and of its mirror image as the network takes them: what a thing is, its surroundings tell, of
# which it sees more in a small picture; where a border or a leg runs, it sees in a large one.
LONG_SIDES = (448, 640)
STRIDE = 32


def network_inputs(photo: Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The photo, and larger its mirror image, as the network takes them: (1, h, w, 3) uint8 each, h and w multiples of 32."""
    small, large = (network_input(photo, side) for side in LONG_SIDES)
    return small, np.ascontiguousarray(large[:, :, ::-1])


def network_input(photo: Image, long_side: int) -> NDArray[np.uint8]:
    """The photo as the network takes it: (1, h, w, 3) uint8, h and w multiples of 32, the longer about `long_side`."""
    height, width = photo.shape[:2]
    scale = long_side / max(height, width)
    h, w = (max(STRIDE * 2, round(d * scale / STRIDE) * STRIDE) for d in (height, width))
    shown = cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(shown[None], np.uint8)


def together(small: Sequence[Float], large: Sequence[Float]) -> list[Float]:
    """The network's outputs for the photo (1, C, h, w) and for its larger mirror image (1, C, h', w'), each pair as one
    array (2, C, h', w')."""
    out = []
    for photo, mirrored in zip(small, large, strict=True):
        size = mirrored.shape[3], mirrored.shape[2]
        enlarged = [cv2.resize(channel, size, interpolation=cv2.INTER_LINEAR) for channel in photo[0]]
        out.append(np.asarray(np.concatenate([np.stack(enlarged)[None], mirrored]), np.float32))
    return out


# Photos people take show less bare wall and more floor than the generator's rooms: odds are shifted from the
# shares of the one to those of the other (Saerens, Latinne & Decaestecker, 2002, eq. 2.4).
SHARES = np.array([1, 1.5, 0.6, 1, 1, 1, 1], np.float32)


def probabilities(surface_logits: Float) -> Float:
    """Softmax with the shares of real photos, averaged over the photo and its mirror image: (2, 7, h, w) to (7, h, w)."""
    logits = surface_logits - surface_logits.max(1, keepdims=True)
    p = np.exp(logits) * SHARES[:, None, None]
    p /= p.sum(1, keepdims=True)
    return np.asarray((p[0] + p[1, :, :, ::-1]) / 2, np.float32)


def mean_normals(normals: Float, height: int, width: int) -> Float:
    """Unit normals (3, height, width) from those of the photo and its mirror image (2, 3, h, w)."""
    mirrored = normals[1, :, :, ::-1] * np.array([-1, 1, 1], np.float32)[:, None, None]
    mean = normals[0] + mirrored
    if mean.shape[1:] != (height, width):
        mean = np.stack([cv2.resize(n, (width, height), interpolation=cv2.INTER_LINEAR) for n in mean])
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=0), 1e-6), np.float32)


def mean_grey_card(grey: Float) -> Image | None:
    """(h, w, 3) uint8 sRGB from the cards of the photo and its mirror image (2, 3, h, w); None where there is none."""
    if not grey.any():
        return None
    mean = (grey[0] + grey[1, :, :, ::-1]).transpose(1, 2, 0) / 2
    return np.asarray(np.clip(mean, 0, 1) * 255 + 0.5, np.uint8)


def below_horizon(p: Float, horizon: Float) -> Float:
    """Floors lie below the horizon and ceilings above it: what contradicts that loses its probability.

    Args:
        p: (7, h, w) probabilities.
        horizon: (h, w) height of each pixel below the horizon, in parts of the picture's height; negative above.
    """
    out = p.copy()
    horizon = np.clip(horizon, -0.6, 0.6)  # far from it there is nothing left to decide
    out[FLOOR] *= 1 / (1 + np.exp(-(horizon - 0.02) / 0.015))
    out[CEILING] *= 1 / (1 + np.exp((horizon + 0.02) / 0.015))
    out += 1e-6
    return np.asarray(out / out.sum(0), np.float32)


# A ceiling below all three is none: mean probability, mean probability of a junction where it meets walls, and how far it
# faces down (1: straight down; one that slopes by 45 degrees 0.7).
CEILING_SURE, JUNCTION_SEEN, FACES_DOWN = 0.7, 0.33, 0.7


def mean_junctions(junction_logits: Float) -> Float:
    """(h, w) probability that planes meet, from those of the photo and its mirror image (2, 3, h, w)."""
    p = 1 / (1 + np.exp(-junction_logits))
    return np.asarray(((p[0] + p[1, :, :, ::-1]) / 2).max(0), np.float32)


def without_loose_ceilings(p: Float, junctions: Float, down: Float) -> Float:
    """The bright top of a wall passes for ceiling where it ends in nothing: pieces of ceiling of which the network is
    not sure, which face as walls do as much as down, and which meet walls where it sees no junction, become wall.

    Args:
        p: (7, h, w) probabilities.
        junctions: (h', w') probability that planes meet.
        down: (h, w) cosine of the angle between normal and straight down.
    """
    if junctions.max() < JUNCTION_SEEN:
        return p  # a model that does not tell
    label = p.argmax(0).astype(np.uint8)
    height, width = label.shape
    seen = cv2.dilate(cv2.resize(junctions, (width, height), interpolation=cv2.INTER_LINEAR), np.ones((5, 5), np.uint8))
    count, components = cv2.connectedComponents((label == CEILING).astype(np.uint8), connectivity=8)
    out = p.copy()
    for c in range(1, count):
        inside = components == c
        edge = (cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & (label == WALL)
        loose = edge.any() and p[CEILING][inside].mean() < CEILING_SURE and seen[edge].mean() < JUNCTION_SEEN
        if loose and down[inside].mean() < FACES_DOWN:
            out[WALL][inside] += out[CEILING][inside]
            out[CEILING][inside] = 0
            # The gap between the two is wall as well.
            around = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            out[WALL][around & ~inside] += out[CEILING][around & ~inside]
            out[CEILING][around] = 0
    return out


def without_specks(p: Float, part: float = 0.0008, kinds: Sequence[int] = range(len(KINDS))) -> Float:
    """Give components of these kinds smaller than `part` of the picture to the label that surrounds them."""
    label = p.argmax(0).astype(np.uint8)
    small = np.zeros(label.shape, bool)
    for k in kinds:
        count, components, stats, _ = cv2.connectedComponentsWithStats((label == k).astype(np.uint8), connectivity=4)
        sizes = stats[:, cv2.CC_STAT_AREA]
        specks = np.flatnonzero(sizes < max(3.0, part * label.size))
        small |= np.isin(components, specks[specks > 0]) if count > 1 else False
    if not small.any():
        return p
    solid = p * ~small
    weight = cv2.blur((~small).astype(np.float32), (9, 9)) + 1e-6
    around = np.stack([cv2.blur(solid[k], (9, 9)) for k in range(len(p))]) / weight
    out = np.where(small, around, p) + 1e-6
    return np.asarray(out / out.sum(0), np.float32)


def without_islands(p: Float, part: float = 0.05, around: float = 0.85) -> Float:
    """A piece of floor, wall or ceiling that lies inside another of the three is that other one.

    A wall can show a picture or a window in its middle, but no ceiling. A piece counts as inside where it does
    not touch the picture's border, is smaller than `part` of it, and at least `around` of its outline is the other.
    """
    out = p.copy()
    label = p.argmax(0).astype(np.uint8)
    for kind in (FLOOR, WALL, CEILING):
        count, components, stats, _ = cv2.connectedComponentsWithStats((label == kind).astype(np.uint8), connectivity=4)
        for c in range(1, count):
            x, y, w, h, area = stats[c]
            if area > part * label.size or x == 0 or y == 0 or x + w == label.shape[1] or y + h == label.shape[0]:
                continue
            window = (slice(y - 1, y + h + 1), slice(x - 1, x + w + 1))
            piece = components[window] == c
            ring = cv2.dilate(piece.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~piece
            neighbours = np.bincount(label[window][ring], minlength=len(p)) / max(1, int(ring.sum()))
            for other in {FLOOR, WALL, CEILING} - {kind}:
                if neighbours[other] >= around:
                    # Both probabilities change places: how sure the network was of something stays what it was.
                    out[kind][window][piece], out[other][window][piece] = (
                        p[other][window][piece],
                        p[kind][window][piece],
                    )
    return out


def sunlit_floor(p: Float, photo: Image, boost: float = 12.0, around: float = 0.6) -> Float:
    """Give the floor a better chance where something on it is the floor's own colour, only brighter.

    Patches of sun have hard edges and look like rugs to the network, but light does not change chromaticity
    much. Where the network is sure of something else nothing changes.

    Args:
        p: (7, h, w) probabilities.
        photo: (H, W, 3) uint8 sRGB.
        boost: of the floor's odds where chromaticity agrees fully.
        around: part of a patch's outline that must be floor.
    """
    small = cv2.resize(photo, (p.shape[2], p.shape[1]), interpolation=cv2.INTER_AREA)
    light = to_linear(np.asarray(small, np.uint8)) + np.float32(2e-3)
    total = light.sum(2)
    chroma = light[..., :2] / total[..., None]
    sure = p[FLOOR] > 0.9
    if sure.sum() < 50:
        return p
    mean = np.median(chroma[sure], 0)
    spread = np.maximum(np.median(np.abs(chroma[sure] - mean), 0) * 1.5, 0.006)
    alike = np.exp(-0.5 * (((chroma - mean) / (1.5 * spread)) ** 2).sum(2))
    brighter = np.clip(total / np.median(total[sure]) - 0.9, 0, 0.2) / 0.2
    lit = p.copy()
    lit[FLOOR] *= 1 + (boost - 1) * alike * brighter
    label, becomes = p.argmax(0), lit.argmax(0)
    # Sun on a floor has floor around it; a white worktop over a grey floor has not.
    changed = ((label != FLOOR) & (becomes == FLOOR)).astype(np.uint8)
    count, components = cv2.connectedComponents(changed, connectivity=8)
    keep = label == FLOOR
    for c in range(1, count):
        piece = components == c
        ring = cv2.dilate(piece.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~piece
        if (label[ring] == FLOOR).mean() >= around:
            keep |= piece
    out = np.where(keep, lit, p)
    return np.asarray(out / out.sum(0), np.float32)


def refine(p: Float, photo: Image, parts: Superpixels, sharpness: float = 3.0) -> Float:
    """Bring the probabilities of superpixels to the photo's size, with soft edges, pulled onto the photo's own.

    Guided filter (He, Sun & Tang, "Guided Image Filtering", 2013, eq. 5, 6, 8) in its fast form (He & Sun,
    2015): coefficients at half size. Afterwards each is raised to `sharpness` and normalised, so that the
    masks stay a partition with a soft edge a few pixels wide.

    Args:
        p: (N, K) probabilities of each superpixel.
        photo: (H, W, 3) uint8 sRGB.
        parts: its superpixels.

    Returns:
        (K, H, W) float32, sums to 1.
    """
    height, width = photo.shape[:2]
    half = (max(1, width // 2), max(1, height // 2))
    guide = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    small = cv2.resize(guide, half, interpolation=cv2.INTER_AREA)
    radius = max(1, round(max(half) / 500))
    box = (2 * radius + 1, 2 * radius + 1)
    epsilon = np.float32(2e-4)
    mean = cv2.blur(small, box)
    variance = cv2.blur(small * small, box) - mean * mean
    out = np.empty((p.shape[1], height, width), np.float32)
    for k, q in enumerate(parts.spread(p, half[1], half[0])):
        mean_q = cv2.blur(q, box)
        a = (cv2.blur(small * q, box) - mean * mean_q) / (variance + epsilon)
        b = mean_q - a * mean
        a = cv2.resize(cv2.blur(a, box), (width, height), interpolation=cv2.INTER_LINEAR)
        b = cv2.resize(cv2.blur(b, box), (width, height), interpolation=cv2.INTER_LINEAR)
        np.clip(a * guide + b, 1e-4, 1, out=out[k])
    np.power(out, sharpness, out=out)
    out /= out.sum(0)
    return out
