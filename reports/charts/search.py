"""What the search saw. Each function draws one frame and computes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..card import Chart
from .theme import DOT, colours, movable, shape, single_out, visible, whole


def history(
    trials: pd.DataFrame, running_best: pd.DataFrame, variants: Sequence[str], axis: str
) -> Chart:
    """Search: value by order, shape by state, and the running best; failures lie on the floor.

    Args:
        trials: `variant, order, trial, state, reason, value`.
        running_best: `variant, order, value`.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    x = alt.X(
        "order:Q",
        title="trial of its variant",
        axis=whole(int(trials["order"].max())),
        scale=alt.Scale(zero=False, nice=False, padding=10),
    )
    y = alt.Y("value:Q", title=axis, scale=alt.Scale(zero=False, padding=14))
    colour, only = alt.Color("variant:N", scale=colours(variants)), single_out("variant")
    tips = ["variant:N", "trial:Q", "state:N", "reason:N", alt.Tooltip("value:Q", format=".4~f")]
    marks = {"x": x, "color": colour, "shape": shape(trials), "tooltip": tips}
    marks["opacity"] = visible(only, 0.85)
    valued, lost = trials[trials["value"].notna()], trials[trials["value"].isna()]
    layers = [
        alt.Chart(running_best)
        .mark_line(interpolate="step-after", strokeWidth=2, clip=True)
        .encode(x=x, y=y, color=colour, opacity=visible(only, 1.0)),
        alt.Chart(valued).mark_point(**DOT).encode(y=y, **marks),
        alt.Chart(lost).mark_point(**DOT).encode(y=alt.value(252), **marks),
    ]
    drawn = [layer for layer in layers if len(layer.data)]
    drawn[0] = drawn[0].add_params(only, movable())  # it is the first whose legend listens
    return alt.layer(*drawn).properties(width="container", height=260)


def slices(frame: pd.DataFrame, kinds: dict[str, str], variants: Sequence[str], axis: str) -> Chart:
    """The value against each searched parameter, side by side.

    Args:
        frame: `parameter, at, variant, trial, state, value`, `at` being the parameter's value.
        kinds: parameter -> "linear", "log" or "choice".
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    low, high = frame["value"].min(), frame["value"].max()
    y = alt.Y("value:Q", title=axis, scale=alt.Scale(domain=[low, high], padding=8, nice=False))
    only, panels = single_out("variant"), []
    for nth, (name, kind) in enumerate(kinds.items()):
        axes = movable(nth, ("y",) if kind == "choice" else ("x", "y"))
        panel = _slice(frame[frame["parameter"] == name], name, kind, variants, y, shape(frame))
        panels.append(panel.encode(opacity=visible(only, 0.85)).add_params(axes))
    panels[0] = panels[0].add_params(only)  # one selection serves all panels
    return alt.concat(*panels, columns=3, spacing=24)


def _slice(
    frame: pd.DataFrame, name: str, kind: str, variants: Sequence[str], y: alt.Y, shape: alt.Shape
) -> alt.Chart:
    data = frame if kind == "choice" else frame.assign(at=pd.to_numeric(frame["at"]))
    panel: alt.Chart = (
        alt.Chart(data, title=f"{name} (log)" if kind == "log" else name)
        .mark_point(**DOT)
        .encode(
            x=_across(data["at"], kind),
            y=y,
            color=alt.Color("variant:N", scale=colours(variants)),
            shape=shape,
            tooltip=["variant:N", "trial:Q", "state:N", "at:N", alt.Tooltip("value:Q")],
        )
        .properties(width=250, height=180)
    )
    return panel


def _across(at: pd.Series[Any], kind: str) -> alt.X:
    """The parameter's own axis."""
    if kind == "choice":
        return alt.X("at:N", title=None, axis=alt.Axis(labelAngle=0))
    axis = alt.Axis(values=_decades(at), format="~g") if kind == "log" else alt.Axis(tickCount=4)
    scale = alt.Scale(type="log") if kind == "log" else alt.Scale(zero=False)
    scale["nice"], scale["padding"] = False, 8
    return alt.X("at:Q", title=None, axis=axis, scale=scale)


def _decades(values: pd.Series[Any]) -> list[float]:
    """1, 2, 5 and their decades within the range; over many decades, the decades alone."""
    low, high = float(values.min()), float(values.max())
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(tens) <= 3 else (1,)
    found = [step * 10.0**ten for ten in tens for step in steps]
    return [at for at in found if low <= at <= high] or [low]
