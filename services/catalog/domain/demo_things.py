"""The demonstration range's things: rugs, pictures, furniture, lamps and a plant, all drawn by us."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from services.catalog.domain import flatwork as f
from services.catalog.domain import things as t
from services.catalog.domain.demo_range import OAK, WALNUT
from services.catalog.domain.product import Mount
from services.catalog.domain.textures import Rng, Texture
from services.catalog.domain.things import Picture

# Raised when a drawing changes, so that a seeded catalogue is brought up to date.
THINGS_VERSION = 1


@dataclass(frozen=True)
class ThingItem:
    """One thing of the range."""

    sku: str
    display_name: str
    category: str
    price: Decimal
    mount: Mount
    draw: Callable[[Rng], Picture]

    def picture(self) -> Picture:
        """The same for the same SKU and version."""
        return self.draw(np.random.default_rng([THINGS_VERSION, *self.sku.encode()]))


def _flat(image: Texture, px_per_m: float, thickness_m: float) -> Picture:
    return Picture(image, image.shape[1] / px_per_m, image.shape[0] / px_per_m, thickness_m)


def _rug(sku: str, name: str, price: str, thickness_m: float, draw: Callable[[Rng], Texture]) -> ThingItem:
    return ThingItem(
        sku, name, "rug", Decimal(price), Mount.LYING, lambda rng: _flat(draw(rng), f.RUG_PX_PER_M, thickness_m)
    )


def _framed(sku: str, name: str, price: str, draw: Callable[[Rng], Texture]) -> ThingItem:
    return ThingItem(
        sku, name, "picture", Decimal(price), Mount.WALL, lambda rng: _flat(draw(rng), f.PICTURE_PX_PER_M, 0.022)
    )


def _piece(sku: str, name: str, category: str, price: str, draw: Callable[[Rng], Picture]) -> ThingItem:
    return ThingItem(sku, name, category, Decimal(price), Mount.STANDING, draw)


THINGS: tuple[ThingItem, ...] = (
    _rug(
        "RUG-DIAMOND-WOOL",
        "Cream wool rug with diamonds, 2 x 3 m",
        "349.00",
        0.018,
        lambda rng: f.diamond_rug(2.0, 3.0, (232, 224, 206), (58, 54, 50), rng),
    ),
    _rug(
        "RUG-MEDALLION-RED",
        "Red medallion rug, 1.7 x 2.4 m",
        "429.00",
        0.008,
        lambda rng: f.bordered_rug(1.7, 2.4, (122, 40, 38), (36, 46, 74), (218, 202, 170), rng),
    ),
    _rug(
        "RUG-JUTE-ROUND",
        "Round jute rug, 2 m",
        "189.00",
        0.012,
        lambda rng: f.round_rug(2.0, [(150, 120, 80), (206, 178, 132)], rng),
    ),
    _framed(
        "PIC-DUNES", "Dunes, framed, 90 x 65 cm", "129.00", lambda rng: f.dunes_picture(0.9, 0.65, (34, 32, 32), rng)
    ),
    _framed("PIC-ARCHES", "Arches, framed, 50 x 70 cm", "89.00", lambda rng: f.arches_picture(0.5, 0.7, OAK, rng)),
    _framed(
        "PIC-FERN", "Fern, framed, 40 x 55 cm", "69.00", lambda rng: f.fern_picture(0.4, 0.55, OAK, (84, 112, 72), rng)
    ),
    _piece(
        "SOFA-LINEN-3",
        "Grey three-seat sofa",
        "furniture.sofa",
        "1290.00",
        lambda rng: t.sofa((150, 156, 152), (196, 150, 70), 3, rng),
    ),
    _piece(
        "CHAIR-LOUNGE-GREEN",
        "Green armchair",
        "furniture.armchair",
        "590.00",
        lambda rng: t.sofa((86, 112, 104), (0, 0, 0), 1, rng),
    ),
    _piece(
        "TABLE-COFFEE-WALNUT",
        "Walnut coffee table",
        "furniture.table",
        "320.00",
        lambda rng: t.coffee_table(WALNUT, rng),
    ),
    _piece(
        "SIDEBOARD-OAK",
        "Oak sideboard",
        "furniture.sideboard",
        "780.00",
        lambda rng: t.sideboard(OAK, (226, 222, 212), rng),
    ),
    _piece("LAMP-FLOOR-LINEN", "Floor lamp", "lamp.floor", "149.00", lambda rng: t.floor_lamp((232, 222, 200), rng)),
    _piece("PLANT-RUBBER", "Rubber plant", "plant", "79.00", lambda rng: t.plant((72, 112, 64), (188, 120, 92), rng)),
    ThingItem(
        "LAMP-PENDANT-GREEN",
        "Green pendant lamp",
        "lamp.pendant",
        Decimal("119.00"),
        Mount.CEILING,
        lambda rng: t.pendant((52, 70, 62), (250, 240, 220)),
    ),
)
