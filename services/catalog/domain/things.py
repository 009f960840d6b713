"""Cut-out pictures of the demonstration range: furniture, lamps and a plant, built of simple solids."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.color import linear_from_rgb24, to_linear
from services.catalog.domain import textures
from services.catalog.domain.demo_range import OAK
from services.catalog.domain.raycaster import Coat, Frame, Solid, draw, turned
from services.catalog.domain.textures import Color, Rng

PX_PER_M = 340.0
EYE_HEIGHT, EYE_AWAY = 1.45, 3.4  # of somebody who takes a photo of a room
CEILING = 2.5

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Picture:
    """image (H, W, 4) uint8 sRGB with alpha; what it shows in metres."""

    image: NDArray[np.uint8]
    width_m: float
    height_m: float
    depth_m: float


def _box(at: Place, size: Place, coat: Coat, rounding: float = 0.004, **turn: float) -> Solid:
    """at: the middle of its underside."""
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    return Solid("box", (at[0], at[1] + half[1], at[2]), half, coat, min(rounding, 0.95 * min(half)), turned(**turn))


def _cone(
    at: Place, below: float, above: float, height: float, coat: Coat, rounding: float = 0.0, **turn: float
) -> Solid:
    """at: the middle of its underside; radii below and above."""
    return Solid("cone", (at[0], at[1] + height / 2, at[2]), (below, height / 2, above), coat, rounding, turned(**turn))


def cloth(color: Color, rng: Rng, weave: float = 0.05) -> Coat:
    """Woven stuff with a thread of two millimetres."""
    side = 320
    mottle = textures.noise((side, side), 9, 9, rng) * 0.5 + textures.noise((side, side), 1.2, 1.2, rng)
    y, x = np.mgrid[0:side, 0:side]
    thread = np.where((x // 2 + y // 2) % 2 == 0, 1.0, -1.0)
    base = linear_from_rgb24(color[0] << 16 | color[1] << 8 | color[2])
    return Coat(np.asarray(base * np.clip(1 + weave * (mottle + 0.5 * thread), 0, 2)[..., None], np.float32), 0.32)


def wood(colors: list[Color], rng: Rng, along_x: bool = False, gloss: float = 0.35) -> Coat:
    board = np.asarray(np.clip(textures.board(900, 500, 600, colors, 0.8, rng), 0, 1) * 255, np.uint8)
    tile = to_linear(np.ascontiguousarray(np.rot90(board) if along_x else board))
    return Coat(tile, tile.shape[1] / 600, gloss)


def plain(color: Color, gloss: float = 0.0) -> Coat:
    return Coat(linear_from_rgb24(color[0] << 16 | color[1] << 8 | color[2]).reshape(1, 1, 3), 1.0, gloss)


def _standing(solids: list[Solid], front: float, width: float, top: float, depth: float) -> Picture:
    """Cut to what is seen. The foremost foot, at z = front, is put into the pane: it is the picture's lower edge."""
    eye = (0.0, EYE_HEIGHT, -EYE_AWAY)
    moved = [replace(s, at=(s.at[0], s.at[1], s.at[2] - front)) for s in solids]
    return _trimmed(draw(moved, Frame(width, 0.0, top), PX_PER_M, eye, 0.0), depth, at_top=False)


def _trimmed(image: NDArray[np.uint8], depth: float, at_top: bool) -> Picture:
    """Without what is empty around it, but up to the fixing, and as much left as right."""
    seen = image[..., 3] > 0
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    side = min(columns[0], image.shape[1] - 1 - columns[-1])
    part = slice(0 if at_top else rows[0], rows[-1] + 1)
    cut = np.ascontiguousarray(image[part, side : image.shape[1] - side])
    return Picture(cut, cut.shape[1] / PX_PER_M, cut.shape[0] / PX_PER_M, depth)


def _legs(
    x: float, front: float, back: float, height: float, radius: float, coat: Coat, splay: float = 0.0
) -> list[Solid]:
    """Four; x, front and back: where they stand."""
    return [
        _cone((sx * x, 0, z), radius * 0.7, radius, height, coat, pitch_deg=sz * splay, roll_deg=sx * splay)
        for sx in (-1, 1)
        for z, sz in ((front, 1), (back, -1))
    ]


def sofa(color: Color, pillow: Color, seats: int, rng: Rng) -> Picture:
    """Seats of 0.62 m between arms, on wooden legs."""
    stuff, accent, oak = cloth(color, rng), cloth(pillow, rng, 0.08), wood(OAK, rng)
    inner, arm, depth = seats * 0.62, 0.17, 0.92
    width = inner + 2 * arm
    x = np.linspace(-inner / 2 + 0.31, inner / 2 - 0.31, seats)
    out = [
        _box((0, 0.13, depth / 2), (width - 0.04, 0.17, depth - 0.04), stuff, 0.03),
        _box((0, 0.14, depth - 0.14), (width - 0.1, 0.62, 0.2), stuff, 0.07, pitch_deg=7.0),
        *(_box((s * (width - arm) / 2, 0.13, depth / 2), (arm, 0.48, depth - 0.02), stuff, 0.06) for s in (-1, 1)),
        *_legs(width / 2 - 0.1, 0.08, depth - 0.1, 0.14, 0.024, oak),
    ]
    for at in x.tolist():
        out.append(_box((at, 0.285, depth / 2 - 0.09), (0.612, 0.17, depth - 0.22), stuff, 0.055))
        out.append(
            _box((at, 0.44, depth - 0.31), (0.6, 0.42, 0.19), stuff, 0.085, pitch_deg=11.0, roll_deg=rng.uniform(-1, 1))
        )
    if seats > 1:
        for side, lean in ((-1, 14.0), (1, -9.0)):
            at = (side * (inner / 2 - 0.24), 0.45, 0.5)
            out.append(_box(at, (0.44, 0.4, 0.13), accent, 0.062, pitch_deg=24.0, roll_deg=lean, yaw_deg=side * 16.0))
    return _standing(out, 0.063, width + 0.1, 1.0, depth)


def coffee_table(colors: list[Color], rng: Rng) -> Picture:
    top, legs = wood(colors, rng, along_x=True), wood(colors, rng)
    width, depth, height = 1.1, 0.6, 0.42
    out = [
        _box((0, height - 0.032, depth / 2), (width, 0.032, depth), top, 0.012),
        _box((0, 0.14, depth / 2), (width - 0.2, 0.018, depth - 0.16), top, 0.006),
        _box((0, height - 0.085, 0.09), (width - 0.16, 0.055, 0.02), top),
        _box((0, height - 0.085, depth - 0.09), (width - 0.16, 0.055, 0.02), top),
        *_legs(width / 2 - 0.07, 0.045, depth - 0.045, height - 0.03, 0.026, legs),
    ]
    return _standing(out, 0.027, width + 0.1, 0.7, depth)


def sideboard(body: list[Color], front: Color, rng: Rng) -> Picture:
    case, legs, door, brass = (
        wood(body, rng, along_x=True),
        wood(body, rng),
        plain(front, 0.25),
        plain((176, 140, 82), 1),
    )
    width, depth, low, high = 1.6, 0.42, 0.16, 0.74
    step = (width - 0.06) / 3
    out = [
        _box((0, low, depth / 2 + 0.01), (width, high - low, depth - 0.02), case, 0.006),
        *_legs(width / 2 - 0.1, 0.07, depth - 0.05, low, 0.022, legs),
    ]
    for n in range(3):
        x = (n - 1) * step
        out.append(_box((x, low + 0.03, 0.009), (step - 0.008, high - low - 0.06, 0.018), door, 0.003))
        knob = x + (step / 2 - 0.05) * (1 if n == 0 else -1)
        out.append(Solid("ball", (knob, 0.5 * (low + high) + 0.06, 0.0), (0.014, 0.014, 0.014), brass))
    return _standing(out, 0.055, width + 0.1, 1.0, depth)


def floor_lamp(shade: Color, rng: Rng) -> Picture:
    linen, metal = cloth(shade, rng, 0.03), plain((38, 36, 34), 0.6)
    out = [
        _cone((0, 0, 0.15), 0.145, 0.14, 0.022, metal, 0.006),
        _cone((0, 0.02, 0.15), 0.011, 0.011, 1.3, metal),
        _cone((0, 1.24, 0.15), 0.235, 0.17, 0.31, linen, 0.004),
    ]
    return _standing(out, 0.005, 0.56, 1.7, 0.3)


def plant(leaf: Color, pot: Color, rng: Rng) -> Picture:
    """A rubber plant: stems with leaves that turn as they go up."""
    clay, earth, bark = plain(pot, 0.2), plain((52, 40, 32)), plain((104, 84, 62))
    out = [
        _cone((0, 0, 0.2), 0.13, 0.175, 0.32, clay, 0.012),
        _cone((0, 0.3, 0.2), 0.16, 0.16, 0.025, earth, 0.004),
    ]
    for stem, (lean_x, lean_z, height) in enumerate(((-0.10, 0.02, 0.95), (0.09, 0.03, 1.12), (0.0, -0.03, 0.8))):
        roll, pitch = np.rad2deg(np.arctan2(lean_x, height)), np.rad2deg(np.arctan2(-lean_z, height))
        middle = (lean_x * 0.75, 0.32, 0.2 + lean_z * 0.75)
        out.append(_cone(middle, 0.011, 0.007, height * 0.93, bark, roll_deg=-roll, pitch_deg=-pitch))
        for k in range(13):
            up = 0.16 + 0.84 * k / 12
            turn = np.deg2rad(137.5 * k + 70 * stem + rng.uniform(-15, 15))  # the golden angle, as leaves grow
            length = (0.175 - 0.06 * up) * rng.uniform(0.9, 1.1)
            rise = np.deg2rad(rng.uniform(2, 30) + 38 * up**2)
            way = np.array([np.cos(turn) * np.cos(rise), np.sin(rise), np.sin(turn) * np.cos(rise)])
            foot = np.array([lean_x * (0.25 + up), 0.32 + up * height, 0.2 + lean_z * (0.25 + up)])
            at = foot + way * (length + 0.02)
            shade = rng.uniform(0.75, 1.2)
            tone = plain(tuple(int(min(255, c * shade)) for c in leaf), 0.9)  # type: ignore[arg-type]
            across = np.cross(way, [0.0, 1.0, 0.0])
            across /= np.linalg.norm(across)
            axes = np.stack([way, np.cross(across, way), across]).astype(np.float32)
            out.append(Solid("ball", tuple(at.tolist()), (length, 0.006, length * 0.46), tone, turn=axes))
            stalk = np.stack([across, way, np.cross(across, way)]).astype(np.float32)
            out.append(Solid("cone", tuple((foot + way * 0.02).tolist()), (0.004, 0.03, 0.004), bark, turn=stalk))
    return _standing(out, 0.07, 1.3, 1.9, 0.4)


def pendant(color: Color, inside: Color) -> Picture:
    """A metal shade on a cord; the fixing is the picture's upper edge."""
    metal, cord, pale = plain(color, 0.5), plain((30, 30, 30)), plain(inside)
    out = [
        _cone((0, CEILING - 0.03, 0.0), 0.055, 0.055, 0.03, metal, 0.004),
        _cone((0, CEILING - 0.85, 0.0), 0.004, 0.004, 0.84, cord),
        _cone((0, CEILING - 0.93, 0.0), 0.035, 0.022, 0.09, metal, 0.006),
        _cone((0, CEILING - 1.10, 0.0), 0.21, 0.06, 0.19, metal, 0.008),
        Solid("ball", (0.0, CEILING - 1.095, 0.0), (0.06, 0.055, 0.06), pale),
    ]
    image = draw(out, Frame(0.6, CEILING - 1.3, CEILING), PX_PER_M, (0.0, EYE_HEIGHT, -EYE_AWAY), None)
    return _trimmed(image, 0.42, at_top=True)
