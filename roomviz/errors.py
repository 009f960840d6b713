"""Failures, by kind. A kind says what a caller can do; the reason (`UPPER_SNAKE`) says what happened.

Domain code raises these; `roomviz.runtime.rpc` turns them into `google.rpc.Status` and back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field of a request (`staging.placements[2].scale`), or which quota is used up."""

    subject: str
    description: str


class RoomvizError(Exception):
    """Base of every expected failure."""

    kind: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        violations: Sequence[Violation] = (),
    ):
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.violations = tuple(violations)


class InvalidArgument(RoomvizError):
    """The request itself is wrong: sending it again does not help."""

    kind = "INVALID_ARGUMENT"


class Unauthenticated(RoomvizError):
    """No credential, or one that is not valid."""

    kind = "UNAUTHENTICATED"


class PermissionDenied(RoomvizError):
    """The credential is valid, but it does not allow this."""

    kind = "PERMISSION_DENIED"


class NotFound(RoomvizError):
    """It does not exist, or it belongs to another tenant."""

    kind = "NOT_FOUND"


class AlreadyExists(RoomvizError):
    """There is one already, and there can be only one."""

    kind = "ALREADY_EXISTS"


class FailedPrecondition(RoomvizError):
    """Something else must happen first."""

    kind = "FAILED_PRECONDITION"


class Aborted(RoomvizError):
    """Another change came first, or the same request id was used for another request."""

    kind = "ABORTED"


class Cancelled(RoomvizError):
    """The caller no longer wants it."""

    kind = "CANCELLED"


class DeadlineExceeded(RoomvizError):
    """It took longer than the caller would wait."""

    kind = "DEADLINE_EXCEEDED"


class ResourceExhausted(RoomvizError):
    """A quota or a queue is full."""

    kind = "RESOURCE_EXHAUSTED"
    retryable = True


class Unavailable(RoomvizError):
    """A server that we need does not answer now: try again."""

    kind = "UNAVAILABLE"
    retryable = True


class Unimplemented(RoomvizError):
    """It is part of the interface, but not offered here."""

    kind = "UNIMPLEMENTED"


class Internal(RoomvizError):
    """A fault of ours."""

    kind = "INTERNAL"


KINDS: dict[str, type[RoomvizError]] = {
    c.kind: c
    for c in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        Cancelled,
        DeadlineExceeded,
        ResourceExhausted,
        Unavailable,
        Unimplemented,
        Internal,
    )
}


def unwrap(error: BaseException) -> BaseException:
    """The one failure inside an exception group (TaskGroup wraps), or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        known = [e for e in error.exceptions if isinstance(e, RoomvizError)]
        error = known[0] if known else error.exceptions[0]
    return error
