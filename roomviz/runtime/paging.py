"""Page sizes and opaque page tokens (AIP-158). A token belongs to one question and one tenant."""

import base64
import binascii
import hashlib
import json

from roomviz.errors import InvalidArgument, Violation

DEFAULT, MAX = 50, 200


def page_size(asked: int) -> int:
    """0 means the default; more than the maximum means the maximum."""
    if asked < 0:
        message = "page_size must not be negative"
        raise InvalidArgument("PAGE_SIZE_INVALID", message, violations=[Violation("page_size", message)])
    return min(asked or DEFAULT, MAX)


def _mark(question: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(question).encode()).hexdigest()[:16]


def token(after: str, *question: str) -> str:
    """A token that goes on after `after` in the answer to `question`."""
    return base64.urlsafe_b64encode(json.dumps([_mark(question), after]).encode()).decode()


def foreign_token(message: str = "page_token was not given by this service") -> InvalidArgument:
    return InvalidArgument("PAGE_TOKEN_INVALID", message, violations=[Violation("page_token", message)])


def after(given: str, *question: str) -> str:
    """Where the page of this token begins; empty for the first page."""
    if not given:
        return ""
    try:
        mark, position = json.loads(base64.urlsafe_b64decode(given.encode()))
    except (ValueError, TypeError, binascii.Error):
        raise foreign_token() from None
    if mark != _mark(question) or not isinstance(position, str):
        raise foreign_token("page_token belongs to another question")
    return position


def offset(given: str, *question: str) -> int:
    """Where the page of this token begins, where tokens count items."""
    position = after(given, *question)
    if position and not (position.isascii() and position.isdigit() and len(position) <= 9):
        raise foreign_token()
    return int(position or 0)
