"""The public gRPC API: translates, and calls the use cases."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.longrunning import operations_pb2 as longrunning
from google.longrunning import operations_pb2_grpc as longrunning_grpc
from google.protobuf import empty_pb2

from roomviz.runtime.context import current
from roomviz.runtime.rpc import invoke
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
    system_pb2,
    system_pb2_grpc,
)
from services.gateway.domain.records import Operation
from services.gateway.transport.messages import operation_to_proto
from services.gateway.usecases.operations import OperationCases
from services.gateway.usecases.patterns import PatternCases
from services.gateway.usecases.quantities import QuantityCases
from services.gateway.usecases.refinements import RefinementCases
from services.gateway.usecases.rooms import RoomCases
from services.gateway.usecases.system import SystemCases

Context = grpc.aio.ServicerContext


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
    """google.longrunning.Operations."""

    def __init__(self, operations: OperationCases):
        self._operations = operations

    def _proto(self, operation: Operation) -> longrunning.Operation:
        return operation_to_proto(operation, self._operations.board.last(operation.operation_id))

    async def ListOperations(
        self, request: longrunning.ListOperationsRequest, rpc: Context
    ) -> longrunning.ListOperationsResponse:
        found, more = await self._operations.page(request.name, request.filter, request.page_size, request.page_token)
        return longrunning.ListOperationsResponse(operations=[self._proto(o) for o in found], next_page_token=more)

    async def DeleteOperation(self, request: longrunning.DeleteOperationRequest, rpc: Context) -> empty_pb2.Empty:
        await self._operations.delete(request.name)
        return empty_pb2.Empty()

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
