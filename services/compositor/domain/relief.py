"""How joints and the broken edges of pieces look: recesses that see less of the room, and slopes that face the light.

Light from all sides reaches the ground of a groove in the part of the sky that it sees: for a groove as deep as a
times its width that is sqrt(1 + a^2) - a in the mean (two opposed strips without ends; Howell, "A Catalog of Radiation
Heat Transfer Configuration Factors", C-1), and for a slope of 45 degrees that faces its like sin(45 degrees).
Where light comes from in a photo is not known: a third of it is taken to come from above the picture, as from a window
or a lamp that faces the camera, so that the two slopes of a joint differ. What is thinner than a pixel counts by the
part of the pixel that it covers, and the two slopes of a joint then cancel.
"""

import numpy as np

from services.compositor.domain.layout import Layout, Located
from services.compositor.domain.layout.grout import POINT_M, across, coverage, grout_coverage
from services.compositor.domain.layout.piece import Array, Edges

# What a slope loses for facing its like; how much more or less the light from one side makes of it; where it is from.
OCCLUDED = 1 - float(np.sin(np.pi / 4))
CONTRAST = 0.22
LIGHT = (-0.35, -0.94)


def relief(
    layout: Layout, located: Located, ax: Array, ay: Array, short: Array, bevel_m: float, depth_m: float
) -> tuple[Array, Array]:
    """What to multiply the albedo of the face and that of the grout by, before both are added.

    Args:
        located: what `locate` says of the pixels' middles.
        ax, ay, short: metres, the pixels' ellipses on the plane, as in `texture.Footprint`.
        bevel_m: width of the slope at the edges of pieces. depth_m: how far the grout lies below the face.
    """
    grout = grout_coverage(layout, located, ax, ay, short)
    face = 1 - grout
    if bevel_m > 0:
        for family in layout.pattern.edges(located):
            face = face + _slopes(family, located, ax, ay, short, bevel_m)
    width = max((float(np.max(f.half_width)) * 2 for f in layout.pattern.edges(located)), default=0.0)
    deep = depth_m / max(width, POINT_M)
    return np.clip(face, 0, None), grout * (np.sqrt(1 + deep * deep) - deep)


def _slopes(family: Edges, located: Located, ax: Array, ay: Array, short: Array, bevel_m: float) -> Array:
    """What the slopes on both sides of a joint add to the light of a pixel."""
    pixel = np.maximum(across(family.normal, ax, ay, short), POINT_M)
    half = np.asarray(family.half_width)
    joints = coverage(family.distance, half, pixel, family.pitch)
    both = coverage(family.distance - bevel_m, half + bevel_m, pixel, family.pitch) - joints
    middle = family.distance + half
    low, high = middle - pixel / 2, middle + pixel / 2
    mine = np.clip(high, half, half + bevel_m) - np.clip(low, half, half + bevel_m)
    beyond = np.clip(high, -half - bevel_m, -half) - np.clip(low, -half - bevel_m, -half)
    # Pieces are alike on both sides of their middle, so their nearest edge of a family lies away from it.
    a = np.deg2rad(np.asarray(family.normal, pixel.dtype))
    turned = np.deg2rad(located.rotation)
    u = np.where(np.isfinite(located.length), located.u - located.length / 2, 0)
    v = np.where(np.isfinite(located.width), located.v - located.width / 2, 0)
    x, y = np.cos(turned) * u - np.sin(turned) * v, np.sin(turned) * u + np.cos(turned) * v
    outward = np.where(np.cos(a) * x + np.sin(a) * y >= 0, 1, -1)
    facing = outward * (np.cos(a) * LIGHT[0] + np.sin(a) * LIGHT[1])
    slopes = CONTRAST * facing * (mine - beyond) / pixel - OCCLUDED * both
    # Joints of no width have slopes too; but where a width varies, 0 says that this is none of the family's.
    return np.asarray(slopes if half.ndim == 0 else slopes * (half > 0))
