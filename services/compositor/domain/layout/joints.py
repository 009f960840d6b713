"""Where boards end: rows of random lengths whose end joints keep clear of the rows beside them.

A table of rows is laid once for a seed and then looked up. Every row is a circle of one circumference that holds
each length equally often, in random order from a random start; a row is searched depth first, each joint keeping its
distance from those of the row before. Where no order is found in time the row is the one before, moved on by at
least the stagger: that is always allowed, as the stagger is at most half of the shortest board. Rows of the plane run
through the table up and down again, so that neighbours in the plane are neighbours in the table.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, cycle, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.layout.piece import Array, Ids

ROWS = 128
BOARDS_MIN = 16
STARTS, NODES = 12, 400
# Orders in which lengths are tried, drawn at once and then used in turn: more than a table needs as a rule.
WISHES = 4096
EPS = 1e-9

Wishes = Iterator[list[int]]


@dataclass(frozen=True)
class Joints:
    """Rows of `boards` boards around a circle of `period` metres.

    start: (ROWS,) where each row's first board begins.
    kinds: (ROWS, boards) index of each board's length.
    ends: (ROWS, boards) metres from the start to the end of each board.
    first: (ROWS, buckets) which board lies at the beginning of each `bucket` metres; a bucket holds one end at most.
    """

    period: float
    boards: int
    start: NDArray[np.float64]
    kinds: Ids
    ends: NDArray[np.float64]
    bucket: float
    first: Ids

    def row(self, row: Array | Ids) -> Ids:
        """Rows of the plane to rows of the table; row 0 lies in its middle."""
        m = np.mod(np.asarray(row).astype(np.int64) + ROWS // 2, 2 * ROWS - 2)
        return np.asarray(np.minimum(m, 2 * ROWS - 2 - m))


def _clear(before: list[float], period: float, stagger: float) -> Callable[[float], bool]:
    """Whether a point is at least `stagger` from all joints (0 to period) of a circle."""
    joints = sorted(before)
    # Where what is clear begins and ends, by turns, from the first joint round to it again.
    edges = list[float]()
    for here, following in pairwise((*joints, joints[0] + period)):
        if following - here >= 2 * (stagger - EPS):
            edges += (here + stagger - EPS, following - stagger + EPS)

    def clear(at: float) -> bool:
        return bisect_right(edges, joints[0] + (at - joints[0]) % period) % 2 == 1

    return clear


def _order(
    start: float, pitches: tuple[float, ...], times: int, clear: Callable[[float], bool], wishes: Wishes
) -> list[int] | None:
    """An order of boards from `start` round the circle whose every joint is clear, or None."""
    left, order = [times] * len(pitches), list[int]()
    # What is left tells where we are: from there it failed before.
    dead = set[tuple[int, ...]]()

    def choices(at: float) -> Iterator[int]:
        return (kind for kind in next(wishes) if left[kind] and clear(at + pitches[kind]))

    at = [start]
    open_choices = [choices(start)]
    for _ in range(NODES):
        kind = None if dead and tuple(left) in dead else next(open_choices[-1], None)
        if kind is None:
            dead.add(tuple(left))
            open_choices.pop()
            if not open_choices:
                return None
            at.pop()
            left[order.pop()] += 1
            continue
        order.append(kind)
        left[kind] -= 1
        if not any(left):
            return order
        at.append(at[-1] + pitches[kind])
        open_choices.append(choices(at[-1]))
    return None


def _next_row(
    before: list[float],
    last: tuple[float, list[int]],
    pitches: tuple[float, ...],
    times: int,
    stagger: float,
    rng: np.random.Generator,
    wishes: Wishes,
) -> tuple[float, list[int]]:
    """(start, order) of a row beside one with the joints `before`, made from `last`."""
    period = times * sum(pitches)
    clear = _clear(before, period, stagger)
    for attempt in range(STARTS):
        start = float(rng.uniform(0, period))
        if attempt % 2:
            # Just as far from a joint as it must be: the best chance where there is little room.
            start = (before[int(rng.integers(len(before)))] + stagger * (1 if attempt % 4 == 1 else -1)) % period
        if clear(start):
            order = _order(start, pitches, times, clear, wishes)
            if order is not None:
                return start, order
    return (last[0] + float(rng.uniform(stagger, min(pitches) - stagger))) % period, last[1]


_ONE_AT_A_TIME = threading.Lock()


def joints(pitches: tuple[float, ...], stagger: float, seed: int) -> Joints:
    """The table of a seed.

    Args:
        pitches: metres, the lengths of boards with their joint.
        stagger: metres between joints of neighbouring rows, at most half of the shortest pitch.
    """
    # Threads that lay parts of one floor all ask at the same moment. What others wait meanwhile is some 10 ms.
    with _ONE_AT_A_TIME:
        return _joints(pitches, stagger, seed)


@lru_cache(maxsize=64)
def _joints(pitches: tuple[float, ...], stagger: float, seed: int) -> Joints:
    rng = np.random.default_rng([seed & 0xFFFFFFFF, len(pitches)])
    times = -(-BOARDS_MIN // len(pitches))
    period = times * sum(pitches)
    order = rng.permutation(np.repeat(np.arange(len(pitches)), times)).tolist()
    rows = [(float(rng.uniform(0, period)), order)]
    wishes = cycle(rng.permuted(np.tile(np.arange(len(pitches)), (WISHES, 1)), axis=1).tolist())
    while len(rows) < ROWS:
        start, order = rows[-1]
        around = islice(accumulate((pitches[k] for k in order), initial=start), 1, None)
        rows.append(_next_row([at % period for at in around], rows[-1], pitches, times, stagger, rng, wishes))
    kinds = np.array([order for _, order in rows], np.int64)
    ends = np.cumsum(np.array(pitches)[kinds], 1)
    bucket = min(pitches) * (1 - EPS)
    begins = np.arange(int(np.ceil(period / bucket)) + 1) * bucket
    first = np.minimum((ends[:, None, :] <= begins[None, :, None]).sum(2), kinds.shape[1] - 1)
    return Joints(period, kinds.shape[1], np.array([s for s, _ in rows]), kinds, ends, bucket, first)
