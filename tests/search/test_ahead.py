"""A slow sampler holds up nothing, and a trial that was drawn ahead is a trial as any other."""

from __future__ import annotations

import csv
import os
import signal
import threading
from collections import Counter
from dataclasses import replace

import pytest

from momentune.search import ahead
from momentune.search.ledger import Ledger
from momentune.search.sweep import Sweep

from .conftest import books, planned
from .test_crash import PLANNED, SMALL, check_resumed, finished, in_a_process, mortal
from .test_sampling import PRICED
from .trivial import trivial


@pytest.fixture(autouse=True)
def _every_draw_is_slow(monkeypatch):
    monkeypatch.setattr(ahead, "SLOW", -1.0)


def run_busily(sweep, slots=2):
    """Drives a sweep as Ray does: it never waits for a sampler while a slot has something to do."""
    running = {}
    while True:
        while len(running) < slots and (trial := sweep.next(ahead=True)) is not None:
            running[trial.number] = sweep.space.train(
                sweep.space.variant(trial.variant),
                trial.params,
                epochs=trial.epochs,
                seed=trial.seed,
                test=trial.phase == "confirm",
            )
        if not running:
            return
        sweep.prepare()
        for number, reports in list(running.items()):
            metrics = next(reports, None)
            if metrics is None or not sweep.receive(number, metrics):
                sweep.end(number)
                del running[number]


def noting(space, note):
    """The space, whose second variant tells of each draw before it makes it."""

    def parameters(trial):
        note(trial)
        return {"y": trial.suggest_float("y", 0, 0.5)}

    return replace(
        space, variants=[space.variants[0], replace(space.variants[1], parameters=parameters)]
    )


def test_reports_are_heard_and_slots_are_filled_while_a_sampler_thinks(tmp_path):
    thinking, thought = threading.Event(), threading.Event()

    def think(trial):
        if trial.number:
            thinking.set()
            assert thought.wait(60)

    space = noting(trivial, think)
    plan = planned(space, tmp_path / "run", trials=2, epochs=3, seeds=1, scheduler="none")
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        sweep = Sweep(plan, space, ledger)
        first, second, third = (_started(sweep) for _ in range(3))
        assert (third.variant, third.index) == ("plain", 1)
        assert sweep.next(ahead=True) is None  # fancy's second is being drawn
        assert thinking.wait(60)
        for trial in (first, second):
            for epoch in (1, 2, 3):
                assert sweep.receive(trial.number, {"epoch": epoch, "validation_loss": 1.0})
            assert sweep.end(trial.number)
        assert sweep.next(ahead=True) is None
        assert ledger.made("fancy", "search") == 1  # what is being drawn is nowhere yet
        thought.set()
        fourth = _started(sweep)
        assert (fourth.variant, fourth.index) == ("fancy", 1)


def _started(sweep):
    while (trial := sweep.next(ahead=True)) is None:
        pass
    return trial


@pytest.mark.parametrize(
    ("sampler", "storage"),
    [
        *((name, None) for name in ("tpe", "gp", "random", "paired", "cmaes", "nsga2")),
        ("tpe", "sqlite:///{}/ledger.db"),
    ],
)
def test_each_trial_is_drawn_once_and_the_sweep_ends_exactly(tmp_path, sampler, storage):
    drawn = Counter()
    space = noting(trivial, lambda trial: drawn.update([trial.number]))
    if sampler in ("gp", "cmaes"):
        space = trivial
    if sampler == "nsga2":
        space = noting(PRICED, lambda trial: drawn.update([trial.number]))
    request = {"storage": storage and storage.format(tmp_path), "sampler": sampler}
    plan = planned(space, tmp_path / "run", trials=12, epochs=2, seeds=1, **request)
    drawn.clear()  # of a first look at the space
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_busily(Sweep(plan, space, ledger), slots=3)
        assert ledger.done
    found = books(tmp_path / "run", plan)
    assert {name: len(trials) for name, trials in found.items()} == {
        "plain/search": 12, "fancy/search": 12, "plain/confirm": 1, "fancy/confirm": 2,
    }  # fmt: skip
    assert space is trivial or drawn == dict.fromkeys(range(12), 1)
    assert len({(t.params["x"], t.params["y"]) for t in found["fancy/search"]}) == 12


def test_a_deterministic_sweep_draws_the_same_ahead(tmp_path):
    drawn = []
    for name, slots in (("one", 1), ("three", 3)):
        plan = planned(trivial, tmp_path / name, trials=12, epochs=2, seeds=1, deterministic=True)
        with Ledger.locked(tmp_path / name, plan) as ledger:
            run_busily(Sweep(plan, trivial, ledger), slots)
        found = books(tmp_path / name, plan)
        drawn.append({n: [(t.params, t.values) for t in trials] for n, trials in found.items()})
    assert drawn[0] == drawn[1]


def test_a_driver_killed_at_any_write_loses_and_doubles_nothing(tmp_path):
    def sweep(folder, plan):
        with Ledger.locked(folder, plan) as ledger:
            run_busily(Sweep(plan, trivial, ledger), slots=1)
            assert ledger.done

    with pytest.MonkeyPatch.context() as patch:
        count = mortal(patch, 0, torn=False)
        sweep(tmp_path / "whole", planned(trivial, tmp_path / "whole", **SMALL))
    for at in range(1, count["writes"] + 1, 3):
        folder = tmp_path / str(at)
        plan = planned(trivial, folder, **SMALL)
        with pytest.MonkeyPatch.context() as patch:
            mortal(patch, at, torn=True)
            code = in_a_process(lambda folder=folder, plan=plan: sweep(folder, plan))
        assert code == -signal.SIGKILL
        before = finished(folder, plan)
        assert sum(map(len, before.values())) < sum(PLANNED.values())
        sweep(folder, plan)
        check_resumed(folder, plan, before)


SLOW_FILE = """
import os, threading, time
from dataclasses import replace
from trivial import trivial

def slowly(trial):
    time.sleep(0.2)
    with open(os.environ["DRAWS"], "a") as file:
        file.write(threading.current_thread().name + "\\n")
    return {"y": trial.suggest_float("y", 0, 1), "pause": 0.2}

space = replace(trivial, name="slow", variants=[
    replace(variant, parameters=slowly) for variant in trivial.variants])
"""


def test_on_ray_a_slow_search_is_drawn_beside_the_trainings(momentune, trivial_file, tmp_path):
    (trivial_file.parent / "slow.py").write_text(SLOW_FILE)
    words = ("--trials", 6, "--epochs", 3, "--seeds", 1, "--scheduler", "none")
    place = ("--concurrency", 2, "--cpus", 0.5, "--out", tmp_path / "run")
    draws = tmp_path / "draws"
    done = momentune(
        "sweep", f"{trivial_file.parent / 'slow.py'}:space", *words, *place,
        env=os.environ | {"DRAWS": str(draws)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run/trials.csv").open() as file:
        phases = Counter((row["variant"], row["phase"]) for row in csv.DictReader(file))
    assert phases["plain", "search"] == phases["fancy", "search"] == 6
    threads = Counter(draws.read_text().split())
    # The first of each variant is not known to be slow, nor is one drawn ahead when nothing runs.
    assert 8 <= threads["sampler"] <= 10
