"""What a sweep's sampler knows of earlier runs: warm starts, forks, and what is not comparable."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from momentune.reports import load_run
from momentune.reports.tables import facts
from momentune.search.doctor import examine
from momentune.search.extension import Extension, extend
from momentune.search.launch import quiet_optuna
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput, Plan
from momentune.search.simulation import Clock, Simulation
from momentune.search.sweep import Sweep
from momentune.spaces import Choice, Float, Int, Space, Variant

from .conftest import books, planned, run_serially
from .test_crash import in_a_process
from .trivial import contenders, descend, trivial

SHORT = {"scheduler": "none", "epochs": 2, "seeds": 1}


def done(folder, space=trivial, **request):
    """A sweep run to its end: its plan."""
    plan = planned(space, folder, **SHORT | request)
    with Ledger.locked(folder, plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
        assert ledger.done
    return plan


def searched(folder, variant="plain"):
    return books(folder, Plan.load(folder))[f"{variant}/search"]


def drawn(folder, variant="plain"):
    return [(trial.params["x"], trial.params["y"]) for trial in searched(folder, variant)]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run with 12 search trials for each variant."""
    folder = tmp_path_factory.mktemp("earlier") / "run"
    with quiet_optuna():
        done(folder, trials=12)
    return folder


def known(plan, variant):
    """What a plan has imported for a variant: number in the earlier run -> parameters."""
    trials = [trial for run in plan.imported for trial in run["trials"]]
    return {t["number"]: t["params"] for t in trials if t["variant"] == variant}


# Warm start


def test_the_whole_run_is_known_where_the_space_is_the_same(tmp_path, earlier):
    plan = planned(trivial, tmp_path / "run", earlier=[earlier, earlier], **SHORT)
    assert plan.imported[0]["complete"] == {"plain": 12, "fancy": 12}
    for variant in ("plain", "fancy"):
        there = {t.user_attrs["trial"]["number"]: t.params for t in searched(earlier, variant)}
        assert known(plan, variant) == there
    values = {t["number"]: t["value"] for t in plan.imported[0]["trials"]}
    assert min(values.values()) == min(
        t.value for variant in ("plain", "fancy") for t in searched(earlier, variant)
    )
    assert len(plan.imported) == 1  # one run, named twice
    assert Plan.load(tmp_path / "run") == plan


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_warm_start_searches_where_the_earlier_run_was_good(tmp_path, earlier, sampler):
    done(tmp_path / "cold", trials=5, sampler=sampler)
    done(tmp_path / "warm", trials=5, sampler=sampler, earlier=[earlier])
    cold, warm = (
        statistics.mean(t.value for t in searched(tmp_path / name)) for name in ("cold", "warm")
    )
    assert warm < cold
    assert len(searched(tmp_path / "warm")) == 5  # what is known is beside the budget
    numbers = [t.user_attrs["trial"]["number"] for t in searched(tmp_path / "warm")]
    assert numbers == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("optimum", [0.2, 0.8])
def test_it_is_the_values_that_are_learned_from(tmp_path, optimum):
    """Two earlier runs of the same configurations, and only their values differ."""

    def run(x, y):
        yield {"epoch": 1, "validation_loss": (x - optimum) ** 2, "test_loss": 0.0}

    space = replace(trivial, variants=contenders(run))
    done(tmp_path / "earlier", space, trials=16, epochs=1, sampler="qmc")
    done(tmp_path / "warm", space, trials=6, epochs=1, earlier=[tmp_path / "earlier"])
    middle = statistics.median(x for x, _ in drawn(tmp_path / "warm"))
    assert abs(middle - optimum) < 0.2


def test_known_trials_stand_in_for_as_many_at_start_up(tmp_path):
    done(tmp_path / "earlier", trials=3)
    done(tmp_path / "warm", trials=6, earlier=[tmp_path / "earlier"])
    done(tmp_path / "cold", trials=8)
    points = drawn(tmp_path / "cold")  # 8 of start-up
    assert drawn(tmp_path / "earlier") == points[:3]
    assert drawn(tmp_path / "warm")[:5] == points[3:]


def test_what_is_known_is_never_confirmed(tmp_path, earlier):
    done(tmp_path / "run", trials=1, earlier=[earlier])
    found = books(tmp_path / "run", Plan.load(tmp_path / "run"))
    own = found["plain/search"][0].user_attrs["trial"]["params"]
    assert [t.user_attrs["trial"]["params"] for t in found["plain/confirm"]] == [own]


def test_only_trials_that_ran_to_their_end_are_known(tmp_path):
    def run(x, y, epochs, seed, test):
        if y > 0.4:
            raise RuntimeError("no luck")
        yield from descend(x, y, epochs=epochs, seed=seed, test=test)

    space = replace(trivial, variants=contenders(run))
    done(tmp_path / "earlier", space, trials=12, epochs=9, scheduler="asha")
    states = {t.state for t in searched(tmp_path / "earlier")}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    plan = planned(space, tmp_path / "run", earlier=[tmp_path / "earlier"], epochs=9)
    complete = [t for t in searched(tmp_path / "earlier") if t.state is TrialState.COMPLETE]
    assert set(known(plan, "plain")) == {t.user_attrs["trial"]["number"] for t in complete}


# Fork


def fork(space, tmp_path, earlier, variant="plain"):
    return known(planned(space, tmp_path / "fork", earlier=[earlier], **SHORT), variant)


def test_of_a_narrower_range_only_what_lies_inside_is_known(tmp_path, earlier):
    space = replace(trivial, parameters={"x": Float(0.25, 0.75)})
    there = [x for x, _ in drawn(earlier)]
    inside = [x for x in there if 0.25 <= x <= 0.75]
    assert 0 < len(inside) < len(there)
    assert [params["x"] for params in fork(space, tmp_path, earlier).values()] == inside
    done(tmp_path / "run", space, trials=4, earlier=[earlier])
    assert all(0.25 <= x <= 0.75 for x, _ in drawn(tmp_path / "run"))


def test_of_a_wider_range_everything_is_known(tmp_path, earlier):
    space = replace(trivial, parameters={"x": Float(-5, 5)})
    assert len(fork(space, tmp_path, earlier)) == 12
    done(tmp_path / "run", space, trials=4, earlier=[earlier])
    assert all(-5 <= x <= 5 for x, _ in drawn(tmp_path / "run"))


def one(**parameters):
    """A space of one variant that takes whatever it is given."""

    def run(x, size=0, kind="a", depth=1):
        yield {"epoch": 1, "validation_loss": x, "test_loss": 0.0}

    return Space(
        "one",
        metric="loss",
        direction="minimize",
        parameters={"x": Float(0, 1)},
        variants=[Variant("plain", run=run, parameters=parameters, baseline=True)],
    )


@pytest.mark.parametrize(
    ("then", "now", "inside"),
    [
        ({"size": 64}, {"size": 64}, True),
        ({"size": 64}, {"size": 32}, False),
        ({"size": 64}, {"size": Int(32, 128)}, True),
        ({"size": 64}, {"size": Choice([32, 128])}, False),
        ({"size": Choice([64])}, {"size": 64}, True),
        ({"size": 64}, {}, False),
        ({}, {"size": 64}, False),
        ({}, {"depth": Int(1, 2)}, False),
        ({"kind": Choice(["a"])}, {"kind": Choice(["b", "a"])}, True),
        ({"kind": Choice(["a"])}, {"kind": Choice(["b", "c"])}, False),
        ({"size": Int(2, 3)}, {"size": Int(2, 8, step=2)}, None),
    ],
)
def test_a_trial_is_inside_if_the_search_could_be_it(tmp_path, then, now, inside):
    before = {"trials": 8, "epochs": 1, "scheduler": "none", "seeds": 1}
    plan = planned(one(**then), tmp_path / "then", **before)
    with Ledger.locked(tmp_path / "then", plan) as ledger:
        run_serially(Sweep(plan, one(**then), ledger))
    request = {"earlier": [tmp_path / "then"], "epochs": 1}
    if inside is False:
        with pytest.raises(BadInput, match=r"no search trial .* 8 of plain"):
            planned(one(**now), tmp_path / "now", **request)
        return
    found = known(planned(one(**now), tmp_path / "now", **request), "plain")
    even = [t for t in searched(tmp_path / "then") if t.params.get("size", 2) % 2 == 0]
    assert len(found) == (8 if inside else len(even)) > 0
    with Ledger.locked(tmp_path / "now", Plan.load(tmp_path / "now")) as ledger:
        run_serially(Sweep(ledger.plan, one(**now), ledger))
    assert {t.state for t in searched(tmp_path / "now")} == {TrialState.COMPLETE}


def test_a_space_that_draws_one_after_the_other_knows_its_branches(tmp_path):
    def branch(most):
        def parameters(trial):
            if trial.suggest_categorical("kind", ["a", "b"]) == "a":
                return {"y": trial.suggest_float("y_a", 0, most)}
            return {"y": trial.suggest_float("y_b", 0.5, 1)}

        variants = [trivial.variants[0], replace(trivial.variants[1], parameters=parameters)]
        return replace(trivial, variants=variants)

    done(tmp_path / "earlier", branch(0.5), trials=12)
    there = [t.params for t in searched(tmp_path / "earlier", "fancy")]
    found = fork(branch(0.25), tmp_path, tmp_path / "earlier", "fancy")
    assert list(found.values()) == [p for p in there if p.get("y_a", 0) <= 0.25]
    assert 0 < len(found) < 12
    done(tmp_path / "run", branch(0.25), trials=4, earlier=[tmp_path / "earlier"])


# What is not comparable


@pytest.mark.parametrize(
    ("space", "request_", "told"),
    [
        (trivial, {"epochs": 3}, r"epochs 2 there and 3 here.*--epochs 2"),
        (replace(trivial, direction="maximize"), {}, "'minimize' there and 'maximize' here"),
        (replace(trivial, metric="error"), {}, "'loss' there and 'error' here"),
        (trivial, {"sampler": "random"}, "tpe, gp, cmaes do"),
        (trivial, {"sampler": "qmc"}, "learns nothing"),
        (replace(trivial, grid={"x": [0.0]}), {"sampler": "grid"}, "learns nothing"),
        (replace(trivial, cost="price"), {"sampler": "nsga2"}, "learns nothing"),
        (replace(trivial, parameters={"x": Float(2, 3)}), {}, "12 of plain, 12 of fancy"),
        (
            replace(trivial, variants=[replace(trivial.variants[0], name="other")]),
            {},
            "no variant of the same name",
        ),
    ],
)
def test_a_run_that_cannot_teach_is_told_before_the_start(tmp_path, earlier, space, request_, told):
    with pytest.raises(BadInput, match=told):
        planned(space, tmp_path / "run", **SHORT | {"earlier": [earlier]} | request_)
    assert not list((tmp_path / "run").iterdir())


def test_a_place_that_is_no_run_is_told(tmp_path):
    with pytest.raises(BadInput, match="no run directory"):
        planned(trivial, tmp_path / "run", earlier=[tmp_path])


# Once it has begun


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_the_earlier_run_is_only_read_and_never_needed_again(tmp_path, earlier):
    before = content(earlier)
    done(tmp_path / "whole", trials=4, earlier=[earlier])
    assert content(earlier) == before
    moved = shutil.copytree(earlier, tmp_path / "earlier")
    plan = planned(trivial, tmp_path / "run", trials=4, earlier=[moved], **SHORT)
    shutil.rmtree(moved)
    for most in (1, 2, 3, 99):  # a driver that comes to its end again and again
        with Ledger.locked(tmp_path / "run", plan) as ledger:
            left = iter(range(most))
            run_serially(Sweep(plan, trivial, ledger, lambda left=left: next(left, None) is None))
    for variant in ("plain", "fancy"):
        assert drawn(tmp_path / "run", variant) == drawn(tmp_path / "whole", variant)
    assert not examine(tmp_path / "run")


def test_a_driver_killed_before_its_plan_is_whole_leaves_no_half_of_a_sweep(tmp_path, earlier):
    before = content(earlier)

    def killed():
        Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        planned(trivial, tmp_path / "run", earlier=[earlier], **SHORT)

    assert in_a_process(killed) == -signal.SIGKILL
    assert content(earlier) == before
    with pytest.raises(BadInput, match="no run directory"):
        Plan.load(tmp_path / "run")


def test_a_deterministic_sweep_stays_so_with_any_number_of_slots(tmp_path, earlier):
    def uneven(trial):
        for metrics in trivial.train(
            trivial.variant(trial.variant), trial.params, epochs=trial.epochs, seed=trial.seed,
            test=trial.phase == "confirm",
        ):  # fmt: skip
            yield 1 + trial.number % 3, metrics

    for slots in (1, 4):
        folder = tmp_path / str(slots)
        request = {"trials": 10, "deterministic": True, "earlier": [earlier]}
        plan, clock = planned(trivial, folder, **SHORT | request), Clock()
        with Ledger.locked(folder, plan) as ledger:
            Simulation(Sweep(plan, trivial, ledger, clock=clock), clock, uneven, slots).run()
            assert ledger.done
    for variant in ("plain", "fancy"):
        assert drawn(tmp_path / "1", variant) == drawn(tmp_path / "4", variant)


def test_an_extended_sweep_still_knows_what_it_knew(tmp_path, earlier):
    done(tmp_path / "whole", trials=5, earlier=[earlier])
    done(tmp_path / "run", trials=3, earlier=[earlier])
    plan = extend(tmp_path / "run", Extension(trials=5))
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, trivial, ledger))
    assert drawn(tmp_path / "run") == drawn(tmp_path / "whole")


def test_code_that_no_digest_sees_may_take_a_trial_out_again(tmp_path, earlier):
    """A define-by-run function that was changed under a running sweep, say."""
    plan = planned(trivial, tmp_path / "run", trials=2, earlier=[earlier], **SHORT)
    narrow = replace(trivial, parameters={"x": Float(0.4, 0.6)})
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, narrow, ledger))
    assert all(0.4 <= x <= 0.6 for x, _ in drawn(tmp_path / "run"))


# What a user sees


def test_the_commands_say_what_is_known(momentune, tmp_path, trivial_file, earlier):
    words = ("--trials", 2, "--seeds", 1, "--from", earlier)
    told = momentune("plan", trivial_file, "--epochs", 2, *words)
    assert told.returncode == 0, told.stderr
    assert f"known from {earlier}, beside any budget: 12 of 12 of plain" in told.stdout
    refused = momentune("sweep", trivial_file, "--epochs", 3, *words)
    assert refused.returncode == 2
    assert "epochs 2 there and 3 here" in refused.stderr
    assert not (tmp_path / "runs").exists()


def test_the_report_says_what_was_known(tmp_path, earlier):
    space = replace(trivial, parameters={"x": Float(0.25, 0.75)})
    plan = done(tmp_path / "run", space, trials=1, earlier=[earlier])
    told = facts(load_run(tmp_path / "run"))["Known from earlier runs"]
    plain = len(known(plan, "plain"))
    assert told.startswith(f"{earlier}: {plain} of 12 of plain, ")
    assert told.endswith("beside the budget")
