"""Models that a user brings, wrapped, served by the real Triton, and used by the service's own adapters.

Needs `make setup-models`. The networks are look-alikes: no published weights are in this repository.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

import onnxruntime
from typer.testing import CliRunner

from deploy.local.settings import ROOT
from models.cli import app
from roomviz.errors import Internal
from roomviz.imaging.codec import decode_grey
from services.segmentation.adapters.triton import (
    TritonNetwork,
    TritonPrompter,
    TritonProposer,
    TritonTextEncoder,
    triton_client,
)
from services.segmentation.domain import proposals
from services.segmentation.usecases.prompted import PromptedMasks
from services.segmentation.usecases.proposals import Prompt, ProposalCases
from tests.conftest import triton_over
from tests.unit.models import lookalikes
from tests.unit.models.test_sam import laid

UNIT = {"mean": [0, 0, 0], "std": [255, 255, 255], "licence": "CC0-1.0", "data": "none"}
QUERIES = {"queries": {"classes": "class_queries_logits", "masks": "masks_queries_logits"}}
BOXED = {"instances": {"boxes": "boxes", "scores": "scores", "masks": "masks"}}
SAM_2 = {
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "encoder": {"embedding": "image_embed", "high_res_0": "high_res_feats_0"},
    "decoder": {"embedding": "image_embed", "high_res_0": "high_res_feats_0"},
}
PAGE = ROOT / "docs" / "model-contract.md"
CONFIGS = re.compile("```pbtxt\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository of what the wrapping commands write, as they write it."""
    folder = tmp_path_factory.mktemp("brought")

    def wrap(command: str, described: dict[str, Any], name: str, *models: str | Path) -> None:
        (folder / "map.json").write_text(json.dumps(UNIT | described))
        arguments = [command, *models, "--map", folder / "map.json", "--repository", folder / "models", "--name", name]
        answer = CliRunner().invoke(app, [*map(str, arguments)])
        assert answer.exit_code == 0, answer.output

    queries = lookalikes.queries(folder / "queries.onnx", 40, 5, None)
    wrap("wrap-semantic", QUERIES | {"classes": {"floor": [0], "wall": [1, 2]}}, "rooms", queries)
    wrap("wrap-instances", QUERIES, "queried", queries)
    for pasted in (False, True):
        model = lookalikes.mask_rcnn(folder / "boxed.onnx", pasted, None)
        wrap("wrap-instances", BOXED, "pasted" if pasted else "boxed", model)
    for high in (False, True):
        (folder / str(high)).mkdir()
        encoder, decoder = lookalikes.sam(folder / str(high), high)
        named = SAM_2 if high else {k: SAM_2[k] for k in ("mean", "std")}
        wrap("wrap-sam", named, "sam-2" if high else "sam", "--encoder", encoder, "--decoder", decoder)
    towers = zip(("text", "image"), lookalikes.clip(folder), CONFIGS.findall(PAGE.read_text()), strict=True)
    for tower, model, config in towers:
        at = folder / "models" / f"clip-{tower}"
        (at / "1").mkdir(parents=True)
        model.rename(at / "1" / "model.onnx")
        (at / "config.pbtxt").write_text(config)
    return folder / "models"


@pytest.fixture(scope="module")
def port(brought: Path) -> Iterator[int]:
    with triton_over(brought) as port:
        yield port


def ours(brought: Path, model: str, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(brought / model / "1" / "model.onnx"))
    return list(session.run(None, {"image": image}))


def test_every_card_keeps_the_schema_of_the_page(brought: Path):
    page = PAGE.read_text()
    schema = json.loads(page.partition("```json")[2].partition("```")[0])
    kinds = {"string": str, "integer": int, "number": (int, float), "null": type(None), "object": dict}
    cards = sorted(brought.glob("*/1/card.json"))

    assert len(cards) == 8
    for path in cards:
        card = json.loads(path.read_text())
        assert set(schema["required"]) <= set(card), path
        assert card["name"] == path.parents[1].name
        for key, value in card.items():
            asked = schema["properties"][key]["type"]
            asked = asked if isinstance(asked, list) else [asked]
            assert any(isinstance(value, kinds[k]) for k in asked), (path, key)
        assert re.fullmatch(schema["properties"]["sha256"]["pattern"], card["sha256"])
        assert set(schema["properties"]["source"]["required"]) <= set(card["source"])


async def test_a_query_model_finds_surfaces(brought: Path, port: int):
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8)

    async with triton_client(f"127.0.0.1:{port}") as client:
        found = await TritonNetwork(client, "rooms").predict(images)

    logits = ours(brought, "rooms", images)[0]
    assert found.model == "rooms/1"
    # OpenVINO may compute in bfloat16.
    assert (found.surface_logits.argmax(1) == logits.argmax(1)).mean() > 0.97


async def test_a_tenant_can_be_pinned_to_whatever_finds_surfaces(port: int):
    images = np.zeros((1, 64, 96, 3), np.uint8)

    async with triton_client(f"127.0.0.1:{port}") as client:
        network = TritonNetwork(client, "roomseg")

        assert (await network.predict(images, "rooms", "1")).model == "rooms/1"
        told = {m: await network.finds_surfaces(m, "1") for m in ("rooms", "boxed", "sam-encoder", "none")}
    assert told == {"rooms": True, "boxed": False, "sam-encoder": False, "none": False}


@pytest.mark.parametrize("model", ["queried", "boxed", "pasted"])
async def test_instances_are_proposals(brought: Path, port: int, model: str):
    image = np.full((1, 256, 320, 3), 90, np.uint8)
    image[0, 32:64, 64:96, 0] = 250
    image[0, 128:160, 160:192, 0] = 220

    async with triton_client(f"127.0.0.1:{port}") as client:
        found = await TritonProposer(client, model).propose(image)

    predictions, prototypes = ours(brought, model, image)
    np.testing.assert_allclose(found.predictions, predictions[0], atol=1e-3)
    np.testing.assert_allclose(found.prototypes, prototypes[0], atol=1e-3)
    if model != "queried":
        things = proposals.decode(found.predictions, found.prototypes, proposals.fit(256, 320, 320))
        assert [m[y, x] for m in (things.mask(0, 256, 320),) for y, x in ((48, 80), (144, 176))] == [True, False]
        assert things.mask(1, 256, 320)[144, 176]


class Objects:
    def __init__(self, photo: np.ndarray):
        self.photo = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()

    async def get(self, key: str) -> bytes:
        return self.photo

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        raise AssertionError("prompts store nothing")


class Analyses:
    def __init__(self, told: dict[str, Any] | None = None):
        known = {"photo_key": "photo", "proposals_key": "", "proposals_model": "", "height": 600, "width": 900}
        self.record = SimpleNamespace(**known | (told or {}))

    async def get(self, tenant: str, room: str) -> Any:
        return self.record


@pytest.mark.parametrize("model", ["sam", "sam-2"])
async def test_a_prompt_gets_the_originals_mask_at_the_photos_own_resolution(brought: Path, port: int, model: str):
    photo = np.full((600, 900, 3), 120, np.uint8)
    disc = cv2.circle(np.zeros((600, 900), np.uint8), (270, 180), 100, 255, -1) > 0
    table = np.zeros_like(disc)
    table[360:540, 450:810] = True
    photo[disc], photo[table] = (40, 200, 60), (210, 40, 30)

    async with triton_client(f"127.0.0.1:{port}") as client:
        with ThreadPoolExecutor(1) as cpu:
            objects = Objects(photo)
            prompted = PromptedMasks(TritonPrompter(client, model), objects, cpu, 64 << 20)
            cases = ProposalCases(objects, Analyses(), None, cpu, prompted)
            point = await cases.propose("t", "rooms/a", Prompt(((270.0, 180.0),), ((630.0, 450.0),)), 0)
            box = await cases.propose("t", "rooms/a", Prompt(box=(450.0, 360.0, 810.0, 540.0)), 0)

    high = model == "sam-2"
    originals = (brought.parent / str(high) / f"{part}.onnx" for part in ("encoder", "decoder"))
    encoder, decoder = (onnxruntime.InferenceSession(str(path)) for path in originals)
    names = [v.name for v in encoder.get_outputs()]
    features = dict(zip(names, encoder.run(None, {"input_image": laid(photo[None], SAM_2)}), strict=True))
    asked = [[(270, 180, 1), (630, 450, 0), (0, 0, -1)], [(450, 360, 2), (810, 540, 3)]]
    for (masks, served), points, thing in zip((point, box), asked, (disc, table), strict=True):
        assert served == f"{model}/1"
        at = np.array([points], np.float32)
        by_hand = {
            "point_coords": at[..., :2] * np.float32(1024 / 900),
            "point_labels": at[..., 2],
            "mask_input": np.zeros((1, 1, 256, 256), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array([600, 900], np.float32),
        }
        full, scores, _ = decoder.run(None, features | by_hand)
        truth = full[0, scores[0].argmax()] > 0
        assert (truth & thing).sum() / (truth | thing).sum() > 0.7  # the look-alike sees cells of 16 pixels
        (found,) = masks
        x, y, w, h = found.bbox
        mask = np.zeros_like(truth)
        mask[y : y + h, x : x + w] = decode_grey(found.png) > 0
        assert (mask & truth).sum() / (mask | truth).sum() > 0.97


async def test_words_choose_what_looks_like_them(port: int, tmp_path: Path):
    pytest.importorskip("tokenizers", reason="the extra roomviz[text] is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 3, "red": 1, "yellow": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    photo = np.full((256, 320, 3), 90, np.uint8)
    photo[32:64, 64:96] = (250, 20, 20)
    photo[128:160, 160:192] = (220, 210, 20)
    image, letter = proposals.network_input(photo, 320)

    async with triton_client(f"127.0.0.1:{port}") as client:
        found = await TritonProposer(client, "boxed").propose(image)
        things = proposals.decode(found.predictions, found.prototypes, letter)
        stored = {"photo": Objects(photo).photo, "proposals": things.to_bytes()}
        objects = SimpleNamespace(get=lambda key: asyncio.sleep(0, stored[key]))
        encoder = TritonTextEncoder(client, "clip", tmp_path / "tokenizer.json")
        with ThreadPoolExecutor(1) as cpu:
            record = Analyses({"proposals_key": "proposals", "height": 256, "width": 320})
            cases = ProposalCases(objects, record, encoder, cpu, None)
            red, yellow = [
                (await cases.propose("t", "rooms/a", Prompt(words=f"a {colour} chair"), 0))[0]
                for colour in ("red", "yellow")
            ]

    for (mask,), (x, y) in ((red, (80, 48)), (yellow, (176, 144))):
        left, top, width, height = mask.bbox
        assert left <= x < left + width
        assert top <= y < top + height


async def test_a_model_that_is_not_served_is_a_clear_failure(port: int):
    async with triton_client(f"127.0.0.1:{port}") as client:
        with pytest.raises(Internal, match="refused the picture"):
            await TritonPrompter(client, "nothing").embed(np.zeros((1, 64, 64, 3), np.uint8))
