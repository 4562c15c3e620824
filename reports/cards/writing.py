"""What several cards need to write and thin."""

from __future__ import annotations

import pandas as pd

from .. import comparison as compare
from ..answer import metric_digits
from ..run import Run
from ..wording import titled

MOST = 2000  # points of one chart: more can neither be told apart nor mailed

ENOUGH, REACH = 6, 6.0  # rows, and their interquartile ranges, beyond which a row is far away


def axis(run: Run) -> str:
    """The objective's name, as an axis is titled."""
    return titled(run.validation)


def digits(run: Run) -> int:
    """Decimals of the metric in this run."""
    return metric_digits(compare.contenders(run), compare.differences(run))


def thinned(frame: pd.DataFrame, run: Run, most: int = MOST) -> pd.DataFrame:
    """At most so many trials: of the best a fifth, of the others an even sample, in their order.

    Args:
        frame: one row per trial, with `value`.
        run: says which values are better.
        most: rows that are kept.
    """
    if len(frame) <= most:
        return frame
    best = (frame["value"] * run.sign).nlargest(most // 5).index
    rest = frame.drop(best).sample(most - len(best), random_state=0).index
    return frame.loc[best.union(rest)].sort_index()


def thinning(shown: int, of: int) -> str:
    """One sentence when not all trials are drawn."""
    return f" Drawn are {shown:,} of {of:,} trials, the best among them." if shown < of else ""


def near(rows: pd.DataFrame, centre: str, may_be_far: pd.Series[bool]) -> pd.Series[bool]:
    """Which rows set the scale of a chart: all, but for those that would press the others together.

    Args:
        rows: of the chart.
        centre: the column of a row's place.
        may_be_far: rows that a chart may leave at its edge, where they are named.
    """
    lower, upper = rows[centre].quantile([0.25, 0.75])
    reach = REACH * (upper - lower)
    far = may_be_far & ~rows[centre].between(lower - reach, upper + reach)
    return ~far if len(rows) >= ENOUGH and reach > 0 else far | True
