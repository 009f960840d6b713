"""Hold-outs and intervals: against published numbers, and by simulation with fixed seeds."""

import math
from datetime import date

import numpy as np
import pytest
from scipy import stats

from services.gateway.domain.insights import SKETCH_SIZE, Question, distinct, level
from services.gateway.domain.uplift import Arm, held_out, of_means, of_proportions, wilson

RUNS = 2000


def arm(values: np.ndarray) -> Arm:
    return Arm(len(values), float(values.mean()), float(values.var(ddof=1)))


def test_newcombe_s_own_example():
    # Newcombe 1998, Table II, case (a): 56/70 - 48/80, method 10 without continuity correction.
    found = of_proportions(56, 70, 48, 80).difference

    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_wilson_is_scipy_s():
    for k, n in ((0, 10), (3, 10), (10, 10), (17, 1000)):
        theirs = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
        assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_welch_is_scipy_s():
    rng = np.random.default_rng(3)
    a, b = rng.normal(10, 3, 40), rng.normal(9, 1, 25)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)

    found = of_means(arm(a), arm(b)).difference

    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_katz_ratio():
    found = of_proportions(30, 100, 20, 100).ratio
    assert found is not None
    theirs = stats.contingency.relative_risk(30, 100, 20, 100).confidence_interval(0.95)

    assert (found.value, found.low, found.high) == pytest.approx((1.5, theirs.low, theirs.high), rel=1e-9)


def test_an_arm_that_did_nothing_has_a_difference_and_no_ratio():
    found = of_proportions(0, 50, 3, 50)

    assert found.ratio is None
    assert found.difference.low < found.difference.value < found.difference.high
    assert of_means(Arm(5, 0.0), Arm(5, 0.0)).ratio is None
    assert not of_means(Arm(5, 0.0), Arm(5, 0.0)).significant


def test_a_a_conversion_finds_nothing_95_times_of_100_and_covers_the_truth():
    rng = np.random.default_rng(2026)
    n, held, rate = 1800, 200, 0.06
    treated, control = rng.binomial(n, rate, RUNS), rng.binomial(held, rate, RUNS)

    found = [of_proportions(int(k), n, int(c), held) for k, c in zip(treated, control, strict=True)]

    false_positives = np.mean([f.significant for f in found])
    assert 0.03 <= false_positives <= 0.07
    # Without an effect, to cover the truth is to find nothing.
    assert 1 - false_positives >= 0.93
    covered = [f.ratio is not None and f.ratio.low <= 1 <= f.ratio.high for f in found]
    assert np.mean(covered) >= 0.93


def test_a_a_value_finds_nothing_95_times_of_100():
    """Baskets: most are worth nothing, the others are skewed."""
    rng = np.random.default_rng(7)
    n, held = 900, 300

    def baskets(count: int) -> np.ndarray:
        return np.where(rng.random(count) < 0.2, rng.lognormal(4, 0.6, count), 0.0)

    significant = [of_means(arm(baskets(n)), arm(baskets(held))).significant for _ in range(RUNS)]

    assert 0.03 <= np.mean(significant) <= 0.07


def test_a_known_uplift_is_found_and_covered():
    rng = np.random.default_rng(11)
    n, p, q = 6000, 0.09, 0.06

    found = [
        of_proportions(int(a), n, int(b), n)
        for a, b in zip(rng.binomial(n, p, RUNS), rng.binomial(n, q, RUNS), strict=True)
    ]

    assert np.mean([f.significant for f in found]) > 0.95
    assert np.mean([f.difference.low <= p - q <= f.difference.high for f in found]) >= 0.93
    assert np.mean([f.ratio is not None and f.ratio.low <= p / q <= f.ratio.high for f in found]) >= 0.93
    assert np.mean([f.difference.value for f in found]) == pytest.approx(p - q, abs=1e-3)


def test_a_known_uplift_of_value_is_covered():
    rng = np.random.default_rng(13)

    found = [of_means(arm(rng.gamma(4, 13, 300)), arm(rng.gamma(4, 10, 100))) for _ in range(RUNS)]

    assert np.mean([f.difference.low <= 12 <= f.difference.high for f in found]) >= 0.93
    assert np.mean([f.ratio is not None and f.ratio.low <= 1.3 <= f.ratio.high for f in found]) >= 0.93


def test_arms_are_kept_have_the_share_and_differ_between_experiments():
    units = [f"visitor-{n}" for n in range(20_000)]
    one = np.array([held_out(b"salt 1", u, 0.1) for u in units])
    two = np.array([held_out(b"salt 2", u, 0.1) for u in units])

    assert [held_out(b"salt 1", u, 0.1) for u in units[:100]] == one[:100].tolist()
    # Five standard errors.
    assert one.mean() == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / len(units)))
    assert (one & two).mean() == pytest.approx(0.01, abs=5 * math.sqrt(0.01 / len(units)))
    # A larger share holds out those of the smaller one too.
    assert all(held_out(b"salt 1", u, 0.3) for u, h in zip(units, one, strict=True) if h)


def test_a_question_reads_the_coarsest_sketches_that_answer_it():
    def ask(*group_by: str, **filters: list[str]) -> int:
        return level(Question(date(2026, 1, 1), date(2026, 12, 31), group_by, filters))

    # Bits of what is not told apart: 4 product, 2 surface_kind, 1 store.
    assert ask() == ask("day", "type") == 7
    assert ask("product", type=["x"]) == ask(product=["products/A"]) == 3
    assert ask("surface_kind") == 5
    assert ask("day", store=["s"]) == 6
    assert ask("product", store=["s"]) == 0


def test_different_ones_are_counted_exactly_while_few_and_closely_when_many():
    rng = np.random.default_rng(5)
    assert distinct(0, 0) == 0
    assert distinct(SKETCH_SIZE - 1, 5) == SKETCH_SIZE - 1
    for there in (5_000, 200_000):
        errors = []
        for _ in range(20):
            hashes = np.sort(rng.integers(-(2**63), 2**63 - 1, there, dtype=np.int64))[:SKETCH_SIZE]
            errors.append(distinct(SKETCH_SIZE, int(hashes[-1])) / there - 1)
        assert abs(np.mean(errors)) < 0.025
        assert np.std(errors) < 0.06
