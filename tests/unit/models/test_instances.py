"""A user's instance model under fastsam's contract. Needs `make setup-models`."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

import onnxruntime
from scipy.special import expit, softmax
from torch.nn import functional
from typer.testing import CliRunner

from models.cli import app
from models.plan import kind_of, obstacles
from models.precision import mixed_precision
from services.segmentation.domain import proposals
from tests.unit.models import lookalikes

UNIT = {"mean": [0, 0, 0], "std": [255, 255, 255], "licence": "CC0-1.0", "data": "none"}
BOXED = UNIT | {"instances": {"boxes": "boxes", "scores": "scores", "masks": "masks"}}
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
QUERIES = {"classes": "class_queries_logits", "masks": "masks_queries_logits"}
QUERIED = UNIT | IMAGENET | {"queries": QUERIES}
HEIGHT, WIDTH = 256, 320


def command(tmp_path: Path, model: Path, described: dict[str, Any]) -> Any:
    (tmp_path / "map.json").write_text(json.dumps(described))
    arguments = ["wrap-instances", model, "--map", tmp_path / "map.json", "--repository", tmp_path / "out"]
    return CliRunner().invoke(app, [*map(str, arguments), "--name", "mine"])


def wrapped(tmp_path: Path, model: Path, described: dict[str, Any]) -> Path:
    answer = command(tmp_path, model, described)
    assert answer.exit_code == 0, answer.output
    return tmp_path / "out" / "mine"


def run(folder: Path, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    return session.run(["predictions", "prototypes"], {"image": image})


def room(*squares: tuple[int, int, int]) -> np.ndarray:
    """A picture that is red by the given value in squares of 32 pixels: row, column, value."""
    image = np.full((1, HEIGHT, WIDTH, 3), 90, np.uint8)
    for row, column, value in squares:
        image[0, row * 32 : row * 32 + 32, column * 32 : column * 32 + 32, 0] = value
    return image


def pasted_by_hand(masks: np.ndarray, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks (n, 28, 28) in their boxes as the publishers of Mask R-CNN paste them: sampled, zero outside."""
    ys, xs = np.arange(height) + 0.5, np.arange(width) + 0.5
    v = (ys[None] - boxes[:, 1:2]) / (boxes[:, 3:] - boxes[:, 1:2]) * 2 - 1
    u = (xs[None] - boxes[:, :1]) / (boxes[:, 2:3] - boxes[:, :1]) * 2 - 1
    shape = (len(boxes), height, width)
    grid = np.stack([np.broadcast_to(u[:, None], shape), np.broadcast_to(v[:, :, None], shape)], -1)
    return functional.grid_sample(
        torch.from_numpy(masks[:, None]), torch.from_numpy(grid.astype(np.float32)), align_corners=False
    ).numpy()[:, 0]


def between(plane: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """A plane at rows and columns between its own, bilinearly; at its ends it goes on."""
    rows = np.stack([np.interp(xs, np.arange(plane.shape[1]), row) for row in plane])
    return np.stack([np.interp(ys, np.arange(plane.shape[0]), column) for column in rows.T], 1)


@pytest.mark.parametrize("pasted", [False, True])
@pytest.mark.parametrize(("sides", "batched"), [(None, False), (None, True), ((160, 224), False), ((224, 160), True)])
def test_a_mask_rcnn_answers_as_it_does_by_hand(tmp_path: Path, pasted: bool, sides, batched: bool):
    model = lookalikes.mask_rcnn(tmp_path / "m.onnx", pasted, sides, batched)
    image = room((1, 2, 240), (4, 5, 200), (6, 8, 255))

    predictions, prototypes = run(wrapped(tmp_path, model, BOXED), image)

    height, width = sides or (HEIGHT, WIDTH)
    ratio = min(height / HEIGHT, width / WIDTH)
    inner = [int(d * ratio + 0.5) for d in (HEIGHT, WIDTH)]
    given = np.zeros((3, height, width), np.float32)
    small = cv2.resize(image[0].astype(np.float32), inner[::-1], interpolation=cv2.INTER_LINEAR)
    given[:, : inner[0], : inner[1]] = small.transpose(2, 0, 1) / 255
    session = onnxruntime.InferenceSession(str(model))
    boxes, _, scores, masks = session.run(None, {"image": given[None] if batched else given})
    order = np.argsort(-scores)
    boxes, scores, masks = boxes[order], scores[order], masks[order, 0]
    scale = np.array([inner[1] / WIDTH, inner[0] / HEIGHT] * 2)
    n = len(scores)
    assert n >= 1
    xyxy = boxes / scale
    np.testing.assert_allclose(predictions[0, :2, :n].T, (xyxy[:, :2] + xyxy[:, 2:]) / 2, atol=0.01)
    np.testing.assert_allclose(predictions[0, 2:4, :n].T, xyxy[:, 2:] - xyxy[:, :2], atol=0.01)
    np.testing.assert_allclose(predictions[0, 4, :n], scores, atol=1e-5)
    np.testing.assert_array_equal(predictions[0, 5:, :n], np.eye(32)[:, :n])
    assert (predictions[0, 4, n:] == 0).all()
    if pasted:
        # At the middle of each cell, in pixels of the input.
        ys = (np.arange(HEIGHT // 4) + 0.5) * 4 * scale[1] - 0.5
        xs = (np.arange(WIDTH // 4) + 0.5) * 4 * scale[0] - 0.5
        planes = np.stack([between(m, ys, xs) for m in masks])
    else:
        planes = pasted_by_hand(masks, xyxy.astype(np.float32) / 4, HEIGHT // 4, WIDTH // 4)
    np.testing.assert_allclose(expit(prototypes[0, :n]), planes, atol=2e-4)
    assert (prototypes[0, n:] == -10).all()


@pytest.mark.parametrize("pasted", [False, True])
def test_what_the_service_decodes_is_the_mask_that_the_model_gave(tmp_path: Path, pasted: bool):
    folder = wrapped(tmp_path, lookalikes.mask_rcnn(tmp_path / "m.onnx", pasted, None), BOXED)
    image = room((1, 2, 240), (4, 5, 200), (6, 8, 255))

    predictions, prototypes = run(folder, image)
    found = proposals.decode(predictions[0], prototypes[0], proposals.fit(HEIGHT, WIDTH, WIDTH))

    assert len(found) == 3
    np.testing.assert_allclose(found.scores, [1, 240 / 255, 200 / 255], atol=1e-3)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for index, (row, column) in enumerate([(6, 8), (1, 2), (4, 5)]):
        score = found.scores[index]
        u, v = (x - column * 32 - 16) / (40 * score), (y - row * 32 - 16) / (24 * score)
        truth = u**2 + v**2 < 0.8
        mask = found.mask(index, HEIGHT, WIDTH)
        assert (mask & truth).sum() / (mask | truth).sum() > 0.95


@pytest.mark.parametrize("pasted", [False, True])
def test_none_and_more_than_fit_are_answered_too(tmp_path: Path, pasted: bool):
    folder = wrapped(tmp_path, lookalikes.mask_rcnn(tmp_path / "m.onnx", pasted, None), BOXED)
    every = [(r, c, 140 + r * 10 + c) for r in range(8) for c in range(10)]

    nothing, plain = run(folder, room())
    many, _ = run(folder, room(*every))

    assert (nothing == np.pad(np.eye(37)[:, 5:], ((0, 0), (0, nothing.shape[2] - 32)))).all()
    assert (plain == -10).all()
    best = np.sort([v for *_, v in every])[::-1][:32] / 255
    np.testing.assert_allclose(many[0, 4, :32], best, atol=1e-4)  # means of 1024 numbers; the steps are 4e-3
    assert (many[0, 4, 32:] == 0).all()


@pytest.mark.parametrize(("count", "sides", "batch"), [(50, None, True), (9, (96, 96), True), (40, (96, 64), False)])
def test_a_query_model_answers_as_it_does_by_hand(tmp_path: Path, count: int, sides, batch: bool):
    model = lookalikes.queries(tmp_path / "m.onnx", count, 6, sides, batch=batch)
    image = cv2.resize(np.random.default_rng(1).integers(0, 256, (2, 6, 8, 3), np.uint8)[0], (128, 96))[None]

    predictions, prototypes = run(wrapped(tmp_path, model, QUERIED), np.concatenate([image, image[:, ::-1]]))

    height, width = sides or (96, 128)
    ratio = min(height / 96, width / 128)
    inner = [int(d * ratio + 0.5) for d in (96, 128)]
    given = np.zeros((1, 3, height, width), np.float32)
    small = cv2.resize(image[0].astype(np.float32), inner[::-1], interpolation=cv2.INTER_LINEAR)
    normal = (small - IMAGENET["mean"]) / IMAGENET["std"]
    given[0, :, : inner[0], : inner[1]] = normal.transpose(2, 0, 1)
    classes, masks = onnxruntime.InferenceSession(str(model)).run(None, {"pixel_values": given})
    sure = [expit(m[m > 0]).mean() if (m > 0).any() else 0 for m in masks[0]]
    scores = softmax(classes[0], -1)[:, :-1].sum(-1) * sure
    order = np.argsort(-scores, kind="stable")[:32]
    n = len(order)
    scale = [inner[1] / 128, inner[0] / 96]
    ys = ((np.arange(24) + 0.5) * 4 * scale[1] / height) * masks.shape[2] - 0.5
    xs = ((np.arange(32) + 0.5) * 4 * scale[0] / width) * masks.shape[3] - 0.5
    planes = [between(masks[0, k], ys, xs) for k in order]
    np.testing.assert_allclose(predictions[0, 4, :n], scores[order], atol=1e-4)
    np.testing.assert_allclose(prototypes[0, :n], planes, atol=1e-3)
    assert (predictions[0, 4, n:] == 0).all()
    np.testing.assert_array_equal(predictions[0, 5:, :n], np.eye(32)[:, :n])
    for k in range(n):
        on = prototypes[0, k] > 0
        cx, cy, w, h = predictions[0, :4, k]
        if not on.any():
            assert (cx, cy, w, h) == (0, 0, 0, 0)
            continue
        rows, columns = np.flatnonzero(on.any(1)), np.flatnonzero(on.any(0))
        wide = [columns[0] * 4 - 2, rows[0] * 4 - 2, columns[-1] * 4 + 6, rows[-1] * 4 + 6]
        expected = np.clip(wide, 0, [128, 96, 128, 96])
        np.testing.assert_allclose([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], expected, atol=1e-3)


def test_inputs_beside_the_picture_get_what_the_map_says(tmp_path: Path):
    model = lookalikes.queries(tmp_path / "m.onnx", 40, 6, None, task=True)
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8)
    tokens = [3, 1, 4, 1, 5, 9, 2]

    folder = wrapped(tmp_path, model, QUERIED | {"given": {"task_inputs": [tokens]}})

    given = ((image[0] - np.array(IMAGENET["mean"])) / IMAGENET["std"]).transpose(2, 0, 1)[None].astype(np.float32)
    feed = {"pixel_values": given, "task_inputs": np.array([tokens])}
    classes, masks = onnxruntime.InferenceSession(str(model)).run(None, feed)
    on = masks[0] > 0
    scores = softmax(classes[0], -1)[:, :-1].sum(-1) * (expit(masks[0]) * on).sum((1, 2)) / on.sum((1, 2)).clip(1)
    np.testing.assert_allclose(run(folder, image)[0][0, 4, :32], np.sort(scores)[::-1][:32], atol=1e-4)


def test_the_wrapped_model_keeps_fastsams_contract_and_its_papers(tmp_path: Path):
    boxed = wrapped(tmp_path, lookalikes.mask_rcnn(tmp_path / "m.onnx", False, None), BOXED)
    config = (boxed / "config.pbtxt").read_text()

    assert kind_of(onnx.load(boxed / "1" / "model.onnx")) == "fastsam"
    assert 'name: "mine"' in config
    assert "max_batch_size: 1\n" in config
    card = json.loads((boxed / "1" / "card.json").read_text())
    assert (card["licence"], card["data"], card["source"]["file"]) == ("CC0-1.0", "none", "m.onnx")

    queried = wrapped(tmp_path, lookalikes.queries(tmp_path / "q.onnx", 40, 6, None), QUERIED)

    assert "max_batch_size: 8\n" in (queried / "config.pbtxt").read_text()
    assert obstacles(mixed_precision(onnx.load(queried / "1" / "model.onnx"))) == []


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({k: v for k, v in BOXED.items() if k != "licence"}, "licence"),
        (BOXED | {"data": " "}, "licence and data are words"),
        (UNIT, "either `instances`"),
        (BOXED | {"queries": QUERIES}, "either `instances`"),
        (BOXED | {"instances": {"boxes": "boxes", "scores": "scores"}}, "no map of instances: KeyError: 'masks'"),
        (BOXED | {"instances": {"boxes": "boxes", "scores": "scores", "masks": "m"}}, "no output m; it has boxes"),
        (BOXED | {"instances": {"boxes": "masks", "scores": "scores", "masks": "boxes"}}, "not boxes (n, 4)"),
        (BOXED | {"instances": {"boxes": "boxes", "scores": "scores", "masks": "labels"}}, "masks (n, 1, h, w)"),
        (BOXED | {"order": "GRB"}, "order is RGB or BGR"),
        (BOXED | {"given": {"hints": 1}}, "no input hints"),
    ],
)
def test_a_wrong_map_is_a_clear_error_and_leaves_nothing(tmp_path: Path, described, says):
    answer = command(tmp_path, lookalikes.mask_rcnn(tmp_path / "m.onnx", False, None), described)

    assert answer.exit_code == 1
    assert says in answer.output
    assert not (tmp_path / "out").exists()


class Strange(torch.nn.Module):
    """Not an instance model, in the way that is asked for."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def forward(self, x):
        boxes = torch.stack([x.mean(), x.mean(), x.mean() + 9, x.mean() + 9])[None]
        scores, masks = x.mean()[None] * 0 + 0.5, x[:1, :28, :28][None] * 0 + 0.5
        if self.how == "logits":
            masks = masks * 20 - 15
        elif self.how == "scores":
            scores = scores * 100
        elif self.how == "numbers":
            boxes = boxes / 0.0
        elif self.how == "masks":
            masks = torch.cat([masks, masks])
        return boxes, scores, masks


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("logits", "no probabilities"),
        ("scores", "not 0 to 1"),
        ("numbers", "numbers that are none"),
        ("masks", "not one mask for each score"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_it_is_written(tmp_path: Path, how: str, says: str):
    model = lookalikes.export(
        Strange(how),
        tmp_path / "m.onnx",
        [torch.rand(3, 64, 96)],
        ["image"],
        ["boxes", "scores", "masks"],
        {"image": {1: "height", 2: "width"}},
    )

    answer = command(tmp_path, model, BOXED)

    assert answer.exit_code == 1
    assert says in answer.output
    assert not (tmp_path / "out").exists()


def test_an_input_of_another_shape_is_refused(tmp_path: Path):
    flat = lookalikes.export(torch.nn.Identity(), tmp_path / "m.onnx", [torch.rand(64, 96, 3)], ["image"], ["boxes"])

    answer = command(tmp_path, flat, BOXED)

    assert answer.exit_code == 1
    assert "not (N, 3, H, W)" in answer.output
