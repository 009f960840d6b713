"""Correct the masks of a room by what a person marked, without a network.

marks -> seeds and pins -> region (minimum cut over superpixels) -> who takes what is given up -> soft edges in the
changed box. What a person marked holds to the pixel, then and under every later correction until it is marked
otherwise; what one surface gains the others lose; outside the changed box nothing changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from services.segmentation.domain.features import Features
from services.segmentation.domain.labels import DOOR, OTHER, WINDOW
from services.segmentation.domain.masks import Masks, Owner
from services.segmentation.domain.region import Flags, Question, boxed, solve
from services.segmentation.domain.strokes import Box, Mask, Shape, Stroke, raster
from services.segmentation.domain.superpixels import Float

EDGE_PART = 1 / 220  # radius of the guided filter that softens new edges, in parts of the longer side
EDGE_EPSILON = 1e-4
# What people take from a surface is mostly furniture, and rarely a window or a door: -log of how rarely.
RARELY = {OTHER: 0.7, WINDOW: 1.2, DOOR: 1.2}
SHARPNESS = 3.0  # as of automatic masks
INSIDE, OUTSIDE = 0.95, 0.05  # a superpixel wholly inside or outside a surface, but for its rim


@dataclass(frozen=True)
class Pins:
    """What people marked: at pixel `at` (P,) int64, flat and ascending, `value` (P,) int16: k + 1 where it belongs to
    layer k, -(k + 1) where it does not."""

    at: NDArray[np.int64]
    value: NDArray[np.int16]

    def window(self, box: Box, width: int) -> NDArray[np.int16]:
        """(y1 - y0, x1 - x0) int16, 0 where nothing is pinned."""
        out = np.zeros((box[3] - box[1], box[2] - box[0]), np.int16)
        first, last = np.searchsorted(self.at, [box[1] * width, box[3] * width])
        y, x = np.divmod(self.at[first:last], width)
        kept = (x >= box[0]) & (x < box[2])
        out[y[kept] - box[1], x[kept] - box[0]] = self.value[first:last][kept]
        return out


@dataclass(frozen=True)
class Step:
    """What a correction came to.

    box: where anything changed, in pixels at working size, None where nothing did; changed: layers whose mask did.
    """

    masks: Masks
    pins: Pins
    box: Box | None
    changed: tuple[int, ...]


def no_pins() -> Pins:
    return Pins(np.zeros(0, np.int64), np.zeros(0, np.int16))


def pinned(pins: Pins, index: int, strokes: Sequence[Stroke], photo: tuple[int, int], size: tuple[int, int]) -> Pins:
    """Pins with those of further strokes over them; later marks win. Boxes pin nothing."""
    at, value = [pins.at], [pins.value]
    for s in strokes:
        if s.shape is not Shape.BOX:
            marked = raster(s, photo, size)
            y, x = np.nonzero(marked.mask)
            at.append((y + marked.box[1]) * np.int64(size[1]) + x + marked.box[0])
            value.append(np.full(len(y), -(index + 1) if s.erase else index + 1, np.int16))
    flat, values = np.concatenate(at)[::-1], np.concatenate(value)[::-1]
    unique, last = np.unique(flat, return_index=True)
    return Pins(unique, values[last])


def apply(
    f: Features,
    masks: Masks,
    pins: Pins,
    index: int,
    strokes: Sequence[Stroke],
    photo: tuple[int, int],
) -> Step:
    """Correct layer `index` by strokes.

    Args:
        f: features of the photo, of the masks' size.
        masks: as they are.
        pins: of the corrections before.
        strokes: in pixels of the photo, checked.
        photo: (height, width) of the photo.
    """
    size = masks.shape
    marked = pinned(pins, index, strokes, photo, size)
    limit = _limit(strokes, photo, size)
    grown, shrunk = (seeds(f, [s for s in strokes if s.erase is e], photo, size) for e in (False, True))
    points = {s.shape for s in strokes} - {Shape.BOX} == {Shape.POINT}
    gains = losses = np.zeros(len(f.size), bool)
    if grown.any():
        q = question(f, masks, marked, index, True, grown, shrunk, limit, points)
        gains = solve(f, q)
    elif limit is not None and not shrunk.any():
        q = question(f, masks, marked, index, True, grown, shrunk, limit, points)
        gains = boxed(f, q, f.means(limit) > 0.9)
    if shrunk.any():
        q = question(f, masks, marked, index, False, shrunk, grown, limit, points)
        losses = solve(f, q) & ~gains
    # Where anything may change: what moves, and what the strokes mark.
    marks = [raster(s, photo, size).box for s in strokes if s.shape is not Shape.BOX]
    box = _hull([*marks, *_boxes(f, gains | losses)])
    if box is None:
        return Step(masks, marked, None, ())
    cut = (slice(box[1], box[3]), slice(box[0], box[2]))
    before, node = masks.owner[cut], f.node[cut]
    owner = before.copy()
    within = np.ones(owner.shape, bool) if limit is None else limit[cut]
    owner[gains[node] & within] = index
    given = losses[node] & (before == index) & within
    if given.any():
        owner[given] = _takers(f, masks, index, losses)[node][given]
    held = marked.window(box, size[1])
    if (held < 0).any():
        _evict(owner, held, before, _fallback(f, masks, index, shrunk | grown))
    owner[held > 0] = held[held > 0] - 1
    touched = np.zeros(owner.shape, bool)
    for s in strokes:
        if s.shape is not Shape.BOX:
            m = raster(s, photo, size)
            touched[m.box[1] - box[1] : m.box[3] - box[1], m.box[0] - box[0] : m.box[2] - box[0]] |= m.mask
    return _soften(f, masks, marked, owner, touched | (owner != before), box)


def _limit(strokes: Sequence[Stroke], photo: tuple[int, int], size: tuple[int, int]) -> Mask | None:
    """(h, w) bool: the box that limits a correction; None without one."""
    for s in strokes:
        if s.shape is Shape.BOX:
            marked = raster(s, photo, size)
            out = np.zeros(size, bool)
            out[marked.window] = marked.mask
            return out
    return None


def _hull(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    b = np.array(boxes)
    return int(b[:, 0].min()), int(b[:, 1].min()), int(b[:, 2].max()), int(b[:, 3].max())


def _boxes(f: Features, nodes: Flags) -> list[Box]:
    """The box around these superpixels, if there are any."""
    if not nodes.any():
        return []
    e = f.extent[nodes]
    return [(int(e[:, 0].min()), int(e[:, 1].min()), int(e[:, 2].max()), int(e[:, 3].max()))]


@dataclass(frozen=True)
class _Nodes:
    """share (N, L + 1): part of each node that nobody and each layer own; owner (N,): who has most, -1 nobody."""

    share: Float
    owner: NDArray[np.int64]

    @staticmethod
    def of(f: Features, masks: Masks) -> "_Nodes":
        # Every fourth pixel will do; what has none of those is told by its middle.
        columns = len(masks.layers) + 1
        code = f.node[::2, ::2].ravel() * np.int32(columns) + (masks.owner[::2, ::2].ravel() + np.int32(1))
        count = np.bincount(code, minlength=len(f.size) * columns).reshape(-1, columns)
        missed = np.flatnonzero(count.sum(1) == 0)
        x, y = f.centre[missed].astype(np.int64).T
        count[missed, masks.owner[y, x] + 1] = 1
        return _Nodes((count / count.sum(1, keepdims=True)).astype(np.float32), count.argmax(1) - 1)


def seeds(f: Features, strokes: Sequence[Stroke], photo: tuple[int, int], size: tuple[int, int]) -> Flags:
    """(N,) the superpixels that strokes mean: those that they cover by half, and that under each point.

    A polygon means what it covers and nothing else: it is no seed.
    """
    out = np.zeros(len(f.size), bool)
    for s in strokes:
        if s.shape in (Shape.BOX, Shape.POLYGON):
            continue
        m = raster(s, photo, size)
        nodes, count = np.unique(f.node[m.window][m.mask], return_counts=True)
        part = count / f.size[nodes]
        # A thin brush covers half of nothing: what lies along its middle counts as well, unless it only grazes it.
        out[nodes[part > (0.5 if s.shape is Shape.POINT else 0.2)]] = True
        if s.shape is Shape.POINT or not out[nodes].any():
            (x, y) = s.points[0]
            row, column = min(int(y * size[0] / photo[0]), size[0] - 1), min(int(x * size[1] / photo[1]), size[1] - 1)
            out[f.node[row, column]] = True
    return out


def _pinned_nodes(f: Features, pins: Pins, which: Flags) -> Flags:
    """(N,) superpixels that hold those of the pins."""
    out = np.zeros(len(f.size), bool)
    out[f.node.ravel()[pins.at[which]]] = True
    return out


def question(
    f: Features,
    masks: Masks,
    pins: Pins,
    index: int,
    grows: bool,
    seeds: Flags,
    against: Flags,
    limit: Mask | None,
    points: bool,
) -> Question:
    """What layer `index` gains around the seeds, or loses.

    Args:
        pins: those of this correction included.
        against: (N,) superpixels that strokes of the other sense mean.
        limit: (h, w) bool, where anything may change.
        points: whether the marks are points alone.
    """
    nodes = _Nodes.of(f, masks)
    share = nodes.share[:, index + 1]
    # What was marked for this surface stays when it loses; what was marked for others, or against it, when it gains.
    stays = pins.value != index + 1 if grows else pins.value == index + 1
    fixed = _pinned_nodes(f, pins, stays) | against
    if limit is not None:
        fixed |= f.means(limit) < 0.5
    candidate = (share < INSIDE if grows else share > OUTSIDE) | seeds
    kind, depth = masks.layers[index].kind, _depth(f, (masks.owner == index) != grows) if points else None
    return Question(candidate, seeds, fixed & ~seeds, nodes.owner, index, kind, grows, depth)


def _depth(f: Features, inside: Mask) -> Float:
    """(N,) how far the middle of each node lies inside, in pixels; the picture ends there too."""
    half = np.pad(inside[::2, ::2].astype(np.uint8), 1)
    x, y = (f.centre / 2).astype(np.int64).T + 1
    return np.asarray(2 * cv2.distanceTransform(half, cv2.DIST_L2, 3)[y, x])


def _fallback(f: Features, masks: Masks, index: int, around: Flags) -> NDArray[np.int16]:
    """Layers in the order in which they would take single pixels at these nodes from layer `index`; -1 last."""
    nodes = _Nodes.of(f, masks)
    near = around.copy()
    e = f.edges[near[f.edges].any(1)]
    near[e] = True
    weight = nodes.share[near].sum(0)
    kinds = np.array([x.kind for x in masks.layers])
    score = weight[1:] + 0.1 * f.probability[near].sum(0)[kinds]
    score[index] = -1
    order = np.argsort(-score, kind="stable")
    return np.append(order[score[order] > 0.02], -1).astype(np.int16)


def _takers(f: Features, masks: Masks, index: int, moves: Flags) -> Owner:
    """(N,) the layer that takes each node given up: the neighbour nearest to it, by the way and by the network.

    Of the layers that touch what moves, or without any of all others, the one with the least sum of the way from its
    own side and -log of its kind's probability there.
    """
    nodes = _Nodes.of(f, masks)
    e = f.edges
    a, b = moves[e[:, 0]], moves[e[:, 1]]
    crossing = a != b
    outer = np.where(a, e[:, 1], e[:, 0])
    near = np.unique(outer[crossing])
    touching = [int(k) for k in np.unique(nodes.owner[near]) if k >= 0 and k != index]
    # Of a superpixel that several share, the part that is no longer ours goes to those who have the rest of it.
    shares = nodes.share[moves][:, 1:].sum(0)
    touching += [k for k in np.flatnonzero(shares > 0.5).tolist() if k != index and k not in touching]
    out = np.full(len(f.size), -1, np.int16)
    if not touching:
        return out
    n = len(f.size)
    step = -np.log1p(-np.minimum(f.separate, 0.999)) + 0.01
    inner = a & b
    best = np.full(n, np.inf)
    for k in touching:
        starts = near[nodes.owner[near] == k]
        enters = crossing & (nodes.owner[outer] == k)
        used = inner | enters
        kind = -np.log(f.probability[:, masks.layers[k].kind] + 0.02)
        way = np.full(n, 12.0)
        if len(starts):
            graph = csr_array((step[used].astype(np.float64), (e[used, 0], e[used, 1])), shape=(n, n))
            way = np.minimum(dijkstra(graph, directed=False, indices=starts, min_only=True), 12.0)
        cost = way + 1.5 * kind + RARELY.get(masks.layers[k].kind, 0.0)
        # One thing mostly goes to one taker: what a layer costs over all of it counts as much as what it costs here.
        cost += (cost * f.size)[moves].sum() / f.size[moves].sum()
        out = np.where(cost < best, np.int16(k), out)
        best = np.minimum(cost, best)
    return np.where(moves, out, -1).astype(np.int16)


def _evict(owner: Owner, pins: NDArray[np.int16], before: Owner, fallback: NDArray[np.int16]) -> None:
    """Give pixels that must not be of their layer to whom they belonged, or to the first that may have them, in place."""
    wrong = (pins < 0) & (owner == -pins - 1)
    excluded = -pins[wrong] - 1
    kept = before[wrong]
    for k in fallback:
        kept = np.where(kept == excluded, k, kept)
    owner[wrong] = kept


def _soften(f: Features, masks: Masks, pins: Pins, owner: Owner, changed: Mask, at: Box) -> Step:
    """New soft masks where the owner changed or marks lie; elsewhere the very bytes as before.

    Indicator functions of the layers go through a guided filter (He, Sun & Tang, 2013; coefficients at half size),
    are sharpened and normalised as automatic masks are, and fade into the old masks over a few pixels.

    owner and changed have the size of the box `at`.
    """
    height, width = masks.shape
    if not changed.any():
        return Step(masks, pins, None, ())
    radius = max(2, round(max(height, width) * EDGE_PART))
    reach = 2 * radius
    x, y, w, h = cv2.boundingRect(changed.astype(np.uint8))
    x, y = x + at[0], y + at[1]
    box = (max(0, x - reach), max(0, y - reach), min(width, x + w + reach), min(height, y + h + reach))
    cut = (slice(box[1], box[3]), slice(box[0], box[2]))
    here = masks.owner[cut].copy()
    still = np.ones(here.shape, np.uint8)
    a, b, c, d = max(at[0], box[0]), max(at[1], box[1]), min(at[2], box[2]), min(at[3], box[3])
    inner = (slice(b - box[1], d - box[1]), slice(a - box[0], c - box[0]))
    outer = (slice(b - at[1], d - at[1]), slice(a - at[0], c - at[0]))
    here[inner], still[inner] = owner[outer], ~changed[outer]
    away = cv2.distanceTransform(still, cv2.DIST_L2, 3)
    blend = np.clip((reach - away) / (reach - radius), 0, 1).astype(np.float32)
    blend[away >= reach - 1] = 0
    soft = _edges(f.grey[cut], here, [int(k) for k in np.unique(here[blend > 0])], radius)
    inside = [k for k, layer in enumerate(masks.layers) if k in soft or _meets(layer.box, box)]
    windows = {k: masks.layers[k].window(box) for k in inside}
    for k in inside:
        old = windows[k]
        new = old * (1 - blend)
        if k in soft:
            new += blend * (255 * soft[k])
        # Rounded down, so that the sum cannot pass 255. Where nothing is blended the byte is the one before.
        windows[k] = np.where(blend > 0, np.floor(new + np.float32(1e-3)), old).astype(np.uint8)
    held = pins.window(box, width)
    for k in inside:
        windows[k][(held > 0) & (held != k + 1)] = 0
        windows[k][held == k + 1] = 255
        windows[k][held == -(k + 1)] = 0
    _at_most_255(windows, blend > 0)
    layers = list(masks.layers)
    new_owner = masks.owner.copy()
    best = np.zeros(here.shape, np.uint8)
    view = new_owner[cut]
    view[:] = -1
    for k in inside:
        stronger = windows[k] > best
        view[stronger] = k
        best[stronger] = windows[k][stronger]
    changed_layers = tuple(k for k in inside if (windows[k] != masks.layers[k].window(box)).any())
    for k in changed_layers:
        layers[k] = masks.layers[k].with_window(box, windows[k])
    return Step(Masks(tuple(layers), new_owner), pins, box if changed_layers else None, changed_layers)


def _meets(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _at_most_255(windows: dict[int, NDArray[np.uint8]], where: Mask) -> None:
    """Take from the weaker what rounding or a pin has put too much at a pixel, in place."""
    if not windows:
        return
    total = np.zeros(next(iter(windows.values())).shape, np.uint16)
    for alpha in windows.values():
        total += alpha
    over = (total > 255) & where
    if over.any():
        for alpha in windows.values():
            alpha[over] = (alpha[over].astype(np.uint32) * 255 // total[over]).astype(np.uint8)


def _edges(grey: NDArray[np.uint8], owner: Owner, present: list[int], radius: int) -> dict[int, Float]:
    """Soft membership of each layer that is present, 0 to 1, adding up to at most 1 with nobody's part left out."""
    if len(present) == 1:
        return {present[0]: np.ones(owner.shape, np.float32)} if present[0] >= 0 else {}
    height, width = grey.shape
    half = (max(1, width // 2), max(1, height // 2))
    guide = grey.astype(np.float32) / 255
    small = cv2.resize(guide, half, interpolation=cv2.INTER_AREA)
    side = (2 * max(1, radius // 2) + 1,) * 2
    mean = cv2.blur(small, side)
    variance = cv2.blur(small * small, side) - mean * mean
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    power = []
    for k in present:
        mine = (owner == k).astype(np.uint8)
        full = mine.astype(np.float32)
        q = cv2.resize(full, half, interpolation=cv2.INTER_AREA)
        mean_q = cv2.blur(q, side)
        a = (cv2.blur(small * q, side) - mean * mean_q) / (variance + EDGE_EPSILON)
        b = mean_q - a * mean
        a = cv2.resize(cv2.blur(a, side), (width, height), interpolation=cv2.INTER_LINEAR)
        b = cv2.resize(cv2.blur(b, side), (width, height), interpolation=cv2.INTER_LINEAR)
        soft = np.clip(a * guide + b, 0, 1)
        # The filter straightens borders that cross flat parts of the picture; thin things it would melt away.
        # Of whole numbers, whose least and greatest are found several times as fast.
        thin = cv2.blur((mine - cv2.morphologyEx(mine, cv2.MORPH_OPEN, disc)).astype(np.float32), (5, 5))
        fine = np.minimum(2 * thin, 1)
        member = np.maximum(fine * (0.4 * soft + 0.6 * cv2.blur(full, (3, 3))) + (1 - fine) * soft, 1e-4)
        power.append(cv2.pow(member, SHARPNESS))
    total = np.sum(power, 0)
    return {
        k: np.clip((v / total - 0.08) / 0.84, 0, 1).astype(np.float32)
        for k, v in zip(present, power, strict=True)
        if k >= 0
    }
