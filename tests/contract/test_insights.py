"""Insights on the real stack: what happened here and what a shop reports, counted."""

import asyncio
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import cv2
import numpy as np
import pytest

from roomviz.client import Client
from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from roomviz.imaging.codec import decode_rgb
from roomviz.runtime import context
from roomviz.v1 import insights_pb2 as pb
from services.gateway.adapters.happenings import PostgresHappenings, month_name
from services.gateway.adapters.insights import PostgresInsights
from services.gateway.domain.happenings import Type
from services.gateway.transport.insights import insights_json
from services.gateway.usecases.insights import InsightCases
from tests.conftest import Running, jpeg
from tests.contract.test_api import covers
from tests.contract.test_webhooks import until


def database(running: Running) -> Any:
    """A pool of our own on the gateway's schema."""
    s = running.settings
    return asyncpg.create_pool(
        f"postgresql://roomviz@{s.host}:{s.postgres_port}/roomviz",
        passfile=str(s.secrets / "pgpass"),
        server_settings={"search_path": "gateway"},
        min_size=1,
    )


def today() -> date:
    return datetime.now(UTC).date()


def new(prefix: str = "e") -> str:
    return f"{prefix}-{uuid.uuid4()}"[:64]


def rows(client: Client, group_by: list[str], **filters: Any) -> list[pb.InsightRow]:
    return client.insights.query(today() - timedelta(days=1), today(), group_by, **filters)


def counted(client: Client, store: str, events: int) -> pb.InsightRow:
    """The one row of a store, once so many events of it are counted."""

    def there() -> pb.InsightRow | None:
        found = rows(client, [], stores=[store])
        return found[0] if found and found[0].event_count == events else None

    return until(there, f"{events} events of {store}")  # type: ignore[no-any-return]


@covers("roomviz.v1.InsightService/ReportEvents", "roomviz.v1.InsightService/QueryInsights")
def test_what_a_shop_reports_is_counted_once(client: Client):
    store, event = new("store"), client.insights.event
    first, second = new(), new()
    told = [
        event(first, "product_viewed", unit="v1", product="products/A", store=store),
        event(second, "purchase", ("EUR", 129.95), unit="v1", product="products/A", store=store),
        event(new(), "purchase", ("EUR", "0.05"), unit="v2", product="products/B", store=store),
        event(new(), "purchase", ("USD", 10), unit="v2", product="products/B", store=store),
        event(second, "purchase", ("EUR", 999), unit="v1", product="products/A", store=store),
    ]

    assert client.insights.report(told) == 4
    assert client.insights.report(told) == 0

    row = counted(client, store, 4)
    assert (row.unit_count, row.room_count) == (2, 0)
    assert {m.currency_code: m.units + m.nanos / 1e9 for m in row.values} == {"EUR": 130.0, "USD": 10.0}
    by_product = rows(client, ["day", "product"], stores=[store])
    assert [(r.product, r.event_count) for r in by_product] == [("products/A", 2), ("products/B", 2)]
    assert {(r.date.year, r.date.month, r.date.day) for r in by_product} == {(today().year, today().month, today().day)}
    viewed = rows(client, ["event_type"], stores=[store], event_types=[Type.PRODUCT_VIEWED])
    assert [(r.event_type, r.event_count) for r in viewed] == [(Type.PRODUCT_VIEWED, 1)]


def test_a_late_event_is_counted_on_its_day(client: Client):
    store = new("store")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    client.insights.report([client.insights.event(new(), "add_to_cart", store=store, event_time=yesterday)])
    client.insights.report([client.insights.event(new(), "add_to_cart", store=store)])
    counted(client, store, 2)

    found = rows(client, ["day"], stores=[store])

    assert [r.date.day for r in found] == [yesterday.day, today().day]


def test_one_wrong_event_keeps_all_out(client: Client):
    store, event = new("store"), client.insights.event
    fine = event(new(), "add_to_cart", store=store)
    bad = [
        event("", "add_to_cart"),
        event(new(), "add_to_cart", room="kitchen"),
        event(new(), "purchase", ("euro", 1)),
        event(new(), "purchase", ("EUR", -1)),
        event(new(), "add_to_cart", event_time=datetime.now(UTC) - timedelta(days=8)),
        event(new(), "add_to_cart", unit="x" * 129),
    ]

    with pytest.raises(InvalidArgument) as failed:
        client.insights.report([fine, *bad])

    assert [v.subject for v in failed.value.violations] == [
        "events[1].event_id",
        "events[2].room",
        "events[3].value",
        "events[4].value",
        "events[5].event_time",
        "events[6].unit",
    ]
    assert client.insights.report([fine]) == 1
    with pytest.raises(InvalidArgument):
        client.insights.report([event(new(), "add_to_cart") for _ in range(501)])


@covers("roomviz.v1.InsightService/GetFunnel")
def test_a_room_goes_through_the_funnel(running: Running, client: Client, photo: bytes):
    """Uploaded, analyzed, with a product on it, exported, and the product in the cart."""
    steps = [Type.ROOM_UPLOADED, Type.ROOM_ANALYZED, Type.PRODUCT_APPLIED, Type.VISUALIZATION_EXPORTED, Type.CART_ADDED]
    before = [s.count for s in client.insights.funnel(today(), today(), steps=steps)]
    altered = decode_rgb(photo)
    altered[:4] = np.random.default_rng().integers(0, 255, altered[:4].shape)
    room = client.upload(jpeg(altered))
    client.upload(jpeg(cv2.flip(altered, 1)))  # another, which stays at the first step
    client.analyze(room.name)
    oak = [client.apply("FLR-OAK-NATURAL", kind="floor")]
    client.preview(room.name, oak)
    client.export(room.name, oak)
    client.insights.report([client.insights.event(new(), "add_to_cart", room=room.name, unit=new("v"))])

    after = client.insights.funnel(today(), today(), steps=steps)

    assert [s.count - b for s, b in zip(after, before, strict=True)] == [2, 1, 1, 1, 1]
    assert after[0].share_of_first == 1.0
    assert after[1].share_of_previous == pytest.approx(after[1].count / after[0].count)
    applied = running.rows(
        "SELECT product, surface_kind, subject FROM gateway.events WHERE room = $1 AND type = $2",
        room.name,
        Type.PRODUCT_APPLIED,
    )
    # Once in the preview, once in the export.
    assert (
        applied
        == [{"product": "products/FLR-OAK-NATURAL", "surface_kind": "floor", "subject": "products/FLR-OAK-NATURAL"}] * 2
    )
    # The same photo again is the same room, and was uploaded once.
    client.upload(jpeg(altered))
    assert (
        len(running.rows("SELECT 1 FROM gateway.events WHERE room = $1 AND type = $2", room.name, Type.ROOM_UPLOADED))
        == 1
    )
    until(
        lambda: rows(
            client, ["surface_kind"], products=["products/FLR-OAK-NATURAL"], event_types=[Type.PRODUCT_APPLIED]
        ),
        "the day to be counted",
    )


def test_days_are_counted_anew_to_the_same(running: Running, client: Client):
    """What is counted ahead is what the events say, however often it is done."""
    store = new("store")
    event = client.insights.event
    client.insights.report([event(new(), "product_viewed", store=store, unit=f"v{n % 7}") for n in range(300)])
    row = counted(client, store, 300)
    assert row.unit_count == 7

    client.insights.report([event(new(), "product_viewed", store=store, unit="v0")])

    assert counted(client, store, 301).unit_count == 7
    until(lambda: not running.rows("SELECT 1 FROM gateway.insight_marks"), "no day to be left over")


def test_many_visitors_are_counted_closely(client: Client):
    store, event = new("store"), client.insights.event
    for at in range(0, 3000, 500):
        client.insights.report([event(new(), "product_viewed", store=store, unit=f"u{at + n}") for n in range(500)])

    row = counted(client, store, 3000)

    # Five standard errors.
    assert row.unit_count == pytest.approx(3000, rel=0.16)
    assert row.unit_count != 1024


@covers("roomviz.v1.InsightService/AssignHoldout", "roomviz.v1.InsightService/GetUplift")
def test_an_experiment_from_assignment_to_uplift(client: Client):
    experiment = f"experiments/{new('x')}"
    with pytest.raises(NotFound):
        client.insights.uplift(experiment)
    shown = {f"u{n}": client.insights.shown(experiment, f"u{n}", 0.5) for n in range(80)}
    assert 20 < sum(shown.values()) < 60
    assert all(client.insights.shown(experiment, u) is s for u, s in shown.items())
    with pytest.raises(FailedPrecondition) as fixed:
        client.insights.shown(experiment, "u0", 0.2)
    assert fixed.value.reason == "EXPERIMENT_SHARE_FIXED"
    # Everybody who was shown buys, and every fourth of the others.
    held = [u for u, s in shown.items() if not s]
    buyers = [u for u, s in shown.items() if s] + held[::4]
    event = client.insights.event
    told = [event(new(), "add_to_cart", unit=f"{u}") for u in buyers]
    told += [event(new(), "purchase", ("EUR", 100 if shown[u] else 40), unit=u) for u in buyers]
    client.insights.report(told)

    found = client.insights.uplift(experiment)

    assert (found.treatment.unit_count, found.treatment.mean) == (80 - len(held), 1.0)
    assert found.holdout.mean == pytest.approx(len(held[::4]) / len(held))
    assert found.significant
    assert found.difference.low > 0.4
    assert found.ratio.low < found.ratio.value < found.ratio.high
    worth = client.insights.uplift(experiment, "EUR")
    assert worth.treatment.mean == pytest.approx(100)
    assert worth.significant
    nothing = client.insights.uplift(experiment, "USD")
    assert (nothing.treatment.mean, nothing.significant, nothing.HasField("ratio")) == (0.0, False, False)


def test_an_experiment_of_one_is_too_small(client: Client):
    experiment = f"experiments/{new('x')}"
    client.insights.shown(experiment, "u1")

    with pytest.raises(FailedPrecondition) as failed:
        client.insights.uplift(experiment)

    assert failed.value.reason == "EXPERIMENT_TOO_SMALL"


@pytest.mark.parametrize("share", [-0.1, 0.95, float("nan")])
def test_shares_that_are_refused(client: Client, share: float):
    with pytest.raises(InvalidArgument):
        client.insights.shown(f"experiments/{new('x')}", "u", share)


def test_questions_that_are_refused(client: Client):
    for call in (
        lambda: client.insights.query(today(), today() - timedelta(days=1)),
        lambda: client.insights.query(today() - timedelta(days=401), today()),
        lambda: client.insights.query(today(), today(), ["day", "day"]),
        lambda: client.insights.funnel(today() - timedelta(days=93), today()),
        lambda: client.insights.funnel(today(), today(), window_days=31),
        lambda: client.insights.funnel(today(), today(), steps=["a", "b"]),
        lambda: client.insights.funnel(today(), today(), steps=[Type.ROOM_UPLOADED]),
    ):
        with pytest.raises(InvalidArgument):
            call()


def test_the_same_as_json(running: Running, client: Client):
    store, event = new("store"), client.insights.event
    client.insights.report([event(new(), "purchase", ("EUR", "12.50"), unit="v", product="products/A", store=store)])
    counted(client, store, 1)

    async def ask(**parameters: str) -> dict[str, Any]:
        context.enter(context.RequestContext("r", "demo", 0.0))
        async with database(running) as pool:
            cases = InsightCases(PostgresInsights(pool, PostgresHappenings(pool)))
            return await insights_json(cases, {"from": f"{today()}", "to": f"{today()}"} | parameters)

    found = asyncio.run(ask(group_by="day,product", store=store))
    assert json.loads(json.dumps(found)) == {
        "from": f"{today()}",
        "to": f"{today()}",
        "group_by": ["day", "product"],
        "rows": [
            {
                "day": f"{today()}",
                "product": "products/A",
                "events": 1,
                "rooms": 0,
                "units": 1,
                "values": {"EUR": "12.5"},
            }
        ],
        "truncated": False,
    }
    funnel = asyncio.run(ask(funnel="room"))
    assert [s["event_type"] for s in funnel["steps"]][:2] == [Type.ROOM_UPLOADED, Type.ROOM_ANALYZED]
    for wrong in ({"from": "soon"}, {"group_by": "tenant"}, {"funnel": "x"}, {"funnel": "room", "window_days": "x"}):
        with pytest.raises(InvalidArgument):
            asyncio.run(ask(**wrong))


def test_months_of_events_are_made_ahead_and_old_ones_dropped(running: Running):
    now = datetime.now(UTC)
    this = now.year * 12 + now.month - 1

    async def tables(pool: asyncpg.Pool) -> set[str]:
        found = await pool.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass"
        )
        return {r["name"] for r in found}

    async def run() -> tuple[set[str], set[str]]:
        async with database(running) as pool:
            old = month_name(this - 14)
            await pool.execute(
                f"CREATE TABLE {old} PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
            )
            before = await tables(pool)
            await PostgresHappenings(pool).keep_months(13, ahead=4)
            return before, await tables(pool)

    before, after = asyncio.run(run())

    assert before - after == {month_name(this - 14)}
    assert after - before == {month_name(this + 3), month_name(this + 4)}
    assert {month_name(this + n) for n in range(-1, 3)} <= before & after


def test_commands(running: Running, client: Client, tmp_path: Path):
    days, funnel = tmp_path / "days.png", tmp_path / "funnel.png"
    client.insights.report([client.insights.event(new(), "add_to_cart", unit="u", store=new("store"))])

    done = running.roomviz("insights", "days", "--days", "7", "--chart", days)
    assert done.returncode == 0, done.stderr
    done = running.roomviz("insights", "funnel", "--chart", funnel)
    assert done.returncode == 0, done.stderr
    assert "room.uploaded" in done.stdout
    for path in (days, funnel):
        assert cv2.imread(str(path)).shape == (540, 960, 3)
    assert running.roomviz("insights", "uplift", "experiments/none").returncode == 1
    made = running.roomviz(
        "webhooks", "create", f"http://localhost:{running.settings.webhook_ports[0]}/x", "--description", "by hand"
    )
    assert made.returncode == 0, made.stderr
    name, secret = made.stdout.split()
    assert secret.startswith("whsec_")
    assert "by hand" in running.roomviz("webhooks", "list", "--json").stdout
    for command in ("test", "deliveries", "disable", "enable", "rotate", "delete"):
        done = running.roomviz("webhooks", command, name)
        assert done.returncode == 0, (command, done.stderr)


def test_a_shopper_speaks_for_itself_alone(running: Running, client: Client):
    key, store, experiment = new("rv"), new("store"), f"experiments/{new('x')}"
    running.rows(
        """INSERT INTO gateway.api_keys (key_hash, key_id, prefix, tenant, role, store)
           VALUES (sha256($1::text::bytea), $2, 'rv', 'demo', 'SHOPPER', $3) RETURNING 1 AS done""",
        key,
        key[-12:],
        store,
    )
    with Client(running.address, key) as shopper:
        # One report counts in the shopper's store, as the shopper, whoever it names.
        assert shopper.insights.report([shopper.insights.event(new(), "add_to_cart", unit="somebody-else")]) == 1
        with pytest.raises(NotFound) as unknown:
            shopper.insights.shown(experiment, "")
        client.insights.shown(experiment, "u1", 0.5)
        first = shopper.insights.shown(experiment, "u2")
        assert {shopper.insights.shown(experiment, f"u{n}") for n in range(20)} == {first}
        for refused in (
            lambda: shopper.insights.query(today(), today()),
            lambda: shopper.insights.uplift(experiment),
            lambda: shopper.webhooks.list(),
        ):
            with pytest.raises(PermissionDenied):
                refused()

    assert unknown.value.reason == "EXPERIMENT_NOT_FOUND"
    told = running.rows("SELECT unit, owner FROM gateway.events WHERE store = $1", store)
    assert told == [{"unit": f"apiKeys/{key[-12:]}", "owner": f"apiKeys/{key[-12:]}"}]
