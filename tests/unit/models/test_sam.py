"""A user's prompted network under the contract's names. Needs `make setup-models`."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

import onnxruntime
from typer.testing import CliRunner

from models.cli import app
from tests.unit.models import lookalikes

SAM = {
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "licence": "Apache-2.0",
    "data": "SA-1B",
}
SAM_2 = SAM | {
    "encoder": {"embedding": "image_embed", "high_res_0": "high_res_feats_0"},
    "decoder": {"embedding": "image_embed", "high_res_0": "high_res_feats_0"},
}
EFFICIENT_SAM = SAM | {
    "fit": "stretch",
    "mean": [0, 0, 0],
    "std": [60, 60, 60],  # what the look-alike tells colours apart by
    "decoder": {
        "point_coords": "batched_point_coords",
        "point_labels": "batched_point_labels",
        "masks": "output_masks",
    },
}
HEIGHT, WIDTH = 384, 512


def command(tmp_path: Path, models: tuple[Path, Path], described: dict[str, Any]) -> Any:
    (tmp_path / "map.json").write_text(json.dumps(described))
    arguments = ["wrap-sam", "--encoder", models[0], "--decoder", models[1], "--map", tmp_path / "map.json"]
    return CliRunner().invoke(app, [*map(str, arguments), "--repository", str(tmp_path / "out"), "--name", "mine"])


def wrapped(tmp_path: Path, models: tuple[Path, Path], described: dict[str, Any]) -> tuple[Any, Any]:
    answer = command(tmp_path, models, described)
    assert answer.exit_code == 0, answer.output
    return tuple(
        onnxruntime.InferenceSession(str(tmp_path / "out" / f"mine-{part}" / "1" / "model.onnx"))
        for part in ("encoder", "decoder")
    )


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(1, height, width, 3): a green disc and a red table on grey."""
    image = np.full((height, width, 3), 120, np.uint8)
    cv2.circle(image, (width * 3 // 10, height * 3 // 10), height // 6, (40, 200, 60), -1)
    cv2.rectangle(image, (width // 2, height * 6 // 10), (width * 9 // 10, height * 9 // 10), (210, 40, 30), -1)
    return cv2.GaussianBlur(image, (9, 9), 0)[None]


def prompt(sides: tuple[int, int], *points: tuple[float, float, int]) -> dict[str, np.ndarray]:
    """Points of a scene, x and y in parts of its sides, and their labels."""
    return {
        "point_coords": np.array([[p[:2] for p in points]], np.float32) * np.float32(sides[::-1]),
        "point_labels": np.array([[p[2] for p in points]], np.float32),
    }


def ask(models: tuple[Any, Any], image: np.ndarray, given: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    encoder, decoder = models
    names = [v.name for v in encoder.get_outputs()]
    feed = dict(zip(names, encoder.run(names, {"image": image}), strict=True))
    masks, scores = decoder.run(["masks", "iou_predictions"], feed | given)
    return masks, scores


def laid(image: np.ndarray, described: dict[str, Any]) -> np.ndarray:
    """(1, 3, 1024, 1024), as publishers lay a picture: long side 1024, normalised, then padded with zeros, or stretched."""
    ratio = 1024 / max(image.shape[1:3])
    height, width = (int(d * ratio + 0.5) for d in image.shape[1:3])
    if described.get("fit") == "stretch":
        height, width = 1024, 1024
    large = cv2.resize(image[0].astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    out = np.zeros((1, 3, 1024, 1024), np.float32)
    out[0, :, :height, :width] = ((large - described["mean"]) / described["std"]).transpose(2, 0, 1)
    return out


POINTS = ((0.3, 0.3, 1), (0.7, 0.75, 0), (0, 0, -1))  # the disc and not the table
BOX = ((0.5, 0.6, 2), (0.9, 0.9, 3))  # the table


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("sides", [(HEIGHT, WIDTH), (1024, 704), (768, 1024)])
def test_the_pair_answers_as_the_originals_do_by_hand(tmp_path: Path, high: bool, sides):
    described, originals = SAM_2 if high else SAM, lookalikes.sam(tmp_path, high)
    image = scene(*sides)

    ours = wrapped(tmp_path, originals, described)

    first, second = (onnxruntime.InferenceSession(str(p)) for p in originals)
    names = [v.name for v in first.get_outputs()]
    features = dict(zip(names, first.run(None, {"input_image": laid(image, described)}), strict=True))
    for points, wanted in ((POINTS, (0.3, 0.3)), (BOX, (0.7, 0.75))):
        given = prompt(sides, *points)
        masks, scores = ask(ours, image, given)
        by_hand = {
            "point_coords": given["point_coords"] * np.float32(1024 / max(sides)),
            "point_labels": given["point_labels"],
            "mask_input": np.zeros((1, 1, 256, 256), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(sides, np.float32),
        }
        full, expected, low = second.run(None, features | by_hand)
        assert masks.shape == (1, 3, sides[0] // 4, sides[1] // 4)
        np.testing.assert_allclose(scores, expected, atol=1e-3)
        if max(sides) == 1024:  # then the cells of both are the same
            np.testing.assert_allclose(masks, low[:, :, : sides[0] // 4, : sides[1] // 4], atol=5e-3)
        for found, truth in zip(masks[0], full[0], strict=True):
            mask = cv2.resize(found, sides[::-1], interpolation=cv2.INTER_LINEAR) > 0
            assert (mask != (truth > 0)).mean() < 0.003
        # There is something to be right about.
        assert full[0, 1, int(wanted[1] * sides[0]), int(wanted[0] * sides[1])] > 0
        assert 0.01 < (full[0, 1] > 0).mean() < 0.3


@pytest.mark.parametrize("grouped", [False, True])
def test_a_picture_that_is_stretched_and_the_interfaces_that_want_it_fit_too(tmp_path: Path, grouped: bool):
    """EfficientSAM's: grouped points, whole numbers for the size, full masks only, an encoder of any size; and SAM 2's."""
    described = EFFICIENT_SAM if grouped else SAM_2 | {"fit": "stretch"}
    originals = lookalikes.sam(tmp_path, high=not grouped, grouped=grouped, any_size=grouped)
    sides = (704, 1024)
    image = scene(*sides)
    ours = wrapped(tmp_path, originals, described)

    first, second = (onnxruntime.InferenceSession(str(p)) for p in originals)
    names = [v.name for v in first.get_outputs()]
    features = dict(zip(names, first.run(None, {first.get_inputs()[0].name: laid(image, described)}), strict=True))
    for points in (POINTS, BOX):
        given = prompt(sides, *points)
        masks, scores = ask(ours, image, given)
        square = given["point_coords"] * np.float32([1, 1024 / 704])
        if grouped:
            by_hand = {
                "batched_point_coords": square[:, None],
                "batched_point_labels": given["point_labels"][:, None],
                "orig_im_size": np.array([1024, 1024]),
            }
            (full, expected), low = second.run(None, features | by_hand), None
            full, expected = full[0], expected[0]
        else:
            by_hand = {
                "point_coords": square,
                "point_labels": given["point_labels"],
                "mask_input": np.zeros((1, 1, 256, 256), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                "orig_im_size": np.array([1024, 1024], np.float32),
            }
            full, expected, low = second.run(None, features | by_hand)
        np.testing.assert_allclose(scores, expected, atol=1e-3)
        source = full[0] if low is None else low[0]
        at_four = [cv2.resize(m, (256, 176), interpolation=cv2.INTER_LINEAR) for m in source]
        np.testing.assert_allclose(masks[0], at_four, atol=5e-3)
        assert 0.01 < (masks[0, 1] > 0).mean() < 0.3


def test_both_come_with_their_papers_and_their_configuration(tmp_path: Path):
    wrapped(tmp_path, lookalikes.sam(tmp_path, high=True), SAM_2)

    cards = [
        json.loads((tmp_path / "out" / f"mine-{p}" / "1" / "card.json").read_text()) for p in ("encoder", "decoder")
    ]
    assert [(c["name"], c["licence"], c["data"]) for c in cards] == [
        ("mine-encoder", "Apache-2.0", "SA-1B"),
        ("mine-decoder", "Apache-2.0", "SA-1B"),
    ]
    assert [c["source"]["file"] for c in cards] == ["encoder.onnx", "decoder.onnx"]
    decoder = (tmp_path / "out" / "mine-decoder" / "config.pbtxt").read_text()
    assert '{ name: "high_res_0" data_type: TYPE_FP32 dims: [ 3, 256, 256 ] }' in decoder
    assert '{ name: "sides" data_type: TYPE_INT64 dims: [ 2 ] }' in decoder
    assert "dynamic_batching" not in decoder


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({k: v for k, v in SAM.items() if k != "licence"}, "KeyError: 'licence'"),
        (SAM | {"licence": ""}, "licence and data are words"),
        (SAM | {"fit": "crop"}, "fit is pad or stretch"),
        (SAM | {"side": 1000}, "side is a multiple of 32"),
        (SAM | {"encoder": {"high_res_0": "feats"}}, "no output feats; it has image_embeddings"),
        (
            SAM | {"decoder": {"embedding": "image_embed"}},
            "no input image_embed for embedding; it has image_embeddings",
        ),
        (SAM | {"decoder": {"masks": "all_masks"}}, "no output all_masks for masks; it has masks, iou_predictions"),
        (SAM | {"decoder": {"mask_input": "mask"}}, "nothing is known of the decoder's input mask_input"),
        (SAM | {"decoder": {"points": "point_coords"}}, "no points by the contract"),
        (SAM | {"decoder": {"iou_predictions": "masks"}}, "does not run"),
    ],
)
def test_a_wrong_map_is_a_clear_error_and_leaves_nothing(tmp_path: Path, described, says):
    answer = command(tmp_path, lookalikes.sam(tmp_path), described)

    assert answer.exit_code == 1
    assert says in answer.output
    assert not (tmp_path / "out").exists()


def test_a_decoder_that_takes_one_count_of_points_only_is_refused(tmp_path: Path):
    answer = command(tmp_path, lookalikes.sam(tmp_path, frozen=True), SAM)

    assert answer.exit_code == 1
    assert "takes 2 points and no other count" in answer.output
    assert not (tmp_path / "out").exists()


def test_a_decoder_of_another_encoder_is_refused(tmp_path: Path):
    encoder, _ = lookalikes.sam(tmp_path)
    (tmp_path / "other").mkdir()
    _, decoder = lookalikes.sam(tmp_path / "other", grouped=True)

    answer = command(tmp_path, (encoder, decoder), SAM)

    assert answer.exit_code == 1
    assert "no input point_coords" in answer.output


@pytest.mark.parametrize(
    ("shape", "says"), [((1, 3, 1024, 768), "not a square"), ((1, 1024, 1024, 3), "not (N, 3, H, W)")]
)
def test_an_encoder_of_another_shape_is_refused(tmp_path: Path, shape, says):
    _, decoder = lookalikes.sam(tmp_path)
    flat = lookalikes.export(
        torch.nn.Identity(), tmp_path / "flat.onnx", [torch.rand(shape)], ["image"], ["image_embeddings"]
    )

    answer = command(tmp_path, (flat, decoder), SAM)

    assert answer.exit_code == 1
    assert says in answer.output
