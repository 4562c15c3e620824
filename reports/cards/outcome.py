"""Cards on what came out of the confirmation."""

from __future__ import annotations

import pandas as pd

from .. import comparison as compare
from ..card import Card
from ..charts import outcome as charts
from ..run import Run
from ..statistics import mean_interval
from ..wording import titled
from .writing import near

TEST = "metric.test_"


def confirmed(run: Run) -> Card:
    """The test metric of every confirmed seed, with each contender's mean and interval."""
    title, seeds = f"Confirmed test {run.metric}", compare.confirmed(run)
    if seeds.empty:
        return Card(title, "No confirmation has finished yet.", seeds)
    columns = ["contender", "variant", "control", "seed", "value"]
    table = compare.contenders(run)
    means = table[table["seeds"] > 0]
    means = means.assign(near=near(means, "test", means["control"].notna()))
    chart = charts.confirmed(
        seeds[columns],
        means[["contender", "variant", "control", "test", "low", "high", "near"]],
        run.variants,
        f"test {run.metric}",
    )
    finding = (
        "Each dot is one seed, trained afresh with the best configuration of the search; the "
        "diamond is the mean, the bar its 95% interval. Controls are hollow and dashed."
        f"{_outside(means)}"
    )
    return Card(title, finding, seeds[columns].reset_index(drop=True), chart)


def _outside(rows: pd.DataFrame) -> str:
    far = int((~rows["near"]).sum())
    return f" Far off the scale, and written at its edge: {far}." if far else ""


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
    shown["near"] = near(shown, "gain", shown["kind"] != "variant - baseline")
    finding = f"Clear enough for a verdict: {len(clear)} of {len(shown)}."
    return Card(
        "Gains, paired by seed",
        f"{finding} Right of zero, the first named is better; bars are 95% intervals."
        f"{_outside(shown)}",
        shown,
        charts.gains(shown, run.variants, f"gain in test {run.metric}"),
    )


def others(run: Run) -> Card | None:
    """The test metrics that the search was not about: a loss beside an accuracy, say."""
    seeds = compare.confirmed(run)
    names = [str(name) for name in seeds if str(name).startswith(TEST)]
    found = [
        (str(contender), titled(name.removeprefix(TEST)), mean_interval(own[name].dropna()))
        for name in names
        if name != f"{TEST}{run.metric}" and pd.api.types.is_numeric_dtype(seeds[name])
        for contender, own in seeds.groupby("contender", sort=False)
    ]
    table = [(who, what, m.mean, m.low, m.high, m.n) for who, what, m in found if m.n]
    if not table:
        return None
    columns = ["contender", "test metric", "mean", "low", "high", "seeds"]
    note = (
        f"Of the same networks: configurations were chosen by validation {titled(run.metric)} "
        "alone. Means and 95% intervals by themselves, no verdicts."
    )
    return Card("Other test metrics", note, pd.DataFrame(table, columns=columns))
