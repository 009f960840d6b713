"""What travels with a request: its id, its tenant and its deadline."""

import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID, TENANT, TRACEPARENT = "x-request-id", "x-roomviz-tenant", "traceparent"
BACKGROUND = "x-roomviz-background"


@dataclass(frozen=True)
class RequestContext:
    """deadline is on the clock of `time.monotonic`. background: others go first, since nobody waits
    for the answer, or the tenant asks for more than its quota."""

    request_id: str
    tenant: str
    deadline: float
    traceparent: str = ""
    background: bool = False

    @property
    def remaining_s(self) -> float:
        return self.deadline - time.monotonic()


_current: ContextVar[RequestContext | None] = ContextVar("roomviz_request", default=None)


def current() -> RequestContext:
    """The context of the request being served."""
    found = _current.get()
    if found is None:
        raise LookupError("no request is being served")
    return found


def known() -> RequestContext | None:
    """As `current`; None where none is being served."""
    return _current.get()


def enter(context: RequestContext) -> None:
    """Serve this request from here on in the current task."""
    _current.set(context)


def new_request_id() -> str:
    return str(uuid.uuid4())
