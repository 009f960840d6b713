"""What the catalogue sells."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import numpy as np

from roomviz.imaging.codec import Image
from roomviz.imaging.color import to_linear, to_srgb


class Finish(StrEnum):
    MATTE = "matte"
    SATIN = "satin"
    GLOSS = "gloss"
    POLISHED = "polished"


@dataclass(frozen=True)
class Material:
    """Lengths in metres; color_rgb sRGB 0xRRGGBB; texture_digest empty for paint."""

    repeat_width_m: float
    repeat_height_m: float
    piece_width_m: float
    piece_length_m: float
    finish: Finish
    texture_digest: str
    color_rgb: int


class Mount(StrEnum):
    """How a thing is put into a room."""

    LYING = "lying"
    WALL = "wall"
    STANDING = "standing"
    CEILING = "ceiling"


@dataclass(frozen=True)
class Cutout:
    """image_digest: of its PNG with alpha, the albedo of the thing. Lengths in metres; depth_m is the thickness of what
    lies or hangs flat."""

    image_digest: str
    width_m: float
    height_m: float
    depth_m: float
    mount: Mount


@dataclass(frozen=True)
class Product:
    """What covers a surface has a material, a thing has a cutout."""

    sku: str
    display_name: str
    category: str
    price: Decimal
    currency: str
    material: Material | None
    etag: str = ""
    update_time: datetime | None = None
    cutout: Cutout | None = None


def texture_key(digest: str) -> str:
    """Where a texture lies: by its content, so that it never changes under its key."""
    return f"textures/{digest}.png"


def cutout_key(digest: str) -> str:
    """Where the picture of a thing lies, by its content."""
    return f"cutouts/{digest}.png"


def mean_color(texture: Image) -> int:
    """sRGB 0xRRGGBB of a (H, W, 3) uint8 sRGB texture seen from afar: its mean in linear light."""
    r, g, b = to_srgb(np.asarray(to_linear(texture).mean((0, 1)), np.float32))
    return int(r) << 16 | int(g) << 8 | int(b)
