"""PrivacyService, and the jobs behind it."""

from collections.abc import AsyncIterator

from google.longrunning import operations_pb2 as longrunning
from google.protobuf.message import Message

from roomviz.errors import NotFound
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.worker import Progress, Store
from roomviz.v1 import privacy_pb2, privacy_pb2_grpc
from services.gateway.domain.receipt import Receipt
from services.gateway.domain.records import Operation
from services.gateway.ports import Operations
from services.gateway.transport.messages import operation_to_proto
from services.gateway.transport.rpc import Context
from services.gateway.usecases.erasing import Erase
from services.gateway.usecases.gathering import Gather
from services.gateway.usecases.operations import OperationCases
from services.gateway.usecases.privacy import PrivacyCases


class PrivacyService(privacy_pb2_grpc.PrivacyServiceServicer):
    def __init__(self, privacy: PrivacyCases, operations: OperationCases):
        self._privacy, self._operations = privacy, operations

    async def ExportPersonalData(
        self, request: privacy_pb2.ExportPersonalDataRequest, rpc: Context
    ) -> longrunning.Operation:
        return self._shown(await self._privacy.export(request))

    async def DownloadExport(
        self, request: privacy_pb2.DownloadExportRequest, rpc: Context
    ) -> AsyncIterator[privacy_pb2.DownloadExportResponse]:
        async for chunk in self._privacy.download(request.name):
            yield privacy_pb2.DownloadExportResponse(chunk=chunk)

    async def DeletePersonalData(
        self, request: privacy_pb2.DeletePersonalDataRequest, rpc: Context
    ) -> longrunning.Operation:
        return self._shown(await self._privacy.delete(request))

    async def AnonymizeSubject(
        self, request: privacy_pb2.AnonymizeSubjectRequest, rpc: Context
    ) -> longrunning.Operation:
        return self._shown(await self._privacy.anonymize(request))

    async def VerifyDeletionReceipt(
        self, request: privacy_pb2.VerifyDeletionReceiptRequest, rpc: Context
    ) -> privacy_pb2.VerifyDeletionReceiptResponse:
        r = request.receipt
        objection = self._privacy.verify(Receipt(r.document, r.signature, r.public_key))
        return privacy_pb2.VerifyDeletionReceiptResponse(genuine=not objection, reason=objection)

    def _shown(self, operation: Operation) -> longrunning.Operation:
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))


class EraseJob:
    """`jobs.gateway.erase`. Whom it is about stands in the operation's request, and nowhere else."""

    def __init__(self, operations: Operations, erase: Erase):
        self._operations, self._erase = operations, erase

    async def __call__(self, job: jobs_pb2.EraseJob, attempt: int, progress: Progress) -> tuple[Message, Store]:
        operation, asked = await _asked(self._operations, job.envelope)
        subject = ""
        if operation.verb == "delete":
            subject = privacy_pb2.DeletePersonalDataRequest.FromString(asked).subject
        elif operation.verb == "anonymize":
            subject = privacy_pb2.AnonymizeSubjectRequest.FromString(asked).subject
        kind = operation.verb.upper()
        return await self._erase(operation.operation_id, operation.tenant, kind, subject, progress)


class GatherJob:
    """`jobs.gateway.gather`."""

    def __init__(self, operations: Operations, gather: Gather):
        self._operations, self._gather = operations, gather

    async def __call__(self, job: jobs_pb2.GatherJob, attempt: int, progress: Progress) -> tuple[Message, Store]:
        operation, asked = await _asked(self._operations, job.envelope)
        subject = privacy_pb2.ExportPersonalDataRequest.FromString(asked).subject
        return await self._gather(operation.operation_id, operation.tenant, operation.owner, subject, progress)

    async def discard(self, job: jobs_pb2.GatherJob) -> None:
        await self._gather.discard(job.envelope.operation)


async def _asked(operations: Operations, e: jobs_pb2.Envelope) -> tuple[Operation, bytes]:
    operation = await operations.get(e.tenant, e.operation)
    if operation is None:
        raise NotFound("OPERATION_NOT_FOUND", "the operation is gone")
    return operation, await operations.request(e.tenant, e.operation)
