"""`roomviz insights`: counts, the funnel, uplift; as a table, JSON or a small picture."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from roomviz.charts import columns, steps
from roomviz.cli import Json, gateway, out, write
from roomviz.client_insights import DIMENSIONS
from roomviz.errors import InvalidArgument
from roomviz.v1 import insights_pb2 as pb

app: typer.Typer = typer.Typer(no_args_is_help=True, help="What visitors do, and whether it sells.")

Days = Annotated[int, typer.Option(help="How many days, until today.")]
Chart = Annotated[Path | None, typer.Option(help="Draw it into this PNG.")]


def _range(days: int) -> tuple[Any, Any]:
    today = datetime.now(UTC).date()
    return today - timedelta(days=days - 1), today


def _json(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _short(event_type: str) -> str:
    return event_type.removeprefix("dev.roomviz.").replace("_", " ")


@app.command()
def days(
    days: Days = 30,
    by: Annotated[list[str] | None, typer.Option(help=f"Tell apart: {', '.join(DIMENSIONS)}.")] = None,
    event_type: Annotated[list[str] | None, typer.Option(help="Count these types alone.")] = None,
    chart: Chart = None,
    json_: Json = False,
) -> None:
    """Count what happened, by day and type unless told otherwise."""
    by = by or ["day", "event_type"]
    if not set(by) <= set(DIMENSIONS):
        raise InvalidArgument("GROUP_BY_INVALID", f"--by is one of {', '.join(DIMENSIONS)}")
    start, end = _range(days)
    with gateway() as client:
        rows = client.insights.query(start, end, by, event_types=event_type or [])
    if chart is not None:
        if "day" not in by:
            raise InvalidArgument("GROUP_BY_INVALID", "a chart needs --by day")
        series: dict[str, dict[Any, int]] = {}
        for row in rows:
            rest = [_short(row.event_type), row.product.removeprefix("products/"), row.surface_kind, row.store]
            counts = series.setdefault(" ".join(w for w in rest if w) or "events", {})
            day = datetime(row.date.year, row.date.month, row.date.day).date()
            counts[day] = counts.get(day, 0) + row.event_count
        every = [start + timedelta(days=n) for n in range(days)]
        write(
            chart,
            columns(
                f"{start} to {end}",
                [f"{d:%d %b}" for d in every],
                {n: [c.get(d, 0) for d in every] for n, c in series.items()},
            ),
        )
    if json_:
        print(json.dumps([_json(r) for r in rows]))
        return
    table = Table(*by, "events", "rooms", "visitors", "value")
    for r in rows:
        key = {
            "day": f"{r.date.year}-{r.date.month:02}-{r.date.day:02}",
            "product": r.product,
            "surface_kind": r.surface_kind,
            "event_type": _short(r.event_type),
            "store": r.store,
        }
        worth = ", ".join(f"{m.units + m.nanos / 1e9:.2f} {m.currency_code}" for m in r.values)
        table.add_row(*(key[b] for b in by), str(r.event_count), str(r.room_count), str(r.unit_count), worth)
    out.print(table)


@app.command()
def funnel(days: Days = 30, by_visitor: bool = False, chart: Chart = None, json_: Json = False) -> None:
    """How many rooms, or visitors, came how far."""
    start, end = _range(days)
    with gateway() as client:
        found = client.insights.funnel(start, end, by_visitor)
    if chart is not None:
        write(chart, steps(f"{start} to {end}", [(_short(s.event_type), s.count) for s in found]))
    if json_:
        print(json.dumps([_json(s) for s in found]))
        return
    table = Table("step", "visitors" if by_visitor else "rooms", "of the first", "of the one before")
    for s in found:
        table.add_row(_short(s.event_type), str(s.count), f"{s.share_of_first:.1%}", f"{s.share_of_previous:.1%}")
    out.print(table)


@app.command()
def uplift(
    experiment: Annotated[str, typer.Argument(help="experiments/…")],
    currency: Annotated[str, typer.Option(help="Compare what visitors are worth in it, not how many convert.")] = "",
    event_type: str = "",
    json_: Json = False,
) -> None:
    """What the visualizer changed against those held out, with 95 % confidence intervals."""
    with gateway() as client:
        found = client.insights.uplift(experiment, currency, event_type)
    if json_:
        print(json.dumps(_json(found)))
        return
    table = Table("", "visitors", "mean value" if currency else "converted")
    for name, arm in (("shown", found.treatment), ("held out", found.holdout)):
        table.add_row(name, str(arm.unit_count), f"{arm.mean:.2f}" if currency else f"{arm.mean:.2%}")
    out.print(table)

    def told(e: pb.Estimate, form: str) -> str:
        return f"{e.value:{form}} ({e.low:{form}} to {e.high:{form}})"

    print("difference", told(found.difference, "+.2f" if currency else "+.2%"))
    if found.HasField("ratio"):
        print("ratio", told(found.ratio, ".3f"))
    print("significant" if found.significant else "not significant", "at 5 %")
