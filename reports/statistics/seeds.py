"""Estimates over seeds, short and on scipy.

Intervals are Student's t. At the 3 to 10 seeds of a sweep they keep their 95%, where bootstrap
intervals, BCa among them, are too narrow: they can only reuse the few values that were seen
(Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

LEVEL = 0.95
ALPHA = 0.05
POWER = 0.8
MOST_SEEDS = 1000  # beyond which an effect is called too small to look for
RESAMPLES = 9999
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over n values, its interval, and the p-value of "the mean is zero".

    The interval is NaN where the values cannot give one: fewer than two, or all the same.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float


def mean_interval(values: npt.ArrayLike, level: float = LEVEL) -> Estimate:
    """Mean of a sample and its two-sided Student-t interval (Student, Biometrika 6, 1908).

    Values that are not finite are left out. When all values are the same, on a test set of a few
    hundred examples that is chance rather than certainty: no interval is given, and p is that of
    the sign test, which needs no spread.
    """
    sample = np.asarray(values, dtype=np.float64)
    return _estimate(sample, level, magnitude=np.abs(sample))


def paired_difference(
    left: pd.Series[float], right: pd.Series[float], level: float = LEVEL
) -> Estimate:
    """Mean of left - right over the seeds that both have, with the paired-t interval and p.

    Args:
        left: values by seed (the index).
        right: values by seed.
        level: of the interval.
    """
    both = pd.concat([left, right], axis="columns", join="inner").to_numpy(dtype=np.float64)
    return _estimate(both[:, 0] - both[:, 1], level, magnitude=np.abs(both).max(axis=1))


def unpaired_difference(
    left: pd.Series[float], right: pd.Series[float], level: float = LEVEL
) -> Estimate:
    """Mean of left - right where the seeds differ, with Welch's interval and p.

    Welch, "The Generalization of 'Student's' Problem when Several Different Population Variances
    are Involved", Biometrika 34, 1947.
    """
    a, b = (np.asarray(side.dropna(), dtype=np.float64) for side in (left, right))
    mean, n = float(a.mean() - b.mean()) if a.size and b.size else np.nan, min(a.size, b.size)
    if n < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return Estimate(mean, np.nan, np.nan, n, np.nan)
    test = stats.ttest_ind(a, b, equal_var=False)
    low, high = test.confidence_interval(level)
    return Estimate(mean, float(low), float(high), n, float(test.pvalue))


def _estimate(sample: Floats, level: float, magnitude: Floats) -> Estimate:
    finite = np.isfinite(sample)
    sample, n = sample[finite], int(finite.sum())
    mean = float(sample.mean()) if n else np.nan
    if n < 2:
        return Estimate(mean, np.nan, np.nan, n, np.nan)
    rounding = 1e-12 * magnitude[finite].max()
    if np.ptp(sample) <= rounding:
        return Estimate(mean, np.nan, np.nan, n, 1.0 if abs(mean) <= rounding else _sign_test(n))
    test = stats.ttest_1samp(sample, 0.0)
    low, high = test.confidence_interval(level)
    return Estimate(mean, float(low), float(high), n, float(test.pvalue))


def _sign_test(n: int) -> float:
    """The p-value of n differences that all have the same sign."""
    return float(stats.binomtest(n, n).pvalue)


def holm(p: npt.ArrayLike) -> Floats:
    """p-values adjusted for their number by Holm's step-down method; NaN stays NaN, uncounted.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 6, 1979.
    """
    raw = np.asarray(p, dtype=np.float64)
    adjusted = np.full(raw.shape, np.nan)
    known = np.flatnonzero(~np.isnan(raw))
    order = known[np.argsort(raw[known])]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(raw[order] * factors), 1.0)
    return adjusted


def bootstrap_interval(values: npt.ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """The BCa bootstrap interval of a mean; NaN below three values, or where all are the same.

    It is shown beside Student's t and does not decide (the module's docstring says why). Efron,
    "Better Bootstrap Confidence Intervals", JASA 82, 1987.
    """
    sample = np.asarray(values, dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size < 3 or np.ptp(sample) <= 1e-12 * np.abs(sample).max():
        return np.nan, np.nan
    found = stats.bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="BCa", rng=0
    ).confidence_interval
    return float(found.low), float(found.high)


def rank_test(differences: npt.ArrayLike) -> float:
    """The p-value of Wilcoxon's signed-rank test; NaN where there is no value.

    It assumes no normal distribution, but cannot fall below 2 / 2^n: with 5 seeds no difference,
    however large, reaches 0.05. Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics
    Bulletin 1, 1945; exact up to 50 values without ties (scipy).
    """
    sample = np.asarray(differences, dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return np.nan
    return float(stats.wilcoxon(sample).pvalue) if np.any(sample) else 1.0


def equivalence(difference: npt.ArrayLike, margin: npt.ArrayLike) -> float:
    """The p-value of "the mean difference lies within ±margin": two one-sided t-tests.

    The margin may be given by seed, half of another paired difference, say: each side is then a
    contrast of the same seeds, so that the margin's own uncertainty counts.
    Schuirmann, "A Comparison of the Two One-Sided Tests Procedure ...", J. Pharmacokinetics and
    Biopharmaceutics 15, 1987.

    Args:
        difference: by seed.
        margin: one number, or one by seed.
    """
    d, m = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (difference, margin)))
    if d.size < 2:
        return np.nan
    return max(_positive_mean(m - d), _positive_mean(m + d))


def _positive_mean(sample: Floats) -> float:
    """The p-value of the one-sided t-test; without any spread, of the sign test."""
    if np.ptp(sample) <= 1e-12 * np.abs(sample).max():
        positive = sample.size if sample.mean() > 0 else 0
        return float(stats.binomtest(positive, sample.size, alternative="greater").pvalue)
    return float(stats.ttest_1samp(sample, 0.0, alternative="greater").pvalue)


def seeds_needed(
    mean: float, deviation: float, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Seeds at which a paired t-test finds this effect with the given power.

    Exact, by the noncentral t distribution (Cohen, "Statistical Power Analysis for the Behavioral
    Sciences", 1988, chapter 2). It says what an effect of this size would need; that the effect has
    this size is only an estimate.

    Args:
        mean: the true mean difference that is assumed.
        deviation: standard deviation of the differences over seeds.
        alpha: two-sided level of the test.
        power: the wanted probability of a verdict.

    Returns:
        The number of seeds, or None where more than a thousand would be needed.
    """
    if not (abs(mean) > 0 and deviation > 0):
        return None
    n = np.arange(2, MOST_SEEDS + 1)
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    shift = abs(mean) / deviation * np.sqrt(n)
    reached = np.asarray(stats.nct.sf(critical, n - 1, shift))
    enough = np.flatnonzero(reached >= power)
    return int(n[enough[0]]) if enough.size else None
