"""Between records and the protos of the API."""

from collections.abc import Iterable

from roomviz.errors import InvalidArgument
from roomviz.v1 import refinements_pb2, rooms_pb2
from services.segmentation.domain.history import Event, Kind
from services.segmentation.domain.record import AnalysisRecord, SurfaceRecord
from services.segmentation.domain.strokes import Shape, Stroke

_KIND = {
    "floor": rooms_pb2.SURFACE_KIND_FLOOR,
    "wall": rooms_pb2.SURFACE_KIND_WALL,
    "ceiling": rooms_pb2.SURFACE_KIND_CEILING,
    "furniture": rooms_pb2.SURFACE_KIND_FURNITURE,
    "window": rooms_pb2.SURFACE_KIND_WINDOW,
    "door": rooms_pb2.SURFACE_KIND_DOOR,
    "other": rooms_pb2.SURFACE_KIND_OTHER,
}
_SOURCE = {
    "camera_height": rooms_pb2.SCALE_SOURCE_CAMERA_HEIGHT,
    "room_height": rooms_pb2.SCALE_SOURCE_ROOM_HEIGHT,
    "proportions": rooms_pb2.SCALE_SOURCE_PROPORTIONS,
    "assumed_distance": rooms_pb2.SCALE_SOURCE_ASSUMED_DISTANCE,
}


def _quality_to_proto(r: AnalysisRecord) -> rooms_pb2.Quality:
    q = r.quality
    return rooms_pb2.Quality(
        confidence=q.confidence,
        camera_measured=r.camera_measured,
        focal_length_px=r.focal_length_px,
        warnings=[f.reason for f in q.findings],
        findings=[
            rooms_pb2.QualityFinding(reason=f.reason, severe=f.severe, value=f.value, bar=f.bar, advice=f.advice)
            for f in q.findings
        ],
        luma=q.luma,
        clipped_fraction=q.clipped,
        sharpness=q.sharpness,
        roll_deg=q.roll,
        pitch_deg=q.pitch,
        field_of_view_deg=q.field_of_view,
        radial_distortion=r.radial_distortion,
    )


def analysis_to_proto(r: AnalysisRecord) -> rooms_pb2.AnalyzeRoomResponse:
    out = rooms_pb2.AnalyzeRoomResponse(
        room=r.room,
        state=rooms_pb2.ROOM_STATE_NEEDS_REFINEMENT if r.quality.needs_refinement else rooms_pb2.ROOM_STATE_READY,
        quality=_quality_to_proto(r),
        model=r.model,
    )
    out.surfaces.extend(surface_to_proto(r.room, s) for s in r.surfaces)
    return out


def surface_to_proto(room: str, s: SurfaceRecord) -> rooms_pb2.Surface:
    out = rooms_pb2.Surface(
        name=f"{room}/surfaces/{s.surface_id}",
        surface_id=s.surface_id,
        kind=_KIND[s.kind],
        confidence=s.confidence,
        area_fraction=s.area_fraction,
        bbox_px=s.bbox,
    )
    if s.plane is not None:
        out.plane.CopyFrom(
            rooms_pb2.Plane(
                normal=s.plane.normal,
                homography=s.plane.homography,
                scale_source=_SOURCE[s.plane.scale_source],
                scale_low=s.plane.scale_low,
                scale_high=s.plane.scale_high,
            )
        )
    return out


def stroke_from_proto(s: refinements_pb2.Stroke) -> Stroke:
    shape = s.WhichOneof("shape")
    if shape == "point":
        return Stroke(Shape.POINT, _points([s.point]), 0.0, s.erase)
    if shape == "scribble":
        return Stroke(Shape.SCRIBBLE, _points(s.scribble.points), s.scribble.width_px, s.erase)
    if shape == "box":
        return Stroke(Shape.BOX, _points([s.box.min, s.box.max]), 0.0, s.erase)
    if shape == "polygon":
        return Stroke(Shape.POLYGON, _points(s.polygon.points), 0.0, s.erase)
    raise InvalidArgument("STROKE_INVALID", "a stroke is a point, a scribble, a box or a polygon", {"field": "strokes"})


def _points(points: Iterable[refinements_pb2.PointPx]) -> tuple[tuple[float, float], ...]:
    return tuple((p.x, p.y) for p in points)


def stroke_to_proto(s: Stroke) -> refinements_pb2.Stroke:
    out = refinements_pb2.Stroke(erase=s.erase)
    points = [refinements_pb2.PointPx(x=x, y=y) for x, y in s.points]
    if s.shape is Shape.POINT:
        out.point.CopyFrom(points[0])
    elif s.shape is Shape.SCRIBBLE:
        out.scribble.CopyFrom(refinements_pb2.Scribble(points=points, width_px=s.width_px))
    elif s.shape is Shape.BOX:
        out.box.CopyFrom(refinements_pb2.BoxPx(min=points[0], max=points[1]))
    else:
        out.polygon.CopyFrom(refinements_pb2.Polygon(points=points))
    return out


_STEP = {
    Kind.REFINE: refinements_pb2.REFINEMENT_KIND_REFINE,
    Kind.UNDO: refinements_pb2.REFINEMENT_KIND_UNDO,
    Kind.REDO: refinements_pb2.REFINEMENT_KIND_REDO,
    Kind.RESET: refinements_pb2.REFINEMENT_KIND_RESET,
    Kind.ANALYZE: refinements_pb2.REFINEMENT_KIND_ANALYZE,
}


def event_to_proto(room: str, e: Event, active: bool) -> refinements_pb2.Refinement:
    out = refinements_pb2.Refinement(
        revision=e.revision,
        kind=_STEP[e.kind],
        surface=f"{room}/surfaces/{e.surface_id}" if e.surface_id else "",
        strokes=[stroke_to_proto(s) for s in e.strokes],
        active=active,
    )
    out.create_time.FromDatetime(e.create_time)
    return out
