"""What is promised of the trials however many run at a time, fail, or are interrupted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from momentune.search.ledger import Ledger
from momentune.search.simulation import Clock, LostError, Simulation
from momentune.search.sweep import Sweep
from momentune.spaces import Int, Space, Variant

from .conftest import books, planned
from .trivial import contenders, descend, trivial

SLOTS = [1, 4, 16]


def uneven(trial):
    """A trial of which nobody knows how long it takes; some fail, and some go twice."""
    yield 1.0 + trial.number * 7919 % 13, {"epoch": 1, "validation_loss": 1.0, "test_loss": 1.0}
    if trial.phase == "search" and trial.index % 5 == 1:
        raise RuntimeError("no luck")
    if trial.phase == "search" and trial.index % 5 == 2 and trial.attempt == 1:
        raise LostError if trial.index % 2 else MemoryError
    loss = sum(v for v in trial.params.values() if isinstance(v, float))
    yield 1.0, {"epoch": 2, "validation_loss": loss, "test_loss": 0.0}


def searched(folder, slots, space=trivial, stops_after=None, **request):
    """The search studies of a simulated sweep, of one that is stopped and then goes on too."""
    request = {"scheduler": "none", "epochs": 2, "seeds": 1, "concurrency": 1} | request
    plan = planned(space, folder, **request)
    begun = []

    def train(trial):
        begun.append(trial.number)
        return uneven(trial)

    for stop in (stops_after or 10**9, 10**9):
        clock = Clock()
        with Ledger.locked(folder, plan) as ledger:
            sweep = Sweep(plan, space, ledger, lambda s=stop: len(begun) >= s, clock=clock)
            Simulation(sweep, clock, train, slots).run()
    with Ledger.locked(folder, plan) as ledger:
        assert ledger.done
    found = books(folder, plan)
    return {variant: found[f"{variant}/search"] for variant in plan.variants}


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_exactly_the_planned_trials_start_a_search(tmp_path, sampler, slots):
    expected = searched(tmp_path / "points", 1, sampler="paired", trials=12)
    found = searched(tmp_path / "run", slots, sampler=sampler, trials=12, stops_after=7)
    for variant, trials in found.items():
        points = [trial.params for trial in expected[variant]]
        drawn = [trial.params for trial in trials]
        assert drawn[:8] == points[:8]
        assert not [params for params in drawn[8:] if params in points]


@pytest.mark.parametrize("slots", SLOTS)
def test_a_grid_ends_when_each_of_its_points_is_tried(tmp_path, slots):
    space = replace(trivial, grid={"x": [0.0, 0.25, 0.5, 0.75]}, variants=gridded())
    for variant, trials in searched(
        tmp_path / "run", slots, space, sampler="grid", stops_after=5
    ).items():
        points = Counter((trial.params["x"], trial.params["y"]) for trial in trials)
        ys = [0.0, 0.1, 0.2] if variant == "fancy" else [0.5]
        assert points == Counter((x, y) for x in (0.0, 0.25, 0.5, 0.75) for y in ys)


def gridded():
    plain, fancy = contenders(descend)
    return [plain, replace(fancy, grid={"y": [0.0, 0.1, 0.2]})]


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_no_configuration_is_trained_twice_with_one_seed(tmp_path, sampler, slots):
    space = Space(
        "few",
        metric="loss",
        direction="minimize",
        parameters={"kind": Int(0, 1)},
        variants=[Variant("only", run=lambda kind, test: iter(()), baseline=True)],
    )
    request = {"sampler": sampler, "trials": 20, "stops_after": 7}
    (trials,) = searched(tmp_path / "run", slots, space, **request).values()
    told = Counter((t.params["kind"], t.user_attrs["trial"]["seed"]) for t in trials)
    assert len(told) == 20
    assert {kind for kind, _ in told} == {0, 1}
