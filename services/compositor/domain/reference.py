"""What a picture is, in NumPy: light, texture, shading, blend, inside the box of each mask.

The services run kernel.py, which comes to the same within a level or two of 255; tests compare the two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image
from roomviz.imaging.color import LinearImage, to_linear, to_srgb
from roomviz.imaging.homography import Matrix
from roomviz.imaging.lens import STRAIGHT, Lens
from services.compositor.domain.edges import rest, sharpened, sides
from services.compositor.domain.grain import grained, noise
from services.compositor.domain.layout import NO_PIECE, locate, sample, window
from services.compositor.domain.layout_plate import Pieces, spread
from services.compositor.domain.plate import PAINT_DETAIL, PAINT_GRAIN, box_of
from services.compositor.domain.relief import relief
from services.compositor.domain.shading import light_in, response, shade
from services.compositor.domain.sheen import sheen, whole
from services.compositor.domain.texture import Float, Footprint, Pyramid, footprint, lay, taps_of

STRIP_ROWS = 256
POINTS = 16  # that a pixel is looked up at where there are pieces


@dataclass(frozen=True)
class Layer:
    """A material on a surface. alpha (H, W) uint8 of the photo's size; pixel_from_plane in its pixels.

    Either `pyramid` is laid on the plane, or, where there is none, the surface is painted in `color`,
    (3,) linear RGB, which needs no plane. With `pieces` the pyramid is the material's face, and `color` the grout's.
    """

    kind: str
    alpha: NDArray[np.uint8]
    pixel_from_plane: Matrix | None
    pyramid: Pyramid | None
    color: NDArray[np.float32]
    pieces: Pieces | None = None
    finish: str = "matte"


def compose(
    photo: Image,
    layers: list[Layer],
    white: NDArray[np.bool_],
    card: Image | None = None,
    focal_length_px: float = 0.0,
    exact: bool = False,
    lens: Lens = STRAIGHT,
) -> Image:
    """Lay each layer over the photo in turn.

    Args:
        photo: (H, W, 3) uint8 sRGB; not changed.
        layers: in order, later ones over earlier ones.
        white: (H, W) bool, walls and ceiling, from which the room's light is read where there is no card.
        card: (h, w, 3) uint8 sRGB, how a grey card would look in each part of the photo.
        focal_length_px: of the photo; 0 where it is not known.
        exact: whether the card was measured and not guessed.
        lens: of the photo.

    Returns:
        (H, W, 3) uint8 sRGB. Pixels where every alpha is 0 are the photo's, to the bit.
    """
    light = light_in(photo, white, card, exact)
    grain = noise(photo)
    out, covered = photo.copy(), np.zeros(photo.shape[:2], np.uint8)
    for layer in layers:
        x, y, w, h = box_of(layer.alpha)
        if w == 0 or h == 0:
            continue
        box = (slice(y, y + h), slice(x, x + w))
        textured = layer.pyramid is not None and layer.pixel_from_plane is not None
        found = shade(photo[box], layer.alpha[box], layer.kind, light((x, y, w, h)), 0.0 if textured else PAINT_DETAIL)
        tint = found.tint
        lit = found.rows(photo[box], layer.alpha[box], 0, h)
        lit = grained(lit, (x, y), grain, 1.0 if textured else PAINT_GRAIN)
        added = sheen(
            photo,
            layer.alpha,
            (x, y, w, h),
            layer.kind,
            layer.finish,
            found.mirrored,
            tint,
            layer.pixel_from_plane,
            focal_length_px,
        )
        edge = sides(photo, layer.alpha[box], (x, y, w, h))
        more = whole(*added, h, w) if added is not None else np.zeros((h, 1, 3), np.float32)
        # In strips, so that what a layer needs for its texture stays small however large the photo is.
        for top in range(0, h, STRIP_ROWS):
            rows = slice(top, min(h, top + STRIP_ROWS))
            strip = (slice(y + rows.start, y + rows.stop), box[1])
            alpha = sharpened(photo[box], layer.alpha[box], edge, rows.start, rows.stop)
            if layer.pyramid is not None and layer.pixel_from_plane is not None:
                at = footprint(layer.pixel_from_plane, (x, y + rows.start, w, rows.stop - rows.start), lens=lens)
                if layer.pieces is None:
                    albedo = lay(layer.pyramid, at)
                else:
                    albedo, there = lay_pieces(layer.pyramid, layer.pieces, layer.color, at)
                    alpha = np.asarray(alpha * there + 0.5, np.uint8)
            else:
                albedo = np.broadcast_to(layer.color, (*alpha.shape, 3))
            new = response(albedo * lit[rows, :, None] * tint + more[rows])
            share = np.asarray(alpha / np.float32(255), np.float32)[..., None]
            mixed = to_linear(out[strip]) * (1 - share) + new * share
            soft = np.nonzero((alpha > 0) & (alpha < 255))
            cells = edge.colors[(soft[0] + rows.start) * edge.colors.shape[0] // h, soft[1] * edge.colors.shape[1] // w]
            before, so_far = to_linear(photo[strip])[soft], to_linear(out[strip])[soft]
            taken = np.asarray(covered[strip][soft][:, None] / np.float32(255), np.float32)
            mixed[soft] = rest(before, so_far, share[soft], taken, cells) + (new * share)[soft]
            covered[strip] += np.minimum(alpha, 255 - covered[strip])
            np.copyto(out[strip], to_srgb(np.asarray(mixed, np.float32)), where=(alpha > 0)[..., None])
    return out


def lay_pieces(face: Pyramid, pieces: Pieces, grout: NDArray[np.float32], at: Footprint) -> tuple[LinearImage, Float]:
    """A material in pieces as the camera sees it: (h, w, 3) float32 linear; and the part of each pixel where some lies.

    Every pixel is looked up at several points spread over its footprint, each in its own piece, at the sharpness that a
    texture has there.
    """
    layout, source = pieces.layout, pieces.source
    size = np.asarray(np.maximum(at.long / taps_of(face, at), at.short), np.float32)
    none = np.zeros_like(size)
    total, there = np.zeros((*size.shape, 3), np.float32), np.zeros_like(size)
    ratio = at.short / np.maximum(at.long, np.float32(1e-9))
    for along, aside in zip(*spread(POINTS), strict=True):
        x = np.asarray(at.x + along * at.ax - aside * at.ay * ratio, np.float32)
        y = np.asarray(at.y + along * at.ay + aside * at.ax * ratio, np.float32)
        found = locate(layout, x, y)
        s, t = sample(source, found, window(layout, found, source))
        lies = found.piece != NO_PIECE
        s, t = (np.where(lies, v, 0).astype(np.float32) for v in (s, t))
        total += lay(face, Footprint(s, t, none, none, size, size)) * lies[..., None]
        there += lies
    mean = total / np.maximum(there, 1)[..., None]
    shares = relief(layout, locate(layout, at.x, at.y), at.ax, at.ay, at.short, pieces.bevel_m, pieces.depth_m)
    albedo = mean * shares[0][..., None] + grout * shares[1][..., None]
    return np.asarray(np.minimum(albedo, 1), np.float32), np.asarray(there / POINTS, np.float32)
