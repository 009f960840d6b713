import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.segmentation.domain.identity import kept_ids, small


def mask(x0: int, x1: int, y0: int = 0, y1: int = 100) -> np.ndarray:
    out = np.zeros((100, 200), np.uint8)
    out[y0:y1, x0:x1] = 255
    return out


def test_the_first_analysis_names_its_surfaces_itself():
    assert kept_ids([], [("wall-1", mask(0, 50)), ("floor-1", mask(50, 60))]) == ["wall-1", "floor-1"]
    assert kept_ids([("wall-1", mask(0, 50))], []) == []


def test_walls_that_change_places_in_size_keep_their_ids():
    former = [("wall-1", mask(0, 110)), ("wall-2", mask(110, 200))]
    new = [("wall-1", mask(90, 200)), ("wall-2", mask(0, 90))]

    assert kept_ids(former, new) == ["wall-2", "wall-1"]


def test_what_is_new_gets_a_number_that_nothing_had():
    former = [("wall-1", mask(0, 60)), ("wall-2", mask(60, 120))]
    new = [("wall-1", mask(120, 200)), ("wall-2", mask(0, 60))]

    assert kept_ids(former, new) == ["wall-3", "wall-1"]


def test_what_comes_back_is_called_as_it_was_and_nothing_else_is():
    known = [
        ("wall-1", mask(0, 60)),
        ("wall-2", mask(60, 80)),
        ("wall-3", np.zeros((1, 1), np.uint8)),
    ]  # its mask is gone
    new = [("wall-1", mask(120, 200)), ("wall-2", mask(60, 85)), ("wall-3", mask(0, 55))]

    assert kept_ids(known, new) == ["wall-4", "wall-2", "wall-1"]


def test_masks_need_not_be_of_one_size():
    former = [
        ("wall-1", small(np.kron(mask(0, 110), np.ones((9, 9), np.uint8)))),
        ("wall-2", np.zeros((1, 1), np.uint8)),
    ]

    assert kept_ids(former, [("wall-1", mask(140, 200)), ("wall-2", mask(0, 110))]) == ["wall-3", "wall-1"]


def test_a_surface_that_falls_apart_leaves_its_id_to_the_larger_part():
    former = [("furniture-1", mask(0, 100))]
    new = [("furniture-1", mask(70, 100)), ("furniture-2", mask(0, 70))]

    assert kept_ids(former, new) == ["furniture-2", "furniture-1"]


def test_another_kind_in_its_place_is_another_surface():
    assert kept_ids([("wall-1", mask(0, 100))], [("furniture-1", mask(0, 100))]) == ["furniture-1"]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_no_id_is_given_twice_and_kinds_stay(seed: int):
    rng = np.random.default_rng(seed)

    def analysis() -> list[tuple[str, np.ndarray]]:
        owner = cv2.resize(rng.integers(0, 6, (4, 8), np.uint8), (200, 100), interpolation=cv2.INTER_NEAREST)
        kinds = rng.choice(["wall", "floor", "furniture"], 6)
        numbers = [int((kinds[:k] == kinds[k]).sum()) + 1 for k in range(6)]
        return [(f"{kinds[k]}-{numbers[k]}", np.uint8(255) * (owner == k)) for k in range(6)]

    former, new = analysis(), analysis()

    ids = kept_ids(former, new)

    assert len(set(ids)) == len(ids)
    assert [i.rpartition("-")[0] for i in ids] == [i.rpartition("-")[0] for i, _ in new]
