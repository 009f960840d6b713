"""The demonstration range: materials that `make up` puts into the demo tenant's catalogue."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from services.catalog.domain import textures as t
from services.catalog.domain.product import Finish
from services.catalog.domain.textures import Color, Rng, Texture

# Raised when a generator changes, so that a seeded catalogue is brought up to date.
RANGE_VERSION = 1

OAK: list[Color] = [(150, 112, 72), (190, 152, 106), (214, 182, 138)]
PALE_OAK: list[Color] = [(186, 166, 138), (212, 196, 172), (230, 218, 198)]
SMOKED_OAK: list[Color] = [(74, 54, 38), (104, 78, 56), (132, 102, 76)]
WALNUT: list[Color] = [(62, 40, 26), (98, 66, 44), (130, 92, 64)]
ASH: list[Color] = [(186, 164, 130), (216, 198, 166), (234, 220, 194)]
GREY_ASH: list[Color] = [(126, 120, 112), (158, 152, 144), (184, 179, 171)]
PINE: list[Color] = [(196, 146, 84), (224, 180, 116), (238, 204, 148)]

Draw = Callable[[Rng], tuple[Texture, float, float]]


@dataclass(frozen=True)
class Item:
    """One article; `draw` is None for paint, whose colour is `color`."""

    sku: str
    display_name: str
    category: str
    price: Decimal
    finish: Finish
    piece_m: tuple[float, float] = (0.0, 0.0)
    draw: Draw | None = None
    color: Color | None = None

    def texture(self) -> tuple[Texture, float, float] | None:
        """(texture, repeat width m, repeat height m); the same for the same SKU and range version."""
        if self.draw is None:
            return None
        seed = [RANGE_VERSION, *self.sku.encode()]
        return self.draw(np.random.default_rng(seed))


def _plank(
    sku: str,
    name: str,
    price: str,
    colors: list[Color],
    finish: Finish,
    w: float = 0.18,
    length: float = 1.2,
    figure: float = 1.0,
) -> Item:
    return Item(
        sku,
        name,
        "flooring.plank",
        Decimal(price),
        finish,
        (w, length),
        lambda rng: t.planks(colors, rng, w, length, figure=figure),
    )


def _herringbone(sku: str, name: str, price: str, colors: list[Color]) -> Item:
    return Item(
        sku,
        name,
        "flooring.herringbone",
        Decimal(price),
        Finish.SATIN,
        (0.09, 0.45),
        lambda rng: t.herringbone(colors, rng),
    )


def _parquet(sku: str, name: str, price: str, colors: list[Color]) -> Item:
    return Item(
        sku, name, "flooring.parquet", Decimal(price), Finish.SATIN, (0.06, 0.30), lambda rng: t.parquet(colors, rng)
    )


def _tile(
    sku: str,
    name: str,
    kind: str,
    price: str,
    finish: Finish,
    field: str,
    tile: float,
    grid: int,
    base: Color,
    accent: Color,
    grout: Color,
    density: float = 1.0,
) -> Item:
    def draw(rng: Rng) -> tuple[Texture, float, float]:
        return t.tiles(field, rng, tile, grid, base, accent, grout, density=density)

    return Item(sku, name, f"flooring.tile.{kind}", Decimal(price), finish, (tile, tile), draw)


def _paint(sku: str, name: str, color: Color, finish: Finish = Finish.MATTE) -> Item:
    return Item(f"PNT-{sku}", f"{name} wall paint", "paint", Decimal("18.50"), finish, color=color)


ITEMS: tuple[Item, ...] = (
    _plank("FLR-OAK-NATURAL", "Natural oak plank", "54.90", OAK, Finish.SATIN),
    _plank("FLR-OAK-PALE", "Pale oak plank", "57.90", PALE_OAK, Finish.MATTE, 0.22, 1.2, 0.8),
    _plank("FLR-OAK-SMOKED", "Smoked oak plank", "62.90", SMOKED_OAK, Finish.SATIN),
    _plank("FLR-WALNUT", "American walnut plank", "79.00", WALNUT, Finish.SATIN, 0.15, 1.2),
    _plank("FLR-ASH", "White ash plank", "58.50", ASH, Finish.MATTE, 0.16, 1.1, 1.2),
    _plank("FLR-ASH-GREY", "Grey ash plank", "59.50", GREY_ASH, Finish.MATTE, 0.20, 1.2),
    _plank("FLR-PINE-WIDE", "Wide pine board", "39.90", PINE, Finish.GLOSS, 0.25, 1.3, 1.3),
    _herringbone("FLR-HERRINGBONE-OAK", "Oak herringbone", "72.00", OAK),
    _herringbone("FLR-HERRINGBONE-WALNUT", "Walnut herringbone", "94.00", WALNUT),
    _herringbone("FLR-HERRINGBONE-ASH", "Ash herringbone", "76.00", ASH),
    _parquet("FLR-PARQUET-OAK", "Oak basket parquet", "66.00", OAK),
    _parquet("FLR-PARQUET-SMOKED", "Smoked oak basket parquet", "69.00", SMOKED_OAK),
    _tile(
        "TIL-CERAMIC-WHITE",
        "White ceramic tile 30",
        "ceramic",
        "24.90",
        Finish.GLOSS,
        "ceramic",
        0.30,
        4,
        (238, 237, 233),
        (0, 0, 0),
        (190, 188, 183),
    ),
    _tile(
        "TIL-CERAMIC-GREY",
        "Grey porcelain tile 60",
        "ceramic",
        "34.90",
        Finish.SATIN,
        "ceramic",
        0.60,
        2,
        (150, 150, 148),
        (0, 0, 0),
        (110, 110, 108),
    ),
    _tile(
        "TIL-TERRACOTTA",
        "Terracotta tile 20",
        "ceramic",
        "29.90",
        Finish.MATTE,
        "ceramic",
        0.20,
        6,
        (184, 106, 72),
        (0, 0, 0),
        (176, 158, 138),
    ),
    _tile(
        "TIL-CHECKER",
        "Black and white tile 30",
        "ceramic",
        "31.90",
        Finish.GLOSS,
        "checker",
        0.30,
        4,
        (236, 235, 231),
        (34, 34, 36),
        (150, 148, 144),
    ),
    _tile(
        "TIL-MARBLE-CARRARA",
        "Carrara marble tile 60",
        "marble",
        "89.00",
        Finish.POLISHED,
        "marble",
        0.60,
        2,
        (236, 236, 234),
        (132, 138, 146),
        (210, 210, 208),
    ),
    _tile(
        "TIL-MARBLE-NERO",
        "Nero Marquina marble tile 60",
        "marble",
        "98.00",
        Finish.POLISHED,
        "marble",
        0.60,
        2,
        (32, 32, 36),
        (226, 224, 220),
        (40, 40, 42),
        0.6,
    ),
    _tile(
        "TIL-MARBLE-EMPERADOR",
        "Emperador marble tile 40",
        "marble",
        "84.00",
        Finish.POLISHED,
        "marble",
        0.40,
        3,
        (104, 74, 54),
        (204, 178, 146),
        (96, 74, 58),
        0.8,
    ),
    _tile(
        "TIL-TERRAZZO-LIGHT",
        "Light terrazzo tile 60",
        "terrazzo",
        "64.00",
        Finish.SATIN,
        "terrazzo",
        0.60,
        2,
        (226, 222, 214),
        (168, 112, 88),
        (206, 202, 194),
    ),
    _tile(
        "TIL-TERRAZZO-GREEN",
        "Green terrazzo tile 60",
        "terrazzo",
        "66.00",
        Finish.SATIN,
        "terrazzo",
        0.60,
        2,
        (120, 140, 126),
        (222, 214, 196),
        (112, 130, 118),
    ),
    Item(
        "WAL-BRICK-RED",
        "Red brick slip",
        "wall.brick",
        Decimal("46.00"),
        Finish.MATTE,
        (0.065, 0.21),
        lambda rng: t.bricks((158, 84, 62), 0.13, (186, 178, 166), rng),
    ),
    Item(
        "WAL-BRICK-WHITE",
        "Whitewashed brick slip",
        "wall.brick",
        Decimal("48.00"),
        Finish.MATTE,
        (0.065, 0.21),
        lambda rng: t.bricks((222, 216, 208), 0.05, (204, 199, 190), rng),
    ),
    Item(
        "CRP-WOOL-BEIGE",
        "Beige wool carpet",
        "flooring.carpet",
        Decimal("36.00"),
        Finish.MATTE,
        draw=lambda rng: t.carpet((196, 180, 156), 0.03, rng),
    ),
    Item(
        "CRP-LOOP-GREY",
        "Grey loop carpet",
        "flooring.carpet",
        Decimal("28.00"),
        Finish.MATTE,
        draw=lambda rng: t.carpet((132, 134, 138), 0.05, rng),
    ),
    Item(
        "CRP-VELVET-NAVY",
        "Navy velvet carpet",
        "flooring.carpet",
        Decimal("42.00"),
        Finish.MATTE,
        draw=lambda rng: t.carpet((38, 52, 82), 0.03, rng),
    ),
    Item(
        "WPR-DAMASK-SAGE",
        "Sage damask wallpaper",
        "wall.wallpaper",
        Decimal("32.00"),
        Finish.SATIN,
        (0.53, 10.05),
        lambda rng: t.damask_paper((198, 206, 188), (168, 180, 158), rng),
    ),
    Item(
        "WPR-STRIPE-BLUE",
        "Blue stripe wallpaper",
        "wall.wallpaper",
        Decimal("27.00"),
        Finish.MATTE,
        (0.53, 10.05),
        lambda rng: t.stripe_paper((236, 234, 226), (150, 172, 194), rng),
    ),
    Item(
        "WPR-BOTANICAL",
        "Botanical wallpaper",
        "wall.wallpaper",
        Decimal("41.00"),
        Finish.MATTE,
        (0.53, 10.05),
        lambda rng: t.leaf_paper((240, 236, 224), [(92, 122, 86), (132, 156, 112), (176, 180, 138)], rng),
    ),
    Item(
        "WPR-FAN-INDIGO",
        "Indigo fan wallpaper",
        "wall.wallpaper",
        Decimal("38.00"),
        Finish.MATTE,
        (0.53, 10.05),
        lambda rng: t.fan_paper((44, 58, 92), (206, 196, 168), rng),
    ),
    _paint("CHALK", "Chalk", (244, 242, 236)),
    _paint("LINEN", "Linen", (234, 226, 210)),
    _paint("OATMEAL", "Oatmeal", (216, 202, 178)),
    _paint("PUTTY", "Putty", (190, 178, 160)),
    _paint("DOVE", "Dove grey", (200, 200, 198)),
    _paint("SLATE", "Slate", (112, 120, 126), Finish.SATIN),
    _paint("GRAPHITE", "Graphite", (62, 64, 68), Finish.SATIN),
    _paint("SAGE", "Sage", (164, 178, 154)),
    _paint("FOREST", "Forest green", (52, 78, 62), Finish.SATIN),
    _paint("SKY", "Sky", (180, 204, 220)),
    _paint("DENIM", "Denim", (84, 110, 144)),
    _paint("MIDNIGHT", "Midnight blue", (34, 46, 74), Finish.GLOSS),
    _paint("BLUSH", "Blush", (228, 196, 186)),
    _paint("TERRACOTTA", "Terracotta", (190, 112, 84)),
    _paint("MUSTARD", "Mustard", (206, 162, 66)),
    _paint("AUBERGINE", "Aubergine", (84, 52, 74), Finish.SATIN),
)
