"""A sweep that is extended is the sweep that would have been, and nothing of it is lost."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from momentune.reports import load_run
from momentune.search.extension import Extension, extend
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput, Plan
from momentune.search.simulation import Clock, Simulation
from momentune.search.sweep import Sweep

from .conftest import books, planned
from .test_sampling import GRIDDED
from .trivial import trivial

REQUEST = {"deterministic": True, "epochs": 3, "seeds": 2, "concurrency": 1}


def uneven(trial):
    """A training whose time has nothing to do with its order."""
    x, y = trial.params["x"], trial.params["y"]
    for epoch in range(1, trial.epochs + 1):
        loss = (x - 0.3) ** 2 + y + 1 / epoch
        metrics = {"epoch": epoch, "validation_loss": loss, "test_loss": loss + trial.seed % 7}
        yield 1.0 + trial.number * 7919 % 13, metrics


def run(folder, space=trivial, slots=3):
    """Drives what is left of a run to its end."""
    plan, clock = Plan.load(folder), Clock()
    with Ledger.locked(folder, plan) as ledger:
        Simulation(Sweep(plan, space, ledger, clock=clock), clock, uneven, slots).run()
        assert ledger.done
    return plan


def told(folder):
    """What counts of a run, as the report has it."""
    frame = load_run(folder).trials
    frame = frame[frame["state"] == "COMPLETE"]
    columns = ["variant", "control", "phase", "seed", "value", "param.x", "param.y"]
    return sorted(map(repr, frame[columns].itertuples(index=False, name=None)))


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random", "qmc"])
def test_twenty_trials_extended_to_forty_are_a_straight_forty(tmp_path, sampler):
    short, straight = tmp_path / "short", tmp_path / "straight"
    for folder, trials in ((short, 20), (straight, 40)):
        planned(trivial, folder, sampler=sampler, trials=trials, **REQUEST)
        run(folder, slots=1 if folder == straight else 4)
    before = Plan.load(short)
    extend(short, Extension(trials=40))
    plan = run(short)
    assert told(short) == told(straight)
    assert plan.trials == 40
    assert [(e["trials"], e["seeds"]) for e in plan.extensions] == [(20, 2)]
    assert replace(plan, trials=20, extensions=[]) == before
    for trials in books(short, plan).values():
        numbers = [t.user_attrs["trial"]["number"] for t in trials]
        assert numbers == sorted(set(numbers))
    every = [t.user_attrs["trial"]["number"] for f in books(short, plan).values() for t in f]
    assert len(set(every)) == len(every)


def test_what_is_finished_is_kept_and_confirmed_again_only_where_the_choice_changed(tmp_path):
    folder = tmp_path / "run"
    planned(trivial, folder, sampler="qmc", trials=4, **REQUEST)
    before = books(folder, run(folder))
    again = set()
    for trials in (5, 8, 16, 64):
        extend(folder, Extension(trials=trials))
        after = books(folder, run(folder))
        for name, kept in before.items():
            assert [(t.number, t.params, t.values, t.state) for t in kept] == [
                (t.number, t.params, t.values, t.state) for t in after[name][: len(kept)]
            ]
        for variant, contenders in (("plain", 1), ("fancy", 2)):
            search = [t for t in after[f"{variant}/search"] if t.value is not None]
            best = min(search, key=lambda t: t.value).params
            earlier = min(before[f"{variant}/search"], key=lambda t: t.value).params
            changed = best != earlier
            added = len(after[f"{variant}/confirm"]) - len(before[f"{variant}/confirm"])
            assert added == (2 * contenders if changed else 0)
            again.add(changed)
        before = after
    assert again == {True, False}
    frame = load_run(folder).trials
    confirmed = frame[frame["phase"] == "confirm"]
    assert len(confirmed) == 2 * 3  # the earlier choices are in the ledger and not in the report
    assert confirmed.groupby(["variant"])["param.x"].nunique().tolist() == [1, 1]


def test_more_seeds_are_added_to_the_same_choice(tmp_path):
    folder = tmp_path / "run"
    planned(trivial, folder, trials=4, **REQUEST)
    run(folder)
    extend(folder, Extension(seeds=5))
    found = books(folder, run(folder))
    seeds = [t.user_attrs["trial"]["seed"] - 1_000_000 for t in found["fancy/confirm"]]
    assert seeds == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(found["fancy/search"]) == 4


def test_an_interrupted_confirmation_of_an_earlier_choice_is_dropped(tmp_path):
    folder = tmp_path / "run"
    plan, clock = planned(trivial, folder, sampler="qmc", trials=4, **REQUEST), Clock()
    with Ledger.locked(folder, plan) as ledger:
        sweep = Sweep(plan, trivial, ledger, clock=clock)
        while not ledger.made("fancy", "confirm"):
            trial = sweep.next()
            for _, metrics in uneven(trial):
                sweep.receive(trial.number, metrics)
            sweep.end(trial.number)
        assert ledger.waiting("fancy", "confirm")
    extend(folder, Extension(trials=64))
    found = books(folder, run(folder))["fancy/confirm"]
    assert {t.state for t in found} == {TrialState.COMPLETE, TrialState.FAIL}
    assert {t.user_attrs["outcome"]["reason"] for t in found} == {None, "stopped"}
    frame = load_run(folder).trials
    assert set(frame["state"]) == {"COMPLETE"}


class Killed(BaseException):
    """The driver dies here."""


def test_a_driver_killed_at_any_write_of_an_extension_loses_and_doubles_nothing(
    tmp_path, monkeypatch
):
    straight = tmp_path / "straight"
    planned(trivial, straight, sampler="qmc", trials=8, **REQUEST)
    run(straight)
    from momentune.search import journal

    append = journal.Log.append
    deaths = 0
    for point in itertools.count(0, 3):
        folder = tmp_path / str(point)
        planned(trivial, folder, sampler="qmc", trials=4, **REQUEST)
        run(folder)
        writes = itertools.count()

        def dying(self, lines, writes=writes, point=point):
            if next(writes) >= point:
                raise Killed
            append(self, lines)

        with monkeypatch.context() as patch:
            patch.setattr(journal.Log, "append", dying)
            try:
                extend(folder, Extension(trials=8))
                run(folder)
                died = False
            except Killed:
                died = True
        if Plan.load(folder).trials < 8:
            extend(folder, Extension(trials=8))
        run(folder)
        assert told(folder) == told(straight)
        deaths += died
        if not died:
            break
    assert deaths > 20


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (Extension(trials=3), "never taken back"),
        (Extension(seeds=1), "never taken back"),
        (Extension(trials=4, seeds=2), "nothing would be added"),
        (Extension(), "nothing would be added"),
        (Extension(budget={"nfe": 10.0}), "must raise a budget that this sweep has: none"),
    ],
)
def test_an_extension_that_adds_nothing_is_told(tmp_path, extension, words):
    planned(trivial, tmp_path / "run", trials=4, **REQUEST)
    plan = (tmp_path / "run" / "plan.json").read_bytes()
    with pytest.raises(BadInput, match=words):
        extend(tmp_path / "run", extension)
    assert (tmp_path / "run" / "plan.json").read_bytes() == plan


def test_a_grid_is_extended_to_its_end_and_no_further(tmp_path):
    folder = tmp_path / "run"
    planned(GRIDDED, folder, sampler="grid", trials=3, **REQUEST)
    run(folder, GRIDDED)
    extend(folder, Extension(trials=100))
    plan = run(folder, GRIDDED)
    found = books(folder, plan)
    assert plan.searches == {"plain": 2, "fancy": 6}
    assert [len(found[f"{v}/search"]) for v in plan.variants] == [2, 6]
    with pytest.raises(BadInput, match="no further points"):
        extend(folder, Extension(trials=200))


def test_a_budget_that_is_used_up_is_raised(tmp_path):
    folder = tmp_path / "run"
    planned(trivial, folder, trials=50, epochs=3, budget={"epochs": 30.0}, scheduler="none")
    first = books(folder, run(folder, slots=1))
    extend(folder, Extension(budget={"epochs": 60.0}))
    second = books(folder, run(folder, slots=1))
    assert len(first["plain/search"]) == 5
    assert len(second["plain/search"]) == 10


def test_trials_beyond_a_budget_that_is_used_up_are_refused(tmp_path):
    folder = tmp_path / "run"
    planned(trivial, folder, trials=50, epochs=3, budget={"epochs": 30.0}, scheduler="none")
    run(folder, slots=1)
    plan = (folder / "plan.json").read_bytes()
    with pytest.raises(BadInput, match=r"would add none: the budget \(epochs=30\) is used up"):
        extend(folder, Extension(trials=200))
    assert (folder / "plan.json").read_bytes() == plan
    extend(folder, Extension(trials=60, budget={"epochs": 300.0}))


def test_a_run_with_a_driver_is_not_extended(tmp_path):
    plan = planned(trivial, tmp_path / "run", trials=4, **REQUEST)
    with (
        Ledger.locked(tmp_path / "run", plan),
        pytest.raises(BadInput, match="another process"),
    ):
        extend(tmp_path / "run", Extension(trials=8))


def test_an_extension_that_was_cut_off_is_told_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    planned(trivial, folder, trials=4, **REQUEST)
    run(folder)
    extend(folder, Extension(trials=8))  # and then its driver is killed
    with pytest.raises(BadInput, match=f"go on with what is left: momentune resume {folder}"):
        extend(folder, Extension(trials=8))
    run(folder)
    with pytest.raises(BadInput, match=r"--trials or --seeds$"):
        extend(folder, Extension(trials=8))
