"""The network, served by Triton over gRPC."""

import asyncio

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from roomviz.errors import Internal, Unavailable
from services.segmentation.ports import Prediction

_TIMEOUT_S = 20.0


class TritonNetwork:
    def __init__(self, address: str, model: str):
        self._client, self._model = triton.InferenceServerClient(address), model

    async def predict(self, images: NDArray[np.uint8], version: str = "") -> Prediction:
        given = InferInput("image", list(images.shape), "UINT8")
        given.set_data_from_numpy(np.ascontiguousarray(images))
        wanted = [InferRequestedOutput(name) for name in ("surface_logits", "normals")]
        try:
            answer = await self._client.infer(
                self._model, [given], model_version=version, outputs=wanted, client_timeout=_TIMEOUT_S
            )
        except InferenceServerException as error:
            if error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED"):
                raise Unavailable("MODEL_SERVER_UNAVAILABLE", "the model server does not answer; try again") from error
            raise Internal("MODEL_FAILED", "the model server refused the picture") from error
        count, height, width = images.shape[:3]
        logits, normals = answer.as_numpy("surface_logits"), answer.as_numpy("normals")
        # A server is another program: what it sends is checked before it is believed.
        shapes = [(count, 7, height // stride, width // stride) for stride in (2, 4)]
        if (
            logits is None
            or normals is None
            or logits.shape not in shapes
            or normals.shape != (count, 3, height // 4, width // 4)
        ):
            raise Internal("MODEL_ANSWER_INVALID", "the model server answered with another shape")
        if not (np.isfinite(logits).all() and np.isfinite(normals).all()):
            raise Internal("MODEL_ANSWER_INVALID", "the model server answered with numbers that are none")
        return Prediction(logits, normals, f"{self._model}/{answer.get_response().model_version}")

    async def serves(self, model: str, version: str) -> bool:
        try:
            return bool(await self._client.is_model_ready(model, version, client_timeout=2))
        except InferenceServerException:
            return False

    async def probe(self) -> str:
        if not await self._client.is_model_ready(self._model, client_timeout=2):
            raise Unavailable("MODEL_SERVER_UNAVAILABLE", f"model {self._model} is not ready")
        metadata = await self._client.get_server_metadata(client_timeout=2)
        return f"Triton {metadata.version}"

    async def close(self) -> None:
        async with asyncio.timeout(5):
            await self._client.close()
