"""Samplers and schedulers by name: what they draw, what they hear of, whom they stop."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from momentune.search import scheduling
from momentune.search.command import Sampler, Scheduler
from momentune.search.hearsay import learned
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput
from momentune.search.points import at, grid
from momentune.search.sampling import SAMPLERS
from momentune.search.scheduling import SCHEDULERS, bracket, scheduler
from momentune.search.simulation import Clock, LostError, Simulation
from momentune.search.sweep import Sweep
from momentune.spaces import Choice, Float, Int, Space, Variant

from .conftest import books, planned, run_serially
from .trivial import contenders, descend, trivial

SPACES = {
    "one objective": trivial,
    "two objectives": replace(trivial, cost="price", variants=contenders(descend)),
    "conditional": replace(
        trivial,
        variants=[
            trivial.variants[0],
            replace(trivial.variants[1], parameters=lambda trial: {"y": _branch(trial)}),
        ],
    ),
}


def _branch(trial):
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return trial.suggest_float("y_a", 0, 0.5)
    return trial.suggest_float("y_b", 0.5, 1)


def searched(folder, space=trivial, **request):
    """The search studies of a sweep run to its end: variant -> trials."""
    request = {"scheduler": "none", "epochs": 2, "seeds": 1} | request
    plan = planned(space, folder, **request)
    with Ledger.locked(folder, plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
        assert ledger.done
    found = books(folder, plan)
    return {variant: found[f"{variant}/search"] for variant in plan.variants}


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "paired", "gp", "cmaes"])
@pytest.mark.parametrize("space", ["one objective", "conditional"])
def test_every_sampler_stays_in_its_ranges_and_ends(tmp_path, sampler, space):
    if sampler in ("gp", "cmaes") and space == "conditional":
        with pytest.raises(BadInput, match="one after the other"):
            searched(tmp_path / "run", SPACES[space], sampler=sampler)
        return
    for trials in searched(tmp_path / "run", SPACES[space], sampler=sampler, trials=10).values():
        assert len(trials) == 10
        assert all(0 <= trial.params["x"] <= 1 for trial in trials)
        assert all(trial.state is TrialState.COMPLETE for trial in trials)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "paired"])
def test_start_up_points_are_paired_between_the_variants(tmp_path, sampler):
    found = searched(tmp_path / "run", sampler=sampler, trials=8)
    drawn = {variant: [t.params["x"] for t in trials] for variant, trials in found.items()}
    assert drawn["plain"] == drawn["fancy"]
    assert len(set(drawn["plain"])) == 8
    assert Counter(int(8 * x) for x in drawn["plain"]) == dict.fromkeys(range(8), 1)


def test_without_a_pairing_each_variant_has_a_sequence_of_its_own(tmp_path):
    found = searched(tmp_path / "run", sampler="qmc", trials=8)
    drawn = {variant: [t.params["x"] for t in trials] for variant, trials in found.items()}
    assert not set(drawn["plain"]) & set(drawn["fancy"])
    for xs in drawn.values():
        assert Counter(int(8 * x) for x in xs) == dict.fromkeys(range(8), 1)


def test_pairs_stay_pairs_in_parallel_with_failures_and_after_interruptions(tmp_path):
    """Slots race, trials are lost and started again, others diverge, and the driver stops often."""
    space, clock = SPACES["conditional"], Clock()
    request = {"sampler": "paired", "trials": 24, "epochs": 1, "seeds": 1}
    plan = planned(space, tmp_path / "run", **request)

    def train(trial):
        yield 1 + trial.number * 7 % 5, {"epoch": 0}
        if trial.attempt == 1 and trial.number % 4 == 1:
            raise LostError
        loss = math.nan if trial.number % 5 == 2 else trial.params["x"]
        yield 1.0, {"epoch": 1, "validation_loss": loss, "test_loss": loss}

    for most in (1, 2, 3, 5, 8, 999):
        with Ledger.locked(tmp_path / "run", plan) as ledger:
            left = iter(range(most))
            sweep = Sweep(plan, space, ledger, lambda left=left: next(left, None) is None, clock)
            Simulation(sweep, clock, train, slots=4).run()
    found = books(tmp_path / "run", plan)
    plain, fancy = found["plain/search"], found["fancy/search"]
    assert plan.sampler == {"name": "paired"}
    assert [t.params["x"] for t in plain] == [t.params["x"] for t in fancy]
    assert [t.user_attrs["trial"]["seed"] for t in plain] == [
        t.user_attrs["trial"]["seed"] for t in fancy
    ]
    assert len({t.params["x"] for t in plain}) == 24
    states = Counter(t.state.name for t in (*plain, *fancy))
    assert states["FAIL"] >= 8
    assert sum(states.values()) == 48
    assert any(t.user_attrs["attempt"]["number"] > 1 for t in fancy)


@given(st.integers(0, 2**20 - 1), st.integers(-5, 5), st.integers(1, 9), st.integers(1, 3))
def test_a_place_of_a_range_is_a_value_of_it(place, low, width, step):
    place /= 2**20
    for range_ in (
        FloatDistribution(low, low + width),
        FloatDistribution(0.1 * width, 1.0 * width, log=True),
        FloatDistribution(low, low + width * step, step=step),
        IntDistribution(low, low + width * step, step=step),
        IntDistribution(width, width + 4, log=True),
        CategoricalDistribution(["a", None, 3]),
    ):
        assert range_._contains(range_.to_internal_repr(at(range_, place)))


def test_places_reach_every_value_equally_often():
    draws = [place / 600 for place in range(600)]
    assert Counter(at(IntDistribution(1, 6, step=1), d) for d in draws) == dict.fromkeys(
        range(1, 7), 100
    )
    assert Counter(at(FloatDistribution(0, 1, step=0.5), d) for d in draws) == {
        0.0: 200,
        0.5: 200,
        1.0: 200,
    }
    logs = [np.log10(at(FloatDistribution(1e-4, 1, log=True), d)) for d in draws]
    assert np.allclose(np.diff(logs), 4 / 600)


GRIDDED = replace(
    trivial,
    parameters={"x": Float(0, 1), "z": Float(0, 1), "kind": Choice(["a", "b"])},
    grid={"x": [0.0, 0.5]},
    variants=[
        replace(trivial.variants[0], run=lambda x, y, z, kind, epochs, seed, test: descend(
            x, y, epochs=epochs, seed=seed, test=test), grid={}),
        replace(trivial.variants[1], run=lambda x, y, z, kind, epochs, seed, test: descend(
            x, y, epochs=epochs, seed=seed, test=test), grid={"y": [0.0, 0.1, 0.2]}),
    ],
)  # fmt: skip


def test_a_grid_is_each_combination_once_and_the_middle_of_the_rest(tmp_path):
    found = searched(tmp_path / "run", GRIDDED, sampler="grid")
    points = {
        variant: [(t.params["x"], t.params["y"]) for t in trials]
        for variant, trials in found.items()
    }
    assert points == {
        "plain": [(0.0, 0.5), (0.5, 0.5)],
        "fancy": [(x, y) for x in (0.0, 0.5) for y in (0.0, 0.1, 0.2)],
    }
    assert {t.params["z"] for trials in found.values() for t in trials} == {0.5}
    assert {t.params["kind"] for trials in found.values() for t in trials} == {"a"}
    numbers = [t.user_attrs["trial"]["number"] for trials in found.values() for t in trials]
    assert len(set(numbers)) == 8


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"sampler": "grid"}, "none"),
        ({"sampler": "grid", "scheduler": "asha"}, "asha"),
        ({"sampler": "tpe"}, "asha"),
    ],
)
def test_the_cells_of_a_grid_are_trained_to_the_end_unless_told(tmp_path, request_, name):
    """A map of momentum and step would be empty where trials were stopped."""
    assert planned(GRIDDED, tmp_path / "run", **request_).scheduler["name"] == name


def test_a_grid_may_be_cut_short_but_must_be_there(tmp_path):
    found = searched(tmp_path / "run", GRIDDED, sampler="grid", trials=3)
    assert {variant: len(trials) for variant, trials in found.items()} == {"plain": 2, "fancy": 3}
    with pytest.raises(BadInput, match="has no grid"):
        planned(trivial, tmp_path / "other", sampler="grid")
    assert grid({"variants": [{"name": "a"}]}, "a") == [{}]


def priced(x, y, *, epochs, seed, test):
    """Two objectives that pull x to two sides."""
    for metrics in descend(x, y, epochs=epochs, seed=seed, test=test):
        yield metrics | {"price": 1 - x}


PRICED = replace(trivial, cost="price", variants=contenders(priced))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_two_objectives_are_both_told(tmp_path, name):
    request = {"sampler": "nsga2", "scheduler": name, "trials": 24, "epochs": 9}
    for trials in searched(tmp_path / "run", PRICED, **request).values():
        states = Counter(trial.state for trial in trials)
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        assert all(t.values == [t.intermediate_values[9], 1 - t.params["x"]] for t in complete)
        assert set(states) <= {TrialState.COMPLETE, TrialState.PRUNED}
        assert bool(states[TrialState.PRUNED]) == (name != "none")


@pytest.mark.parametrize(
    ("sampler", "space", "told"),
    [
        ("nsga2", trivial, "no second objective"),
        ("cmaes", replace(GRIDDED, grid={}), "has no order"),
        ("cmaes", SPACES["conditional"], "one after the other"),
    ],
)
def test_a_sampler_that_cannot_search_a_space_is_told_before_the_start(
    tmp_path, sampler, space, told
):
    with pytest.raises(BadInput, match=told):
        planned(space, tmp_path / "run", sampler=sampler)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "paired", "grid"])
def test_equal_configurations_are_other_seeds(tmp_path, sampler):
    def run(kind, *, seed):
        yield {"epoch": 1, "validation_loss": kind + seed / 1e9, "test_loss": kind}

    space = Space(
        "few",
        metric="loss",
        direction="minimize",
        parameters={"kind": Int(0, 1)},
        grid={"kind": [0, 1] * 6},
        variants=[Variant("only", run=run, baseline=True)],
    )
    trials = searched(tmp_path / "run", space, epochs=1, trials=12, sampler=sampler)["only"]
    told = {(t.params["kind"], t.user_attrs["trial"]["seed"]) for t in trials}
    assert len(told) == 12
    assert len({t.params["kind"] for t in trials}) == 2


def test_the_command_line_knows_every_sampler_and_scheduler():
    assert set(Sampler) == set(SAMPLERS)
    assert set(Scheduler) == set(SCHEDULERS)


# What a sampler hears


def told(state, value=None, reason=None):
    """A trial as a study holds it."""
    return create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        user_attrs={"outcome": {"reason": reason}},
    )


def test_a_failure_of_the_configuration_is_heard_as_the_worst_and_infeasible():
    trials = [
        told(TrialState.COMPLETE, 1.0),
        told(TrialState.COMPLETE, 3.0),
        told(TrialState.FAIL, reason="oom"),
        told(TrialState.FAIL, reason="lost"),
        told(TrialState.RUNNING),
    ]
    direction = [optuna.study.StudyDirection.MINIMIZE]
    heard = learned(trials, direction)
    assert [t.state.name for t in heard] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
    assert heard[2].value == 3.0
    assert [t.constraints for t in heard[:3]] == [{"trainable": x} for x in (-1.0, -1.0, 1.0)]
    assert trials[2].state is TrialState.FAIL
    assert not trials[0].constraints
    only = learned(trials[2:3], direction)
    assert only[0].state is TrialState.PRUNED
    assert learned(trials[:2], direction) == trials[:2]


@pytest.mark.parametrize("reason", ["oom", "diverged"])
def test_the_sampler_learns_the_border_of_what_can_be_trained(tmp_path, reason):
    """The optimum lies just behind the border: 98% of later trials hit it when FAIL is ignored."""

    def run(x):
        if x > 0.5:
            if reason == "oom":
                raise MemoryError
            yield {"epoch": 1, "validation_loss": float("nan")}
            return
        yield {"epoch": 1, "validation_loss": (x - 0.52) ** 2, "test_loss": x}

    space = Space(
        "border",
        metric="loss",
        direction="minimize",
        parameters={"x": Float(0, 1)},
        variants=[Variant("only", run=run, baseline=True)],
    )
    rates = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        trials = searched(folder, space, trials=60, epochs=1, seed=seed)["only"]
        later = trials[20:]
        rates.append(sum(t.state is TrialState.FAIL for t in later) / len(later))
        reasons = {t.user_attrs["outcome"]["reason"] for t in trials if t.state is TrialState.FAIL}
        assert reasons == {reason}
    assert statistics.mean(rates) <= 0.45


# Who is stopped


MIN, MAX = optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE
ASHA = {"name": "asha", "min_epochs": 1, "reduction_factor": 3}


def stopped(*reports, directions=(MIN,), settings=ASHA):
    """Whom ASHA stops when these trials reach epoch 1 one after the other."""
    judge = scheduler(settings, 9, directions)
    return [judge.stops(number, 1, values) for number, values in enumerate(reports)]


def test_of_the_trials_at_a_rung_the_best_third_goes_on():
    assert stopped([1.0], [2.0], [0.5], [0.9], [0.8], [0.6]) == [False, True, False, *[True] * 2,
                                                                 False]  # fmt: skip
    assert stopped([1.0], [1.0], [1.0]) == [False] * 3  # equal ones are not worse
    assert stopped([1.0], [2.0], directions=[MAX]) == [False, False]
    assert stopped([1.0], [2.0], settings={"name": "none"}) == [False, False]


def test_of_two_objectives_the_front_that_nobody_beats_goes_on():
    reports = [[1, 6], [2, 5], [3, 4], [4, 6], [5, 6], [0, 9]]
    assert stopped(*reports, directions=[MIN, MIN]) == [*[False] * 3, True, True, False]
    assert stopped([3, 1], [2, 1], directions=[MAX, MIN]) == [False, True]


def test_a_rung_that_is_skipped_is_judged_at_the_next_report():
    judge = scheduler(ASHA | {"min_epochs": 2}, 9, [MIN])
    assert not judge.stops(0, 1, [5.0])
    assert not judge.stops(0, 2, [1.0])
    assert judge.stops(1, 4, [2.0])
    assert not judge.stops(1, 5, [3.0])  # judged once


def test_another_attempt_is_judged_anew_unless_it_says_the_same():
    judge = scheduler(ASHA, 9, [MIN])
    assert not judge.stops(0, 1, [1.0])
    assert not judge.stops(0, 3, [1.0])
    assert not judge.stops(1, 1, [0.0])
    assert not judge.stops(0, 1, [1.0])  # it went on from there, although 0 is better
    assert judge.stops(0, 1, [2.0])
    assert not judge.stops(1, 3, [5.0])  # where the first attempt's 1.0 is gone


def test_a_failed_trial_stops_nobody():
    judge = scheduler(ASHA, 9, [MIN])
    assert not judge.stops(0, 1, [-100.0])
    judge.forget(0)
    assert not judge.stops(1, 1, [1.0])


def test_a_scheduler_that_hears_the_ledger_again_stands_where_it_stood():
    first, again = scheduler(ASHA, 9, [MIN, MIN]), scheduler(ASHA, 9, [MIN, MIN])
    rng = np.random.default_rng(0)
    for number in range(30):
        curve = {step: float(rng.normal()) for step in range(1, 6)}
        costs = {f"{scheduling.COST}{step}": float(rng.normal()) for step in curve}
        for step, value in curve.items():
            first.stops(number, step, [value, costs[f"{scheduling.COST}{step}"]])
        state = TrialState.FAIL if number % 7 == 0 else TrialState.PRUNED
        if state is TrialState.FAIL:
            first.forget(number)
        trial = create_trial(state=state, intermediate_values=curve, user_attrs=costs)
        trial.number = number
        again.hear(trial)
    verdicts = [
        [judge.stops(100 + n, 1, [x, y]) for n, (x, y) in enumerate(np.eye(2).tolist())]
        for judge in (first, again)
    ]
    assert verdicts[0] == verdicts[1]


def test_hyperband_shares_the_trials_so_that_its_brackets_cost_the_same():
    shares = tuple(scheduling.settings("hyperband", 27)["shares"])
    assert len(shares) == 3
    met = Counter(bracket(number, shares) for number in range(sum(shares)))
    assert met == dict(enumerate(shares))
    assert bracket(0, shares) == 0
    assert bracket(sum(shares), shares) == bracket(0, shares)


def test_a_bracket_of_hyperband_that_skips_a_rung_stops_nobody_there(tmp_path):
    request = {"scheduler": "hyperband", "trials": 20, "epochs": 9, "sampler": "random"}
    shares = tuple(scheduling.settings("hyperband", 9)["shares"])
    for trials in searched(tmp_path / "run", **request).values():
        for trial in trials:
            least = 3 ** bracket(trial.number, shares)
            assert trial.state is TrialState.COMPLETE or trial.last_step >= least
        assert {len(t.intermediate_values) for t in trials} >= {1, 9}
