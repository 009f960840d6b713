"""What the model server answers, against ONNX Runtime on the same file: the runtimes agree."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.grpc as triton
from typer.testing import CliRunner

from deploy.local.settings import ROOT
from models.cli import app
from tests.conftest import triton_over

PARITY_MAX = 1e-3
REPOSITORY = ROOT / "model_repository"
VERSIONS = sorted((p.parent.parent.name, p.parent.name) for p in REPOSITORY.glob("*/*/model.onnx"))
RNG = np.random.default_rng(0)
SHAPES = [(1, 256, 320, 3), (2, 384, 512, 3), (3, 320, 224, 3)]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    """Triton over a copy of the repository that computes in float32, whatever the processor would rather."""
    repository = tmp_path_factory.mktemp("repository") / "models"
    shutil.copytree(REPOSITORY, repository)
    for config in repository.glob("*/config.pbtxt"):
        text = re.sub(r"model_warmup \[.*?\n\]\n", "", config.read_text(), flags=re.DOTALL)
        config.write_text(text + 'parameters { key: "INFERENCE_PRECISION_HINT" value { string_value: "f32" } }\n')
    with triton_over(repository) as port, triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        yield client


def infer(client: triton.InferenceServerClient, model: str, version: str, image: np.ndarray) -> dict[str, np.ndarray]:
    given = triton.InferInput("image", list(image.shape), "UINT8")
    given.set_data_from_numpy(image)
    names = [o["name"] for o in client.get_model_metadata(model, version, as_json=True)["outputs"]]
    wanted = [triton.InferRequestedOutput(n) for n in names]
    answer = client.infer(model, [given], model_version=version, outputs=wanted)
    return {n: answer.as_numpy(n) for n in names}


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_triton_answers_as_onnx_runtime_does(exact: triton.InferenceServerClient, model: str, version: str):
    session = onnxruntime.InferenceSession(
        str(REPOSITORY / model / version / "model.onnx"), providers=["CPUExecutionProvider"]
    )

    for shape in SHAPES:
        image = RNG.integers(0, 256, shape, np.uint8)
        theirs = infer(exact, model, version, image)

        for name, ours in zip(theirs, session.run(list(theirs), {"image": image}), strict=True):
            scale = max(1.0, float(np.abs(ours).max()) / 100)  # boxes are told in pixels
            assert np.abs(theirs[name] - ours).max() / scale <= PARITY_MAX, (name, shape)


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_a_picture_alone_and_in_a_batch_gets_the_same_answer(
    exact: triton.InferenceServerClient, model: str, version: str
):
    images = RNG.integers(0, 256, (3, 256, 320, 3), np.uint8)

    together, alone = infer(exact, model, version, images), infer(exact, model, version, images[1:2])

    for name, batch in together.items():
        assert np.abs(batch[1:2] - alone[name]).max() <= PARITY_MAX * max(1.0, float(np.abs(batch).max()) / 100)


@pytest.mark.parametrize("model", ["roomseg", "fastsam-room"])
def test_what_is_served_is_compared_with_its_file_and_its_card_told(running, model: str, tmp_path: Path):
    served = f"127.0.0.1:{running.settings.triton_grpc_port}"
    cards = shutil.copytree(REPOSITORY / model, tmp_path / model)
    arguments = ["check-served", REPOSITORY / model, "--triton", served, "--cards", cards]

    answer = CliRunner().invoke(app, [*map(str, arguments)])

    assert answer.exit_code == 0, answer.output
    for path in cards.glob("*/card.json"):
        card = json.loads(path.read_text())
        assert card["served"]["onnx_sha256"] == card["sha256"]
        assert card["served"]["backend"] == "openvino"
        assert card["served"]["milliseconds"] > 1
        assert card["served"].get("same_labels", 1) >= 0.99
        assert card == json.loads((REPOSITORY / model / path.parent.name / "card.json").read_text()) | {
            "served": card["served"]
        }


def test_another_model_than_the_file_is_told_and_no_card_says_otherwise(running, tmp_path: Path):
    """A version's file under another version's number, and what no server has."""
    served = f"127.0.0.1:{running.settings.triton_grpc_port}"
    *_, (_, version) = (v for v in VERSIONS if v[0] == "roomseg")
    folder = tmp_path / "roomseg" / version
    shutil.copytree(REPOSITORY / "roomseg" / version, folder)
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:  # a network that was spoilt on its way
        if tensor.data_type == onnx.TensorProto.FLOAT16 and len(tensor.dims) == 4:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[:, ::-1].copy(), tensor.name))
    onnx.save(model, folder / "model.onnx")
    before = (folder / "card.json").read_text()

    spoilt = CliRunner().invoke(app, ["check-served", str(folder.parent), "--triton", served])
    nobody = CliRunner().invoke(app, ["check-served", str(REPOSITORY / "roomseg"), "--triton", "127.0.0.1:1"])

    assert (spoilt.exit_code, nobody.exit_code) == (1, 1)
    assert "is not" in spoilt.output
    assert "does not serve" in nobody.output
    assert (folder / "card.json").read_text() == before


def test_the_served_precision_changes_no_label_that_matters(running, exact: triton.InferenceServerClient):
    """On a photo, against float32: what the processor's own precision decides otherwise is next to nothing."""
    import cv2

    photo = cv2.imread(str(ROOT / "samples" / "living-room.jpg"))[..., ::-1]
    image = cv2.resize(photo, (512, 352), interpolation=cv2.INTER_AREA)[None]
    with triton.InferenceServerClient(f"127.0.0.1:{running.settings.triton_grpc_port}") as served:
        ours = infer(served, "roomseg", "", np.ascontiguousarray(image))["surface_logits"].argmax(1)
    truth = infer(exact, "roomseg", "", np.ascontiguousarray(image))["surface_logits"].argmax(1)

    assert (ours == truth).mean() >= 0.995
