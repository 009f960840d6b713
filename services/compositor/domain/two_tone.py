"""Floors and walls of light and dark parts: which of both each pixel is, and light without the difference.

Whether it is tiles, stripes and panels, or shadow and sun, the network's card tells, which shows light alone: of a
difference that is light it has a good part, of one in the material next to nothing (on rendered rooms 0.2 and more, and
nearly always 0.15 at most; on 45 surfaces of photos likewise). Where there is no card, tiles as large as shadows are told
from them by how many there are: of both tones there are several pieces apart from each other, where a shadow or a patch
of sun has one surface around it.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from services.compositor.domain.blur import around

Float = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Bar:
    """apart: difference of both tones, of log light, from which on there are two; explained: part of the variance that
    they explain; rarer: part of the surface that has the rarer one."""

    apart: float
    explained: float
    rarer: float

    @property
    def little(self) -> float:
        """Standard deviation of two tones that are hardly apart, the one rare."""
        return float(self.apart * (self.rarer * (1 - self.rarer)) ** 0.5)


BY_PIECES, BY_CARD = Bar(0.5, 0.75, 0.15), Bar(0.25, 0.4, 0.03)
# Part of a difference that the card has: all in the material up to the first, all in the light from the second on.
IN_CARD = (0.12, 0.25)
CARD_BLUR = 1.0  # of it, standard deviation in its pixels
ROUNDS = 2  # of telling two tones apart: there may be three
# Pieces with nothing but the other around them that there must be of each, this part of the surface at least.
PIECES, PIECE_AREA = 3, 0.0015
# Window of what is slow, and around an edge between tones, in parts of the long side; widths of an edge, pixels.
SLOW, BESIDE, EDGE = 1 / 6, 1 / 60, 5
_KERNEL = np.ones((EDGE, EDGE), np.uint8)


def without_tones(log_light: Float, inside: Float, card: Float | None = None, coarse: float = 1.0) -> Float:
    """Log light on a surface (h, w) as if it were all of one tone; as it is, where it has no two.

    Args:
        log_light: (h, w) log luminance.
        inside: (h, w) 0 or 1.
        card: (h, w) log luminance of the card; None where there is none.
        coarse: pixels that one of the card's is wide: it does not show what is finer.
    """
    if card is None:
        found = _Tones.of(log_light, inside, BY_PIECES)
        return found.evened(found.step(log_light)) if found and found.in_pieces() else log_light
    low, high = IN_CARD
    for _ in range(ROUNDS):
        found = _Tones.of(log_light, inside, BY_CARD)
        if found is None:
            break
        step = found.step(log_light)
        shown = found.step(around(log_light, inside, CARD_BLUR * coarse))
        t = np.clip((found.step(card) / max(shown, 1e-6) - low) / (high - low), 0, 1)
        of_light = float(t * t * (3 - 2 * t))
        if of_light == 1:
            break
        log_light = np.asarray(of_light * log_light + (1 - of_light) * found.evened(step), np.float32)
    return log_light


@dataclass(frozen=True)
class _Tones:
    """A surface of two tones, arrays (h, w): log_light; within; light and dark: which pixel has which; edge: those between;
    beside: those near enough to both that they can be compared there."""

    log_light: Float
    within: Flags
    light: Flags
    dark: Flags
    edge: Flags
    beside: Flags

    @classmethod
    def of(cls, log_light: Float, inside: Float, bar: Bar) -> "_Tones | None":
        """None where there are no two."""
        within = inside > 0
        if log_light[within].std() < bar.little:
            return None
        detail = log_light - around(log_light, inside, SLOW * max(log_light.shape))
        split = _split(detail[within], bar)
        if split is None:
            return None
        light = (detail > split) & within
        dark = within & ~light
        edge = within & ~np.logical_or(
            *(cv2.erode(t.astype(np.uint8), _KERNEL, borderValue=0) > 0 for t in (light, dark))
        )
        found = cls(log_light, within, light, dark, edge, within)
        known = [around(w, np.ones_like(w), found._sigma) > 0.05 for w in found._weights]
        beside = within & known[0] & known[1]
        return cls(log_light, within, light, dark, edge, beside) if beside.any() else None

    @property
    def _sigma(self) -> float:
        return float(max(2.0, BESIDE * max(self.log_light.shape)))

    @cached_property
    def _weights(self) -> tuple[Float, Float]:
        clear = self.within & ~self.edge
        return (self.light & clear).astype(np.float32), (self.dark & clear).astype(np.float32)

    def step(self, values: Float) -> float:
        """How much more the light ones have than the dark ones right beside them: not in the mean, or a shadow on some of
        them would count."""
        light, dark = (around(values, w, self._sigma) for w in self._weights)
        return float(np.median((light - dark)[self.beside]))

    def evened(self, step: float) -> Float:
        """Log light without this step. On an edge a pixel is something of both: it takes what lies beside it."""
        tone = self.light.astype(np.float32)
        even = self.log_light - np.float32(step) * (tone - np.float32(tone[self.within].mean()))
        clear = (self.within & ~self.edge).astype(np.float32)
        return np.asarray(np.where(self.edge, around(even, clear, EDGE), even), np.float32)

    def in_pieces(self) -> bool:
        """Whether of both there are several pieces apart from each other."""
        # Without their edges, so that tiles which meet at a corner are apart.
        pieces = [
            np.asarray(cv2.erode(t.astype(np.uint8), _KERNEL, iterations=2, borderValue=0), np.uint8)
            for t in (self.light, self.dark)
        ]
        outside = (~self.within).astype(np.uint8)
        beyond = np.asarray(cv2.dilate(outside, _KERNEL, iterations=3, borderValue=1), np.uint8)
        least = PIECE_AREA * float(self.within.sum())
        return bool(min(_count(p, beyond, least) for p in pieces) >= PIECES)


def _split(values: Float, bar: Bar) -> float | None:
    """Between both tones (Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979); None where there are none."""
    if values.std() < bar.little:
        return None
    counts, ends = np.histogram(values, 128)
    middle = (ends[1:] + ends[:-1]) / 2
    share = np.cumsum(counts) / counts.sum()
    mean = np.cumsum(counts * middle) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * share - mean) ** 2 / (share * (1 - share))
    k = int(np.nan_to_num(between).argmax())
    low, high = mean[k] / share[k], (mean[-1] - mean[k]) / (1 - share[k])
    explained = between[k] / max(float(values.var()), 1e-9)
    if high - low < bar.apart or explained < bar.explained or min(share[k], 1 - share[k]) < bar.rarer:
        return None
    return float(ends[k + 1])


def _count(mask: NDArray[np.uint8], beyond: NDArray[np.uint8], area: float) -> int:
    """Pieces of at least this area; what touches at a corner is apart, what only things that stand before it part is not."""
    _, pieces = cv2.connectedComponents(mask | beyond, connectivity=4)
    return int((np.bincount(pieces[mask > 0]) >= area).sum())
