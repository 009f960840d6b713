"""Which superpixels a stroke means: the coherent region around it, up to the picture's edges.

Two questions are the same one: what a surface gains around a mark (now of other surfaces), and what it loses around
one (now its own). Candidates for the move are seeds where the strokes lie; how well each other candidate belongs
with the seeds is told by a small regression over measures of the two and of the way between (`evidence`), and a
minimum cut decides (Boykov & Jolly, "Interactive Graph Cuts", 2001) with the strokes as hard constraints.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, dijkstra, maximum_flow

from services.segmentation.domain import region_weights
from services.segmentation.domain.features import Features
from services.segmentation.domain.superpixels import Float

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Question:
    """Over the N nodes: candidate, seed and fixed (must stay) (N,) bool; owner (N,) int, the layer that has most of
    a node; kind: label of the surface in question; grows: whether it gains or loses; depth: (N,) float32, how far the
    middle of each node lies from the nearest pixel that cannot move, in pixels; None where the marks are lines, which
    need not lie in the middle of anything."""

    candidate: Flags
    seed: Flags
    fixed: Flags
    owner: NDArray[np.int64]
    index: int
    kind: int
    grows: bool
    depth: Float | None


def _graph(f: Features, values: Float, keep: Flags) -> csr_array:
    n = len(f.size)
    e = f.edges[keep]
    return csr_array((np.maximum(values[keep], 1e-4).astype(np.float64), (e[:, 0], e[:, 1])), shape=(n, n))


def _ways(f: Features, inside: Flags, begin: Flags) -> Float:
    """(N,) length of the shortest way from a beginning: the sum of -log P(no border) over the steps."""
    cost = -np.log1p(-np.minimum(f.separate, 0.999)) + np.float32(0.004)
    way = dijkstra(_graph(f, cost, inside), directed=False, indices=np.flatnonzero(begin), min_only=True)
    return np.asarray(np.minimum(way, WAY_MAX), np.float32)


def _likeness(f: Features, seed: Flags, sample: int = 48) -> tuple[Float, Float]:
    """(N,) distance of each node to the seed nearest in lightness and in colour."""
    seeds = np.flatnonzero(seed)[:: max(1, int(seed.sum()) // sample)]
    d = f.lab[:, None, :] - f.lab[None, seeds, :]
    light, chroma = np.abs(d[..., 0]), np.hypot(d[..., 1], d[..., 2])
    nearest = (light + 2 * chroma).argmin(1)
    rows = np.arange(len(f.size))
    return light[rows, nearest], chroma[rows, nearest]


def _density(f: Features, of: Flags, at: Float, sample: int = 96) -> Float:
    """(M,) kernel density of the colours `at` (M, 3) among the nodes `of`, weighted by their size."""
    nodes = np.flatnonzero(of)
    if len(nodes) == 0:
        return np.full(len(at), 1e-4, np.float32)
    nodes = nodes[:: max(1, len(nodes) // sample)]
    scale = np.array([9.0, 4.0, 4.0], np.float32)
    a, b = at / scale, f.lab[nodes] / scale
    square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    weight = (f.size[nodes] / f.size[nodes].sum()).astype(np.float32)
    return np.asarray(np.exp(np.float32(-0.5) * np.maximum(square, 0)) @ weight, np.float32) + np.float32(1e-4)


DEEP = ("seed_depth", "depth", "reach")  # 0 where the marks are lines
NAMES = (
    "one", "way", "way_log", "apart", "apart_log", "apart_size", "light", "chroma", "network", "network_change", "network_turn",
    "same_owner", "distance", "turn", "color_ratio", "color_ratio_change", "rival", "rival_apart", "apart_share", "earlier",
    *DEEP,
)  # fmt: skip


def evidence(f: Features, q: Question) -> Float:
    """(N, F) measures of each candidate, in the order of NAMES; rows of other nodes mean nothing."""
    n = len(f.size)
    inside: Flags = np.asarray(q.candidate[f.edges].all(1))
    way = _ways(f, inside, q.seed)
    seeds = np.flatnonzero(q.seed)
    share = f.size[seeds] / f.size[seeds].sum()
    apart, region = f.regions.apart(int(seeds[share.argmax()]))
    for other in seeds[:: max(1, len(seeds) // 16)]:
        a, r = f.regions.apart(int(other))
        region = np.where(a < apart, r, region)
        apart = np.minimum(apart, a)
    light, chroma = _likeness(f, q.seed)
    p = np.log(f.probability[:, q.kind] + 0.01)
    p_seed = float(share @ p[seeds])
    sign = 1.0 if q.grows else -1.0
    turn = np.abs(f.probability - share @ f.probability[seeds]).sum(1)
    owner_seed = np.bincount(q.owner[seeds] + 1, f.size[seeds]).argmax() - 1
    diagonal = float(np.hypot(*f.shape))
    # Distance to the nearest seed, over a thinned set of them.
    thin = seeds[:: max(1, len(seeds) // 48)]
    square = ((f.centre[:, None] - f.centre[None, thin]) ** 2).sum(2)
    nearest = square.argmin(1)
    distance = np.sqrt(square[np.arange(n), nearest])
    deep = (np.zeros(n),) * 3
    if q.depth is not None:
        # A point is put into the middle of what is wrong: one close to the border is about a sliver along it.
        least = DEPTH_LEAST * diagonal
        seed_depth = q.depth[thin][nearest] + least
        deep = (
            np.log(seed_depth / diagonal),
            np.log((q.depth + least) / seed_depth),
            np.log((distance + least) / seed_depth),
        )
    normal = f.normal[seeds].T @ share
    normal = normal / max(float(np.linalg.norm(normal)), 1e-6)
    mine = (q.owner == q.index) & ~q.seed
    theirs = q.candidate & ~q.seed if q.grows else (q.owner != q.index) & ~q.seed
    own, other_color = _density(f, mine, f.lab), _density(f, theirs, f.lab)
    ratio = sign * (np.log(own) - np.log(other_color))
    ratio_seed = float(share @ ratio[seeds])
    rival = rival_apart = np.zeros(n)
    against = np.flatnonzero(q.fixed)
    if len(against):
        rival = np.log(way + 0.05) - np.log(_ways(f, np.ones(len(f.edges), bool), q.fixed) + 0.05)
        to_rival = np.min([f.regions.apart(int(k))[0] for k in against[:: max(1, len(against) // 8)]], 0)
        rival_apart = np.sign(apart - to_rival)
    return np.stack(
        [
            np.ones(n),
            way / 5,
            np.log(way + 0.02),
            apart * 2,
            np.log(apart + 0.005),
            np.log(region / n),
            light / 20,
            chroma / 10,
            sign * p,
            np.minimum(sign * (p - p_seed), 0),
            turn,
            q.owner == owner_seed,
            distance / diagonal * 4,
            1 - f.normal @ normal,
            ratio / 4,
            np.minimum(ratio - ratio_seed, 0) / 4,
            np.clip(rival, -4, 4),
            rival_apart,
            np.log(region / max(1, int(q.candidate.sum()))),
            np.full(n, np.log1p(len(against))),
            *deep,
        ],
        1,
    ).astype(np.float32)


Weights = tuple[Float, Float, Float, float]


def _weights(raw: tuple[list[list[float]], list[float], list[float], float]) -> Weights:
    return np.array(raw[0], np.float32), np.array(raw[1], np.float32), np.array(raw[2], np.float32), raw[3]


GROW, SHRINK = _weights(region_weights.GROW), _weights(region_weights.SHRINK)
SMOOTH = (0.15, 2.0, 3.0)  # weight a pixel of border: least, at no contrast, and the contrast at which it fell by e
WAY_MAX = 40.0
DEPTH_LEAST = 1 / 400  # of the diagonal


def score(x: Float, grows: bool) -> Float:
    """(M,) log odds that nodes move, of their evidence (M, F): a sum of sixteen smooth steps, a few hundred numbers."""
    a, c, b, d = GROW if grows else SHRINK
    return np.asarray(np.tanh(x @ a.T + c) @ b + d, np.float32)


def cut(f: Features, q: Question, odds: Float, scale: float = 100.0) -> Flags:
    """(N,) bool: the nodes that move, those of least energy. odds (N,): log odds of moving."""
    n = len(f.size)
    keep = q.candidate[f.edges].all(1)
    e, contrast, border = f.edges[keep], f.contrast[keep], f.border[keep]
    unit = np.sqrt(np.prod(f.shape) / n)  # side of a superpixel
    weight = (border / unit) * (SMOOTH[0] + SMOOTH[1] * np.exp(-((contrast / SMOOTH[2]) ** 2)))
    odds = np.clip(odds, -8, 8) * np.minimum(f.size / unit**2, 3)
    hard = 1e4
    odds = np.where(q.seed, hard, np.where(q.fixed, -hard, odds))
    nodes = np.flatnonzero(q.candidate)
    gives, takes = nodes[odds[nodes] > 0], nodes[odds[nodes] <= 0]
    rows = np.r_[e[:, 0], e[:, 1], np.full(len(gives), n), takes]
    columns = np.r_[e[:, 1], e[:, 0], gives, np.full(len(takes), n + 1)]
    capacity = np.r_[weight, weight, odds[gives], -odds[takes]] * scale
    graph = csr_array((np.round(capacity).astype(np.int32), (rows, columns)), shape=(n + 2, n + 2))
    graph.sum_duplicates()
    flow = maximum_flow(graph, n, n + 1).flow
    rest = graph - flow
    rest.data[rest.data < 0] = 0
    rest.eliminate_zeros()
    reached = breadth_first_order(rest, n, directed=True, return_predecessors=False)
    moves = np.zeros(n + 2, bool)
    moves[reached] = True
    return moves[:n] & q.candidate


def solve(f: Features, q: Question) -> Flags:
    """(N,) bool: the nodes that move with the seeds, all of them connected to a seed."""
    x = evidence(f, q)
    odds = np.full(len(x), -8, np.float32)
    odds[q.candidate] = score(x[q.candidate], q.grows)
    odds[x[:, 1] * 5 >= WAY_MAX] = -8
    return connected(f, q, cut(f, q, odds))


def connected(f: Features, q: Question, moves: Flags) -> Flags:
    """Those of the moving nodes that hang together with a seed."""
    n = len(f.size)
    e = f.edges[moves[f.edges].all(1)]
    seeds = np.flatnonzero(q.seed)
    rows, columns = np.r_[e[:, 0], np.full(len(seeds), n)], np.r_[e[:, 1], seeds]
    graph = csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(n + 1, n + 1))
    out = np.zeros(n + 1, bool)
    out[breadth_first_order(graph, n, directed=False, return_predecessors=False)] = True
    return out[:n]


APART = 0.25  # border strength at which a region counts as a thing of its own


def boxed(f: Features, q: Question, inside: Flags) -> Flags:
    """(N,) bool: the nodes of the thing in a box.

    What lies in the box and belongs to what is around it comes together with the outside over weak borders; the thing
    itself does so only over strong ones.
    """
    leaves = inside & q.candidate
    if not leaves.any():
        return leaves
    h = f.regions
    count = len(f.size)
    # How much of each region lies outside the box: regions are runs of the ordered leaves. Specks do not count.
    area = np.concatenate([[0], np.cumsum(f.size[h.order])])
    outside = np.concatenate([[0], np.cumsum((f.size * ~inside)[h.order])])
    contained = outside[h.end] - outside[h.begin] <= 0.04 * (area[h.end] - area[h.begin])
    strength = np.zeros(count, np.float32)
    nodes = np.flatnonzero(leaves)
    region = nodes.copy()
    while (climbing := contained[h.parent[region]] & (h.parent[region] != region)).any():
        region = np.where(climbing, h.parent[region], region)
    strength[nodes] = h.height[h.parent[region]]
    # The thing is what stands out most for its size; whatever stands out half as much is a part of it.
    size = (area[h.end] - area[h.begin])[region]
    thing = strength[nodes][(strength[nodes] * np.sqrt(size)).argmax()]
    odds = 2 * np.log((strength + 1e-4) / (min(APART, 0.5 * float(thing)) + 1e-4))
    odds = odds.astype(np.float32)
    moved = cut(f, replace(q, fixed=q.fixed | ~leaves), odds)
    return moved & leaves
