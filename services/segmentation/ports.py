"""What segmentation needs from the outside."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.segmentation.domain.history import Event, History, Kind
from services.segmentation.domain.model import ModelCard
from services.segmentation.domain.record import AnalysisRecord, SurfaceRecord
from services.segmentation.domain.strokes import Stroke

# Writes in the transaction it is given.
Write = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Prediction:
    """surface_logits (N, 7, h/s, w/s) with s 2 or 4, junction_logits, normals and grey_card (N, 3, h/4, w/4), float32;
    model is name and version. A grey card of zeros: the model does not tell the light."""

    surface_logits: NDArray[np.float32]
    junction_logits: NDArray[np.float32]
    normals: NDArray[np.float32]
    grey_card: NDArray[np.float32]
    model: str


@dataclass(frozen=True)
class ModelPin:
    """Which network finds a tenant's surfaces. version: empty where it follows the newest; model: empty for the one that is
    served where nobody is pinned."""

    model: str
    version: str
    update_time: datetime


@dataclass(frozen=True)
class RawProposals:
    """predictions (37, A), prototypes (32, h/4, w/4), float32, of the fastsam contract; model is name and version."""

    predictions: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    model: str


class Proposer(Protocol):
    async def propose(self, image: NDArray[np.uint8]) -> RawProposals:
        """image (1, h, w, 3) uint8 sRGB, h and w multiples of 32."""


@dataclass(frozen=True)
class Embedding:
    """What a prompted network's encoder made of an input of (height, width); its decoder takes it as it is.

    tensors: by name; version: that made it, and whose decoder takes it.
    """

    height: int
    width: int
    tensors: dict[str, NDArray[Any]]
    version: str

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tensors.values())


@dataclass(frozen=True)
class RawMasks:
    """masks (M, h/4, w/4) float32 logits, scores (M,) float32: the IoU that is expected; model is name and version."""

    masks: NDArray[np.float32]
    scores: NDArray[np.float32]
    model: str


class Prompter(Protocol):
    async def embed(self, image: NDArray[np.uint8]) -> Embedding:
        """image (1, h, w, 3) uint8 sRGB, h and w multiples of 32."""

    async def masks(self, embedding: Embedding, coords: NDArray[np.float32], labels: NDArray[np.float32]) -> RawMasks:
        """coords (1, P, 2) float32, x and y in pixels of the image; labels (1, P) float32, as in `domain.prompted`."""


class Network(Protocol):
    async def predict(self, images: NDArray[np.uint8], model: str = "", version: str = "") -> Prediction:
        """images (N, h, w, 3) uint8 sRGB, h and w multiples of 32; model: empty for the one that is served where nobody is
        pinned; version: empty for its newest."""

    async def serves(self, model: str, version: str) -> bool:
        """Whether this version is ready."""

    async def probe(self) -> str:
        """What serves; raises Unavailable where the server, or the model that is served where nobody is pinned, is not ready."""

    async def finds_surfaces(self, model: str, version: str) -> bool:
        """Whether what is served under this name tells surfaces, junctions, normals and light."""


class Cards(Protocol):
    def all(self) -> list[ModelCard]: ...


class ModelPins(Protocol):
    """Which version a tenant is pinned to."""

    async def get(self, tenant: str) -> ModelPin | None: ...

    async def set(self, tenant: str, model: str, version: str) -> ModelPin:
        """Both empty to follow the newest."""


class Objects(Protocol):
    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Analyses(Protocol):
    async def get(self, tenant: str, room: str) -> AnalysisRecord | None:
        """The newest analysis, as it came out."""

    def save(self, tenant: str, operation: str, asked: float, record: AnalysisRecord) -> Write:
        """Keep the analysis, unless one that was asked for later is there. Where the room has a log, that is a step
        in it."""


@dataclass(frozen=True)
class Draft:
    """A step that is to be written. request_id is empty where the caller gave none; fingerprint tells requests apart."""

    kind: Kind
    surface_id: str
    strokes: tuple[Stroke, ...]
    surfaces: tuple[SurfaceRecord, ...]
    request_id: str
    fingerprint: str
    box: tuple[int, int, int, int] | None = None


class OpenLog(Protocol):
    """The log of one room, held so that nobody else adds to it meanwhile. surfaces: as they are now."""

    analysis: AnalysisRecord
    history: History
    surfaces: tuple[SurfaceRecord, ...]

    async def known(self, request_id: str, fingerprint: str) -> Event | None:
        """The step that this request made before. Raises Aborted where another request had the id."""

    async def at(self, step: Event | None) -> tuple[SurfaceRecord, ...]:
        """The surfaces after a step; those of the analysis for None."""

    async def add(self, draft: Draft) -> Event: ...


@dataclass(frozen=True)
class Log:
    """A room's log as it was read. surfaces: as they are now."""

    analysis: AnalysisRecord
    history: History
    events: tuple[Event, ...]
    surfaces: tuple[SurfaceRecord, ...]


class Refinements(Protocol):
    def opened(self, tenant: str, room: str) -> AbstractAsyncContextManager[OpenLog | None]:
        """The log for writing, in a transaction; None where the room was not analyzed."""

    async def read(self, tenant: str, room: str) -> Log | None:
        """None where the room was not analyzed."""

    async def at(self, tenant: str, room: str, revision: int) -> tuple[SurfaceRecord, ...]:
        """The surfaces after a step."""

    async def latest(self, tenant: str, room: str) -> AnalysisRecord | None:
        """The newest analysis with its surfaces as they are now; None where the room was not analyzed."""
