"""The networks, served by Triton over gRPC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from roomviz.errors import Internal, Unavailable
from roomviz.runtime.rpc import shared
from services.segmentation.ports import Embedding, Prediction, RawMasks, RawProposals

_TIMEOUT_S = 20.0
_BATCH = 8  # as model_repository offers
CLIP_TOKENS = 77


@asynccontextmanager
async def triton_client(address: str) -> AsyncIterator[triton.InferenceServerClient]:
    # Options replace the client's own, so that sizes have to be said too.
    options = [*shared(address), *((f"grpc.max_{way}_message_length", -1) for way in ("send", "receive"))]
    client = triton.InferenceServerClient(address, channel_args=options)
    try:
        yield client
    finally:
        async with asyncio.timeout(5):
            await client.close()


_AWAY = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")
_SURFACES = ("surface_logits", "junction_logits", "normals", "grey_card")


class TritonNetwork:
    """The surface network, and what is asked of the server as a whole."""

    def __init__(self, client: triton.InferenceServerClient, model: str):
        self._client, self._model = client, model

    async def predict(self, images: NDArray[np.uint8], model: str = "", version: str = "") -> Prediction:
        model = model or self._model
        found, served = await _infer(self._client, model, version, {"image": images}, _SURFACES)
        logits, junctions, normals, grey = found
        count, height, width = images.shape[:3]
        shapes = [(count, 7, height // stride, width // stride) for stride in (2, 4)]
        quarter = (count, 3, height // 4, width // 4)
        if logits.shape not in shapes or any(a.shape != quarter for a in (junctions, normals, grey)):
            raise Internal("MODEL_ANSWER_INVALID", "the model server answered with another shape")
        return Prediction(logits, junctions, normals, grey, f"{model}/{served}")

    async def finds_surfaces(self, model: str, version: str) -> bool:
        try:
            told = await self._client.get_model_metadata(model, version, client_timeout=2)
        except InferenceServerException as error:
            _check_answered(error)
            return False
        return set(_SURFACES) <= {output.name for output in told.outputs}

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


class TritonProposer:
    """A network of the fastsam contract."""

    def __init__(self, client: triton.InferenceServerClient, model: str):
        self._client, self._model = client, model

    async def propose(self, image: NDArray[np.uint8]) -> RawProposals:
        found, served = await _infer(self._client, self._model, "", {"image": image}, ("predictions", "prototypes"))
        predictions, prototypes = found
        height, width = image.shape[1:3]
        places = sum((height // s) * (width // s) for s in (8, 16, 32))
        if predictions.shape != (1, 37, places) or prototypes.shape != (1, 32, height // 4, width // 4):
            raise Internal("MODEL_ANSWER_INVALID", "the model server answered with another shape")
        return RawProposals(predictions[0], prototypes[0], f"{self._model}/{served}")


class TritonPrompter:
    """A prompted network: `{model}-encoder`, whose outputs are passed on by name to `{model}-decoder`."""

    def __init__(self, client: triton.InferenceServerClient, model: str):
        self._client, self._model = client, model

    async def embed(self, image: NDArray[np.uint8]) -> Embedding:
        found, served = await _answer(self._client, f"{self._model}-encoder", "", {"image": image}, None)
        if "embedding" not in found:
            raise Internal("MODEL_ANSWER_INVALID", "the model server left an output out")
        return Embedding(image.shape[1], image.shape[2], found, served)

    async def masks(self, embedding: Embedding, coords: NDArray[np.float32], labels: NDArray[np.float32]) -> RawMasks:
        given = {**embedding.tensors, "point_coords": coords, "point_labels": labels}
        wanted = ("masks", "iou_predictions")
        found, served = await _infer(self._client, f"{self._model}-decoder", embedding.version, given, wanted)
        masks, scores = found
        if scores.ndim != 2 or masks.shape != (1, scores.shape[1], embedding.height // 4, embedding.width // 4):
            raise Internal("MODEL_ANSWER_INVALID", "the model server answered with another shape")
        return RawMasks(masks[0], scores[0], f"{self._model}/{served}")


class TritonTextEncoder:
    """CLIP's two towers, brought by the user: `{model}-text` (`input_ids` to `embedding`) and `{model}-image`
    (`image` to `embedding`), with the tokenizer's file."""

    def __init__(self, client: triton.InferenceServerClient, model: str, tokenizer: Path):
        self._client, self._model = client, model
        # An extra: only who brings a CLIP model needs it.
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(CLIP_TOKENS)
        self._tokenizer.enable_padding(length=CLIP_TOKENS)

    async def text(self, words: str) -> NDArray[np.float32]:
        ids = np.array([self._tokenizer.encode(words).ids], np.int64)
        found, _ = await _infer(self._client, f"{self._model}-text", "", {"input_ids": ids}, ("embedding",))
        return np.asarray(found[0][0], np.float32)

    async def images(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = []
        for at in range(0, len(crops), _BATCH):
            given = {"image": crops[at : at + _BATCH]}
            found, _ = await _infer(self._client, f"{self._model}-image", "", given, ("embedding",))
            parts.append(found[0])
        return np.asarray(np.concatenate(parts), np.float32)


async def _infer(
    client: triton.InferenceServerClient,
    model: str,
    version: str,
    given: dict[str, NDArray[Any]],
    wanted: tuple[str, ...],
) -> tuple[list[NDArray[np.float32]], str]:
    """The outputs in the order asked for, and the version that answered."""
    found, served = await _answer(client, model, version, given, wanted)
    return [found[name] for name in wanted], served


async def _answer(
    client: triton.InferenceServerClient,
    model: str,
    version: str,
    given: dict[str, NDArray[Any]],
    wanted: tuple[str, ...] | None,
) -> tuple[dict[str, NDArray[Any]], str]:
    """The outputs that are wanted, None for all, by name, and the version that answered. What the server sends is
    checked first."""
    inputs = []
    for name, array in given.items():
        tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
        inputs.append(tensor)
    outputs = [InferRequestedOutput(name) for name in wanted] if wanted else None
    try:
        answer = await client.infer(model, inputs, model_version=version, outputs=outputs, client_timeout=_TIMEOUT_S)
    except InferenceServerException as error:
        _check_answered(error)
        raise Internal("MODEL_FAILED", "the model server refused the picture") from error
    response = answer.get_response()
    found = {name: answer.as_numpy(name) for name in wanted or [o.name for o in response.outputs]}
    if any(array is None for array in found.values()):
        raise Internal("MODEL_ANSWER_INVALID", "the model server left an output out")
    if not all(np.isfinite(array).all() for array in found.values()):
        raise Internal("MODEL_ANSWER_INVALID", "the model server answered with numbers that are none")
    return found, str(response.model_version)


def _check_answered(error: InferenceServerException) -> None:
    """Raises Unavailable where the server did not answer at all."""
    if error.status() in _AWAY:
        raise Unavailable("MODEL_SERVER_UNAVAILABLE", "the model server does not answer; try again") from error
