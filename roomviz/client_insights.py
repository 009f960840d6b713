"""Insights of the SDK: `client.insights.report([client.insights.event("o-17", "purchase", value=("EUR", 129.9))])`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import grpc
from google.type import date_pb2, money_pb2

from roomviz.v1 import insights_pb2 as pb
from roomviz.v1 import insights_pb2_grpc

REPORTED = {n.removeprefix("REPORTED_TYPE_").lower(): v for n, v in pb.ReportedType.items() if v}
DIMENSIONS = {n.removeprefix("INSIGHT_DIMENSION_").lower(): v for n, v in pb.InsightDimension.items() if v}


class Insights:
    def __init__(self, channel: grpc.Channel, call: Callable[..., Any]):
        self._stub = insights_pb2_grpc.InsightServiceStub(channel)
        self._call = call

    @staticmethod
    def event(
        event_id: str,
        kind: str,
        value: tuple[str, float | Decimal] | None = None,
        event_time: datetime | None = None,
        **fields: str,
    ) -> pb.ReportedEvent:
        """kind: surface_chosen, product_viewed, add_to_cart, purchase; value: currency and amount; fields: unit, room,
        product, surface_kind, store."""
        made = pb.ReportedEvent(event_id=event_id, type=REPORTED[kind], **fields)  # type: ignore[arg-type]
        if value is not None:
            amount = Decimal(str(value[1]))
            made.value.CopyFrom(
                money_pb2.Money(currency_code=value[0], units=int(amount), nanos=int((amount % 1).scaleb(9)))
            )
        if event_time is not None:
            made.event_time.FromDatetime(event_time)
        return made

    def report(self, events: Iterable[pb.ReportedEvent]) -> int:
        """Tell what happened in the shop; how many of these were new. Sent again, they count once."""
        request = pb.ReportEventsRequest(events=events)
        return int(self._call(self._stub.ReportEvents, lambda: request, _same).accepted_count)

    def query(
        self, start: date, end: date, group_by: Sequence[str] = (), **filters: Sequence[str]
    ) -> list[pb.InsightRow]:
        """Counts. group_by: day, product, surface_kind, event_type, store; filters: event_types, products, surface_kinds,
        stores."""
        request = pb.QueryInsightsRequest(
            start_date=_day(start),
            end_date=_day(end),
            group_by=[pb.InsightDimension.Name(DIMENSIONS[g]) for g in group_by],
            **filters,
        )
        return list(self._call(self._stub.QueryInsights, lambda: request, _same).rows)

    def funnel(
        self, start: date, end: date, by_visitor: bool = False, window_days: int = 0, steps: Sequence[str] = ()
    ) -> list[pb.FunnelStep]:
        request = pb.GetFunnelRequest(
            start_date=_day(start),
            end_date=_day(end),
            unit=pb.FUNNEL_UNIT_VISITOR if by_visitor else pb.FUNNEL_UNIT_ROOM,
            window_days=window_days,
            steps=steps,
        )
        return list(self._call(self._stub.GetFunnel, lambda: request, _same).steps)

    def shown(self, experiment: str, unit: str, holdout_share: float = 0.0) -> bool:
        """Whether to show this visitor the visualizer; always the same for the same visitor."""
        request = pb.AssignHoldoutRequest(experiment=experiment, unit=unit, holdout_share=holdout_share)
        return bool(self._call(self._stub.AssignHoldout, lambda: request, _same).arm == pb.EXPERIMENT_ARM_TREATMENT)

    def uplift(
        self, experiment: str, currency: str = "", event_type: str = "", window_days: int = 0
    ) -> pb.GetUpliftResponse:
        """What the visualizer changed: how many converted, or with a currency how much a visitor was worth."""
        request = pb.GetUpliftRequest(
            experiment=experiment,
            metric=pb.UPLIFT_METRIC_MEAN_VALUE if currency else pb.UPLIFT_METRIC_CONVERSION,
            event_type=event_type,
            currency_code=currency,
            window_days=window_days,
        )
        return self._call(self._stub.GetUplift, lambda: request, _same)  # type: ignore[no-any-return]


def _day(day: date) -> date_pb2.Date:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)


def _same(answer: Any) -> Any:
    return answer
