import pytest
from google.rpc import code_pb2, error_details_pb2

from roomviz import errors
from roomviz.runtime.rpc import from_status, to_status


@pytest.mark.parametrize("kind", list(errors.KINDS.values()))
def test_a_failure_survives_the_wire(kind: type[errors.RoomvizError]):
    sent = kind("SOME_REASON", "what to do", {"field": "x"}, 2.5 if kind.retryable else None)

    got = from_status(to_status(sent))

    assert type(got) is kind
    assert (got.reason, got.message, got.metadata, got.retry_after_s) == (
        "SOME_REASON",
        "what to do",
        {"field": "x"},
        sent.retry_after_s,
    )


def test_what_we_did_not_expect_tells_the_caller_nothing():
    status = to_status(KeyError("postgres://user:password@host/db"))

    assert status.code == code_pb2.INTERNAL
    assert "password" not in str(status)


def test_a_failure_inside_a_task_group_is_still_itself():
    group = ExceptionGroup("unhandled errors", [errors.NotFound("ROOM_NOT_FOUND", "no such room")])

    assert to_status(group).code == code_pb2.NOT_FOUND


def test_a_time_out_is_a_deadline():
    assert to_status(TimeoutError()).code == code_pb2.DEADLINE_EXCEEDED


def test_a_retryable_failure_says_when_to_come_back():
    status = to_status(errors.Unavailable("QUEUE_UNAVAILABLE", "try again"))

    assert any(d.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for d in status.details)
