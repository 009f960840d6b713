"""Operations as google.longrunning has them."""

from google.longrunning import operations_pb2 as longrunning
from google.protobuf import any_pb2

from roomviz.v1 import operations_pb2
from services.gateway.domain.records import Operation, OperationState
from services.gateway.usecases.operations import Progress, error_of

CANCELLED = 1  # google.rpc.Code


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
