"""Run -> momentum against step size: a paper's grid cell by cell, or where a search has looked."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from .comparison import searched
from .exploration import ended, kind, units
from .run import Run

MOMENTUM, STEP = ("momentum", "mu"), ("step", "step_size", "s")  # what the two may be called
CELLS = 8  # of a search's map, each way

Axes = tuple[str, str]
"""The names of momentum and of step."""


def axes_of(run: Run) -> dict[str, Axes]:
    """What each variant that searches both calls its momentum and its step size."""
    found = {variant: _axes(run, variant) for variant in run.variants}
    return {variant: axes for variant, axes in found.items() if axes}


def _axes(run: Run, variant: str) -> Axes | None:
    specs = searched(run, variant)
    names = {name for name, spec in specs.items() if "choices" not in spec["attributes"]}
    found = [next((n for n in group if n in names), None) for group in (MOMENTUM, STEP)]
    return (found[0], found[1]) if found[0] and found[1] else None


def grid(run: Run) -> pd.DataFrame:
    """The grid that was run: a row for each momentum with each step; empty for another sampler.

    Columns `variant, momentum, step`; `value`: the best of the completed trials there, missing
    where none has completed; `trials` that have, and trials that were `stopped` or failed.
    """
    columns = ["variant", "momentum", "step", "value", "trials", "stopped"]
    if (run.plan.get("sampler") or {}).get("name") != "grid":
        return pd.DataFrame(columns=columns)
    rows = [
        _cell(run, variant, axes, point)
        for variant, axes in axes_of(run).items()
        if {f"param.{name}" for name in axes} <= {*run.trials}  # none has begun yet
        for point in product(*(_gridded(run, variant, name) for name in axes))
    ]
    return pd.DataFrame(rows, columns=columns)


def _gridded(run: Run, variant: str, name: str) -> list[float]:
    """The values of a parameter on a variant's grid."""
    values = {**(run.space.get("grid") or {}), **(run.variant(variant).get("grid") or {})}
    return [float(value) for value in values.get(name, ())]


def _cell(run: Run, variant: str, axes: Axes, point: tuple[float, ...]) -> dict[str, Any]:
    trials = ended(run)
    here = trials["variant"] == variant
    for name, value in zip(axes, point, strict=True):
        numbers = pd.to_numeric(trials[f"param.{name}"], errors="coerce")
        here &= pd.Series(np.isclose(numbers.astype("float64"), value), trials.index)
    done = trials[here & (trials["state"] == "complete")]
    best = (done["value"] * run.sign).max() * run.sign
    counts = {"trials": len(done), "stopped": int(here.sum()) - len(done)}
    return {"variant": variant, "momentum": point[0], "step": point[1], "value": best, **counts}


def cells(run: Run) -> pd.DataFrame:
    """Best completed value in each cell of the ranges of momentum and step.

    Columns `variant, left, right, bottom, top, value, trials`: step to the right, momentum upwards.
    """
    parts = [_cells(run, variant, axes) for variant, axes in axes_of(run).items()]
    empty = pd.DataFrame(columns=["variant", "left", "right", "bottom", "top", "value", "trials"])
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else empty


def points(run: Run) -> pd.DataFrame:
    """Where a search has looked: `variant, momentum, step, value, state` of each ended trial."""
    trials = ended(run)
    parts = [
        trials[trials["variant"] == variant].rename(
            columns={f"param.{axes[0]}": "momentum", f"param.{axes[1]}": "step"}
        )
        for variant, axes in axes_of(run).items()
        if {f"param.{name}" for name in axes} <= {*trials}
    ]
    columns = ["variant", "trial", "momentum", "step", "value", "state"]
    frame = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    numbers = {name: pd.to_numeric(frame[name]) for name in ("momentum", "step")}
    return frame.assign(**numbers).dropna(subset=list(numbers)).reset_index(drop=True)


def ranges(run: Run) -> dict[str, dict[str, tuple[float, float, str]]]:
    """Variant -> `momentum` and `step` -> the ends of its range, and "linear" or "log"."""
    found = {}
    for variant, axes in axes_of(run).items():
        specs = [searched(run, variant)[name] for name in axes]
        ends = [(float(s["attributes"]["low"]), float(s["attributes"]["high"])) for s in specs]
        told = [(*end, kind(spec)) for end, spec in zip(ends, specs, strict=True)]
        found[variant] = {"momentum": told[0], "step": told[1]}
    return found


def _cells(run: Run, variant: str, axes: Axes) -> pd.DataFrame:
    trials = ended(run)
    own = (trials["variant"] == variant) & (trials["state"] == "complete")
    trials = trials[own & trials["value"].notna()]
    place = units(run, variant, trials)
    if not {*axes} <= {*place}:
        return trials.head(0)
    cell = (place[list(axes)].astype("float64") * CELLS).clip(upper=CELLS - 1).astype("int64")
    score = (trials["value"] * run.sign).groupby([cell[axes[0]], cell[axes[1]]])
    best = score.agg(["max", "size"]).reset_index()
    up, across = (best[name].to_numpy() for name in axes)
    ends = ranges(run)[variant]
    momenta, steps = _edges(*ends["momentum"]), _edges(*ends["step"])
    return pd.DataFrame(
        {
            "variant": variant,
            "left": steps[across],
            "right": steps[across + 1],
            "bottom": momenta[up],
            "top": momenta[up + 1],
            "value": best["max"] * run.sign,
            "trials": best["size"],
        }
    )


def _edges(low: float, high: float, scale: str) -> Any:
    between = np.geomspace if scale == "log" else np.linspace
    return between(low, high, CELLS + 1)
