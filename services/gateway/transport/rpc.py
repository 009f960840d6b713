"""The public gRPC API: translates, and calls the use cases."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.longrunning import operations_pb2 as longrunning
from google.longrunning import operations_pb2_grpc as longrunning_grpc
from google.protobuf import empty_pb2

from roomviz.errors import InvalidArgument
from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.runtime.rpc import CHUNK_BYTES, invoke
from roomviz.v1 import (
    models_pb2,
    models_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    products_pb2,
    products_pb2_grpc,
    proposals_pb2,
    proposals_pb2_grpc,
    quantities_pb2,
    quantities_pb2_grpc,
    refinements_pb2,
    refinements_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    visualizations_pb2,
    visualizations_pb2_grpc,
)
from services.gateway.domain.records import Operation
from services.gateway.transport.messages import operation_to_proto, room_to_proto
from services.gateway.usecases.batches import BatchCases, BatchItems
from services.gateway.usecases.comparisons import ComparisonCases
from services.gateway.usecases.descriptions import DescriptionCases
from services.gateway.usecases.generations import GenerationCases
from services.gateway.usecases.operations import OperationCases
from services.gateway.usecases.patterns import PatternCases
from services.gateway.usecases.quantities import QuantityCases
from services.gateway.usecases.refinements import RefinementCases
from services.gateway.usecases.rooms import RoomCases
from services.gateway.usecases.system import SystemCases
from services.gateway.usecases.visualizations import VisualizationCases

Context = grpc.aio.ServicerContext


class RoomService(rooms_pb2_grpc.RoomServiceServicer):
    def __init__(self, rooms: RoomCases, operations: OperationCases, descriptions: DescriptionCases):
        self._rooms, self._operations, self._descriptions = rooms, operations, descriptions

    async def UploadRoom(
        self, requests: AsyncIterator[rooms_pb2.UploadRoomRequest], rpc: Context
    ) -> rooms_pb2.UploadRoomResponse:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidArgument("HEADER_MISSING", "an upload begins with its header")

        async def chunks() -> AsyncIterator[bytes]:
            async for request in requests:
                if request.WhichOneof("part") != "chunk" or len(request.chunk) > CHUNK_BYTES:
                    raise InvalidArgument(
                        "CHUNK_INVALID", f"after the header come chunks of at most {CHUNK_BYTES} bytes"
                    )
                yield request.chunk

        room = await self._rooms.upload(first.header.display_name, chunks())
        return rooms_pb2.UploadRoomResponse(room=room_to_proto(room))

    async def GetRoom(self, request: rooms_pb2.GetRoomRequest, rpc: Context) -> rooms_pb2.GetRoomResponse:
        return rooms_pb2.GetRoomResponse(room=room_to_proto(await self._rooms.get(request.name)))

    async def AnalyzeRoom(self, request: rooms_pb2.AnalyzeRoomRequest, rpc: Context) -> longrunning.Operation:
        operation = await self._rooms.analyze(request)
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def ListSurfaces(
        self, request: rooms_pb2.ListSurfacesRequest, rpc: Context
    ) -> rooms_pb2.ListSurfacesResponse:
        question = (current().tenant, "surfaces", request.parent)
        begin = paging.offset(request.page_token, *question)
        end = begin + paging.page_size(request.page_size)
        found = (await self._rooms.analysis(await self._rooms.get(request.parent))).analysis.surfaces
        more = paging.token(str(end), *question) if end < len(found) else ""
        return rooms_pb2.ListSurfacesResponse(surfaces=found[begin:end], next_page_token=more)

    async def GetRoomDescription(
        self, request: rooms_pb2.GetRoomDescriptionRequest, rpc: Context
    ) -> rooms_pb2.GetRoomDescriptionResponse:
        found = await self._descriptions.get(request.name)
        return rooms_pb2.GetRoomDescriptionResponse(
            description=found.description,
            technical_summary=found.technical_summary,
            provider=found.provider,
            fallback_reason=found.fallback_reason,
        )

    async def FetchMask(self, request: rooms_pb2.FetchMaskRequest, rpc: Context) -> rooms_pb2.FetchMaskResponse:
        return rooms_pb2.FetchMaskResponse(png=await self._rooms.mask(request.name))

    async def DownloadPhoto(
        self, request: rooms_pb2.DownloadPhotoRequest, rpc: Context
    ) -> AsyncIterator[rooms_pb2.DownloadPhotoResponse]:
        data = await self._rooms.photo(request.name)
        for at in range(0, len(data), CHUNK_BYTES):
            yield rooms_pb2.DownloadPhotoResponse(chunk=data[at : at + CHUNK_BYTES])


class RefinementService(refinements_pb2_grpc.RefinementServiceServicer):
    """Passed on to segmentation, once the room is known to be the caller's."""

    def __init__(self, refinements: RefinementCases):
        self._refinements = refinements

    async def RefineSurface(
        self, request: refinements_pb2.RefineSurfaceRequest, rpc: Context
    ) -> refinements_pb2.RefineSurfaceResponse:
        return await self._refinements.surface("RefineSurface", request)  # type: ignore[no-any-return]

    async def UndoRefinement(
        self, request: refinements_pb2.UndoRefinementRequest, rpc: Context
    ) -> refinements_pb2.UndoRefinementResponse:
        return await self._refinements.room("UndoRefinement", request)  # type: ignore[no-any-return]

    async def RedoRefinement(
        self, request: refinements_pb2.RedoRefinementRequest, rpc: Context
    ) -> refinements_pb2.RedoRefinementResponse:
        return await self._refinements.room("RedoRefinement", request)  # type: ignore[no-any-return]

    async def ResetRefinements(
        self, request: refinements_pb2.ResetRefinementsRequest, rpc: Context
    ) -> refinements_pb2.ResetRefinementsResponse:
        return await self._refinements.room("ResetRefinements", request)  # type: ignore[no-any-return]

    async def ListRefinements(
        self, request: refinements_pb2.ListRefinementsRequest, rpc: Context
    ) -> refinements_pb2.ListRefinementsResponse:
        return await self._refinements.room("ListRefinements", request)  # type: ignore[no-any-return]

    async def ReplayRefinements(
        self, request: refinements_pb2.ReplayRefinementsRequest, rpc: Context
    ) -> refinements_pb2.ReplayRefinementsResponse:
        return await self._refinements.room("ReplayRefinements", request)  # type: ignore[no-any-return]


class VisualizationService(visualizations_pb2_grpc.VisualizationServiceServicer):
    def __init__(
        self,
        visualizations: VisualizationCases,
        generations: GenerationCases,
        comparisons: ComparisonCases,
        batches: BatchCases,
        batch_items: BatchItems,
        operations: OperationCases,
    ):
        self._visualizations, self._generations, self._operations = visualizations, generations, operations
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
        return visualizations_pb2.GetVisualizationResponse(
            visualization=visualizations_pb2.Visualization.FromString(found.message)
        )

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


class ProductService(products_pb2_grpc.ProductServiceServicer):
    """Passed on to the catalog as it is, but for what comes from outside."""

    def __init__(self, products: Any, patterns: PatternCases):
        self._products, self._patterns = products, patterns

    async def ImportPattern(
        self, request: products_pb2.ImportPatternRequest, rpc: Context
    ) -> products_pb2.ImportPatternResponse:
        return products_pb2.ImportPatternResponse(product=await self._patterns.add(request))

    async def ListProducts(
        self, request: products_pb2.ListProductsRequest, rpc: Context
    ) -> products_pb2.ListProductsResponse:
        return await invoke(self._products.ListProducts, request)  # type: ignore[no-any-return]

    async def GetProduct(
        self, request: products_pb2.GetProductRequest, rpc: Context
    ) -> products_pb2.GetProductResponse:
        return await invoke(self._products.GetProduct, request)  # type: ignore[no-any-return]

    async def BatchGetProducts(
        self, request: products_pb2.BatchGetProductsRequest, rpc: Context
    ) -> products_pb2.BatchGetProductsResponse:
        return await invoke(self._products.BatchGetProducts, request)  # type: ignore[no-any-return]

    async def SearchProducts(
        self, request: products_pb2.SearchProductsRequest, rpc: Context
    ) -> products_pb2.SearchProductsResponse:
        return await invoke(self._products.SearchProducts, request)  # type: ignore[no-any-return]


class QuantityService(quantities_pb2_grpc.QuantityServiceServicer):
    def __init__(self, quantities: QuantityCases):
        self._quantities = quantities

    async def EstimateQuantity(
        self, request: quantities_pb2.EstimateQuantityRequest, rpc: Context
    ) -> quantities_pb2.EstimateQuantityResponse:
        return await self._quantities.estimate(request)


class ProposalService(proposals_pb2_grpc.ProposalServiceServicer):
    """Passed on to segmentation, once the room is known to be the caller's."""

    def __init__(self, rooms: RoomCases, proposals: Any):
        self._rooms, self._proposals = rooms, proposals

    async def ProposeMasks(
        self, request: proposals_pb2.ProposeMasksRequest, rpc: Context
    ) -> proposals_pb2.ProposeMasksResponse:
        await self._rooms.get(request.room)
        return await invoke(self._proposals.ProposeMasks, request)  # type: ignore[no-any-return]


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """Passed on to segmentation as it is."""

    def __init__(self, models: Any):
        self._models = models

    async def ListModels(self, request: models_pb2.ListModelsRequest, rpc: Context) -> models_pb2.ListModelsResponse:
        return await invoke(self._models.ListModels, request)  # type: ignore[no-any-return]

    async def GetModel(self, request: models_pb2.GetModelRequest, rpc: Context) -> models_pb2.GetModelResponse:
        return await invoke(self._models.GetModel, request)  # type: ignore[no-any-return]

    async def GetModelPin(self, request: models_pb2.GetModelPinRequest, rpc: Context) -> models_pb2.GetModelPinResponse:
        return await invoke(self._models.GetModelPin, request)  # type: ignore[no-any-return]

    async def SetModelPin(self, request: models_pb2.SetModelPinRequest, rpc: Context) -> models_pb2.SetModelPinResponse:
        return await invoke(self._models.SetModelPin, request)  # type: ignore[no-any-return]


class OperationService(operations_pb2_grpc.OperationServiceServicer):
    def __init__(self, operations: OperationCases):
        self._operations = operations

    async def WatchOperation(
        self, request: operations_pb2.WatchOperationRequest, rpc: Context
    ) -> AsyncIterator[operations_pb2.WatchOperationResponse]:
        async for operation in self._operations.watch(request.name):
            progress = self._operations.board.last(operation.operation_id)
            yield operations_pb2.WatchOperationResponse(operation=operation_to_proto(operation, progress))


class Operations(longrunning_grpc.OperationsServicer):
    """google.longrunning.Operations; what is not here answers UNIMPLEMENTED."""

    def __init__(self, operations: OperationCases):
        self._operations = operations

    def _proto(self, operation: Operation) -> longrunning.Operation:
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def GetOperation(self, request: longrunning.GetOperationRequest, rpc: Context) -> longrunning.Operation:
        return self._proto(await self._operations.get(request.name))

    async def WaitOperation(self, request: longrunning.WaitOperationRequest, rpc: Context) -> longrunning.Operation:
        asked = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else current().remaining_s
        limit = max(0.05, min(asked, current().remaining_s - 0.2))
        return self._proto(await self._operations.wait(request.name, limit))

    async def CancelOperation(self, request: longrunning.CancelOperationRequest, rpc: Context) -> empty_pb2.Empty:
        await self._operations.cancel(request.name)
        return empty_pb2.Empty()


class SystemService(system_pb2_grpc.SystemServiceServicer):
    def __init__(self, system: SystemCases):
        self._system = system

    async def GetSystemStatus(
        self, request: system_pb2.GetSystemStatusRequest, rpc: Context
    ) -> system_pb2.GetSystemStatusResponse:
        components = [
            system_pb2.Component(
                component=c.component, version=c.version, reachable=c.reachable, ready=c.ready, reason=c.reason
            )
            for c in await self._system.status()
        ]
        return system_pb2.GetSystemStatusResponse(components=components)
