"""The cards of the report: each a function `(run) -> Card`, in the order of `CARDS`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from . import charts
from . import comparison as compare
from .answer import metric_digits
from .card import Card
from .frames import rows
from .run import Run
from .wording import listing, number, plain


def build(run: Run, cards: dict[str, Callable[[Run], Card]] | None = None) -> dict[str, Card]:
    """Every card by its short name; one that raises becomes a note in its place."""
    return {name: _safely(name, make, run) for name, make in (cards or CARDS).items()}


def _safely(name: str, make: Callable[[Run], Card], run: Run) -> Card:
    try:
        return make(run)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        warnings.warn(f"the card {name!r} could not be made: {told}", stacklevel=2)
        title = name.replace("_", " ").capitalize()
        return Card(title, f"This card could not be made ({told}).", pd.DataFrame())


def confirmed(run: Run) -> Card:
    """The test metric of every confirmed seed, with each contender's mean and interval."""
    title, seeds = f"Confirmed test {run.metric}", compare.confirmed(run)
    if seeds.empty:
        return Card(title, "No confirmation has finished yet.", seeds)
    columns = ["contender", "variant", "control", "seed", "value"]
    table = compare.contenders(run)
    means = table[table["seeds"] > 0]
    chart = charts.confirmed(
        seeds[columns],
        means[["contender", "variant", "control", "test", "low", "high"]],
        run.variants,
        f"test {run.metric}",
    )
    finding = (
        "Each dot is one seed, trained afresh with the best configuration of the search; the "
        "diamond is the mean, the bar its 95% interval. Controls are hollow and dashed."
    )
    return Card(title, finding, seeds[columns].reset_index(drop=True), chart)


def gains(run: Run) -> Card:
    """Every difference of interest, with its interval, against zero."""
    table = compare.differences(run)
    shown = table[table["seeds"] > 0]
    shown = shown.assign(comparison=shown["left"] + " − " + shown["right"])
    if shown.empty:
        return Card("Gains", "No two contenders share a confirmed seed yet.", shown)
    who = compare.contenders(run).set_index("contender")[["variant", "control"]]
    shown = shown.join(who, on="left").reset_index(drop=True)
    clear = shown[shown["verdict"] != compare.UNDECIDED]
    finding = f"Clear enough for a verdict: {len(clear)} of {len(shown)}."
    return Card(
        "Gains, paired by seed",
        f"{finding} Right of zero, the first named is better; bars are 95% intervals.",
        shown,
        charts.gains(shown, run.variants, f"gain in test {run.metric}"),
    )


def history(run: Run) -> Card:
    """What the search saw, trial by trial."""
    title, ended = "Search history", _ended(run)
    if ended.empty:
        return Card(title, "No search trial has ended yet.", ended)
    frame = ended[["variant", "order", "trial", "state", "reason", "value"]].copy()
    complete = frame[frame["state"] == "complete"]
    score = (complete["value"] * run.sign).groupby(complete["variant"]).cummax() * run.sign
    best = complete.assign(value=score)[["variant", "order", "value"]]
    chart = charts.history(frame, best, run.variants, _axis(run))
    return Card(title, _best_found(run), frame.reset_index(drop=True), chart)


def _ended(run: Run) -> pd.DataFrame:
    """The search trials that ended, numbered within their variant, states in plain words."""
    trials = run.trials[run.trials["phase"] == "search"]
    trials = trials.assign(order=trials.groupby("variant").cumcount() + 1)
    trials = trials[trials["state"].isin(compare.STATES)]
    return trials.assign(state=trials["state"].map(compare.STATES))


def _axis(run: Run) -> str:
    return run.validation.replace("_", " ")


def _best_found(run: Run) -> str:
    spent, digits = compare.budgets(run), _digits(run)
    found = spent[spent["best"].notna()]
    crosses = " Crosses on the floor failed." if spent["failed"].any() else ""
    if found.empty:
        return f"No search trial has completed.{crosses}"
    told = listing([f"{r['variant']} {number(r['best'], digits)}" for r in rows(found)])
    return f"Best {_axis(run)} among completed trials: {told}.{crosses}"


def _digits(run: Run) -> int:
    return metric_digits(compare.contenders(run), compare.differences(run))


def curves(run: Run) -> Card:
    """Validation curves of the confirmed runs."""
    title, frame = "Learning curves of the confirmed runs", compare.validation_curves(run)
    if frame.empty:
        return Card(title, "No confirmed run has a validation curve yet.", frame)
    reached = compare.epochs_to_baseline(run)
    told = listing(
        [
            f"{name} at epoch {reached[name]}"
            for name in frame["contender"].unique()
            if name in reached
        ]
        or [""]
    )
    finding = f"{run.baseline}'s best mean is reached by {told}. " if told else ""
    note = "Lines are means over seeds, bands run from the lowest seed to the highest."
    return Card(title, finding + note, frame, charts.curves(frame, run.variants, _axis(run)))


def slices(run: Run) -> Card:
    """The value of every search trial against each parameter that was searched."""
    title, frame = "Parameter slices", pd.DataFrame(_sliced(run))
    if frame.empty:
        return Card(title, "No search trial with a value and a searched parameter yet.", frame)
    kinds = {
        n: kind(spec) for n, spec in compare.searched(run).items() if n in set(frame["parameter"])
    }
    chart = charts.slices(frame, kinds, run.variants, _axis(run))
    return Card(title, _winners(run), frame, chart)


def _sliced(run: Run) -> Iterator[dict[str, Any]]:
    trials = _ended(run).dropna(subset="value")
    for parameter in compare.searched(run):
        column = f"param.{parameter}"
        if column not in trials:
            continue
        for row in rows(trials.dropna(subset=column)):
            yield {"parameter": parameter, "at": row[column]} | {
                key: row[key] for key in ("variant", "trial", "state", "value")
            }


def kind(spec: dict[str, Any]) -> str:
    """The axis that suits a distribution: linear, log or choice."""
    attributes = spec["attributes"]
    if "choices" in attributes:
        return "choice"
    return "log" if attributes.get("log") else "linear"


def _winners(run: Run) -> str:
    """The parameters of each variant's best completed search trial."""
    done = _ended(run)
    done = done[done["state"] == "complete"]
    best = (done["value"] * run.sign).groupby(done["variant"], sort=False).idxmax()
    told = [f"{v} with {_settings(run, done.loc[i])}" for v, i in best.items()]
    return f"Best of the search: {'; '.join(told)}." if told else ""


def _settings(run: Run, trial: pd.Series[Any]) -> str:
    chosen = compare.configuration(run, trial)
    names = [name for name in compare.searched(run, trial["variant"]) if name in chosen]
    return ", ".join(f"{name} {plain(chosen[name])}" for name in names)


CARDS: dict[str, Callable[[Run], Card]] = {
    "confirmed": confirmed,
    "gains": gains,
    "history": history,
    "curves": curves,
    "slices": slices,
}
