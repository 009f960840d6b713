"""A contact sheet of all layouts, from above and in perspective: `python -m bench.layouts --out FILE.png`."""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.layout import (
    NO_PIECE,
    BasketWeave,
    Bond,
    Bordered,
    Chevron,
    Herringbone,
    Hexagon,
    Layout,
    Match,
    Mural,
    Penny,
    Planks,
    Source,
    Versailles,
    Wallpaper,
    grout_coverage,
    lengths_between,
    locate,
    sample,
    window,
)
from services.compositor.domain.texture import Footprint, footprint

ROOM = ((0.15, 0.15), (2.85, 0.15), (2.85, 1.6), (2.0, 1.6), (2.0, 2.85), (0.15, 2.85))
SHEET = {
    "grid": Layout(Bond(0.3, 0.3, 0.004)),
    "diagonal": Layout(Bond(0.3, 0.3, 0.004), rotation_deg=45),
    "running bond 1/2": Layout(Bond(0.6, 0.2, 0.004, 1 / 2)),
    "running bond 1/3": Layout(Bond(0.6, 0.2, 0.004, 1 / 3)),
    "random stagger": Layout(Bond(0.6, 0.15, 0.004, random_stagger_m=0.12)),
    "herringbone 90": Layout(Herringbone(0.5, 0.1, 0.003)),
    "herringbone 45": Layout(Herringbone(0.5, 0.1, 0.003), rotation_deg=45),
    "chevron 45": Layout(Chevron(0.5, 0.09, 45, 0.003), rotation_deg=90),
    "chevron 30": Layout(Chevron(0.5, 0.09, 30, 0.003)),
    "basket-weave": Layout(BasketWeave(0.1, 3, 0.004)),
    "versailles": Layout(Versailles(0.2, 0.005)),
    "hexagon": Layout(Hexagon(0.25, 0.004)),
    "penny": Layout(Penny(0.1, 0.006)),
    "border and field": Layout(Bordered(ROOM, 0.15, 0.3, Layout(Bond(0.2, 0.2, 0.004), rotation_deg=45), 0.004)),
    "planks, three lengths": Layout(Planks(0.18, (0.6, 0.9, 1.2), 0.2, 0.002)),
    "planks, a range": Layout(Planks(0.14, lengths_between(0.8, 2.0), 0.3, 0.002)),
    "wallpaper, straight": Layout(Wallpaper(0.53, 0.64)),
    "wallpaper, half drop": Layout(Wallpaper(0.53, 0.64, Match.HALF_DROP)),
    "wallpaper, reversed": Layout(Wallpaper(0.53, 0.64, Match.STRAIGHT, True)),
    "mural": Layout(Mural(2.6, 2.0, 0.65), 0.2, 0.4),
}
SIDE, METRES = 330, 3.0
SOURCE = Source(0.53, 0.64)


def picture(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """A figure that shows direction and mirroring: grain along x, and an arrow-like wedge a repeat. (h, w) 0 to 1."""
    grain = 0.5 + 0.1 * np.sin(y * 420 + 3 * np.sin(x * 9)) + 0.06 * np.sin(y * 1130 + x * 5)
    s, t = x % SOURCE.width_m / SOURCE.width_m, y % SOURCE.height_m / SOURCE.height_m
    wedge = (t > 0.15) & (t < 0.75) & (np.abs(s - 0.5) < 0.35 * (t - 0.15)) | ((s > 0.1) & (s < 0.2) & (t < 0.3))
    return np.where(wedge, grain * 0.55, grain)


def draw(layout: Layout, at: Footprint) -> NDArray[np.uint8]:
    located = locate(layout, at.x, at.y)
    shown = window(layout, located, SOURCE)
    strips = isinstance(layout.pattern, Wallpaper | Mural)
    if strips:
        tone = picture(*sample(SOURCE, located, shown))
        tone = np.where(located.distance < 0.004, tone * 0.8, tone)
    else:
        grain = sample(replace(SOURCE, width_m=2.0, height_m=2.0), located, shown)
        tone = 0.5 + 0.06 * np.sin(grain[1] * 300 + 2 * np.sin(grain[0] * 9)) + 0.02 * (shown.variant - 8)
    hue = np.stack([0.6 * tone, 0.85 * tone, 1.2 * tone], -1)  # BGR
    cover = grout_coverage(layout, located, at.ax, at.ay, at.short)[..., None]
    out = hue * (1 - cover) + np.array([0.92, 0.92, 0.92]) * cover
    out[located.piece == NO_PIECE] = 0.15
    return np.asarray(np.clip(out, 0, 1) * 255, np.uint8)


def views() -> list[Footprint]:
    """From above, and standing 1.5 m high before it."""
    above = np.diag([SIDE / METRES, SIDE / METRES, 1.0])
    focal, height, before = 0.9 * SIDE, 1.5, 1.3
    camera = np.array([[focal, 0, SIDE / 2], [0, focal, 0.12 * SIDE], [0, 0, 1.0]])
    floor = camera @ np.array([[1.0, 0, -METRES / 2], [0, 0, height], [0, -1, METRES + before]])
    low = round(0.16 * SIDE)
    return [footprint(above, (0, 0, SIDE, SIDE)), footprint(floor, (0, low, SIDE, SIDE - low))]


def sheet() -> NDArray[np.uint8]:
    cells = []
    for name, layout in SHEET.items():
        parts = [draw(layout, at) for at in views()]
        label = np.full((26, SIDE, 3), 255, np.uint8)
        cv2.putText(label, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        cells.append(cv2.copyMakeBorder(np.vstack([label, *parts]), 0, 6, 0, 6, cv2.BORDER_CONSTANT, value=(255,) * 3))
    rows = [np.hstack(cells[k : k + 5]) for k in range(0, len(cells), 5)]
    return np.vstack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    cv2.imwrite(str(parser.parse_args().out), sheet())


if __name__ == "__main__":
    main()
