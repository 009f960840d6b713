"""Pages of lists, over a list in memory that answers as the database does."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.errors import InvalidArgument
from roomviz.runtime import context
from services.gateway.domain.filters import Condition, Question
from services.gateway.domain.principal import Principal, Role
from services.gateway.usecases import caller
from services.gateway.usecases.listing import paged

QUESTION = Question((Condition("favorite", "=", True),))


def serve(tenant: str) -> None:
    context.enter(context.RequestContext("r", tenant, time.monotonic() + 60))
    caller.enter(Principal(tenant, "apiKeys/k", Role.OWNER))


class Shelf:
    def __init__(self, items: Sequence[int]):
        self.items = sorted(items)

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[int], str]:
        found = [i for i in self.items if not position or i > int(position)]
        return found[:limit], str(found[limit - 1]) if len(found) > limit else ""


@given(items=st.sets(st.integers(0, 500), max_size=60), added=st.sets(st.integers(501, 600)), size=st.integers(1, 25))
async def test_pages_hold_everything_once_also_while_more_is_added(items: set[int], added: set[int], size: int):
    serve("shop")
    shelf, found, token = Shelf(list(items)), [], ""
    while True:
        page, token = await paged(shelf.page, QUESTION, size, token, "things")
        assert len(page) <= size
        found += page
        if not token:
            break
        shelf.items = sorted({*shelf.items, *added})

    assert found == sorted(set(found))
    assert items <= set(found) <= items | added


async def test_a_token_is_worth_nothing_for_another_question_or_tenant():
    serve("shop")
    shelf = Shelf(range(10))
    _, token = await paged(shelf.page, QUESTION, 3, "", "things", "favorite = true")

    with pytest.raises(InvalidArgument) as caught:
        await paged(shelf.page, QUESTION, 3, token, "things", "favorite = false")
    assert (caught.value.reason, caught.value.violations[0].subject) == ("PAGE_TOKEN_INVALID", "page_token")
    serve("rival")
    with pytest.raises(InvalidArgument):
        await paged(shelf.page, QUESTION, 3, token, "things", "favorite = true")
