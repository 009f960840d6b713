"""Faces of building materials, drawn by formula: what a board, a tile or a brick shows, without joints.

Each generator returns (H, W, 3) uint8 sRGB that repeats in both directions and is larger than several pieces, so that
pieces cut from it anywhere differ. A piece's length lies along the rows, as grain does. Lengths are metres.
"""

import numpy as np

from services.catalog.domain.textures import (
    Color,
    Float,
    Rng,
    Texture,
    finish,
    marble_field,
    noise,
    ramp,
    rgb,
    terrazzo_field,
)

Face = tuple[Texture, float, float]  # and its width and height


def wood(
    colors: list[Color], rng: Rng, length_m: float, across_m: float, figure: float = 1.0, px_per_m: float = 720
) -> Face:
    """Sawn wood: growth rings around several hearts, pores, and tones that differ from trunk to trunk."""
    height, width = round(across_m * px_per_m), round(length_m * px_per_m)
    shape = (height, width)
    fine = noise(shape, 0.0012 * px_per_m, 0.10 * px_per_m, rng)
    pores = noise(shape, 0.0008 * px_per_m, 0.03 * px_per_m, rng)
    bend = noise(shape, 0.05 * px_per_m, 0.5 * px_per_m, rng)
    trunk = noise(shape, 0.07 * px_per_m, 0.5 * px_per_m, rng)
    y = np.arange(height, dtype=np.float32)[:, None] / px_per_m
    x = np.arange(width, dtype=np.float32)[None] / px_per_m
    # Rings are nested arches over a heart that climbs and falls once a repeat; the nearest of the hearts counts, and
    # between two of them rings meet.
    hearts = max(2, round(across_m / 0.22))
    depth = np.full(shape, np.inf, np.float32)
    for k in range(hearts):
        middle = (k + rng.uniform(0.25, 0.75)) * across_m / hearts
        away = np.abs((y - middle + across_m / 2) % across_m - across_m / 2)
        swell = 0.5 - 0.5 * np.cos(2 * np.pi * (x / length_m - rng.uniform()))
        depth = np.minimum(depth, np.sqrt(away**2 + (0.015 + 0.03 * swell) ** 2))
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (depth + 0.007 * bend) / rng.uniform(0.012, 0.016))
    tone = 0.5 + figure * 0.32 * (rings**1.5 - 0.4) + 0.11 * fine + 0.17 * trunk
    image = ramp(np.asarray(tone, np.float32), colors) * (1 - 0.16 * np.clip(pores - 1.1, 0, 1)[..., None])
    return finish(np.asarray(image, np.float32)), width / px_per_m, height / px_per_m


def ceramic(base: Color, rng: Rng, side_m: float = 1.2, px_per_m: float = 500) -> Face:
    """Glaze: nearly even, mottled."""
    n = round(side_m * px_per_m)
    batch = noise((n, n), 0.3 * px_per_m, 0.3 * px_per_m, rng)
    mottle = 0.01 * noise((n, n), 0.05 * px_per_m, 0.05 * px_per_m, rng) + 0.008 * noise((n, n), 2, 2, rng)
    return finish(np.asarray(rgb(base) * (1 + mottle + 0.012 * batch)[..., None], np.float32)), side_m, side_m


def marble(base: Color, vein: Color, density: float, tile_m: float, rng: Rng, px_per_m: float = 640) -> Face:
    """A slab twice as long and as wide as a tile."""
    n = round(2 * tile_m * px_per_m)
    return finish(marble_field((n, n), base, vein, density, rng, n // 2)), n / px_per_m, n / px_per_m


def terrazzo(base: Color, accent: Color, rng: Rng, side_m: float = 1.2, px_per_m: float = 640) -> Face:
    """Stone chips in cement."""
    n = round(side_m * px_per_m)
    return finish(terrazzo_field((n, n), base, accent, px_per_m, rng, True)), n / px_per_m, n / px_per_m


def clay(base: Color, spread: float, rng: Rng, px_per_m: float = 800) -> Face:
    """Bricks of different firing: a tone a brick or so."""
    height, width = round(0.66 * px_per_m), round(0.9 * px_per_m)
    shape = (height, width)

    def firing() -> Float:
        return noise(shape, 0.06 * px_per_m, 0.12 * px_per_m, rng)

    tone = 1 + 0.8 * spread * firing() + 0.07 * noise(shape, 2, 2, rng) + 0.05 * noise(shape, 14, 14, rng)
    hue = 0.25 * spread * firing()
    image = rgb(base) * tone[..., None] * np.stack([1 + hue, np.ones_like(hue), 1 - hue], -1)
    return finish(np.asarray(image, np.float32)), width / px_per_m, height / px_per_m
