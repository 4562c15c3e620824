"""Odd runs that the engine itself made, on its virtual clock, and the very frames read from them.

`GOLDEN=write pytest tests/reports/test_golden.py` writes the expected files again: read the
difference before it is committed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from momentune.reports import (
    Run,
    answer,
    budgets,
    concerns,
    contenders,
    differences,
    failures,
    load_run,
    write_report,
)
from momentune.search.launch import Request, make_plan
from momentune.search.ledger import Ledger
from momentune.search.simulation import Clock, Simulation
from momentune.search.sweep import Sweep
from momentune.search.trial import Trial
from momentune.spaces import Float, Loaded, Space, Variant, check

GOLDEN = Path(__file__).parent / "golden"
Reports = Iterator[tuple[float, dict[str, Any]]]


def untrained(y: float, *, epochs: int, seed: int, test: bool) -> Iterator[dict[str, Any]]:
    """Stands in the space; what becomes of a trial is told to the simulation."""
    raise AssertionError((y, epochs, seed, test))


SPACE = Space(
    "bowl",
    question="Is fancy lower?",
    metric="loss",
    direction="minimize",
    parameters={},
    variants=[
        Variant("plain", run=untrained, baseline=True, parameters={"y": Float(0, 1)}),
        Variant(
            "fancy",
            run=untrained,
            parameters={"y": Float(0, 0.5)},
            controls={"zero": {"y": 0.0}},
        ),
    ],
)


def descent(trial: Trial) -> Reports:
    """Three epochs of a second; what a seed and a variant are worth is known beforehand."""
    luck = trial.seed * (3 if trial.control else 5 if trial.variant == "fancy" else 1) % 7
    value = 0.5 + 0.25 * trial.params["y"] + 0.01 * luck
    for epoch in (1, 2, 3):
        metrics = {"epoch": epoch, "validation_loss": value + 1 / epoch, "seconds": 0.5}
        told = {"test_loss": value + 0.34} if trial.phase == "confirm" and epoch == 3 else {}
        yield 1.0, metrics | told | {"n_parameters": 10 + 2 * (trial.variant == "fancy")}


def raising(trial: Trial) -> Reports:
    yield from []
    raise RuntimeError("no such <file> | here")


def diverging(trial: Trial) -> Reports:
    yield 1.0, {"epoch": 1, "validation_loss": math.nan}


def fancy_diverges(trial: Trial) -> Reports:
    if trial.variant == "fancy":
        yield next(descent(trial))
        yield 1.0, {"epoch": 2, "validation_loss": math.inf}
    else:
        yield from descent(trial)


def one_seed_diverges(trial: Trial) -> Reports:
    """Of the control, in the confirmation."""
    lost = trial.control is not None and trial.index == 1
    yield from diverging(trial) if lost else descent(trial)


def cut_in_the_search(trial: Trial) -> Reports:
    for told in descent(trial):
        if trial.number == 5 and told[1]["epoch"] == 3:
            raise KeyboardInterrupt
        yield told


def cut_in_the_confirmation(trial: Trial) -> Reports:
    for told in descent(trial):
        if trial.phase == "confirm" and trial.number == 12 and told[1]["epoch"] == 2:
            raise KeyboardInterrupt
        yield told


CASES: dict[str, tuple[Callable[[Trial], Reports], dict[str, Any]]] = {
    "whole": (descent, {}),
    "no complete trial": (raising, {}),
    "only NaN": (diverging, {}),
    "one variant failed": (fancy_diverges, {}),
    "one confirmation failed": (one_seed_diverges, {}),
    "one seed": (descent, {"seeds": 1}),
    "one trial": (descent, {"trials": 1, "seeds": 2}),
    "cut in the search": (cut_in_the_search, {}),
    "cut in the confirmation": (cut_in_the_confirmation, {}),
}
FRAMES: dict[str, Callable[[Run], pd.DataFrame]] = {
    "trials": lambda run: run.trials.drop(columns=["started", "seconds"]),
    "contenders": contenders,
    "differences": differences,
    "budgets": budgets,
    "failures": failures,
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The case's name, and its run directory, made by the engine."""
    train, request_ = CASES[request.param]
    folder = tmp_path_factory.mktemp("golden") / "run"
    wanted = {"trials": 4, "epochs": 3, "seeds": 3, "sampler": "random", "scheduler": "none"}
    folder.mkdir()
    plan, clock = make_plan(Loaded(check(SPACE), "bowl"), Request(**wanted | request_)), Clock()
    plan.save(folder)
    with Ledger.locked(folder, plan) as ledger:
        simulation = Simulation(Sweep(plan, SPACE, ledger, clock=clock), clock, train, slots=2)
        if request.param.startswith("cut"):
            with pytest.raises(KeyboardInterrupt):
                simulation.run()
        else:
            simulation.run()
    return request.param, folder


def kept(name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frame as CSV gives it back, and the golden one."""
    golden, now = GOLDEN / f"{name}.csv", frame.to_csv(index=False)
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(now)
    return pd.read_csv(StringIO(now)), pd.read_csv(golden)


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_of_an_odd_run(case: Any, frame: str) -> None:
    name, folder = case
    now, golden = kept(f"{name.replace(' ', '-')}/{frame}", FRAMES[frame](load_run(folder)))
    assert_frame_equal(now, golden, rtol=1e-9)


def test_words_on_an_odd_run(case: Any) -> None:
    name, folder = case
    run = load_run(folder)
    said = "\n".join([answer(run).text, "", *concerns(run), ""]).replace(str(folder), "RUN")
    golden = GOLDEN / name.replace(" ", "-") / "said.txt"
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(said)
    assert said == golden.read_text()


@pytest.mark.filterwarnings("error")
def test_the_page_of_an_odd_run_says_it(case: Any) -> None:
    _, folder = case
    page = write_report(folder)
    markdown = (page.parent / "report.md").read_text()
    assert "could not be" not in page.read_text().split("<script nonce")[0]
    for finding in answer(load_run(folder)).findings:
        assert finding.headline.split(":")[0] in markdown
