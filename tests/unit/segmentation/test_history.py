from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.errors import FailedPrecondition
from services.segmentation.domain.history import Event, History, Kind, fold

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def log(*kinds: Kind) -> History:
    return fold(Event(i + 1, k, "floor-1" if k is Kind.REFINE else "", (), NOW) for i, k in enumerate(kinds))


def revisions(events: tuple[Event, ...]) -> list[int]:
    return [e.revision for e in events]


R, U, D, X, A = Kind.REFINE, Kind.UNDO, Kind.REDO, Kind.RESET, Kind.ANALYZE


@pytest.mark.parametrize(
    ("kinds", "active", "current"),
    [
        ([], [], None),
        ([R, R], [1, 2], 2),
        ([R, R, U], [1], 1),
        ([R, U], [], None),
        ([R, R, U, D], [1, 2], 2),
        ([R, R, U, U, D], [1], 1),
        ([R, U, R], [3], 3),
        ([R, R, X], [], 3),
        ([R, R, X, U], [1, 2], 2),
        ([R, X, R], [3], 3),
        ([R, A], [], 2),
        ([R, A, U], [1], 1),
        ([R, A, R], [3], 3),
    ],
)
def test_what_is_in_force_follows_from_the_log(kinds: list[Kind], active: list[int], current: int | None):
    history = log(*kinds)

    assert revisions(history.active) == active
    assert (history.current.revision if history.current else None) == current
    assert history.head == len(kinds)


def test_a_new_step_forgets_what_could_have_been_done_again():
    with pytest.raises(FailedPrecondition) as caught:
        log(R, U, R).redo()

    assert caught.value.reason == "NOTHING_TO_REDO"


def test_where_nothing_was_done_nothing_can_be_taken_back():
    with pytest.raises(FailedPrecondition) as caught:
        log(R, U).undo()

    assert caught.value.reason == "NOTHING_TO_UNDO"


def test_a_replay_takes_the_corrections_that_a_new_analysis_replaced():
    assert revisions(log(R, R, A).replayable) == [1, 2]
    assert revisions(log(R, R, A, A).replayable) == [1, 2]
    assert revisions(log(R, A, R).replayable) == [3]
    assert revisions(log(R, R).replayable) == [1, 2]
    assert revisions(log(R, X).replayable) == []


@given(st.lists(st.sampled_from([R, X, A]), min_size=1, max_size=8), st.data())
def test_all_that_is_taken_back_can_be_done_again(kinds: list[Kind], data: st.DataObject):
    count = data.draw(st.integers(1, len(kinds)))
    before = log(*kinds)

    after = log(*kinds, *[U] * count, *[D] * count)

    assert after.done == before.done
    assert not after.undone
