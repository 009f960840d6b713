"""Rugs and framed pictures of the demonstration range, drawn by formula: (H, W, 4) uint8 sRGB with alpha.

Lengths in metres; x to the right, y down. Each is a function of its arguments and `rng` alone.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from services.catalog.domain.textures import Color, Rng, Texture, board, noise

Float = NDArray[np.float32]

RUG_PX_PER_M = 440.0
PICTURE_PX_PER_M = 1100.0
PILE_M = 0.004  # a tuft of wool


def _rgb(color: Color) -> Float:
    return np.asarray(np.asarray(color, np.float32) / 255, np.float32)


def _grid(width: float, height: float, px_per_m: float) -> tuple[Float, Float]:
    """Metres from the middle of each pixel: x (1, W), y (H, 1)."""
    w, h = round(width * px_per_m), round(height * px_per_m)
    x = (np.arange(w, dtype=np.float32) + 0.5) / px_per_m - width / 2
    y = (np.arange(h, dtype=np.float32) + 0.5) / px_per_m - height / 2
    return x[None], y[:, None]


def _mix(image: Float, color: Color, share: NDArray[np.floating]) -> Float:
    return np.asarray(image + share[..., None] * (_rgb(color) - image), np.float32)


def _soft(distance: NDArray[np.floating], px_per_m: float) -> Float:
    """1 where a distance is negative, 0 where it is positive, a pixel between."""
    return np.asarray(np.clip(0.5 - distance * px_per_m, 0, 1), np.float32)


def _woven(image: Float, alpha: Float, relief: float, rng: Rng) -> Texture:
    """With the unevenness of pile, of dye and of hands."""
    shape = (image.shape[0], image.shape[1])
    tuft = noise(shape, PILE_M * RUG_PX_PER_M, PILE_M * RUG_PX_PER_M, rng)
    band = noise(shape, 0.02 * RUG_PX_PER_M, 0.4 * RUG_PX_PER_M, rng)
    out = image * (1 + relief * (tuft + 0.35 * band))[..., None]
    return np.asarray(np.clip(np.concatenate([out, alpha[..., None]], -1), 0, 1) * 255 + 0.5, np.uint8)


def _triangle(t: Float, period: float) -> Float:
    """0 to 1 and back over a period."""
    return np.asarray(np.abs(np.mod(t / period, 1.0) * 2 - 1), np.float32)


def diamond_rug(width: float, height: float, ground: Color, line: Color, rng: Rng) -> Texture:
    """Wool with a lattice of thin lines that a hand has knotted."""
    x, y = _grid(width, height, RUG_PX_PER_M)
    shape = (y.shape[0], x.shape[1])
    wobble = 0.004 * noise(shape, 0.12 * RUG_PX_PER_M, 0.12 * RUG_PX_PER_M, rng)
    lattice = np.full(shape, np.inf, np.float32)
    for sign in (-1.0, 1.0):
        across = np.mod(x / 0.5 + sign * y / 0.75 + 0.25, 1.0) - 0.5
        lattice = np.minimum(lattice, np.abs(across) * 0.416 + wobble)
    dots = np.hypot(np.mod(x + 0.125, 0.25) - 0.125, np.mod(y, 0.375) - 0.1875) + wobble
    image = np.broadcast_to(_rgb(ground), (*shape, 3)).astype(np.float32)
    image = _mix(image, line, 0.9 * _soft(lattice - 0.011, RUG_PX_PER_M))
    image = _mix(image, line, 0.5 * _soft(dots - 0.012, RUG_PX_PER_M))
    return _woven(image, np.ones(shape, np.float32), 0.055, rng)


def bordered_rug(width: float, height: float, ground: Color, accent: Color, pale: Color, rng: Rng) -> Texture:
    """A field with a medallion, three borders, fringes at its short ends."""
    fringe = 0.05
    x, y = _grid(width, height, RUG_PX_PER_M)
    shape = (y.shape[0], x.shape[1])
    inset = np.minimum(width / 2 - np.abs(x), height / 2 - fringe - np.abs(y))
    image = np.broadcast_to(_rgb(ground), (*shape, 3)).astype(np.float32)
    # The field: small flowers on a lattice, and a medallion of nested lozenges with stepped edges.
    flower = np.hypot(np.mod(x, 0.16) - 0.08, np.mod(y + 0.08 * np.floor(x / 0.16), 0.16) - 0.08)
    image = _mix(image, pale, 0.75 * _soft(flower - 0.022, RUG_PX_PER_M))
    image = _mix(image, accent, _soft(flower - 0.011, RUG_PX_PER_M))
    step = 0.03
    stepped = np.abs(np.round(x / step)) * step / (0.34 * width) + np.abs(np.round(y / step)) * step / (0.3 * height)
    for limit, color in ((1.0, accent), (0.9, pale), (0.84, accent), (0.5, ground), (0.42, pale), (0.34, accent)):
        image = _mix(image, color, (stepped < limit).astype(np.float32))
    along = np.where(width / 2 - np.abs(x) < height / 2 - fringe - np.abs(y), y, x)
    zigzag = 0.075 + 0.05 * (_triangle(along, 0.14) - 0.5)
    for limit, color in ((0.24, pale), (0.232, accent)):
        image = _mix(image, color, _soft(inset - limit, RUG_PX_PER_M))
    leaf = np.hypot(np.mod(along, 0.14) - 0.07, (inset - 0.15) * 1.5)
    image = _mix(image, pale, _soft(leaf - 0.036, RUG_PX_PER_M))
    image = _mix(image, ground, _soft(leaf - 0.018, RUG_PX_PER_M))
    image = _mix(image, ground, _soft(inset - 0.075, RUG_PX_PER_M))
    image = _mix(image, pale, _soft(np.abs(inset - zigzag * 0.55) - 0.007, RUG_PX_PER_M))
    image = _mix(image, accent, _soft(inset - 0.012, RUG_PX_PER_M))
    body = _soft(-inset, RUG_PX_PER_M)
    # Fringes: a tassel every centimetre and a half, each of its own length and bend.
    beyond = np.abs(y) - (height / 2 - fringe)
    tassel = np.broadcast_to(np.floor(x / 0.015), shape).astype(int)
    length = rng.uniform(0.6, 1.0, 4096)[tassel % 4096] * fringe
    bend = rng.uniform(-0.08, 0.08, 4096)[tassel % 4096] * np.maximum(beyond, 0)
    thread = np.abs(np.mod(x, 0.015) - 0.0075 - bend) - 0.0045
    tassels = _soft(np.maximum(thread, beyond - length), RUG_PX_PER_M) * (beyond > -0.002)
    image = _mix(image, pale, (beyond > 0).astype(np.float32))
    return _woven(image, np.maximum(body, tassels), 0.06, rng)


def round_rug(diameter: float, straw: list[Color], rng: Rng) -> Texture:
    """Braided jute, sewn in a spiral."""
    x, y = _grid(diameter, diameter, RUG_PX_PER_M)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    braid = 0.028
    turn = radius / braid - angle / (2 * np.pi)
    across = np.mod(turn, 1.0)
    strand = np.sin(
        2 * np.pi * (radius * angle / 0.034) + np.where(across < 0.5, 0.0, np.pi) + 6 * np.abs(across - 0.5)
    )
    profile = np.sin(np.pi * across) ** 0.5
    tone = rng.uniform(0, 1, 512)[np.floor(turn).astype(int) % 512]
    shape = (y.shape[0], x.shape[1])
    mottle = 0.5 + 0.5 * np.tanh(noise(shape, 6, 6, rng))
    share = np.clip(0.5 * tone + 0.5 * mottle, 0, 1)[..., None]
    image = _rgb(straw[0]) * (1 - share) + _rgb(straw[1]) * share
    image = image * (0.72 + 0.22 * profile + 0.07 * strand)[..., None]
    return _woven(np.asarray(image, np.float32), _soft(radius - diameter / 2 + 0.004, RUG_PX_PER_M), 0.03, rng)


def _framed(art: Float, frame: float, mat: float, wood: list[Color] | Color, rng: Rng) -> Texture:
    """Art behind a mat in a frame; lengths of both in metres. The frame's inner edges keep a little light away."""
    px = PICTURE_PX_PER_M
    f, m = round(frame * px), round(mat * px)
    inner = cv2.copyMakeBorder(art, m, m, m, m, cv2.BORDER_CONSTANT, value=(0.93, 0.92, 0.89))
    if m:
        cv2.rectangle(inner, (m - 2, m - 2), (inner.shape[1] - m + 1, inner.shape[0] - m + 1), (0.78, 0.77, 0.74), 2)
    h, w = inner.shape[:2]
    depth = np.minimum(np.arange(h)[:, None] + 0.5, np.arange(w)[None] + 0.5) / px
    inner = np.asarray(inner * (1 - 0.35 * np.exp(-depth / 0.006))[..., None], np.float32)
    out = np.zeros((h + 2 * f, w + 2 * f, 3), np.float32)
    out[f:-f, f:-f] = inner
    x, y = np.arange(out.shape[1])[None], np.arange(out.shape[0])[:, None]
    left, top = np.minimum(x, out.shape[1] - 1 - x), np.minimum(y, out.shape[0] - 1 - y)
    edge = np.minimum(left, top)
    upright = (left < top) & (edge < f)
    level = ~upright & (edge < f)
    for where, size in ((upright, out.shape[:2]), (level, out.shape[1::-1])):
        if isinstance(wood, list):
            piece = board(size[0], size[1], px, wood, 0.5, rng)
            piece = piece if where is upright else np.rot90(piece)
        else:
            piece = np.broadcast_to(_rgb(wood), out.shape)
        out[where] = piece[where]
    # A bevel: light from above falls on the upper edges, and the mitres show.
    slope = np.clip(edge / max(f, 1), 0, 1)
    tone = 1 + 0.12 * np.where(slope < 0.18, 1, np.where(slope > 0.85, -1.6, 0)) * (edge < f)
    tone = tone * np.where(level & (y > out.shape[0] / 2), 0.9, 1.0)
    out *= tone[..., None]
    alpha = np.ones((*out.shape[:2], 1), np.float32)
    return np.asarray(np.clip(np.concatenate([out, alpha], -1), 0, 1) * 255 + 0.5, np.uint8)


def _paper(width: float, height: float, color: Color, rng: Rng) -> tuple[Float, Float, Float]:
    """Art's ground (H, W, 3) and its coordinates, -1 to 1 along the shorter half side."""
    x, y = _grid(width, height, PICTURE_PX_PER_M)
    shape = (y.shape[0], x.shape[1])
    grain = noise(shape, 2.5, 2.5, rng) * 0.012
    half = min(width, height) / 2
    return np.asarray(_rgb(color) + grain[..., None], np.float32), x / half, y / half


def dunes_picture(width: float, height: float, frame: Color, rng: Rng) -> Texture:
    """Hills behind hills under a low sun."""
    mat, wide = 0.06, 0.022
    image, x, y = _paper(width - 2 * (mat + wide), height - 2 * (mat + wide), (238, 214, 186), rng)
    shape, px = image.shape[:2], PICTURE_PX_PER_M * (min(width, height) / 2 - mat - wide)
    image = _mix(image, (206, 178, 166), np.broadcast_to(np.clip(0.5 - 0.6 * y, 0, 1), shape) * 0.6)
    image = _mix(image, (232, 142, 84), _soft(np.hypot(x - 0.45, y + 0.28) - 0.2, px))
    colors: list[Color] = [(206, 158, 128), (186, 122, 92), (146, 90, 74), (96, 66, 66), (56, 48, 58)]
    for n, color in enumerate(colors):
        phase, pace = rng.uniform(0, 6.3, 3), np.array([1.3, 2.7, 5.9]) * (1 + 0.15 * n)
        hill = sum(a * np.sin(p * x + f) for a, p, f in zip((0.16, 0.07, 0.02), pace, phase, strict=True))
        image = _mix(image, color, _soft(np.broadcast_to(-0.05 + 0.22 * n + hill - y, shape), px) * 0.96)
    wash = 1 + 0.03 * noise((shape[0], shape[1]), 60, 60, rng)
    return _framed(np.asarray(image * wash[..., None], np.float32), wide, mat, frame, rng)


def arches_picture(width: float, height: float, wood: list[Color], rng: Rng) -> Texture:
    """Half circles and a disc in earth colours."""
    wide = 0.03
    image, x, y = _paper(width - 2 * wide, height - 2 * wide, (236, 226, 208), rng)
    px = PICTURE_PX_PER_M * (min(width, height) / 2 - wide)
    colors: list[Color] = [(178, 96, 68), (220, 168, 116), (92, 110, 100), (52, 66, 74)]
    for radius, color in zip((0.78, 0.6, 0.42, 0.24), colors, strict=True):
        arch = np.where(y < 0.25, np.hypot(x, y - 0.25), np.abs(x) + 0 * y) - radius
        image = _mix(image, color, _soft(np.maximum(arch, y - 0.9), px))
    image = _mix(image, (206, 154, 70), _soft(np.hypot(x - 0.42, y + 0.92) - 0.24, px))
    shape = (image.shape[0], image.shape[1])
    dry = np.clip(noise(shape, 3, 14, rng) - 1.0, 0, 1) * 0.35
    return _framed(_mix(image, (236, 226, 208), dry), wide, 0.0, wood, rng)


def fern_picture(width: float, height: float, wood: list[Color], leaf: Color, rng: Rng) -> Texture:
    """A pressed fern on paper, behind a mat."""
    mat, wide = 0.05, 0.018
    image, x, y = _paper(width - 2 * (mat + wide), height - 2 * (mat + wide), (243, 239, 226), rng)
    px = PICTURE_PX_PER_M * (min(width, height) / 2 - mat - wide)
    bend = 0.16 * np.sin(1.3 * y)
    stem = np.maximum(np.abs(x - bend) - 0.012, np.abs(y) - 1.02)
    shade = 1 + 0.18 * noise((image.shape[0], image.shape[1]), 10, 10, rng)
    fern = _soft(stem, px)
    for k in range(34):
        at = 0.92 - 1.9 * (k // 2) / 17
        side = 1 if k % 2 else -1
        reach = 0.62 * np.sin(np.pi * np.clip((1.08 - at) / 2.15, 0.08, 1)) ** 0.8 + 0.05
        turn = np.deg2rad(38 + rng.uniform(-4, 4))
        dx, dy = (x - 0.16 * np.sin(1.3 * at)) * side, -(y - at)
        u, v = dx * np.cos(turn) + dy * np.sin(turn), -dx * np.sin(turn) + dy * np.cos(turn)
        thick = 0.052 * np.sqrt(np.clip(u / reach, 0, 1)) * np.clip(1.08 - u / reach, 0, 1)
        notch = 1 - 0.35 * _triangle(np.asarray(u, np.float32), 0.05)
        fern = np.maximum(fern, _soft(np.maximum(np.abs(v) - thick * notch, np.maximum(-u, u - reach)), px))
    tint = _rgb(leaf) * shade[..., None]
    image = np.asarray(image + fern[..., None] * (tint - image), np.float32)
    return _framed(image, wide, mat, wood, rng)
