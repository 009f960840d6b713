"""Visualizations: made, kept, compared, proved."""

from collections.abc import AsyncIterator

import grpc
from google.longrunning import operations_pb2 as longrunning

from roomviz.errors import InvalidArgument
from roomviz.runtime.rpc import CHUNK_BYTES
from roomviz.v1 import visualizations_pb2, visualizations_pb2_grpc
from services.gateway.transport.messages import operation_to_proto
from services.gateway.usecases.batches import BatchCases, BatchItems
from services.gateway.usecases.comparisons import ComparisonCases
from services.gateway.usecases.generations import GenerationCases
from services.gateway.usecases.lifecycle import VisualizationLifecycle
from services.gateway.usecases.operations import OperationCases
from services.gateway.usecases.shown import visualization_to_proto
from services.gateway.usecases.visualizations import VisualizationCases

Context = grpc.aio.ServicerContext


class VisualizationService(visualizations_pb2_grpc.VisualizationServiceServicer):
    def __init__(
        self,
        visualizations: VisualizationCases,
        lifecycle: VisualizationLifecycle,
        generations: GenerationCases,
        comparisons: ComparisonCases,
        batches: BatchCases,
        batch_items: BatchItems,
        operations: OperationCases,
    ):
        self._visualizations, self._generations, self._operations = visualizations, generations, operations
        self._lifecycle = lifecycle
        self._comparisons, self._batches, self._batch_items = comparisons, batches, batch_items

    async def PreviewVisualization(
        self, request: visualizations_pb2.PreviewVisualizationRequest, rpc: Context
    ) -> visualizations_pb2.PreviewVisualizationResponse:
        made = await self._visualizations.preview(request)
        return visualizations_pb2.PreviewVisualizationResponse(
            image=made.image,
            width_px=made.width_px,
            height_px=made.height_px,
            receipt=made.receipt,
            placed=made.placed,
            colors=made.colors,
            scales=made.scales,
        )

    async def ExportVisualization(
        self, request: visualizations_pb2.ExportVisualizationRequest, rpc: Context
    ) -> longrunning.Operation:
        operation = await self._visualizations.export(request)
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def GenerateVisualization(
        self, request: visualizations_pb2.GenerateVisualizationRequest, rpc: Context
    ) -> longrunning.Operation:
        operation = await self._generations.start(request)
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def GetVisualization(
        self, request: visualizations_pb2.GetVisualizationRequest, rpc: Context
    ) -> visualizations_pb2.GetVisualizationResponse:
        found = await self._visualizations.get(request.name)
        return visualizations_pb2.GetVisualizationResponse(visualization=visualization_to_proto(found))

    async def ListVisualizations(
        self, request: visualizations_pb2.ListVisualizationsRequest, rpc: Context
    ) -> visualizations_pb2.ListVisualizationsResponse:
        return await self._lifecycle.page(request)

    async def SaveVisualization(
        self, request: visualizations_pb2.SaveVisualizationRequest, rpc: Context
    ) -> visualizations_pb2.SaveVisualizationResponse:
        return await self._lifecycle.save(request)

    async def UpdateVisualization(
        self, request: visualizations_pb2.UpdateVisualizationRequest, rpc: Context
    ) -> visualizations_pb2.UpdateVisualizationResponse:
        return await self._lifecycle.update(request)

    async def DeleteVisualization(
        self, request: visualizations_pb2.DeleteVisualizationRequest, rpc: Context
    ) -> visualizations_pb2.DeleteVisualizationResponse:
        return await self._lifecycle.delete(request)

    async def UndeleteVisualization(
        self, request: visualizations_pb2.UndeleteVisualizationRequest, rpc: Context
    ) -> visualizations_pb2.UndeleteVisualizationResponse:
        return await self._lifecycle.undelete(request)

    async def DownloadVisualization(
        self, request: visualizations_pb2.DownloadVisualizationRequest, rpc: Context
    ) -> AsyncIterator[visualizations_pb2.DownloadVisualizationResponse]:
        data = await self._visualizations.picture(request.name)
        for at in range(0, len(data), CHUNK_BYTES):
            yield visualizations_pb2.DownloadVisualizationResponse(chunk=data[at : at + CHUNK_BYTES])

    async def RerenderVisualization(
        self, request: visualizations_pb2.RerenderVisualizationRequest, rpc: Context
    ) -> AsyncIterator[visualizations_pb2.RerenderVisualizationResponse]:
        async for chunk in self._visualizations.rerender(request.receipt):
            yield visualizations_pb2.RerenderVisualizationResponse(chunk=chunk)

    async def VerifyRender(
        self, requests: AsyncIterator[visualizations_pb2.VerifyRenderRequest], rpc: Context
    ) -> visualizations_pb2.VerifyRenderResponse:
        async def chunks() -> AsyncIterator[bytes]:
            async for request in requests:
                if len(request.chunk) > CHUNK_BYTES:
                    raise InvalidArgument("CHUNK_INVALID", f"a chunk has at most {CHUNK_BYTES} bytes")
                yield request.chunk

        return await self._visualizations.verify(chunks())

    async def CompareVisualizations(
        self, request: visualizations_pb2.CompareVisualizationsRequest, rpc: Context
    ) -> AsyncIterator[visualizations_pb2.CompareVisualizationsResponse]:
        async for part in self._comparisons.compare(request):
            yield part

    async def BatchVisualizations(
        self, request: visualizations_pb2.BatchVisualizationsRequest, rpc: Context
    ) -> longrunning.Operation:
        operation = await self._batches.start(request)
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def ListBatchItems(
        self, request: visualizations_pb2.ListBatchItemsRequest, rpc: Context
    ) -> visualizations_pb2.ListBatchItemsResponse:
        items, more = await self._batch_items.page(request.parent, request.page_size, request.page_token)
        return visualizations_pb2.ListBatchItemsResponse(items=items, next_page_token=more)
