"""Between protos and the compositor's own words."""

from roomviz.errors import RoomvizError
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.runtime.rpc import from_status, to_status
from roomviz.v1 import layouts_pb2, products_pb2, refinements_pb2, rooms_pb2, visualizations_pb2
from services.compositor.domain.perspective import Corners, Plane, Reference
from services.compositor.domain.staging.pose import Mount
from services.compositor.domain.version import renderer
from services.compositor.ports import (
    Export,
    Generation,
    Laid,
    LayerSpec,
    MaskedSurface,
    Order,
    Output,
    PlacedThing,
    RenderSpec,
    Report,
    SheetSpec,
    ThingSpec,
)
from services.compositor.transport.layouts import layout_from_proto
from services.compositor.usecases.compare import Sheet, Tile
from services.compositor.usecases.picture import Made
from services.compositor.usecases.receipts import Verified

FORMATS = {
    visualizations_pb2.IMAGE_FORMAT_UNSPECIFIED: "jpeg",
    visualizations_pb2.IMAGE_FORMAT_JPEG: "jpeg",
    visualizations_pb2.IMAGE_FORMAT_PNG: "png",
    visualizations_pb2.IMAGE_FORMAT_WEBP: "webp",
    visualizations_pb2.IMAGE_FORMAT_AVIF: "avif",
}
VIEWS = {
    visualizations_pb2.VIEW_UNSPECIFIED: "after",
    visualizations_pb2.VIEW_AFTER: "after",
    visualizations_pb2.VIEW_BEFORE: "before",
    visualizations_pb2.VIEW_SIDE_BY_SIDE: "side_by_side",
    visualizations_pb2.VIEW_LAYER: "layer",
}


def order_of(
    tenant: str,
    spec: compositor_pb2.RenderSpec,
    output: compositor_pb2.Output,
    generation: compositor_pb2.Generation | None = None,
) -> Order:
    """What is asked for now, of this renderer."""
    recipe = compositor_pb2.Recipe(tenant=tenant, spec=spec, output=output, renderer=renderer(), generation=generation)
    return _order(recipe, recipe.SerializeToString(deterministic=True))


def sheet_order(tenant: str, room: str, sheet: SheetSpec) -> Order:
    """A sheet of pictures that have receipts."""
    recipe = compositor_pb2.Recipe(
        tenant=tenant,
        spec=compositor_pb2.RenderSpec(room=room),
        renderer=renderer(),
        sheet=compositor_pb2.Sheet(
            receipts=sheet.receipts,
            columns=sheet.columns,
            tile_width_px=sheet.width,
            tile_height_px=sheet.height,
        ),
    )
    return _order(recipe, recipe.SerializeToString(deterministic=True))


def order_from_recipe(data: bytes) -> Order:
    """What was asked for once. Its receipt is the digest of the stored bytes, however they would be written today."""
    return _order(compositor_pb2.Recipe.FromString(data), data)


def _order(p: compositor_pb2.Recipe, data: bytes) -> Order:
    o = p.output
    output = Output(FORMATS[o.format], VIEWS[o.view], o.long_side_px, o.preview)
    g = p.generation
    generation = Generation(g.surface.mask_key, g.prompt, g.seed) if p.HasField("generation") else None
    s = p.sheet
    sheet = None
    if p.HasField("sheet"):
        sheet = SheetSpec(tuple(s.receipts), s.columns, s.tile_height_px, s.tile_width_px)
    return Order(p.tenant, spec_from_proto(p.spec), output, p.renderer, generation, data, sheet)


def verified_to_proto(v: Verified) -> visualizations_pb2.VerifyRenderResponse:
    return visualizations_pb2.VerifyRenderResponse(
        verdict=f"RENDER_VERDICT_{v.verdict.upper()}",
        receipt=v.receipt,
        room=v.room,
        altered_px=v.altered or (),
        generated=v.generated,
    )


MOUNTS: dict[products_pb2.Mount, Mount] = {
    products_pb2.MOUNT_LYING: "lying",
    products_pb2.MOUNT_WALL: "wall",
    products_pb2.MOUNT_STANDING: "standing",
    products_pb2.MOUNT_CEILING: "ceiling",
}
_RELIGHT = {
    visualizations_pb2.RELIGHT_UNSPECIFIED: "",
    visualizations_pb2.RELIGHT_DAY: "day",
    visualizations_pb2.RELIGHT_WARM: "warm",
    visualizations_pb2.RELIGHT_COOL: "cool",
}


def spec_from_proto(p: compositor_pb2.RenderSpec) -> RenderSpec:
    layers = tuple(
        LayerSpec(
            layer.surface.surface_id,
            _kind(layer.surface),
            plane_from_proto(layer.surface),
            layer.mask_key,
            layer.material.texture_digest,
            layer.material.repeat_width_m,
            layer.material.repeat_height_m,
            layer.material.color_rgb,
            layer.rotation_deg,
            tuple(layer.surface.bbox_px),
            laid_from_proto(layer) if layer.HasField("layout") else None,
            products_pb2.Finish.Name(layer.material.finish).removeprefix("FINISH_").lower(),
            layer.product,
        )
        for layer in p.layers
    )
    surfaces = [*(s.surface for s in p.surfaces), *(la.surface for la in p.layers), *(t.surface for t in p.things)]
    return RenderSpec(
        p.room,
        p.photo_key,
        p.working_key,
        p.width_px,
        p.height_px,
        layers,
        tuple(p.white_mask_keys),
        p.light_key,
        tuple(_thing(thing) for thing in p.things),
        tuple(masked_from_proto(s.surface, s.mask_key) for s in p.surfaces),
        {s.surface_id: plane_from_proto(s) for s in surfaces},
        tuple(corners_from_proto(c) for c in p.planes),
        reference_from_proto(p.reference) if p.HasField("reference") else None,
        _RELIGHT[p.relight],
        p.focal_length_px,
        p.radial_distortion,
    )


def _kind(surface: rooms_pb2.Surface) -> str:
    return rooms_pb2.SurfaceKind.Name(surface.kind).removeprefix("SURFACE_KIND_").lower()


def masked_from_proto(surface: rooms_pb2.Surface, mask_key: str) -> MaskedSurface:
    homography, box = tuple(surface.plane.homography), tuple(surface.bbox_px)
    return MaskedSurface(surface.surface_id, _kind(surface), homography, mask_key, box)


def _thing(p: compositor_pb2.Thing) -> ThingSpec:
    given, cutout, position = p.placement, p.cutout, p.placement.WhichOneof("position")
    return ThingSpec(
        given.product,
        p.surface.surface_id,
        tuple(p.surface.plane.homography),
        MOUNTS[cutout.mount],
        cutout.image_digest,
        cutout.width_m,
        cutout.height_m,
        cutout.depth_m,
        (given.at_m.x_m, given.at_m.y_m) if position == "at_m" else None,
        (given.at_px.x, given.at_px.y) if position == "at_px" else None,
        given.rotation_deg,
        given.scale or 1.0,
        given.mirrored,
    )


def placed_to_proto(p: PlacedThing) -> visualizations_pb2.PlacedThing:
    return visualizations_pb2.PlacedThing(
        surface_id=p.surface_id,
        at_m=layouts_pb2.PlanePoint(x_m=p.at_m[0], y_m=p.at_m[1]),
        corners=[refinements_pb2.PointPx(x=x, y=y) for x, y in p.corners],
    )


def laid_from_proto(layer: compositor_pb2.Layer) -> Laid:
    layout, material = layer.layout, layer.material
    return Laid(
        layout_from_proto(layout, material, layer.rotation_deg, layer.border_alone),
        material.face_digest,
        material.face_width_m,
        material.face_height_m,
        layout.grout.color_rgb,
        layout.grout.depth_m,
        layout.bevel_m,
    )


def plane_from_proto(surface: rooms_pb2.Surface) -> Plane:
    p = surface.plane
    return Plane(tuple(p.homography), _source_name(p.scale_source), p.scale_low, p.scale_high)


def _source_name(source: rooms_pb2.ScaleSource) -> str:
    known = source in rooms_pb2.ScaleSource.values()  # a later version may tell of others
    name = rooms_pb2.ScaleSource.Name(source).removeprefix("SCALE_SOURCE_").lower() if known else "unspecified"
    return "" if name == "unspecified" else name


def corners_from_proto(c: visualizations_pb2.PlaneCorners) -> Corners:
    return Corners(c.surface_id, tuple((q.x, q.y) for q in c.corners), c.width_m, c.height_m)


def reference_from_proto(r: visualizations_pb2.ReferenceLength) -> Reference:
    start, end = getattr(r, "from"), r.to
    return Reference(r.surface_id, (start.x, start.y), (end.x, end.y), r.length_m)


def preview_to_proto(made: Made, receipt: str) -> compositor_pb2.RenderPreviewResponse:
    out = compositor_pb2.RenderPreviewResponse(
        image=made.data, width_px=made.width, height_px=made.height, receipt=receipt
    )
    _tell(made.report, out)
    return out


def _tell(report: Report, out: compositor_pb2.RenderPreviewResponse | compositor_pb2.ExportResult) -> None:
    out.placed.extend(placed_to_proto(p) for p in report.placed)
    for color in report.colors:
        out.colors.add(
            surface_id=color.surface_id,
            product=color.product,
            asked_rgb=color.asked_rgb,
            shown_rgb=color.shown_rgb,
            delta_e00=color.delta_e00,
            illuminant_rgb=color.illuminant_rgb,
        )
    for surface_id, plane in report.scales.items():
        source = f"SCALE_SOURCE_{plane.source.upper() or 'UNSPECIFIED'}"
        out.scales.add(
            surface_id=surface_id, source=source, low=plane.low, high=plane.high, homography=plane.homography
        )


def export_to_proto(e: Export) -> compositor_pb2.ExportResult:
    format_ = f"IMAGE_FORMAT_{e.format.upper()}"
    out = compositor_pb2.ExportResult(
        image_key=e.image_key,
        width_px=e.width,
        height_px=e.height,
        format=format_,
        size_bytes=e.size_bytes,
        content_digest=e.content_digest,
        receipt=e.receipt,
    )
    _tell(e.report, out)
    return out


def slot_from_proto(tenant: str, p: compositor_pb2.CompareSlot, tile_px: int) -> Order | RoomvizError:
    """What to render on a tile, or why there is nothing to: a layout that makes no sense is an error of its variant alone."""
    if p.WhichOneof("slot") == "error":
        return from_status(p.error)
    try:
        return order_of(tenant, p.spec, compositor_pb2.Output(preview=True, long_side_px=tile_px))
    except RoomvizError as error:
        return error


def compared_to_proto(part: Tile | Sheet) -> visualizations_pb2.CompareVisualizationsResponse:
    if isinstance(part, Sheet):
        sheet = visualizations_pb2.ComparedSheet(
            image=part.data,
            width_px=part.width,
            height_px=part.height,
            columns=part.columns,
            receipt=part.receipt,
        )
        return visualizations_pb2.CompareVisualizationsResponse(sheet=sheet)
    tile = visualizations_pb2.ComparedTile(
        index=part.index, row=part.row, column=part.column, width_px=part.width, height_px=part.height
    )
    if isinstance(part.outcome, bytes):
        tile.image, tile.receipt = part.outcome, part.receipt
    else:
        tile.error.CopyFrom(to_status(part.outcome))
    return visualizations_pb2.CompareVisualizationsResponse(tile=tile)
