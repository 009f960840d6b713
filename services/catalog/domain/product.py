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
    EGGSHELL = "eggshell"
    SATIN = "satin"
    GLOSS = "gloss"
    POLISHED = "polished"


@dataclass(frozen=True)
class Layout:
    """How a material's pieces are laid where nothing else is asked.

    Names are those of the proto `roomviz.v1.Layout`: pattern as in Pattern, in small letters without its prefix, match
    as in WallpaperMatch; 0 and empty are the pattern's own defaults. Lengths in metres; grout_color_rgb sRGB 0xRRGGBB.
    """

    pattern: str
    offset: float = 0.0
    min_stagger_m: float = 0.0
    min_length_m: float = 0.0
    angle_deg: float = 0.0
    match: str = ""
    reverse_hang: bool = False
    grout_width_m: float = 0.0
    grout_color_rgb: int = 0
    grout_depth_m: float = 0.0
    bevel_m: float = 0.0


@dataclass(frozen=True)
class Packaging:
    """How a material is sold; what does not apply is 0."""

    pieces_per_box: int = 0
    roll_length_m: float = 0.0
    coverage_m2_per_l: float = 0.0
    can_l: float = 0.0


@dataclass(frozen=True)
class Material:
    """Lengths in metres; color_rgb sRGB 0xRRGGBB; texture_digest empty for paint.

    The face is a seamless picture of the material without joints, a piece's length along its rows; its digest is empty
    where there is none, and then there is no layout. rectified: edges are ground to size.
    """

    repeat_width_m: float
    repeat_height_m: float
    piece_width_m: float
    piece_length_m: float
    finish: Finish
    texture_digest: str
    color_rgb: int
    face_digest: str = ""
    face_width_m: float = 0.0
    face_height_m: float = 0.0
    layout: Layout | None = None
    rectified: bool = False
    packaging: Packaging = Packaging()


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
    """Where a texture or a face lies: by its content, so that it never changes under its key."""
    return f"textures/{digest}.png"


def cutout_key(digest: str) -> str:
    """Where the picture of a thing lies, by its content."""
    return f"cutouts/{digest}.png"


def mean_color(texture: Image) -> int:
    """sRGB 0xRRGGBB of a (H, W, 3) uint8 sRGB texture seen from afar: its mean in linear light."""
    r, g, b = to_srgb(np.asarray(to_linear(texture).mean((0, 1)), np.float32))
    return int(r) << 16 | int(g) << 8 | int(b)
