"""`jobs.compositor.export`."""

from google.protobuf.message import Message

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.worker import Progress, Store
from services.compositor.ports import Order
from services.compositor.transport.messages import export_to_proto, order_of
from services.compositor.usecases.export import ExportPicture
from services.compositor.usecases.personal import PersonalCases


class ExportJob:
    def __init__(self, export: ExportPicture, personal: PersonalCases):
        self._export, self._personal = export, personal

    async def __call__(self, job: jobs_pb2.ExportJob, attempt: int, progress: Progress) -> tuple[Message, Store]:
        e = job.envelope
        made, store = await self._export(e.operation, attempt, _order(job), progress)
        return export_to_proto(made), store

    async def discard(self, job: jobs_pb2.ExportJob) -> None:
        await self._personal.discard(job.envelope.operation, _order(job).receipt if job.HasField("generation") else "")


def _order(job: jobs_pb2.ExportJob) -> Order:
    generation = job.generation if job.HasField("generation") else None
    return order_of(job.envelope.tenant, job.spec, job.output, generation)
