"""Cards on what happened during training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from .. import comparison as compare
from ..card import Card
from ..charts import course as charts
from ..run import Run
from ..wording import listing, significant, titled
from .writing import axis, near


def curves(run: Run) -> Card:
    """Validation curves of the confirmed runs."""
    title, frame = "Learning curves of the confirmed runs", compare.validation_curves(run)
    if frame.empty:
        return Card(title, "No confirmed run has a validation curve yet.", frame)
    reached = compare.epochs_to_baseline(run)
    told = listing(
        [
            f"{name} at epoch {reached[name]}"
            for name in frame["contender"].unique()
            if name in reached and name != run.baseline
        ]
        or [""]
    )
    finding = f"{run.baseline}'s best mean is reached by {told}. " if told else ""
    last = frame.groupby("contender", sort=False).tail(1).set_index("contender")
    close = near(last, "mean", last["control"].notna())
    far = [str(name) for name in close.index[~close]]
    note = "Lines are means over seeds, bands run from the lowest seed to the highest."
    note += f" Far off the scale: {listing(far)}." if far else ""
    chart = charts.curves(frame, run.variants, axis(run), frame["contender"].map(close))
    return Card(title, finding + note, frame, chart)


PNG, MOST_BYTES = b"\x89PNG\r\n\x1a\n", 400_000  # what a picture begins with, and may weigh
MOST_PICTURES = 12


def samples(run: Run) -> Card | None:
    """Pictures that confirmed networks made, from `samples/`: of each contender its first seed."""
    made = compare.confirmed(run)
    files = {n: run.path / "samples" / f"trial-{n:06d}.png" for n in made["trial"]}
    made = made[[_is_picture(files[n]) for n in made["trial"]]]
    if made.empty:
        return None
    first = made.drop_duplicates("contender")[["contender", "seed", "trial"]].head(MOST_PICTURES)
    shown = {
        f"{name}, seed {seed}": files[trial].read_bytes()
        for name, seed, trial in first.itertuples(index=False)
    }
    note = "What the trained networks draw; nothing was chosen, each shows its first seed."
    return Card("Samples", note, first.reset_index(drop=True), pictures=shown)


def _is_picture(file: Path) -> bool:
    """A PNG that a page can carry; its inside is left to the browser."""
    if not file.is_file() or file.stat().st_size > MOST_BYTES:
        return False
    with file.open("rb") as opened:
        return opened.read(len(PNG)) == PNG


USUAL = {"trial", "attempt", "step", "time", "epoch", "seconds", "n_parameters", "seed"}
SPLITS = ("train_", "validation_", "test_")
MOST_PANELS = 12
MOST_TOLD = 4  # readings whose last values are put in words


def readings(run: Run) -> Card | None:
    """What modules told about themselves: a learned momentum, evaluations of a vector field."""
    who = compare.confirmed(run)[["trial", "contender"]]
    rows = run.curves.merge(who, on="trial")
    names = [str(n) for n in rows.select_dtypes("number") if _reading(run, str(n))]
    names = [n for n in names if rows[n].notna().any()]
    if not names:
        return None
    long = rows.melt(["contender", "variant", "control", "step"], names[:MOST_PANELS], "name")
    frame = _over_seeds(long.dropna(subset="value"), "step")
    told = f" The first {MOST_PANELS} of {len(names)}." if len(names) > MOST_PANELS else ""
    note = "Means over the confirmed seeds; brackets and bands go from the lowest to the highest."
    note = f"{_arrived(frame)}{note}{told}"
    chart = charts.panels(frame, run.variants, "step", "epoch")
    return Card("Readings over the epochs", note, frame, chart)


def _arrived(frame: pd.DataFrame) -> str:
    """Where the variants' readings are in the end, with the lowest and the highest seed."""
    own = frame[frame["control"].isna()]
    last = own.groupby(["name", "contender"], sort=False).tail(1)
    told = [
        f"{titled(str(name))}, " + listing([_ranging(row) for row in of.itertuples()])
        for name, of in last.groupby("name", sort=False)
    ]
    return f"After the last epoch: {'; '.join(told[:MOST_TOLD])}. " if told else ""


def _ranging(row: Any) -> str:
    low, high = significant(row.low), significant(row.high)
    ends = f" [{low}, {high}]" if row.seeds > 1 and low != high else ""
    return f"{row.contender} {significant(row.mean)}{ends}"


def _reading(run: Run, name: str) -> bool:
    return name not in USUAL and name != run.metric and not name.startswith(SPLITS)


def _over_seeds(long: pd.DataFrame, across: str) -> pd.DataFrame:
    long["value"] = pd.to_numeric(long["value"]).astype("float64")
    key = ["contender", "variant", "control", "name", across]
    groups = long.groupby(key, dropna=False, sort=False)["value"]
    return groups.agg(mean="mean", low="min", high="max", seeds="count").reset_index()


def series(run: Run) -> Card | None:
    """Metrics that are lists: how the gradient flows back in time, a spectrum."""
    who = compare.confirmed(run)[["trial", "contender", "variant", "control"]]
    long = run.series.merge(who, on="trial")
    if long.empty:
        return None
    names = long["name"].unique()[:MOST_PANELS]
    last = long.groupby(["trial", "name"])["epoch"].transform("max")
    long = long[long["name"].isin(names) & (long["epoch"] == last)]
    frame = _over_seeds(long, "index")
    flows = all("gradient_norm" in name for name in names)
    by = "time step" if flows else "position (a time step, an eigenvalue)"
    note = (
        f"Means over the seeds of the confirmed runs by {by}, bands from the lowest to the highest "
        "seed. An axis is logarithmic where a quantity spans decades, and leaves out zeros then."
    )
    chart = charts.series(frame, run.variants)
    return Card("Gradient flow" if flows else "Series", f"{_reach(run, frame)}{note}", frame, chart)


def _reach(run: Run, frame: pd.DataFrame) -> str:
    """How large the gradient by h is at the first time step, as a share of that at the last."""
    told = []
    for when in ("before", "after"):
        own = frame[(frame["name"] == f"{when}_gradient_norm_hidden") & frame["control"].isna()]
        ends = own.groupby("contender", sort=False)["mean"].agg(["first", "last"])
        shares = (ends["first"] / ends["last"]).dropna()
        each = [f"{name} {significant(share, 2)}" for name, share in shares.items()]
        told += [f"{when} training {listing(each)}"] if each else []
    if not told:
        return ""
    return (
        "The gradient of the (last) answer's loss by h at the first time step, as a share of that "
        "at the last: "
        f"{'; '.join(told)}. "
    )
