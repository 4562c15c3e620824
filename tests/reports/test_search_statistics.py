"""Laws of the estimates over a search: budgets, efficient trials, importance."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import optuna
import pandas as pd
import pytest

from momentune.reports.statistics import efficient, expected_best, hypervolume, importance


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


def trials(n: int = 300, seed: int = 4) -> tuple[pd.DataFrame, np.ndarray]:
    """One parameter decides, one matters a little, one is a choice that matters, one is idle."""
    rng = np.random.default_rng(seed)
    cells = pd.DataFrame(rng.uniform(size=(n, 3)), columns=["strong", "weak", "idle"])
    cells["choice"] = rng.choice(["a", "b"], n)
    noise = rng.normal(0, 0.02, n)
    score = -((cells["strong"] - 0.7) ** 2) - 0.05 * cells["weak"] + 0.1 * (cells["choice"] == "a")
    return cells, (score + noise).to_numpy()


def test_importance_finds_what_decides_and_leaves_what_is_idle() -> None:
    found = {part.parameter: part for part in importance(*trials())}
    assert next(iter(found)) == "strong"
    assert found["choice"].divergence > found["choice"].chance
    assert found["idle"].divergence < found["idle"].chance
    assert sum(part.share for part in found.values()) == pytest.approx(1.0)
    assert all(part.low <= part.high for part in found.values())


def test_importance_orders_as_optunas_ped_anova_does() -> None:
    cells, score = trials()
    unit = optuna.distributions.FloatDistribution(0.0, 1.0)
    choice = optuna.distributions.CategoricalDistribution(["a", "b"])
    spaces = {n: choice if n == "choice" else unit for n in cells}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.create_trial(params=row, distributions=spaces, value=value)
            for row, value in zip(cells.to_dict("records"), score, strict=True)
        ]
    )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    theirs = optuna.importance.get_param_importances(study, evaluator=evaluator)
    ours = [part.parameter for part in importance(cells, score)]
    assert ours[:2] == list(theirs)[:2]
    assert ours[-1] == list(theirs)[-1]


def test_importance_of_a_parameter_that_only_some_trials_have() -> None:
    cells, score = trials()
    cells.loc[cells["choice"] == "b", "strong"] = np.nan
    found = {part.parameter: part for part in importance(cells, score)}
    assert found["strong"].divergence > found["strong"].chance


def test_importance_without_any_difference_is_nothing() -> None:
    cells = pd.DataFrame({"same": [0.5] * 40})
    assert importance(cells, np.arange(40.0))[0].share == 0.0
