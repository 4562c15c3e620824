"""What came out: confirmed seeds and gains. Each function draws one frame, computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..card import Chart
from ..wording import significant
from .theme import colours, few

ROW = 52  # pixels of a contender's row: name, interval, seeds
NAME, BAR, SEEDS = -15, 4, 16  # where each lies, in pixels below the row's middle


def confirmed(
    seeds: pd.DataFrame, means: pd.DataFrame, variants: Sequence[str], axis: str
) -> Chart:
    """Every seed as a point, and each contender's mean with its interval.

    Args:
        seeds: `contender, variant, control, seed, value`.
        means: `contender, variant, control, test, low, high, near`, in the order of the rows; the
            scale is that of those that are near.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    order = means["contender"].tolist()
    y = alt.Y("contender:N", sort=order, axis=None)
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    x = alt.X("test:Q", axis=few(axis), scale=alt.Scale(zero=False, padding=12))
    tips = ["contender:N", *(alt.Tooltip(f"{c}:Q", format=".4~f") for c in ("test", "low", "high"))]
    shown = means[means["near"]]
    base, seeds = alt.Chart(shown), seeds[seeds["contender"].isin(shown["contender"])]
    points = (
        alt.Chart(seeds)
        .mark_point(size=40, filled=True, opacity=0.6, yOffset=SEEDS)
        .encode(
            x=alt.X("value:Q", axis=few(axis)),
            y=y,
            color=colour,
            tooltip=["contender:N", "seed:N", alt.Tooltip("value:Q", format=".4~f")],
        )
    )
    bars = _intervals(shown, axis, y, colour)
    mean = base.mark_point(shape="diamond", size=120, opacity=1, strokeWidth=2, yOffset=BAR).encode(
        x=x, y=y, color=colour, fill=_filled(variants), tooltip=tips
    )
    far = _far(means, "test", y, colour)
    return alt.layer(_names(means, y, "contender"), *bars, points, mean, *far).properties(
        width="container", height=ROW * len(means)
    )


def gains(rows: pd.DataFrame, variants: Sequence[str], axis: str) -> Chart:
    """A forest plot: each gain with its interval, against zero.

    Args:
        rows: `comparison, variant, control, gain, low, high, seeds, verdict, near`, in order; the
            scale is that of those that are near.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    y = alt.Y("comparison:N", sort=rows["comparison"].tolist(), axis=None)
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    numbers = [alt.Tooltip(f"{c}:Q", format="+.4~f") for c in ("gain", "low", "high")]
    shown = rows[rows["near"]]
    base = alt.Chart(shown)
    bars = _intervals(shown, axis, y, colour)
    point = base.mark_point(
        shape="diamond", size=120, opacity=1, strokeWidth=2, yOffset=BAR
    ).encode(
        x=alt.X("gain:Q", axis=few(axis), scale=alt.Scale(padding=14)),
        y=y,
        color=colour,
        fill=_filled(variants),
        tooltip=["comparison:N", *numbers, "seeds:Q", "verdict:N"],
    )
    zero = alt.Chart(rows).mark_tick(
        size=18, thickness=1.5, opacity=0.7, yOffset=BAR, color="currentColor"
    )
    zero = zero.encode(x=alt.datum(0, type="quantitative"), y=y)
    far = _far(rows, "gain", y, colour)
    return alt.layer(zero, _names(rows, y, "comparison"), *bars, point, *far).properties(
        width="container", height=ROW * len(rows)
    )


def _intervals(frame: pd.DataFrame, axis: str, y: alt.Y, colour: alt.Color) -> list[alt.Chart]:
    """A bar for each row that has an interval; no layer at all where none has."""
    known = frame.dropna(subset=["low", "high"])
    bars: alt.Chart = (
        alt.Chart(known)
        .mark_rule(strokeWidth=2.5, yOffset=BAR)
        .encode(
            x=alt.X("low:Q", axis=few(axis)), x2="high:Q", y=y, color=colour, strokeDash=_dashed()
        )
    )
    return [bars] if len(known) else []


def _far(frame: pd.DataFrame, field: str, y: alt.Y, colour: alt.Color) -> list[alt.Chart]:
    """What is far off the scale, at the edge where it lies, with its value."""
    far, middle = frame[~frame["near"]], frame.loc[frame["near"], field].median()
    low, high = far[far[field] < middle], far[far[field] > middle]
    low = low.assign(edge=[f"\u25c2 {significant(value)}" for value in low[field]])
    high = high.assign(edge=[f"{significant(value)} \u25b8" for value in high[field]])
    text: dict[str, Any] = {"baseline": "middle", "dy": BAR, "fontWeight": 600}
    left = alt.Chart(low).mark_text(align="left", **text).encode(x=alt.value(0))
    right = alt.Chart(high).mark_text(align="right", **text).encode(x=alt.value("width"))
    layers = [layer for layer, rows in ((left, low), (right, high)) if len(rows)]
    return [layer.encode(y=y, text="edge:N", color=colour) for layer in layers]


def _names(frame: pd.DataFrame, y: alt.Y, field: str) -> alt.Chart:
    """Row names above the marks, inside the plot: they have room on a narrow screen too."""
    fits = alt.expr("width")  # a longer one would take the plot's place
    text = alt.Chart(frame).mark_text(align="left", baseline="middle", dy=NAME, limit=fits)
    named: alt.Chart = text.encode(x=alt.value(0), y=y, text=f"{field}:N")
    return named


def _dashed() -> Any:
    return alt.condition("isValid(datum.control)", alt.value([5, 3]), alt.value([1, 0]))


def _filled(variants: Sequence[str]) -> Any:
    hollow = alt.value("transparent")
    own = alt.Fill("variant:N", scale=colours(variants), legend=None)
    return alt.condition("isValid(datum.control)", hollow, own)
