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
from scipy.special import expit, softmax
from typer.testing import CliRunner

from models.cli import app
from models.plan import kind_of, obstacles
from models.precision import mixed_precision
from models.rooms.labels import CEILING, FLOOR, NAMES, WALL
from tests.unit.models import lookalikes

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


def by_queries(image: np.ndarray, session: Any, **given: np.ndarray) -> np.ndarray:
    """(7, h, w) of CLASSES: what the queries say of each class, summed over the queries, folded."""
    pixels = image.astype(np.float32).transpose(2, 0, 1)[None] / 255
    classes, masks = session.run(None, {"pixel_values": pixels, **given})
    scores = np.zeros((classes.shape[2] - 1, *masks.shape[2:]))
    for probability, mask in zip(softmax(classes[0], -1), expit(masks[0]), strict=True):
        for k in range(len(scores)):
            scores[k] += probability[k] * mask
    folded = np.zeros((7, *scores.shape[1:]))
    folded[FLOOR], folded[WALL], folded[0] = scores[0], scores[1] + scores[2], scores[3:].sum(0)
    return folded


QUERIES = {"queries": {"classes": "class_queries_logits", "masks": "masks_queries_logits"}}


@pytest.mark.parametrize("task", [False, True])
def test_queries_are_summed_over_their_masks(tmp_path: Path, task: bool):
    model = lookalikes.queries(tmp_path / "m.onnx", 20, 5, None, task)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    tokens = {"task_inputs": np.array([[3, 1, 4, 1, 5, 9, 2]])} if task else {}
    described = ABOUT | QUERIES | {"classes": CLASSES, "given": {k: v.tolist() for k, v in tokens.items()}}

    surface, junction, normals = run(wrapped(tmp_path, model, described), images)

    session = onnxruntime.InferenceSession(str(model))
    # The look-alike answers at stride 4, as is wanted: up to the input's size and down again is all that lies between.
    for image, found in zip(images, surface, strict=True):
        expected = by_queries(image, session, **tokens)
        there = np.stack([cv2.resize(cv2.resize(e, (96, 64)), (24, 16)) for e in expected])
        np.testing.assert_allclose(softmax(found, 0), there / there.sum(0), atol=1e-4)
    assert (junction == -10).all()
    assert (normals == 0).all()


def test_queries_of_a_fixed_input_lie_where_the_picture_lies(tmp_path: Path):
    model = lookalikes.queries(tmp_path / "m.onnx", 20, 5, (96, 96), batch=False)
    image = np.zeros((1, 64, 192, 3), np.uint8)
    image[0, :, :96] = (255, 60, 0)
    image[0, :, 96:] = (0, 60, 255)

    surface = run(wrapped(tmp_path, model, ABOUT | QUERIES | {"classes": CLASSES}), image)[0][0]

    laid = np.zeros((96, 96, 3), np.uint8)
    laid[:32] = cv2.resize(image[0], (96, 32))
    expected = by_queries(laid, onnxruntime.InferenceSession(str(model)))[:, :8]
    expected = expected / expected.sum(0)
    # The network's cells are twelve pixels of the picture wide: compared at their middles, away from the edge.
    np.testing.assert_allclose(softmax(surface, 0)[:, 8, [4, 16, 31, 43]], expected[:, 4, [2, 8, 15, 21]], atol=0.02)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"queries": {"classes": "class_queries_logits"}}, "no map of labels: KeyError: 'masks'"),
        ({"queries": {"classes": "classes", "masks": "masks_queries_logits"}}, "no output classes; it has class_"),
        ({"queries": {"classes": "masks_queries_logits", "masks": "class_queries_logits"}}, "not (N, Q, classes + 1)"),
        (QUERIES | {"classes": {"floor": [5]}}, "none of the model's 5"),
        (QUERIES | {"given": {"task_inputs": [[1, 2]]}}, "is given [1, 2]"),
        (QUERIES | {"given": {"task_inputs": ["words"]}}, "takes numbers of int64"),
        (QUERIES | {"given": {}}, "pixel_values, task_inputs; what the others always get stands under `given`"),
    ],
)
def test_a_wrong_map_of_queries_is_a_clear_error(tmp_path: Path, labels, says):
    tokens = {"task_inputs": [[3, 1, 4, 1, 5, 9, 2]]}
    (tmp_path / "labels.json").write_text(json.dumps(ABOUT | {"classes": CLASSES, "given": tokens} | labels))
    model = lookalikes.queries(tmp_path / "m.onnx", 20, 5, None, task=True)

    command = ["wrap-semantic", str(model), "--map", str(tmp_path / "labels.json"), "--repository"]
    answer = CliRunner().invoke(app, [*command, str(tmp_path / "out")])

    assert answer.exit_code == 1
    assert says in answer.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["licence", "data"])
def test_a_map_without_its_papers_is_refused(tmp_path: Path, missing: str):
    labels = {k: v for k, v in (ABOUT | {"classes": CLASSES}).items() if k != missing}
    (tmp_path / "labels.json").write_text(json.dumps(labels))

    model = by_colour(tmp_path / "m.onnx", 64)
    answer = CliRunner().invoke(app, ["wrap-semantic", str(model), "--map", str(tmp_path / "labels.json")])

    assert answer.exit_code == 1
    assert missing in answer.output


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
