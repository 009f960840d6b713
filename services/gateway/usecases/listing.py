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
    tenant, owner = current().tenant, caller().sees
    question = Question(parse(filter, fields), parse_order(order_by, orders), show_deleted, owner)
    # Of another question, order or caller a token is worth nothing.
    mark = (tenant, owner, what, filter, order_by, str(show_deleted))
    position = paging.after(page_token, *mark)
    found, more = await fetch(tenant, question, position, paging.page_size(page_size))
    return found, paging.token(more, *mark) if more else ""
