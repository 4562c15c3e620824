"""Laws of the comparison: hand-computed values, equal seeds, and the sign of a gain."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from momentune.reports import (
    RunError,
    best,
    budgets,
    contenders,
    differences,
    failures,
    load_run,
)
from momentune.reports.comparison import progress
from momentune.reports.tables import results

BASE = [0.90, 0.91, 0.92, 0.93, 0.94]


def plus(gain: float) -> list[float]:
    """The baseline's values and a gain, with a small spread that has no mean."""
    return [b + gain + e for b, e in zip(BASE, (0.001, -0.001, 0.0, 0.002, -0.002), strict=True)]


def by_pair(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index(["left", "right"])


def test_contenders_are_variants_and_controls_baseline_first(writer: Any, momentum: Any) -> None:
    made = writer(momentum, {"name": "z", "baseline": True, "parameters": {}, "controls": {}})
    frame = contenders(load_run(made.path))
    assert frame["contender"].tolist() == ["z", "momentum_lstm", "momentum_lstm/no_momentum"]


def test_a_contenders_row_by_hand(writer: Any) -> None:
    made = writer(seeds=3)
    made.tested("lstm", [0.90, 0.92, 0.94], cost=0.2, size=100)
    row = contenders(load_run(made.path)).iloc[0]
    assert row["test"] == pytest.approx(0.92)
    assert row["high"] - row["test"] == pytest.approx(4.302652729911275 * 0.02 / math.sqrt(3))
    assert row["validation"] == pytest.approx(0.925)
    assert (row["seeds"], row["planned"], row["n_parameters"]) == (3, 3, 100)
    assert row["seconds_per_epoch"] == pytest.approx(0.21)
    assert row["epochs_to_baseline"] == 3


def test_the_second_metric_is_told_with_its_parts(writer: Any) -> None:
    made = writer(space_cost="nfe", seeds=2)
    for seed, (forward, backward) in enumerate([(20.0, 30.0), (22.0, 34.0)], start=100):
        number = made.trial("lstm", "confirm", seed=seed, curve=[0.9], test=0.9)
        made.report(number, 2, nfe=forward + backward, nfe_forward=forward, nfe_backward=backward)
    run = load_run(made.path)
    row = contenders(run).set_index("contender").loc["lstm"]
    assert (row["cost"], row["cost_forward"], row["cost_backward"]) == (53.0, 21.0, 32.0)
    shown = results(run)
    first = dict(zip(shown.headers, shown.rows[0], strict=True))
    assert first["function evaluations (forward + backward)"] == "53 (21 + 32)"


@pytest.mark.parametrize(("shift", "epoch"), [(0.03, 1), (0.02, 2), (0.0, 3), (-0.01, pd.NA)])
def test_epochs_to_the_baselines_best(writer: Any, shift: float, epoch: int) -> None:
    made = writer()
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", [b + shift for b in BASE])
    reached = contenders(load_run(made.path)).set_index("contender")["epochs_to_baseline"]
    assert reached["momentum_lstm"] is epoch or reached["momentum_lstm"] == epoch


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_positive_gain_is_better_in_either_direction(writer: Any, direction: str) -> None:
    made = writer(space_direction=direction)
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", plus(0.02))
    row = by_pair(differences(load_run(made.path))).loc[("momentum_lstm", "lstm")]
    sign = 1 if direction == "maximize" else -1
    assert row["difference"] == pytest.approx(0.02)
    assert row["gain"] == pytest.approx(sign * 0.02)
    assert row["low"] < row["gain"] < row["high"]
    assert row["verdict"] == ("better" if sign > 0 else "worse")


def test_the_pairs_are_variant_baseline_control(writer: Any) -> None:
    frame = differences(load_run(writer().path))
    assert frame[["kind", "left", "right"]].values.tolist() == [
        ["variant - baseline", "momentum_lstm", "lstm"],
        ["variant - control", "momentum_lstm", "momentum_lstm/no_momentum"],
        ["control - baseline", "momentum_lstm/no_momentum", "lstm"],
    ]
    assert frame["verdict"].unique().tolist() == ["not enough evidence"]
    assert frame["seeds"].tolist() == [0, 0, 0]


def test_a_control_of_the_baseline_is_compared_once(writer: Any) -> None:
    base = {"name": "b", "baseline": True, "parameters": {}, "controls": {"c": {"x": 0}}}
    frame = differences(load_run(writer(base).path))
    assert frame[["left", "right"]].values.tolist() == [["b", "b/c"]]


def test_differences_are_paired_by_seed(writer: Any) -> None:
    """The seeds differ by far more than the variants; pairing sees the gain all the same."""
    made = writer()
    made.tested("lstm", [0.5, 0.6, 0.7, 0.8, 0.9])
    made.tested("momentum_lstm", [0.511, 0.609, 0.711, 0.809, 0.911])
    row = differences(load_run(made.path)).iloc[0]
    assert (row["verdict"], row["seeds"]) == ("better", 5)


def test_a_repeated_seed_counts_once(writer: Any) -> None:
    made = writer()
    made.tested("lstm", [0.5])
    made.tested("lstm", [0.9, 0.8])
    row = contenders(load_run(made.path)).iloc[0]
    assert (row["seeds"], row["test"]) == (2, pytest.approx(0.85))


def test_budgets_count_every_state(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5, 0.6])
    made.trial("lstm", curve=[0.7], state="PRUNED")
    made.trial("lstm", curve=[math.nan], state="FAIL", reason="diverged")
    made.trial("lstm", curve=[0.9], state="RUNNING")
    row = budgets(load_run(made.path)).iloc[0]
    assert row.to_dict() == {
        "variant": "lstm", "searched": 2, "planned": 12, "complete": 1, "pruned": 1, "failed": 1,
        "running": 1, "waiting": 0, "epochs": 5, "best": 0.6,
    }  # fmt: skip


def test_progress_counts_search_and_confirmation(finished: Path, writer: Any) -> None:
    assert progress(load_run(finished)) == (2 * 24 + 3 * 5, 2 * 24 + 3 * 5)
    assert progress(load_run(writer().path)) == (0, 2 * 12 + 3 * 5)


def test_a_variant_whose_search_failed_has_nothing_left_to_confirm(writer: Any) -> None:
    made = writer(trials=1, seeds=2)
    made.trial("lstm", curve=[0.5])
    made.trial("momentum_lstm", curve=[math.nan], state="FAIL")
    made.tested("lstm", [0.5, 0.6])
    assert progress(load_run(made.path)) == (4, 4)


def test_failures_are_grouped_by_reason_with_the_first_message(writer: Any) -> None:
    made = writer()
    made.trial("lstm", state="FAIL", reason="oom", message="first")
    made.trial("lstm", state="FAIL", reason="oom", message="second")
    made.trial("lstm", "confirm", state="FAIL", reason="oom")
    made.trial("lstm", state="FAIL")
    frame = failures(load_run(made.path))
    assert frame.drop(columns="message").values.tolist() == [
        ["lstm", "search", "oom", 2, 0],
        ["lstm", "confirm", "oom", 1, 2],
        ["lstm", "search", "not told", 1, 3],
    ]
    assert frame["message"].iloc[0] == "first"


def test_best_is_chosen_by_validation_never_by_test(writer: Any) -> None:
    made = writer()
    for variant, validation, test in (("lstm", 0.9, 0.5), ("momentum_lstm", 0.8, 0.99)):
        for seed in (100, 101):
            made.trial(variant, "confirm", seed=seed, params={"lr": 0.1, "batch_size": 64},
                       curve=[validation], test=test + seed / 1e4)  # fmt: skip
    run = load_run(made.path)
    found = best(run)
    assert found["variant"] == "lstm"
    assert found["params"] == {"lr": 0.1, "batch_size": 64}
    assert isinstance(found["params"]["batch_size"], int)
    assert found["validation"] == pytest.approx(0.9)
    assert found["test"] == pytest.approx(0.51005)
    assert found["interval"][0] < found["test"] < found["interval"][1]
    assert (found["seeds"], found["n"]) == ([100, 101], 2)
    assert best(run, "momentum_lstm")["variant"] == "momentum_lstm"


def test_best_leaves_controls_out(writer: Any) -> None:
    made = writer()
    made.tested("momentum_lstm", [0.5])
    made.tested("momentum_lstm", [0.9], control="no_momentum")
    found = best(load_run(made.path))
    assert (found["test"], found["interval"]) == (0.5, None)


def test_best_gives_choices_back_as_they_were_written(writer: Any) -> None:
    choices = {
        "name": "CategoricalDistribution",
        "attributes": {"choices": ["adam", None, 1, False]},
    }
    made = writer(space_parameters={"x": choices, "y": {"fixed": [1, 2]}})
    made.trial("lstm", params={"x": "adam", "y": [1, 2]}, curve=[0.5])
    made.trial("momentum_lstm", "confirm", params={"x": None, "y": [1, 2]}, curve=[0.5], test=0.5)
    assert best(load_run(made.path))["params"] == {"x": None, "y": [1, 2]}


@pytest.mark.parametrize("variant", [None, "lstm"])
def test_without_a_confirmation_there_is_no_best(writer: Any, variant: str | None) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5])
    with pytest.raises(RunError, match=r"1 of 39 planned trials are done.*momentune resume"):
        best(load_run(made.path), variant)


def test_an_unknown_variant_has_no_best(finished: Path) -> None:
    with pytest.raises(RunError, match="no variant 'gru'"):
        best(load_run(finished), "gru")
