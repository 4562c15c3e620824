"""Across tasks: charts that compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ..card import Chart
from .theme import colours, few, lines


def aggregates(frame: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """Interquartile means with their intervals.

    Args:
        frame: `contender, variant, iqm, low, high`, in the order of the rows.
        variants: in the order of their colours.
    """
    y = alt.Y("contender:N", sort=frame["contender"].tolist(), title=None)
    y["axis"] = alt.Axis(labelLimit=240, ticks=False)
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    tips = ["contender:N", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("iqm", "low", "high"))]
    title = "interquartile mean of the scores"
    known = frame.dropna(subset=["low", "high"])
    bars = alt.Chart(known).mark_rule(strokeWidth=2.5)
    bars = bars.encode(x=alt.X("low:Q", axis=few(title)), x2="high:Q", y=y, color=colour)
    points = alt.Chart(frame).mark_point(shape="diamond", size=120, filled=True, opacity=1)
    points = points.encode(
        x=alt.X("iqm:Q", axis=few(title), scale=alt.Scale(zero=False, padding=12)),
        y=y,
        color=colour,
        tooltip=tips,
    )
    layers = [bars, points] if len(known) else [points]
    return alt.layer(*layers).properties(width="container", height=34 * len(frame))


def profiles(frame: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """Share of runs above each score, with pointwise bands.

    Args:
        frame: `contender, variant, control, threshold, share, low, high`.
        variants: in the order of their colours.
    """
    colour, dash = lines(frame, variants)
    x = alt.X("threshold:Q", title="score", scale=alt.Scale(zero=False, nice=False))
    y = alt.Y("share:Q", title="share of runs above it", axis=alt.Axis(format="%", tickCount=5))
    base = alt.Chart(frame).encode(x=x, color=colour)
    band = base.mark_area(opacity=0.13).encode(y=alt.Y("low:Q"), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash, tooltip=["contender:N"])
    return alt.layer(band, line).properties(width="container", height=260)


def critical(ranks: pd.DataFrame, cliques: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """A critical-difference diagram: mean ranks, and bars over those that cannot be told apart.

    Args:
        ranks: `contender, variant, rank, row`.
        cliques: `first, last, row`: the ends of each group.
        variants: in the order of their colours.
    """
    last = float(ranks["rank"].max())
    axis = alt.Axis(title="mean rank over tasks (1 is best)", tickCount=6)
    x = alt.X("rank:Q", axis=axis, scale=alt.Scale(domain=[1, max(2.0, last)], padding=10))
    rows = len(ranks) + len(cliques)
    y = alt.Y("row:Q", axis=None, scale=alt.Scale(domain=[rows + 0.5, 0.5]))
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    points = alt.Chart(ranks).mark_point(size=110, filled=True, opacity=1)
    right = ranks["rank"] > (1 + last) / 2  # names grow away from the nearer edge
    lefts = alt.Chart(ranks[~right]).mark_text(align="left", baseline="bottom", dy=-7)
    rights = alt.Chart(ranks[right]).mark_text(align="right", baseline="bottom", dy=-7)
    layers = [points.encode(x=x, y=y, color=colour, tooltip=["contender:N", "rank:Q"])]
    layers += [n.encode(x=x, y=y, text="contender:N") for n in (lefts, rights) if len(n.data)]
    if len(cliques):
        bar = alt.Chart(cliques).mark_rule(strokeWidth=5, opacity=0.55, strokeCap="round")
        layers.append(bar.encode(x=alt.X("first:Q", axis=axis), x2="last:Q", y=y))
    return alt.layer(*layers).properties(width="container", height=30 * rows)


def changes(frame: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """What changed from before to after, with intervals, against zero.

    Args:
        frame: `comparison, variant, gain, low, high, verdict`, in order.
        variants: in the order of their colours.
    """
    from .outcome import gains

    return gains(
        frame.assign(near=True), variants, "gain from before to after, in the metric's unit"
    )
