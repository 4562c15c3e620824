"""Run -> what its searches tell about parameters, budgets, costs and slots."""

from __future__ import annotations

import heapq
import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from .comparison import STATES, searched
from .frames import rows
from .run import Run, remembered
from .statistics import Grid, efficient, expected_best, hypervolume, importance

ENOUGH = 20  # trials from which the importance of parameters is asked
INDEPENDENT = ("random", "qmc", "paired")  # samplers whose trials do not learn from each other
STEPS = 50  # at most, of the grid on which the importance of a parameter is judged


@remembered
def ended(run: Run) -> pd.DataFrame:
    """The search trials that ended, numbered within their variant, states in plain words.

    The columns of `run.trials`, `order`, and `score`: higher is better, pruned below complete.
    """
    trials = run.trials[run.trials["phase"] == "search"]
    trials = trials.assign(order=trials.groupby("variant").cumcount() + 1)
    trials = trials[trials["state"].isin(STATES)]
    return trials.assign(state=trials["state"].map(STATES))


def kind(spec: dict[str, Any]) -> str:
    """The axis that suits a distribution: linear, log or choice."""
    attributes = spec["attributes"]
    if "choices" in attributes:
        return "choice"
    return "log" if attributes.get("log") else "linear"


def units(run: Run, variant: str, trials: pd.DataFrame) -> pd.DataFrame:
    """Each searched parameter between the ends of its range as 0 to 1; a choice as its text."""
    columns = {
        name: _unit(trials[f"param.{name}"], spec)
        for name, spec in searched(run, variant).items()
        if f"param.{name}" in trials and trials[f"param.{name}"].notna().any()
    }
    return pd.DataFrame(columns, index=trials.index)


def _unit(column: pd.Series[Any], spec: dict[str, Any]) -> pd.Series[Any]:
    if kind(spec) == "choice":
        return column.astype("str")
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    low, high = (float(spec["attributes"][end]) for end in ("low", "high"))
    if kind(spec) == "log":
        numbers = numbers.map(math.log, na_action="ignore")
        low, high = math.log(low), math.log(high)
    width = high - low if high > low else 1.0
    return ((numbers - low) / width).clip(0.0, 1.0)


def places(run: Run, variant: str, trials: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Grid]]:
    """Each searched parameter as a place on its grid, and the grids, which are Optuna's."""
    specs, columns = searched(run, variant), {}
    place = units(run, variant, trials)
    grids = {str(name): _grid(specs[str(name)]) for name in place}
    for name, grid in grids.items():
        if not grid.ordered:
            choices = specs[name]["attributes"]["choices"]
            column = trials[f"param.{name}"].map(partial(_nth, choices), na_action="ignore")
        else:  # halfway between two places counts as the lower one
            column = np.ceil(place[name] * (grid.size - 1) - 0.5 - 1e-9).clip(lower=0)
        columns[name] = column.astype("Int64")
    return pd.DataFrame(columns, index=trials.index), grids


def _nth(choices: list[Any], value: Any) -> float:
    """Where a choice stands in its list, also where its column made it a text or a float."""
    same = (n for n, choice in enumerate(choices) if choice == value or str(choice) == str(value))
    return next(same, math.nan)


def _grid(spec: dict[str, Any]) -> Grid:
    attributes = spec["attributes"]
    if "choices" in attributes:
        return Grid(len(attributes["choices"]), ordered=False)
    low, high, step = attributes["low"], attributes["high"], attributes.get("step")
    if low == high:
        return Grid(1, ordered=True)
    if kind(spec) == "log":
        whole = spec["name"] == "IntDistribution"
        return Grid(min(math.ceil(math.log2(high - low + 1)) + 1, STEPS) if whole else STEPS, True)
    return Grid(min(round((high - low) / step) + 1, STEPS) if step else STEPS, ordered=True)


def scores(run: Run, trials: pd.DataFrame) -> pd.Series[float]:
    """Higher is better; pruned trials lie below all complete ones, in their own order."""
    score = trials["value"] * run.sign
    full = trials["state"] == "complete"
    span = float(score.max() - score.min()) + 1.0
    return score.where(full, score - span)


def importances(run: Run) -> pd.DataFrame:
    """Which parameters tell a variant's best trials from all of its trials.

    Optuna's PED-ANOVA, but for pruned trials, which it leaves out: here they are among all trials,
    since the search looked there too, and below every complete one.

    Columns `variant, parameter, share, low, high, divergence, chance, beyond_chance, trials`; a
    variant of fewer than 20 trials is left out.
    """
    found = []
    for variant in run.variants:
        trials = _valued(run, variant)
        place, grids = places(run, variant, trials)
        if len(trials) < ENOUGH or place.empty:
            continue
        for part in importance(place, grids, scores(run, trials).to_numpy()):
            beyond = {"beyond_chance": part.divergence > part.chance, "trials": len(trials)}
            found.append({"variant": variant} | vars(part) | beyond)
    columns = ["variant", "parameter", "share", "low", "high", "divergence", "chance"]
    return pd.DataFrame(found, columns=[*columns, "beyond_chance", "trials"])


def _valued(run: Run, variant: str) -> pd.DataFrame:
    trials = ended(run)
    return trials[(trials["variant"] == variant) & trials["value"].notna()]


def expected(run: Run) -> pd.DataFrame:
    """Expected best value of n independent trials: `variant, trials, expected`.

    Of an adaptive sampler only its random start counts. A failed trial is worth as little as the
    worst one. A variant with pruned trials is left out: nobody knows their final values.
    """
    frames = []
    for variant in run.variants:
        trials = _independent(run, variant)
        score = trials["value"] * run.sign
        score = score.fillna(score.min()).dropna()
        if len(score) > 1 and not (trials["state"] == "pruned").any():
            best = expected_best(score.to_numpy()) * run.sign
            ns = np.arange(1, len(score) + 1)
            frames.append(pd.DataFrame({"variant": variant, "trials": ns, "expected": best}))
    empty = pd.DataFrame(columns=["variant", "trials", "expected"])
    return pd.concat(frames, ignore_index=True) if frames else empty


def pruned_early(run: Run) -> list[str]:
    """The variants among whose independent trials some were pruned."""
    return [v for v in run.variants if (_independent(run, v)["state"] == "pruned").any()]


def _independent(run: Run, variant: str) -> pd.DataFrame:
    trials = ended(run)
    own = trials[trials["variant"] == variant]
    sampler = run.plan.get("sampler") or {}
    name, start = sampler.get("name"), int(sampler.get("n_startup_trials") or 0)
    return own if name in INDEPENDENT else own[own["order"] <= start]


def front(run: Run) -> pd.DataFrame:
    """Value against the space's second metric: `variant, trial, value, cost, efficient`."""
    trials, column = ended(run), f"metric.{run.cost}"
    if not run.cost or column not in trials:
        return pd.DataFrame(columns=["variant", "trial", "value", "cost", "efficient"])
    points = trials.assign(cost=pd.to_numeric(trials[column], errors="coerce"))
    points = points[points["state"] == "complete"].dropna(subset=["value", "cost"])
    points = points[["variant", "trial", "value", "cost"]].assign(efficient=False)
    for _, own in points.groupby("variant"):
        points.loc[own.index, "efficient"] = efficient(own["value"] * run.sign, own["cost"])
    return points.reset_index(drop=True)


def hypervolumes(run: Run, points: pd.DataFrame) -> dict[str, float]:
    """Share of the box around all points that each variant's trials dominate."""
    gain = points["value"] * run.sign
    floor, ceiling = float(gain.min()), float(points["cost"].max())
    box = (float(gain.max()) - floor) * (ceiling - float(points["cost"].min()))
    return {
        str(variant): hypervolume(own["value"] * run.sign, own["cost"], (floor, ceiling)) / box
        for variant, own in points.groupby("variant", sort=False)
        if box > 0
    }


def occupation(run: Run) -> pd.DataFrame:
    """When each trial ran, on which slot; slots are told apart by time, not by machine.

    Columns `slot, start, end` (minutes from the first start), `variant, phase, trial, state`.
    """
    known = run.trials.dropna(subset=["started", "seconds"]).sort_values("started")
    if known.empty:
        return pd.DataFrame(columns=["slot", "start", "end", *_WHO])
    start = (known["started"] - known["started"].iloc[0]).dt.total_seconds() / 60
    bars = known[_WHO].assign(start=start, end=start + known["seconds"] / 60)
    bars["state"] = bars["state"].str.lower()
    return bars.assign(slot=_placed(bars)).reset_index(drop=True)


_WHO = ["variant", "phase", "trial", "state"]
PAUSE = 5.0
"""Minutes without any trial after which a sweep is taken to have been interrupted, not waiting."""
GRACE = 0.02 / 60  # minutes by which a trial's clock may run into the next one's


def _placed(bars: pd.DataFrame) -> list[int]:
    """The lowest slot that is free when a trial starts."""
    free: list[int] = []
    taken: list[tuple[float, int]] = []
    slots = []
    for row in rows(bars):
        while taken and taken[0][0] <= row["start"] + GRACE:
            heapq.heappush(free, heapq.heappop(taken)[1])
        slot = heapq.heappop(free) if free else len(taken) + 1
        heapq.heappush(taken, (row["end"], slot))
        slots.append(slot)
    return slots


def utilization(run: Run, bars: pd.DataFrame) -> float:
    """Share of the slots that were busy, but for the pauses of an interrupted sweep."""
    spans = bars.sort_values("start")
    gaps = spans["start"] - spans["end"].cummax().shift(fill_value=0.0)
    wall = float(bars["end"].max() - gaps[gaps > PAUSE].sum()) if len(bars) else 0.0
    used = float((bars["end"] - bars["start"]).sum())
    return used / (wall * slots(run, bars)) if wall > 0 else math.nan


def slots(run: Run, bars: pd.DataFrame) -> int:
    """How many there were: as planned, or on a cluster as many as were ever busy together."""
    return int(run.plan.get("concurrency") or bars["slot"].max())


def occupation_by_time(bars: pd.DataFrame, bins: int = 200) -> pd.DataFrame:
    """How many slots each variant kept busy on average, by bin: `minute, variant, busy`."""
    edges = np.linspace(0.0, float(bars["end"].max()), bins + 1)
    width = edges[1] - edges[0]
    parts = []
    for variant, own in bars.groupby("variant", sort=False):
        start, end = own["start"].to_numpy()[:, None], own["end"].to_numpy()[:, None]
        overlap = np.minimum(end, edges[None, 1:]) - np.maximum(start, edges[None, :-1])
        share = overlap.clip(0.0).sum(axis=0) / width
        parts.append(pd.DataFrame({"minute": edges[:-1], "variant": variant, "busy": share}))
    return pd.concat(parts, ignore_index=True)
