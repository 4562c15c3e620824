"""Charts, in altair. Each function draws one frame and computes nothing.

Text and rules take the page's own colour (`currentColor`), so that one chart serves light and dark
pages and print. A variant has one colour in all charts; its controls share it, dashed and hollow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import altair as alt
import pandas as pd

from .card import Chart

# Okabe & Ito, "Color Universal Design" (2008): the six that stand out on white and on near-black
# (their blue a little lighter for the latter), from the one that does so best.
PALETTE = ("#1A7FC2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ([1, 0], [6, 3], [2, 3], [8, 3, 2, 3], [12, 4])
SHAPES = {"complete": "circle", "pruned": "triangle-down", "failed": "cross"}
ROW = 52  # pixels of a contender's row: name, interval, seeds
DOT: dict[str, Any] = {"size": 50, "filled": True, "opacity": 0.85}
NAME, BAR, SEEDS = -15, 4, 16  # where each lies, in pixels below the row's middle

THEME: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "labelOpacity": 0.8,
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "domain": False,
        "tickColor": "currentColor",
        "tickOpacity": 0.3,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "labelLimit": 280,
        "symbolFillColor": "currentColor",
        "symbolSize": 80,
        "orient": "top",
        "direction": "vertical",
        "title": None,
    },
    "title": {"color": "currentColor", "fontSize": 12, "fontWeight": 600, "anchor": "start"},
    "text": {"color": "currentColor", "fontSize": 12},
    "rule": {"color": "currentColor"},
}


def themed(chart: Chart) -> dict[str, Any]:
    """The chart as a Vega-Lite specification with the house theme and its data inside."""
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = chart.to_dict()
    return spec | {"config": THEME}


def colours(variants: Sequence[str]) -> alt.Scale:
    """One colour per variant, the same in every chart."""
    hues = [hue for hue, _ in zip(cycle(PALETTE), variants, strict=False)]
    return alt.Scale(domain=list(variants), range=hues)


def confirmed(
    seeds: pd.DataFrame, means: pd.DataFrame, variants: Sequence[str], axis: str
) -> Chart:
    """Every seed as a point, and each contender's mean with its interval.

    Args:
        seeds: `contender, variant, control, seed, value`.
        means: `contender, variant, control, test, low, high`, in the order of the rows.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    order = means["contender"].tolist()
    y = alt.Y("contender:N", sort=order, axis=None)
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    x = alt.X("test:Q", axis=_few(axis), scale=alt.Scale(zero=False, padding=12))
    tips = ["contender:N", *(alt.Tooltip(f"{c}:Q", format=".4~f") for c in ("test", "low", "high"))]
    base = alt.Chart(means)
    points = (
        alt.Chart(seeds)
        .mark_point(size=40, filled=True, opacity=0.6, yOffset=SEEDS)
        .encode(
            x=alt.X("value:Q", axis=_few(axis)),
            y=y,
            color=colour,
            tooltip=["contender:N", "seed:N", alt.Tooltip("value:Q", format=".4~f")],
        )
    )
    bars = _intervals(means, axis, y, colour)
    mean = base.mark_point(shape="diamond", size=120, opacity=1, strokeWidth=2, yOffset=BAR).encode(
        x=x, y=y, color=colour, fill=_filled(variants), tooltip=tips
    )
    return alt.layer(_names(means, y, "contender"), *bars, points, mean).properties(
        width="container", height=ROW * len(means)
    )


def gains(rows: pd.DataFrame, variants: Sequence[str], axis: str) -> Chart:
    """A forest plot: each gain with its interval, against zero.

    Args:
        rows: `comparison, variant, control, gain, low, high, seeds, verdict`, in order.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    y = alt.Y("comparison:N", sort=rows["comparison"].tolist(), axis=None)
    colour = alt.Color("variant:N", scale=colours(variants), legend=None)
    numbers = [alt.Tooltip(f"{c}:Q", format="+.4~f") for c in ("gain", "low", "high")]
    base = alt.Chart(rows)
    bars = _intervals(rows, axis, y, colour)
    point = base.mark_point(
        shape="diamond", size=120, opacity=1, strokeWidth=2, yOffset=BAR
    ).encode(
        x=alt.X("gain:Q", axis=_few(axis), scale=alt.Scale(padding=14)),
        y=y,
        color=colour,
        fill=_filled(variants),
        tooltip=["comparison:N", *numbers, "seeds:Q", "verdict:N"],
    )
    zero = base.mark_tick(size=18, thickness=1.5, opacity=0.7, yOffset=BAR, color="currentColor")
    zero = zero.encode(x=alt.datum(0, type="quantitative"), y=y)
    return alt.layer(zero, _names(rows, y, "comparison"), *bars, point).properties(
        width="container", height=ROW * len(rows)
    )


def _intervals(frame: pd.DataFrame, axis: str, y: alt.Y, colour: alt.Color) -> list[alt.Chart]:
    """A bar for each row that has an interval; no layer at all where none has."""
    known = frame.dropna(subset=["low", "high"])
    bars: alt.Chart = (
        alt.Chart(known)
        .mark_rule(strokeWidth=2.5, yOffset=BAR)
        .encode(
            x=alt.X("low:Q", axis=_few(axis)), x2="high:Q", y=y, color=colour, strokeDash=_dashed()
        )
    )
    return [bars] if len(known) else []


def _names(frame: pd.DataFrame, y: alt.Y, field: str) -> alt.Chart:
    """Row names above the marks, inside the plot: they have room on a narrow screen too."""
    text = alt.Chart(frame).mark_text(align="left", baseline="middle", dy=NAME)
    named: alt.Chart = text.encode(x=alt.value(0), y=y, text=f"{field}:N")
    return named


def _few(title: str) -> alt.Axis:
    """A value axis whose labels have room on a narrow screen too."""
    return alt.Axis(title=title, tickCount=5)


def _dashed() -> Any:
    return alt.condition("isValid(datum.control)", alt.value([5, 3]), alt.value([1, 0]))


def _filled(variants: Sequence[str]) -> Any:
    hollow = alt.value("transparent")
    own = alt.Fill("variant:N", scale=colours(variants), legend=None)
    return alt.condition("isValid(datum.control)", hollow, own)


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
        axis=_whole(int(trials["order"].max())),
        scale=alt.Scale(zero=False, nice=False, padding=10),
    )
    y = alt.Y("value:Q", title=axis, scale=alt.Scale(zero=False, padding=14))
    colour = alt.Color("variant:N", scale=colours(variants))
    shape = _shape(trials)
    tips = ["variant:N", "trial:Q", "state:N", "reason:N", alt.Tooltip("value:Q", format=".4~f")]
    marks = {"x": x, "color": colour, "shape": shape, "tooltip": tips}
    valued, lost = trials[trials["value"].notna()], trials[trials["value"].isna()]
    layers = [
        alt.Chart(running_best)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(x=x, y=y, color=colour),
        alt.Chart(valued).mark_point(**DOT).encode(y=y, **marks),
        alt.Chart(lost).mark_point(**DOT).encode(y=alt.value(252), **marks),
    ]
    drawn = [layer for layer in layers if len(layer.data)]
    return alt.layer(*drawn).properties(width="container", height=260)


def _shape(frame: pd.DataFrame) -> alt.Shape:
    """Shape by state, of the states there are."""
    present = {state: SHAPES[state] for state in SHAPES if state in set(frame["state"])}
    scale = alt.Scale(domain=list(present), range=list(present.values()))
    return alt.Shape("state:N", scale=scale)


def curves(frame: pd.DataFrame, variants: Sequence[str], axis: str) -> Chart:
    """Learning curves: mean over seeds, and a band from the lowest seed to the highest.

    The first fifth of the epochs does not set the scale, so that the rest can be told apart.

    Args:
        frame: `contender, variant, control, step, mean, low, high, seeds`.
        variants: in the order of their colours.
        axis: title of the value axis.
    """
    settled = frame[frame["step"] >= frame["step"].max() / 5]
    scale = alt.Scale(domain=[settled["low"].min(), settled["high"].max()], padding=4)
    x = alt.X(
        "step:Q",
        title="epoch",
        axis=_whole(int(frame["step"].max())),
        scale=alt.Scale(zero=False, nice=False),
    )
    colour, dash = _lines(frame, variants)
    base = alt.Chart(frame).encode(x=x, color=colour)
    band = base.mark_area(opacity=0.16, clip=True).encode(
        y=alt.Y("low:Q", title=axis, scale=scale), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=2, clip=True).encode(
        y=alt.Y("mean:Q", title=axis, scale=scale),
        strokeDash=dash,
        tooltip=["contender:N", "step:Q", alt.Tooltip("mean:Q", format=".4~f"), "seeds:Q"],
    )
    return alt.layer(band, line).properties(width="container", height=300)


def _lines(frame: pd.DataFrame, variants: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
    """Colour by variant, dashes by control; one legend that shows both."""
    names = frame.drop_duplicates("contender")
    nth = names.groupby("variant", sort=False).cumcount()
    hue = dict(zip(variants, cycle(PALETTE), strict=False))
    domain = names["contender"].tolist()
    hues = alt.Scale(domain=domain, range=[hue[variant] for variant in names["variant"]])
    dashes = alt.Scale(domain=domain, range=[DASHES[n % len(DASHES)] for n in nth])
    legend = alt.Legend(symbolType="stroke", symbolOpacity=1, symbolSize=300, symbolStrokeWidth=2)
    return (
        alt.Color("contender:N", scale=hues, legend=legend),
        alt.StrokeDash("contender:N", scale=dashes, legend=legend),
    )


def _whole(last: int) -> alt.Axis:
    """An axis from 1 to `last` with whole numbers only, about ten of them at most."""
    rough = max(1.0, last / 10)
    ten = 10 ** math.floor(math.log10(rough))
    step = next(step for m in (1, 2, 5, 10) if (step := m * ten) >= rough)
    values = sorted({1, *range(step, last + 1, step)})
    return alt.Axis(values=values, format="d", labelOverlap=True)


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
    panels = [
        _slice(frame[frame["parameter"] == name], name, kind, variants, y, _shape(frame))
        for name, kind in kinds.items()
    ]
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
    return [step * 10.0**ten for ten in tens for step in steps if low <= step * 10.0**ten <= high]


def on_paper(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification for a file: black on white, and as wide as a column of text."""
    sized = {"width": 640} if spec.get("width") == "container" else {}
    return spec | sized | {"background": "white", "padding": 12}
