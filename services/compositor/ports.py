"""What the compositor needs from the outside."""

import hashlib
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.lens import Lens
from services.compositor.domain.difference import Difference
from services.compositor.domain.layout import Layout
from services.compositor.domain.perspective import Corners, Plane, Reference
from services.compositor.domain.plate import Plate
from services.compositor.domain.staging.pose import Mount

Write = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Laid:
    """A material in pieces: its face, and how its pieces are laid. Lengths in metres, grout_rgb sRGB 0xRRGGBB."""

    layout: Layout
    face_digest: str
    face_width_m: float
    face_height_m: float
    grout_rgb: int
    grout_depth_m: float
    bevel_m: float


@dataclass(frozen=True)
class LayerSpec:
    """One material on one surface.

    bbox_px: x, y, width, height of the surface in the photo. laid: None where paint or the texture goes on as it is; then
    along_m: metres of other walls that a texture has run along before it comes to this one. finish is `matte`, `satin`,
    `gloss` or `polished`.
    """

    surface_id: str
    kind: str
    plane: Plane
    mask_key: str
    texture_digest: str
    repeat_width_m: float
    repeat_height_m: float
    color_rgb: int
    rotation_deg: float
    bbox_px: tuple[int, ...] = ()
    laid: Laid | None = None
    finish: str = "matte"
    product: str = ""
    along_m: float = 0.0

    @property
    def homography(self) -> tuple[float, ...]:
        """Metres to pixels of the photo, 9 numbers; empty where the surface has no plane."""
        return self.plane.homography


@dataclass(frozen=True)
class ThingSpec:
    """One cut-out on one surface. homography as a layer's; lengths in metres; at_m on the plane or at_px in the photo,
    neither: where the surface has most room. scale of the whole thing. mount: see domain.staging.pose."""

    product: str
    surface_id: str
    homography: tuple[float, ...]
    mount: Mount
    image_digest: str
    width_m: float
    height_m: float
    depth_m: float
    at_m: tuple[float, float] | None
    at_px: tuple[float, float] | None
    rotation_deg: float
    scale: float
    mirrored: bool


@dataclass(frozen=True)
class MaskedSurface:
    """A surface of the room: its homography (empty where it has no plane), the key of its mask, and x, y, width, height of
    that in the photo."""

    surface_id: str
    kind: str
    homography: tuple[float, ...]
    mask_key: str
    bbox_px: tuple[int, ...] = ()


@dataclass(frozen=True)
class PlacedThing:
    """Where a thing went: metres on its surface's plane, and its corners in pixels of the photo, from top left on."""

    surface_id: str
    at_m: tuple[float, float]
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Color:
    """How true the colour of a product is shown on a surface; colours sRGB 0xRRGGBB."""

    surface_id: str
    product: str
    asked_rgb: int
    shown_rgb: int
    delta_e00: float
    illuminant_rgb: int


@dataclass(frozen=True)
class Report:
    """What is told of a picture beside its pixels: colors, one a layer of which something is seen; scales: the planes that
    something was laid or put on, by surface id; placed: where its things went."""

    colors: tuple[Color, ...] = ()
    scales: dict[str, Plane] = field(default_factory=dict)
    placed: tuple[PlacedThing, ...] = ()


@dataclass(frozen=True)
class RenderSpec:
    """All that a picture depends on; keys name pictures that never change. planes: those of all surfaces that are sent,
    by id; corners and reference: what somebody set right of them; by_hand: the surfaces of which somebody has. relight is `day`, `warm`, `cool` or nothing."""

    room: str
    photo_key: str
    working_key: str
    width: int
    height: int
    layers: tuple[LayerSpec, ...]
    white_mask_keys: tuple[str, ...]
    light_key: str = ""
    things: tuple[ThingSpec, ...] = ()
    surfaces: tuple[MaskedSurface, ...] = ()
    planes: dict[str, Plane] = field(default_factory=dict)
    corners: tuple[Corners, ...] = ()
    reference: Reference | None = None
    relight: str = ""
    focal_length_px: float = 0.0
    radial_distortion: float = 0.0
    by_hand: frozenset[str] = frozenset()

    @property
    def lens(self) -> Lens:
        """In pixels of the photo."""
        return Lens.of(self.height, self.width, self.focal_length_px, self.radial_distortion)


@dataclass(frozen=True)
class Output:
    """How to write a picture. format `jpeg`, `png`, `webp` or `avif`; view `after`, `before`, `side_by_side` or `layer`;
    long_side: pixels, 0 for the photo's; preview: from the working photo, spliced."""

    format: str = "jpeg"
    view: str = "after"
    long_side: int = 0
    preview: bool = False


@dataclass(frozen=True)
class Generation:
    """What a generative model shall make up, where the mask is."""

    mask_key: str
    prompt: str
    seed: int


@dataclass(frozen=True)
class SheetSpec:
    """Pictures of height x width in rows of `columns`, by their receipts; an empty one is a place that stays grey."""

    receipts: tuple[str, ...]
    columns: int
    height: int
    width: int


@dataclass(frozen=True)
class Order:
    """A picture that somebody asked for. recipe: all of it as bytes, from which it can be rendered again; renderer:
    which one the recipe is for; sheet: where it is one of several, of which spec names the room."""

    tenant: str
    spec: RenderSpec
    output: Output
    renderer: str
    generation: Generation | None
    recipe: bytes
    sheet: SheetSpec | None = None

    @property
    def generated(self) -> bool:
        return self.generation is not None

    @property
    def receipt(self) -> str:
        return hashlib.sha256(self.recipe).hexdigest()


@dataclass(frozen=True)
class Export:
    """A kept picture."""

    image_key: str
    width: int
    height: int
    format: str
    size_bytes: int
    content_digest: str
    receipt: str
    report: Report = field(default_factory=Report)


class Plates(Protocol):
    """Plates that were made before, here or by another worker."""

    async def get(self, room: str, key: Hashable) -> Plate | None: ...

    def put(self, room: str, key: Hashable, plate: Plate) -> None: ...


class Pictures(Protocol):
    """Stored pictures, decoded; what was read of late is kept in memory."""

    async def rgb(self, key: str) -> NDArray[np.uint8]: ...

    async def sized(self, key: str, height: int, width: int) -> NDArray[np.uint8]:
        """`rgb` at this size."""

    async def grey(self, key: str) -> NDArray[np.uint8]: ...

    async def rgba(self, key: str) -> NDArray[np.uint8]: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Recipes(Protocol):
    """Recipes by the receipt that stands for them; one that is kept never changes."""

    async def keep(self, order: Order) -> None: ...

    async def get(self, receipt: str) -> Order | None: ...


class Judge(Protocol):
    async def compare(self, ours: bytes, theirs: bytes) -> Difference | None:
        """Decode both where a hostile file can do no harm, and say where they differ; None where that takes too long."""


class GenerativeBackend(Protocol):
    """A service that makes pictures up."""

    async def inpaint(
        self, picture: NDArray[np.uint8], mask: NDArray[np.uint8], prompt: str, seed: int
    ) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 sRGB with what the mask (H, W) covers made anew."""


class Files(Protocol):
    """Files that cannot be made again, by key."""

    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Renders(Protocol):
    def save(self, tenant: str, operation: str, room: str, export: Export) -> Write: ...


@dataclass(frozen=True)
class NewItem:
    """An item of a batch; error: its result, where it is known beforehand that it cannot be rendered."""

    item: bytes
    error: bytes | None


@dataclass(frozen=True)
class Taken:
    """An item that is ours for the length of a lease. strikes: how often it was begun and did not come to an end, this
    time included."""

    operation: str
    index: int
    attempt: int
    strikes: int
    tenant: str
    plan: bytes
    item: bytes


@dataclass(frozen=True)
class BatchCount:
    done: int
    total: int


@dataclass(frozen=True)
class ItemRecord:
    """What is known of an item; result and end_time None before its end."""

    index: int
    item: bytes
    result: bytes | None
    end_time: datetime | None


class Batches(Protocol):
    """Batches and their items. Plans, items and results are bytes here: the wire's own messages."""

    def keep(
        self, operation: str, tenant: str, plan: bytes, envelope: bytes, deadline: datetime, items: Sequence[NewItem]
    ) -> Write: ...

    async def take(self, lease_s: float) -> Taken | None:
        """An item that waits, for the length of the lease; None where none does."""

    async def hold(self, taken: Taken, lease_s: float) -> None:
        """Lengthen the lease from now on."""

    async def give_back(self, taken: Taken, after_s: float, forgive: bool) -> None:
        """Let others have it after a while; `forgive` the strike where it was no fault of the item's."""

    async def finish(self, taken: Taken, succeeded: bool, result: bytes) -> BatchCount | None:
        """Record what came of it, and end the batch if it was the last; None where another attempt has it."""

    async def cancel(self, operation: str, tenant: str, envelope: bytes, deadline: datetime) -> None:
        """Take no more of its items; before the batch itself arrives, too."""

    async def items(
        self, tenant: str, operation: str, offset: int, limit: int
    ) -> tuple[bytes | None, list[ItemRecord]]:
        """The plan and these items; None and nothing where the batch is not known."""
