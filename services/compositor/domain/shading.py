"""Shading: carry the light of the room over to a new material.

Model: image = albedo * shading at every pixel, in linear RGB (Barrow & Tenenbaum, "Recovering Intrinsic
Scene Characteristics from Images", 1978), plus what the old surface mirrors. How much light there is, and of which
colour, is told by the grey card; how it changes over the surface by the photo. Three things of the old surface are kept
out of that: its texture is small in contrast and in extent, and an edge-keeping filter on log luminance takes it out;
its pattern is fine and everywhere alike, while shadows are here and there; its reflections are bright where
the card is not, and have the colour of the light and not of the surface.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, luminance, to_linear
from services.compositor.domain.blur import around
from services.compositor.domain.edges import SOLID
from services.compositor.domain.two_tone import without_tones

Float = NDArray[np.float32]

# Contrast (standard deviation of log luminance) below which detail counts as the old surface's texture.
TEXTURE_CONTRAST = 0.22
# Luminance below which a pixel counts as this dark, and log luminance of each 8-bit grey.
DARKEST = 2e-3
# Scene light that a camera no longer tells from more: `response` has reached white.
CLIPPED = 1.85
_GREY = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2)
_LOG_LIGHT = np.log(np.maximum(luminance(to_linear(_GREY)), DARKEST)).astype(np.float32).reshape(256, 1)
# How much more light than the room's white walls the bright parts of a surface may get.
BRIGHT_OVER_WHITE = 1.25
# Albedo of a white wall, and typical albedos of what surfaces are made of, for the level of the light.
WHITE_ALBEDO, TYPICAL_ALBEDO = 0.82, {"floor": 0.28, "wall": 0.6, "ceiling": 0.75}


# Albedo of the card whose picture the network draws.
GREY_CARD = 0.35
# How far the card is believed about what sets a surface apart from the rest of the room, in level and in colour. A
# network takes some of a pale wall for light. Least errors over 644 surfaces of rendered rooms, roomseg 7, flat from 0.65
# to 1; a network that tells them apart worse deserves less (`bench-compositor`): 0.55 for roomseg 5.
LEVEL_TRUST, COLOR_TRUST = 0.75, 0.15
# Bands of detail, in parts of the long side (standard deviation of the wider of two Gaussians); how many times the median
# variance of a band over the surface counts as pattern; and median over mean of that variance from which on there is
# one, and above which there is nothing else: few strong edges are shadows, many alike are a pattern.
PATTERN_BANDS, PATTERN_TIMES, PATTERN_EVENNESS = (1 / 128, 1 / 64), 4.0, (0.3, 0.7)
# Contrast (standard deviation of log luminance) of plaster; fine detail of more is a print, and goes with its square.
RELIEF = 0.02
# Window of a highlight, in parts of the long side.
HIGHLIGHT_WINDOW = 1 / 64
# Log light over what the card says that is a highlight: from the first on, where its colour says so too, and on a
# surface as colourless as the light, where nothing else tells it from a patch of sun, between the others.
HIGHLIGHT_COLORED, HIGHLIGHT_GREY = 0.1, (0.8, 1.3)
# Largest log ratio of a channel to the light's from which on a surface has a colour of its own.
COLORED = 0.25


@dataclass(frozen=True)
class CardLight:
    """white: (h, w, 3) float32 linear, how a white surface would look in each part of a box of the photo; room: (3,) the
    same in the whole of it, a geometric mean. level_trust and color_trust: as LEVEL_TRUST and COLOR_TRUST."""

    white: LinearImage
    room: Float
    level_trust: float = LEVEL_TRUST
    color_trust: float = COLOR_TRUST

    def on(self, inside: NDArray[np.bool_]) -> tuple[float, Float]:
        """Log level, and colour (3,) of luminance 1, of the light on part of the box, (h, w) as `white`."""
        here = np.log(self.white[inside])
        level = float(np.log(luminance(self.white[inside])).mean())
        whole = float(np.log(luminance(self.room)))
        color = np.exp(np.log(self.room) + self.color_trust * (here.mean(0) - np.log(self.room)))
        return whole + self.level_trust * (level - whole), np.asarray(color / luminance(color), np.float32)


@dataclass(frozen=True)
class RoomLight:
    """level: luminance of a white surface under the room's light; tint: (3,) its colour, luminance 1."""

    level: float
    tint: Float


def room_light(photo: LinearImage, white: NDArray[np.bool_]) -> RoomLight:
    """The light of a room, from the brightest part of its walls and ceiling.

    Args:
        photo: (H, W, 3) linear scene light.
        white: (H, W), True on walls and ceiling; may be empty, then the whole photo is used.
    """
    pixels = photo[white] if white.sum() > 500 else photo.reshape(-1, 3)
    light = luminance(pixels)
    unclipped = pixels.max(1) < CLIPPED
    if unclipped.sum() > 200:
        pixels, light = pixels[unclipped], light[unclipped]
    level = float(np.quantile(light, 0.9))
    bright = pixels[light >= np.quantile(light, 0.75)].mean(0)
    tint = bright / max(1e-4, float(luminance(bright)))
    # Half of the colour of a wall is taken for the light's, half for the paint's.
    tint = np.clip(np.sqrt(np.maximum(tint, 1e-3)), 0.85, 1.18)
    return RoomLight(max(0.02, level / WHITE_ALBEDO), np.asarray(tint / luminance(tint), np.float32))


def smooth_log(log_light: Float, inside: Float, radius: int, contrast: float) -> Float:
    """Guided filter of a picture by itself (He, Sun & Tang, 2013, eq. 5 and 6), blind to what is outside.

    Args:
        log_light: (h, w) log luminance.
        inside: (h, w) 0 to 1, weight of each pixel.
        radius: of the window, pixels.
        contrast: detail below this standard deviation is smoothed away.
    """
    box = (2 * radius + 1, 2 * radius + 1)
    weight = cv2.blur(inside, box) + 1e-6
    mean = cv2.blur(log_light * inside, box) / weight
    variance = np.maximum(cv2.blur(log_light * log_light * inside, box) / weight - mean * mean, 0)
    a = variance / (variance + contrast * contrast)
    b = (1 - a) * mean
    a = cv2.blur(a * inside, box) / weight
    b = cv2.blur(b * inside, box) / weight
    return np.asarray(a * log_light + b, np.float32)


Light = RoomLight | CardLight
Box = tuple[int, int, int, int]  # x, y, width, height


def response(light: LinearImage) -> LinearImage:
    """Scene light to the linear value of the picture: a camera's shoulder (Reinhard et al., 2002, eq. 4, white at 4)."""
    return np.asarray(light * (1 + light / 16) / (1 + 0.6 * light), np.float32)


def scene_light(value: LinearImage) -> LinearImage:
    """Undoes `response`; values that it never reaches give its largest light."""
    b = 1 - 0.6 * np.minimum(value, 1.2)
    return np.asarray(8 * (np.sqrt(b * b + np.minimum(value, 1.2) / 4) - b), np.float32)


def card_in(card: Image, photo: tuple[int, int], exact: bool, box: Box) -> CardLight:
    """The light in a box.

    Args:
        card: (h, w, 3) uint8 sRGB over the whole photo.
        photo: height and width of the photo.
        exact: whether the card was measured, and is to be believed in all.
        box: x, y, width, height in pixels of the photo.
    """
    x, y, w, h = box
    rows, columns = card.shape[0] / photo[0], card.shape[1] / photo[1]
    size = (max(2, round(w * columns)), max(2, round(h * rows)))
    u = (x + (np.arange(size[0]) + 0.5) / size[0] * w) * columns - 0.5
    v = (y + (np.arange(size[1]) + 0.5) / size[1] * h) * rows - 0.5
    at_x, at_y = np.meshgrid(u.astype(np.float32), v.astype(np.float32))
    shown = cv2.remap(to_linear(card), at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    room = np.exp(np.log(_white(to_linear(card))).mean((0, 1)))
    light = CardLight(_white(np.asarray(shown, np.float32)), np.asarray(room, np.float32))
    return replace(light, level_trust=1.0, color_trust=1.0) if exact else light


def _white(shown: LinearImage) -> LinearImage:
    """White under the light in which the card shows this."""
    return np.asarray(np.maximum(scene_light(shown) / GREY_CARD, DARKEST), np.float32)


def light_of(photo: Image, white: NDArray[np.bool_]) -> RoomLight:
    """`room_light` of a photo (H, W, 3) uint8, looked at in small."""
    scale = min(1.0, 480 / max(photo.shape[:2]))
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(white.astype(np.uint8), (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST) > 0
    return room_light(scene_light(to_linear(small.astype(np.uint8))), mask)


def light_in(photo: Image, white: NDArray[np.bool_], card: Image | None, exact: bool = False) -> Callable[[Box], Light]:
    """The light in a box of the photo: from the card, or, where there is none, the same everywhere; `exact` where the
    card was measured and not guessed."""
    if card is not None:
        return partial(card_in, card, photo.shape[:2], exact)
    room = light_of(photo, white)
    return lambda box: room


@dataclass(frozen=True)
class Shade:
    """The light on a surface, found in small. lit (h, w) float32: log of how bright a white surface would be, over a box
    of height x width pixels; tint (3,) its colour, linear, luminance 1; keep_detail: part of the old surface's relief
    that stays, and sigma: pixels, what is finer than that is relief; mirrored (h, w) float32: luminance of the old
    surface's reflections."""

    lit: Float
    tint: Float
    height: int
    width: int
    keep_detail: float
    sigma: float
    mirrored: Float

    def rows(self, photo: Image, alpha: NDArray[np.uint8], top: int, bottom: int) -> Float:
        """How bright a white surface would be, (bottom - top, width) float32 linear, in rows of the box.

        Args:
            photo: (H, W, 3) uint8 sRGB, the box.
            alpha: (H, W) uint8, the soft mask.
        """
        h = len(self.lit)
        at = np.clip((np.arange(top, bottom) + 0.5) * h / self.height - 0.5, 0, h - 1)
        above = np.floor(at).astype(int)
        down = (at - above)[:, None].astype(np.float32)
        lines = self.lit[above] * (1 - down) + self.lit[np.minimum(above + 1, h - 1)] * down
        size = (self.width, bottom - top)
        whole = np.asarray(cv2.resize(lines, size, interpolation=cv2.INTER_LINEAR), np.float32)
        if self.keep_detail > 0:
            reach = int(4 * self.sigma) + 2  # of the filter
            first, last = max(0, top - reach), min(self.height, bottom + reach)
            relief = _relief(photo[first:last], alpha[first:last], self.sigma)
            relief = np.clip(relief[top - first : bottom - first], -0.3, 0.3)
            whole += np.float32(self.keep_detail) * relief * (alpha[top:bottom] > SOLID)
        np.exp(whole, out=whole)
        return whole


def shading(
    photo: Image,
    alpha: NDArray[np.uint8],
    kind: str,
    light: Light,
    keep_detail: float,
    working_side: int = 900,
) -> tuple[Float, Float]:
    """How bright a white surface would be at each pixel of the surface, (H, W) float32 linear, and in what colour,
    (3,) linear of luminance 1; arguments as `shade`."""
    found = shade(photo, alpha, kind, light, keep_detail, working_side)
    return found.rows(photo, alpha, 0, len(alpha)), found.tint


def shade(
    photo: Image,
    alpha: NDArray[np.uint8],
    kind: str,
    light: Light,
    keep_detail: float,
    working_side: int = 900,
    shown: tuple[int, int] | None = None,
) -> Shade:
    """The light on a surface.

    Args:
        photo: (H, W, 3) uint8 sRGB, the box of the surface.
        alpha: (H, W) uint8, the soft mask.
        kind: `floor`, `wall` or `ceiling`.
        light: of the room, or of this box.
        keep_detail: part of the old surface's fine relief that stays: plaster shows through paint, not through tiles.
        working_side: the smooth part is found at this size of the long side.
        shown: height and width of the box in the picture that is made, where the photo is of another size.
    """
    height, width = alpha.shape
    shown = shown or (height, width)
    scale = min(1.0, working_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    inside = (cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > SOLID).astype(np.float32)
    if inside.sum() < 16:
        return _flat(shown, light)
    small = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    scene = scene_light(to_linear(small))
    seen = luminance(scene)
    log_small = np.asarray(np.log(np.maximum(seen, DARKEST)), np.float32)
    radius = _radius(max(size))
    # A median takes joints out, which are no wider than two pixels here, and leaves the edges of shadows.
    within = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    plain = np.asarray(np.where(within, cv2.medianBlur(log_small, 5), log_small), np.float32)
    if isinstance(light, CardLight):
        lit, mirrored, tint = _by_card(plain, scene, inside, radius, light)
    else:
        smooth = _smooth(without_tones(plain, inside), inside, radius)
        lit, tint = _by_room(smooth, inside, log_small, kind, light), light.tint
        mirrored = np.zeros_like(lit)
    median = float(np.median(lit[inside > 0]))
    # Outside the mask the smooth light goes on, so that the soft edge does not pick up the neighbour's.
    weight = cv2.GaussianBlur(inside, (0, 0), radius)
    beyond = cv2.GaussianBlur(lit * inside, (0, 0), radius) / np.maximum(weight, 1e-6)
    beyond = np.where(weight > 1e-3, beyond, median)
    lit = np.where(inside > 0, lit, beyond).astype(np.float32)
    lit = np.clip(lit, median - 3.0, median + 1.6)
    sigma = max(1.0, _radius(min(working_side, max(shown))) / 2)
    if keep_detail > 0:
        fine = _relief(photo, alpha, max(0.5, sigma * height / shown[0]))[alpha > SOLID]
        # 1.4826: from the median deviation to the standard deviation of a normal distribution.
        contrast = 1.4826 * float(np.median(np.abs(fine)))
        keep_detail *= min(1.0, (RELIEF / max(contrast, 1e-6)) ** 2)
    return Shade(lit, tint, *shown, keep_detail, sigma, mirrored * inside)


def _radius(side: int) -> int:
    """Of the windows that smooth light is found in, pixels of a box with this long side."""
    return max(3, round(side / 60))


def _relief(photo: Image, alpha: NDArray[np.uint8], sigma: float) -> Float:
    """(H, W) log luminance of the surface without what is wider than sigma pixels, blind to what stands before it: a dark
    leaf would lighten the wall around it."""
    whole = np.asarray(cv2.LUT(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), _LOG_LIGHT), np.float32)
    inside = (alpha > SOLID).astype(np.float32)
    weight = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), np.float32(1e-3))
    mean = cv2.GaussianBlur(whole * inside, (0, 0), sigma) / weight
    return whole - np.asarray(mean, np.float32)


def _flat(shown: tuple[int, int], light: Light) -> Shade:
    """Of a surface too small to look at."""
    if isinstance(light, RoomLight):
        level, tint = float(np.log(light.level)), light.tint
    else:
        level, tint = light.on(np.ones(light.white.shape[:2], bool))
    none = np.zeros((1, 1), np.float32)
    return Shade(np.full((1, 1), level, np.float32), tint, *shown, 0.0, 1.0, none)


def _smooth(plain: Float, inside: Float, radius: int) -> Float:
    """Log light without the old surface's texture and pattern."""
    smooth = smooth_log(plain, inside, radius, TEXTURE_CONTRAST)
    smooth = smooth_log(smooth, inside, radius, TEXTURE_CONTRAST)
    return without_pattern(smooth, inside)


def _by_card(
    plain: Float, scene: LinearImage, inside: Float, radius: int, light: CardLight
) -> tuple[Float, Float, Float]:
    """Log light, its level and its colour from the card; luminance of what the old surface mirrors; that colour.

    Reflections are told by their colour where the surface has one of its own, and that first: else they would be a tone of
    it. Where it has none they are what is left that is far too bright, when tones are gone.
    """
    white = np.asarray(cv2.resize(light.white, plain.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    card = np.asarray(np.log(luminance(white)), np.float32)
    coarse = plain.shape[1] / light.white.shape[1]
    sigma = max(1.0, HIGHLIGHT_WINDOW * max(plain.shape))
    seen = np.stack([around(np.ascontiguousarray(scene[..., k]), inside, sigma) for k in range(3)], -1)
    own = own_color(seen, inside, light)
    old = np.zeros_like(plain)
    if own is not None:
        old = highlights(seen, _smooth(plain, inside, radius), inside, light, card, own)
    smooth = _smooth(without_tones(plain - old, inside, card, coarse), inside, radius)
    if own is None:
        old = highlights(seen, smooth, inside, light, card, None)
        smooth = smooth - old
    mirrored = np.asarray(np.exp(smooth + old) * -np.expm1(-old), np.float32)
    there = cv2.resize(inside, light.white.shape[1::-1], interpolation=cv2.INTER_AREA) > 0.5
    level, tint = light.on(there if there.any() else np.ones_like(there))
    return np.asarray(smooth - smooth[inside > 0].mean() + level, np.float32), mirrored, tint


def without_pattern(smooth: Float, inside: Float) -> Float:
    """Log light without what of the old surface's pattern the filter has left.

    A pattern repeats, so that each band of detail varies as much in most places as in any; where it varies more, that is a
    shadow's edge, or a patch of sun. A Wiener filter whose noise is the pattern (Lee, "Digital image enhancement
    and noise filtering by use of local statistics", 1980, eq. 7), in bands.
    """
    side, kept, rest = max(smooth.shape), np.zeros_like(smooth), smooth
    low, high = PATTERN_EVENNESS
    for part in PATTERN_BANDS:
        wider = around(rest, inside, max(1.0, part * side))
        band, rest = rest - wider, wider
        power = around(band * band, inside, max(1.0, 2 * part * side))
        within = power[inside > 0]
        usual = float(np.median(within))
        even = (usual / max(float(within.mean()), 1e-9) - low) / (high - low)
        pattern = np.float32(PATTERN_TIMES * usual * min(1.0, max(0.0, even)))
        kept += band * np.maximum(power - pattern, 0) / (power + np.float32(1e-7))
    return np.asarray(kept + rest, np.float32)


def own_color(seen: LinearImage, inside: Float, light: CardLight) -> Float | None:
    """(3,) shares of the surface's own colour; None where it is as colourless as the light. Arguments as `highlights`."""
    own = np.maximum(np.median(seen[inside > 0], 0), DARKEST)
    own = np.asarray(own / own.sum(), np.float32)
    return own if np.abs(np.log(own / (light.room / light.room.sum()))).max() >= COLORED else None


def highlights(
    seen: LinearImage, smooth: Float, inside: Float, light: CardLight, card: Float, own: Float | None
) -> Float:
    """How much of the log light on the old surface is mirrored, (h, w), 0 and more.

    Where the surface has a colour of its own, a pixel is so much of that and so much of the light's (the dichromatic
    model: Shafer, "Using color to separate reflection components", 1985, eq. 7), and both that and the card must say so.

    Args:
        seen: (h, w, 3) scene light, blurred over the window of a highlight.
        smooth: (h, w) log luminance of scene light without texture.
        inside: (h, w) 0 or 1.
        light: of the box.
        card: (h, w) its log luminance.
        own: (3,) as of `own_color`.
    """
    sigma = max(1.0, HIGHLIGHT_WINDOW * max(smooth.shape))
    over = around(np.asarray(smooth - card, np.float32), inside, sigma)
    over = over - np.median(over[inside > 0])
    if own is None:
        low, high = HIGHLIGHT_GREY
        t = np.clip((over - low) / (high - low), 0, 1)
        found = np.maximum(over, 0) * t * t * (3 - 2 * t)
    else:
        shares = seen @ np.linalg.pinv(np.stack([own, light.room / light.room.sum()], 1))[1]
        mirrored = np.clip(shares / np.maximum(seen.sum(-1), DARKEST), 0, 0.95)
        found = np.minimum(np.maximum(over - HIGHLIGHT_COLORED, 0), -np.log1p(-mirrored))
    return np.asarray(found * inside, np.float32)


def _by_room(smooth: Float, inside: Float, log_small: Float, kind: str, light: RoomLight) -> Float:
    """Log light, its level guessed from the white of the room and from what such surfaces are usually made of."""
    median = float(np.median(log_small[inside > 0]))
    here = np.exp(median) / TYPICAL_ALBEDO.get(kind, 0.4)
    level = np.clip(light.level**0.6 * here**0.4, 0.35 * light.level, 1.25 * light.level)
    # Its bright parts get no more light than the room's white does, and a little: else a surface that lies
    # mostly in shadow would glow where it does not.
    brightest = float(np.quantile(smooth[inside > 0], 0.95)) - median
    level = min(level, BRIGHT_OVER_WHITE * light.level / np.exp(brightest))
    return np.asarray(smooth - median + np.log(level), np.float32)
