"""One picture from a photo and its layers: light, texture, shading, blend, inside the box of each mask."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear, to_srgb
from roomviz.imaging.homography import Matrix
from services.compositor.domain.shading import Light, RoomLight, card_in, response, room_light, shading
from services.compositor.domain.texture import Pyramid, footprint, lay

PAINT_DETAIL = 0.6
STRIP_ROWS = 256

Box = tuple[int, int, int, int]  # x, y, width, height


@dataclass(frozen=True)
class Layer:
    """A material on a surface. alpha (H, W) uint8 of the photo's size; pixel_from_plane in its pixels.

    Either `pyramid` is laid on the plane, or, where there is none, the surface is painted in `color`,
    (3,) linear RGB, which needs no plane.
    """

    kind: str
    alpha: NDArray[np.uint8]
    pixel_from_plane: Matrix | None
    pyramid: Pyramid | None
    color: NDArray[np.float32]


def soft_clip(image: LinearImage, knee: float = 0.8) -> LinearImage:
    """Values above `knee` approach 1 instead of being cut off."""
    over = np.maximum(image - knee, 0)
    return np.asarray(np.minimum(image, knee) + (1 - knee) * np.tanh(over / (1 - knee)), np.float32)


def light_of(photo: Image, white: NDArray[np.bool_]) -> RoomLight:
    """`room_light` of a photo (H, W, 3) uint8, looked at in small."""
    scale = min(1.0, 480 / max(photo.shape[:2]))
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(white.astype(np.uint8), (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST) > 0
    return room_light(to_linear(small.astype(np.uint8)), mask)


def _everywhere(light: RoomLight) -> Callable[[Box], Light]:
    return lambda box: light


def compose(photo: Image, layers: list[Layer], white: NDArray[np.bool_], card: Image | None = None) -> Image:
    """Lay each layer over the photo in turn.

    Args:
        photo: (H, W, 3) uint8 sRGB; not changed.
        layers: in order, later ones over earlier ones.
        white: (H, W) bool, walls and ceiling, from which the room's light is read where there is no card.
        card: (h, w, 3) uint8 sRGB, how a grey card would look in each part of the photo.

    Returns:
        (H, W, 3) uint8 sRGB. Pixels where every alpha is 0 are the photo's, to the bit.
    """
    light_in = _everywhere(light_of(photo, white)) if card is None else partial(card_in, card, photo.shape[:2])
    out = photo.copy()
    for layer in layers:
        x, y, w, h = cv2.boundingRect(layer.alpha)
        if w == 0 or h == 0:
            continue
        box = (slice(y, y + h), slice(x, x + w))
        textured = layer.pyramid is not None and layer.pixel_from_plane is not None
        light = light_in((x, y, w, h))
        lit, tint = shading(photo[box], layer.alpha[box], layer.kind, light, 0.0 if textured else PAINT_DETAIL)
        # In strips, so that what a layer needs beside the photo stays small however large the photo is.
        for top in range(0, h, STRIP_ROWS):
            rows = slice(top, min(h, top + STRIP_ROWS))
            strip = (slice(y + rows.start, y + rows.stop), box[1])
            alpha = layer.alpha[strip]
            if layer.pyramid is not None and layer.pixel_from_plane is not None:
                at = footprint(layer.pixel_from_plane, (x, y + rows.start, w, rows.stop - rows.start))
                albedo = lay(layer.pyramid, at)
            else:
                albedo = np.broadcast_to(layer.color, (*alpha.shape, 3))
            new = albedo * lit[rows, :, None] * tint
            new = soft_clip(new) if card is None else response(new)
            share = np.asarray(alpha / np.float32(255), np.float32)[..., None]
            mixed = to_linear(out[strip]) * (1 - share) + new * share
            np.copyto(out[strip], to_srgb(np.asarray(mixed, np.float32)), where=(alpha > 0)[..., None])
    return out
