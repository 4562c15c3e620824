"""What the search found out about parameters, budgets and slots: charts that compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ..card import Chart
from .theme import DOT, colours, movable, single_out, stacked, visible, whole


def _tight() -> alt.Scale:
    return alt.Scale(zero=False, nice=False)


def parallel(
    lines: pd.DataFrame, ticks: pd.DataFrame, order: Sequence[str], variants: Sequence[str]
) -> Chart:
    """Parallel coordinates: a line per trial across its parameters, the best tenth in front.

    Args:
        lines: `variant, trial, parameter, place, at, value, good`, `place` from 0 to 1.
        ticks: `variant, parameter, place, text`: what the ends of each axis stand for.
        order: the parameters, left to right.
        variants: in the order of their colours.
    """
    below = alt.Axis(labelAngle=0, ticks=False, labelPadding=16)  # the ends' texts come between
    x = alt.X("parameter:N", sort=list(order), title=None, axis=below)
    y = alt.Y("place:Q", axis=None, scale=alt.Scale(domain=[-0.04, 1.04], nice=False))
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    tips = ["variant:N", "trial:Q", alt.Tooltip("value:Q", format=".4~f")]
    panels = []
    for variant in [v for v in variants if v in set(lines["variant"])]:
        own, base = lines[lines["variant"] == variant], {"x": x, "y": y, "color": colour}
        layers = [
            alt.Chart(own[own["good"] == good])
            .mark_line(strokeWidth=1.6 if good else 1, opacity=0.9 if good else 0.16)
            .encode(**base, detail="trial:N", tooltip=tips)
            for good in (False, True)
        ]
        ends = [
            alt.Chart(ticks[(ticks["variant"] == variant) & (ticks["place"] == end)])
            .mark_text(fontSize=10, opacity=0.8, dy=down)
            .encode(x=x, y=y, text="text:N")
            for end, down in ((0.0, 10), (1.0, -10))
        ]
        title = f"{variant}: the best tenth in full"
        panels.append(
            alt.layer(*layers, *ends).properties(title=title, width="container", height=190)
        )
    return stacked(panels)


def importances(parts: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """Share of importance by parameter with its stability, a panel per variant.

    Args:
        parts: `variant, parameter, share, low, high, beyond_chance`, best first in each variant.
        variants: in the order of their colours.
    """
    x = alt.X("share:Q", title="share of importance", axis=alt.Axis(format="%", tickCount=4))
    x["scale"] = alt.Scale(domain=[0, 1])
    panels = []
    for variant in [v for v in variants if v in set(parts["variant"])]:
        own = parts[parts["variant"] == variant]
        y = alt.Y("parameter:N", sort=own["parameter"].tolist(), title=None)
        base = alt.Chart(own, title=variant)
        strength = alt.condition("datum.beyond_chance", alt.value(0.9), alt.value(0.3))
        bars = base.mark_bar(height=12).encode(
            x=x,
            y=y,
            color=alt.Color("variant:N", scale=colours(variants), legend=None),
            opacity=strength,
            tooltip=["parameter:N", *(alt.Tooltip(f"{c}:Q", format=".2f") for c in PART)],
        )
        spread = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q", y=y)
        panels.append(alt.layer(bars, spread).properties(width=250, height=24 * len(own)))
    return alt.concat(*panels, columns=3, spacing=24)


PART = ("share", "low", "high")


def budget(frame: pd.DataFrame, variants: Sequence[str], axis: str) -> Chart:
    """Expected best value after so many trials drawn independently.

    Args:
        frame: `variant, trials, expected`.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    last, only = int(frame["trials"].max()), single_out("variant")
    x = alt.X("trials:Q", title="trials", axis=whole(last), scale=_tight())
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2, clip=True, point=last <= 60)
        .encode(
            x=x,
            y=alt.Y("expected:Q", title=f"expected best {axis}", scale=alt.Scale(zero=False)),
            color=alt.Color("variant:N", scale=colours(variants)),
            opacity=visible(only, 1.0),
            tooltip=["variant:N", "trials:Q", alt.Tooltip("expected:Q", format=".4~f")],
        )
        .add_params(only, movable())
        .properties(width="container", height=240)
    )
    return chart


def front(points: pd.DataFrame, variants: Sequence[str], value: str, cost: str) -> Chart:
    """Value against cost, with each variant's efficient trials joined by steps.

    Args:
        points: `variant, trial, value, cost, efficient`.
        variants: in the order of their colours.
        value: title of the value axis.
        cost: title of the cost axis.
    """
    x = alt.X("cost:Q", title=cost, axis=alt.Axis(tickCount=6), scale=alt.Scale(zero=False))
    y = alt.Y("value:Q", title=value, scale=alt.Scale(zero=False, padding=12))
    colour, only = alt.Color("variant:N", scale=colours(variants)), single_out("variant")
    tips = ["variant:N", "trial:Q", alt.Tooltip("value:Q", format=".4~f"), "cost:Q"]
    ends, where = points[points["efficient"]], {"x": x, "y": y, "color": colour}
    return alt.layer(
        alt.Chart(points[~points["efficient"]])
        .mark_point(size=25, filled=True, clip=True)
        .encode(**where, opacity=visible(only, 0.3), tooltip=tips)
        .add_params(only, movable()),
        alt.Chart(ends)
        .mark_line(interpolate="step-after", strokeWidth=2, clip=True)
        .encode(**where, opacity=visible(only, 1.0)),
        alt.Chart(ends)
        .mark_point(**DOT)
        .encode(**where, opacity=visible(only, 0.85), tooltip=tips),
    ).properties(width="container", height=300)


def slots(bars: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """Which trial was on which slot, when.

    Args:
        bars: `slot, start, end, variant, phase, trial, state`, in minutes from the start.
        variants: in the order of their colours.
    """
    faded = alt.condition("datum.phase == 'confirm'", alt.value(0.95), alt.value(0.55))
    chart: alt.Chart = (
        alt.Chart(bars)
        .mark_bar(stroke="currentColor", strokeWidth=0.3 if len(bars) < 500 else 0)
        .encode(
            x=alt.X("start:Q", title="minutes since the start"),
            x2="end:Q",
            y=alt.Y("slot:O", title="slot", axis=alt.Axis(grid=False, ticks=False)),
            color=alt.Color("variant:N", scale=colours(variants)),
            opacity=faded,
            tooltip=["variant:N", "phase:N", "trial:Q", "state:N", "start:Q", "end:Q"],
        )
        .properties(width="container", height=max(60, 26 * bars["slot"].nunique()))
    )
    return chart


def busy(frame: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """How many slots each variant kept busy over time: for more trials than bars could show.

    Args:
        frame: `minute, variant, busy`.
        variants: in the order of their colours.
    """
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_area(interpolate="step", opacity=0.8)
        .encode(
            x=alt.X("minute:Q", title="minutes since the start"),
            y=alt.Y("busy:Q", title="slots busy", stack="zero"),
            color=alt.Color("variant:N", scale=colours(variants)),
            tooltip=["variant:N", "minute:Q", alt.Tooltip("busy:Q", format=".2f")],
        )
        .properties(width="container", height=180)
    )
    return chart
