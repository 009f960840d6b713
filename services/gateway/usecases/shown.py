"""Records as the public API shows them."""

from datetime import datetime
from typing import Any

from roomviz.v1 import rooms_pb2, visualizations_pb2
from services.gateway.domain.metadata import MetadataKind
from services.gateway.domain.records import Room, Visualization

_STATES = {
    "UPLOADED": rooms_pb2.ROOM_STATE_UPLOADED,
    "READY": rooms_pb2.ROOM_STATE_READY,
    "NEEDS_REFINEMENT": rooms_pb2.ROOM_STATE_NEEDS_REFINEMENT,
}
_METADATA = {k: getattr(rooms_pb2, f"METADATA_KIND_{k}") for k in MetadataKind}


def stamp(out: Any, **times: datetime | None) -> None:
    """Set the times that are known."""
    for field, time in times.items():
        if time is not None:
            getattr(out, field).FromDatetime(time)


def room_to_proto(r: Room) -> rooms_pb2.Room:
    out = rooms_pb2.Room(
        name=r.name,
        display_name=r.display_name,
        width_px=r.width,
        height_px=r.height,
        state=_STATES[r.state.value],
        content_digest=r.content_digest,
        etag=r.etag,
    )
    stamp(
        out,
        create_time=r.create_time,
        update_time=r.update_time,
        delete_time=r.delete_time,
        purge_time=r.purge_time,
    )
    if r.removed is not None:
        out.privacy_report.SetInParent()  # that nothing was found is told too
        out.privacy_report.removed.extend(_METADATA[k] for k in r.removed)
    return out


def visualization_to_proto(v: Visualization) -> visualizations_pb2.Visualization:
    out = visualizations_pb2.Visualization.FromString(v.message)
    out.display_name, out.favorite, out.etag = v.display_name, v.favorite, v.etag
    stamp(
        out,
        save_time=v.save_time,
        update_time=v.update_time or v.create_time,
        delete_time=v.delete_time,
        purge_time=v.purge_time,
    )
    return out
