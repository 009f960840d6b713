"""How much of a material to buy for a surface: what the photo shows of it, or the caller's own outline, laid and cut."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.codec import Image, preview_size, resize
from roomviz.imaging.homography import Matrix, scaled
from roomviz.imaging.lens import Lens
from roomviz.runtime.metrics import stage
from services.compositor.domain import perspective
from services.compositor.domain.layout import Bond, Bordered, Carpet, Layout, Mural, Pattern, Wallpaper
from services.compositor.domain.layout.polygon import Point
from services.compositor.domain.perspective import Corners, Plane, Reference
from services.compositor.domain.quantity import (
    EXACT,
    Boxes,
    Finding,
    Interval,
    NotMeasurable,
    Paint,
    Patches,
    Rolls,
    Surface,
    area,
    baseline,
    border_boxes,
    boxes,
    check,
    floor_corners,
    over_scale,
    paint,
    rolls,
    seen,
)
from services.compositor.domain.quantity.articles import articles
from services.compositor.domain.quantity.border import scaled as scaled_border
from services.compositor.ports import MaskedSurface, Pictures
from services.compositor.usecases.borders import bordered, walls_of

COATS, COATS_MAX = 2, 10
SCALE_MIN, SCALE_MAX = 0.1, 10.0
CORNERS_MAX, METRES_MAX = 1000, 1000.0
# What is laid and cut one by one within some seconds: pieces in the surface's bounding box, and those along its edges.
PIECES_MAX, EDGE_PIECES_MAX = 50_000, 2_500
# Things: what is put into a room, and hides floor and walls without ending them.
THINGS = ("furniture", "other")


@dataclass(frozen=True)
class Packaging:
    """How a material is sold; what does not apply is 0. See roomviz.v1.Packaging."""

    pieces_per_box: int
    roll_length_m: float
    coverage_m2_per_l: float
    can_l: float


@dataclass(frozen=True)
class BorderPieces:
    """What a border of its own product is laid of: pieces of length x width metres, so many in a box; tiles may be turned."""

    length_m: float
    width_m: float
    pieces_per_box: int
    tiles: bool


@dataclass(frozen=True)
class QuantityAsk:
    """What to count.

    height, width: of the photo, pixels. scale: true metres per stated metre. layout: None for what is not laid in
    pieces or strips. tiles: whether the pieces are tiles; else boards with tongues and grooves. outline: empty: as the
    photo shows it. coats: 0: as usual. true_scale: 0: not known. planes: of all surfaces, by id; corners and reference:
    what somebody set right of them.
    """

    part: MaskedSurface
    others: tuple[MaskedSurface, ...]
    height: int
    width: int
    scale: Interval
    layout: Layout | None
    is_paint: bool
    tiles: bool
    rectified: bool
    packaging: Packaging
    outline: tuple[Point, ...] = ()
    holes: tuple[tuple[Point, ...], ...] = ()
    coats: int = 0
    true_scale: float = 0.0
    planes: dict[str, Plane] = field(default_factory=dict)
    corners: tuple[Corners, ...] = ()
    reference: Reference | None = None
    focal_length_px: float = 0.0
    border: BorderPieces | None = None
    radial_distortion: float = 0.0

    @property
    def lens(self) -> Lens:
        return Lens.of(self.height, self.width, self.focal_length_px, self.radial_distortion)


def corrected(ask: QuantityAsk) -> QuantityAsk:
    """With its planes as somebody set them right. Raises InvalidArgument and NotFound as `perspective.corrected`."""
    if not ask.corners and ask.reference is None:
        return ask
    size = ask.height, ask.width
    planes = perspective.corrected(ask.planes, ask.corners, ask.reference, size, ask.focal_length_px, ask.lens)

    def at(part: MaskedSurface) -> MaskedSurface:
        return replace(part, homography=planes[part.surface_id].homography)

    mine = planes[ask.part.surface_id]
    scale = Interval(mine.low, 1.0, mine.high) if mine.high else ask.scale
    return replace(ask, part=at(ask.part), others=tuple(at(p) for p in ask.others), scale=scale)


@dataclass(frozen=True)
class Quantity:
    """boxes, rolls: for the best guess; count: of what is bought, for all of the scale's interval; None where the
    material is sold by its area alone. border: of a border's own product."""

    area_m2: Interval
    covered: Patches
    open_border: float
    count: Interval | None = None
    boxes: Boxes | None = None
    rolls: Rolls | None = None
    paint: Paint | None = None
    findings: list[Finding] = field(default_factory=list)
    border: Boxes | None = None
    border_count: Interval | None = None


@dataclass(frozen=True)
class EstimateQuantity:
    pictures: Pictures
    cpu: Executor

    async def __call__(self, ask: QuantityAsk) -> Quantity:
        """Count.

        Raises:
            InvalidArgument: OUTLINE_INVALID, COATS_INVALID, SCALE_INVALID, LAYOUT_INVALID, QUANTITY_TOO_LARGE, CORNERS_INVALID,
                REFERENCE_INVALID.
            FailedPrecondition: SURFACE_WITHOUT_PLANE, SURFACE_NOT_MEASURABLE, PRODUCT_WITHOUT_PACKAGING,
                ROLL_TOO_SHORT.
        """
        if not 0 <= ask.coats <= COATS_MAX:
            raise InvalidArgument("COATS_INVALID", f"coats is 0 to {COATS_MAX}")
        if ask.true_scale and not SCALE_MIN <= ask.true_scale <= SCALE_MAX:
            raise InvalidArgument("SCALE_INVALID", f"true_scale is 0, or {SCALE_MIN} to {SCALE_MAX}")
        _check_sold(ask)
        ask = corrected(ask)
        run = asyncio.get_running_loop().run_in_executor
        with stage("outline"):
            if ask.outline:
                covered, open_border = await run(self.cpu, _given, ask.outline, ask.holes), 0.0
            else:
                mask, others = await self._masks(ask)
                covered, open_border = await run(self.cpu, _measured, ask, mask, others)
        scale = EXACT if ask.outline else ask.scale
        if ask.true_scale:
            scale = Interval(ask.true_scale, ask.true_scale, ask.true_scale)
        ask = _bordered(ask, scale.low)
        with stage("count"):
            return await run(self.cpu, _counted, ask, covered, open_border, scale)

    async def _masks(self, ask: QuantityAsk) -> tuple[Image, list[Image]]:
        if not ask.part.homography:
            raise FailedPrecondition(
                "SURFACE_WITHOUT_PLANE",
                f"{ask.part.surface_id} has no plane to measure on; give its outline",
                {"surface": ask.part.surface_id},
            )
        mask, *others = await asyncio.gather(*(self.pictures.grey(p.mask_key) for p in (ask.part, *ask.others)))
        return mask, others


def _check_sold(ask: QuantityAsk) -> None:
    """Whether the material tells how it is sold, and is laid in a way that can be counted."""
    sold, laid = ask.packaging, ask.layout.pattern if ask.layout else None
    if ask.is_paint:
        told = sold.coverage_m2_per_l > 0 and sold.can_l > 0
    elif isinstance(laid, Wallpaper):
        told = sold.roll_length_m > 0
    else:
        told = laid is None or isinstance(laid, Carpet | Mural) or sold.pieces_per_box > 0
    if not told:
        raise FailedPrecondition("PRODUCT_WITHOUT_PACKAGING", "the product does not tell how it is sold")
    if ask.border is not None and ask.border.pieces_per_box <= 0:
        raise FailedPrecondition("PRODUCT_WITHOUT_PACKAGING", "the border's product does not tell how it is sold")
    if isinstance(laid, Bordered) and isinstance(_field(laid), Wallpaper | Carpet | Mural):
        raise InvalidArgument("LAYOUT_INVALID", "a border is counted around what is laid in pieces")


def _bordered(ask: QuantityAsk, least: float) -> QuantityAsk:
    """A border that was given no outline runs along what is laid, or along the walls. least: of the scale."""
    border = ask.layout.pattern if ask.layout else None
    if ask.layout is None or not isinstance(border, Bordered) or border.outline:
        return ask
    if not ask.outline:
        walls = walls_of(ask.others, ask.planes)
        size = ask.height, ask.width
        return replace(ask, layout=bordered(ask.layout, ask.part, walls, size, ask.lens, least))
    ring = ask.outline[:-1] if ask.outline[0] == ask.outline[-1] else ask.outline
    try:
        return replace(ask, layout=replace(ask.layout, pattern=replace(border, outline=ring)))
    except ValueError as error:
        raise InvalidArgument("LAYOUT_INVALID", str(error)) from error


def _given(outline: Sequence[Point], holes: Sequence[Sequence[Point]]) -> Patches:
    numbers = np.array([p for ring in (outline, *holes) for p in ring], float)
    if len(numbers) > CORNERS_MAX or min(len(ring) for ring in (outline, *holes)) < 3:
        raise InvalidArgument(
            "OUTLINE_INVALID", f"an outline has 3 corners or more, all together {CORNERS_MAX} at most"
        )
    if not (np.abs(numbers) <= METRES_MAX).all():  # nor what is not a number
        raise InvalidArgument("OUTLINE_INVALID", f"corners lie within {METRES_MAX:.0f} m")
    room, *without = [shapely.Polygon(ring) for ring in (outline, *holes)]
    if not all(p.is_valid and p.area > 0 for p in (room, *without)):
        raise InvalidArgument("OUTLINE_INVALID", "an outline does not cross itself, and has an area")
    left = shapely.difference(room, shapely.union_all(without)) if without else room
    parts = [p for p in shapely.get_parts(left) if isinstance(p, shapely.Polygon) and p.area > 1e-6]
    if not parts:
        raise InvalidArgument("OUTLINE_INVALID", "the holes leave nothing to cover")
    return Patches(tuple(Surface.of(p) for p in parts))


def _measured(ask: QuantityAsk, mask: Image, others: Sequence[Image]) -> tuple[Patches, float]:
    """What the photo shows, at the size of a preview at most."""
    height, width = preview_size(ask.height, ask.width)

    def small(image: Image) -> NDArray[np.bool_]:
        return resize(image, height, width) > 127

    def plane(part: MaskedSurface) -> Matrix:
        return scaled(np.array(part.homography, float).reshape(3, 3), width / ask.width, height / ask.height)

    lens = ask.lens.scaled(width / ask.width, height / ask.height)
    inside, hides, lines = small(mask), np.zeros((height, width), bool), []
    for part, image in zip(ask.others, others, strict=True):
        if part.kind in THINGS:
            hides |= small(image)
        elif part.kind == "wall" and part.homography and ask.part.kind == "floor":
            line = baseline(small(image), plane(part), lens)
            lines += [line] if line is not None else []
    corners = floor_corners(inside, lines)
    if ask.part.kind == "wall":
        line = baseline(inside, plane(ask.part), lens)
        corners += [(float(x), float(y)) for x, y in line] if line is not None else []
    try:
        found = seen(inside, hides, plane(ask.part), corners, lens)
    except NotMeasurable as error:
        raise FailedPrecondition(
            "SURFACE_NOT_MEASURABLE", f"{error}; give its outline", {"surface": ask.part.surface_id}
        ) from error
    return found.patches, found.open_border


def _counted(ask: QuantityAsk, covered: Patches, open_border: float, scale: Interval) -> Quantity:
    square = area(covered, scale)
    sold = ask.packaging
    if ask.is_paint:
        cans = paint(square, ask.coats or COATS, sold.coverage_m2_per_l, sold.can_l)
        return Quantity(square, covered, open_border, paint=cans)
    layout = ask.layout
    if layout is None or isinstance(layout.pattern, Carpet | Mural):
        return Quantity(square, covered, open_border)
    at_best = covered.scaled(scale.value)
    if isinstance(layout.pattern, Wallpaper):
        _check_size(covered.scaled(scale.high), layout.pattern.roll_width_m, layout.pattern.roll_width_m)
        try:
            strips = rolls(layout, at_best, sold.roll_length_m)
            count = over_scale(covered, scale, lambda s: float(rolls(layout, s, sold.roll_length_m).rolls))
        except ValueError as error:
            raise FailedPrecondition("ROLL_TOO_SHORT", str(error)) from error
        return Quantity(square, covered, open_border, count, rolls=strips)
    pattern = _field(layout.pattern)
    of = articles(pattern)
    _check_size(covered.scaled(scale.high), float(of.length_m.min()), float(of.width_m.min()))
    per_box = of.per_box(sold.pieces_per_box)
    findings = check(pattern, ask.rectified) if ask.tiles else []  # type: ignore[arg-type]

    def bought(factor: float) -> tuple[Boxes, Boxes | None]:
        """For a surface that is so many times as large as stated; a border's outline grows with it."""
        larger = covered.scaled(factor)
        if not isinstance(layout.pattern, Bordered):
            return boxes(layout, larger, per_box, ask.tiles), None
        try:
            bordered = scaled_border(layout.pattern, factor)
            field = boxes(replace(layout, pattern=bordered), larger, per_box, ask.tiles, border_too=ask.border is None)
            return field, _border(bordered, larger, ask.border) if ask.border else None
        except ValueError as error:
            raise InvalidArgument("LAYOUT_INVALID", str(error)) from error

    ends = [bought(k) for k in {scale.low, scale.high} - {scale.value}]
    best, border = bought(scale.value)
    count = _interval(best, [field for field, _ in ends])
    around = _interval(border, [edge for _, edge in ends if edge]) if border else None
    return Quantity(
        square, covered, open_border, count, boxes=best, findings=findings, border=border, border_count=around
    )


def _field(pattern: Pattern) -> Pattern:
    """What is laid inside of a border, where there is one."""
    return pattern.field.pattern if isinstance(pattern, Bordered) and pattern.field else pattern


def _border(border: Bordered, covered: Patches, laid_of: BorderPieces) -> Boxes:
    of = articles(Bond(laid_of.length_m, laid_of.width_m))
    return border_boxes(border, covered, of, laid_of.pieces_per_box, laid_of.tiles)


def _interval(best: Boxes, others: list[Boxes]) -> Interval:
    counts = [float(b.boxes) for b in (*others, best)]
    return Interval(min(counts), counts[-1], max(counts))


def _check_size(covered: Patches, length_m: float, width_m: float) -> None:
    x0, y0, x1, y1 = covered.polygon().bounds
    # The pattern may be turned.
    pieces = np.hypot(x1 - x0, y1 - y0) ** 2 / (length_m * width_m)
    at_edge = covered.polygon().length / min(length_m, width_m)
    if pieces > PIECES_MAX or at_edge > EDGE_PIECES_MAX:
        raise InvalidArgument(
            "QUANTITY_TOO_LARGE",
            "these are too many pieces to lay one by one: count a part of the surface, or larger pieces",
            {"pieces_max": str(PIECES_MAX), "edge_pieces_max": str(EDGE_PIECES_MAX)},
        )
