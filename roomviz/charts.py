"""Small pictures of counts: columns by day, and the steps of a funnel."""

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN = 960, 540, 56
INK, GREY, LINE = (34, 38, 46), (112, 118, 130), (226, 229, 234)
# Okabe and Ito's colours, told apart by nearly everybody.
COLORS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66))


def _page(title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 20), title, INK, ImageFont.load_default(20))
    return page, draw


def _png(page: Image.Image) -> bytes:
    out = io.BytesIO()
    page.save(out, "PNG", optimize=True)
    return out.getvalue()


def _top(most: int) -> int:
    """A round number that is not below, whose quarters are round too."""
    return next(step * int(10**power) for power in range(12) for step in (4, 8, 12, 20) if step * 10**power >= most)


def columns(title: str, labels: Sequence[str], series: Mapping[str, Sequence[int]]) -> bytes:
    """Stacked columns, one for each label; the seven largest series have a colour of their own. A PNG."""
    page, draw = _page(title)
    small = ImageFont.load_default(13)
    ordered = sorted(series, key=lambda name: -sum(series[name]))
    kept = {name: series[name] for name in ordered[: len(COLORS) - (len(ordered) > len(COLORS))]}
    if len(ordered) > len(kept):
        rest = [series[name] for name in ordered[len(kept) :]]
        kept["other"] = [sum(c) for c in zip(*rest, strict=True)]
    sums = [sum(c) for c in zip(*kept.values(), strict=True)] or [0] * len(labels)
    top = _top(max([*sums, 1]))
    left, right, high, low = MARGIN + 24, WIDTH - 210, 70, HEIGHT - MARGIN
    for part in range(5):
        y = low - (low - high) * part / 4
        draw.line((left, y, right, y), LINE)
        draw.text((left - 8, y), f"{top * part / 4:g}", GREY, small, "rm")
    step = (right - left) / max(len(labels), 1)
    every = -(-len(labels) // 8)
    for n, label in enumerate(labels):
        x, y = left + step * n, float(low)
        for (_, counts), color in zip(kept.items(), COLORS, strict=False):
            height = (low - high) * counts[n] / top
            if height:
                draw.rectangle((x + step * 0.12, y - height, x + step * 0.88, y), color)
            y -= height
        if n % every == 0:
            draw.text((x + step / 2, low + 8), label, GREY, small, "mt")
    for n, (name, color) in enumerate(zip(kept, COLORS, strict=False)):
        y = high + 24 * n
        draw.rectangle((right + 16, y, right + 28, y + 12), color)
        draw.text((right + 36, y - 2), name[:24], INK, small)
    return _png(page)


def steps(title: str, counts: Sequence[tuple[str, int]]) -> bytes:
    """A bar for each step, with its count and its share of the first and of the one before. A PNG."""
    page, draw = _page(title)
    font, small = ImageFont.load_default(16), ImageFont.load_default(13)
    first = counts[0][1] if counts else 0
    left, right, high = 250, WIDTH - 210, 80
    each = (HEIGHT - high - 30) / max(len(counts), 1)
    before = first
    for n, (name, count) in enumerate(counts):
        y, height = high + each * n, each * 0.62
        draw.rectangle((left, y, right, y + height), (243, 245, 248))
        if first and count:
            draw.rectangle((left, y, left + (right - left) * min(count / first, 1), y + height), COLORS[0])
        draw.text((left - 14, y + height / 2), name, INK, font, "rm")
        draw.text((right + 14, y + height / 2 - 9), f"{count:,}".replace(",", " "), INK, font, "lm")
        shares = f"{count / first:.1%} of all" if first else ""
        if n and before:
            shares += f", {count / before:.0%} went on"
        draw.text((right + 14, y + height / 2 + 11), shares, GREY, small, "lm")
        before = count
    return _png(page)
