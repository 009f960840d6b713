"""What the compositor needs from the outside."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Write = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class LayerSpec:
    """One material on one surface; homography 9 numbers, metres to pixels of the photo, empty where it has no plane."""

    surface_id: str
    kind: str
    homography: tuple[float, ...]
    mask_key: str
    texture_digest: str
    repeat_width_m: float
    repeat_height_m: float
    color_rgb: int
    rotation_deg: float


@dataclass(frozen=True)
class RenderSpec:
    """All that a picture depends on; keys name pictures that never change."""

    room: str
    photo_key: str
    working_key: str
    width: int
    height: int
    layers: tuple[LayerSpec, ...]
    white_mask_keys: tuple[str, ...]
    light_key: str = ""


@dataclass(frozen=True)
class Export:
    """A kept picture. format is `jpeg`, `png` or `webp`."""

    image_key: str
    width: int
    height: int
    format: str
    size_bytes: int
    content_digest: str


class Pictures(Protocol):
    """Stored pictures, decoded; what was read of late is kept in memory."""

    async def rgb(self, key: str) -> NDArray[np.uint8]: ...

    async def grey(self, key: str) -> NDArray[np.uint8]: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Renders(Protocol):
    def save(self, tenant: str, operation: str, room: str, export: Export) -> Write: ...
