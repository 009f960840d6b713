"""Lists: what is asked for, and its pages."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from roomviz.runtime import paging
from roomviz.runtime.context import current
from services.gateway.domain.filters import Field, Question, parse, parse_order
from services.gateway.usecases.caller import caller

T = TypeVar("T")
Fetch = Callable[[str, Question, str, int], Awaitable[tuple[list[T], str]]]

ORDERS = ("create_time", "update_time", "display_name")


async def listed(
    fetch: Fetch[T],
    what: str,
    fields: Mapping[str, Field],
    page_size: int,
    page_token: str,
    filter: str,
    order_by: str = "",
    show_deleted: bool = False,
    orders: tuple[str, ...] = ORDERS,
) -> tuple[list[T], str]:
    """A page of what the caller sees, and the token of the next; `fetch(tenant, question, position, limit)` reads it."""
    question = Question(parse(filter, fields), parse_order(order_by, orders), show_deleted, caller().sees)
    return await paged(fetch, question, page_size, page_token, what, filter, order_by, str(show_deleted))


async def paged(
    fetch: Fetch[T], question: Question, page_size: int, page_token: str, *asked: str
) -> tuple[list[T], str]:
    """As `listed`, of a question; of what else was `asked`, or by another caller, a token is worth nothing."""
    mark = (current().tenant, question.owner, *asked)
    position = paging.after(page_token, *mark)
    found, more = await fetch(current().tenant, question, position, paging.page_size(page_size))
    return found, paging.token(more, *mark) if more else ""
