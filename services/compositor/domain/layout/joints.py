"""Where boards end: rows of random lengths whose end joints keep clear of the rows beside them.

A table of rows is laid once for a seed and then looked up. Every row is a circle of one circumference that holds
each length equally often, in random order from a random start; a row is searched depth first, each joint keeping its
distance from those of the row before. Where no order is found in time the row is the one before, moved on by at
least the stagger: that is always allowed, as the stagger is at most half of the shortest board. Rows of the plane run
through the table up and down again, so that neighbours in the plane are neighbours in the table.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.layout.piece import Array, Ids

ROWS = 128
BOARDS_MIN = 16
STARTS, NODES = 12, 400
EPS = 1e-9


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


def _clear(joints: list[float], at: float, period: float, stagger: float) -> bool:
    """Whether `at` is at least `stagger` from all joints of a circle (sorted, 0 to period)."""
    at %= period
    k = bisect_left(joints, at)
    after, before = joints[k % len(joints)], joints[k - 1]
    gap = min((after - at) % period, (at - before) % period)
    return gap >= stagger - EPS


def _order(
    start: float, pitches: tuple[float, ...], times: int, before: list[float], stagger: float, rng: np.random.Generator
) -> list[int] | None:
    """An order of boards from `start` round the circle whose every joint is clear of `before`, or None."""
    period = times * sum(pitches)
    left, order = [times] * len(pitches), list[int]()
    # What is left tells where we are: from there it failed before.
    dead = set[tuple[int, ...]]()

    def choices(at: float) -> Iterator[int]:
        for kind in rng.permutation(len(pitches)).tolist():
            if left[kind] and _clear(before, at + pitches[kind], period, stagger):
                yield kind

    at = [start]
    open_choices = [choices(start)]
    for _ in range(NODES):
        kind = next(open_choices[-1], None) if tuple(left) not in dead else None
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
) -> tuple[float, list[int]]:
    """(start, order) of a row beside one with the joints `before`, made from `last`."""
    period = times * sum(pitches)
    for attempt in range(STARTS):
        start = float(rng.uniform(0, period))
        if attempt % 2:
            # Just as far from a joint as it must be: the best chance where there is little room.
            start = (before[int(rng.integers(len(before)))] + stagger * (1 if attempt % 4 == 1 else -1)) % period
        if _clear(before, start, period, stagger):
            order = _order(start, pitches, times, before, stagger, rng)
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
    while len(rows) < ROWS:
        start, order = rows[-1]
        ends = start + np.cumsum([pitches[k] for k in order])
        rows.append(_next_row(sorted((ends % period).tolist()), rows[-1], pitches, times, stagger, rng))
    kinds = np.array([order for _, order in rows], np.int64)
    ends = np.cumsum(np.array(pitches)[kinds], 1)
    bucket = min(pitches) * (1 - EPS)
    begins = np.arange(int(np.ceil(period / bucket)) + 1) * bucket
    first = np.minimum((ends[:, None, :] <= begins[None, :, None]).sum(2), kinds.shape[1] - 1)
    return Joints(period, kinds.shape[1], np.array([s for s, _ in rows]), kinds, ends, bucket, first)
