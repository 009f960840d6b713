"""SegmentationService: reads of finished analyses."""

import grpc

from roomviz.errors import NotFound
from roomviz.internal.segmentation.v1 import segmentation_pb2, segmentation_pb2_grpc
from roomviz.runtime.context import current
from services.segmentation.ports import Analyses
from services.segmentation.transport.messages import analysis_to_proto


class SegmentationService(segmentation_pb2_grpc.SegmentationServiceServicer):
    def __init__(self, analyses: Analyses):
        self._analyses = analyses

    async def GetAnalysis(
        self, request: segmentation_pb2.GetAnalysisRequest, rpc: grpc.aio.ServicerContext
    ) -> segmentation_pb2.GetAnalysisResponse:
        record = await self._analyses.get(current().tenant, request.room)
        if record is None:
            raise NotFound("ROOM_NOT_ANALYZED", "the room was not analyzed", {"room": request.room})
        return segmentation_pb2.GetAnalysisResponse(
            analysis=analysis_to_proto(record), mask_keys=[s.mask_key for s in record.surfaces]
        )
