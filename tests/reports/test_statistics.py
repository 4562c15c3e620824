"""Laws of the estimates: they are scipy's, they cover, and they do not claim what they cannot."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from momentune.reports.statistics import holm, mean_interval, paired_difference


def test_interval_by_hand() -> None:
    """Three values 1, 2, 3: mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.30265."""
    found = mean_interval([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)
    assert (found.mean, found.n) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_paired_difference_is_the_paired_t_test(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(1, 1, n), rng.normal(0, 1, n)
    test = stats.ttest_rel(a, b)
    found = paired_difference(pd.Series(a), pd.Series(b))
    interval = test.confidence_interval()
    assert (found.p, found.low, found.high) == pytest.approx(
        (test.pvalue, interval.low, interval.high)
    )


def test_only_seeds_of_both_sides_count() -> None:
    left = pd.Series([1.0, 2.0, 4.0, 9.0], index=[1, 2, 3, 4])
    right = pd.Series([1.0, 1.0, 99.0, np.nan], index=[3, 2, 7, 4])
    found = paired_difference(left, right)
    assert (found.mean, found.n) == (2.0, 2)


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, 2.0], [math.inf, 1.0]])
def test_below_two_values_there_is_no_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.n == sum(map(math.isfinite, values))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.p)


@pytest.mark.parametrize(("n", "p"), [(2, 0.5), (5, 0.0625), (6, 0.03125)])
def test_equal_differences_are_judged_by_their_sign(n: int, p: float) -> None:
    """0.3 - 0.1 and 0.4 - 0.2 differ in the last bit, which must not pass for a spread."""
    left = pd.Series([0.3, 0.4, 0.5, 0.6, 0.7, 0.8][:n])
    found = paired_difference(left, left - 0.2)
    assert math.isnan(found.low)
    assert found.p == pytest.approx(p)


def test_no_difference_at_all_has_p_one() -> None:
    same = pd.Series([0.9, 0.8, 0.7])
    assert paired_difference(same, same + 1e-17).p == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_agrees_with_its_definition_and_ignores_missing() -> None:
    p = np.array([0.02, np.nan, 0.001, 0.6, 0.9])
    np.testing.assert_allclose(holm(p), [0.06, np.nan, 0.004, 1.0, 1.0])
    assert holm([]).shape == (0,)
