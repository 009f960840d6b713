import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.compositor.domain.layout import Bond, Layout, Planks, lengths_between, outlines
from services.compositor.domain.layout.joints import ROWS, joints


def ends(layout: Layout, box: tuple[float, float, float, float], pitch: float) -> dict[int, np.ndarray]:
    """Middles of the end joints of each row of an unturned layout."""
    found = outlines(layout, box)
    row = np.round(found.origin[:, 1] / pitch).astype(int)
    return {r: np.sort(found.origin[row == r, 0]) for r in np.unique(row).tolist()}


def nearest(a: np.ndarray, b: np.ndarray) -> float:
    """The least distance between two rows' joints."""
    return float(np.abs(a[:, None] - b[None]).min())


@settings(deadline=None, max_examples=12)
@given(
    lengths=st.lists(st.sampled_from([0.3, 0.45, 0.6, 0.9, 1.2, 1.83, 2.2]), min_size=1, max_size=5, unique=True),
    part=st.sampled_from([0.1, 0.3, 0.45, 0.5]),
    seed=st.integers(0, 1000),
)
def test_no_two_neighbouring_rows_have_ends_nearer_than_the_minimum(lengths: list[float], part: float, seed: int):
    stagger = part * min(lengths)
    layout = Layout(Planks(0.2, tuple(lengths), stagger), seed=seed)

    rows = ends(layout, (-20, -30, 20, 30), 0.2)

    assert len(rows) > 2 * ROWS
    for r in sorted(rows)[:-1]:
        assert nearest(rows[r], rows[r + 1]) >= stagger - 1e-6, r


@pytest.mark.parametrize("seed", range(5))
def test_a_row_holds_each_length_equally_often_and_closes(seed: int):
    pitches = (0.6, 0.9, 1.3)

    table = joints(pitches, 0.2, seed)

    assert (np.sort(table.kinds, 1) == np.sort(table.kinds[0])).all()
    np.testing.assert_allclose(table.ends[:, -1], table.period)


def test_rows_of_random_lengths_are_not_the_row_before_moved_on():
    table = joints((0.6, 0.9, 1.2), 0.2, 1)

    moved = (table.kinds[1:] == table.kinds[:-1]).all(1)

    assert moved.mean() < 0.05


def test_another_seed_gives_other_rows():
    assert not np.array_equal(joints((0.6, 0.9), 0.1, 1).kinds, joints((0.6, 0.9), 0.1, 2).kinds)


@pytest.mark.parametrize("stagger", [0.0, 0.1, 0.2])
def test_random_bond_keeps_its_stagger(stagger: float):
    pattern = Bond(0.4, 0.1, 0.0, random_stagger_m=stagger)
    rows = ends(Layout(pattern, seed=7), (-2, -20, 2, 20), 0.1)

    least = [nearest(rows[r], rows[r + 1]) for r in sorted(rows)[:-1]]

    assert min(least) >= stagger - 1e-9
    # Random, but where half of the length leaves no choice.
    assert np.std(least) > 0.01 or stagger == 0.2


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Planks(0.1, (0.6, 1.2), 0.31),
        lambda: Planks(0.1, ()),
        lambda: Planks(0.0, (1.0,)),
        lambda: Bond(0.3, 0.3, random_stagger_m=0.2),
        lambda: Bond(0.3, 0.3, offset=1.0),
        lambda: Bond(0.3, 0.3, -0.001),
        lambda: lengths_between(1.2, 0.6),
    ],
)
def test_impossible_rows_are_refused(bad):
    with pytest.raises(ValueError):
        bad()
