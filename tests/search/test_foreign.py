"""Trials of an Optuna study, or of a table, that a sweep's sampler knows."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from momentune.reports import load_run
from momentune.reports.tables import facts
from momentune.search.imported import outdone
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput, Plan
from momentune.search.sweep import Sweep
from momentune.spaces import Choice, Float, Int

from .conftest import books, planned, run_serially
from .test_import import SHORT, done, known
from .trivial import contenders, trivial


def study(storage, name="old", trials=10, **more):
    """A study of Optuna's own, of which two trials have no value."""

    def objective(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        if trial.number == 3:
            raise optuna.TrialPruned
        return math.nan if trial.number == 5 else (x - 0.8) ** 2 + y

    found = optuna.create_study(
        storage=storage, study_name=name, sampler=optuna.samplers.RandomSampler(seed=0), **more
    )
    found.optimize(objective, trials)
    return found


@pytest.fixture
def storage(request, tmp_path):
    """Where an Optuna storage is, and it."""
    if request.param == "journal":
        return tmp_path / "old.log", JournalStorage(JournalFileBackend(str(tmp_path / "old.log")))
    return (url := f"sqlite:///{tmp_path / 'old.db'}"), optuna.storages.RDBStorage(url)


@pytest.mark.parametrize("storage", ["journal", "sqlite"], indirect=True)
def test_the_complete_trials_of_a_study_are_known(tmp_path, storage):
    place, opened = storage
    there = study(opened)
    plan = planned(trivial, tmp_path / "run", earlier=[f"plain={place}"], trials=5, **SHORT)
    complete = [t for t in there.trials if t.state.name == "COMPLETE"]
    assert len(complete) == 8
    assert known(plan, "plain") == {t.number: t.params for t in complete}
    assert [t["value"] for t in plan.imported[0]["trials"]] == [t.value for t in complete]
    assert plan.imported[0]["complete"] == {"plain": 8}
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, trivial, ledger))
        assert ledger.done
    assert "plain=" in facts(load_run(tmp_path / "run"))["Known from earlier runs"]


def test_what_lies_outside_is_counted(tmp_path):
    study(JournalStorage(JournalFileBackend(str(tmp_path / "old.log"))))
    narrow = replace(trivial, parameters={"x": Float(0.5, 1)})
    plan = planned(narrow, tmp_path / "run", earlier=[f"plain={tmp_path / 'old.log'}"], **SHORT)
    assert plan.imported[0]["complete"] == {"plain": 8}
    inside = known(plan, "plain")
    assert 0 < len(inside) < 8
    assert all(params["x"] >= 0.5 for params in inside.values())


def test_one_of_several_studies_is_named(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    for name in ("first", "second"):
        study(url, name, trials=3 if name == "first" else 2)
    plan = planned(trivial, tmp_path / "run", earlier=[f"plain={url}#first"], **SHORT)
    assert len(known(plan, "plain")) == 3
    for wrong, told in (
        ("", "which study, as URL#NAME; there: first, second"),
        ("#x", "study 'x'"),
    ):
        with pytest.raises(BadInput, match=told):
            planned(trivial, tmp_path / f"no{wrong}", earlier=[f"plain={url}{wrong}"], **SHORT)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("sqlite:///{}/old.db", "must say whose trials they are.*plain, fancy"),
        ("plain=sqlite:///{}/none.db", "no file"),
        ("plain={}/none.log", "no file"),
        ("plain={}", "no file"),
        ("plain=nonsense://u:secret@h/x", r"nonsense://u:\*\*\*@h/x cannot be read"),
        ("plain=sqlite:///{}/up.db", "must minimize one value.*it is to maximize"),
        ("fancy=sqlite:///{}/old.db", "no search trial .* 8 of fancy"),
        ("{}/none.csv", "cannot be read as CSV"),
        ("{}/empty.csv", "must have the columns value, variant.*seen: none"),
        ("{}/old.db", "must say whose"),
    ],
)  # fmt: skip
def test_a_place_without_such_trials_is_told_before_the_start(tmp_path, source, told):
    study(f"sqlite:///{tmp_path}/old.db")
    study(f"sqlite:///{tmp_path}/up.db", direction="maximize")
    (tmp_path / "empty.csv").touch()
    space = replace(trivial, variants=[
        trivial.variants[0],
        replace(trivial.variants[1], parameters={"y": Float(7, 8)}, controls={}),
    ])  # fmt: skip
    with pytest.raises(BadInput, match=told):
        planned(space, tmp_path / "run", earlier=[source.format(tmp_path)], **SHORT)
    assert not (tmp_path / "none.db").exists()


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_our_own_table_of_trials_is_known_as_the_run_is(tmp_path, momentune):
    done(tmp_path / "earlier", trials=12)
    momentune("report", tmp_path / "earlier")
    there, table_ = (
        planned(trivial, tmp_path / name, earlier=[place], **SHORT)
        for name, place in (("a", tmp_path / "earlier"), ("b", tmp_path / "earlier/trials.csv"))
    )
    for variant in ("plain", "fancy"):
        assert len(known(there, variant)) == 12
        assert known(table_, variant) == known(there, variant)


def test_a_table_of_ones_own_is_read_as_far_as_it_says(tmp_path):
    def run(x, size, kind, deep):
        yield {"epoch": 1, "validation_loss": x, "test_loss": x}

    ranges = {"x": Float(0, 1), "size": Int(1, 99), "kind": Choice(["a", "b"])}
    space = replace(
        trivial, parameters=ranges | {"deep": Choice([True, False])},
        variants=[replace(v, parameters={}, controls={}) for v in contenders(run)],
    )  # fmt: skip
    good = {"value": 0.5, "param.x": 0.25, "param.size": "64.0", "param.kind": "a",
            "param.deep": "True"}  # fmt: skip
    rows = [
        good,
        good | {"param.size": 640},  # outside
        good | {"param.more": 1},  # unknown to the space
        good | {"state": "PRUNED"},
        good | {"phase": "confirm"},
        good | {"epochs": 1},
        good | {"value": "nan"},
        good | {"variant": "fancy", "trial": 77},
    ]
    path = table(tmp_path / "old.csv", rows)
    plan = planned(space, tmp_path / "run", earlier=[f"plain={path}"], **SHORT)
    params = {"x": 0.25, "size": 64, "kind": "a", "deep": True}
    assert known(plan, "plain") == {0: params}
    assert known(plan, "fancy") == {77: params}
    assert plan.imported[0]["complete"] == {"plain": 3, "fancy": 1}


def test_a_fixed_parameter_that_differs_keeps_a_trial_out(tmp_path):
    space = replace(trivial, variants=contenders(trivial.variants[0].run, pause=0.0))
    row = {"variant": "plain", "value": 1, "param.x": 0.5, "param.y": 0.5}
    rows = [row, row | {"param.pause": 0.0}, row | {"param.pause": 1.0}]
    plan = planned(space, tmp_path / "run", earlier=[table(tmp_path / "t.csv", rows)], **SHORT)
    assert list(known(plan, "plain")) == [0, 1]


def test_the_command_says_what_is_known_and_what_was_not_reached(momentune, tmp_path, trivial_file):
    row = {"variant": "plain", "value": 0.0001, "param.x": 0.3, "param.y": 0.0}
    path = table(tmp_path / "t.csv", [row, row | {"param.x": 3}])
    words = ("--trials", 2, "--seeds", 1, "--epochs", 2, "--concurrency", 1, "--from", path)
    told = momentune("sweep", trivial_file, *words, "--out", tmp_path / "run")
    assert told.returncode == 0, told.stderr
    assert f"known from {path}, beside any budget: 1 of 2 of plain; only those" in told.stdout
    assert "none is confirmed" in told.stdout
    assert "is your word" in told.stdout
    assert f"plain: trial 0 of {path} was better on validation data (0.0001)" in told.stdout
    plan = Plan.load(tmp_path / "run")
    assert len(books(tmp_path / "run", plan)["plain/search"]) == 2
    assert len(list(outdone(plan, Ledger(tmp_path / "run", plan)))) == 1
