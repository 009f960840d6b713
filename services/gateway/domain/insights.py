"""What insights count, and how many different ones there are in what was put together."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

# How many of the smallest hashes of a group's rooms and visitors are kept.
SKETCH_SIZE = 1024
DAYS_MAX, FUNNEL_DAYS_MAX = 400, 92
ROWS_MAX = 10_000


@dataclass(frozen=True)
class Question:
    """start and end are days (UTC), both counted; group_by and the filters name columns of `insight_days`."""

    start: date
    end: date
    group_by: tuple[str, ...] = ()
    filters: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """key has what the question's group_by names, in its order; values are by currency."""

    key: tuple[object, ...]
    events: int
    rooms: int
    units: int
    values: dict[str, Decimal]


@dataclass(frozen=True)
class Experiment:
    experiment_id: str
    tenant: str
    salt: bytes
    share: float
    create_time: datetime


# What sketches are kept apart in: all columns, or one of them, or none, always with the type and the day.
_LEVELS = {frozenset(): 7, frozenset({"product"}): 3, frozenset({"surface_kind"}): 5, frozenset({"store"}): 6}


def level(question: Question) -> int:
    """The coarsest level of `insight_sketches` that answers a question."""
    return _LEVELS.get(frozenset({*question.group_by, *question.filters} - {"day", "type"}), 0)


def distinct(kept: int, largest: int) -> int:
    """How many different ones there are, of whose 64-bit signed hashes the `kept` smallest go up to `largest`.

    Exact while fewer than SKETCH_SIZE are kept; above that with a standard error of 1 / sqrt(SKETCH_SIZE - 2), 3.1 %.
    Source: Bar-Yossef et al., "Counting Distinct Elements in a Data Stream", 2002; Beyer et al., "On Synopses for
    Distinct-Value Estimation Under Multiset Operations", 2007 (k - 1 instead of k: unbiased).
    """
    if kept < SKETCH_SIZE:
        return kept
    return round((SKETCH_SIZE - 1) / ((largest + 2**63 + 1) / 2**64))
