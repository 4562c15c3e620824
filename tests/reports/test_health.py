"""Laws of the health checks: each fires on its planted fault, and clean sweeps stay quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from momentune.reports import Run, concerns, health, load_run
from momentune.search.scheduling import settings
from momentune.spaces import catalogued

from .conftest import in_json, make_plan


def searched(
    made: Any,
    value: Callable[[dict[str, float], float], float],
    trials: int = 60,
    fails: Callable[[dict[str, float]], bool] = lambda params: False,
    early: Callable[[float, float], float] = lambda last, noise: last - 0.2,
) -> None:
    """Both variants searched at random; `value` maps parameters and a noise to a value."""
    rng = np.random.default_rng(0)
    for variant in ("lstm", "momentum_lstm"):
        for _ in range(trials):
            params = {"lr": float(10 ** rng.uniform(-3, -1.523)), "hidden_size": 32.0}
            params["hidden_size"] = int(rng.choice([16, 24, 32, 40, 48, 56, 64]))
            if variant != "lstm":
                params |= {"momentum": float(rng.uniform(0, 0.95)), "step": rng.uniform(0.1, 2)}
            last = value(params, float(rng.normal()))
            curve = [last - 0.3, last - 0.25, last - 0.2, early(last, float(rng.normal())), last]
            if fails(params):
                made.trial(variant, params=params, state="FAIL", reason="diverged")
            else:
                made.trial(variant, params=params, curve=curve)


def middle(params: dict[str, float], noise: float) -> float:
    """Best at lr 0.005; nothing else matters."""
    return 0.9 - 0.1 * (np.log10(params["lr"]) + 2.3) ** 2 + 0.001 * noise


def test_a_clean_sweep_is_quiet(make_sweep: Any) -> None:
    assert concerns(load_run(make_sweep(trials=24).path)) == []


@pytest.mark.parametrize("seed", range(20))
def test_clean_searches_are_quiet(writer: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = writer(trials=15, scheduler={"name": "none"}, concurrency=1)
    for variant in ("lstm", "momentum_lstm"):
        for _ in range(15):
            params = {"lr": float(10 ** rng.uniform(-3, -1.523)), "hidden_size": 40}
            value = middle(params, 3 * float(rng.normal()))
            made.trial(variant, params=params, curve=[value], cost=6.0)
        made.tested(variant, list(rng.normal(0.9, 0.01, 5)))
    made.tested("momentum_lstm", list(rng.normal(0.9, 0.01, 5)), control="no_momentum")
    assert concerns(load_run(made.path)) == []


def found(made: Any, words: str) -> list[str]:
    return [sentence for sentence in concerns(load_run(made.path)) if words in sentence]


def test_a_best_value_at_the_border(writer: Any) -> None:
    made = writer()
    searched(made, lambda params, noise: 0.5 + 0.2 * np.log10(params["lr"]) / 3 + 1e-4 * noise)
    told = found(made, "high end of the range of lr (0.03)")
    assert len(told) == 2


def test_zero_is_no_border(writer: Any) -> None:
    made = writer()
    searched(made, lambda p, noise: 0.9 - 0.1 * p.get("momentum", 0.5) + 1e-4 * noise)
    assert found(made, "range of momentum") == []


def test_a_parameter_without_effect(writer: Any) -> None:
    made = writer()
    searched(made, middle, trials=120)
    assert any("hidden_size" in s and "lr" not in s for s in found(made, "No effect of"))


def test_no_parameter_is_called_idle_in_a_short_search(writer: Any) -> None:
    made = writer()
    searched(made, middle, trials=30)
    assert found(made, "No effect of") == []


def test_an_early_order_that_says_nothing(writer: Any) -> None:
    made = writer()
    searched(made, middle, trials=30, early=lambda last, noise: 0.5 + 0.01 * noise)
    assert len(found(made, "good trials may have been pruned")) == 2


def test_an_early_order_that_holds(writer: Any) -> None:
    made = writer()
    searched(made, middle, trials=30)
    assert found(made, "pruned") == []


def test_failures_in_one_region(writer: Any) -> None:
    made = writer()
    searched(made, middle, fails=lambda params: params["lr"] > 0.015)
    told = found(made, "The failures of")
    assert [("high lr" in s) for s in told] == [True, True]


def test_failures_everywhere(writer: Any) -> None:
    made = writer()
    searched(made, middle, fails=lambda params: int(params["lr"] * 1e7) % 5 == 0)
    assert found(made, "The failures of") == []


def test_a_test_metric_far_below_validation(writer: Any) -> None:
    made = writer()
    for seed, test in enumerate([0.90, 0.91, 0.92], start=100):
        made.trial("lstm", "confirm", seed=seed, curve=[0.99 + 0.001 * (seed % 3)], test=test)
    assert len(found(made, "The configuration fits the validation data better")) == 1


def test_a_gap_without_spread_over_seeds_is_told(writer: Any) -> None:
    made = writer()
    for seed, validation in enumerate([0.95, 0.96, 0.97], start=100):
        made.trial("lstm", "confirm", seed=seed, curve=[validation], test=0.5)
    assert len(found(made, "0.46, with no spread over seeds")) == 1


def test_a_check_that_fails_is_a_note(writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def idle_hands(run: Run) -> list[str]:
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr(health, "CHECKS", (idle_hands, *health.CHECKS))
    told = concerns(load_run(writer().path))
    assert told[0] == "The check of idle hands could not be made (ZeroDivisionError: no luck)."
    assert len(told) > 1


def test_the_rung_is_what_the_search_writes(writer: Any) -> None:
    assert set(settings("asha", 30)) == set(make_plan()["scheduler"])


def test_idle_slots(writer: Any) -> None:
    made = writer(concurrency=8)
    searched(made, middle, trials=15)
    assert len(found(made, "Of the time of 8 slots only")) == 1


@pytest.mark.parametrize("slots", [1, 2])
def test_slots_that_wait_between_trials(writer: Any, slots: int) -> None:
    made = writer(concurrency=slots)
    searched(made, middle, trials=15)
    run = load_run(made.path)
    start = run.trials["started"].min()
    order = range(len(run.trials))
    run.trials["started"] = [start + pd.Timedelta(seconds=120 * i) for i in order]
    run.trials["seconds"] = 10.0
    assert len(health.idle_slots(run)) == 1
    run.trials["started"] = [
        start + pd.Timedelta(hours=i) for i in order
    ]  # resumed again and again
    assert slots > 1 or health.idle_slots(run) == []


def test_no_better_than_guessing(writer: Any) -> None:
    made = writer(space_chance=0.1)
    made.tested("lstm", [0.09, 0.10, 0.12])
    made.tested("momentum_lstm", [0.90, 0.91, 0.92])
    made.tested("momentum_lstm", [0.10, 0.11, 0.09], control="no_momentum")
    told = found(made, "better than guessing")
    assert len(told) == 1
    assert "lstm 0.103 and momentum_lstm/no_momentum 0.1. They may" in told[0]


@pytest.mark.parametrize("tests", [[0.1, 0.1, 0.1], [0.1]])
def test_a_constant_guess_is_no_better_than_guessing(writer: Any, tests: list[float]) -> None:
    made = writer(space_chance=0.1)
    made.tested("lstm", tests)
    made.tested("momentum_lstm", [0.9] * 3)
    told = found(made, "better than guessing")
    assert len(told) == 1
    assert told[0].endswith("of 0.1: lstm 0.1. It may not have been trained.")


@pytest.mark.parametrize(("linear", "told"), [(0.5, "lstm 0.105"), (0.05, ""), (None, "")])
def test_no_better_than_a_linear_predictor(writer: Any, linear: float | None, told: str) -> None:
    """Validation against validation: the writer's is 0.005 above the test values."""
    made = writer(space_linear=linear)
    made.tested("lstm", [0.09, 0.10, 0.11])
    made.tested("momentum_lstm", [0.90, 0.91, 0.92])
    sentences = found(made, "linear predictor of the same inputs")
    assert [s.split("that: ")[1] for s in sentences] == ([f"{told}."] if told else [])


@pytest.mark.parametrize(("sampler", "told"), [("grid", 1), ("tpe", 0)])
def test_a_grid_that_goes_without_some_of_the_paper_s(writer: Any, sampler: str, told: int) -> None:
    cut = {"nesterov_lstm": {"step": [0.01], "restart": [6, 350]}}
    made = writer(space_left_out=cut, sampler={"name": sampler})
    sentence = "The paper's grid was cut to the ranges: nesterov_lstm without step 0.01 and restart"
    assert len(found(made, sentence)) == told


@pytest.mark.parametrize(("whole", "told"), [(70_000, 1), (1797, 0), (None, 0)])
def test_a_part_of_the_data(writer: Any, whole: int | None, told: int) -> None:
    """The plan's data has 1,797 samples in its three splits."""
    sentences = found(writer(space_whole=whole), "Only 1,797 of the 70,000 samples")
    assert len(sentences) == told


def test_the_catalogue_says_how_many_samples_there_are() -> None:
    for name in ("mnist-lstm", "mnist-ode"):
        space = catalogued(name).to_json()
        used = sum(space["data"][split] for split in ("train", "validation", "test"))
        assert used < space["whole"] == 70_000


def test_budgets_are_told_by_what_each_variant_was_planned(writer: Any) -> None:
    made = writer(trials=3, searches={"lstm": 1, "momentum_lstm": 3})
    for variant, count in (("lstm", 1), ("momentum_lstm", 2)):
        for _ in range(count):
            made.trial(variant, curve=[0.5])
    told = health.unequal_budgets(load_run(made.path))
    assert "lstm 1 of 1 and momentum_lstm 2 of 3" in told[0]


@pytest.mark.parametrize(
    ("second", "cost", "told"), [(1e-4, "nfe", 1), (1e-3, "nfe", 0), (1e-4, "", 0)]
)
def test_evaluations_at_different_tolerances(
    writer: Any, second: float, cost: str, told: int
) -> None:
    spec = {"name": "FloatDistribution", "attributes": {"low": 1e-5, "high": 1e-2, "log": True}}
    made = writer(
        space_cost=cost,
        space_parameters={"lr": spec, "tolerance": spec},
        space_grid={"tolerance": [1e-2, 1e-4]},
    )
    for variant, tolerance in {"lstm": 1e-3, "momentum_lstm": second}.items():
        made.tested(variant, [0.9, 0.91], params={"lr": 0.01, "tolerance": tolerance})
    sentences = found(made, "at the best settings of each variant, which differ in tolerance: a")
    assert len(sentences) == told
    assert all("at the same tolerance." in sentence for sentence in sentences)


def of_one(made: Any, draw: Callable[[np.random.Generator], dict[str, Any]], **rules: Any) -> None:
    """Sixty random trials of one variant; `fails` and `value` are functions of the parameters."""
    rng = np.random.default_rng(0)
    value = rules.get("value", lambda params, noise: 0.9 + 0.02 * noise)
    for _ in range(60):
        params = draw(rng)
        if rules.get("fails", lambda params: False)(params):
            made.trial("lstm", params=params, state="FAIL", reason="diverged")
        else:
            made.trial("lstm", params=params, curve=[value(params, float(rng.normal()))])


def one(writer: Any, **distributions: Any) -> Any:
    plain = {"name": "lstm", "baseline": True, "parameters": {}, "controls": {}}
    return writer(plain, space_parameters=in_json(distributions))


def test_failures_at_one_choice(writer: Any) -> None:
    made = one(writer, optimizer=CategoricalDistribution(["sgd", "adam"]))
    of_one(
        made,
        lambda rng: {"optimizer": str(rng.choice(["sgd", "adam"]))},
        fails=lambda params: params["optimizer"] == "adam",
    )
    assert len(found(made, "The failures of lstm lie at optimizer = adam")) == 1


def test_failures_inside_a_range(writer: Any) -> None:
    made = one(writer, lr=FloatDistribution(0, 1))
    of_one(
        made,
        lambda rng: {"lr": float(rng.uniform())},
        fails=lambda params: 0.35 < params["lr"] < 0.65,
    )
    told = found(made, "The failures of lstm lie at lr from 0.4")
    assert [("Leave it out" in sentence) for sentence in told] == [True]


def test_failures_anywhere_are_no_region(writer: Any) -> None:
    made = one(
        writer, lr=FloatDistribution(0, 1), optimizer=CategoricalDistribution(["sgd", "adam"])
    )
    of_one(
        made,
        lambda rng: {"lr": float(rng.uniform()), "optimizer": str(rng.choice(["sgd", "adam"]))},
        fails=lambda params: int(params["lr"] * 1e6) % 4 == 0,
    )
    assert found(made, "The failures of") == []


def test_one_of_two_levels_is_no_border(writer: Any) -> None:
    made = one(writer, layers=IntDistribution(1, 2))
    of_one(
        made,
        lambda rng: {"layers": int(rng.integers(1, 3))},
        value=lambda params, noise: 0.5 + 0.1 * params["layers"] + 0.001 * noise,
    )
    assert found(made, "may lie beyond") == []


@pytest.mark.parametrize(("sizes", "told"), [([16, 32, 64], 1), ([64, 16, 32], 0)])
def test_the_last_of_rising_choices_is_a_border(writer: Any, sizes: list[int], told: int) -> None:
    made = one(writer, size=CategoricalDistribution(sizes))
    of_one(
        made,
        lambda rng: {"size": int(rng.choice(sizes))},
        value=lambda params, noise: 0.5 + 0.005 * params["size"] + 0.001 * noise,
    )
    assert len(found(made, "at the high end of the range of size (64)")) == told


def test_failures_are_counted_among_a_contenders_own_trials(writer: Any) -> None:
    made = writer()
    made.tested("momentum_lstm", [0.9])
    made.trial("momentum_lstm", "confirm", seed=101, state="FAIL", reason="oom")
    made.tested("momentum_lstm", [0.9] * 5, control="no_momentum")
    assert found(made, "failed (") == ["momentum_lstm: 1 of 2 confirm trials failed (oom 1)."]


def test_planned_seeds_that_are_missing_are_not_asked_for_again(writer: Any) -> None:
    made = writer(seeds=5)
    made.tested("lstm", [0.9, 0.91, 0.92, 0.93, 0.94])
    made.tested("momentum_lstm", [0.95])
    assert len(found(made, "Of 5 planned seeds there are only 1 of momentum_lstm: the")) == 1
    assert found(made, "--seeds 5") == []


@pytest.mark.parametrize(("validation", "told"), [(0.9, 1), (0.31, 0)])
def test_the_same_gap_on_every_seed_is_told_when_large(
    writer: Any, validation: float, told: int
) -> None:
    made = writer(seeds=3)
    for seed in (100, 101, 102):
        made.trial("lstm", "confirm", seed=seed, curve=[0.2, validation], test=0.3)
    assert len(found(made, "fits the validation data better")) == told


@pytest.mark.parametrize(("whole", "pruned", "told"), [(2, 6, 1), (3, 6, 0), (2, 0, 0)])
def test_few_trials_of_full_length(writer: Any, whole: int, pruned: int, told: int) -> None:
    made = writer(trials=8)
    for _ in range(whole):
        made.trial("momentum_lstm", curve=[0.5] * 5)
    for _ in range(pruned):
        made.trial("momentum_lstm", curve=[0.4], state="PRUNED")
    sentences = found(made, "Few search trials reached their full length")
    assert len(sentences) == told
    assert all("pruned: momentum_lstm 2." in sentence for sentence in sentences)
