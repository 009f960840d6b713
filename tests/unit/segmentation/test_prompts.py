import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from roomviz.errors import RoomvizError
from services.segmentation.domain import prompts
from services.segmentation.domain.prompts import NOTHING, Selection
from services.segmentation.domain.proposals import Proposals
from tests.unit.segmentation.test_proposals import random_proposals

HEIGHT, WIDTH = 160, 240


def rectangles(*boxes: tuple[int, int, int, int], scores: list[float] | None = None) -> Proposals:
    """Proposals that are rectangles, multiples of 4 pixels, each with a prototype of its own."""
    prototypes = np.full((32, HEIGHT // 4, WIDTH // 4), -1, np.float16)
    for k, (x0, y0, x1, y1) in enumerate(boxes):
        prototypes[k, y0 // 4 : y1 // 4, x0 // 4 : x1 // 4] = 1
    found = np.array(scores or np.linspace(0.9, 0.5, len(boxes)), np.float32)
    return Proposals(
        HEIGHT,
        WIDTH,
        np.array(boxes, np.float32).reshape(-1, 4),
        found,
        np.eye(len(boxes), 32, dtype=np.float16),
        prototypes,
    )


WALL, PICTURE, SOFA, CUSHION = (0, 0, 240, 100), (40, 20, 100, 60), (100, 80, 220, 140), (120, 90, 150, 110)
ROOM = rectangles(WALL, PICTURE, SOFA, CUSHION)


def test_everything_comes_largest_first_once_each():
    found = prompts.everything(ROOM)

    assert [s.include for s in found] == [(0,), (2,), (1,), (3,)]
    assert found[0].score == pytest.approx(0.9)


def test_a_point_selects_a_mask_that_it_lies_in():
    assert prompts.points(ROOM, [(200, 130)]).include == (2,)
    assert prompts.points(ROOM, [(20, 10)]).include == (0,)
    assert not prompts.points(ROOM, [(20, 150)])


def test_points_in_two_masks_join_them():
    found = prompts.points(ROOM, [(20, 10), (200, 130)])

    assert set(found.include) == {0, 2}
    mask = prompts.mask(ROOM, found, HEIGHT, WIDTH)
    assert mask[10, 20]
    assert mask[130, 200]


def test_one_mask_that_holds_all_points_is_preferred_to_two():
    assert prompts.points(ROOM, [(70, 40), (20, 10)]).include == (0,)


def test_a_negative_point_passes_over_the_masks_that_hold_it():
    assert prompts.points(ROOM, [(70, 40)], [(20, 10)]).include == (1,)


def test_where_no_other_mask_is_left_the_negative_points_mask_is_cut_out():
    found = prompts.points(ROOM, [(20, 10)], [(70, 40)])

    assert (found.include, found.exclude) == ((0,), (1,))
    mask = prompts.mask(ROOM, found, HEIGHT, WIDTH)
    assert mask[10, 20]
    assert not mask[40, 70]
    assert not mask[22:58, 42:98].any()


def test_a_negative_point_that_nothing_separates_leaves_nothing():
    assert prompts.points(ROOM, [(20, 10)], [(22, 12)]) == NOTHING


def test_closing_the_gap_between_masks_does_not_take_in_a_negative_point():
    halves = rectangles((0, 0, 120, 100), (124, 0, 240, 100))
    gap = (121.5, 50.0)

    free = prompts.points(halves, [(10, 10), (230, 10)])
    kept_out = prompts.points(halves, [(10, 10), (230, 10)], [gap])

    assert len(free.include) == len(kept_out.include) == 2
    assert not prompts.mask(halves, kept_out, HEIGHT, WIDTH)[50, 121]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 3))
def test_positive_points_are_in_the_mask_and_negative_ones_are_not(seed, positives, negatives):
    """Of random masks; points whose pixels lie on an edge are left out."""
    rng = np.random.default_rng(seed)
    found = random_proposals(seed, count=8)
    clear = np.abs(found.logits_at(candidates := rng.uniform(0, [200, 150], (30, 2)))).min(0) > 1e-2
    chosen = [(float(x), float(y)) for x, y in candidates[clear]][: positives + negatives]
    positive, negative = chosen[:positives], chosen[positives:]

    selection = prompts.points(found, positive, negative)
    mask = prompts.mask(found, selection, found.height, found.width)

    assert not any(mask[int(y), int(x)] for x, y in negative)
    covered = [mask[int(y), int(x)] for x, y in positive]
    assert any(covered) or not selection
    if not negative:
        holds = (found.logits_at(np.array(positive)) > 0).any(0) if positive else []
        assert covered == list(holds)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
@example(247)
@example(424)
def test_the_order_of_the_points_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    found = random_proposals(seed, count=8)
    many = [(float(x), float(y)) for x, y in rng.uniform(0, [200, 150], (5, 2))]

    a = prompts.points(found, many[:3], many[3:])
    b = prompts.points(found, many[2::-1], many[:2:-1])

    masks = [prompts.mask(found, s, 150, 200) for s in (a, b)]
    np.testing.assert_array_equal(*masks)


def test_a_box_selects_the_proposal_whose_box_overlaps_most():
    assert prompts.box(ROOM, (95, 75, 225, 145)).include == (2,)
    assert prompts.box(ROOM, (225, 145, 95, 75)).include == (2,)
    assert prompts.box(ROOM, PICTURE) == Selection((1,), 1.0)
    assert prompts.box(ROOM, (0, 150, 10, 160)) == NOTHING


def test_prompts_to_a_picture_with_nothing_in_it_select_nothing():
    empty = rectangles()

    assert prompts.everything(empty) == []
    assert prompts.points(empty, [(1, 1)], [(2, 2)]) == prompts.box(empty, (0, 0, 9, 9)) == NOTHING
    chosen, crops = prompts.crops(empty, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert prompts.text(chosen, np.zeros((0, 8), np.float32), np.ones(8, np.float32)) == NOTHING
    assert crops.shape == (0, 3, 224, 224)
    assert not prompts.mask(empty, NOTHING, 20, 30).any()


def test_words_select_the_crop_that_is_most_like_them():
    """An encoder that knows colours: the mean of a crop, and of the word."""
    photo = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for box, color in ((WALL, (200, 200, 200)), (PICTURE, (0, 0, 255)), (SOFA, (255, 0, 0)), (CUSHION, (0, 255, 0))):
        photo[box[1] : box[3], box[0] : box[2]] = color

    chosen, crops = prompts.crops(ROOM, photo)
    images = crops.mean((2, 3))

    def embedding(color: tuple[int, int, int]) -> np.ndarray:
        return (np.array(color, np.float32) / 255 - prompts.CLIP_MEAN) / prompts.CLIP_DEVIATION

    assert prompts.text(chosen, images, embedding((0, 0, 255))).include == (1,)
    assert prompts.text(chosen, images, embedding((255, 0, 0))).include == (2,)
    assert prompts.text(chosen, images, embedding((0, 255, 0))).include == (3,)
    assert 0 <= prompts.text(chosen, images, embedding((0, 0, 255))).score <= 1


def test_crops_show_the_mask_on_white():
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    _, crops = prompts.crops(rectangles((40, 40, 80, 80)), photo)

    pixels = crops[0].transpose(1, 2, 0) * prompts.CLIP_DEVIATION + prompts.CLIP_MEAN
    assert pixels[112, 112].max() < 0.01
    assert pixels[1, 1].min() > 0.9


def test_the_preprocessing_is_clips():
    """Shorter side 224 by Pillow's cubic filter, middle square, mean and deviation; to one grey level."""
    image = np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8)
    small = Image.fromarray(image).resize((313, 224), Image.Resampling.BICUBIC).crop((44, 0, 268, 224))
    expected = (np.asarray(small) / 255 - prompts.CLIP_MEAN) / prompts.CLIP_DEVIATION

    np.testing.assert_allclose(prompts.clip_input(image), expected.transpose(2, 0, 1), atol=1.01 / 255 / 0.26)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (224, 224), (225, 223)])
def test_crops_of_any_shape_become_clips_square(shape):
    assert prompts.clip_input(np.zeros((*shape, 3), np.uint8)).shape == (3, 224, 224)


def test_without_an_encoder_a_text_prompt_says_what_else_there_is():
    error = prompts.text_unavailable()

    assert isinstance(error, RoomvizError)
    assert error.reason == "TEXT_PROMPT_UNAVAILABLE"
    assert "points" in error.message
