"""What all charts share: the theme, one colour per variant, axes.

Text and rules take the page's own colour (`currentColor`), so that one chart serves light and dark
pages and print. A variant has one colour in all charts; its controls share it, dashed and hollow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any, Literal

import altair as alt
import pandas as pd

from ..card import Chart

# Okabe & Ito, "Color Universal Design" (2008): the six that stand out on white and on near-black
# (their blue a little lighter for the latter), the best first; then a purple and a grey.
PALETTE = ("#1A7FC2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
DASHES = ([1, 0], [6, 3], [2, 3], [8, 3, 2, 3], [12, 4])
SHAPES = {"complete": "circle", "pruned": "triangle-down", "failed": "cross"}
DOT: dict[str, Any] = {"size": 50, "filled": True, "clip": True}
FAINT = 0.04  # opacity of what the reader has not singled out

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
        "direction": "horizontal",
        "columns": 3,  # the page has as many as there is room for
        "title": None,
    },
    "title": {
        "color": "currentColor",
        "fontSize": 12,
        "fontWeight": 600,
        "anchor": "start",
        "frame": "group",
    },
    "text": {"color": "currentColor", "fontSize": 12},
    "rule": {"color": "currentColor"},
}


def themed(chart: Chart) -> dict[str, Any]:
    """The chart as a Vega-Lite specification with the house theme and its data inside."""
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = chart.to_dict()
    data = {name: [_short(row) for row in rows] for name, rows in spec["datasets"].items()}
    return spec | {"config": THEME, "datasets": data}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """The row with six figures per number: more cannot be seen, and a page has to be mailed."""
    return {name: _figure(value) for name, value in row.items()}


def _figure(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None  # JSON knows no NaN


def colours(variants: Sequence[str]) -> alt.Scale:
    """One colour per variant, the same in every chart."""
    hues = [hue for hue, _ in zip(cycle(PALETTE), variants, strict=False)]
    return alt.Scale(domain=list(variants), range=hues)


def single_out(by: str) -> alt.Parameter:
    """What a reader singles out by a click on its name in the legend."""
    return alt.selection_point(name=f"only_{by}", fields=[by], bind="legend")


def visible(only: alt.Parameter, opacity: float) -> Any:
    """The opacity of a mark, as long as nothing else is singled out."""
    return alt.condition(only, alt.value(opacity), alt.value(min(opacity, FAINT)))


def movable(nth: int = 0, axes: Sequence[Literal["x", "y"]] = ("x", "y")) -> alt.Parameter:
    """Axes that follow a drag, and the wheel with Shift: without it the wheel moves the page."""
    return alt.selection_interval(
        name=f"moved_{nth}", bind="scales", encodings=list(axes), zoom="wheel![event.shiftKey]"
    )


def few(title: str) -> alt.Axis:
    """A value axis whose labels have room on a narrow screen too."""
    return alt.Axis(title=title, tickCount=5)


def shape(frame: pd.DataFrame) -> alt.Shape:
    """Shape by state, of the states there are."""
    present = {state: SHAPES[state] for state in SHAPES if state in set(frame["state"])}
    scale = alt.Scale(domain=list(present), range=list(present.values()))
    return alt.Shape("state:N", scale=scale)


def lines(frame: pd.DataFrame, variants: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
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


def whole(last: int) -> alt.Axis:
    """An axis from 1 to `last` with whole numbers only, about ten of them at most."""
    rough = max(1.0, last / 10)
    ten = 10 ** math.floor(math.log10(rough))
    step = next(step for m in (1, 2, 5, 10) if (step := m * ten) >= rough)
    values = sorted({1, *range(step, last + 1, step)})
    return alt.Axis(values=values, format="d", labelOverlap=True)


def gradient(title: str) -> alt.Legend:
    """The legend of a continuous colour."""
    return alt.Legend(title=title, direction="horizontal", gradientLength=180, format=".3~g")


def stacked(panels: Sequence[Any]) -> Chart:
    """Panels below each other, each as wide as the page."""
    return panels[0] if len(panels) == 1 else alt.vconcat(*panels, spacing=30)


def on_paper(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification for a file: black on white, and as wide as a column of text."""
    return _sized(spec) | {"background": "white", "padding": 12}


def _sized(spec: dict[str, Any]) -> dict[str, Any]:
    if "vconcat" in spec:
        return spec | {"vconcat": [_sized(view) for view in spec["vconcat"]]}
    return spec | ({"width": 640} if spec.get("width") == "container" else {})
