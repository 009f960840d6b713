"""CompositorService: previews and receipts."""

import asyncio
from collections.abc import AsyncIterator

import grpc

from roomviz.errors import InvalidArgument
from roomviz.internal.compositor.v1 import compositor_pb2, compositor_pb2_grpc
from roomviz.runtime.context import current
from roomviz.runtime.rpc import CHUNK_BYTES
from services.compositor.transport.messages import order_of, placed_to_proto, verified_to_proto
from services.compositor.usecases.picture import MakePicture
from services.compositor.usecases.receipts import Rerender, Verify

PREVIEW = compositor_pb2.Output(preview=True)
VERIFY_BYTES_MAX = 200_000_000
VERIFY_AT_ONCE = 4  # files in memory; the others wait unread


class CompositorService(compositor_pb2_grpc.CompositorServiceServicer):
    def __init__(self, make: MakePicture, rerender: Rerender, verify: Verify):
        self._make, self._rerender, self._verify = make, rerender, verify
        self._few = asyncio.Semaphore(VERIFY_AT_ONCE)

    async def RenderPreview(
        self, request: compositor_pb2.RenderPreviewRequest, rpc: grpc.aio.ServicerContext
    ) -> compositor_pb2.RenderPreviewResponse:
        order = order_of(current().tenant, request.spec, PREVIEW)
        made = await self._make(order)
        return compositor_pb2.RenderPreviewResponse(
            image=made.data,
            width_px=made.width,
            height_px=made.height,
            receipt=order.receipt,
            placed=[placed_to_proto(p) for p in made.placed],
        )

    async def Rerender(
        self, request: compositor_pb2.RerenderRequest, rpc: grpc.aio.ServicerContext
    ) -> AsyncIterator[compositor_pb2.RerenderResponse]:
        data = (await self._rerender(current().tenant, request.receipt)).data
        for at in range(0, len(data), CHUNK_BYTES):
            yield compositor_pb2.RerenderResponse(chunk=data[at : at + CHUNK_BYTES])

    async def Verify(
        self, requests: AsyncIterator[compositor_pb2.VerifyRequest], rpc: grpc.aio.ServicerContext
    ) -> compositor_pb2.VerifyResponse:
        async with self._few:
            data = bytearray()
            async for request in requests:
                if len(data) + len(request.chunk) > VERIFY_BYTES_MAX:
                    raise InvalidArgument("IMAGE_TOO_LARGE", f"the file has more than {VERIFY_BYTES_MAX} bytes")
                data += request.chunk
            found = await self._verify(current().tenant, bytes(data))
        return compositor_pb2.VerifyResponse(verdict=verified_to_proto(found))
