"""Between records and the protos of the public API."""

from google.longrunning import operations_pb2 as longrunning
from google.protobuf import any_pb2

from roomviz.v1 import operations_pb2, rooms_pb2
from services.gateway.domain.metadata import MetadataKind
from services.gateway.domain.records import Operation, OperationState, Room
from services.gateway.usecases.operations import Progress, error_of

_STATES = {
    "UPLOADED": rooms_pb2.ROOM_STATE_UPLOADED,
    "READY": rooms_pb2.ROOM_STATE_READY,
    "NEEDS_REFINEMENT": rooms_pb2.ROOM_STATE_NEEDS_REFINEMENT,
}
_METADATA = {k: getattr(rooms_pb2, f"METADATA_KIND_{k}") for k in MetadataKind}
CANCELLED = 1  # google.rpc.Code


def room_to_proto(r: Room) -> rooms_pb2.Room:
    out = rooms_pb2.Room(
        name=r.name,
        display_name=r.display_name,
        width_px=r.width,
        height_px=r.height,
        state=_STATES[r.state.value],
        content_digest=r.content_digest,
    )
    out.create_time.FromDatetime(r.create_time)
    if r.removed is not None:
        out.privacy_report.SetInParent()  # that nothing was found is told too
        out.privacy_report.removed.extend(_METADATA[k] for k in r.removed)
    return out


def operation_to_proto(o: Operation, progress: Progress) -> longrunning.Operation:
    out = longrunning.Operation(name=f"operations/{o.operation_id}", done=o.state is not OperationState.RUNNING)
    metadata = operations_pb2.JobMetadata(
        subject=o.subject,
        stage="" if out.done else progress.stage,
        progress_percent=100 if o.state is OperationState.SUCCEEDED else progress.percent,
    )
    metadata.create_time.FromDatetime(o.create_time)
    if o.end_time is not None:
        metadata.end_time.FromDatetime(o.end_time)
    out.metadata.Pack(metadata)
    if o.state is OperationState.SUCCEEDED:
        out.response.CopyFrom(any_pb2.Any.FromString(o.response or b""))
    elif o.state is OperationState.FAILED:
        out.error.CopyFrom(error_of(o))
    elif o.state is OperationState.CANCELLED:
        out.error.code, out.error.message = CANCELLED, "the operation was cancelled"
    return out
