"""InsightService: translates, and calls the use cases. `insights_json` says the same to HTTP."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import grpc
from google.type import date_pb2, money_pb2

from roomviz.errors import InvalidArgument
from roomviz.runtime.context import current
from roomviz.v1 import insights_pb2 as pb
from roomviz.v1 import insights_pb2_grpc
from services.gateway.domain import uplift
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.insights import Question, Row
from services.gateway.domain.principal import Role
from services.gateway.usecases.caller import caller
from services.gateway.usecases.insights import GROUPS, InsightCases, Step

Context = grpc.aio.ServicerContext

_REPORTED = {
    pb.REPORTED_TYPE_SURFACE_CHOSEN: Type.SURFACE_CHOSEN,
    pb.REPORTED_TYPE_PRODUCT_VIEWED: Type.PRODUCT_VIEWED,
    pb.REPORTED_TYPE_ADD_TO_CART: Type.CART_ADDED,
    pb.REPORTED_TYPE_PURCHASE: Type.PURCHASE_MADE,
}
_COLUMNS = {
    pb.INSIGHT_DIMENSION_DAY: "day",
    pb.INSIGHT_DIMENSION_PRODUCT: "product",
    pb.INSIGHT_DIMENSION_SURFACE_KIND: "surface_kind",
    pb.INSIGHT_DIMENSION_EVENT_TYPE: "type",
    pb.INSIGHT_DIMENSION_STORE: "store",
}


class InsightService(insights_pb2_grpc.InsightServiceServicer):
    def __init__(self, insights: InsightCases):
        self._insights = insights

    async def ReportEvents(self, request: pb.ReportEventsRequest, rpc: Context) -> pb.ReportEventsResponse:
        new, known = await self._insights.report([(e.event_id, _event(n, e)) for n, e in enumerate(request.events)])
        return pb.ReportEventsResponse(accepted_count=new, duplicate_count=known)

    async def QueryInsights(self, request: pb.QueryInsightsRequest, rpc: Context) -> pb.QueryInsightsResponse:
        filters = {
            "type": list(request.event_types),
            "product": list(request.products),
            "surface_kind": list(request.surface_kinds),
            "store": list(request.stores),
        }
        question = Question(
            _date(request.start_date, "start_date"),
            _date(request.end_date, "end_date"),
            tuple(_COLUMNS.get(g, "") for g in request.group_by),
            {column: wanted for column, wanted in filters.items() if wanted},
        )
        rows, truncated = await self._insights.query(question)
        return pb.QueryInsightsResponse(rows=[_row(question, r) for r in rows], truncated=truncated)

    async def GetFunnel(self, request: pb.GetFunnelRequest, rpc: Context) -> pb.GetFunnelResponse:
        steps = await self._insights.funnel(
            _date(request.start_date, "start_date"),
            _date(request.end_date, "end_date"),
            request.unit != pb.FUNNEL_UNIT_VISITOR,
            request.window_days,
            list(request.steps),
        )
        return pb.GetFunnelResponse(steps=[pb.FunnelStep(**asdict(s)) for s in steps])

    async def AssignHoldout(self, request: pb.AssignHoldoutRequest, rpc: Context) -> pb.AssignHoldoutResponse:
        exposure = await self._insights.assign(request.experiment, request.unit, request.holdout_share)
        arm = pb.EXPERIMENT_ARM_HOLDOUT if exposure.held_out else pb.EXPERIMENT_ARM_TREATMENT
        out = pb.AssignHoldoutResponse(arm=arm)
        out.exposure_time.FromDatetime(exposure.create_time)
        return out

    async def GetUplift(self, request: pb.GetUpliftRequest, rpc: Context) -> pb.GetUpliftResponse:
        found = await self._insights.uplift(
            request.experiment,
            request.metric == pb.UPLIFT_METRIC_MEAN_VALUE,
            request.event_type,
            request.currency_code,
            request.window_days,
        )
        return pb.GetUpliftResponse(
            treatment=pb.UpliftArm(unit_count=found.treatment.n, mean=found.treatment.mean),
            holdout=pb.UpliftArm(unit_count=found.holdout.n, mean=found.holdout.mean),
            difference=_estimate(found.difference),
            ratio=_estimate(found.ratio) if found.ratio else None,
            significant=found.significant,
        )


def _event(n: int, e: pb.ReportedEvent) -> Event:
    if e.type not in _REPORTED:
        raise InvalidArgument("EVENTS_INVALID", f"events[{n}].type: one of the types that shops report")
    who = caller()
    return Event(
        _REPORTED[e.type],
        current().tenant,
        who.subject,
        e.product or e.room or who.subject,
        room=e.room,
        product=e.product,
        surface_kind=e.surface_kind,
        store=e.store or who.store,
        # A visitor with a credential of its own speaks for itself alone.
        unit=who.subject if who.role is Role.SHOPPER else e.unit,
        value=e.value.units + Decimal(e.value.nanos).scaleb(-9) if e.HasField("value") else None,
        currency=e.value.currency_code,
        time=e.event_time.ToDatetime(UTC) if e.HasField("event_time") else datetime.now(UTC),
    )


def _date(day: date_pb2.Date, field: str) -> date:
    try:
        return date(day.year, day.month, day.day)
    except ValueError:
        raise InvalidArgument("DATES_INVALID", f"{field} must be a day") from None


def _money(currency: str, amount: Decimal) -> money_pb2.Money:
    units = int(amount)
    return money_pb2.Money(currency_code=currency, units=units, nanos=int((amount - units).scaleb(9)))


def _estimate(e: uplift.Estimate) -> pb.Estimate:
    return pb.Estimate(value=e.value, low=e.low, high=e.high)


def _row(question: Question, r: Row) -> pb.InsightRow:
    key = dict(zip(question.group_by, r.key, strict=True))
    out = pb.InsightRow(
        product=str(key.get("product", "")),
        surface_kind=str(key.get("surface_kind", "")),
        event_type=str(key.get("type", "")),
        store=str(key.get("store", "")),
        event_count=r.events,
        room_count=r.rooms,
        unit_count=r.units,
        values=[_money(c, v) for c, v in r.values.items()],
    )
    day = key.get("day")
    if isinstance(day, date):
        out.date.year, out.date.month, out.date.day = day.year, day.month, day.day
    return out


# --- JSON ---


async def insights_json(insights: InsightCases, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The answer to `GET /api/insights`, as plain JSON.

    parameters: from and to (ISO dates); group_by, and the filters type, product, surface_kind, store, each of several
    parted by commas; `funnel=room` or `funnel=visitor` asks for the funnel of those days instead, with window_days.

    Raises:
        InvalidArgument: as QueryInsights and GetFunnel do.
    """
    start, end = (_iso(parameters.get(p, ""), p) for p in ("from", "to"))
    told = {"from": start.isoformat(), "to": end.isoformat()}
    if funnel := parameters.get("funnel"):
        if funnel not in ("room", "visitor"):
            raise InvalidArgument("FUNNEL_INVALID", "funnel is room or visitor")
        days = parameters.get("window_days", "0")
        steps = await insights.funnel(start, end, funnel == "room", int(days) if days.isdecimal() else -1)
        return told | {"funnel": funnel, "steps": [_step(s) for s in steps]}
    question = Question(
        start, end, tuple(_words(parameters, "group_by")), {c: w for c in GROUPS[1:] if (w := _words(parameters, c))}
    )
    rows, truncated = await insights.query(question)
    return told | {
        "group_by": list(question.group_by),
        "rows": [_plain(question, r) for r in rows],
        "truncated": truncated,
    }


def _words(parameters: Mapping[str, str], name: str) -> list[str]:
    return [w for w in parameters.get(name, "").split(",") if w]


def _iso(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidArgument("DATES_INVALID", f"{name} must be a day such as 2026-11-21") from None


def _step(s: Step) -> dict[str, Any]:
    return asdict(s)


def _plain(question: Question, r: Row) -> dict[str, Any]:
    key = {c: v.isoformat() if isinstance(v, date) else v for c, v in zip(question.group_by, r.key, strict=True)}
    counts = {"events": r.events, "rooms": r.rooms, "units": r.units}
    return key | counts | {"values": {c: format(v.normalize(), "f") for c, v in r.values.items()}}
