"""The protocol and the ledger, run serially: the same state machine that Ray drives."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from momentune.models import Digits, Diverged
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput, Plan
from momentune.search.sweep import Sweep
from momentune.search.trial import Failure, failure_of
from momentune.spaces import Float, Space, Variant, catalogued

from .conftest import books, planned, run_serially
from .trivial import contenders, descend, ill, trivial

SAMPLERS = ["tpe", "random", "qmc"]


def swept(folder, space=trivial, **request):
    plan = planned(space, folder, **request)
    with Ledger.locked(folder, plan) as ledger:
        sweep = Sweep(plan, space, ledger)
        run_serially(sweep)
        assert sweep.done
    return plan


def alone(run, x):
    """A space with one variant and one parameter."""
    return Space(
        "s",
        metric="loss",
        direction="minimize",
        parameters={"x": x},
        variants=[Variant("a", run=run, baseline=True)],
    )


def reports(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("scheduler", ["asha", "none"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sweep_ends_with_exactly_the_planned_trials(tmp_path, sampler, scheduler):
    plan = swept(tmp_path / "run", sampler=sampler, scheduler=scheduler, trials=9, epochs=9)
    trials = books(tmp_path / "run", plan)
    assert {name: len(found) for name, found in trials.items()} == {
        "plain/search": 9,
        "plain/confirm": 2,
        "fancy/search": 9,
        "fancy/confirm": 4,
    }
    states = {t.state for found in trials.values() for t in found}
    pruned = {TrialState.PRUNED} if scheduler == "asha" else set()
    assert states == {TrialState.COMPLETE} | pruned
    numbers = [t.user_attrs["trial"]["number"] for found in trials.values() for t in found]
    assert sorted(numbers) == list(range(24))


def test_the_variants_take_turns(tmp_path):
    swept(tmp_path / "run", scheduler="none")
    order = list(dict.fromkeys(report["trial"] for report in reports(tmp_path / "run")))
    assert order == sorted(order)  # numbers alternate by variant


def test_a_pruned_trial_keeps_its_reports_and_is_compared_with_its_own_variant(tmp_path):
    plan = swept(tmp_path / "run", trials=9, epochs=9, sampler="random")
    for variant in plan.variants:
        found = books(tmp_path / "run", plan)[f"{variant}/search"]
        pruned = [t for t in found if t.state is TrialState.PRUNED]
        complete = [t for t in found if t.state is TrialState.COMPLETE]
        assert pruned
        for trial in pruned:
            assert 1 <= len(trial.intermediate_values) < 9
            assert trial.value == trial.intermediate_values[trial.last_step]
        assert all(len(t.intermediate_values) == 9 for t in complete)


def test_what_is_confirmed_is_the_best_of_full_length_and_its_controls_on_the_same_seeds(tmp_path):
    plan = swept(tmp_path / "run", trials=9, epochs=9)
    found = books(tmp_path / "run", plan)
    for variant in plan.variants:
        complete = [t for t in found[f"{variant}/search"] if t.state is TrialState.COMPLETE]
        best = min(complete, key=lambda t: t.value).user_attrs["trial"]["params"]
        confirmed = [t.user_attrs["trial"] for t in found[f"{variant}/confirm"]]
        own = [t for t in confirmed if t["control"] is None]
        assert all(t["params"] == best for t in own)
        assert [t["seed"] for t in own] == [1_000_000, 1_000_001]
        for control in plan.controls(variant):
            controls = [t for t in confirmed if t["control"] == control]
            assert all(t["params"] == {**best, "y": 0.0} for t in controls)
            assert [t["seed"] for t in controls] == [t["seed"] for t in own]


def test_confirm_values_are_test_metrics_and_search_values_validation_metrics(tmp_path):
    plan = swept(tmp_path / "run")
    last = {report["trial"]: report for report in reports(tmp_path / "run")}
    for name, found in books(tmp_path / "run", plan).items():
        key = "test_loss" if name.endswith("confirm") else "validation_loss"
        for trial in found:
            assert trial.value == last[trial.user_attrs["trial"]["number"]][key]
            assert ("test_loss" in last[trial.user_attrs["trial"]["number"]]) == (
                key == "test_loss"
            )


class Untouchable(Digits):
    """A task whose test split raises."""

    def test(self):
        raise AssertionError("the search touched test data")


def test_test_data_are_touched_in_the_confirm_phase_and_only_there(tmp_path):
    space = replace(catalogued("digits-lstm"), task=Untouchable)
    plan = swept(tmp_path / "run", space, trials=2, epochs=1, seeds=1)
    for name, found in books(tmp_path / "run", plan).items():
        wanted = TrialState.FAIL if name.endswith("confirm") else TrialState.COMPLETE
        assert {t.state for t in found} == {wanted}
        if name.endswith("confirm"):
            assert all("touched test data" in t.user_attrs["outcome"]["message"] for t in found)


@pytest.mark.parametrize(
    ("how", "reason", "words"),
    [
        ("raises", "exception", "RuntimeError: no luck with x"),
        ("runs out of memory", "oom", "MemoryError"),
        ("becomes NaN", "diverged", "validation_loss is nan at epoch 2"),
        ("forgets its metric", "exception", "must yield 'validation_loss'"),
        ("says nothing", "exception", "yielded no metrics"),
    ],
)
def test_a_failing_trial_is_told_with_its_reason_and_the_sweep_goes_on(
    tmp_path, how, reason, words
):
    space = replace(trivial, variants=contenders(ill, how="well"))
    space = replace(space, variants=[space.variants[0], *contenders(ill, how=how)[1:]])
    plan = planned(space, tmp_path / "run", scheduler="none")
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        sweep = Sweep(plan, space, ledger)
        run_serially(sweep)
        assert sweep.done
        assert ledger.failed_variants == ["fancy"]
    found = books(tmp_path / "run", plan)
    assert all(t.state is TrialState.FAIL for t in found["fancy/search"])
    outcomes = [t.user_attrs["outcome"] for t in found["fancy/search"]]
    assert all(o["reason"] == reason and words in o["message"] for o in outcomes)
    assert len(found["plain/confirm"]) == 2
    assert found["fancy/confirm"] == []
    assert "NaN" not in (tmp_path / "run/metrics.jsonl").read_text()


def test_a_training_that_ends_early_is_not_ranked_with_those_of_full_length(tmp_path):
    """The loss rises, so that whoever stops first would lead."""

    def run(x, *, epochs):
        for epoch in range(1, epochs + 1):
            yield {"epoch": epoch, "validation_loss": epoch + x, "test_loss": x}
            if x < 0.4:
                return

    space = alone(run, Float(0, 1))
    plan = swept(tmp_path / "run", space, trials=6, epochs=3, scheduler="none", sampler="random")
    found = books(tmp_path / "run", plan)
    short = [t for t in found["a/search"] if t.user_attrs["trial"]["params"]["x"] < 0.4]
    assert 0 < len(short) < 6
    for trial in short:
        assert trial.state is TrialState.FAIL
        assert trial.user_attrs["outcome"]["step"] == 1
        assert "ended after epoch 1 of 3" in trial.user_attrs["outcome"]["message"]
    assert all(t.user_attrs["trial"]["params"]["x"] >= 0.4 for t in found["a/confirm"])


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours catches it."""


@pytest.mark.parametrize("after", [1, 2, 3, 5, 8, 13, 21, 30])
def test_a_driver_that_dies_between_two_reports_loses_and_doubles_nothing(tmp_path, after):
    folder, heard = tmp_path / "run", Counter()

    def mortal(x, y, *, epochs, seed, test):
        for metrics in descend(x, y, epochs=epochs, seed=seed, test=test):
            heard["reports"] += 1
            if heard["reports"] == after:
                raise Killed
            yield metrics

    space = replace(trivial, variants=contenders(mortal))
    plan = planned(space, folder, scheduler="none", sampler="random")
    ledger = Ledger(folder, plan, writable=True)
    with pytest.raises(Killed):
        run_serially(Sweep(plan, space, ledger))
    ledger.close()  # neither released nor unlocked: what a killed process leaves
    before = {n: [t for t in f if t.state.is_finished()] for n, f in books(folder, plan).items()}
    with (folder / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code": 4, "torn')
    (folder / "journal.log.lock").symlink_to("journal.log")
    with Ledger.locked(folder, plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
        assert ledger.done
    found = books(folder, plan)
    assert {n: len(f) for n, f in found.items()} == {
        "plain/search": 4,
        "plain/confirm": 2,
        "fancy/search": 4,
        "fancy/confirm": 4,
    }
    assert all(t.state is TrialState.COMPLETE for f in found.values() for t in f)
    for name, finished in before.items():
        assert [t for t in found[name] if t.number in {b.number for b in finished}] == finished
    attempts = [t.user_attrs["attempt"]["number"] for f in found.values() for t in f]
    assert sorted(attempts)[-2:] == [1, 2]  # only the trial in flight was tried again
    straight = swept(tmp_path / "straight", scheduler="none", sampler="random")
    for name, trials in books(tmp_path / "straight", straight).items():
        assert [t.value for t in trials] == [t.value for t in found[name]]


def test_two_drivers_on_one_run_are_told_apart(tmp_path):
    plan = planned(trivial, tmp_path / "run")
    with (
        Ledger.locked(tmp_path / "run", plan),
        pytest.raises(BadInput, match="another process"),
        Ledger.locked(tmp_path / "run", plan),
    ):
        pass


def test_a_database_holds_many_runs_of_one_space(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    plans = []
    for seed in (0, 1):
        plan = planned(trivial, tmp_path / f"run{seed}", storage=url, seed=seed)
        with Ledger.locked(tmp_path / f"run{seed}", plan) as ledger:
            run_serially(Sweep(plan, trivial, ledger))
            assert ledger.done
        plans.append(plan)
    for seed, plan in enumerate(plans):
        assert len(books(tmp_path / f"run{seed}", plan)["plain/search"]) == 4


def test_a_sampler_depends_on_the_plan_and_the_ledger_only(tmp_path):
    found = []
    for name in ("one", "two"):
        plan = swept(tmp_path / name, sampler="tpe", trials=20, scheduler="none")
        found.append(books(tmp_path / name, plan)["fancy/search"])
    assert [t.params for t in found[0]] == [t.params for t in found[1]]
    assert len({json.dumps(t.params) for t in found[0]}) == 20


def test_a_plan_survives_its_file_and_other_files_are_refused(tmp_path):
    plan = planned(trivial, tmp_path / "run")
    assert Plan.load(tmp_path / "run") == plan
    (tmp_path / "run/plan.json").write_text("{")
    with pytest.raises(BadInput, match="no run directory"):
        Plan.load(tmp_path / "run")
    (tmp_path / "run/plan.json").write_text('{"format": 99}')
    with pytest.raises(BadInput, match="format 1"):
        Plan.load(tmp_path / "run")


def test_search_and_confirm_seeds_never_meet(tmp_path):
    plan = swept(tmp_path / "run", seed=3)
    seeds = {"search": set(), "confirm": set()}
    for name, found in books(tmp_path / "run", plan).items():
        seeds[name.split("/")[1]] |= {t.user_attrs["trial"]["seed"] for t in found}
    assert seeds == {"search": {3, 4, 5, 6}, "confirm": {1_000_003, 1_000_004}}


def test_an_infinite_report_is_written_as_null(tmp_path):
    def run(x, *, epochs):
        yield {"epoch": 1, "validation_loss": x, "norm": math.inf}

    space = alone(run, 1.0)
    swept(tmp_path / "run", space, trials=1, epochs=1, seeds=1)
    assert reports(tmp_path / "run")[0]["norm"] is None


def halved(x):
    """A control that only works on one side."""
    if x["y"] > 0.05:
        raise ZeroDivisionError("y is too large")
    return {"y": 0.0}


def test_a_control_that_is_impossible_for_the_best_fails_alone(tmp_path):
    fancy = replace(trivial.variants[1], controls={"zero": {"y": 0.0}, "half": {"y": 0.01}})
    space = replace(trivial, variants=[trivial.variants[0], fancy])
    plan = planned(space, tmp_path / "run")
    broken = replace(fancy, controls={**fancy.controls, "half": halved})
    space = replace(space, variants=[trivial.variants[0], broken])
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
        assert ledger.done
    states = {
        (t.user_attrs["trial"]["control"], t.state.name)
        for t in books(tmp_path / "run", plan)["fancy/confirm"]
    }
    assert states == {(None, "COMPLETE"), ("zero", "COMPLETE"), ("half", "FAIL")}


def test_a_leader_that_diverges_does_not_stop_the_others(tmp_path):
    """The first trial is best at every rung and is NaN at the end; the rest is fine."""
    runs = Counter()

    def run(x, *, epochs):
        runs["trials"] += 1
        leads = runs["trials"] == 1
        for epoch in range(1, epochs + 1):
            last = epoch == epochs
            yield {"epoch": epoch, "validation_loss": math.nan if leads and last else x - leads}

    space = alone(run, Float(0, 1))
    plan = planned(space, tmp_path / "run", trials=6, epochs=9, seeds=1)
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
        assert ledger.counts("a", "search")[TrialState.COMPLETE] >= 1


@pytest.mark.parametrize("epoch", ["1", 0, -1, 1.5, math.nan])
def test_an_epoch_that_is_no_whole_number_from_1_on_is_told(tmp_path, epoch):
    def run(x):
        yield {"epoch": epoch, "validation_loss": x}

    space = alone(run, 1.0)
    plan = planned(space, tmp_path / "run", trials=1)
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
    (trial,) = books(tmp_path / "run", plan)["a/search"]
    assert "'epoch' must be a whole number from 1 on" in trial.user_attrs["outcome"]["message"]


class Curious(Exception):
    """As urllib's URLError: its reason is of another kind."""

    reason = OSError("no route")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Curious("x"), "exception"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid start byte"), "exception"),
        (MemoryError("full"), "oom"),
        (Diverged("train_loss", math.nan, 2, 7), "diverged"),
    ],
)
def test_an_exception_is_sorted_by_its_kind(error, reason):
    failure = failure_of(error)
    assert failure.reason == reason
    assert Failure.from_json(failure.to_json()) == failure
