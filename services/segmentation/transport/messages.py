"""Between records and the protos of the API."""

from roomviz.v1 import rooms_pb2
from services.segmentation.domain.record import AnalysisRecord

_KIND = {
    "floor": rooms_pb2.SURFACE_KIND_FLOOR,
    "wall": rooms_pb2.SURFACE_KIND_WALL,
    "ceiling": rooms_pb2.SURFACE_KIND_CEILING,
    "furniture": rooms_pb2.SURFACE_KIND_FURNITURE,
    "window": rooms_pb2.SURFACE_KIND_WINDOW,
    "door": rooms_pb2.SURFACE_KIND_DOOR,
    "other": rooms_pb2.SURFACE_KIND_OTHER,
}
_SOURCE = {"camera_height": rooms_pb2.SCALE_SOURCE_CAMERA_HEIGHT, "room_height": rooms_pb2.SCALE_SOURCE_ROOM_HEIGHT}


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
    )


def analysis_to_proto(r: AnalysisRecord) -> rooms_pb2.AnalyzeRoomResponse:
    out = rooms_pb2.AnalyzeRoomResponse(
        room=r.room,
        state=rooms_pb2.ROOM_STATE_NEEDS_REFINEMENT if r.quality.needs_refinement else rooms_pb2.ROOM_STATE_READY,
        quality=_quality_to_proto(r),
        model=r.model,
    )
    for s in r.surfaces:
        surface = out.surfaces.add(
            name=f"{r.room}/surfaces/{s.surface_id}",
            surface_id=s.surface_id,
            kind=_KIND[s.kind],
            confidence=s.confidence,
            area_fraction=s.area_fraction,
            bbox_px=s.bbox,
        )
        if s.plane is not None:
            surface.plane.CopyFrom(
                rooms_pb2.Plane(
                    normal=s.plane.normal,
                    homography=s.plane.homography,
                    scale_source=_SOURCE[s.plane.scale_source],
                    scale_low=s.plane.scale_low,
                    scale_high=s.plane.scale_high,
                )
            )
    return out
