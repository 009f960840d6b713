"""Filters and orders of lists."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.errors import InvalidArgument
from services.gateway.domain.filters import Condition, Field, Kind, Order, parse, parse_order

FIELDS = {
    "display_name": Field(Kind.TEXT),
    "state": Field(Kind.WORD, ("READY", "UPLOADED")),
    "saved": Field(Kind.BOOL),
    "create_time": Field(Kind.TIME),
}


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_conditions_stand_with_and_or_nothing_between_them():
    asked = 'state = READY AND saved=true display_name : "living room" AND create_time >= "2026-01-02T03:04:05Z"'

    assert parse(asked, FIELDS) == (
        Condition("state", "=", "READY"),
        Condition("saved", "=", True),
        Condition("display_name", ":", "living room"),
        Condition("create_time", ">=", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    )
    assert parse("  ", FIELDS) == ()


@pytest.mark.parametrize(
    "asked",
    [
        "owner = me",
        "state",
        "state =",
        "= READY",
        "state READY",
        "state = LOST",
        "state < READY",
        "saved = yes",
        "saved : true",
        "create_time > yesterday",
        'create_time > "2026-13-01"',
        "(state = READY)",
        "NOT saved = true",
        "state = READY OR saved = true",
        "state = READY AND",
        "AND state = READY",
        "state = READY AND AND saved = true",
        'display_name = "unfinished',
        'display_name = "\0"',
        "display_name = x; DROP TABLE rooms",
        " ".join(["saved = true"] * 21),
        "display_name = " + "x" * 3000,
    ],
)
def test_what_is_no_filter_is_refused_with_the_field_and_what_there_is(asked: str):
    with pytest.raises(InvalidArgument) as caught:
        parse(asked, FIELDS)

    assert caught.value.reason == "FILTER_INVALID"
    assert [v.subject for v in caught.value.violations] == ["filter"]
    assert caught.value.metadata["fields"] == "display_name,state,saved,create_time"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100))
def test_any_text_in_quotes_is_itself(text: str):
    assert parse(f"display_name = {quoted(text)}", FIELDS) == (Condition("display_name", "=", text),)


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))
def test_any_time_is_itself(time: datetime):
    assert parse(f'create_time < "{time.isoformat()}"', FIELDS) == (Condition("create_time", "<", time),)


@given(st.text(max_size=200))
def test_whatever_is_sent_is_conditions_on_known_fields_or_refused(text: str):
    found: tuple[Condition, ...] = ()
    with suppress(InvalidArgument):
        found = parse(text, FIELDS)

    assert {c.field for c in found} <= set(FIELDS)


def test_an_order_is_a_field_and_a_way():
    assert parse_order("", ("create_time",)) == Order("create_time", True)
    assert parse_order("display_name", ("display_name",)) == Order("display_name", False)
    assert parse_order(" display_name  desc ", ("display_name",)) == Order("display_name", True)
    for wrong in ("owner", "create_time down", "create_time desc, id", "desc"):
        with pytest.raises(InvalidArgument, match="order_by"):
            parse_order(wrong, ("create_time",))
