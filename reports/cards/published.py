"""The card on results of others: beside ours, never mixed with them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .. import comparison as compare
from ..card import Card
from ..run import Run, label


def published(run: Run) -> Card | None:
    """Published results beside ours on the same metric and split, never mixed with them."""
    told = run.space.get("published") or []
    if not told:
        return None
    frame = beside(run, told)
    known, scale = int(frame["here"].notna().sum()), run.space.get("scale") or "its own"
    beside_ours = (
        f"{known} of {len(frame)} stand beside ours, which are means over the confirmed seeds of "
        f"this run, at {scale} scale and after the last epoch, of the same metric and split."
        if known
        else f"This run, at {scale} scale, has not measured any of them yet."
    )
    finding = (
        f"{beside_ours} They are not compared: data, size and budget differ from one setting to "
        "another."
    )
    return Card("Published results", finding, frame)


def beside(run: Run, told: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per published result, with what the confirmed trials of the same contender measured.

    Columns `contender, split, metric, published, spread`; `here, spread_here, seeds`: mean and
    sample standard deviation over so many seeds, missing where it was not measured here; `scale`
    of this run; `setting, source, evidence` of theirs.
    """
    trials, scale = compare.confirmed(run), run.space.get("scale")
    lines = []
    for entry in told:
        contender = label(str(entry.get("variant")), entry.get("control") or None)
        split, metric = str(entry.get("split") or "test"), str(entry.get("metric"))
        own = _measured(run, trials[trials["contender"] == contender], split, metric)
        lines.append(
            {
                "contender": contender,
                "split": split,
                "metric": metric,
                "published": entry.get("value"),
                "spread": entry.get("spread"),
                "here": own.mean(),
                "spread_here": own.std(),
                "seeds": own.count(),
                "scale": scale,
                **{name: entry.get(name) for name in ("setting", "source", "evidence")},
            }
        )
    return pd.DataFrame(lines).astype(dict.fromkeys(_NUMBERS, "float64"))


_NUMBERS = ("published", "spread", "here", "spread_here")


def _measured(run: Run, own: pd.DataFrame, split: str, metric: str) -> pd.Series[float]:
    """A metric of the last epoch of some trials; empty where they do not tell it of that split."""
    names = {
        "test": [f"metric.test_{metric}", "value" if metric == run.metric else ""],
        "validation": [f"metric.validation_{metric}"],
        "train": [f"metric.train_{metric}", f"metric.{metric}"],  # a reading is of training
    }
    found = next((name for name in names.get(split, ()) if name in own), None)
    column = own[found] if found else pd.Series(dtype="float64")
    return pd.to_numeric(column, errors="coerce").astype("float64").dropna()
