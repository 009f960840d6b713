"""Colours as people see them: how far two are apart, and how one looks under another light.

Linear RGB is that of sRGB (IEC 61966-2-1), its white is D65, luminance 1.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.homography import Matrix

Vector = NDArray[np.float64]

# Source: IEC 61966-2-1:1999, 5.2, for the primaries of ITU-R BT.709.
XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ_FROM_RGB.sum(1)
# Cone responses. Source: Lam, "Metamerism and colour constancy", 1985; as in CIE 160:2004.
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def lab(linear: NDArray[np.floating]) -> Vector:
    """CIELAB (..., 3) of linear RGB (..., 3) under D65. Source: CIE 15:2004, 8.2.1."""
    t = np.asarray(linear, np.float64) @ XYZ_FROM_RGB.T / WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def linear(lab: Sequence[float] | Vector) -> Vector:
    """Linear RGB (..., 3) of CIELAB (..., 3) under D65, beyond 0 to 1 where sRGB has no such colour. The inverse of `lab`."""
    light, a, b = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    y = (light + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], -1)
    t = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    return np.asarray(t * WHITE @ np.linalg.inv(XYZ_FROM_RGB).T)


def delta_e00(one: Sequence[float] | Vector, other: Sequence[float] | Vector) -> float:
    """CIEDE2000 between two colours in CIELAB, all three weights 1 (Sharma, Wu & Dalal, "The CIEDE2000
    Color-Difference Formula", 2005, eq. 2 to 22)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 if a or b else 0.0 for a, b in ((a1, b1), (a2, b2)))
    dl, dc, dh = l2 - l1, c2 - c1, 0.0
    mean_h = h1 + h2
    if c1 * c2 != 0:
        dh = h2 - h1
        if abs(dh) > 180:
            mean_h += 360 if mean_h < 360 else -360
            dh += 360 if dh < 0 else -360
        mean_h /= 2
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh) / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    turn = 30 * np.exp(-(((mean_h - 275) / 25) ** 2))
    rc = 2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    sl = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    sc, sh = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    l, c, h = dl / sl, dc / sc, dh / sh
    return float(np.sqrt(l * l + c * c + h * h - np.sin(np.radians(2 * turn)) * rc * c * h))


def white_of(kelvin: float) -> Vector:
    """XYZ (3,), luminance 1, of light of this colour temperature: a lamp's below 4000 K (Kim et al., 2002, US patent
    7 024 034), daylight from there to 25 000 K (CIE 15:2004, eq. 3.3 and 3.4). From 1667 K."""
    t = 1e3 / kelvin
    if kelvin < 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
        cubic = (
            (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
            if kelvin < 2222
            else (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        )
        y = float(np.polyval(cubic, x))
    else:
        x = (
            -4.6070 * t**3 + 2.9678 * t**2 + 0.09911 * t + 0.244063
            if kelvin <= 7000
            else -2.0064 * t**3 + 1.9018 * t**2 + 0.24748 * t + 0.237040
        )
        y = -3 * x * x + 2.870 * x - 0.275
    return np.array([x / y, 1.0, (1 - x - y) / y])


def adaptation(source: Vector, target: Vector) -> Matrix:
    """(3, 3) on linear RGB: what was white under `source` looks like `target`, XYZ (3,) each, by von Kries' rule on the
    Bradford cones (CIE 160:2004, 5.2). Luminance of white is kept."""
    cones = BRADFORD @ XYZ_FROM_RGB
    source, target = source / source[1], target / target[1]
    ratio = (BRADFORD @ target) / (BRADFORD @ source)
    return np.asarray(np.linalg.inv(cones) @ np.diag(ratio) @ cones)
