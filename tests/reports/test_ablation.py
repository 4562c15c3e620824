"""Momentum against step size: a paper's grid cell by cell, and where a search has looked."""

from __future__ import annotations

import json
import math
from itertools import product
from typing import Any

import pandas as pd
import pytest

from momentune.reports import ablation, load_run, write_report
from momentune.reports.cards import CARDS
from momentune.reports.cards.ablation import momentum as card
from momentune.reports.charts.theme import themed

from .conftest import LSTM

MOMENTA, STEPS = (0.0, 0.9), (0.1, 0.9, 1.0)


def gridded(writer: Any, momentum: dict[str, Any], **changes: Any) -> Any:
    """A grid whose values are 10 momentum + step, one of them pruned and one never run."""
    own = momentum | {"grid": {"momentum": [*MOMENTA], "step": [*STEPS]}}
    made = writer(LSTM, own, sampler={"name": "grid"}, **changes)
    for mu, s in product(MOMENTA, STEPS):
        if (mu, s) == (0.0, 0.1):
            continue
        state = "PRUNED" if (mu, s) == (0.9, 1.0) else "COMPLETE"
        params = {"momentum": mu, "step": s, "lr": 0.01}
        made.trial("momentum_lstm", params=params, curve=[(10 * mu + s) / 20], state=state)
    return made


def test_a_grid_has_a_cell_for_each_momentum_with_each_step(writer: Any, momentum: Any) -> None:
    """Steps of 0.9 and 1, next to each other on a logarithmic range, do not fall together."""
    frame = ablation.grid(load_run(gridded(writer, momentum).path))
    found = {(r.momentum, r.step): (r.value, r.trials, r.stopped) for r in frame.itertuples()}
    assert found.keys() == {*product(MOMENTA, STEPS)}
    assert found[0.0, 0.9] == (pytest.approx(0.045), 1, 0)
    assert found[0.0, 1.0] == (pytest.approx(0.05), 1, 0)
    assert found[0.9, 0.9] == (pytest.approx(0.495), 1, 0)
    assert math.isnan(found[0.9, 1.0][0])
    assert found[0.9, 1.0][1:] == (0, 1)
    assert found[0.0, 0.1][1:] == (0, 0)


def test_a_grid_that_has_not_begun_has_no_cells(writer: Any, momentum: Any) -> None:
    own = momentum | {"grid": {"momentum": [*MOMENTA], "step": [*STEPS]}}
    made = writer(LSTM, own, sampler={"name": "grid"})
    made.trial("lstm", params={"lr": 0.01}, curve=[0.5])
    run = load_run(made.path)
    assert ablation.grid(run).empty
    assert "has completed yet" in card(run).finding


def test_the_best_of_several_trials_in_a_cell_counts(writer: Any, momentum: Any) -> None:
    made = gridded(writer, momentum, space_direction="minimize")
    params = {"momentum": 0.9, "step": 0.9, "lr": 0.02}
    made.trial("momentum_lstm", params=params, curve=[0.2])
    frame = ablation.grid(load_run(made.path)).set_index(["momentum", "step"])
    assert (frame.loc[(0.9, 0.9), "value"], frame.loc[(0.9, 0.9), "trials"]) == (0.2, 2)


def test_the_card_of_a_grid_says_what_is_best_with_and_without_momentum(
    writer: Any, momentum: Any
) -> None:
    made = gridded(writer, momentum)
    told = card(load_run(made.path))
    assert "momentum_lstm 0.495 at momentum 0.9 and step 0.9" in told.finding
    assert "without momentum 0.050 at step 1" in told.finding
    assert (
        "Empty are 2 of 6 cells; trials that failed or were stopped early there: 1" in told.finding
    )
    assert "The chart could not be drawn" not in write_report(made.path).read_text()
    assert (made.path / "report" / "figures" / "momentum.svg").is_file()


def test_a_grid_s_chart_writes_every_value_and_frames_the_best(writer: Any, momentum: Any) -> None:
    spec = themed(card(load_run(gridded(writer, momentum).path)).chart)
    (panel,) = spec["concat"]
    rects, *texts = panel["layer"]
    framed = [t for t in texts if t["mark"]["type"] == "rect"]
    written = [t for t in texts if t["mark"].get("color") in ("white", "black")]
    rows = {id(t): spec["datasets"][t["data"]["name"]] for t in [*framed, *written]}
    assert [row["value"] for row in rows[id(framed[0])]] == [0.495]
    assert sum(len(rows[id(t)]) for t in written) == 4
    assert rects["encoding"]["x"]["type"] == rects["encoding"]["y"]["type"] == "ordinal"
    assert rects["encoding"]["y"]["sort"] == "descending"


def test_a_search_s_map_spans_the_whole_ranges(writer: Any) -> None:
    """One cell is one cell, not the whole picture; pruned trials are marks."""
    made = writer()
    for mu, s, state in ((0.5, 1.0, "COMPLETE"), (0.1, 0.2, "PRUNED")):
        params = {"momentum": mu, "step": s, "lr": 0.01}
        made.trial("momentum_lstm", params=params, curve=[0.5], state=state)
    run = load_run(made.path)
    assert ablation.grid(run).empty
    (cell,) = ablation.cells(run).itertuples()
    assert cell.bottom <= 0.5 <= cell.top
    assert cell.left <= 1.0 <= cell.right
    points = ablation.points(run)
    assert points[["momentum", "step", "state"]].to_numpy().tolist() == [
        [0.5, 1.0, "complete"],
        [0.1, 0.2, "pruned"],
    ]
    layers = themed(card(run).chart)["concat"][0]["layer"]
    for layer in layers:
        assert layer["encoding"]["x"]["scale"]["domain"] == [0.1, 2.0]
        assert layer["encoding"]["y"]["scale"]["domain"] == [0.0, 0.95]


def flow(made: Any, trial: int, **series: list[float]) -> None:
    line = {"trial": trial, "attempt": 1, "step": 3, "epoch": 3, "time": 1795465863.5, **series}
    with (made.path / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def test_gradients_before_and_after_training_share_a_scale_that_zeros_do_not_spoil(
    writer: Any,
) -> None:
    made = writer()
    made.tested("lstm", [0.9])
    flow(
        made,
        0,
        before_gradient_norm_hidden=[1e-9, 1e-3],
        before_gradient_norm_velocity=[0.0, 1e-4],
        after_gradient_norm_hidden=[0.5, 1.0],
        after_gradient_norm_velocity=[1e-8, 0.1],
    )
    made = CARDS["series"](load_run(made.path))
    assert made.title == "Gradient flow"
    assert "before training lstm 1.0e−06; after training lstm 0.5" in made.finding
    spec = themed(made.chart)
    assert spec["columns"] == 2
    assert [panel["title"] for panel in spec["concat"]] == [
        f"gradient by the {what}, {when} training"
        for what in ("hidden state", "velocity")
        for when in ("before", "after")
    ]
    domains = [(1e-9, 1.0), (1e-9, 1.0), (1e-8, 0.1), (1e-8, 0.1)]
    for panel, domain in zip(spec["concat"], domains, strict=True):
        for layer in panel["layer"]:
            assert layer["encoding"]["y"]["scale"] == {"type": "log", "domain": [*domain]}


def test_a_series_below_zero_stays_linear(writer: Any) -> None:
    made = writer()
    made.tested("lstm", [0.9])
    flow(made, 0, after_spectrum=[-1.0, 100.0], growth=[1.0, 2.0])
    made = CARDS["series"](load_run(made.path))
    assert made.title == "Series"
    spec = themed(made.chart)
    assert spec["columns"] == 3
    kinds = [panel["layer"][0]["encoding"]["y"]["scale"]["type"] for panel in spec["concat"]]
    assert kinds == ["linear", "linear"]
    assert isinstance(made.frame, pd.DataFrame)
