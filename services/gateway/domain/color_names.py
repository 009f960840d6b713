"""Colours by name: the nearest of a list by CIEDE2000."""

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.color import linear_from_rgb24
from roomviz.imaging.colorimetry import delta_e00, lab

# sRGB. Greys by lightness; the others are those of CSS Color 4 where it has one by that name and people agree with it, and
# else from the middle of what the surveys behind ISCC-NBS (Kelly & Judd, "Color", 1976) and xkcd (2010) call so.
_NAMES = {
    "black": 0x141414,
    "charcoal": 0x36383A,
    "dark grey": 0x555555,
    "grey": 0x808080,
    "light grey": 0xB4B4B4,
    "very light grey": 0xD6D6D6,
    "white": 0xF6F6F6,
    "off-white": 0xEFEBE0,
    "cream": 0xF5ECC8,
    "beige": 0xD8C8AC,
    "greige": 0xB5AA9C,
    "taupe": 0x84786C,
    "tan": 0xD2B48C,
    "light brown": 0x9A7A58,
    "brown": 0x7B5033,
    "dark brown": 0x47301F,
    "grey-brown": 0x615247,
    "reddish brown": 0x7E3B2B,
    "terracotta": 0xC0664A,
    "orange": 0xF08020,
    "peach": 0xF3C2A0,
    "yellow": 0xF2D530,
    "pale yellow": 0xF2E698,
    "mustard": 0xC49A2C,
    "olive": 0x76752F,
    "lime green": 0x9ACD32,
    "green": 0x2E8B45,
    "dark green": 0x1F4A30,
    "grey-green": 0x78857A,
    "sage green": 0x9CAB8A,
    "mint": 0xBBE3CB,
    "teal": 0x1E7B7B,
    "turquoise": 0x45C4BF,
    "pale blue": 0xC3D8EA,
    "light blue": 0x8DBBDD,
    "blue": 0x2F63B8,
    "navy": 0x1C2A4F,
    "blue-grey": 0x71808F,
    "lavender": 0xBDB2DC,
    "purple": 0x6B3C93,
    "plum": 0x5E2E4D,
    "pink": 0xEE95AE,
    "pale pink": 0xEDD2D1,
    "red": 0xC8232C,
    "burgundy": 0x6A1B2A,
}
_LAB = {name: lab(linear_from_rgb24(rgb)) for name, rgb in _NAMES.items()}


def color_name(color: NDArray[np.float64]) -> str:
    """The name for a colour in CIELAB (3,), D65."""
    return min(_LAB, key=lambda name: delta_e00(_LAB[name], color))
