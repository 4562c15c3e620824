"""Every way in which a trial can end, in every storage: exactly the state that it deserves."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from momentune.reports import load_run
from momentune.search.forecast import forecast
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput
from momentune.search.replay import Replay, recorded, replay
from momentune.search.simulation import Clock, LostError, Simulation
from momentune.search.sweep import Sweep

from .conftest import books, planned, run_serially
from .trivial import contenders, ill, trivial

PRICED = replace(trivial, cost="price")

FATES = {
    # fate: state, reason, attempts, epochs heard of
    "good": ("COMPLETE", None, 1, 9),
    "bad": ("PRUNED", None, 1, 1),
    "NaN": ("FAIL", "diverged", 1, 2),
    "infinite": ("FAIL", "diverged", 1, 2),
    "exception": ("FAIL", "exception", 1, 2),
    "silent": ("FAIL", "exception", 1, 0),
    "out of memory": ("FAIL", "oom", 2, 2),
    "out of memory beside others": ("COMPLETE", None, 2, 9),
    "hangs": ("FAIL", "timeout", 1, 2),
    "slow": ("FAIL", "timeout", 1, 6),
    "exits": ("FAIL", "lost", 3, 2),
    "node lost": ("COMPLETE", None, 2, 9),
}


def training(trial):
    """A training of one second an epoch whose fate follows from its number."""
    fate = list(FATES)[trial.index % len(FATES)] if trial.phase == "search" else "good"
    if fate == "silent":
        return
    value = 10.0 if fate == "bad" else -1.0 * trial.index  # so that only one is stopped early
    for epoch in range(1, 10):
        if epoch == 3 and (fate, trial.attempt) != ("node lost", 2):
            yield from struck(fate, trial, value)
        metrics = {"epoch": epoch, "validation_loss": value, "test_loss": 0.0, "price": value}
        yield (2.0 if fate == "slow" and epoch > 1 else 1.0), metrics


def struck(fate, trial, value):
    if fate == "exception":
        raise RuntimeError("no luck")
    if fate == "out of memory" or (fate.endswith("others") and not trial.alone):
        raise MemoryError
    if fate in ("exits", "node lost"):
        raise LostError
    if fate in ("NaN", "infinite"):
        wrong = math.nan if fate == "NaN" else math.inf
        yield 1.0, {"epoch": 3, "validation_loss": wrong, "price": value}
    if fate == "hangs":
        yield 1e6, {"epoch": 3, "validation_loss": value, "price": value}


@pytest.mark.parametrize("objectives", [1, 2])
def test_every_end_of_a_trial_is_told_as_what_it_is(tmp_path, storage, objectives):
    folder = tmp_path / "run"
    plan = planned(
        PRICED,
        folder,
        sampler="nsga2" if objectives == 2 else "tpe",
        trials=len(FATES),
        epochs=9,
        trial_timeout=11.5,
        storage=storage,
    )
    clock = Clock()
    with Ledger.locked(folder, plan) as ledger:
        sweep = Sweep(plan, PRICED, ledger, clock=clock)
        Simulation(sweep, clock, training, slots=3).run()
        assert sweep.done
    for variant, found in books(folder, plan).items():
        if variant.endswith("confirm"):
            assert {t.state for t in found} == {TrialState.COMPLETE}
            continue
        told = {
            fate: (
                trial.state.name,
                trial.user_attrs["outcome"]["reason"],
                trial.user_attrs["attempt"]["number"],
                len(trial.intermediate_values),
            )
            for fate, trial in zip(FATES, found, strict=True)
        }
        assert told == FATES
        complete = [t for t in found if t.state is TrialState.COMPLETE]
        assert all(len(t.values) == objectives for t in complete)


def test_every_attempt_is_in_the_metrics_log_and_says_why_it_ended(tmp_path):
    folder = tmp_path / "run"
    plan = planned(trivial, folder, trials=len(FATES), epochs=9, trial_timeout=11.5)
    clock = Clock()
    with Ledger.locked(folder, plan) as ledger:
        Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, training, slots=3).run()
    lost = books(folder, plan)["plain/search"][list(FATES).index("exits")]
    assert [f["reason"] for f in lost.user_attrs["failures"]] == ["lost", "lost"]
    assert [f["attempt"] for f in lost.user_attrs["failures"]] == [1, 2]
    number = lost.user_attrs["trial"]["number"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    heard = [(line["attempt"], line["step"]) for line in lines if line["trial"] == number]
    assert heard == [(attempt, step) for attempt in (1, 2, 3) for step in (1, 2)]


def test_what_ran_out_of_memory_is_tried_again_while_nothing_else_runs(tmp_path):
    plan = planned(trivial, tmp_path / "run", trials=len(FATES), epochs=9, scheduler="none")
    clock, seen = Clock(), []

    def watched(trial):
        if trial.alone:
            seen.append(set(sweep.live) - {trial.number})
        for wait, metrics in training(trial):
            if any(live.trial.alone for live in sweep.live.values()):
                assert len(sweep.live) == 1
            yield wait, metrics

    with Ledger.locked(tmp_path / "run", plan) as ledger:
        sweep = Sweep(plan, trivial, ledger, clock=clock)
        Simulation(sweep, clock, watched, slots=4).run()
        assert ledger.done
    assert len(seen) == 4  # two fates of two variants


def test_a_trial_that_had_the_machine_for_itself_is_not_tried_again(tmp_path):
    plan = planned(trivial, tmp_path / "run", trials=len(FATES), epochs=9, scheduler="none")
    clock = Clock()
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, training, slots=1).run()
    place = list(FATES).index("out of memory")
    trial = books(tmp_path / "run", plan)["plain/search"][place]
    assert trial.user_attrs["attempt"]["number"] == 1


def tried_twice(folder, values, **request):
    """The plain search trials where the one of index 1 is lost after epoch 3 of its first attempt.

    Args:
        folder: of the run.
        values: of a trial, the objective at each epoch.
        request: what is planned besides.
    """
    plan = planned(trivial, folder, epochs=9, seeds=1, sampler="random", concurrency=1, **request)
    clock = Clock()

    def train(trial):
        for epoch in range(1, 10):
            if trial.phase == "search" and (trial.index, trial.attempt, epoch) == (1, 1, 4):
                raise LostError
            yield 1.0, {"epoch": epoch, "validation_loss": values(trial, epoch), "test_loss": 0.0}

    with Ledger.locked(folder, plan) as ledger:
        Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, train, slots=1).run()
        assert ledger.done
    return books(folder, plan)["plain/search"]


def test_of_two_attempts_the_latest_counts(tmp_path, storage):
    found = tried_twice(
        tmp_path / "run",
        lambda trial, epoch: 100.0 * trial.attempt + epoch,
        trials=2,
        scheduler="none",
        storage=storage,
    )
    assert found[1].intermediate_values == {epoch: 200.0 + epoch for epoch in range(1, 10)}
    assert found[1].value == 209.0


def test_the_latest_attempt_is_the_one_that_is_judged_at_a_rung(tmp_path):
    """The lost attempt led; the other is the worst, and nobody is measured by the first one."""

    def values(trial, epoch):
        led = trial.index == 1 and trial.attempt == 1
        return 0.0 if led else (5.0, 6.0, 4.0)[trial.index] if trial.phase == "search" else 1.0

    found = tried_twice(tmp_path / "run", values, trials=3)
    assert [t.state.name for t in found] == ["COMPLETE", "PRUNED", "COMPLETE"]
    again = found[1]
    assert again.value == 6.0
    assert again.intermediate_values[1] == 6.0
    assert all(math.isnan(again.intermediate_values[step]) for step in (2, 3))
    (row,) = load_run(tmp_path / "run").trials.query("trial == 2").to_dict("records")
    assert (row["epochs"], row["value"]) == (1, 6.0)


def test_slots_are_busy_until_the_last_trial_has_begun(tmp_path):
    def even(trial):
        for epoch in range(1, 4):
            yield 1.0, {"epoch": epoch, "validation_loss": 0.0, "test_loss": 0.0}

    plan = planned(trivial, tmp_path / "run", trials=10, scheduler="none", seeds=4)
    clock = Clock()
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        timeline = Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, even, 4).run()
    assert timeline.attempts == 20 + 12
    assert timeline.seconds == 3 * 32 / 4
    assert timeline.busy == 4


def test_a_budget_is_shared_by_the_variants_and_ends_their_search(tmp_path):
    """Epochs of one variant cost ten times those of the other."""

    def costly(trial):
        price = 10.0 if trial.variant == "fancy" else 1.0
        for epoch in range(1, 4):
            metrics = {"epoch": epoch, "validation_loss": 0.0, "test_loss": 0.0, "nfe": price}
            yield 1.0, metrics

    plan = planned(trivial, tmp_path / "run", trials=100, scheduler="none", budget={"nfe": 200.0})
    for slots in (2, 3):  # and once more: what is spent is spent
        clock = Clock()
        with Ledger.locked(tmp_path / "run", plan) as ledger:
            Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, costly, slots).run()
            assert ledger.done
            assert ledger.planned("plain", "search") == ledger.made("plain", "search")
            spent = {v: ledger.spent(v, "nfe") for v in plan.variants}
        assert 100 <= spent["plain"] <= 100 + 2 * 3
        assert 100 <= spent["fancy"] <= 100 + 2 * 30
    counts = {name: len(found) for name, found in books(tmp_path / "run", plan).items()}
    assert counts["plain/search"] > 5 * counts["fancy/search"]
    assert counts["plain/confirm"] == 2


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        ({}, "plain reports none, but epoch, validation_loss"),
        ({"nfe": -5.0}, "-5.0"),
        ({"nfe": math.nan}, "nan"),
        ({"nfe": "many"}, "'many'"),
    ],
)
def test_a_budget_that_no_report_uses_up_is_refused_at_the_first_one(tmp_path, reported, words):
    def train(trial):
        yield 1.0, {"epoch": 1, "validation_loss": 0.0, **reported}

    plan = planned(trivial, tmp_path / "run", budget={"nfe": 200.0})
    clock = Clock()
    with (
        pytest.raises(BadInput, match=f"--budget nfe=200 needs 'nfe' in every report.*{words}"),
        Ledger.locked(tmp_path / "run", plan) as ledger,
    ):
        Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, train, slots=1).run()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == b""  # so that no run is left behind


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random", "qmc"])
def test_a_deterministic_sweep_is_the_same_with_any_number_of_slots(tmp_path, sampler):
    def run(slots):
        folder = tmp_path / str(slots)
        request = {"sampler": sampler, "deterministic": True, "trials": 14, "concurrency": 1}
        plan = planned(trivial, folder, **request)
        clock = Clock()

        def uneven(trial):
            x, y = trial.params["x"], trial.params["y"]
            for epoch in range(1, 4):
                metrics = {"epoch": epoch, "validation_loss": (x - 0.3) ** 2 + y}
                yield 1.0 + trial.number * 7919 % 13, metrics | {"test_loss": x}

        with Ledger.locked(folder, plan) as ledger:
            Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, uneven, slots).run()
            assert ledger.done
        return {n: [(t.params, t.values) for t in f] for n, f in books(folder, plan).items()}

    assert run(1) == run(4) == run(7)


def test_a_forecast_is_the_plan_with_the_time_that_it_takes(tmp_path):
    plan = planned(trivial, tmp_path / "run", trials=9, epochs=9, concurrency=1)
    plan = replace(plan, concurrency=4)
    expected, timeline = forecast(plan, trivial, {"plain": 1.0, "fancy": 10.0})
    assert {name: (v.search, v.confirm) for name, v in expected.items()} == {
        "plain": (9, 2),
        "fancy": (9, 4),
    }
    assert all(0 < v.stopped < 9 for v in expected.values())
    assert all(v.epochs < 9 * (v.search + v.confirm) for v in expected.values())
    assert expected["fancy"].seconds > 5 * expected["plain"].seconds
    whole = sum(v.seconds for v in expected.values())
    assert whole / 4 <= timeline.seconds < whole
    assert timeline.busy == pytest.approx(whole / timeline.seconds)


def unlucky(x, y, *, epochs, seed, test):
    yield from ill(x, y, epochs=epochs, seed=seed, test=test, how="raises")


def test_a_replay_says_whether_a_trial_is_reproduced(tmp_path):
    plan = planned(trivial, tmp_path / "run")
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, trivial, ledger))
    for number in (0, 3, 9):
        trial, reports = recorded(tmp_path / "run", plan, number)
        assert trial.number == number
        assert replay(trivial, trial, reports) == Replay(len(reports), "")
    reports[1]["validation_loss"] += 1e-12
    result = replay(trivial, trial, reports)
    assert result.difference.startswith("epoch 1: validation_loss was")
    broken = replace(trivial, variants=contenders(unlucky))
    assert "no luck with x" in replay(broken, trial, reports).difference
    with pytest.raises(BadInput, match="trial 99"):
        recorded(tmp_path / "run", plan, 99)
