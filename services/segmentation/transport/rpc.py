"""What segmentation answers: finished analyses, and corrections of their masks."""

from typing import TypeVar

import grpc

from roomviz.errors import NotFound
from roomviz.internal.segmentation.v1 import segmentation_pb2, segmentation_pb2_grpc
from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.v1 import refinements_pb2, refinements_pb2_grpc
from services.segmentation.domain.history import Kind
from services.segmentation.transport.messages import (
    analysis_to_proto,
    event_to_proto,
    stroke_from_proto,
    surface_to_proto,
)
from services.segmentation.usecases.refinements import Done, RefinementCases, etag_of

Context = grpc.aio.ServicerContext
Moved = TypeVar(
    "Moved",
    refinements_pb2.UndoRefinementResponse,
    refinements_pb2.RedoRefinementResponse,
    refinements_pb2.ResetRefinementsResponse,
)


class SegmentationService(segmentation_pb2_grpc.SegmentationServiceServicer):
    def __init__(self, refinements: RefinementCases):
        self._refinements = refinements

    async def GetAnalysis(
        self, request: segmentation_pb2.GetAnalysisRequest, rpc: Context
    ) -> segmentation_pb2.GetAnalysisResponse:
        record = await self._refinements.analysis(current().tenant, request.room)
        if record is None:
            raise NotFound("ROOM_NOT_ANALYZED", "the room was not analyzed", {"room": request.room})
        return segmentation_pb2.GetAnalysisResponse(
            analysis=analysis_to_proto(record),
            mask_keys=[s.mask_key for s in record.surfaces],
            light_key=record.light_key,
        )


class RefinementService(refinements_pb2_grpc.RefinementServiceServicer):
    """The public service, behind the gateway: who asks, and whether the room is theirs, was settled there."""

    def __init__(self, refinements: RefinementCases):
        self._refinements = refinements

    async def RefineSurface(
        self, request: refinements_pb2.RefineSurfaceRequest, rpc: Context
    ) -> refinements_pb2.RefineSurfaceResponse:
        room, _, surface_id = request.name.partition("/surfaces/")
        strokes = [stroke_from_proto(s) for s in request.strokes]
        done = await self._refinements.refine(
            current().tenant, room, surface_id, strokes, request.etag, request.request_id
        )
        return refinements_pb2.RefineSurfaceResponse(
            refinement=event_to_proto(room, done.event, done.active),
            etag=done.etag,
            surfaces=[surface_to_proto(room, s) for s in done.surfaces],
            changed_box_px=done.event.box or (),
        )

    async def UndoRefinement(
        self, request: refinements_pb2.UndoRefinementRequest, rpc: Context
    ) -> refinements_pb2.UndoRefinementResponse:
        done = await self._refinements.move(
            current().tenant, request.parent, Kind.UNDO, request.etag, request.request_id
        )
        return _moved(refinements_pb2.UndoRefinementResponse, request.parent, done)

    async def RedoRefinement(
        self, request: refinements_pb2.RedoRefinementRequest, rpc: Context
    ) -> refinements_pb2.RedoRefinementResponse:
        done = await self._refinements.move(
            current().tenant, request.parent, Kind.REDO, request.etag, request.request_id
        )
        return _moved(refinements_pb2.RedoRefinementResponse, request.parent, done)

    async def ResetRefinements(
        self, request: refinements_pb2.ResetRefinementsRequest, rpc: Context
    ) -> refinements_pb2.ResetRefinementsResponse:
        done = await self._refinements.move(
            current().tenant, request.parent, Kind.RESET, request.etag, request.request_id
        )
        return _moved(refinements_pb2.ResetRefinementsResponse, request.parent, done)

    async def ListRefinements(
        self, request: refinements_pb2.ListRefinementsRequest, rpc: Context
    ) -> refinements_pb2.ListRefinementsResponse:
        question = (current().tenant, "refinements", request.parent)
        begin = paging.offset(request.page_token, *question)
        end = begin + paging.page_size(request.page_size)
        log = await self._refinements.log(current().tenant, request.parent)
        active = {e.revision for e in log.history.active}
        return refinements_pb2.ListRefinementsResponse(
            refinements=[event_to_proto(request.parent, e, e.revision in active) for e in log.events[begin:end]],
            next_page_token=paging.token(str(end), *question) if end < len(log.events) else "",
            etag=etag_of(log.history.head, log.surfaces),
        )

    async def ReplayRefinements(
        self, request: refinements_pb2.ReplayRefinementsRequest, rpc: Context
    ) -> refinements_pb2.ReplayRefinementsResponse:
        made = await self._refinements.replay(current().tenant, request.parent)
        return refinements_pb2.ReplayRefinementsResponse(
            surfaces=[
                refinements_pb2.ReplayedSurface(
                    surface_id=s.surface_id, replayed_id=s.replayed_id, iou=s.iou, automatic_iou=s.automatic_iou
                )
                for s in made.surfaces
            ],
            refinement_count=made.count,
            revision=made.revision,
            model=made.model,
        )


def _moved(response: type[Moved], room: str, done: Done) -> Moved:
    return response(
        refinement=event_to_proto(room, done.event, done.active),
        etag=done.etag,
        surfaces=[surface_to_proto(room, s) for s in done.surfaces],
    )
