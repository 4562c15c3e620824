"""Laws of the estimates over a search: budgets, efficient trials, importance."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from momentune.reports.statistics import Grid, efficient, expected_best, hypervolume, importance


def test_expected_best_is_the_mean_over_all_subsets() -> None:
    values = [0.3, 0.9, 0.1, 0.5, 0.5]
    by_hand = [np.mean([max(s) for s in combinations(values, n)]) for n in range(1, 6)]
    assert expected_best(values) == pytest.approx(by_hand)


def test_expected_best_of_many_trials_stays_finite_and_rises() -> None:
    curve = expected_best(np.random.default_rng(0).normal(size=3000))
    assert np.isfinite(curve).all()
    assert (np.diff(curve) > -1e-9).all()


def test_expected_best_is_unbiased() -> None:
    """The mean of 4,000 estimates from 8 uniform trials is n / (n + 1) for every n."""
    rng = np.random.default_rng(1)
    mean = np.mean([expected_best(rng.uniform(size=8)) for _ in range(4000)], axis=0)
    n = np.arange(1, 9)
    assert mean == pytest.approx(n / (n + 1), abs=0.02)


def test_efficient_points_by_definition() -> None:
    rng = np.random.default_rng(2)
    gain, cost = rng.integers(0, 6, 60), rng.integers(0, 6, 60)
    beaten = [
        any(
            (gain[j] >= gain[i] and cost[j] < cost[i]) or (gain[j] > gain[i] and cost[j] <= cost[i])
            for j in range(60)
        )
        for i in range(60)
    ]
    assert (efficient(gain, cost) == ~np.array(beaten)).all()


def test_hypervolume_by_hand() -> None:
    """Two steps: 2 wide and 1 high, then 1 wide and 3 high; the beaten point adds nothing."""
    assert hypervolume([1.0, 3.0, 0.5], [1.0, 3.0, 2.0], (0.0, 4.0)) == pytest.approx(2 + 3)
    assert hypervolume([1.0], [5.0], (0.0, 4.0)) == 0.0


def test_hypervolume_is_optunas() -> None:
    from optuna._hypervolume import compute_hypervolume

    rng = np.random.default_rng(3)
    gain, cost = rng.uniform(size=40), rng.uniform(size=40)
    theirs = compute_hypervolume(np.column_stack([-gain, cost]), np.array([0.0, 1.0]))
    assert hypervolume(gain, cost, (0.0, 1.0)) == pytest.approx(theirs)


def trials(n: int = 300, seed: int = 4) -> tuple[pd.DataFrame, dict[str, Grid], np.ndarray]:
    """One parameter decides, one matters a little, one is a choice that matters, one is idle."""
    rng = np.random.default_rng(seed)
    places = pd.DataFrame(rng.integers(0, 50, (n, 3)), columns=["strong", "weak", "idle"])
    places["choice"] = rng.choice([0, 1], n)
    strong, weak = places["strong"] / 49, places["weak"] / 49
    score = -((strong - 0.7) ** 2) - 0.05 * weak + 0.1 * (places["choice"] == 0)
    grids = dict.fromkeys(places, Grid(50, ordered=True)) | {"choice": Grid(2, ordered=False)}
    return places.astype("Int64"), grids, (score + rng.normal(0, 0.02, n)).to_numpy()


def test_importance_finds_what_decides_and_leaves_what_is_idle() -> None:
    found = {part.parameter: part for part in importance(*trials())}
    assert next(iter(found)) == "strong"
    assert found["choice"].divergence > found["choice"].chance
    assert found["idle"].divergence < found["idle"].chance
    assert sum(part.share for part in found.values()) == pytest.approx(1.0)
    assert all(part.low <= part.high for part in found.values())


def test_importance_of_a_parameter_that_only_some_trials_have() -> None:
    places, grids, score = trials()
    places.loc[places["choice"] == 1, "strong"] = pd.NA
    found = {part.parameter: part for part in importance(places, grids, score)}
    assert found["strong"].divergence > found["strong"].chance


@pytest.mark.parametrize("size", [1, 50])
def test_importance_without_any_difference_is_no_more_than_chance(size: int) -> None:
    places, grids = pd.DataFrame({"same": [size // 2] * 40}), {"same": Grid(size, ordered=True)}
    only = importance(places, grids, np.arange(40.0))[0]
    assert only.divergence <= only.chance
