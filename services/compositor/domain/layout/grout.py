"""How much of a pixel is grout.

A pixel's footprint is taken for a box that looks across a joint: its coverage is the part of the box that the joint
fills, so that the sum over pixels is the joint's width, however thin. Joints of one family come again every pitch,
and the box is integrated over all of them: far away each family converges to its own share, and since joints of two
families are independent, one less the product of what they leave free is the pattern's share of grout.
"""

import numpy as np

from services.compositor.domain.layout.piece import Array, Located
from services.compositor.domain.layout.placement import Layout

# A footprint is at least this wide, metres: less is a point.
POINT_M = 1e-7


def coverage(
    distance: Array, half_width: Array | float, footprint: Array | float, pitch: Array | float | None = None
) -> Array:
    """The part of a box that lies in the joints: 0 to 1.

    Args:
        distance: metres from the box's middle to the piece's edge, negative in the joint.
        half_width: metres, half of the joint.
        footprint: metres, the box's width across the joint.
        pitch: metres from the middle of a joint to that of the next; None where there is one alone.
    """
    middle = distance + half_width
    size = np.maximum(footprint, POINT_M)

    def integral(t: Array) -> Array:
        if pitch is None:
            return np.clip(t, -half_width, half_width)
        number = np.round(t / pitch)
        return np.asarray(number * (2 * half_width) + np.clip(t - number * pitch, -half_width, half_width))

    return np.clip((integral(middle + size / 2) - integral(middle - size / 2)) / size, 0, 1)


def across(normal_deg: Array | float, ax: Array, ay: Array, short: Array) -> Array:
    """Width of a footprint's ellipse in a direction: metres.

    Args:
        normal_deg: the direction, on the surface.
        ax, ay: the ellipse's long axis as a vector, metres. short: the length of its short axis.
    """
    a = np.deg2rad(np.asarray(normal_deg, ax.dtype))
    c, s = np.cos(a), np.sin(a)
    # The axes are at right angles: the extent along n is the root of the sum of squares of both axes' parts.
    sine = (ax * s - ay * c) / np.maximum(np.hypot(ax, ay), POINT_M)
    return np.asarray(np.sqrt((ax * c + ay * s) ** 2 + (short * sine) ** 2))


def grout_coverage(layout: Layout, located: Located, ax: Array, ay: Array, short: Array) -> Array:
    """The part of each pixel that is grout, 0 to 1, of the dtype of the points.

    Args:
        located: what `locate` says of the pixels' middles.
        ax, ay, short: metres, the pixels' ellipses on the plane, as in `texture.Footprint`.
    """
    free = np.ones_like(located.u)
    lone = False
    for family in layout.pattern.edges(located):
        width = across(family.normal, ax, ay, short)
        free = free * (1 - coverage(family.distance, family.half_width, width, family.pitch))
        lone = lone or family.pitch is None
    if lone:
        # Families that do not go on fade into the mean, from pixels of an eighth of a piece to those of half of one.
        size = np.minimum(located.length, located.width)
        fade = np.clip((8 * np.hypot(ax, ay) / np.maximum(size, POINT_M) - 1) / 3, 0, 1)
        free = free + (1 - layout.pattern.grout_fraction() - free) * fade
    return 1 - free
