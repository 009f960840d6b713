import pytest

from roomviz.errors import InvalidArgument
from roomviz.runtime import paging


def test_a_token_goes_on_where_the_page_ended():
    assert paging.after(paging.token("SKU-7", "tenant", "list", "flooring"), "tenant", "list", "flooring") == "SKU-7"


def test_a_token_of_another_tenant_or_question_is_refused():
    token = paging.token("SKU-7", "tenant-a", "list")

    for question in (("tenant-b", "list"), ("tenant-a", "search")):
        with pytest.raises(InvalidArgument, match="another question"):
            paging.after(token, *question)


@pytest.mark.parametrize("token", ["x", "e30=", "bm90IGpzb24=", "W10=", "WyJhIiwxXQ=="])
def test_a_made_up_token_is_refused(token: str):
    with pytest.raises(InvalidArgument):
        paging.after(token, "tenant", "list")


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (7, 7), (1000, 200)])
def test_page_sizes_have_a_default_and_a_maximum(asked: int, given: int):
    assert paging.page_size(asked) == given


def test_a_negative_page_size_is_refused():
    with pytest.raises(InvalidArgument):
        paging.page_size(-1)
