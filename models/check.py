"""What a model server answers, against ONNX Runtime on the same file: is what was built for this machine still the model?

A TensorRT plan computes in half precision where its weights are stored so, OpenVINO in bfloat16: the difference is told,
and whether it changes a label. What is found goes into the card that lies beside what is served.
"""

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from models.digest import digest
from models.failure import Failure
from models.plan import PROFILES, kind_of
from models.repository import CONTRACTS, add_to_card, versions
from services.segmentation.domain.labels import network_input

ROUNDS = 20
LABELS = "surface_logits"  # whose largest is what becomes of a pixel
AGREE_MIN = 0.99  # of the pixels; a model that is another one agrees on half of them
STRAY_MAX = 0.1  # of an output: mean difference in parts of its own deviation


def check_served(model_dir: Path, address: str, cards: Path, photo: Path) -> list[dict[str, Any]]:
    """Compare each version of a model with what a server answers, and write what was found into its card in `cards`.

    Args:
        model_dir: a model's folder with a model.onnx in each version; its name is the model's.
        address: of Triton's gRPC, `host:port`.
        cards: folder of the model as it is served, with a card.json in each version.
        photo: a picture of a room.

    Raises:
        Failure: no server, a version that it does not serve, no card, or answers of another model.
    """
    sources = versions(model_dir)
    if not sources:
        raise Failure(f"there is no model.onnx in a version of {model_dir}")
    picture = cv2.imread(str(photo))
    if picture is None:
        raise Failure(f"{photo} is no picture")
    return [_check_version(source, address, cards, picture[..., ::-1]) for source in sources]


def _check_version(source: Path, address: str, cards: Path, picture: NDArray[np.uint8]) -> dict[str, Any]:
    name, version = source.parents[1].name, source.parent.name
    path = cards / version / "card.json"
    if not path.exists():
        raise Failure(f"{path} does not exist")
    kind = kind_of(onnx.load(source))
    outputs = [t.name for t in CONTRACTS[kind].outputs]
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    image = network_input(picture, max(PROFILES[kind].opt))  # what a plan is tuned for
    ours = dict(zip(outputs, session.run(outputs, {"image": image}), strict=True))
    try:
        with triton.InferenceServerClient(address) as client:
            theirs, least = _asked(client, name, version, outputs, image)
            about = client.get_model_config(name, version, as_json=True)["config"]
            server = client.get_server_metadata().version
    except InferenceServerException as error:
        raise Failure(f"{address} does not serve {name} {version}: {error.message()}") from error
    for n in outputs:
        if theirs[n].shape != ours[n].shape:
            raise Failure(f"{address} answers {n} of {name} {version} as {theirs[n].shape}, not as {ours[n].shape}")
        if not np.isfinite(theirs[n]).all():
            raise Failure(f"{address} answers {n} of {name} {version} with what is no number")
    found: dict[str, Any] = {
        "server": f"Triton {server}",
        "backend": about.get("backend") or about.get("platform", ""),
        "onnx_sha256": digest(source),
        "input": list(image.shape),
        "milliseconds": round(least * 1e3, 1),
        "largest_difference": {n: float(f"{np.abs(theirs[n] - ours[n]).max():.2g}") for n in outputs},
    }
    alike = all(np.abs(theirs[n] - ours[n]).mean() <= STRAY_MAX * ours[n].std() for n in outputs)
    if LABELS in outputs:
        same = found["same_labels"] = round(float((theirs[LABELS].argmax(1) == ours[LABELS].argmax(1)).mean()), 5)
        alike &= same >= AGREE_MIN
    if not alike:
        raise Failure(f"what {address} serves as {name} {version} is not {source}: {json.dumps(found)}")
    add_to_card(path, served=found)
    return {"name": name, "version": version} | found


def _asked(
    client: triton.InferenceServerClient, name: str, version: str, outputs: list[str], image: NDArray[np.uint8]
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """The answer, and the least time of one in seconds, the way over the wire included."""
    given = triton.InferInput("image", list(image.shape), "UINT8")
    given.set_data_from_numpy(image)
    wanted = [triton.InferRequestedOutput(n) for n in outputs]
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = client.infer(name, [given], model_version=version, outputs=wanted)
        least = min(least, time.perf_counter() - began)
    return {n: answer.as_numpy(n) for n in outputs}, least
