"""Seamless textures of building materials, drawn by formula.

Each generator returns (H, W, 3) uint8 sRGB that repeats in both directions, and is a function of its
arguments and `rng` alone. Lengths are metres. Boards and rows run down the picture (along y), so that on
a floor they lead away from the viewer. Noise is white noise shaped in the Fourier domain, which makes it
periodic by construction.
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Texture = NDArray[np.uint8]
Rng = np.random.Generator
Color = tuple[int, int, int]  # sRGB, 0 to 255


def rgb(color: Color) -> Float:
    return np.asarray(np.asarray(color, np.float32) / 255, np.float32)


def finish(image: Float) -> Texture:
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)


def noise(shape: tuple[int, int], fine_y: float, fine_x: float, rng: Rng) -> Float:
    """Periodic Gaussian noise (H, W) with zero mean, unit deviation and features of that many pixels along y and x."""
    height, width = shape
    spectrum = np.fft.rfft2(rng.standard_normal(shape))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    spectrum *= np.exp(-0.5 * ((fy * fine_y * 2) ** 2 + (fx * fine_x * 2) ** 2) * np.pi)
    spectrum[0, 0] = 0
    out = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(out / max(float(out.std()), 1e-9), np.float32)


def ramp(t: Float, colors: list[Color]) -> Float:
    """Colour along a list of stops, t in [0, 1]."""
    stops = np.linspace(0, 1, len(colors))
    table = np.stack([rgb(c) for c in colors])
    return np.stack([np.interp(np.clip(t, 0, 1), stops, table[:, k]) for k in range(3)], -1).astype(np.float32)


def board(height: int, width: int, px_per_m: float, colors: list[Color], figure: float, rng: Rng) -> Float:
    """One wooden board, its grain along y: (height, width, 3). `figure` is how strong the growth rings show."""
    shape = (height, width)
    fine = noise(shape, 0.10 * px_per_m, 0.0012 * px_per_m, rng)
    pores = noise(shape, 0.03 * px_per_m, 0.0008 * px_per_m, rng)
    bend = noise(shape, 0.5 * px_per_m, 0.05 * px_per_m, rng)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * width / px_per_m
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * height / px_per_m
    # A cut near the heart of the trunk: nested arches; off it: straight lines.
    heart = rng.uniform(-0.12, 0.12)
    depth = np.sqrt((x - heart) ** 2 + (0.02 + 0.012 * (y - rng.uniform(-1, 1)) ** 2)) + 0.007 * bend
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * depth / rng.uniform(0.012, 0.02))
    tone = 0.5 + figure * 0.32 * (rings**1.5 - 0.4) + 0.11 * fine + rng.normal(0, 0.13)
    wood = ramp(tone, colors)
    wood *= 1 - 0.16 * np.clip(pores - 1.1, 0, 1)[..., None]
    return np.asarray(wood, np.float32)


def _joint(part: Float, px: float, depth: float) -> Float:
    """Darken the outline of a board (its bevel), `px` wide."""
    h, w = part.shape[:2]
    y = np.minimum(np.arange(h), np.arange(h)[::-1])[:, None]
    x = np.minimum(np.arange(w), np.arange(w)[::-1])[None]
    edge = np.clip(1 - (np.minimum(y, x) + 0.5) / px, 0, 1)
    return np.asarray(part * (1 - depth * edge)[..., None], np.float32)


def planks(
    colors: list[Color],
    rng: Rng,
    board_w: float = 0.18,
    board_l: float = 1.2,
    columns: int = 9,
    px_per_m: float = 560,
    figure: float = 1.0,
) -> tuple[Texture, float, float]:
    """Boards in columns, ends staggered by at least a quarter of their length; (texture, width m, height m)."""
    bw, bl = round(board_w * px_per_m), round(board_l * px_per_m)
    height, width = 2 * bl, columns * bw
    out = np.empty((height, width, 3), np.float32)
    shift = 0.0
    for c in range(columns):
        shift = (shift + rng.uniform(0.25, 0.75)) % 1.0
        strip = np.vstack([_joint(board(bl, bw, px_per_m, colors, figure, rng), 1.6, 0.45) for _ in range(2)])
        out[:, c * bw : (c + 1) * bw] = np.roll(strip, round(shift * bl), axis=0)
    return finish(out), width / px_per_m, height / px_per_m


def herringbone(
    colors: list[Color], rng: Rng, board_w: float = 0.09, ratio: int = 5, px_per_m: float = 620
) -> tuple[Texture, float, float]:
    """Boards `ratio` times as long as wide, laid at right angles; the pattern repeats after twice their length."""
    w = round(board_w * px_per_m)
    n, length = 2 * ratio, ratio * w
    size = n * w
    out = np.empty((size, size, 3), np.float32)
    for i in range(n):
        # Along a diagonal there is one level and one upright board a step; both wrap round the tile.
        level = np.rot90(_joint(board(length, w, px_per_m, colors, 0.9, rng), 1.6, 0.45))
        rows, cols = np.arange(i * w, (i + 1) * w), np.arange(i * w, i * w + length) % size
        out[np.ix_(rows, cols)] = level
        upright = _joint(board(length, w, px_per_m, colors, 0.9, rng), 1.6, 0.45)
        rows, cols = np.arange((i + 1) * w, (i + 1) * w + length) % size, np.arange(i * w, (i + 1) * w)
        out[np.ix_(rows, cols)] = upright
    return finish(out), size / px_per_m, size / px_per_m


def parquet(
    colors: list[Color], rng: Rng, strip_w: float = 0.06, strips: int = 5, blocks: int = 4, px_per_m: float = 620
) -> tuple[Texture, float, float]:
    """Basket parquet: square blocks of strips, every other block turned."""
    w = round(strip_w * px_per_m)
    block = strips * w
    size = blocks * block
    out = np.empty((size, size, 3), np.float32)
    for r in range(blocks):
        for c in range(blocks):
            part = np.hstack([_joint(board(block, w, px_per_m, colors, 0.7, rng), 1.4, 0.4) for _ in range(strips)])
            out[r * block : (r + 1) * block, c * block : (c + 1) * block] = part if (r + c) % 2 else np.rot90(part)
    return finish(out), size / px_per_m, size / px_per_m


def marble_field(
    shape: tuple[int, int], base: Color, vein: Color, density: float, rng: Rng, size: int | None = None
) -> Float:
    """Stone with veins: the zero lines of warped noise, thin and thick. `size`: pixels of one piece, if not of all."""
    size = size or max(shape)
    cloud = noise(shape, size / 5, size / 5, rng)
    out = np.broadcast_to(rgb(base), (*shape, 3)) * (1 + 0.035 * cloud + 0.012 * noise(shape, 3, 3, rng))[..., None]
    for scale, width, strength in ((size / 4, 0.035, 0.75), (size / 8, 0.05, 0.4), (size / 14, 0.06, 0.22)):
        field = noise(shape, scale, scale * 0.6, rng) + 0.35 * noise(shape, scale / 5, scale / 5, rng)
        line = np.exp(-np.abs(field) / (width * density)) * np.clip(0.5 + 0.5 * noise(shape, scale, scale, rng), 0, 1)
        out = out * (1 - strength * line[..., None]) + rgb(vein) * strength * line[..., None]
    return np.asarray(out, np.float32)


def tiles(
    field: str,
    rng: Rng,
    tile: float,
    grid: int,
    base: Color,
    accent: Color,
    grout: Color,
    grout_m: float = 0.003,
    px_per_m: float = 640,
    density: float = 1.0,
) -> tuple[Texture, float, float]:
    """A square grid of `ceramic`, `marble`, `terrazzo` or `checker` tiles with grout."""
    t = round(tile * px_per_m)
    size, line = grid * t, max(1.0, grout_m * px_per_m)
    out = np.empty((size, size, 3), np.float32)
    for r in range(grid):
        for c in range(grid):
            if field == "marble":
                part = marble_field((t, t), base, accent, density, rng)
            elif field == "terrazzo":
                part = terrazzo_field((t, t), base, accent, px_per_m, rng)
            else:
                color = accent if field == "checker" and (r + c) % 2 else base
                mottle = (
                    0.02 * noise((t, t), t / 6, t / 6, rng) + 0.008 * noise((t, t), 2, 2, rng) + rng.normal(0, 0.012)
                )
                part = np.asarray(rgb(color) * (1 + mottle)[..., None], np.float32)
            out[r * t : (r + 1) * t, c * t : (c + 1) * t] = _joint(np.asarray(part, np.float32), 2.0, 0.08)
    at = np.arange(size) % t + 0.5
    near = np.minimum(at, t - at)
    cover = np.clip(line / 2 + 0.5 - np.minimum(near[:, None], near[None]), 0, 1)[..., None]
    sand = rgb(grout) * (1 + 0.04 * noise((size, size), 1.5, 1.5, rng))[..., None]
    return finish(out * (1 - cover) + sand * cover), size / px_per_m, size / px_per_m


def terrazzo_field(
    shape: tuple[int, int], base: Color, accent: Color, px_per_m: float, rng: Rng, wrap: bool = False
) -> Float:
    """Stone chips in cement: cells nearest to random points, shrunk, in a few tones. `wrap`: it repeats seamlessly."""
    height, width = shape
    out = np.broadcast_to(rgb(base), (*shape, 3)) * (1 + 0.02 * noise(shape, 3, 3, rng))[..., None]
    tones = [rgb(accent), rgb(base) * 0.55, np.minimum(rgb(base) * 1.2, 1), rgb(accent) * 0.6]
    count = int(height * width / px_per_m**2 * 5200)
    for _ in range(count):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.002, 0.008) * px_per_m
        a, squeeze = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
        rows, columns = np.arange(int(cy - r - 2), int(cy + r + 3)), np.arange(int(cx - r - 2), int(cx + r + 3))
        if not wrap:
            rows = rows[(rows >= 0) & (rows < height)]
            columns = columns[(columns >= 0) & (columns < width)]
        dy, dx = (rows - cy)[:, None].astype(np.float32), (columns - cx)[None].astype(np.float32)
        u, v = np.cos(a) * dx + np.sin(a) * dy, (np.cos(a) * dy - np.sin(a) * dx) / squeeze
        angle = np.arctan2(v, u)
        edge = r * (1 - 0.16 * np.abs(np.sin(1.5 * angle + a)) - 0.1 * np.abs(np.cos(2.5 * angle)))
        cover = np.clip(edge - np.hypot(u, v) + 0.5, 0, 1)[..., None]
        part = np.ix_(rows % height, columns % width)
        out[part] = out[part] * (1 - cover) + tones[rng.integers(len(tones))] * cover
    return np.asarray(out, np.float32)


def bricks(
    base: Color,
    spread: float,
    mortar: Color,
    rng: Rng,
    brick_l: float = 0.21,
    brick_h: float = 0.065,
    joint: float = 0.011,
    columns: int = 5,
    rows: int = 14,
    px_per_m: float = 900,
) -> tuple[Texture, float, float]:
    """Running bond with rough edges and bricks of different firing."""
    bl, bh, j = round((brick_l + joint) * px_per_m), round((brick_h + joint) * px_per_m), joint * px_per_m
    height, width = rows * bh, columns * bl
    shape = (height, width)
    wobble = 1.1 * noise(shape, 9, 9, rng) + 0.6 * noise(shape, 3, 3, rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    row = (y // bh).astype(int)
    xs = (x + (row % 2) * bl / 2) % width
    col = (xs // bl).astype(int)
    inner = np.minimum(np.minimum(y % bh, bh - y % bh), np.minimum(xs % bl, bl - xs % bl)) - j / 2 + wobble
    cover = np.clip(inner, 0, 1)[..., None]
    tone = rng.normal(0, spread, (rows, columns))[row, col]
    hue = rng.normal(0, spread * 0.35, (rows, columns))[row, col]
    clay = rgb(base) * (1 + tone + 0.07 * noise(shape, 2, 2, rng) + 0.08 * noise(shape, 14, 14, rng))[..., None]
    clay = (
        clay
        * np.stack([1 + hue, np.ones_like(hue), 1 - hue], -1)
        * (1 - 0.25 * np.clip(1 - inner / 3, 0, 1))[..., None]
    )
    bed = rgb(mortar) * (0.9 + 0.06 * noise(shape, 1.5, 1.5, rng))[..., None]
    return finish(clay * cover + bed * (1 - cover)), width / px_per_m, height / px_per_m


def carpet(
    base: Color, fleck: float, rng: Rng, size: float = 0.8, px_per_m: float = 1100
) -> tuple[Texture, float, float]:
    """Cut pile: tufts of a few millimetres under slow shading where it was trodden."""
    n = round(size * px_per_m)
    shape = (n, n)
    tuft = noise(shape, 2.2, 2.2, rng)
    slow = noise(shape, n / 6, n / 6, rng)
    out = rgb(base) * (1 + 0.13 * tuft + 0.03 * slow + 0.05 * noise(shape, 6, 6, rng))[..., None]
    out = out * (1 + fleck * np.stack([noise(shape, 3, 3, rng) for _ in range(3)], -1))
    return finish(out), n / px_per_m, n / px_per_m


def stripe_paper(light: Color, dark: Color, rng: Rng, px_per_m: float = 1000) -> tuple[Texture, float, float]:
    """Stripes of 6.6 cm with a thin line at each edge, on a woven ground; 0.53 m wide."""
    height = width = 530
    x = np.arange(width) / width * 4
    wide, line = (x % 1) < 0.5, np.abs((x % 0.5) - 0.04) < 0.006
    t = np.where(wide, 1.0, 0.0) + np.where(line, 0.35, 0.0) * np.where(wide, -1, 1)
    out = rgb(light) * (1 - t)[None, :, None] + rgb(dark) * t[None, :, None]
    out = out * (1 + 0.02 * noise((height, width), 1, 8, rng) + 0.02 * noise((height, width), 8, 1, rng))[..., None]
    return finish(out), width / px_per_m, height / px_per_m


def damask_paper(ground: Color, figure: Color, rng: Rng, px_per_m: float = 1000) -> tuple[Texture, float, float]:
    """A mirrored ornament of petals in half drop; 0.53 x 0.64 m."""
    height, width = 640, 530
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    out = np.zeros((height, width), np.float32)
    for oy, ox in ((0.0, 0.0), (0.5, 0.5)):
        v = ((y / height - oy + 0.5) % 1 - 0.5) * 2  # -1 .. 1
        u = ((x / width - ox + 0.5) % 1 - 0.5) * 2
        r, a = np.hypot(u * 1.25, v), np.arctan2(np.abs(u) * 1.25, -v)
        petals = 0.36 + 0.16 * np.cos(5 * a) + 0.07 * np.cos(11 * a) - 0.05 * np.cos(2 * a)
        outline = np.clip((petals - r) * 45, 0, 1)
        inner = np.clip((0.62 * petals - r) * 45, 0, 1) - np.clip((0.5 * petals - r) * 45, 0, 1)
        stem = np.clip(
            (0.02 + 0.03 * np.sin(v * 9) ** 2 - np.abs(np.abs(u) - 0.33 - 0.1 * np.sin(v * 6.283))) * 45, 0, 1
        )
        out = np.maximum(out, np.maximum(outline - 0.8 * inner, 0.7 * stem))
    weave = 1 + 0.018 * noise((height, width), 1, 5, rng)
    image = (rgb(ground) * (1 - out)[..., None] + rgb(figure) * out[..., None]) * weave[..., None]
    return finish(image), width / px_per_m, height / px_per_m


def leaf_paper(
    ground: Color, leaves: list[Color], rng: Rng, count: int = 70, px_per_m: float = 1000
) -> tuple[Texture, float, float]:
    """Scattered leaves with a midrib, wrapping at the edges; 0.53 x 0.53 m."""
    n = 530
    image = np.broadcast_to(rgb(ground), (n, n, 3)).astype(np.float64)
    for _ in range(count):
        cy, cx, length, a = rng.uniform(0, n), rng.uniform(0, n), rng.uniform(38, 75), rng.uniform(0, 2 * np.pi)
        reach = np.arange(-int(length) - 2, int(length) + 3)
        rows, columns = (int(cy) + reach) % n, (int(cx) + reach) % n
        y, x = rows[:, None].astype(np.float32), columns[None].astype(np.float32)
        dy, dx = (y - cy + n / 2) % n - n / 2, (x - cx + n / 2) % n - n / 2
        u, v = (np.cos(a) * dx + np.sin(a) * dy) / length, (np.cos(a) * dy - np.sin(a) * dx) / length
        half = 0.30 * np.sqrt(np.clip(1 - (u * 1.02) ** 2, 0, 1)) * (0.75 - 0.35 * u)
        cover = np.clip((half - np.abs(v)) * length, 0, 1) * (np.abs(u) < 1)
        rib = (
            np.exp(-((v * length / 1.3) ** 2))
            + 0.4 * np.clip(np.cos((u * 1.6 + np.abs(v) * 2.2) * 22) - 0.86, 0, 1) * 6
        )
        color = (
            rgb(leaves[rng.integers(len(leaves))])
            * (1 + 0.14 * v[..., None] * 3)
            * (1 + 0.2 * np.clip(rib, 0, 1))[..., None]
        )
        part = np.ix_(rows, columns)
        image[part] = image[part] * (1 - cover[..., None]) + color * cover[..., None]
    return finish(image * (1 + 0.012 * noise((n, n), 2, 2, rng))[..., None]), n / px_per_m, n / px_per_m


def fan_paper(ground: Color, line: Color, rng: Rng, px_per_m: float = 1000) -> tuple[Texture, float, float]:
    """Overlapping fans of concentric arcs (seigaiha); 0.53 x 0.265 m repeat, drawn square."""
    n, cell = 528, 132
    y, x = np.mgrid[0:n, 0:n].astype(np.float32)
    out = np.zeros((n, n), np.float32)
    for k in range(n // (cell // 2) + 2):  # back to front: lower rows lie over upper ones
        cy = k * cell / 2
        u = (x + (k % 2) * cell / 2) % cell - cell / 2
        v = (y - cy + n / 2) % n - n / 2
        r = np.hypot(u, v)
        inside = (r < cell / 2) & (v <= 0.5)
        ring = np.clip(2.2 - np.abs((r + 8) % 16 - 8), 0, 1)
        out = np.where(inside, ring, out)
    image = rgb(ground) * (1 - out)[..., None] + rgb(line) * out[..., None]
    return finish(image * (1 + 0.012 * noise((n, n), 2, 2, rng))[..., None]), n / px_per_m, n / px_per_m
