import pytest

from roomviz.errors import DeadlineExceeded, Internal, InvalidArgument, ResourceExhausted, RoomvizError, Unavailable
from roomviz.retries import WAIT_MAX_S, Retries


def test_a_server_that_does_not_answer_is_asked_again_with_growing_waits():
    assert Retries()(Unavailable("SERVER_UNREACHABLE", "gone")) is True


@pytest.mark.parametrize("kind", [Unavailable, ResourceExhausted])
def test_who_is_told_when_to_come_back_does_not_come_earlier(kind: type[RoomvizError]):
    waits = [Retries()(kind("OVERLOADED", "later", None, 2.0)) for _ in range(50)]

    assert all(2.0 <= w <= 2.5 for w in waits)
    assert len(set(waits)) > 1


@pytest.mark.parametrize(
    "error",
    [
        ResourceExhausted("QUOTA_EXCEEDED", "used up"),
        ResourceExhausted("QUOTA_EXCEEDED", "until tomorrow", None, WAIT_MAX_S + 1),
        Unavailable("MAINTENANCE", "in an hour", None, 3600.0),
        DeadlineExceeded("DEADLINE_EXCEEDED", "late"),
        InvalidArgument("NAME_INVALID", "wrong"),
        Internal("INTERNAL", "broken"),
        ValueError("not ours"),
    ],
)
def test_the_rest_is_told_at_once(error: Exception):
    assert Retries()(error) is False


def test_when_all_fails_retries_stop_and_successes_bring_them_back():
    retries, down = Retries(), Unavailable("SERVER_UNREACHABLE", "gone")

    tried = [retries(down) for _ in range(100)]
    for _ in range(11):
        retries.succeeded()

    assert tried.count(True) == 10
    assert [retries(down), retries(down)] == [True, False]
