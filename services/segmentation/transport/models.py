"""The public ModelService, as the gateway passes it on."""

import grpc
from google.protobuf import json_format

from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.v1 import models_pb2, models_pb2_grpc
from services.segmentation.domain.model import ModelCard
from services.segmentation.ports import ModelPin
from services.segmentation.usecases.models import ModelCases


def to_proto(card: ModelCard, ready: bool, newest: bool) -> models_pb2.Model:
    out = models_pb2.Model(
        name=card.name,
        licence=card.licence,
        training_data=card.training_data,
        sha256=card.sha256,
        size_bytes=card.size_bytes,
        ready=ready,
        newest=newest,
    )
    json_format.ParseDict(card.card, out.card)
    return out


class ModelService(models_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: ModelCases):
        self._models = models

    def _pin(self, pin: ModelPin | None) -> models_pb2.ModelPin:
        if pin is None:
            return models_pb2.ModelPin()
        model = pin.model or self._models.model
        out = models_pb2.ModelPin(model=f"models/{model}/versions/{pin.version}" if pin.version else "")
        out.update_time.FromDatetime(pin.update_time)
        return out

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, rpc: grpc.aio.ServicerContext
    ) -> models_pb2.ListModelsResponse:
        question = (current().tenant, "models")
        begin = paging.offset(request.page_token, *question)
        end = begin + paging.page_size(request.page_size)
        found = await self._models.all()
        more = paging.token(str(end), *question) if end < len(found) else ""
        return models_pb2.ListModelsResponse(models=[to_proto(*row) for row in found[begin:end]], next_page_token=more)

    async def GetModel(
        self, request: models_pb2.GetModelRequest, rpc: grpc.aio.ServicerContext
    ) -> models_pb2.GetModelResponse:
        return models_pb2.GetModelResponse(model=to_proto(*await self._models.get(request.name)))

    async def GetModelPin(
        self, request: models_pb2.GetModelPinRequest, rpc: grpc.aio.ServicerContext
    ) -> models_pb2.GetModelPinResponse:
        return models_pb2.GetModelPinResponse(pin=self._pin(await self._models.pin(current().tenant)))

    async def SetModelPin(
        self, request: models_pb2.SetModelPinRequest, rpc: grpc.aio.ServicerContext
    ) -> models_pb2.SetModelPinResponse:
        pin = await self._models.set_pin(current().tenant, request.model)
        return models_pb2.SetModelPinResponse(pin=self._pin(pin))
