"""Momentum against step size, as the paper draws it: step to the right, momentum upwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from ..card import Chart
from .theme import gradient, shape

CELL = {"width": 54, "height": 34}  # pixels of a cell of a grid
DARK = 0.6  # of viridis' way: below it, white is read better than black
WIDE = 20  # largest by smallest value, from where colours follow the logarithm

Ranges = Mapping[str, tuple[float, float, str]]


def grid(cells: pd.DataFrame, metric: str, best: str, digits: str) -> Chart:
    """A cell for each momentum with each step, its value written in it, the best one framed.

    Args:
        cells: `variant, momentum, step, value, trials, stopped`, `value` missing where none.
        metric: title of the colours.
        best: "maximize" or "minimize": the dark end is the worse one.
        digits: how values are written, as d3 says it.
    """
    known = cells["value"].dropna().astype("float64")
    place = _places(known, best)
    score = known if best == "maximize" else -known
    top = score.groupby(cells.loc[known.index, "variant"]).transform("max") == score
    frame = cells.assign(
        ink=place.map(lambda p: "white" if p < DARK else "black").reindex(cells.index),
        best=top.reindex(cells.index, fill_value=False),
    )
    colour = _colour(known, metric, best)
    panels = [
        _panel(str(v), own, colour, digits) for v, own in frame.groupby("variant", sort=False)
    ]
    return alt.concat(*panels, columns=2, spacing=24)


def _panel(variant: str, own: pd.DataFrame, colour: alt.Color, digits: str) -> Any:
    x = alt.X("step:O", title="step", axis=alt.Axis(labelAngle=0, ticks=False))
    y = alt.Y("momentum:O", title="momentum", sort="descending", axis=alt.Axis(ticks=False))
    tips = ["momentum:Q", "step:Q", "value:Q", "trials:Q", "stopped:Q"]
    known, empty = own[own["value"].notna()], own[own["value"].isna()]
    base = alt.Chart(known, title=variant).encode(x=x, y=y)
    layers = [
        base.mark_rect().encode(color=colour, tooltip=tips),
        *(
            alt.Chart(written)
            .mark_text(fontSize=11, color=str(ink))
            .encode(x=x, y=y, text=alt.Text("value:Q", format=digits))
            for ink, written in known.groupby("ink")
        ),
        alt.Chart(known[known["best"]])
        .mark_rect(fillOpacity=0, stroke="currentColor", strokeWidth=2.5)
        .encode(x=x, y=y),
    ]
    if len(empty):
        dash = alt.Chart(empty).mark_text(text="–", opacity=0.6)
        layers.append(dash.encode(x=x, y=y, tooltip=tips))
    width, height = (own[name].nunique() for name in ("step", "momentum"))
    return alt.layer(*layers).properties(
        width=max(2, width) * CELL["width"], height=max(2, height) * CELL["height"]
    )


def _places(values: pd.Series[float], best: str) -> pd.Series[float]:
    """Where each value lies between the worst, 0, and the best, 1, as colours show it."""
    shown = values.map(math.log10) if _logarithmic(values) else values
    width = shown.max() - shown.min()
    place = (shown - shown.min()) / width if width > 0 else shown * 0 + 1
    return place if best == "maximize" else 1 - place


def _logarithmic(values: pd.Series[float]) -> bool:
    return bool(len(values) and values.min() > 0 and values.max() / values.min() > WIDE)


def _colour(values: pd.Series[float], metric: str, best: str) -> alt.Color:
    scale = alt.Scale(
        type="log" if _logarithmic(values) else "linear",
        scheme="viridis",
        reverse=best == "minimize",
        zero=False,
        nice=False,
    )
    return alt.Color("value:Q", title=metric, scale=scale, legend=gradient(metric))


def searched(
    cells: pd.DataFrame,
    points: pd.DataFrame,
    ranges: Mapping[str, Ranges],
    metric: str,
    best: str,
) -> Chart:
    """The best value found in each cell of the ranges, and every trial as a point.

    Args:
        cells: `variant, left, right, bottom, top, value, trials`.
        points: `variant, trial, momentum, step, value, state`.
        ranges: of each variant, its `momentum` and its `step`.
        metric: title of the colours.
        best: "maximize" or "minimize": the dark end is the worse one.
    """
    colour = _colour(cells["value"].astype("float64"), metric, best)
    panels = []
    for variant, own in ranges.items():
        across, up = _along("step", own["step"]), _along("momentum", own["momentum"])
        tips = [alt.Tooltip(f"{c}:Q", format=".4~g") for c in ("left", "bottom", "value")]
        found = (
            alt.Chart(cells[cells["variant"] == variant])
            .mark_rect(stroke=None)
            .encode(
                x=alt.X("left:Q", **across),
                x2="right:Q",
                y=alt.Y("bottom:Q", **up),
                y2="top:Q",
                color=colour,
                tooltip=[*tips, "trials:Q"],
            )
        )
        seen = points[points["variant"] == variant]
        looked = (
            alt.Chart(seen)
            .mark_point(size=30, fill="white", stroke="black", strokeWidth=1, opacity=1)
            .encode(
                x=alt.X("step:Q", **across),
                y=alt.Y("momentum:Q", **up),
                shape=shape(points),
                tooltip=["trial:Q", "momentum:Q", "step:Q", "value:Q", "state:N"],
            )
        )
        both = alt.layer(found, looked, title=variant)
        panels.append(both.properties(width=290, height=230))
    return alt.concat(*panels, columns=2, spacing=24)


def _along(title: str, ends: tuple[float, float, str]) -> dict[str, Any]:
    """An axis that is the whole range, searched or not."""
    low, high, kind = ends
    scale = alt.Scale(
        type="log" if kind == "log" else "linear", domain=[low, high], nice=False, zero=False
    )
    named = f"{title} (log)" if kind == "log" else title
    return {"title": named, "scale": scale, "axis": alt.Axis(tickCount=5, format="~g")}
