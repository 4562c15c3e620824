"""Estimates over several tasks, each with a handful of seeds.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS
2021, for the first three; Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets",
JMLR 7, 2006, and Benavoli et al., "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR
17, 2016, for the last. Scores are arranged as one array of seeds per task; higher is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from .seeds import ALPHA, LEVEL, Estimate, Floats, holm, rank_test

RESAMPLES = 2000


def interquartile_mean(tasks: Sequence[Floats], level: float = LEVEL) -> Estimate:
    """Mean of the middle half of all scores, with its stratified bootstrap interval.

    Seeds are drawn again within each task; the tasks stay, so the interval speaks of these tasks.
    p is left out.
    """
    return _bootstrapped(_middle_half, tasks, level)


def _middle_half(drawn: Sequence[Floats]) -> Floats:
    return np.asarray(stats.trim_mean(np.hstack(drawn), 0.25, axis=1), dtype=np.float64)


def probability_of_improvement(
    left: Sequence[Floats], right: Sequence[Floats], level: float = LEVEL
) -> Estimate:
    """Chance that a run of left beats a run of right on a task drawn at random; ties count half.

    Args:
        left: scores by task.
        right: likewise, the same tasks in the same order.
        level: of the stratified bootstrap interval.
    """
    k = len(left)

    def chance(drawn: Sequence[Floats]) -> Floats:
        wins = [_wins(a, b) for a, b in zip(drawn[:k], drawn[k:], strict=True)]
        mean: Floats = np.mean(wins, axis=0)
        return mean

    return _bootstrapped(chance, [*left, *right], level)


def _wins(a: Floats, b: Floats) -> Floats:
    """Mann-Whitney's U, as a share of all pairs, for each row."""
    above = np.sign(a[:, :, None] - b[:, None, :])
    share: Floats = (above.mean(axis=(1, 2)) + 1) / 2
    return share


def performance_profile(
    tasks: Sequence[Floats], thresholds: npt.ArrayLike, level: float = LEVEL
) -> pd.DataFrame:
    """Share of runs whose score is above each threshold, every task weighing the same.

    Returns:
        Columns `threshold, share, low, high`: the band is pointwise, by the stratified bootstrap.
    """
    at = np.asarray(thresholds, dtype=np.float64)

    def shares(drawn: Sequence[Floats]) -> Floats:
        above = [(scores[:, :, None] > at).mean(axis=1) for scores in drawn]
        mean: Floats = np.mean(above, axis=0)
        return mean

    share = shares([np.asarray(scores)[None] for scores in tasks])[0]
    low, high = _limits(shares(_resampled(tasks)), level)
    return pd.DataFrame({"threshold": at, "share": share, "low": low, "high": high})


def _bootstrapped(
    statistic: Callable[[Sequence[Floats]], Floats], tasks: Sequence[Floats], level: float
) -> Estimate:
    """The statistic and its interval; with one seed on every task there is nothing to draw."""
    n = min(np.size(scores) for scores in tasks)
    mean = float(statistic([np.asarray(scores)[None] for scores in tasks])[0])
    if n < 2:
        return Estimate(mean, np.nan, np.nan, n, np.nan)
    low, high = _limits(statistic(_resampled(tasks)), level)
    return Estimate(mean, float(low), float(high), n, np.nan)


def _resampled(tasks: Sequence[Floats]) -> list[Floats]:
    """For each task, seeds drawn with replacement: (draws, seeds)."""
    rng = np.random.default_rng(0)
    return [rng.choice(np.asarray(scores), (RESAMPLES, np.size(scores))) for scores in tasks]


def _limits(draws: Floats, level: float) -> Floats:
    limits: Floats = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return limits


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """What a critical-difference diagram shows.

    Attributes:
        ranks: mean rank over tasks by method, best first; 1 is best.
        friedman: p-value of "all methods rank the same".
        p_holm: p-values of the pairs (Wilcoxon's test over tasks, Holm's correction).
        cliques: groups of neighbouring methods among which no pair differs.
        nemenyi: difference of mean ranks that Nemenyi's older test would ask for.
    """

    ranks: pd.Series[float]
    friedman: float
    p_holm: dict[tuple[str, str], float]
    cliques: tuple[tuple[str, ...], ...]
    nemenyi: float


def critical_difference(scores: pd.DataFrame, alpha: float = ALPHA) -> CriticalDifference:
    """Ranks methods over tasks and groups those that cannot be told apart.

    Pairs are compared by Wilcoxon's signed-rank test with Holm's correction and not by mean ranks,
    which would make the verdict on two methods depend on the others (Benavoli et al. 2016).

    Args:
        scores: one row per task, one column per method, no value missing; higher is better.
        alpha: level of the grouping.

    Raises:
        ValueError: fewer than two tasks or two methods, or a value is missing.
    """
    n, k = scores.shape
    if n < 2 or k < 2 or scores.isna().to_numpy().any():
        raise ValueError(
            f"ranks need two tasks or more, two methods or more, and every value; got {n} tasks, "
            f"{k} methods and {int(scores.isna().to_numpy().sum())} missing values"
        )
    ranks = scores.rank(axis="columns", ascending=False).mean().sort_values(kind="stable")
    pairs = list(combinations(map(str, ranks.index), 2))
    raw = [rank_test((scores[a] - scores[b]).to_numpy()) for a, b in pairs]
    p = dict(zip(pairs, map(float, holm(raw)), strict=True))
    friedman = stats.friedmanchisquare(*scores.to_numpy().T).pvalue if k > 2 else raw[0]
    spread = float(np.sqrt(k * (k + 1) / (6 * n)))
    nemenyi = float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2) * spread
    names = tuple(map(str, ranks.index))
    return CriticalDifference(ranks, float(friedman), p, _cliques(names, p, alpha), nemenyi)


def _cliques(
    names: tuple[str, ...], p: dict[tuple[str, str], float], alpha: float
) -> tuple[tuple[str, ...], ...]:
    """The longest runs of neighbours without a difference, none inside another."""
    found: list[tuple[int, int]] = []
    for start in range(len(names)):
        stop = start + 1
        while stop < len(names) and all(p[a, names[stop]] >= alpha for a in names[start:stop]):
            stop += 1
        if stop - start > 1 and not (found and found[-1][1] >= stop):
            found.append((start, stop))
    return tuple(names[start:stop] for start, stop in found)
