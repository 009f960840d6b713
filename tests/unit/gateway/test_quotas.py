from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.app import PUBLIC
from services.gateway.domain.quotas import Allowance, Rates, exceeded, next_day
from services.gateway.transport.admission import _HEAVY, Weight, weights

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
