"""Laws of the estimates over tasks: hand-computed cases, scipy, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from momentune.reports.statistics import (
    critical_difference,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)


def scores(means: list[float], seeds: int = 5, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(mean, 0.1, seeds) for mean in means]


def test_interquartile_mean_by_hand() -> None:
    """Of 1 … 8 the middle half is 3, 4, 5, 6; the outlier does not matter."""
    found = interquartile_mean([np.array([1.0, 2, 3, 4]), np.array([5.0, 6, 7, 800])])
    assert found.mean == 4.5
    assert found.low < 4.5 < found.high


def test_probability_of_improvement_is_mann_whitneys_share() -> None:
    a, b = scores([0.5, 0.2]), scores([0.45, 0.2], seed=1)
    u = [stats.mannwhitneyu(x, y).statistic / 25 for x, y in zip(a, b, strict=True)]
    found, back = probability_of_improvement(a, b), probability_of_improvement(b, a)
    assert found.mean == pytest.approx(np.mean(u))
    assert found.mean + back.mean == pytest.approx(1.0)
    assert found.low <= found.mean <= found.high


def test_ties_count_half() -> None:
    same = [np.array([0.1, 0.1]), np.array([0.9, 0.9])]
    assert probability_of_improvement(same, same).mean == 0.5


def test_a_profile_falls_from_all_to_none_and_weighs_tasks_alike() -> None:
    frame = performance_profile([np.array([0.2, 0.4]), np.array([0.6] * 6)], [0.0, 0.3, 0.5, 0.7])
    assert frame["share"].tolist() == [1.0, 0.75, 0.5, 0.0]
    assert (frame["low"] <= frame["share"]).all()
    assert (frame["share"] <= frame["high"]).all()


def test_one_seed_gives_no_interval() -> None:
    found = interquartile_mean([np.array([0.1]), np.array([0.3])])
    assert found.mean == pytest.approx(0.2)
    assert math.isnan(found.low)


def table(gaps: list[float], tasks: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    level = rng.normal(0, 5, tasks)  # tasks differ far more than methods
    names = [f"m{i}" for i in range(len(gaps))]
    return pd.DataFrame(
        {n: level + g + rng.normal(0, 0.1, tasks) for n, g in zip(names, gaps, strict=True)}
    )


def test_critical_difference_is_friedman_and_wilcoxon_with_holm() -> None:
    frame = table([0.0, 1.0, 1.02])
    found = critical_difference(frame)
    assert found.friedman == stats.friedmanchisquare(*frame.to_numpy().T).pvalue
    assert found.ranks["m0"] == 3.0
    assert {"m1", "m2"} == set(found.cliques[0])
    assert len(found.cliques) == 1
    assert found.p_holm[str(found.ranks.index[0]), "m0"] == pytest.approx(3 * 2 / 2**8)


def test_nemenyis_difference_is_demsars() -> None:
    """Demšar 2006, section 3.2.2: four classifiers on 14 sets, q 2.569, difference 1.25."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(14, 4)), columns=list("abcd"))
    assert critical_difference(frame).nemenyi == pytest.approx(1.25, abs=0.005)


def test_too_few_tasks_put_all_into_one_group() -> None:
    found = critical_difference(table([0.0, 1.0, 2.0], tasks=4))
    assert found.cliques == (("m2", "m1", "m0"),)


@pytest.mark.parametrize("frame", [table([0.0, 1.0], tasks=1), table([0.0, 1.0]).assign(m1=np.nan)])
def test_what_cannot_be_ranked_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="two tasks or more"):
        critical_difference(frame)


@pytest.mark.slow
def test_stratified_bootstrap_of_the_interquartile_mean_covers() -> None:
    """Ten tasks, ten seeds, 1,000 times: between 93% and 97% of the 95% intervals hold 0."""
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(1000):
        found = interquartile_mean(list(rng.normal(size=(10, 10))))
        covered += found.low <= 0.0 <= found.high
    assert 0.93 <= covered / 1000 <= 0.97
