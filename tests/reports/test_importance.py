"""The importance of parameters in a run directory is Optuna's PED-ANOVA of the same trials."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator

from momentune.reports import load_run
from momentune.reports.exploration import importances

from .conftest import LSTM

SPACES: dict[str, Any] = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "momentum": FloatDistribution(0.0, 0.95),
    "step": FloatDistribution(0.1, 2.0, step=0.1),
    "hidden_size": IntDistribution(16, 64, step=8),
    "layers": IntDistribution(1, 3),
    "width": IntDistribution(4, 600, log=True),
    "kind": CategoricalDistribution(["tanh", "relu", "never drawn"]),
    "restart": IntDistribution(2, 40),
    "fixed": FloatDistribution(0.5, 0.5),
}


def drawn(rng: np.random.Generator, conditional: bool) -> dict[str, Any]:
    """One configuration; `restart` may be a parameter of every second trial only."""
    found: dict[str, Any] = {
        "lr": float(10 ** rng.uniform(-4, -1)),
        "momentum": float(0.95 * rng.beta(2, 1)),  # as an adaptive search would look
        "step": float(np.round(0.1 * rng.integers(1, 21), 1)),
        "hidden_size": int(rng.choice(np.arange(16, 65, 8))),
        "layers": int(rng.integers(1, 4)),
        "width": int(np.exp(rng.uniform(np.log(4), np.log(600)))),
        "kind": str(rng.choice(["tanh", "relu"], p=[0.8, 0.2])),
        "fixed": 0.5,
    }
    if not conditional or rng.uniform() < 0.5:
        found["restart"] = int(rng.integers(2, 41))
    return found


def valued(params: dict[str, Any], rng: np.random.Generator) -> float:
    """In steps of a hundredth, so that many trials tie."""
    score = 0.9 - 0.08 * (np.log10(params["lr"]) + 2.2) ** 2 - 0.1 * (params["momentum"] - 0.8) ** 2
    score += 0.02 * (params["kind"] == "relu") - 0.001 * params.get("restart", 0)
    return float(np.round(score + rng.normal(0, 0.02), 2))


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("n", [20, 2000])
def test_a_search_has_optunas_importances(writer: Any, n: int, conditional: bool) -> None:
    made = writer(LSTM | {"parameters": SPACES}, space_parameters={})
    rng, trials = np.random.default_rng(n), []
    for _ in range(n):
        params = drawn(rng, conditional)
        value, spaces = valued(params, rng), {name: SPACES[name] for name in params}
        trials.append(optuna.create_trial(params=params, distributions=spaces, value=value))
        trials[-1].set_user_attr("trial", told(len(trials), params))
    study = made.study("lstm", "search")
    study.add_trials(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of regimes with few trials
        theirs = PedAnovaImportanceEvaluator().evaluate(study)
    ours = importances(load_run(made.path)).set_index("parameter")
    total = sum(theirs.values())
    for name, importance in theirs.items():
        assert ours["divergence"][name] == pytest.approx(importance, rel=1e-9, abs=1e-14)
        assert ours["share"][name] == pytest.approx(importance / total, rel=1e-9, abs=1e-12)
    assert set(ours.index) == set(theirs)


def told(number: int, params: dict[str, Any]) -> dict[str, Any]:
    """What the search notes with a trial."""
    who = {"number": number, "variant": "lstm", "control": None, "phase": "search", "seed": 0}
    return who | {"epochs": 1, "params": params}
