"""What happened during training. Each function draws one frame and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ..card import Chart
from .theme import lines, whole


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
        axis=whole(int(frame["step"].max())),
        scale=alt.Scale(zero=False, nice=False),
    )
    colour, dash = lines(frame, variants)
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


def panels(frame: pd.DataFrame, variants: Sequence[str], across: str, along: str) -> Chart:
    """One panel per quantity: its mean over seeds with the lowest and the highest, by contender.

    Args:
        frame: `contender, variant, control, name, <across>, mean, low, high`.
        variants: in the order of their colours.
        across: the column of the x axis, which is also what counts.
        along: title of the x axis.
    """
    colour, dash = lines(frame, variants)
    views = []
    for name, own in frame.groupby("name", sort=False):
        x = alt.X(f"{across}:Q", title=along, axis=alt.Axis(tickCount=5, format="~s"))
        x["scale"] = alt.Scale(zero=False, nice=False)
        scale = alt.Scale(type="log") if _wide(own) else alt.Scale(zero=False)
        axis = alt.Axis(tickCount=5, format=".2~g")
        base = alt.Chart(own, title=str(name)).encode(x=x, color=colour)
        band = base.mark_area(opacity=0.16).encode(
            y=alt.Y("low:Q", title=None, scale=scale, axis=axis), y2="high:Q"
        )
        line = base.mark_line(strokeWidth=1.8).encode(
            y=alt.Y("mean:Q", title=None, scale=scale, axis=axis),
            strokeDash=dash,
            tooltip=["contender:N", f"{across}:Q", alt.Tooltip("mean:Q", format=".4~g")],
        )
        views.append(alt.layer(band, line).properties(width=250, height=170))
    return alt.concat(*views, columns=3, spacing=24)


def _wide(frame: pd.DataFrame) -> bool:
    """Values that span more than two decades, all of them positive."""
    low, high = frame["low"].min(), frame["high"].max()
    return bool(low > 0 and high / low > 100)
