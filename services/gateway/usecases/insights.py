"""Insights: what shops report, what is counted, and what the visualizer changed."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from roomviz.runtime.context import current
from services.gateway.adapters.insights import Exposure, PostgresInsights
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.insights import DAYS_MAX, FUNNEL_DAYS_MAX, ROWS_MAX, Experiment, Question, Row
from services.gateway.domain.principal import Role
from services.gateway.domain.uplift import Arm, Uplift, held_out, of_means, of_proportions
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import parse

REPORTED_MAX = 500
REPORTED_AGO, REPORTED_AHEAD = timedelta(days=7), timedelta(minutes=5)
TEXT_MAX, ID_MAX, VALUE_END = 128, 64, 10**9
SHARE, SHARE_MAX = 0.1, 0.9
STEPS = (
    Type.ROOM_UPLOADED,
    Type.ROOM_ANALYZED,
    Type.PRODUCT_APPLIED,
    Type.VISUALIZATION_SAVED,
    Type.CART_ADDED,
)
GROUPS = ("day", "product", "surface_kind", "type", "store")


@dataclass(frozen=True)
class Step:
    event_type: str
    count: int
    share_of_first: float
    share_of_previous: float


@dataclass(frozen=True)
class InsightCases:
    insights: PostgresInsights

    async def report(self, reported: Sequence[tuple[str, Event]]) -> tuple[int, int]:
        """Take in events with the shop's ids: how many were new, and how many were not."""
        if not 1 <= len(reported) <= REPORTED_MAX:
            raise InvalidArgument("EVENTS_INVALID", f"a call has 1 to {REPORTED_MAX} events")
        wrong = [Violation(f"events[{n}].{field}", why) for n, r in enumerate(reported) for field, why in _wrong(*r)]
        if wrong:
            raise InvalidArgument(
                "EVENTS_INVALID", f"{wrong[0].subject}: {wrong[0].description}", violations=wrong[:100]
            )
        new = await self.insights.report(current().tenant, dict(reversed(reported)))
        return new, len(reported) - new

    async def query(self, question: Question) -> tuple[list[Row], bool]:
        """The rows, and whether there would be more."""
        _days(question.start, question.end, DAYS_MAX)
        if len(set(question.group_by)) < len(question.group_by) or not set(question.group_by) <= set(GROUPS):
            raise InvalidArgument("GROUP_BY_INVALID", f"group_by may have each of {', '.join(GROUPS)} once")
        if any(len(wanted) > 1000 for wanted in question.filters.values()):
            raise InvalidArgument("FILTER_INVALID", "a filter has at most 1000 values")
        found = await self.insights.query(current().tenant, question)
        return found[:ROWS_MAX], len(found) > ROWS_MAX

    async def funnel(
        self, start: date, end: date, by_room: bool, window_days: int = 0, steps: Sequence[str] = ()
    ) -> list[Step]:
        _days(start, end, FUNNEL_DAYS_MAX)
        window_days, steps = window_days or 7, list(steps) or [s.value for s in STEPS]
        if not 1 <= window_days <= 30:
            raise InvalidArgument("WINDOW_INVALID", "window_days is 1 to 30")
        if not 2 <= len(steps) <= 8 or not set(steps) <= set(Type):
            raise InvalidArgument("STEPS_INVALID", "a funnel has 2 to 8 steps, each an event type")
        begin, beyond = _midnight(start), _midnight(end) + timedelta(days=1)
        counts = await self.insights.funnel(
            current().tenant, by_room, steps, begin, beyond, timedelta(days=window_days)
        )
        shares = [1.0 if counts[0] else 0.0] + [b / a if a else 0.0 for a, b in pairwise(counts)]
        return [
            Step(step, count, count / counts[0] if counts[0] else 0.0, share)
            for step, count, share in zip(steps, counts, shares, strict=True)
        ]

    async def assign(self, name: str, unit: str, share: float) -> Exposure:
        """Which arm a visitor is in."""
        (experiment_id,) = parse(name, "experiments")
        unit = caller().subject if caller().role is Role.SHOPPER else unit
        if not 1 <= len(unit) <= TEXT_MAX or not unit.isprintable():
            raise InvalidArgument("UNIT_INVALID", f"unit has 1 to {TEXT_MAX} printable characters")
        if share and not 0 < share <= SHARE_MAX:
            raise InvalidArgument("SHARE_INVALID", f"holdout_share is above 0 and at most {SHARE_MAX}")
        tenant = current().tenant
        experiment = await self.insights.experiment(tenant, experiment_id)
        if experiment is None:
            if caller().own_only:  # a visitor asks about an experiment, and begins none
                raise NotFound("EXPERIMENT_NOT_FOUND", f"there is no experiment {name}")
            experiment = await self.insights.begin(
                Experiment(experiment_id, tenant, secrets.token_bytes(32), share or SHARE, datetime.now(UTC))
            )
        if share and share != experiment.share:
            raise FailedPrecondition(
                "EXPERIMENT_SHARE_FIXED",
                f"{name} began with a share of {experiment.share:g}, which cannot change; name another experiment",
                {"holdout_share": f"{experiment.share:g}"},
            )
        return await self.insights.expose(experiment, unit, held_out(experiment.salt, unit, experiment.share))

    async def uplift(self, name: str, of_value: bool, event_type: str, currency: str, window_days: int = 0) -> Uplift:
        (experiment_id,) = parse(name, "experiments")
        event_type = event_type or (Type.PURCHASE_MADE if of_value else Type.CART_ADDED).value
        window_days = window_days or 14
        if event_type not in set(Type):
            raise InvalidArgument("EVENT_TYPE_UNKNOWN", f"there is no event type {event_type[:80]}")
        if not 1 <= window_days <= 90:
            raise InvalidArgument("WINDOW_INVALID", "window_days is 1 to 90")
        if of_value and not _is_currency(currency):
            raise InvalidArgument("CURRENCY_INVALID", "currency_code is three capital letters, as in ISO 4217")
        experiment = await self.insights.experiment(current().tenant, experiment_id)
        if experiment is None:
            raise NotFound("EXPERIMENT_NOT_FOUND", f"there is no experiment {name}")
        window = timedelta(days=window_days)
        if of_value:
            arms = await self.insights.values(experiment, event_type, window, currency)
        else:
            arms = await self.insights.conversions(experiment, event_type, window)
        treated, held = (arms.get(side, Arm(0, 0.0)) for side in (False, True))
        if min(treated.n, held.n) < 2:
            raise FailedPrecondition(
                "EXPERIMENT_TOO_SMALL",
                f"{treated.n} visitors were shown the visualizer and {held.n} held out; two of each are needed",
            )
        if of_value:
            return of_means(treated, held)
        return of_proportions(round(treated.mean * treated.n), treated.n, round(held.mean * held.n), held.n)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _days(start: date, end: date, days_max: int) -> None:
    if not start <= end <= start + timedelta(days=days_max):
        raise InvalidArgument("DATES_INVALID", f"end_date is start_date or at most {days_max} days later")


def _is_currency(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


def _wrong(reported_id: str, event: Event) -> list[tuple[str, str]]:
    """What is wrong with an event: field, and why."""
    found = []
    if not 1 <= len(reported_id) <= ID_MAX or not reported_id.isprintable():
        found.append(("event_id", f"1 to {ID_MAX} printable characters"))
    now = datetime.now(UTC)
    if not now - REPORTED_AGO <= event.time <= now + REPORTED_AHEAD:
        found.append(("event_time", "at most 7 days ago, and not in the future"))
    texts: Mapping[str, str] = {
        "unit": event.unit,
        "room": event.room,
        "product": event.product,
        "surface_kind": event.surface_kind,
        "store": event.store,
    }
    found += [
        (f, f"at most {TEXT_MAX} printable characters")
        for f, t in texts.items()
        if len(t) > TEXT_MAX or not t.isprintable()
    ]
    for field, collection in (("room", "rooms"), ("product", "products")):
        if texts[field] and not texts[field].startswith(f"{collection}/"):
            found.append((field, f"a name such as {collection}/…"))
    if event.value is not None and not (0 <= event.value < VALUE_END and _is_currency(event.currency)):
        found.append(("value", f"at least 0 and below {VALUE_END}, with a currency_code of three capital letters"))
    return found
