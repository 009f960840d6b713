"""The outline of a room's floor along the walls that a photo shows, for a border to run along.

From the camera the walls follow each other from left to right; at each column of the picture the nearest one is the room's.
Two that meet make a corner. Where one ends before another that lies behind it, the wall between is not seen: it is taken to
go straight back. Beyond the first and the last wall, and behind the camera, nothing is known: the outline goes on along these
walls and closes out of sight.
"""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.layout.polygon import Point
from services.compositor.domain.shading import Box

Place = NDArray[np.floating]  # (2,) metres on the floor
Extent = tuple[float, float, float, float]  # x, y, width, height

COLUMNS = 256  # that are looked at
SLIVER = 3  # of them: what is narrower is no wall
CORNER = 0.04  # of the picture's width: so far beside the gap between two walls their corner may lie
PARALLEL = math.sin(math.radians(6.0))
ONE_WALL_M = 0.12  # walls so little out of line are one
DEPTH_MAX = 25.0  # times as far as the nearest floor: beyond, nothing is read
BEYOND_M, FAR_M = 3.0, 200.0  # of what is seen, where the outline closes; and so far walls are carried on
STRAIGHT_M, SPARE_M = 0.005, 0.002


def room_outline(
    pixel_from_floor: Matrix,
    floor_px: Box,
    walls: Sequence[tuple[Matrix, Box]],
    size: tuple[int, int],
    clear_m: float,
    lens: Lens = STRAIGHT,
) -> tuple[Point, ...]:
    """Corners in metres on the floor, counter-clockwise; parts where its sides come nearer than 2 `clear_m` are left out.

    Args:
        pixel_from_floor: (3, 3), third coordinate positive where the floor lies.
        floor_px: x, y, width and height of the floor in the picture.
        walls: pixel_from_plane of each, whose y is 0 on the floor, and its box in the picture.
        size: height and width of the picture.
        lens: of the picture.

    Raises:
        ValueError: no wall is seen that stands on this floor, or nothing is left between them.
    """
    seen = _Floor(pixel_from_floor, _unbent(floor_px, lens), size)
    runs = _bridged(_runs(seen, [(plane, _unbent(box, lens)) for plane, box in walls]))
    if not runs:
        raise ValueError("no wall is seen that stands on this floor")
    first, last = runs[0], runs[-1]
    line = [first.begin - FAR_M * first.along, *_corners(seen, runs), last.end + FAR_M * last.along]
    ends = [place for run in runs for place in (run.begin, run.end)]
    around = shapely.box(*shapely.MultiPoint([*line[1:-1], *ends, *seen.extent()]).buffer(BEYOND_M).bounds)
    parts = shapely.get_parts(shapely.polygonize([shapely.union(shapely.LineString(line), around.boundary)]))
    # In front of the widest run.
    longest = max(runs, key=lambda run: run.last - run.first)
    x, y = seen.metres(longest.middle, longest.row(longest.middle) + 1.0)
    room = next((p for p in parts if p.contains(shapely.Point(x, y))), shapely.Polygon())
    reach = clear_m + SPARE_M
    opened = room.simplify(STRAIGHT_M).buffer(-reach, join_style="mitre").buffer(reach, join_style="mitre")
    opened = max(shapely.get_parts(opened), key=lambda p: p.area, default=shapely.Polygon())
    if opened.is_empty:
        raise ValueError("there is no room between the walls that are seen")
    ring = shapely.orient_polygons(opened).exterior
    return tuple((float(a), float(b)) for a, b in ring.coords[:-1])


def _unbent(box: Box, lens: Lens) -> Extent:
    """A box as it lies in the straight picture, in which everything here is: x, y, width and height."""
    x, y, w, h = box
    corners = lens.straight(np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64))
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    return left, top, right - left, bottom - top


class _Floor:
    """Between the picture and the floor's metres."""

    def __init__(self, pixel_from_floor: Matrix, floor_px: Extent, size: tuple[int, int]):
        self.height, self.width = size
        self._out, self._in = pixel_from_floor, np.linalg.inv(pixel_from_floor)
        x, y, w, h = floor_px
        self._box = (x, y, x + w, y + h)
        self._least = self._nearness(x + w / 2, y + h) / DEPTH_MAX

    def _nearness(self, x: Place | float, y: Place | float) -> Place:
        a, b, c = self._in[2]
        return np.asarray(a * x + b * y + c)

    def lies(self, x: Place | float, y: Place | float) -> NDArray[np.bool_]:
        """Whether pixels are near enough to be told from the horizon."""
        return np.asarray(self._nearness(x, y) > np.maximum(self._least, 0.0))

    def metres(self, x: float, y: float) -> Place:
        q = self._in @ (x, y, 1.0)
        return np.asarray(q[:2] / q[2], np.float64)

    def column(self, place: Place) -> float | None:
        """Of the picture, in which a place on the floor is seen."""
        q = self._out @ (*place, 1.0)
        return float(q[0] / q[2]) if q[2] > 0 else None

    def extent(self) -> list[Place]:
        """Corners of what is seen of the floor."""
        left, top, right, bottom = self._box
        rows = np.linspace(top, bottom, 32)
        found = []
        for x in (left, right):
            there = rows[self.lies(x, rows)]
            found += [self.metres(x, y) for y in (*there[:1], *there[-1:])]
        return found


class _Run:
    """Columns first .. last of the picture in which a wall is the nearest; its line on the floor in pixels (3,), and in metres
    from where it begins to where it ends."""

    def __init__(self, seen: _Floor, line: Place, first: float, last: float):
        self.line, self.first, self.last = line, first, last
        self.begin, self.end = (seen.metres(x, self.row(x)) for x in (first, last))
        self.along = _unit(self.end - self.begin)
        self.across = np.array([-self.along[1], self.along[0]])

    @property
    def middle(self) -> float:
        return (self.first + self.last) / 2

    def row(self, x: float) -> float:
        return _row(self.line, x)

    def is_parallel(self, other: "_Run") -> bool:
        return abs(float(self.across @ other.along)) < PARALLEL

    def is_one_wall(self, other: "_Run") -> bool:
        out = abs(float(self.across @ ((other.begin + other.end) / 2 - self.begin)))
        return self.is_parallel(other) and out < ONE_WALL_M

    def crossing(self, other: "_Run") -> Place:
        a = np.stack([self.along, -other.along], 1)
        return np.asarray(self.begin + np.linalg.solve(a, other.begin - self.begin)[0] * self.along)


def _row(line: Place, x: float) -> float:
    """Of the picture, in which a line passes a column."""
    return float(-(line[0] * x + line[2]) / line[1])


def _unit(v: Place) -> Place:
    return np.asarray(v / max(float(np.hypot(*v)), 1e-9))


def _foot(pixel_from_plane: Matrix, box: Extent, line: Place) -> tuple[float, float]:
    """Columns between which a wall stands on the floor. Its box has those of its top too, and its edges lean where the camera
    looks down: they are carried from the top corners to the floor, along what is upright on the wall."""
    x, y, width, _ = box
    ends = []
    for side in (x, x + width):
        at = np.cross(np.cross([side, y, 1.0], pixel_from_plane[:, 1]), line)
        ends.append(float(at[0] / at[2]) if abs(at[2]) > 1e-12 * np.abs(at).max() else float(side))
    return max(x, ends[0]), min(x + width, ends[1])


def _runs(seen: _Floor, walls: Sequence[tuple[Matrix, Extent]]) -> list[_Run]:
    """The walls that are nearest, from left to right."""
    x = (np.arange(COLUMNS) + 0.5) * (seen.width / COLUMNS)
    lines = [np.cross(h[:, 0], h[:, 2]) for h, _ in walls]  # through (1, 0, 0) and (0, 0, 1): y = 0
    feet = [(0.0, 0.0)] * len(walls)
    lowest, nearest = np.full(COLUMNS, -np.inf), np.full(COLUMNS, -1)
    for n, ((plane, box), line) in enumerate(zip(walls, lines, strict=True)):
        if abs(line[1]) < 1e-9 * np.abs(line[:2]).max():
            continue  # upright in the picture: seen edge-on
        feet[n] = _foot(plane, box, line)
        y = -(line[0] * x + line[2]) / line[1]
        there = (x >= feet[n][0]) & (x <= feet[n][1]) & (y > lowest)
        there &= seen.lies(x, y)
        lowest[there], nearest[there] = y[there], n
    known = [(float(a), int(n)) for a, n in zip(x, nearest, strict=True) if n >= 0]
    grouped = [(n, [a for a, _ in group]) for n, group in groupby(known, key=lambda item: item[1])]
    half = seen.width / COLUMNS / 2
    out = []
    for n, at in grouped:
        if len(at) < SLIVER:
            continue
        ends = max(feet[n][0], at[0] - half), min(feet[n][1], at[-1] + half)
        there = all(seen.lies(end, _row(lines[n], end)) for end in ends)
        out.append(_Run(seen, lines[n], *(ends if there else (at[0], at[-1]))))
    return out


def _bridged(runs: list[_Run]) -> list[_Run]:
    """Without what is seen through an opening of a wall that goes on beside it."""
    out: list[_Run] = []
    n = 0
    while n < len(runs):
        out.append(runs[n])
        # The last wall that continues this one, with nothing nearer between.
        goes_on = n
        for k in range(n + 1, len(runs)):
            behind = all(r.row(r.middle) < runs[n].row(r.middle) for r in runs[n + 1 : k])
            if behind and runs[n].is_one_wall(runs[k]):
                goes_on = k
        if goes_on > n:
            out.append(runs[goes_on])
        n = goes_on + 1 if goes_on > n else n + 1
    return out


def _corners(seen: _Floor, runs: list[_Run]) -> list[Place]:
    """Where the outline turns, between the first wall and the last one."""
    out: list[Place] = []
    for left, right in pairwise(runs):
        if left.is_one_wall(right):
            continue
        corner = None if left.is_parallel(right) else left.crossing(right)
        if corner is not None and np.hypot(*(corner - left.end)) > FAR_M:
            corner = None
        at = seen.column(corner) if corner is not None else None
        slack = CORNER * seen.width
        if corner is not None and at is not None and left.last - slack <= at <= right.first + slack:
            out.append(corner)
        elif left.row(left.last) > right.row(right.first):  # the left one is nearer
            out += [left.end, left.end + left.across * float((right.begin - left.end) @ left.across), right.begin]
        else:
            out += [left.end, right.begin + right.across * float((left.end - right.begin) @ right.across), right.begin]
    return out
