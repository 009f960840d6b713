"""`jobs.segmentation.analyze`."""

from google.protobuf.message import Message

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.worker import Progress, Store
from services.segmentation.transport.messages import analysis_to_proto
from services.segmentation.usecases.analyze import AnalyzeRoom


class AnalyzeJob:
    def __init__(self, analyze: AnalyzeRoom):
        self._analyze = analyze

    async def __call__(self, job: jobs_pb2.AnalyzeRoomJob, attempt: int, progress: Progress) -> tuple[Message, Store]:
        e = job.envelope
        record, store = await self._analyze(
            e.tenant,
            e.operation,
            attempt,
            job.room,
            job.photo_key,
            job.focal_length_35mm,
            e.deadline.ToDatetime().timestamp(),
            progress,
        )
        return analysis_to_proto(record), store
