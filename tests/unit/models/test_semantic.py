"""A user's semantic model under roomseg's contract. Needs `make setup-models`."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from models.cli import app
from models.plan import kind_of, obstacles
from models.precision import mixed_precision
from models.rooms.labels import CEILING, FLOOR, NAMES, WALL

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared"
REFERENCE = SHARED / "reference" / "deeplabv3_mnv2_ade20k_513.onnx"
MAP = ROOT / "docs" / "examples" / "ade20k-labels.json"
ABOUT = {"mean": [0, 0, 0], "std": [255, 255, 255], "licence": "CC0-1.0", "data": "none"}


def by_colour(path: Path, side: int | None, flatten: bool = False) -> Path:
    """A model of four classes, the reddest, greenest, bluest and the dark, at stride 2 of an input of `side`."""
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[[0, 1, 2], [0, 1, 2]] = 20
    value, dims = helper.make_tensor_value_info, [1, 3, side, side] if side else [1, 3, "h", "w"]
    nodes = [
        helper.make_node("AveragePool", ["x"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["half", "weight", "bias"], ["found" if flatten else "y"]),
    ]
    tensors = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(np.array([0, 0, 0, 5.0], np.float32), "bias"),
    ]
    if flatten:  # as exporters leave it where the batch was 1
        nodes.append(helper.make_node("Reshape", ["found", "shape"], ["y"]))
        tensors.append(numpy_helper.from_array(np.array([1, 4, side // 2, side // 2]), "shape"))
    out = [1, 4, side // 2, side // 2] if side else [1, 4, "a", "b"]
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, dims)], [value("y", TensorProto.FLOAT, out)], tensors
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def wrapped(tmp_path: Path, model: Path, labels: dict[str, Any] | Path) -> Path:
    if isinstance(labels, dict):
        (tmp_path / "labels.json").write_text(json.dumps(labels))
        labels = tmp_path / "labels.json"
    command = [
        "wrap-semantic",
        str(model),
        "--map",
        str(labels),
        "--repository",
        str(tmp_path / "out"),
        "--name",
        "mine",
    ]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    return tmp_path / "out" / "mine"


def run(folder: Path, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    return session.run(["surface_logits", "junction_logits", "normals"], {"image": image})


CLASSES = {"floor": [0], "wall": [1, 2]}


@pytest.mark.parametrize(("side", "flatten"), [(64, False), (64, True), (None, False)])
def test_classes_are_folded_where_they_lie_in_the_picture(tmp_path: Path, side, flatten):
    folder = wrapped(tmp_path, by_colour(tmp_path / "m.onnx", side, flatten), ABOUT | {"classes": CLASSES})
    image = np.zeros((2, 128, 192, 3), np.uint8)
    image[0, 64:, :, 0] = 255  # a red floor
    image[0, :64, :96, 1] = 255  # a green wall
    image[0, :64, 96:, 2] = 255  # and a blue one

    surface, junction, normals = run(folder, image)

    label = surface.argmax(1)
    assert surface.shape == (2, 7, 32, 48)
    # At the edges the model's own, coarser cells decide.
    assert (label[0, 18:] == FLOOR).all()
    assert (label[0, :14] == WALL).all()
    assert (label[1] == NAMES.index("other")).all()
    np.testing.assert_allclose(np.exp(surface).sum(1), 1, atol=1e-3)
    assert (junction.shape, normals.shape) == ((2, 3, 32, 48), (2, 3, 32, 48))
    assert (junction == -10).all()
    assert (normals == 0).all()


def test_channels_come_in_the_models_own_order(tmp_path: Path):
    model, image = by_colour(tmp_path / "m.onnx", 64), np.zeros((1, 64, 64, 3), np.uint8)
    image[..., 2] = 255

    folder = wrapped(tmp_path, model, ABOUT | {"classes": CLASSES, "order": "BGR"})

    assert (run(folder, image)[0].argmax(1) == FLOOR).all()


def test_the_wrapped_model_keeps_roomsegs_contract_and_can_go_to_a_gpu(tmp_path: Path):
    folder = wrapped(tmp_path, by_colour(tmp_path / "m.onnx", 64, True), ABOUT | {"classes": CLASSES})
    model = onnx.load(folder / "1" / "model.onnx")

    assert kind_of(model) == "roomseg"
    assert obstacles(mixed_precision(model)) == []
    card = json.loads((folder / "1" / "card.json").read_text())
    assert (card["licence"], card["source"]["file"]) == ("CC0-1.0", "m.onnx")
    assert 'name: "mine"' in (folder / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"classes": {"sofa": [1]}}, "no labels sofa"),
        ({"classes": {"floor": [1], "wall": [1]}}, "one label only"),
        ({"classes": {"floor": [9]}}, "none of the model's 4"),
        ({"classes": CLASSES, "std": [0, 1, 1]}, "std is not 0"),
        ({"classes": CLASSES, "mean": [1]}, "no map of labels"),
        ({"classes": CLASSES, "output": "z"}, "no output z"),
        ({}, "no map of labels"),
    ],
)
def test_a_wrong_map_is_a_clear_error(tmp_path: Path, labels, says):
    by_colour(tmp_path / "m.onnx", 64)
    (tmp_path / "labels.json").write_text(json.dumps(ABOUT | labels))

    command = ["wrap-semantic", str(tmp_path / "m.onnx"), "--map", str(tmp_path / "labels.json")]
    answer = CliRunner().invoke(app, [*command, "--repository", str(tmp_path / "out")])

    assert answer.exit_code == 1
    assert says in answer.output
    assert not list((tmp_path / "out").rglob("*.onnx"))


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(b"hello")
    (tmp_path / "labels.json").write_text(json.dumps(ABOUT | {"classes": CLASSES}))

    answer = CliRunner().invoke(
        app, ["wrap-semantic", str(tmp_path / "m.onnx"), "--map", str(tmp_path / "labels.json")]
    )

    assert answer.exit_code == 1
    assert "no ONNX model" in answer.output


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"{REFERENCE} is missing")
def test_the_worked_example_of_the_documentation_sees_a_room(tmp_path: Path):
    """150 classes of ADE20K on the sample photo, against the model run by hand as its publishers do."""
    folder = wrapped(tmp_path, REFERENCE, MAP)
    photo = cv2.cvtColor(cv2.imread(str(ROOT / "samples" / "living-room.jpg")), cv2.COLOR_BGR2RGB)
    image = cv2.resize(photo, (512, 352), interpolation=cv2.INTER_AREA)

    surface = run(folder, np.stack([image, image[:, ::-1]]))[0]

    given = np.zeros((1, 3, 513, 513), np.float32)
    small = cv2.resize(image, (513, 353), interpolation=cv2.INTER_LINEAR)
    given[0, :, :353] = small.transpose(2, 0, 1) / 127.5 - 1
    logits = onnxruntime.InferenceSession(str(REFERENCE)).run(None, {"sub_7:0": given})[0]
    by_class = cv2.resize(logits[0].argmax(0)[:45].astype(np.uint8), (128, 88), interpolation=cv2.INTER_NEAREST)
    folded = np.zeros(150, np.uint8)
    for name, many in json.loads(MAP.read_text())["classes"].items():
        folded[many] = NAMES.index(name)
    label = surface[0].argmax(0)
    assert (label == folded[by_class]).mean() > 0.9
    assert label[84, 64] == FLOOR
    assert {FLOOR, WALL, CEILING} & set(np.unique(label).tolist()) >= {FLOOR, WALL}
    mirrored = surface[1].argmax(0)[:, ::-1]
    assert (label == mirrored).mean() > 0.85
