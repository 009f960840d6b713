"""`jobs.compositor.export`."""

from google.protobuf.message import Message

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.worker import Progress, Store
from services.compositor.transport.messages import export_to_proto, order_of
from services.compositor.usecases.export import ExportPicture


class ExportJob:
    def __init__(self, export: ExportPicture):
        self._export = export

    async def __call__(self, job: jobs_pb2.ExportJob, attempt: int, progress: Progress) -> tuple[Message, Store]:
        e = job.envelope
        generation = job.generation if job.HasField("generation") else None
        order = order_of(e.tenant, job.spec, job.output, generation)
        made, store = await self._export(e.operation, attempt, order, progress)
        return export_to_proto(made), store
