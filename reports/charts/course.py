"""What happened during training. Each function draws one frame and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ..card import Chart
from ..wording import titled
from .theme import lines, movable, single_out, visible, whole

BAND = 0.16  # opacity of what lies between the lowest seed and the highest


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
    (colour, dash), only = lines(frame, variants), single_out("contender")
    views = []
    for nth, (name, own) in enumerate(frame.groupby("name", sort=False)):
        x = alt.X(f"{across}:Q", title=along, axis=alt.Axis(tickCount=5, format="~s"))
        x["scale"] = alt.Scale(zero=False, nice=False)
        scale = alt.Scale(type="log") if _wide(own) else alt.Scale(zero=False)
        axis = alt.Axis(tickCount=5, format=".3~g")
        base = alt.Chart(own, title=titled(str(name))).encode(x=x, color=colour)
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
        both = alt.layer(band, line.add_params(*first, movable(nth)))
        views.append(both.properties(width=250, height=170))
    return alt.concat(*views, columns=3, spacing=24)


def _alone(frame: pd.DataFrame, across: str) -> bool:
    """Lines of one place only, which would not be seen without a point."""
    return bool(frame[across].nunique() == 1)


def _wide(frame: pd.DataFrame) -> bool:
    """Values that span more than two decades, all of them positive."""
    low, high = frame["low"].min(), frame["high"].max()
    return bool(low > 0 and high / low > 100)
