import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.errors import ResourceExhausted
from services.gateway.app import PUBLIC
from services.gateway.domain.quotas import Allowance, Rates, exceeded, next_day
from services.gateway.transport.admission import _HEAVY, Weight, weights
from services.gateway.usecases.quotas import QuotaCases

ALLOWED = Allowance(requests_per_s=10.0, requests_burst=4, heavy_calls=3, operations_running=5, megapixels_day=100.0)


def test_a_burst_is_let_in_and_then_one_for_each_that_came_back():
    rates = Rates()

    assert [rates.take("a", 0.0, 2.0, 3).allowed for _ in range(4)] == [True, True, True, False]
    assert not rates.take("a", 0.49, 2.0, 3).allowed
    assert rates.take("a", 0.5, 2.0, 3).allowed


def test_a_refused_request_costs_nothing_and_is_told_when_to_come_back():
    rates = Rates()
    for _ in range(3):
        rates.take("a", 0.0, 2.0, 3)

    refused = [rates.take("a", 0.1, 2.0, 3) for _ in range(5)]

    assert {round(r.retry_after_s, 6) for r in refused} == {0.4}
    assert rates.take("a", 0.1 + 0.4, 2.0, 3).allowed


def test_who_has_patience_is_counted_at_once_and_let_in_later():
    rates = Rates()
    let_in = [rates.take("a", 0.0, 2.0, 1, patience_s=1.0) for _ in range(4)]

    assert [(r.allowed, r.retry_after_s) for r in let_in] == [(True, 0.0), (True, 0.5), (True, 1.0), (False, 1.5)]
    assert [r.remaining for r in let_in] == [0, 0, 0, 0]
    assert not rates.take("a", 0.9, 2.0, 1).allowed


class Shop:
    """A tenant's limits, as the database has them."""

    def __init__(self, allowed: Allowance):
        self._allowed = allowed

    async def allowance(self, tenant: str) -> Allowance:
        return self._allowed


async def asked(cases: QuotaCases, remaining_s: float = 30.0) -> tuple[bool, float, float]:
    """Whether a request was let in, after how long, and when a refused one is to come back."""
    began = time.monotonic()
    try:
        await cases.request("shop", remaining_s)
    except ResourceExhausted as refused:
        return False, time.monotonic() - began, refused.retry_after_s or 0.0
    return True, time.monotonic() - began, 0.0


async def test_requests_that_come_too_fast_wait_and_those_that_would_wait_too_long_are_refused_later():
    cases = QuotaCases(Shop(replace(ALLOWED, requests_per_s=4.0, requests_burst=1)), 1, waiting=8, wait_s=0.6)

    assert not cases.beyond("shop")

    found = await asyncio.gather(*(asked(cases) for _ in range(5)))

    assert [let_in for let_in, _, _ in found] == [True, True, True, False, False]
    for (_, took, _), least in zip(found, (0.0, 0.25, 0.5, 0.3, 0.3), strict=True):
        assert least <= took < least + 0.5
    for _, took, again in found[3:]:  # a fourth one fits in after 0.75 s
        assert took + again == pytest.approx(0.75, abs=0.2)
    assert cases.beyond("shop")
    assert not cases.beyond("another")


async def test_no_more_than_so_many_wait_and_none_until_its_deadline():
    cases = QuotaCases(Shop(replace(ALLOWED, requests_per_s=0.1, requests_burst=1)), 1, waiting=2, wait_s=0.6)
    await asked(cases)

    found = await asyncio.gather(asked(cases), asked(cases), asked(cases))
    hurried = await asked(cases, remaining_s=0.7)

    assert [let_in for let_in, _, _ in [*found, hurried]] == [False] * 4
    assert [took >= 0.3 for _, took, _ in found] == [True, True, False]
    assert 0.1 <= hurried[1] < 0.3


def test_remaining_and_reset_tell_how_it_stands():
    rates = Rates()

    first, second = rates.take("a", 7.0, 2.0, 3), rates.take("a", 7.0, 2.0, 3)

    assert (first.remaining, first.reset_s) == (2, 0.5)
    assert (second.remaining, second.reset_s) == (1, 1.0)
    assert rates.look("a", 7.5, 2.0, 3).remaining == 2


def test_tenants_have_buckets_of_their_own():
    rates = Rates()
    while rates.take("a", 0.0, 1.0, 2).allowed:
        pass

    assert rates.take("b", 0.0, 1.0, 2).remaining == 1


def test_full_buckets_are_forgotten():
    rates = Rates(kept=2)
    for tenant in "abc":
        rates.take(tenant, 0.0 if tenant == "a" else 50.0, 1.0, 2)

    assert "a" not in rates._full_at


@given(
    st.floats(0.5, 50.0),
    st.integers(1, 20),
    st.lists(st.floats(0.0, 0.7), min_size=1, max_size=120),
)
def test_in_any_stretch_no_more_is_let_in_than_burst_and_rate_allow(per_s: float, burst: int, gaps: list[float]):
    rates, now, let_in = Rates(), 0.0, []
    for gap in gaps:
        now += gap
        if rates.take("a", now, per_s, burst).allowed:
            let_in.append(now)

    for i, begin in enumerate(let_in):
        for j in range(i, len(let_in)):
            assert j - i + 1 <= burst + per_s * (let_in[j] - begin) + 1e-6


def test_a_refusal_names_the_quota_and_when_it_ends():
    error = exceeded("megapixels", 100.0, 97.5, "12 megapixels asked for", 3600.4)

    assert (error.reason, error.retry_after_s) == ("QUOTA_EXCEEDED", 3600.4)
    assert error.metadata == {"quota": "megapixels", "limit": "100", "remaining": "2.5", "reset": "3601"}
    assert [(v.subject, v.description) for v in error.violations] == [("megapixels", "12 megapixels asked for")]


def test_a_day_ends_at_midnight_utc():
    assert next_day(datetime(2024, 2, 28, 23, 59, tzinfo=UTC)) == datetime(2024, 2, 29, tzinfo=UTC)
    assert next_day(datetime(2024, 12, 31, tzinfo=UTC)) == datetime(2025, 1, 1, tzinfo=UTC)


def test_gateways_share_what_each_counts_alone():
    assert ALLOWED.part(1) == ALLOWED
    assert ALLOWED.part(2) == Allowance(5.0, 2, 2, 5, 100.0)
    assert ALLOWED.part(100).requests_burst == 1


def test_calls_that_others_pace_hold_no_turn():
    found = weights(PUBLIC)

    assert found["/roomviz.v1.OperationService/WatchOperation"] is Weight.WATCHED
    assert found["/google.longrunning.Operations/WaitOperation"] is Weight.WATCHED
    assert found["/roomviz.v1.RoomService/UploadRoom"] is Weight.SENT
    assert found["/roomviz.v1.VisualizationService/PreviewVisualization"] is Weight.HEAVY
    assert found["/roomviz.v1.ProductService/GetProduct"] is Weight.LIGHT


def test_every_heavy_method_is_there():
    assert {p.rpartition("/")[2] for p in weights(PUBLIC)} >= _HEAVY
