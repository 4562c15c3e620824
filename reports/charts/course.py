"""What happened during training. Each function draws one frame and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..card import Chart
from ..wording import titled
from .theme import lines, movable, single_out, visible, whole

BAND = 0.16  # opacity of what lies between the lowest seed and the highest
DECADES = 100  # largest by smallest value, from where an axis is logarithmic


def curves(frame: pd.DataFrame, variants: Sequence[str], axis: str, near: pd.Series[bool]) -> Chart:
    """Learning curves: mean over seeds, and a band from the lowest seed to the highest.

    The first fifth of the epochs does not set the scale, so that the rest can be told apart.

    Args:
        frame: `contender, variant, control, step, mean, low, high, seeds`.
        variants: in the order of their colours.
        axis: title of the value axis.
        near: the rows that set the scale, but for the first epochs.
    """
    settled = frame[near & (frame["step"] >= frame["step"].max() / 5)]
    scale = alt.Scale(domain=[settled["low"].min(), settled["high"].max()], padding=4)
    x = alt.X(
        "step:Q",
        title="epoch",
        axis=whole(int(frame["step"].max())),
        scale=alt.Scale(zero=False, nice=False),
    )
    (colour, dash), only = lines(frame, variants), single_out("contender")
    base = alt.Chart(frame).encode(x=x, color=colour)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title=axis, scale=scale), y2="high:Q", opacity=visible(only, BAND)
    )
    line = base.mark_line(strokeWidth=2, clip=True, point=_alone(frame, "step")).encode(
        y=alt.Y("mean:Q", title=axis, scale=scale),
        strokeDash=dash,
        opacity=visible(only, 1.0),
        tooltip=["contender:N", "step:Q", alt.Tooltip("mean:Q", format=".4~f"), "seeds:Q"],
    )
    both = alt.layer(band, line.add_params(only, movable()))
    return both.properties(width="container", height=300)


def panels(frame: pd.DataFrame, variants: Sequence[str], across: str, along: str) -> Chart:
    """One panel per quantity: its mean over seeds with the lowest and the highest, by contender.

    Args:
        frame: `contender, variant, control, name, <across>, mean, low, high`.
        variants: in the order of their colours.
        across: the column of the x axis, which is also what counts.
        along: title of the x axis.
    """
    pens, only = lines(frame, variants), single_out("contender")
    views = [
        _panel(own, (across, along), pens, only, nth, _scale(own)).properties(
            title=titled(str(name)), width=250, height=170
        )
        for nth, (name, own) in enumerate(frame.groupby("name", sort=False))
    ]
    return alt.concat(*views, columns=3, spacing=24)


def series(frame: pd.DataFrame, variants: Sequence[str]) -> Chart:
    """One panel per series; of before and after training, one beside the other, on one scale.

    Args:
        frame: `contender, variant, control, name, index, mean, low, high`.
        variants: in the order of their colours.
    """
    pens, only = lines(frame, variants), single_out("contender")
    quantity = frame["name"].str.replace(r"^(before|after)_(?=.)", "", regex=True)
    views: list[Any] = []
    pairs = True
    for name, own in frame.groupby(quantity, sort=False):
        along = "time step" if "gradient" in str(name) else "position"
        shown = [n for n in (f"before_{name}", f"after_{name}", str(name)) if n in set(own["name"])]
        pairs = pairs and len(shown) == 2
        for each in shown:
            part = own[own["name"] == each]
            panel = _panel(part, ("index", along), pens, only, len(views), _scale(own))
            views.append(panel.properties(title=titled(each), width=300, height=200))
    return alt.concat(*views, columns=2 if pairs else 3, spacing=24)


def _panel(
    own: pd.DataFrame,
    axes: tuple[str, str],
    pens: tuple[alt.Color, alt.StrokeDash],
    only: alt.Parameter,
    nth: int,
    scale: alt.Scale,
) -> Any:
    """Lines and bands over one axis; the first panel of a chart takes its selection."""
    across, along = axes
    if scale["type"] == "log":  # has no place for zero
        least = _positive(own).min()
        own = own.assign(low=own["low"].clip(lower=least), mean=own["mean"].where(own["mean"] > 0))
    x = alt.X(f"{across}:Q", title=along, axis=alt.Axis(tickCount=5, format="~s"))
    x["scale"] = alt.Scale(zero=False, nice=False)
    if across == "step":
        x["axis"] = whole(int(own[across].max()))
    axis = alt.Axis(tickCount=5, format=".3~g")
    colour, dash = pens
    base = alt.Chart(own).encode(x=x, color=colour)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title=None, scale=scale, axis=axis),
        y2="high:Q",
        opacity=visible(only, BAND),
    )
    line = base.mark_line(strokeWidth=1.8, clip=True, point=_alone(own, across)).encode(
        y=alt.Y("mean:Q", title=None, scale=scale, axis=axis),
        strokeDash=dash,
        opacity=visible(only, 1.0),
        tooltip=["contender:N", f"{across}:Q", alt.Tooltip("mean:Q", format=".4~g")],
    )
    first = () if nth else (only,)  # one selection serves all panels
    return alt.layer(band, line.add_params(*first, movable(nth)))


def _scale(frame: pd.DataFrame) -> alt.Scale:
    """From the lowest to the highest seed; logarithmic where they span decades above zero."""
    known = _positive(frame)
    if not frame["low"].min() < 0 and len(known) and known.max() / known.min() > DECADES:
        return alt.Scale(type="log", domain=[float(known.min()), float(known.max())])
    return alt.Scale(
        type="linear",
        domain=[float(frame["low"].min()), float(frame["high"].max())],
        nice=True,
        zero=False,
    )


def _positive(frame: pd.DataFrame) -> pd.Series[float]:
    values: pd.Series[float] = pd.concat([frame[c] for c in ("low", "mean", "high")])
    return values[values > 0]


def _alone(frame: pd.DataFrame, across: str) -> bool:
    """Lines of one place only, which would not be seen without a point."""
    return bool(frame[across].nunique() == 1)
