"""What segmentation needs from the outside."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.model import ModelCard
from services.segmentation.domain.record import AnalysisRecord

# Writes in the transaction it is given.
Write = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Prediction:
    """surface_logits (N, 7, h/s, w/s) with s 2 or 4, normals (N, 3, h/4, w/4), float32; model is name and version."""

    surface_logits: NDArray[np.float32]
    normals: NDArray[np.float32]
    model: str


@dataclass(frozen=True)
class Pin:
    """version: of the surface network; empty where the tenant follows the newest."""

    version: str
    update_time: datetime


class Network(Protocol):
    async def predict(self, images: NDArray[np.uint8], version: str = "") -> Prediction:
        """images (N, h, w, 3) uint8 sRGB, h and w multiples of 32; version: empty for the newest."""

    async def serves(self, model: str, version: str) -> bool:
        """Whether this version is ready."""


class Cards(Protocol):
    def all(self) -> list[ModelCard]: ...


class Pins(Protocol):
    """Which version a tenant is pinned to."""

    async def get(self, tenant: str) -> Pin | None: ...

    async def set(self, tenant: str, version: str) -> Pin:
        """version: empty to follow the newest."""


class Objects(Protocol):
    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Analyses(Protocol):
    async def get(self, tenant: str, room: str) -> AnalysisRecord | None: ...

    def save(self, tenant: str, operation: str, asked: float, record: AnalysisRecord) -> Write:
        """Keep the analysis, unless one that was asked for later is there."""
