"""`jobs.segmentation.analyze`."""

from google.protobuf.message import Message

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.worker import Progress, Store
from services.segmentation.transport.messages import analysis_to_proto
from services.segmentation.usecases.analyze import AnalyzeRoom
from services.segmentation.usecases.personal import PersonalCases


class AnalyzeJob:
    def __init__(self, analyze: AnalyzeRoom, personal: PersonalCases):
        self._analyze, self._personal = analyze, personal

    async def discard(self, job: jobs_pb2.AnalyzeRoomJob) -> None:
        await self._personal.discard(job.room, job.envelope.operation)

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
