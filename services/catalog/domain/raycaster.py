"""Draws cut-out pictures of simple solids: what a camera sees of them on a vertical pane of glass.

The pane stands on the foot line of the thing, so that a pixel of the picture is a fixed part of a metre there, which is
what a cut-out means. Space: x right, y up, z away from the eye, metres; the pane is z = 0. Each solid is found by sphere
tracing of its distance (Hart, "Sphere Tracing", 1996); distances as in I. Quilez, "Distance Functions". The light is
soft and grey: a white surface that looks up has the value 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.color import to_srgb

Float = NDArray[np.float32]

SAMPLES = 2  # a side of a pixel
STEPS, HIT_M = 48, 4e-4
OCCLUSION_M = (0.02, 0.06, 0.15, 0.32)  # how far from a surface its neighbours are looked for
TO_LIGHT = np.array([-0.45, 0.75, -0.48], np.float32) / np.float32(np.sqrt(0.45**2 + 0.75**2 + 0.48**2))
SHADOW_M = (0.03, 0.08, 0.17, 0.32, 0.55)
PENUMBRA = 3.0
SKY, LAMP = 0.66, 0.46  # shares of the light from above and from the lamp


@dataclass(frozen=True)
class Coat:
    """A covering: tile (h, w, 3) linear RGB, repeated every `tile_m` metres along its width. gloss: 0 to 1."""

    tile: Float
    tile_m: float
    gloss: float = 0.0


@dataclass(frozen=True)
class Solid:
    """One convex body.

    shape: `box` with half sizes `half`; `cone` along y with half = (radius below, half height, radius above);
    `ball`, an ellipsoid with half axes `half`. turn (3, 3): from space to the body's own axes. rounding in metres.
    """

    shape: Literal["box", "cone", "ball"]
    at: tuple[float, float, float]
    half: tuple[float, float, float]
    coat: Coat
    rounding: float = 0.0
    turn: NDArray[np.float32] = field(default_factory=lambda: np.eye(3, dtype=np.float32))

    @property
    def extent(self) -> Float:
        """Half sizes of a box around it, along its own axes."""
        if self.shape == "cone":
            radius = max(self.half[0], self.half[2])
            return np.array([radius, self.half[1], radius], np.float32)
        return np.asarray(self.half, np.float32)

    def own(self, points: Float) -> Float:
        """(3, N) in space to (3, N) along its own axes."""
        return self.turn @ (points - np.asarray(self.at, np.float32)[:, None])

    def distance(self, own: Float) -> Float:
        """(N,) metres from (3, N) points along its own axes; negative inside."""
        if self.shape == "box":
            apart = np.abs(own) - (self.extent - np.float32(self.rounding))[:, None]
            outside = np.maximum(apart, 0)
            return np.asarray(
                np.sqrt((outside**2).sum(0)) + np.minimum(apart.max(0), 0) - np.float32(self.rounding), np.float32
            )
        if self.shape == "ball":
            half = self.extent[:, None]
            near, slope = np.sqrt(((own / half) ** 2).sum(0)), np.sqrt(((own / half**2) ** 2).sum(0))
            return np.asarray(near * (near - 1) / np.maximum(slope, 1e-6), np.float32)
        below, height, above = (np.float32(v - self.rounding) for v in self.half)
        across, along = np.hypot(own[0], own[2]), own[1]
        cap_x = across - np.minimum(across, np.where(along < 0, below, above))
        cap_y = np.abs(along) - height
        side_x, side_y = above - below, 2 * height
        part = ((above - across) * side_x + (height - along) * side_y) / (side_x**2 + side_y**2)
        part = np.clip(part, 0, 1)
        edge_x, edge_y = across - above + side_x * part, along - height + side_y * part
        sign = np.where((edge_x < 0) & (cap_y < 0), -1, 1)
        squared = np.minimum(cap_x**2 + cap_y**2, edge_x**2 + edge_y**2)
        return np.asarray(sign * np.sqrt(squared) - np.float32(self.rounding), np.float32)

    def normal(self, own: Float) -> Float:
        """(3, N) unit vectors in space at points of its surface."""
        step = np.float32(1e-3)
        ways = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
        slope = sum(way[:, None] * self.distance(own + step * way[:, None]) for way in ways)
        slope = self.turn.T @ np.asarray(slope, np.float32)
        return np.asarray(slope / np.maximum(np.sqrt((slope**2).sum(0)), 1e-9), np.float32)


def turned(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> NDArray[np.float32]:
    """From space to a body turned about y, then x, then z."""
    a, b, c = np.deg2rad([yaw_deg, pitch_deg, roll_deg])
    yaw = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    roll = np.array([[np.cos(c), np.sin(c), 0], [-np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(roll @ pitch @ yaw, np.float32)


@dataclass(frozen=True)
class Frame:
    """What the picture shows of the pane, metres: x from -width / 2 to width / 2, y from bottom to top."""

    width: float
    bottom: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom


def draw(
    solids: Sequence[Solid], frame: Frame, px_per_m: float, eye: tuple[float, float, float], ground: float | None
) -> NDArray[np.uint8]:
    """The picture of solids, (H, W, 4) uint8 sRGB with alpha.

    Args:
        solids: all of them behind the pane or in it.
        frame: the part of the pane.
        px_per_m: pixels to a metre of the pane.
        eye: where it is seen from; z negative.
        ground: y of the floor that the thing stands on and that keeps light from it; None for what hangs.
    """
    height, width = max(1, round(frame.height * px_per_m)), max(1, round(frame.width * px_per_m))
    rows, columns = height * SAMPLES, width * SAMPLES
    x = ((np.arange(columns, dtype=np.float32) + 0.5) / columns - 0.5) * frame.width
    y = frame.top - (np.arange(rows, dtype=np.float32) + 0.5) / rows * frame.height
    depth = np.full((rows, columns), np.inf, np.float32)
    which = np.full((rows, columns), -1, np.int16)
    for n, solid in enumerate(solids):
        part = _part(solid, frame, (rows, columns), eye)
        shape = (part[0].stop - part[0].start, part[1].stop - part[1].start)
        if min(shape) <= 0:
            continue
        rays = _rays(np.repeat(x[part[1]][None], shape[0], 0).ravel(), np.repeat(y[part[0]], shape[1]), eye)
        found, t = _trace(solid, rays, eye)
        near, index = depth[part].ravel(), which[part].ravel()
        nearer = t < near[found]
        near[found[nearer]], index[found[nearer]] = t[nearer], n
        depth[part], which[part] = near.reshape(shape), index.reshape(shape)
    color = np.zeros((rows, columns, 3), np.float32)
    for n, solid in enumerate(solids):
        down, across = np.nonzero(which == n)
        if len(down):
            rays = _rays(x[across], y[down], eye)
            points = np.asarray(eye, np.float32)[:, None] + depth[down, across] * rays
            color[down, across] = _lit(solid, solids, points, rays, ground).T
    hit = np.isfinite(depth).astype(np.float32)
    parts = (height, SAMPLES, width, SAMPLES)
    alpha = hit.reshape(parts).mean((1, 3))
    mean = (color * hit[..., None]).reshape(*parts, 3).mean((1, 3)) / np.maximum(alpha, 1e-6)[..., None]
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., :3] = to_srgb(np.asarray(mean, np.float32))
    picture[..., 3] = alpha * 255 + 0.5
    return picture


def _rays(x: NDArray[np.floating], y: NDArray[np.floating], eye: tuple[float, float, float]) -> Float:
    """(3, N) unit vectors from the eye through points of the pane."""
    rays = np.stack([x - eye[0], y - eye[1], np.full_like(x, -eye[2])]).astype(np.float32)
    return np.asarray(rays / np.sqrt((rays**2).sum(0)), np.float32)


def _part(solid: Solid, frame: Frame, size: tuple[int, int], eye: tuple[float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of the picture that a solid can be seen in."""
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1)
    corners = solid.turn.T @ (signs * solid.extent[:, None]) + np.asarray(solid.at)[:, None]
    share = -eye[2] / (corners[2] - eye[2])
    x, y = eye[0] + (corners[0] - eye[0]) * share, eye[1] + (corners[1] - eye[1]) * share
    rows, columns = size
    u, v = (x / frame.width + 0.5) * columns, (frame.top - y) / frame.height * rows
    return (
        slice(int(np.clip(np.floor(v.min()), 0, rows)), int(np.clip(np.ceil(v.max()), 0, rows))),
        slice(int(np.clip(np.floor(u.min()), 0, columns)), int(np.clip(np.ceil(u.max()), 0, columns))),
    )


def _trace(solid: Solid, rays: Float, eye: tuple[float, float, float]) -> tuple[NDArray[np.intp], Float]:
    """Which rays meet the solid, and after how many metres."""
    origin, ways = solid.own(np.asarray(eye, np.float32)[:, None]), solid.turn @ rays
    safe = np.where(np.abs(ways) < 1e-9, 1e-9, ways)
    one, other = (-solid.extent[:, None] - origin) / safe, (solid.extent[:, None] - origin) / safe
    t, end = np.minimum(one, other).max(0), np.maximum(one, other).min(0)
    active = np.flatnonzero(end > t)
    t, end, ways = t[active].astype(np.float32), end[active], ways[:, active]
    hits, depths = [], []
    for _ in range(STEPS):
        away = solid.distance(origin + t * ways)
        done = away < HIT_M
        hits.append(active[done])
        depths.append(t[done])
        t = np.asarray(t + away, np.float32)
        going = ~done & (t < end)
        active, t, end, ways = active[going], t[going], end[going], ways[:, going]
        if len(active) == 0:
            break
    return np.concatenate(hits), np.concatenate(depths)


def _lit(solid: Solid, solids: Sequence[Solid], points: Float, rays: Float, ground: float | None) -> Float:
    """(3, N) linear RGB of points of a solid."""
    own = solid.own(points)
    normal = solid.normal(own)
    solids = _close(solids, points, max(SHADOW_M))
    albedo = _covered(solid.coat, own, solid.turn @ normal)
    # What is near keeps the light of the sky away; the farther it may be, the less it counts.
    open_, weight = np.zeros(points.shape[1], np.float32), 0.0
    for n, reach in enumerate(OCCLUSION_M):
        share = 0.75**n
        around = _nearest(solids, points + np.float32(reach) * normal, ground)
        open_ += np.float32(share) * np.clip(around / np.float32(reach), 0, 1)
        weight += share
    open_ /= np.float32(weight)
    shadow = np.ones(points.shape[1], np.float32)
    start = points + np.float32(0.004) * normal
    for reach in SHADOW_M:
        around = _nearest(solids, start + np.float32(reach) * TO_LIGHT[:, None], None)
        shadow = np.minimum(shadow, np.clip(0.5 + PENUMBRA * around / np.float32(reach), 0, 1))
    sky = 0.68 + 0.32 * normal[1]
    lamp = np.maximum(TO_LIGHT @ normal, 0)
    lit = albedo * (np.float32(SKY) * sky * open_**1.2 + np.float32(LAMP) * lamp * shadow)
    if solid.coat.gloss > 0:
        facing = np.abs((rays * normal).sum(0))
        mirrored = rays[1] + 2 * facing * normal[1]
        fresnel = 0.04 + 0.96 * (1 - facing) ** 5  # Schlick, 1994, eq. 15, of glass and varnish
        lit = lit + np.float32(solid.coat.gloss) * fresnel * np.clip(0.3 + 0.7 * mirrored, 0, 1) * open_
    return np.asarray(lit, np.float32)


def _close(solids: Sequence[Solid], points: Float, reach: float) -> list[Solid]:
    """Those that may lie within reach of a point."""
    low, high = points.min(1) - reach, points.max(1) + reach
    out = []
    for solid in solids:
        extent = np.abs(solid.turn.T) @ solid.extent
        if ((np.asarray(solid.at) + extent > low) & (np.asarray(solid.at) - extent < high)).all():
            out.append(solid)
    return out


def _nearest(solids: Sequence[Solid], points: Float, ground: float | None) -> Float:
    found = np.full(points.shape[1], np.inf, np.float32) if ground is None else points[1] - np.float32(ground)
    for solid in solids:
        found = np.minimum(found, solid.distance(solid.own(points)))
    return np.asarray(found, np.float32)


def _covered(coat: Coat, own: Float, normal: Float) -> Float:
    """Albedo (3, N): the tile on the side of the body that the point is nearest to."""
    side = np.abs(normal).argmax(0)
    u = np.where(side == 0, own[2], own[0])
    v = np.where(side == 1, own[2], own[1])
    height, width = coat.tile.shape[:2]
    px_per_m = width / coat.tile_m
    return np.asarray(coat.tile[np.int32(v * px_per_m) % height, np.int32(u * px_per_m) % width].T, np.float32)
