"""The demonstration range: materials that `make up` puts into the demo tenant's catalogue."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np

from services.catalog.domain import faces as f
from services.catalog.domain import textures as t
from services.catalog.domain.product import Finish, Layout, Packaging
from services.catalog.domain.textures import Color, Rng, Texture

# Raised when a generator changes, so that a seeded catalogue is brought up to date.
RANGE_VERSION = 2
# Of all that is random in pictures: the same from version to version, as long as their generators are.
SEED = 1

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
    """One article; `draw` is None for paint, whose colour is `color`. What comes by the roll has its texture for a face."""

    sku: str
    display_name: str
    category: str
    price: Decimal
    finish: Finish
    piece_m: tuple[float, float] = (0.0, 0.0)
    draw: Draw | None = None
    color: Color | None = None
    draw_face: Draw | None = None
    layout: Layout | None = None
    rectified: bool = False
    packaging: Packaging = field(default_factory=Packaging)

    def texture(self) -> tuple[Texture, float, float] | None:
        """(texture, repeat width m, repeat height m); the same for the same SKU."""
        return None if self.draw is None else self.draw(np.random.default_rng([SEED, *self.sku.encode()]))

    def face(self) -> tuple[Texture, float, float] | None:
        """(face, width m, height m), None where it has none; the same for the same SKU."""
        if self.layout is None:
            return None
        if self.draw_face is None:
            return self.texture()
        return self.draw_face(np.random.default_rng([SEED, 1, *self.sku.encode()]))


def _grout(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _box(length: float, width: float, area: float) -> Packaging:
    """About so many square metres in a box."""
    return Packaging(pieces_per_box=max(1, round(area / (length * width))))


JOINT_M, JOINT_DEPTH_M, TILE_BEVEL_M = 0.003, 0.001, 0.0008


def _boards(pattern: str) -> Layout:
    """Boards against each other, their edges broken; between them is a hair of dark."""
    return Layout(pattern, grout_width_m=0.0004, grout_color_rgb=0x1C140E, grout_depth_m=0.002, bevel_m=0.0012)


def _plank(
    sku: str,
    name: str,
    price: str,
    colors: list[Color],
    finish: Finish,
    w: float = 0.18,
    length: float = 1.2,
    figure: float = 1.0,
    shortest: float = 0.0,
) -> Item:
    return Item(
        sku,
        name,
        "flooring.plank",
        Decimal(price),
        finish,
        (w, length),
        lambda rng: t.planks(colors, rng, w, length, figure=figure),
        draw_face=lambda rng: f.wood(colors, rng, length, 1.44, figure),
        layout=replace(_boards("plank"), min_length_m=shortest),
        rectified=True,
        packaging=_box((length + (shortest or length)) / 2, w, 2.0),
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
        draw_face=lambda rng: f.wood(colors, rng, 0.9, 1.08, 0.9),
        layout=_boards("herringbone"),
        rectified=True,
        packaging=_box(0.45, 0.09, 1.0),
    )


def _parquet(sku: str, name: str, price: str, colors: list[Color]) -> Item:
    return Item(
        sku,
        name,
        "flooring.parquet",
        Decimal(price),
        Finish.SATIN,
        (0.06, 0.30),
        lambda rng: t.parquet(colors, rng),
        draw_face=lambda rng: f.wood(colors, rng, 0.9, 1.08, 0.7),
        layout=_boards("basket_weave"),
        rectified=True,
        packaging=_box(0.30, 0.06, 1.0),
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

    faces: dict[str, Draw] = {
        "ceramic": lambda rng: f.ceramic(base, rng),
        "marble": lambda rng: f.marble(base, accent, density, tile, rng),
        "terrazzo": lambda rng: f.terrazzo(base, accent, rng),
    }
    laid = Layout(
        "grid",
        grout_width_m=JOINT_M,
        grout_color_rgb=_grout(grout),
        grout_depth_m=JOINT_DEPTH_M,
        bevel_m=TILE_BEVEL_M,
    )
    # Tiles of two colours have no one face.
    whole = field in faces
    return Item(
        sku,
        name,
        f"flooring.tile.{kind}",
        Decimal(price),
        finish,
        (tile, tile),
        draw,
        draw_face=faces.get(field),
        layout=laid if whole else None,
        rectified=field != "ceramic",
        packaging=_box(tile, tile, 1.44),
    )


def _paint(sku: str, name: str, color: Color, finish: Finish = Finish.MATTE) -> Item:
    sold = Packaging(coverage_m2_per_l=12.0, can_l=2.5)
    return Item(f"PNT-{sku}", f"{name} wall paint", "paint", Decimal("18.50"), finish, color=color, packaging=sold)


def _brick(sku: str, name: str, price: str, base: Color, spread: float, mortar: Color) -> Item:
    return Item(
        sku,
        name,
        "wall.brick",
        Decimal(price),
        Finish.MATTE,
        (0.065, 0.21),
        lambda rng: t.bricks(base, spread, mortar, rng),
        draw_face=lambda rng: f.clay(base, spread, rng),
        layout=Layout(
            "running_bond", grout_width_m=0.011, grout_color_rgb=_grout(mortar), grout_depth_m=0.004, bevel_m=0.002
        ),
        packaging=_box(0.21, 0.065, 0.5),
    )


def _carpet(sku: str, name: str, price: str, base: Color, fleck: float) -> Item:
    return Item(
        sku,
        name,
        "flooring.carpet",
        Decimal(price),
        Finish.MATTE,
        draw=lambda rng: t.carpet(base, fleck, rng),
        layout=Layout("carpet"),
    )


def _paper(sku: str, name: str, price: str, finish: Finish, draw: Draw) -> Item:
    return Item(
        f"WPR-{sku}",
        f"{name} wallpaper",
        "wall.wallpaper",
        Decimal(price),
        finish,
        (0.53, 10.05),
        draw,
        layout=Layout("wallpaper", match="straight"),
        packaging=Packaging(roll_length_m=10.05),
    )


ITEMS: tuple[Item, ...] = (
    _plank("FLR-OAK-NATURAL", "Natural oak plank", "54.90", OAK, Finish.SATIN),
    _plank("FLR-OAK-PALE", "Pale oak plank", "57.90", PALE_OAK, Finish.MATTE, 0.22, 1.2, 0.8),
    _plank("FLR-OAK-SMOKED", "Smoked oak plank", "62.90", SMOKED_OAK, Finish.SATIN),
    _plank("FLR-WALNUT", "American walnut plank", "79.00", WALNUT, Finish.SATIN, 0.15, 1.2),
    _plank("FLR-ASH", "White ash plank", "58.50", ASH, Finish.MATTE, 0.16, 1.1, 1.2),
    _plank("FLR-ASH-GREY", "Grey ash plank", "59.50", GREY_ASH, Finish.MATTE, 0.20, 1.2),
    _plank("FLR-PINE-WIDE", "Wide pine board", "39.90", PINE, Finish.GLOSS, 0.25, 1.3, 1.3, 0.5),
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
    _brick("WAL-BRICK-RED", "Red brick slip", "46.00", (158, 84, 62), 0.13, (186, 178, 166)),
    _brick("WAL-BRICK-WHITE", "Whitewashed brick slip", "48.00", (222, 216, 208), 0.05, (204, 199, 190)),
    _carpet("CRP-WOOL-BEIGE", "Beige wool carpet", "36.00", (196, 180, 156), 0.03),
    _carpet("CRP-LOOP-GREY", "Grey loop carpet", "28.00", (132, 134, 138), 0.05),
    _carpet("CRP-VELVET-NAVY", "Navy velvet carpet", "42.00", (38, 52, 82), 0.03),
    _paper(
        "DAMASK-SAGE",
        "Sage damask",
        "32.00",
        Finish.SATIN,
        lambda rng: t.damask_paper((198, 206, 188), (168, 180, 158), rng),
    ),
    _paper(
        "STRIPE-BLUE",
        "Blue stripe",
        "27.00",
        Finish.MATTE,
        lambda rng: t.stripe_paper((236, 234, 226), (150, 172, 194), rng),
    ),
    _paper(
        "BOTANICAL",
        "Botanical",
        "41.00",
        Finish.MATTE,
        lambda rng: t.leaf_paper((240, 236, 224), [(92, 122, 86), (132, 156, 112), (176, 180, 138)], rng),
    ),
    _paper(
        "FAN-INDIGO",
        "Indigo fan",
        "38.00",
        Finish.MATTE,
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
