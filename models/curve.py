"""A training curve as a picture."""

import csv
from pathlib import Path

import cv2
import numpy as np

COLOURS = ((200, 40, 40), (150, 90, 30), (40, 140, 60), (60, 90, 200), (120, 60, 160))
LEFT, RIGHT, TOP, BOTTOM = 50, 620, 20, 330


def plot(curve: Path, series: dict[str, float]) -> None:
    """Draw columns of curve.csv (with a column `step`) into curve.png beside it.

    Args:
        curve: the CSV file.
        series: column to the value that the top of the picture stands for.
    """
    rows = list(csv.DictReader(curve.read_text().splitlines()))
    if len(rows) < 2:
        return
    picture = np.full((360, 640, 3), 255, np.uint8)

    def write(text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour[::-1], 1, cv2.LINE_AA)

    steps = np.array([float(r["step"]) for r in rows])
    x = LEFT + (RIGHT - LEFT) * steps / steps.max()
    for place, ((name, top), colour) in enumerate(zip(series.items(), COLOURS, strict=False)):
        y = BOTTOM - (BOTTOM - TOP) * np.clip([float(r[name]) / top for r in rows], 0, 1)
        cv2.polylines(picture, [np.stack([x, y], 1).astype(np.int32)], False, colour[::-1], 2, cv2.LINE_AA)
        write(f"{name} {float(rows[-1][name]):.3f}", 430, 200 + 25 * place, colour)
    for k in range(6):
        write(f"{k / 5:.1f}", 8, BOTTOM + 5 - (BOTTOM - TOP) * k // 5, (90, 90, 90))
    write(f"step {int(steps[-1])}", 280, 352, (90, 90, 90))
    cv2.imwrite(str(curve.with_suffix(".png")), picture)
