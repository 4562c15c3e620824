"""Laws of what stands beside the t interval: bootstrap, ranks, equivalence, power."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from momentune.reports.statistics import (
    bootstrap_interval,
    equivalence,
    mean_interval,
    rank_test,
    seeds_needed,
    unpaired_difference,
)


def test_bootstrap_interval_is_scipys_bca() -> None:
    sample = np.random.default_rng(0).exponential(size=12)
    expected = stats.bootstrap((sample,), np.mean, method="BCa", rng=0).confidence_interval
    assert bootstrap_interval([*sample, math.nan]) == (expected.low, expected.high)


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [0.3] * 5, [math.nan] * 4])
def test_a_bootstrap_needs_three_values_that_differ(values: list[float]) -> None:
    assert all(map(math.isnan, bootstrap_interval(values)))


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (5, 0.0625), (6, 0.03125), (10, 0.001953125)])
def test_the_rank_test_cannot_fall_below_its_floor(n: int, p: float) -> None:
    assert rank_test(np.arange(1.0, n + 1)) == pytest.approx(p)


def test_the_rank_test_of_nothing_and_of_no_difference() -> None:
    assert math.isnan(rank_test([math.nan]))
    assert rank_test([0.0, 0.0]) == 1.0


def test_unpaired_difference_is_welchs_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 4), rng.normal(0, 3, 7)
    test, found = (
        stats.ttest_ind(a, b, equal_var=False),
        unpaired_difference(pd.Series(a), pd.Series(b)),
    )
    interval = test.confidence_interval()
    assert (found.p, found.low, found.high, found.n) == pytest.approx(
        (test.pvalue, interval.low, interval.high, 4)
    )


def test_equivalence_is_two_one_sided_tests() -> None:
    """By the interval: equivalent at 5% exactly where the 90% interval lies within the margin."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        d = rng.normal(0.3, 1.0, 8)
        inside = mean_interval(d, level=0.9)
        within = inside.low > -1.0 and inside.high < 1.0
        assert (equivalence(d, 1.0) < 0.05) == within


def test_equivalence_within_a_share_of_another_difference() -> None:
    """The control keeps 90% of a gain that is itself uncertain: that is more than half."""
    gain = np.array([0.9, 1.0, 1.2, 1.1, 0.8])
    lost = 0.1 * gain + np.array([0.02, -0.02, 0.01, -0.01, 0.0])
    assert equivalence(lost, gain / 2) < 0.01
    assert equivalence(0.5 * gain, gain / 2) > 0.4


@pytest.mark.parametrize("true_gain", [0.0, 1.0])
def test_equivalence_errs_at_most_five_percent(true_gain: float) -> None:
    """On the margin itself: the claim is false there, and made in at most 5% of 800 sweeps."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.5, (800, 2, 5))
    claims = [equivalence(true_gain / 2 + d, (true_gain + g) / 2) < 0.05 for d, g in noise]
    assert np.mean(claims) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 800)


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_cohens(effect: float, seeds: int) -> None:
    """The sizes that G*Power gives for a two-sided paired t-test at 5% and power 0.8."""
    assert seeds_needed(effect, 1.0) == seeds
    assert seeds_needed(-effect * 3, 3.0) == seeds


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1e-6, 1.0), (1.0, math.nan)])
def test_seeds_needed_of_no_effect_are_none(mean: float, deviation: float) -> None:
    assert seeds_needed(mean, deviation) is None


def test_power_is_what_is_promised() -> None:
    n = seeds_needed(0.8, 1.0)
    assert n is not None
    draws = np.random.default_rng(4).normal(0.8, 1.0, (4000, n))
    found = np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.035)
