"""Filters of lists (a part of AIP-160) and their order (AIP-132).

    state = READY AND create_time >= "2026-01-01T00:00:00Z" AND display_name : "kitchen"

Conditions with AND (or nothing) between them. A value is a word, a number or a string in quotes; `:` finds a part of a
text, whatever its case. What a field can be compared with is known beforehand, so a filter that parses can be answered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn

from roomviz.errors import InvalidArgument, Violation

LENGTH_MAX, CONDITIONS_MAX = 2000, 20


class Kind(StrEnum):
    TEXT = "text"
    WORD = "word"  # one of a few
    BOOL = "bool"
    TIME = "time"


_OPERATORS = {
    Kind.TEXT: ("=", "!=", ":"),
    Kind.WORD: ("=", "!="),
    Kind.BOOL: ("=", "!="),
    Kind.TIME: ("=", "!=", "<", "<=", ">", ">="),
}


@dataclass(frozen=True)
class Field:
    """What can be asked of. `words` are the values of Kind.WORD."""

    kind: Kind
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    field: str
    operator: str
    value: str | bool | datetime


@dataclass(frozen=True)
class Order:
    """By a field, and by the id where that is the same."""

    field: str = "create_time"
    descending: bool = True


@dataclass(frozen=True)
class Question:
    """What a list is asked for."""

    conditions: tuple[Condition, ...] = ()
    order: Order = field(default_factory=Order)
    show_deleted: bool = False
    owner: str = ""  # whose alone; empty: everybody's


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
      | (?P<operator><=|>=|!=|[=<>:])
      | (?P<word>[^\s"'<>=!:()]+)
      | (?P<wrong>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)


def _refuse(message: str, fields: Mapping[str, Field]) -> NoReturn:
    raise InvalidArgument(
        "FILTER_INVALID",
        f"{message}; fields are {', '.join(fields)}",
        {"fields": ",".join(fields)},
        violations=[Violation("filter", message)],
    )


def parse(text: str, fields: Mapping[str, Field]) -> tuple[Condition, ...]:
    """The conditions of a filter. Raises InvalidArgument (FILTER_INVALID), which says what is wrong with it."""
    if len(text) > LENGTH_MAX:
        _refuse(f"a filter has at most {LENGTH_MAX} characters", fields)
    tokens = [(str(m.lastgroup), m[m.lastgroup or 0]) for m in _TOKEN.finditer(text)]
    found: list[Condition] = []
    at = 0
    while at < len(tokens):
        if found and tokens[at] == ("word", "AND"):
            at += 1
        three = tokens[at : at + 3]
        kinds = [k for k, _ in three]
        if kinds[:2] != ["word", "operator"] or kinds[2:] not in (["word"], ["string"]):
            said = " ".join(v for _, v in three)[:80]
            _refuse(f"{said!r} is no condition such as `field = value`, with AND between conditions", fields)
        (_, name), (_, operator), (kind, value) = three
        if name not in fields:
            _refuse(f"there is no field {name[:40]!r}", fields)
        if operator not in _OPERATORS[fields[name].kind]:
            _refuse(f"{name} is compared by {' '.join(_OPERATORS[fields[name].kind])}", fields)
        if kind == "string":
            value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
        found.append(Condition(name, operator, _typed(name, value, fields)))
        at += 3
    if len(found) > CONDITIONS_MAX:
        _refuse(f"a filter has at most {CONDITIONS_MAX} conditions", fields)
    return tuple(found)


def _typed(name: str, value: str, fields: Mapping[str, Field]) -> str | bool | datetime:
    of = fields[name]
    if of.kind is Kind.BOOL:
        if value not in ("true", "false"):
            _refuse(f"{name} is true or false", fields)
        return value == "true"
    if of.kind is Kind.TIME:
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            _refuse(f'{name} is a time such as "2026-01-31T12:00:00Z"', fields)
    if of.kind is Kind.WORD and value not in of.words:
        _refuse(f"{name} is one of {', '.join(of.words)}", fields)
    if "\0" in value:
        _refuse("text has no NUL characters", fields)
    return value


def parse_order(text: str, orders: tuple[str, ...]) -> Order:
    """The order that is asked for; empty: newest first. Raises InvalidArgument (ORDER_INVALID)."""
    name, *way = text.split() or ["create_time", "desc"]
    if name not in orders or way not in ([], ["asc"], ["desc"]):
        message = f"order_by is one of {', '.join(orders)}, with ` desc` behind it for the other way"
        raise InvalidArgument("ORDER_INVALID", message, violations=[Violation("order_by", message)])
    return Order(name, way == ["desc"])
