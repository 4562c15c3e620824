"""What a variant costs against the baseline, in words."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from .run import Run
from .wording import listing, seconds, significant, titled

Row = dict[str, Any]


def price(run: Run, own: Row, other: Row) -> str:
    """Time, parameters and epochs against the baseline, from two rows of `contenders`.

    What is unknown is left out.
    """
    parts = [p for p in (_time(own, other), _size(own, other), _second(run, own, other)) if p]
    told = f"Cost against {run.baseline}: {listing(parts)}." if parts else ""
    return f"{told} {_speed(own, other, run.metric)}".strip()


def _time(own: Row, other: Row) -> str:
    a, b = own["seconds_per_epoch"], other["seconds_per_epoch"]
    if not (a > 0 and b > 0):
        return ""
    ratio = "" if 0.995 <= a / b < 1.005 else f"{a / b:.2f} times "
    return f"one epoch takes {ratio}as long ({seconds(a)} against {seconds(b)})"


def _second(run: Run, own: Row, other: Row) -> str:
    """The space's second metric, evaluations say."""
    a, b = own["cost"], other["cost"]
    if not (a > 0 and b > 0):
        return ""
    name = titled(run.cost)
    ratio = a / b
    return f"it takes {ratio:.2f} times the {name} ({significant(a)} against {significant(b)})"


def _size(own: Row, other: Row) -> str:
    a, b = own["n_parameters"], other["n_parameters"]
    if not (math.isfinite(a) and math.isfinite(b)):
        return ""
    if a == b:
        return f"it has as many parameters ({a:,.0f})"
    more = "more" if a > b else "fewer"
    return f"it has {abs(a - b):,.0f} {more} parameters ({a:,.0f} against {b:,.0f})"


def _speed(own: Row, other: Row, metric: str) -> str:
    first, goal = _epoch(own), _epoch(other)
    if goal is None:
        return ""
    best = f"{other['contender']}'s best validation {metric}"
    if first is None:
        return f"{own['contender']} never reaches {best} (that of epoch {goal})."
    return (
        f"{own['contender']} reaches {best} at epoch {first}, {other['contender']} at epoch {goal}."
    )


def _epoch(row: Row) -> int | None:
    reached = row["epochs_to_baseline"]
    return None if pd.isna(reached) else int(reached)
