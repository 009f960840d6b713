"""What the catalogue sells."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


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


@dataclass(frozen=True)
class Product:
    sku: str
    display_name: str
    category: str
    price: Decimal
    currency: str
    material: Material
    etag: str = ""
    update_time: datetime | None = None


def texture_key(digest: str) -> str:
    """Where a texture lies: by its content, so that it never changes under its key."""
    return f"textures/{digest}.png"
