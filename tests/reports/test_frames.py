"""Laws of reading: what was written comes out, whatever the moment, and nothing is changed."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from momentune.reports import (
    Run,
    RunError,
    load_run,
    read_table,
    validation_curves,
    write_tables,
)
from momentune.reports.cards.course import readings

WHO = ["trial", "variant", "control", "phase", "seed"]


def prints(path: Path) -> dict[str, str]:
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in path.iterdir() if p.is_file()}


def test_columns_are_those_of_the_design(finished: Path) -> None:
    run = load_run(finished)
    fixed = [*WHO, "state", "reason", "value", "epochs", "attempts", "started", "seconds"]
    named = [c for c in run.trials if c not in fixed]
    assert list(run.trials)[: len(fixed)] == fixed
    assert [c for c in named if c.startswith("param.")] == named[:5]
    assert named[5:-1]
    assert all(c.startswith("metric.") for c in named[5:-1])
    assert named[-1] == "message"
    assert list(run.curves)[:8] == [*WHO, "attempt", "step", "time"]


def test_one_row_per_trial_with_its_last_report(writer: Any) -> None:
    made = writer()
    made.trial(
        "momentum_lstm", "confirm", control="no_momentum", seed=103, params={"lr": 0.01, "n": 8},
        curve=[0.5, 0.75], test=0.7, cost=0.5,
    )  # fmt: skip
    row = load_run(made.path).trials.iloc[0]
    expected = {
        "trial": 0, "variant": "momentum_lstm", "control": "no_momentum", "phase": "confirm",
        "seed": 103, "state": "COMPLETE", "value": 0.7, "epochs": 2, "attempts": 1, "seconds": 1.0,
        "param.lr": 0.01, "param.n": 8, "metric.validation_accuracy": 0.75,
        "metric.test_accuracy": 0.7,
        "started": pd.Timestamp("2026-11-23 20:31:00", tz="UTC"),
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert pd.isna(row["reason"])
    assert pd.isna(row["message"])


@pytest.mark.parametrize("name", ["trials", "curves"])
@pytest.mark.parametrize("kind", ["full", "empty", "odd"])
def test_frames_survive_csv(writer: Any, make_sweep: Any, name: str, kind: str) -> None:
    made = make_sweep(trials=3, seeds=2) if kind == "full" else writer()
    if kind == "odd":
        made.trial(
            "lstm", params={"a": True, "b": 1, "c": None, "d": "NA"}, curve=[1 / 3, 0.1 + 0.2]
        )
        made.trial("lstm", params={"b": "x", "e": [1, 2]}, state="FAIL", message='a,"b"\r\n\ud800é')
        made.trial("lstm", params={"a": False, "f": 3}, curve=[math.nan], state="RUNNING")
    run = load_run(made.path)
    files = dict(zip(("trials", "curves"), write_tables(run), strict=True))
    assert_frame_equal(read_table(files[name]), getattr(run, name), check_exact=True)


def test_whole_parameters_stay_whole_where_another_variant_lacks_them(writer: Any) -> None:
    made = writer()
    made.trial("lstm", params={}, curve=[0.5])
    made.trial("momentum_lstm", params={"restart": 40}, curve=[0.5])
    assert load_run(made.path).trials["param.restart"].tolist() == [pd.NA, 40]


def test_pruned_value_is_the_last_intermediate_one(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5, 0.6], state="PRUNED")
    assert load_run(made.path).trials["value"].tolist() == [0.6]


@pytest.mark.parametrize(
    "tail", [b'{"trial": 0, "att', b'{"trial": 0, "attempt": 1, "st\n', b"\xff"]
)
def test_a_torn_line_of_metrics_is_skipped(writer: Any, tail: bytes) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5, 0.6])
    with (made.path / "metrics.jsonl").open("ab") as log:
        log.write(tail)
    assert load_run(made.path).curves["step"].tolist() == [1, 2]


def test_a_torn_last_line_of_the_journal_is_not_there_yet(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5, 0.6])
    journal = made.path / "journal.log"
    *_, last = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(journal.read_bytes()[: -len(last) // 2])
    assert load_run(made.path).trials["state"].tolist() == ["RUNNING"]


def test_a_broken_journal_is_told_with_its_line(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5])
    journal = made.path / "journal.log"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + b"half{\n" + b"".join(rest))
    with pytest.raises(RunError, match=r"line 2 is not.*take the line out"):
        load_run(made.path)


def test_of_two_attempts_the_later_one_counts(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.1, 0.2, 0.3, 0.4], state="RUNNING")
    made.report(0, 3, attempt=2, validation_accuracy=0.33)
    made.report(0, 3, attempt=3, validation_accuracy=0.35)
    curve = load_run(made.path).curves
    assert curve[["attempt", "step", "validation_accuracy"]].values.tolist() == [
        [1, 1, 0.1],
        [1, 2, 0.2],
        [3, 3, 0.35],
    ]


def test_reports_of_a_trial_the_ledger_does_not_know_are_left_out(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5])
    made.report(99, 1, validation_accuracy=0.9)
    assert load_run(made.path).curves["trial"].tolist() == [0]


def test_a_trial_killed_while_being_created_has_no_row(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5])
    made.study("lstm", "search").ask()
    run = load_run(made.path)
    assert run.trials["trial"].tolist() == [0]


def test_metrics_named_like_our_columns_are_kept_apart(writer: Any) -> None:
    made = writer()
    made.trial("lstm", seed=3, state="RUNNING")
    made.report(0, 1, seed=7.5, validation_accuracy=0.5)
    run = load_run(made.path)
    assert run.curves[["seed", "metric.seed"]].values.tolist() == [[3, 7.5]]
    assert run.trials[["seed", "metric.seed"]].values.tolist() == [[3, 7.5]]


def test_not_finite_metrics_are_missing(writer: Any) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5, math.nan], state="FAIL", reason="diverged")
    with (made.path / "metrics.jsonl").open("a") as log:
        log.write('{"trial": 0, "attempt": 1, "step": 3, "validation_accuracy": Infinity}\n')
    values = load_run(made.path).curves["validation_accuracy"].to_numpy()
    np.testing.assert_array_equal(values, [0.5, np.nan, np.nan])


def test_reading_changes_nothing_and_creates_nothing(make_sweep: Any) -> None:
    path = make_sweep(trials=2, seeds=1).path
    before = prints(path)
    load_run(path)
    assert prints(path) == before
    (path / "journal.log").unlink()
    (path / "metrics.jsonl").unlink()
    run = load_run(path)
    assert (len(run.trials), len(run.curves)) == (0, 0)
    assert sorted(p.name for p in path.iterdir()) == ["plan.json"]


def test_a_run_can_be_read_at_every_moment(make_sweep: Any) -> None:
    path: Path = make_sweep(trials=3, seeds=2).path
    journal, metrics = path / "journal.log", path / "metrics.jsonl"
    whole, reports = journal.read_bytes(), metrics.read_bytes()
    seen = []
    for share in np.linspace(0, 1, 40):
        journal.write_bytes(whole[: int(share * len(whole))])
        metrics.write_bytes(reports[: int(share * len(reports))])
        seen.append(len(load_run(path).trials))
    assert seen == sorted(seen)
    assert seen[-1] == 3 * 2 + 2 * 3


def test_the_ledger_may_live_in_a_database(tmp_path: Path, writer: Any) -> None:
    made = writer(storage=f"sqlite:///{tmp_path}/trials.db", study_prefix="one of many/")
    made.trial("lstm", curve=[0.5, 0.6])
    assert load_run(made.path).trials["value"].tolist() == [0.6]


def test_a_storage_that_does_not_answer_is_told_without_its_password(writer: Any) -> None:
    path = writer().path
    plan = json.loads((path / "plan.json").read_text())
    plan["storage"] = "postgresql://me:secret@127.0.0.1:1/none"
    (path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(RunError, match="must answer") as told:
        load_run(path)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (None, "a run directory holds plan.json, but .* holds: notes.txt"),
        ("{", "plan.json must be JSON"),
        ("[]", "reads plan format 1, but .* has 'list'"),
        ('{"format": 2}', "reads plan format 1, but .* has 2"),
        ('{"format": 1}', "lacks space.metric, space.direction, space.variants, trials, seeds"),
        (
            '{"format": 1, "trials": 1, "seeds": 1, "space": {"metric": "a", '
            '"direction": "maximize", "variants": [{"name": "a"}]}}',
            "needs one baseline, but .* has 0",
        ),
    ],
)
def test_what_is_not_a_run_is_told(tmp_path: Path, plan: str | None, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    if plan is not None:
        (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(RunError, match=message):
        load_run(tmp_path)


def test_a_path_to_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is nothing at"):
        load_run(tmp_path / "none")


def test_an_unknown_variant_is_told_with_those_there_are(finished: Path) -> None:
    run: Run = load_run(finished)
    with pytest.raises(RunError, match=r"no variant 'gru'.*: lstm, momentum_lstm"):
        run.variant("gru")


@pytest.mark.parametrize("name", ["contender", "value", "name", "limit", "started", "epochs"])
def test_a_metric_may_have_any_name_that_tables_use(writer: Any, name: str) -> None:
    made = writer()
    for seed in (100, 101):
        number = made.trial("lstm", "confirm", seed=seed, curve=[0.5], test=0.5)
        made.report(number, 2, **{name: 1.5, "validation_accuracy": 0.7})
    run = load_run(made.path)
    assert run.curves[f"metric.{name}"].tolist()[1::2] == [1.5, 1.5]
    assert validation_curves(run)["mean"].tolist() == [0.5, 0.7]
    card = readings(run)
    assert card is not None
    assert card.frame["mean"].tolist() == [1.5]


@pytest.mark.parametrize(
    "odd",
    [
        {"trial": [1]}, {"attempt": None}, {"step": "x"}, {"step": 1.5}, {"step": 10**30},
        {"trial": True}, {"time": "now"}, {"seconds": {}},
    ],
)  # fmt: skip
def test_an_odd_line_of_metrics_is_skipped_and_told(writer: Any, odd: dict[str, Any]) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5])
    whole = load_run(made.path)
    assert whole.notes == ()
    line = {"trial": 0, "attempt": 1, "step": 9, "time": 1.0} | odd
    with (made.path / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    run = load_run(made.path)
    assert_frame_equal(run.curves, whole.curves)
    assert run.notes[0].startswith("1 line of metrics.jsonl could not be used")
