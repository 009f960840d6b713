import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.segmentation.domain import proposals as domain
from services.segmentation.domain.proposals import GREY, Proposals, decode, fit, network_input, suppress

sides = st.integers(16, 5000)
seeds = st.integers(0, 2**32 - 1)


def random_proposals(seed: int, count: int = 5, height: int = 150, width: int = 200) -> Proposals:
    rng = np.random.default_rng(seed)
    corner = rng.uniform([-5, -5], [width * 0.8, height * 0.8], (count, 2))
    size = rng.uniform(0.3, 1, (count, 2)) * [width * 0.6, height * 0.6]
    box = fit(height, width, 256)
    return Proposals(
        height,
        width,
        np.concatenate([corner, corner + size], 1).astype(np.float32),
        np.sort(rng.uniform(0.4, 1, count))[::-1].astype(np.float32),
        rng.normal(0, 1, (count, 32)).astype(np.float16),
        rng.normal(0, 1, (32, box.inner_height // 4, box.inner_width // 4)).astype(np.float16),
    )


def answer(boxes_cxcywh: np.ndarray, scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """(37, A) as the network gives it."""
    rng = np.random.default_rng(seed)
    return np.concatenate([boxes_cxcywh.T, scores[None], rng.normal(0, 1, (32, len(scores)))]).astype(np.float32)


@settings(deadline=None)
@given(sides, sides, st.sampled_from([256, 640, 1024]))
def test_the_letterbox_fits_in_steps_of_32_and_covers_whole_cells(height, width, long_side):
    box = fit(height, width, long_side)

    assert max(box.inner_height, box.inner_width) == long_side
    assert box.input_height % 32 == box.input_width % 32 == 0
    assert box.inner_height % 4 == box.inner_width % 4 == 0
    assert 0 <= box.input_height - box.inner_height < 32
    assert 0 <= box.input_width - box.inner_width < 32


@settings(deadline=None)
@given(sides, sides, seeds)
def test_what_goes_into_the_letterbox_comes_back_exactly(height, width, seed):
    boxes = np.random.default_rng(seed).integers(0, max(height, width), (20, 4))
    box = fit(height, width)

    np.testing.assert_array_equal(np.round(box.to_photo(box.to_input(boxes)), 6), boxes)
    np.testing.assert_allclose(box.to_input(np.array([width, height])), [box.inner_width, box.inner_height])


def test_the_photo_lies_at_the_top_left_and_the_rest_is_grey():
    photo = np.zeros((300, 500, 3), np.uint8)

    image, box = network_input(photo, 512)

    assert image.shape == (1, 320, 512, 3)
    assert (image[0, : box.inner_height] == 0).all()
    assert (image[0, box.inner_height :] == GREY).all()


def test_a_score_below_the_threshold_and_a_box_twice_are_dropped():
    boxes = np.array([[100, 60, 80, 40], [101, 60, 80, 40], [40, 40, 20, 20], [200, 100, 50, 50]], np.float32)
    scores = np.array([0.8, 0.9, 0.39, 0.5], np.float32)

    found = decode(answer(boxes, scores), np.zeros((32, 48, 64), np.float32), fit(192, 256, 256))

    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    np.testing.assert_allclose(found.boxes[0], [61, 40, 141, 80], atol=1e-3)


def test_boxes_end_at_the_photo_and_not_in_its_border():
    box = fit(300, 512, 512)

    found = decode(answer(np.array([[256, 300, 600, 80.0]]), np.array([0.9])), np.zeros((32, 80, 128), np.float32), box)

    assert box.input_height == 320
    np.testing.assert_allclose(found.boxes[0], [0, 260, 512, 300], atol=1e-3)
    assert found.prototypes.shape == (32, 75, 128)


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_the_order_of_the_cells_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(20, 200, (60, 4)).astype(np.float32)
    scores = rng.choice([0.3, 0.5, 0.5, 0.7, 0.9], 60).astype(np.float32)
    predictions, prototypes = answer(boxes, scores, seed), rng.normal(0, 1, (32, 64, 64)).astype(np.float32)
    box = fit(256, 256, 256)

    a, b = (decode(predictions[:, order], prototypes, box, 0.4, 0.5) for order in (np.arange(60), rng.permutation(60)))

    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.coefficients, b.coefficients)


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_boxes_that_stay_do_not_overlap_more_than_allowed(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (80, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 80, (80, 2))], 1).astype(np.float32)
    scores = np.sort(rng.uniform(0, 1, 80))[::-1].astype(np.float32)

    keep = suppress(boxes, scores, 0.6)

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        inter = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).prod()
        return float(inter / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter))

    kept = boxes[keep]
    assert keep[0] == 0
    assert all(iou(kept[i], kept[j]) <= 0.6 + 1e-5 for i in range(len(kept)) for j in range(i))
    dropped = [k for k in range(80) if k not in set(keep.tolist())]
    assert all(any(iou(boxes[k], boxes[j]) > 0.6 - 1e-5 for j in keep if j < k) for k in dropped)


@settings(deadline=None, max_examples=25)
@given(seeds, st.sampled_from([(150, 200), (300, 400), (75, 100), (149, 201)]))
def test_masks_stay_in_their_boxes_at_any_size(seed, size):
    found = random_proposals(seed)
    for index in range(len(found)):
        mask = found.mask(index, *size)

        assert mask.shape == size
        y, x = np.nonzero(mask)
        x0, y0, x1, y1 = found.boxes[index] * np.tile([size[1] / 200, size[0] / 150], 2)
        assert not len(x) or (x0 <= x.min() + 0.5 + 1e-3 and x.max() + 0.5 < x1 + 1e-3)
        assert not len(y) or (y0 <= y.min() + 0.5 + 1e-3 and y.max() + 0.5 < y1 + 1e-3)


@settings(deadline=None, max_examples=15)
@given(seeds)
def test_a_mask_is_what_resizing_all_logits_gives_inside_the_box(seed):
    found = random_proposals(seed)
    height, width = 450, 600
    for index in range(len(found)):
        coefficients = found.coefficients[index].astype(np.float32)
        logits = np.tensordot(coefficients, found.prototypes.astype(np.float32), 1)
        full = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
        x0, y0, x1, y1 = found.boxes[index] * 3
        y, x = np.mgrid[:height, :width] + 0.5
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)

        differ = found.mask(index, height, width) != ((full > 0) & inside)

        assert not (differ & (np.abs(full) > 1e-3)).any()


def test_a_mask_edge_is_smooth_at_the_photos_size():
    """A disc of 10 cells radius, on a photo 16 times as large: its mask is as round as its logits."""
    y, x = np.mgrid[:32, :32] + 0.5
    prototypes = np.zeros((32, 32, 32), np.float16)
    prototypes[0] = 10 - np.hypot(x - 16, y - 16)
    coefficients = np.eye(1, 32, dtype=np.float16)
    found = Proposals(
        512, 512, np.array([[0, 0, 512, 512]], np.float32), np.ones(1, np.float32), coefficients, prototypes
    )

    mask = found.mask(0, 512, 512)

    y, x = np.mgrid[:512, :512] + 0.5
    disc = np.hypot(x - 256, y - 256) < 160
    assert (mask ^ disc).sum() < 0.02 * disc.sum()
    assert found.areas()[0] == pytest.approx(disc.mean(), rel=0.03)


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_logits_at_points_agree_with_the_masks(seed):
    found = random_proposals(seed)
    points = np.random.default_rng(seed).uniform(0, [200, 150], (40, 2))

    logits = found.logits_at(points)

    assert logits.shape == (5, 40)
    for index in range(5):
        mask = found.mask(index, 150, 200)
        for (x, y), logit in zip(points, logits[index], strict=True):
            assert abs(logit) < 1e-3 or mask[int(y), int(x)] == (logit > 0)


def test_points_outside_the_photo_lie_in_nothing():
    assert (random_proposals(0).logits_at(np.array([[-1, 5], [200, 5], [5, 150.0]])) == -np.inf).all()


@settings(deadline=None, max_examples=10)
@given(seeds, st.integers(0, 5))
def test_stored_proposals_are_the_ones_that_were_given(seed, count):
    found = random_proposals(seed, count)

    again = Proposals.from_bytes(found.to_bytes())

    assert (again.height, again.width) == (found.height, found.width)
    for name in ("boxes", "scores", "coefficients", "prototypes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        assert getattr(again, name).dtype == getattr(found, name).dtype
    for index in range(count):
        np.testing.assert_array_equal(again.mask(index, 99, 77), found.mask(index, 99, 77))


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_bytes_that_are_no_proposals_are_a_value_error(data, cut):
    whole = random_proposals(0).to_bytes()
    for bad in (data, whole[: cut % len(whole)]):
        with pytest.raises(ValueError, match="no stored proposals"):
            Proposals.from_bytes(bad)


def test_a_picture_with_nothing_in_it_is_no_error():
    found = decode(answer(np.ones((10, 4)), np.zeros(10)), np.zeros((32, 64, 64), np.float32), fit(256, 256, 256))

    assert len(found) == 0
    assert found.logits_at(np.array([[1, 1]])).shape == (0, 1)
    assert list(found.small_masks()) == []
    assert found.areas().shape == (0,)
    assert len(Proposals.from_bytes(found.to_bytes())) == 0


def test_no_more_than_the_wanted_number_is_kept():
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 1024, (3000, 2)), rng.uniform(5, 30, (3000, 2))], 1)

    found = decode(answer(boxes, rng.uniform(0.5, 1, 3000)), np.zeros((32, 256, 256), np.float32), fit(1024, 1024))

    assert len(found) == domain.PROPOSALS_MAX
    assert (np.diff(found.scores) <= 0).all()
