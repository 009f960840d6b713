"""The principal of the request being served."""

from contextvars import ContextVar

from services.gateway.domain.principal import Principal

_current: ContextVar[Principal | None] = ContextVar("roomviz_principal", default=None)


def caller() -> Principal:
    found = _current.get()
    if found is None:
        raise LookupError("no caller is known: the call is public")
    return found


def enter(principal: Principal) -> None:
    """Serve this caller from here on in the current task."""
    _current.set(principal)
