"""CompositorService: previews, receipts, comparisons, quantities, the items of batches."""

import asyncio
from collections.abc import AsyncIterator

import grpc

from roomviz.errors import InvalidArgument
from roomviz.internal.compositor.v1 import compositor_pb2, compositor_pb2_grpc
from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.runtime.rpc import CHUNK_BYTES
from services.compositor.ports import Batches
from services.compositor.transport.batches import item_to_proto
from services.compositor.transport.messages import (
    compared_to_proto,
    order_of,
    preview_to_proto,
    slot_from_proto,
    verified_to_proto,
)
from services.compositor.transport.quantities import ask_from_proto, quantity_to_proto
from services.compositor.usecases.compare import Compare
from services.compositor.usecases.picture import MakePicture
from services.compositor.usecases.quantity import EstimateQuantity
from services.compositor.usecases.receipts import Rerender, Verify

PREVIEW = compositor_pb2.Output(preview=True)
VERIFY_BYTES_MAX = 200_000_000
VERIFY_AT_ONCE = 4  # files in memory; the others wait unread
LARGE_AT_ONCE = 4  # pictures of full size, and sheets; others wait


class CompositorService(compositor_pb2_grpc.CompositorServiceServicer):
    def __init__(
        self,
        make: MakePicture,
        rerender: Rerender,
        verify: Verify,
        compare: Compare,
        batches: Batches,
        quantity: EstimateQuantity,
    ):
        self._make, self._rerender, self._verify = make, rerender, verify
        self._few, self._large = asyncio.Semaphore(VERIFY_AT_ONCE), asyncio.Semaphore(LARGE_AT_ONCE)
        self._compare, self._batches, self._quantity = compare, batches, quantity

    async def RenderPreview(
        self, request: compositor_pb2.RenderPreviewRequest, rpc: grpc.aio.ServicerContext
    ) -> compositor_pb2.RenderPreviewResponse:
        order = order_of(current().tenant, request.spec, PREVIEW)
        return preview_to_proto(await self._make(order), order.receipt)

    async def Rerender(
        self, request: compositor_pb2.RerenderRequest, rpc: grpc.aio.ServicerContext
    ) -> AsyncIterator[compositor_pb2.RerenderResponse]:
        order = await self._rerender.order(current().tenant, request.receipt)
        yield compositor_pb2.RerenderResponse(room=order.spec.room)
        async with self._large:
            data = (await self._rerender.again(order)).data
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

    async def Compare(
        self, request: compositor_pb2.CompareRequest, rpc: grpc.aio.ServicerContext
    ) -> AsyncIterator[compositor_pb2.CompareResponse]:
        slots = [slot_from_proto(current().tenant, s, request.tile_px) for s in request.slots]
        async for part in self._compare(slots, request.columns, request.tile_px):
            yield compositor_pb2.CompareResponse(part=compared_to_proto(part))

    async def EstimateQuantity(
        self, request: compositor_pb2.EstimateQuantityRequest, rpc: grpc.aio.ServicerContext
    ) -> compositor_pb2.EstimateQuantityResponse:
        counted = await self._quantity(ask_from_proto(request))
        return compositor_pb2.EstimateQuantityResponse(quantity=quantity_to_proto(counted))

    async def ListItems(
        self, request: compositor_pb2.ListItemsRequest, rpc: grpc.aio.ServicerContext
    ) -> compositor_pb2.ListItemsResponse:
        if request.offset < 0 or not 1 <= request.limit <= paging.MAX + 1:
            raise InvalidArgument("PAGE_SIZE_INVALID", f"ask for 1 to {paging.MAX + 1} items from 0 on")
        plan, found = await self._batches.items(current().tenant, request.operation, request.offset, request.limit)
        if plan is None:
            return compositor_pb2.ListItemsResponse()
        kept = compositor_pb2.BatchPlan.FromString(plan)
        return compositor_pb2.ListItemsResponse(
            items=[item_to_proto(r) for r in found],
            room=kept.spec.room,
            application=kept.application,
            staging=kept.staging,
            placement=kept.placement if kept.HasField("placement") else None,
        )
