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


# Where the request came from, as far as this process can see; '' where it cannot.
_address: ContextVar[str] = ContextVar("roomviz_client_address", default="")


def address() -> str:
    return _address.get()


def enter_address(address: str) -> None:
    """The request being served came from here."""
    _address.set(address)
