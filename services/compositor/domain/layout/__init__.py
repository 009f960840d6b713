"""Layout: how pieces of material divide a surface. numpy in, numpy out.

located = locate(Layout(Herringbone(0.6, 0.1)), x, y)            which piece, and where in it
grout = grout_coverage(layout, located, ax, ay, short)           how much of each pixel is grout
s, t = sample(source, located, window(layout, located, source))  where in the picture of the material
"""

from services.compositor.domain.layout.basket import BasketWeave
from services.compositor.domain.layout.bond import Bond
from services.compositor.domain.layout.border import Bordered
from services.compositor.domain.layout.chevron import Chevron
from services.compositor.domain.layout.grout import coverage, grout_coverage
from services.compositor.domain.layout.herringbone import Herringbone
from services.compositor.domain.layout.hexagon import Hexagon, Penny
from services.compositor.domain.layout.piece import NO_PIECE, Located, Outlines, Pattern
from services.compositor.domain.layout.placement import Layout, around_corners, grout_fraction, locate, outlines
from services.compositor.domain.layout.planks import Planks, lengths_between
from services.compositor.domain.layout.strips import Carpet, Match, Mural, Wallpaper
from services.compositor.domain.layout.versailles import Versailles
from services.compositor.domain.layout.windows import Source, Window, direction, sample, window

__all__ = [
    "NO_PIECE",
    "BasketWeave",
    "Bond",
    "Bordered",
    "Carpet",
    "Chevron",
    "Herringbone",
    "Hexagon",
    "Layout",
    "Located",
    "Match",
    "Mural",
    "Outlines",
    "Pattern",
    "Penny",
    "Planks",
    "Source",
    "Versailles",
    "Wallpaper",
    "Window",
    "around_corners",
    "coverage",
    "direction",
    "grout_coverage",
    "grout_fraction",
    "lengths_between",
    "locate",
    "outlines",
    "sample",
    "window",
]
