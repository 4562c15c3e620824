"""The card on momentum against step size: the paper's ablation, or where a search has looked."""

from __future__ import annotations

import pandas as pd

from .. import ablation
from ..card import Card
from ..charts import ablation as charts
from ..run import Run
from ..wording import number, plain
from .writing import axis, digits

TITLE = "Momentum and step size"


def momentum(run: Run) -> Card | None:
    """Momentum against step size, for each variant that has both."""
    if not ablation.axes_of(run):
        return None
    grid, best = ablation.grid(run), str(run.space["direction"])
    if grid["value"].notna().any():
        chart = charts.grid(grid, f"best {axis(run)}", best, f".{digits(run)}f")
        return Card(TITLE, _told(run, grid), grid, chart)
    cells = ablation.cells(run)
    if cells.empty:
        return Card(TITLE, "No search trial of a variant with momentum has completed yet.", cells)
    points = ablation.points(run)
    chart = charts.searched(cells, points, ablation.ranges(run), f"best {axis(run)}", best)
    finding = (
        f"Axes are the whole ranges. A cell's colour is the best {axis(run)} of the completed "
        "trials in it; each mark is a trial. --sampler grid fills the paper's own grid."
    )
    return Card(TITLE, finding, cells, chart)


def _told(run: Run, grid: pd.DataFrame) -> str:
    """The best cell of each variant beside its best without momentum, and what is empty."""
    told = [_best(run, str(v), own) for v, own in grid.groupby("variant", sort=False)]
    empty = grid[grid["value"].isna()]
    stopped = int(empty["stopped"].sum())
    holes = (
        f" Empty are {len(empty)} of {len(grid)} cells; trials that failed or were stopped early "
        f"there: {stopped} (--scheduler none trains all to the end)."
        if stopped
        else ""
    )
    return (
        f"Best {axis(run)} in each cell, one training for each setting: "
        f"{'; '.join(filter(None, told))}. No seed was repeated, so that small differences are no "
        f"findings.{holes}"
    )


def _best(run: Run, variant: str, own: pd.DataFrame) -> str:
    known = own[own["value"].notna()]
    if known.empty:
        return ""
    top = _top(run, known)
    told = f"{variant} {_value(run, top)} at momentum {plain(top['momentum'])} and step "
    told += plain(top["step"])
    without = known[known["momentum"] == 0]
    if len(without) and top["momentum"] != 0:
        still = _top(run, without)
        told += f", without momentum {_value(run, still)} at step {plain(still['step'])}"
    return told


def _top(run: Run, known: pd.DataFrame) -> pd.Series[float]:
    return known.iloc[int((known["value"] * run.sign).to_numpy().argmax())]


def _value(run: Run, row: pd.Series[float]) -> str:
    return number(float(row["value"]), digits(run))
