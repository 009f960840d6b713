"""CompositorService: previews."""

import grpc

from roomviz.internal.compositor.v1 import compositor_pb2, compositor_pb2_grpc
from services.compositor.transport.messages import spec_from_proto
from services.compositor.usecases.preview import RenderPreview


class CompositorService(compositor_pb2_grpc.CompositorServiceServicer):
    def __init__(self, preview: RenderPreview):
        self._preview = preview

    async def RenderPreview(
        self, request: compositor_pb2.RenderPreviewRequest, rpc: grpc.aio.ServicerContext
    ) -> compositor_pb2.RenderPreviewResponse:
        made = await self._preview(spec_from_proto(request.spec))
        return compositor_pb2.RenderPreviewResponse(image=made.data, width_px=made.width, height_px=made.height)
