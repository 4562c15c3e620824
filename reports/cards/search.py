"""Cards on what the search saw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from .. import comparison as compare
from .. import exploration as explore
from ..card import Card
from ..charts import search as charts
from ..frames import rows
from ..run import Run
from ..wording import listing, number, plain
from .writing import MOST, axis, digits, thinned, thinning


def history(run: Run) -> Card:
    """What the search saw, trial by trial."""
    title, ended = "Search history", explore.ended(run)
    if ended.empty:
        return Card(title, "No search trial has ended yet.", ended)
    columns = ["variant", "order", "trial", "state", "reason", "value"]
    frame = thinned(ended[columns], run).reset_index(drop=True)
    chart = charts.history(frame, _running_best(run, ended), run.variants, axis(run))
    return Card(title, _best_found(run) + thinning(len(frame), len(ended)), frame, chart)


def _running_best(run: Run, ended: pd.DataFrame) -> pd.DataFrame:
    """Where the best so far of a variant changes, and where its search ends."""
    complete = ended[ended["state"] == "complete"]
    best = (complete["value"] * run.sign).groupby(complete["variant"]).cummax() * run.sign
    steps = complete.assign(value=best)[["variant", "order", "value"]]
    last = steps.groupby("variant").tail(1)["variant"]
    ends = ended.groupby("variant")["order"].max()
    closing = steps.loc[last.index].assign(order=last.map(ends))
    return pd.concat([steps.drop_duplicates(["variant", "value"]), closing], ignore_index=True)


def _best_found(run: Run) -> str:
    spent, shown = compare.budgets(run), digits(run)
    found = spent[spent["best"].notna()]
    crosses = " Crosses on the floor failed." if spent["failed"].any() else ""
    if found.empty:
        return f"No search trial has completed.{crosses}"
    told = listing([f"{r['variant']} {number(r['best'], shown)}" for r in rows(found)])
    return f"Best {axis(run)} among completed trials: {told}.{crosses}"


def slices(run: Run) -> Card:
    """The value of every search trial against each parameter that was searched."""
    title, frame = "Parameter slices", pd.DataFrame(_sliced(run))
    if frame.empty:
        return Card(title, "No search trial with a value and a searched parameter yet.", frame)
    kinds = {
        n: explore.kind(spec)
        for n, spec in compare.searched(run).items()
        if n in set(frame["parameter"])
    }
    chart = charts.slices(frame, kinds, run.variants, axis(run))
    return Card(title, _winners(run), frame, chart)


def _sliced(run: Run) -> Iterator[dict[str, Any]]:
    every = explore.ended(run).dropna(subset="value")
    trials = thinned(every, run, MOST // 2)
    for parameter in compare.searched(run):
        column = f"param.{parameter}"
        if column not in trials:
            continue
        for row in rows(trials.dropna(subset=column)):
            yield {"parameter": parameter, "at": row[column]} | {
                key: row[key] for key in ("variant", "trial", "state", "value")
            }


def _winners(run: Run) -> str:
    """The parameters of each variant's best completed search trial."""
    every = explore.ended(run).dropna(subset="value")
    done = every[every["state"] == "complete"]
    best = (done["value"] * run.sign).groupby(done["variant"], sort=False).idxmax()
    told = [f"{v} with {_settings(run, done.loc[i])}" for v, i in best.items()]
    thin = thinning(min(len(every), MOST // 2), len(every))
    return f"Best of the search: {'; '.join(told)}.{thin}" if told else ""


def _settings(run: Run, trial: pd.Series[Any]) -> str:
    chosen = compare.configuration(run, trial)
    names = [name for name in compare.searched(run, trial["variant"]) if name in chosen]
    return ", ".join(f"{name} {plain(chosen[name])}" for name in names)
