import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from roomviz.errors import InvalidArgument, Unavailable
from roomviz.imaging.codec import decode_grey
from services.segmentation.domain import prompted
from services.segmentation.domain.proposals import fit, network_input
from services.segmentation.ports import Embedding, RawMasks
from services.segmentation.usecases.prompted import PromptedMasks
from services.segmentation.usecases.proposals import Prompt, ProposalCases
from tests.unit.segmentation.test_prompts import ROOM

HEIGHT, WIDTH = 480, 640
BOX = fit(HEIGHT, WIDTH)


def test_points_are_put_into_the_input_with_one_that_means_nothing_behind_them():
    coords, labels = prompted.points(((320.0, 240.0), (0.0, 480.0)), ((640.0, 0.0),), BOX)

    np.testing.assert_allclose(coords, [[[512, 384], [0, 768], [1024, 0], [0, 0]]])
    np.testing.assert_array_equal(labels, [[1, 1, 0, -1]])
    assert (coords.dtype, labels.dtype) == (np.float32, np.float32)


def test_a_box_is_its_two_corners():
    coords, labels = prompted.corners((10.0, 20.0, 320.0, 240.0), BOX)

    np.testing.assert_allclose(coords, [[[16, 32], [512, 384]]])
    np.testing.assert_array_equal(labels, [[2, 3]])


def ellipse(height: int, width: int, x: float, y: float, a: float, b: float) -> np.ndarray:
    """Logits (height, width), positive inside."""
    v, u = np.mgrid[:height, :width] + 0.5
    return (20 * (1 - ((u - x) / a) ** 2 - ((v - y) / b) ** 2)).clip(-20, 20).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (700, 333), (97, 1500)])
def test_a_mask_is_drawn_where_it_lies_in_the_photo(height: int, width: int):
    box = fit(height, width)
    scale_x, scale_y = box.scale / 4
    x, y, a, b = width * 0.4, height * 0.7, width * 0.2, height * 0.25
    cells = box.input_height // 4, box.input_width // 4
    logits = ellipse(*cells, x * scale_x, y * scale_y, a * scale_x, b * scale_y)

    found = prompted.decode(logits[None], np.array([0.9], np.float32), box)

    truth = ellipse(height, width, x, y, a, b) > 0
    mask = found.mask(0, height, width)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.98


def test_masks_come_best_first_without_empty_ones_and_with_scores_up_to_one():
    whole, part = ellipse(192, 256, 128, 90, 80, 60), ellipse(192, 256, 128, 90, 20, 20)
    masks = np.stack([part, np.full_like(part, -3), whole])

    found = prompted.decode(masks, np.array([0.5, 0.99, 1.02], np.float32), BOX)

    np.testing.assert_allclose(found.scores, [1, 0.5])
    assert found.mask(0, HEIGHT, WIDTH).sum() > 5 * found.mask(1, HEIGHT, WIDTH).sum() > 0


def test_the_box_is_half_a_cell_wider_than_the_cells_and_ends_with_the_photo():
    masks = np.full((2, 192, 256), -5, np.float32)
    masks[0, 10:20, 30:50] = 5
    masks[1, 150:, :40] = 5

    found = prompted.decode(masks, np.array([0.9, 0.8], np.float32), BOX)

    # A cell is 2.5 pixels of the photo.
    np.testing.assert_allclose(found.boxes, [[73.75, 23.75, 126.25, 51.25], [0, 373.75, 101.25, 480]])


def test_what_lies_in_the_border_of_the_input_is_no_mask():
    box = fit(700, 1024)  # 4 rows of the 704 are border
    masks = np.full((1, 176, 256), -5, np.float32)
    masks[0, 175:] = 5

    assert len(prompted.decode(masks, np.ones(1, np.float32), box)) == 0


class Prompter:
    """Answers with an ellipse around the first point, or in the box, and a worse one that is larger."""

    def __init__(self) -> None:
        self.embedded: list[np.ndarray] = []
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []
        self.down = False

    async def embed(self, image: np.ndarray) -> Embedding:
        await asyncio.sleep(0.01)
        if self.down:
            raise Unavailable("MODEL_SERVER_UNAVAILABLE", "the model server does not answer; try again")
        self.embedded.append(image)
        return Embedding(image.shape[1], image.shape[2], {"embedding": np.zeros((1, 4, 8, 8), np.float32)}, "3")

    async def masks(self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray) -> RawMasks:
        self.asked.append((coords, labels))
        x, y = (coords[0].mean(0) if labels[0, 0] == 2 else coords[0, 0]) / 4
        shape = embedding.height // 4, embedding.width // 4
        masks = np.stack([ellipse(*shape, x, y, 40, 40), ellipse(*shape, x, y, 20, 10)])
        return RawMasks(masks, np.array([0.6, 0.8], np.float32), f"sam/{embedding.version}")


class Objects:
    def __init__(self, **kept: bytes) -> None:
        self.kept, self.got = kept, list[str]()

    async def get(self, key: str) -> bytes:
        self.got.append(key)
        return self.kept[key]


class Analyses:
    def __init__(self, **records: Any) -> None:
        self.records = {"photo_key": "photo", "proposals_key": "found", **records}

    async def get(self, tenant: str, room: str) -> Any:
        return SimpleNamespace(proposals_model="fastsam/1", height=HEIGHT, width=WIDTH, **self.records)


@pytest.fixture
def cpu():
    with ThreadPoolExecutor(2) as pool:
        yield pool


PHOTO = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def cases(cpu: Any, prompter: Prompter | None, memory: int = 1 << 20, **records: Any) -> tuple[ProposalCases, Objects]:
    png = cv2.imencode(".png", PHOTO[..., ::-1])[1].tobytes()
    objects = Objects(photo=png, found=ROOM.to_bytes())
    answers = PromptedMasks(prompter, objects, cpu, memory) if prompter else None
    return ProposalCases(objects, Analyses(**records), None, cpu, answers), objects


async def test_a_point_is_answered_by_the_prompted_network_with_its_best_mask(cpu):
    prompter = Prompter()
    proposals, objects = cases(cpu, prompter)

    (mask,), model = await proposals.propose("t", "rooms/a", Prompt(((320, 240),), ((600, 20),)), 0)

    assert model == "sam/3"
    assert mask.score == pytest.approx(0.8)
    x, y, w, h = mask.bbox
    np.testing.assert_allclose([x, y, w, h], [270, 215, 100, 50], atol=3)
    drawn = decode_grey(mask.png)
    assert drawn.shape == (h, w)
    assert mask.area_fraction == pytest.approx(np.pi * 50 * 25 / (HEIGHT * WIDTH), rel=0.05)
    assert objects.got == ["photo"]
    np.testing.assert_array_equal(prompter.embedded[0], network_input(PHOTO)[0])
    np.testing.assert_array_equal(prompter.asked[0][1], [[1, 0, -1]])


async def test_a_box_is_answered_by_the_prompted_network(cpu):
    prompter = Prompter()

    (mask,), _ = await cases(cpu, prompter)[0].propose("t", "rooms/a", Prompt(box=(100, 100, 300, 200)), 0)

    x, y, w, h = mask.bbox
    assert (x + w / 2, y + h / 2) == pytest.approx((200, 150), abs=2)
    np.testing.assert_allclose(prompter.asked[0][0], [[[160, 160], [480, 320]]])


async def test_a_photo_is_embedded_once_however_many_ask_at_once(cpu):
    prompter = Prompter()
    proposals, objects = cases(cpu, prompter)

    await asyncio.gather(*(proposals.propose("t", "rooms/a", Prompt(((x, 100),)), 0) for x in range(100, 500, 100)))
    await proposals.propose("t", "rooms/a", Prompt(box=(100, 100, 300, 200)), 0)

    assert (len(prompter.embedded), len(prompter.asked), objects.got) == (1, 5, ["photo"])


async def test_an_embedding_larger_than_the_memory_is_made_again(cpu):
    prompter = Prompter()
    proposals, _ = cases(cpu, prompter, memory=100)

    for _ in range(2):
        assert (await proposals.propose("t", "rooms/a", Prompt(((300, 100),)), 0))[0]

    assert len(prompter.embedded) == 2


async def test_tenants_do_not_share_an_embedding(cpu):
    prompter = Prompter()
    proposals, _ = cases(cpu, prompter)

    for tenant in ("a", "b"):
        await proposals.propose(tenant, "rooms/a", Prompt(((300, 100),)), 0)

    assert len(prompter.embedded) == 2


async def test_a_failed_embedding_is_told_and_tried_again(cpu):
    prompter = Prompter()
    proposals, _ = cases(cpu, prompter)
    prompter.down = True

    with pytest.raises(Unavailable, match="does not answer"):
        await proposals.propose("t", "rooms/a", Prompt(((300, 100),)), 0)
    prompter.down = False

    assert (await proposals.propose("t", "rooms/a", Prompt(((300, 100),)), 0))[1] == "sam/3"


async def test_everything_stays_with_the_proposals(cpu):
    prompter = Prompter()

    masks, model = await cases(cpu, prompter)[0].propose("t", "rooms/a", Prompt(), 0)

    assert (len(masks), model) == (len(ROOM), "fastsam/1")
    assert not prompter.embedded


@pytest.mark.parametrize("prompt", [Prompt(((300, 400),)), Prompt(box=(0, 0, 200, 200))])
async def test_without_a_prompted_network_points_and_boxes_choose_among_the_proposals(cpu, prompt: Prompt):
    _, model = await cases(cpu, None)[0].propose("t", "rooms/a", prompt, 0)

    assert model == "fastsam/1"


async def test_of_rooms_without_proposals_points_are_answered_and_without_a_photo_proposals_answer(cpu):
    prompter, prompt = Prompter(), Prompt(((300, 400),))

    assert (await cases(cpu, prompter, proposals_key="")[0].propose("t", "rooms/a", prompt, 0))[1] == "sam/3"
    assert (await cases(cpu, prompter, photo_key="")[0].propose("t", "rooms/a", prompt, 0))[1] == "fastsam/1"


async def test_a_prompt_outside_the_photo_reaches_no_network(cpu):
    prompter = Prompter()

    with pytest.raises(InvalidArgument, match="points lie in the photo"):
        await cases(cpu, prompter)[0].propose("t", "rooms/a", Prompt(((641, 100),)), 0)

    assert not prompter.embedded
