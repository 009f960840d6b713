"""Regions within regions: superpixels merged pair by pair, the weakest border first, until one is left.

A border's strength is its mean over its whole length, worked out anew as regions grow together (average linkage; cf.
Arbeláez et al., "Contour Detection and Hierarchical Image Segmentation", 2011, sec. 4.1), so one gap in an edge does
not join two regions. The height at which a pixel comes together with a click tells how far they are apart.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Nodes = NDArray[np.int32]


@dataclass(frozen=True)
class Hierarchy:
    """A binary tree over N leaves; region r of 0 to 2N - 2, the leaves first, the whole picture last.

    order (N,) int32: the leaves so that each region is one run of them; begin, end (2N - 1,) int32: that run;
    parent (2N - 1,) int32, of the root itself; height (2N - 1,) float32: strength of the border that was removed to
    make the region, 0 of leaves, never above its parent's.
    """

    order: Nodes
    begin: Nodes
    end: Nodes
    parent: Nodes
    height: Float

    def apart(self, leaf: int) -> tuple[Float, Nodes]:
        """For each leaf: the height of the smallest region that it shares with `leaf`, and how many leaves that has."""
        height, count = np.zeros(len(self.order), np.float32), np.ones(len(self.order), np.int32)
        b = e = int(self.begin[leaf])
        e += 1
        region = leaf
        while self.parent[region] != region:
            region = int(self.parent[region])
            nb, ne = int(self.begin[region]), int(self.end[region])
            for part in (slice(nb, b), slice(e, ne)):
                height[part], count[part] = self.height[region], ne - nb
            b, e = nb, ne
        back = np.empty(len(self.order), np.int32)
        back[self.order] = np.arange(len(self.order))
        return height[back], count[back]


def build(count: int, edges: Nodes, strength: Float, border: Float, size: Nodes) -> Hierarchy:
    """Merge `count` leaves over the borders between them.

    Args:
        edges: (E, 2) int32 neighbouring pairs, each once.
        strength: (E,) of their border, 0 to 1.
        border: (E,) its length in pixels.
        size: (N,) pixels of each leaf.
    """
    total = 2 * count - 1
    parent, height = np.arange(total, dtype=np.int32), np.zeros(total, np.float32)
    children = np.full((total, 2), -1, np.int32)
    around: list[dict[int, tuple[float, float]] | None] = [{} for _ in range(count)]
    area = [float(s) for s in size]
    unit = float(np.mean(size))
    heap: list[tuple[float, int, int]] = []

    def worth(mean: float, a: int, b: int) -> float:
        # Small regions go sooner: a speck with a strong border is no region of its own.
        return mean * min(1.0, float((min(area[a], area[b]) / unit / 4) ** 0.3))

    for (a, b), s, length in zip(edges.tolist(), strength.tolist(), border.tolist(), strict=True):
        around[a][b] = around[b][a] = (s * length, length)
        heap.append((worth(s, a, b), a, b))
    heapq.heapify(heap)
    made = count
    while heap and made < total:
        value, a, b = heapq.heappop(heap)
        first, second = around[a], around[b]
        if first is None or second is None:
            continue
        around[a] = around[b] = None
        del first[b], second[a]
        if len(first) < len(second):
            first, second = second, first
        for other, (s, length) in second.items():
            s0, length0 = first.get(other, (0.0, 0.0))
            first[other] = (s0 + s, length0 + length)
        area.append(area[a] + area[b])
        around.append(first)
        parent[a] = parent[b] = made
        children[made] = a, b
        height[made] = max(value, float(height[a]), float(height[b]))
        for other, (s, length) in first.items():
            beyond = around[other]
            assert beyond is not None
            beyond.pop(a, None)
            beyond.pop(b, None)
            beyond[made] = (s, length)
            heapq.heappush(heap, (worth(s / length, made, other), made, other))
        made += 1
    assert made == total, "the superpixels of a picture hang together"
    begin, end = np.zeros(total, np.int32), np.zeros(total, np.int32)
    end[total - 1] = count
    leaves = np.ones(total, np.int32)
    for r in range(count, total):
        leaves[r] = leaves[children[r, 0]] + leaves[children[r, 1]]
    for r in range(total - 1, count - 1, -1):
        a, b = children[r]
        begin[a], end[a] = begin[r], begin[r] + leaves[a]
        begin[b], end[b] = end[a], end[r]
    order = np.empty(count, np.int32)
    order[begin[:count]] = np.arange(count)
    return Hierarchy(order, begin, end, parent, height)
