"""Between the wire and what the compositor counts."""

from collections.abc import Iterable

from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.v1 import layouts_pb2, products_pb2, quantities_pb2
from services.compositor.domain.quantity import Finding, Interval
from services.compositor.domain.quantity.boxes import Boxes
from services.compositor.transport.layouts import layout_from_proto
from services.compositor.transport.messages import (
    corners_from_proto,
    masked_from_proto,
    plane_from_proto,
    reference_from_proto,
)
from services.compositor.usecases.quantity import BorderPieces, Packaging, Quantity, QuantityAsk

CUTS_MAX = 100
Points = tuple[tuple[float, float], ...]


def ask_from_proto(p: compositor_pb2.EstimateQuantityRequest) -> QuantityAsk:
    """Raises InvalidArgument (LAYOUT_INVALID)."""
    asked, layer = p.request, p.layer
    material, sold, plane = layer.material, layer.material.packaging, layer.surface.plane
    layout = None
    if layer.HasField("layout"):
        layout = layout_from_proto(layer.layout, material, asked.rotation_deg)
    return QuantityAsk(
        masked_from_proto(layer.surface, layer.mask_key),
        tuple(masked_from_proto(s.surface, s.mask_key) for s in p.surfaces),
        p.height_px,
        p.width_px,
        Interval(plane.scale_low, 1.0, plane.scale_high) if plane.scale_high else Interval(1.0, 1.0, 1.0),
        layout,
        not material.texture_digest,
        p.tiles,
        material.rectified,
        Packaging(sold.pieces_per_box, sold.roll_length_m, sold.coverage_m2_per_l, sold.can_l),
        _points(asked.outline),
        tuple(_points(h) for h in asked.holes),
        asked.coats,
        asked.true_scale,
        {s.surface_id: plane_from_proto(s) for s in (layer.surface, *(m.surface for m in p.surfaces))},
        tuple(corners_from_proto(c) for c in asked.planes),
        reference_from_proto(asked.reference) if asked.HasField("reference") else None,
        p.focal_length_px,
        _border(p.border, p.border_tiles) if p.HasField("border") else None,
        p.radial_distortion,
    )


def _border(m: products_pb2.Material, tiles: bool) -> BorderPieces:
    return BorderPieces(m.piece_length_m, m.piece_width_m, m.packaging.pieces_per_box, tiles)


def _points(polygon: quantities_pb2.PlanePolygon) -> Points:
    return tuple((c.x_m, c.y_m) for c in polygon.corners)


def quantity_to_proto(q: Quantity) -> quantities_pb2.EstimateQuantityResponse:
    out = quantities_pb2.EstimateQuantityResponse(
        area_m2=_interval(q.area_m2),
        warnings=[_warning(f) for f in q.findings],
        outlines=[_polygon(s.outline) for s in q.covered.parts],
        holes=[_polygon(h) for s in q.covered.parts for h in s.holes],
        open_border=q.open_border,
    )
    if q.boxes is not None and q.count is not None:
        out.boxes.CopyFrom(_boxes(q.boxes, q.count))
        if q.border is not None and q.border_count is not None:
            out.border.CopyFrom(_boxes(q.border, q.border_count))
    elif q.rolls is not None and q.count is not None:
        drops = sum(len(roll) for roll in q.rolls.cut)
        out.rolls.CopyFrom(
            quantities_pb2.RollQuantity(rolls=_interval(q.count), drops=drops, waste=max(0.0, q.rolls.waste))
        )
    elif q.paint is not None:
        out.paint.CopyFrom(quantities_pb2.PaintQuantity(litres=_interval(q.paint.litres), cans=_interval(q.paint.cans)))
    return out


def _boxes(b: Boxes, count: Interval) -> quantities_pb2.BoxQuantity:
    return quantities_pb2.BoxQuantity(
        boxes=_interval(count),
        pieces=sum(b.pieces),
        whole=b.whole,
        cut=b.parts,
        from_offcuts=b.from_offcuts,
        waste=b.waste,
        cuts=[
            quantities_pb2.CutSize(length_m=c.length_m, width_m=c.width_m, count=c.count) for c in b.cut_list[:CUTS_MAX]
        ],
    )


def _interval(i: Interval) -> quantities_pb2.Interval:
    return quantities_pb2.Interval(low=i.low, value=i.value, high=i.high)


def _warning(f: Finding) -> quantities_pb2.InstallationWarning:
    rule = "ANSI_" + f.rule.value.replace(".", "_").replace("/", "_")
    return quantities_pb2.InstallationWarning(rule=rule, message=f.message, measured=f.measured, limit=f.limit)


def _polygon(points: Iterable[tuple[float, float]]) -> quantities_pb2.PlanePolygon:
    return quantities_pb2.PlanePolygon(corners=[layouts_pb2.PlanePoint(x_m=x, y_m=y) for x, y in points])
