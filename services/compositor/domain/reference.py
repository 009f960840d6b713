"""What a picture is, in NumPy: light, texture, shading, blend, inside the box of each mask.

The services run kernel.py, which comes to the same within a level or two of 255; tests compare the two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear, to_srgb
from roomviz.imaging.homography import Matrix
from services.compositor.domain.plate import PAINT_DETAIL, box_of
from services.compositor.domain.shading import light_in, response, shading
from services.compositor.domain.texture import Pyramid, footprint, lay

STRIP_ROWS = 256


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
    light = light_in(photo, white, card)
    out = photo.copy()
    for layer in layers:
        x, y, w, h = box_of(layer.alpha)
        if w == 0 or h == 0:
            continue
        box = (slice(y, y + h), slice(x, x + w))
        textured = layer.pyramid is not None and layer.pixel_from_plane is not None
        lit, tint = shading(
            photo[box], layer.alpha[box], layer.kind, light((x, y, w, h)), 0.0 if textured else PAINT_DETAIL
        )
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
            new = response(albedo * lit[rows, :, None] * tint)
            share = np.asarray(alpha / np.float32(255), np.float32)[..., None]
            mixed = to_linear(out[strip]) * (1 - share) + new * share
            np.copyto(out[strip], to_srgb(np.asarray(mixed, np.float32)), where=(alpha > 0)[..., None])
    return out
