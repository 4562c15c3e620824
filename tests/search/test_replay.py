"""A replay compares all that was recorded, and only that."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from momentune.search.ledger import Ledger
from momentune.search.replay import Replay, recorded, replay
from momentune.search.sweep import Sweep

from .conftest import planned, run_serially
from .trivial import contenders, descend, ill, trivial


def odd(x, y, *, epochs, seed, test):
    """Reports what JSON knows no own word for."""
    for metrics in descend(x, y, epochs=epochs, seed=seed, test=test):
        odd_ones = {"pair": (1, 2), "series": [0.5, math.nan], "empty": math.nan}
        yield metrics | odd_ones | {"second_moment": 0.25, "seconds": id(metrics)}


ODD = replace(trivial, variants=contenders(odd))


@pytest.fixture
def first(tmp_path):
    """A trial of a sweep, and its reports."""
    plan = planned(ODD, tmp_path / "run", scheduler="none")
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, ODD, ledger))
    return recorded(tmp_path / "run", plan, 0)


def again(first, change, reports=None):
    """The replay of a trial whose training is another now."""

    def run(x, y, *, epochs, seed, test):
        yield from change(odd(x, y, epochs=epochs, seed=seed, test=test))

    trial, recorded = first
    return replay(replace(trivial, variants=contenders(run)), trial, reports or recorded)


def without(name):
    return lambda metrics: ({n: v for n, v in m.items() if n != name} for m in metrics)


def with_(name, value):
    return lambda metrics: (m | {name: value} for m in metrics)


def test_nan_and_tuples_are_what_they_were(first):
    assert again(first, lambda metrics: metrics) == Replay(3, "")


def test_a_training_that_tells_nothing_is_no_reproduction(first):
    result = again(first, lambda metrics: ())
    assert result.epochs == 0
    assert "ends after epoch 0, and 3 of 3 reports do not come again" in result.difference


def test_a_training_that_ends_early_is_no_reproduction(first):
    result = again(first, lambda metrics: [next(metrics)])
    assert result.epochs == 1
    assert "ends after epoch 1, and 2 of 3" in result.difference


def test_an_epoch_that_is_left_out_is_no_reproduction(first):
    result = again(first, lambda metrics: list(metrics)[1:])
    assert "ends after epoch 3, and 1 of 3" in result.difference


@pytest.mark.parametrize("name", ["validation_loss", "second_moment", "empty", "series"])
def test_a_metric_that_is_not_reported_any_more_is_a_difference(first, name):
    assert f"epoch 1: {name} was" in again(first, without(name)).difference


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("empty", 1.0, "empty was None and is 1.0"),
        ("second_moment", 0.5, "second_moment was 0.25 and is 0.5"),
        ("pair", (1, 3), "pair was a series of 2"),
        ("series", [0.5, 1.0], "series was a series of 2"),
        ("validation_loss", math.nan, "and is None"),
    ],
)
def test_another_value_is_a_difference(first, name, value, told):
    assert told in again(first, with_(name, value)).difference


def test_a_failure_is_reproduced_as_far_as_it_came(tmp_path):
    def fails(x, y, *, epochs, seed, test):
        yield from ill(x, y, epochs=epochs, seed=seed, test=test, how="becomes NaN")

    space = replace(trivial, variants=contenders(fails))
    plan = planned(space, tmp_path / "run")
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
    trial, reports = recorded(tmp_path / "run", plan, 0)
    assert reports[2]["validation_loss"] is None
    assert replay(space, trial, reports) == Replay(2, "")
    well = replay(trivial, trial, {2: reports[2]})
    assert well.difference.startswith("epoch 2: validation_loss was None and is 0.")
