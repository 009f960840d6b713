"""The served fastsam model against PyTorch and against its contract. Needs `make setup-models`."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")
onnx = pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
pytest.importorskip("onnxslim", reason="training packages are not installed: make setup-models")

import onnxruntime
from typer.testing import CliRunner

from models.cli import app
from models.fastsam.export import export
from models.fastsam.network import OUTPUTS, FastSam, initialize
from models.onnx_file import OPSET, PARITY_MAX, digest, parity
from models.repository import FASTSAM

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As training leaves them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    torch.save(initialize(FastSam("n")).state_dict(), folder / "weights.pt")
    (folder / "training.json").write_text(json.dumps({"steps": 5, "scores": {"mean_best_iou": 0.5}}))
    (folder / "curve.csv").write_text("step,loss\n5,1.0\n")
    return folder / "weights.pt"


@pytest.fixture(scope="module")
def repository(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    command = ["export-fastsam", "--weights", str(weights), "--repository", str(folder), "--name", "fastsam-room"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    return folder


@pytest.fixture(scope="module")
def session(repository: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(repository / "fastsam-room" / "1" / "model.onnx"))


def test_the_exported_model_answers_as_pytorch_does(tmp_path: Path):
    net = export(initialize(FastSam("n")), tmp_path / "model.onnx")

    found = parity(net, tmp_path / "model.onnx", OUTPUTS)

    assert found.keys() == set(OUTPUTS)
    assert max(found.values()) <= PARITY_MAX


def test_names_types_and_axes_are_those_of_the_contract(session):
    given = {t.name: (t.type, t.shape) for t in (*session.get_inputs(), *session.get_outputs())}

    assert given == {
        "image": ("tensor(uint8)", ["batch", "height", "width", 3]),
        "predictions": ("tensor(float)", ["batch", 37, "cells"]),
        "prototypes": ("tensor(float)", ["batch", 32, "height4", "width4"]),
    }
    assert [t.name for t in FASTSAM.outputs] == list(OUTPUTS)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (2, 96, 160, 3), (3, 224, 64, 3)])
def test_any_batch_and_size_in_steps_of_32_is_answered(session, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    predictions, prototypes = session.run(None, {"image": image})

    n, h, w, _ = shape
    assert predictions.shape == (n, 37, h * w * 21 // 1024)
    assert prototypes.shape == (n, 32, h // 4, w // 4)
    alone = session.run(None, {"image": image[-1:]})
    np.testing.assert_allclose(alone[0][0], predictions[-1], atol=1e-3)
    np.testing.assert_allclose(alone[1][0], prototypes[-1], atol=1e-3)


def test_the_file_is_checked_and_its_weights_take_half_the_room(repository):
    path = repository / "fastsam-room" / "1" / "model.onnx"
    model = onnx.load(path)

    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] == [OPSET]
    assert path.stat().st_size < 2.2 * 3_300_000
    assert not [n for n in model.graph.node if n.op_type in ("BatchNormalization", "Identity", "Dropout")]


def test_the_card_says_where_the_weights_come_from(repository):
    folder = repository / "fastsam-room" / "1"
    card = json.loads((folder / "card.json").read_text())

    assert card["sha256"] == digest(folder / "model.onnx")
    assert card["licence"] == "Apache-2.0"
    assert card["parity_torch_onnx"] <= PARITY_MAX
    assert card["accuracy"] == {"mean_best_iou": 0.5}
    assert (folder / "curve.csv").exists()


def test_cards_follow_the_documented_schema(repository):
    text = (ROOT / "docs" / "model-contract.md").read_text()
    schema = json.loads(text.split("```json")[-1].split("```")[0])

    for path in (
        repository / "fastsam-room" / "1" / "card.json",
        *(ROOT / "model_repository" / "roomseg").glob("*/card.json"),
    ):
        card = json.loads(path.read_text())
        assert set(schema["required"]) <= card.keys() <= schema["properties"].keys(), path


def test_weights_of_another_number_of_classes_are_refused(tmp_path: Path):
    torch.save(FastSam("n", classes=3).state_dict(), tmp_path / "weights.pt")

    command = ["export-fastsam", "--weights", str(tmp_path / "weights.pt"), "--repository", str(tmp_path / "out")]
    answer = CliRunner().invoke(app, command)

    assert answer.exit_code == 1
    assert "3 classes" in answer.output
    assert not (tmp_path / "out" / "fastsam" / "1" / "card.json").exists()
