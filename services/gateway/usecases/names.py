"""Resource names (AIP-122)."""

import re
import secrets

from roomviz.errors import InvalidArgument, Violation

DISPLAY_NAME_MAX = 200
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_id() -> str:
    """120 random bits, lower-case."""
    return secrets.token_hex(15)


def check_request_id(request_id: str) -> None:
    """A caller's id of a request is short and printable; empty where there is none."""
    if len(request_id) > 64 or not request_id.isprintable():
        message = "request_id may have 64 printable characters; a UUID is best"
        raise InvalidArgument("REQUEST_ID_INVALID", message, violations=[Violation("request_id", message)])


def parse(name: str, *collections: str) -> tuple[str, ...]:
    """The ids in a name: `parse("rooms/a/surfaces/b", "rooms", "surfaces")` is ("a", "b")."""
    parts = name.split("/")
    if (
        len(parts) != 2 * len(collections)
        or tuple(parts[::2]) != collections
        or not all(_ID.fullmatch(p) for p in parts[1::2])
    ):
        pattern = "/".join(f"{c}/{{{c.rstrip('s')}}}" for c in collections)
        message = f"the name must look like {pattern}"
        raise InvalidArgument("NAME_INVALID", message, violations=[Violation("name", message)])
    return tuple(parts[1::2])


def printable(display_name: str) -> str:
    """A name for people, without what cannot be shown."""
    if len(display_name) > DISPLAY_NAME_MAX:
        message = f"display_name may have {DISPLAY_NAME_MAX} characters"
        raise InvalidArgument("DISPLAY_NAME_TOO_LONG", message, violations=[Violation("display_name", message)])
    return "".join(c for c in display_name if c.isprintable())
