"""The public ProposalService, behind the gateway."""

import grpc

from roomviz.errors import InvalidArgument
from roomviz.runtime.context import current
from roomviz.v1 import proposals_pb2, proposals_pb2_grpc
from services.segmentation.usecases.proposals import Prompt, ProposalCases


def prompt_from_proto(request: proposals_pb2.ProposeMasksRequest) -> Prompt:
    kind = request.WhichOneof("prompt")
    if kind == "everything":
        return Prompt()
    if kind == "points" and request.points.positive:
        return Prompt(
            tuple((p.x, p.y) for p in request.points.positive), tuple((p.x, p.y) for p in request.points.negative)
        )
    if kind == "box":
        a, b = request.box.min, request.box.max
        return Prompt(box=(min(a.x, b.x), min(a.y, b.y), max(a.x, b.x), max(a.y, b.y)))
    if kind == "text" and request.text.words.strip():
        return Prompt(words=request.text.words.strip())
    raise InvalidArgument("PROMPT_INVALID", "a prompt is everything, positive points, a box or words")


class ProposalService(proposals_pb2_grpc.ProposalServiceServicer):
    def __init__(self, proposals: ProposalCases):
        self._proposals = proposals

    async def ProposeMasks(
        self, request: proposals_pb2.ProposeMasksRequest, rpc: grpc.aio.ServicerContext
    ) -> proposals_pb2.ProposeMasksResponse:
        found, model = await self._proposals.propose(
            current().tenant, request.room, prompt_from_proto(request), request.max_masks
        )
        masks = [
            proposals_pb2.ProposedMask(score=m.score, bbox_px=m.bbox, area_fraction=m.area_fraction, png=m.png)
            for m in found
        ]
        return proposals_pb2.ProposeMasksResponse(masks=masks, model=model)
