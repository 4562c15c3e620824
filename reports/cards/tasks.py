"""Cards across runs: each a function of the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, count
from math import comb

import pandas as pd

from .. import across
from ..card import Card
from ..charts import tasks as charts
from ..run import Run
from ..statistics import ALPHA
from ..wording import listing, probability

Runs = Sequence[Run]


def variants(runs: Runs) -> list[str]:
    """All variants in the order they appear: one colour each."""
    return list(dict.fromkeys(chain.from_iterable(run.variants for run in runs)))


def changes(runs: Runs) -> Card | None:
    """Before and after, where two runs are of the same space."""
    frame = across.changes(runs)
    if frame.empty:
        return None
    frame["comparison"] = frame["contender"] + ": " + frame["before"] + " → " + frame["after"]
    decided = frame[frame["verdict"] != "not enough evidence"]
    told = [f"{r.contender} is {r.verdict} in {r.after}" for r in decided.itertuples()]
    finding = f"{listing(told)}. " if told else "No clear change was found. "
    alone = frame.loc[~frame["paired"], "contender"].unique()
    pairing = "Paired by seed. "
    if len(alone):
        rest = "" if len(alone) == frame["contender"].nunique() else f" of {listing(alone)}"
        pairing = f"The seeds{rest} differ: Welch's test. "
    caveats = " ".join(across.unlike(runs))
    finding += f"{pairing}p-values are corrected by Holm's method. {caveats}".strip()
    return Card("Before and after", finding, frame, charts.changes(frame, variants(runs)))


def by_task(runs: Runs) -> pd.DataFrame:
    """Scores on each task, of the latest run of each space; empty with fewer than two tasks."""
    tasks = across.latest(runs)
    return across.scores(tasks) if len(tasks) > 1 else pd.DataFrame()


def aggregates(runs: Runs) -> Card | None:
    """Interquartile means over all runs of all tasks."""
    table = by_task(runs)
    frame = table if table.empty else across.aggregates(table)
    if frame.empty:
        return None
    finding = (
        "Scores are 0 at guessing (where that is unknown, at the worst contender's mean) and 1 at "
        "the best contender's mean on each task. Bars are 95% stratified bootstrap intervals over "
        "seeds: too narrow with fewer than about ten seeds a task, and silent about other tasks."
    )
    chart = charts.aggregates(frame, variants(runs))
    return Card("Interquartile mean over tasks", finding, frame, chart)


def improvement(runs: Runs) -> Card | None:
    """Who beats whom, how often."""
    table = by_task(runs)
    frame = table if table.empty else across.improvements(table)
    if frame.empty:
        return None
    above = frame[frame["probability"] > 0.5].sort_values("probability", ascending=False)
    told = [
        f"{r.left} over {r.right} {r.probability:.2f} [{r.low:.2f}, {r.high:.2f}]"
        for r in above.head(3).itertuples()
    ]
    largest = f"The largest estimates: {listing(told)}. " if told else ""
    note = (
        "The chance that a run of the left beats one of the right on a task drawn at random, with "
        "95% bootstrap intervals, each by itself: over all pairs they are not corrected, so none "
        "is a verdict."
    )
    return Card("Probability of improvement", largest + note, frame)


def profile(runs: Runs) -> Card | None:
    """Performance profiles."""
    table = by_task(runs)
    frame = table if table.empty else across.profiles(table)
    if frame.empty:
        return None
    finding = "The higher the curve, the more runs reach a score; bands are pointwise 95%."
    chart = charts.profiles(frame, variants(runs))
    return Card("Performance profiles", finding, frame, chart)


def ranks(runs: Runs) -> Card | None:
    """The critical-difference diagram."""
    table = by_task(runs)
    found = None if table.empty else across.ranking(table)
    if found is None:
        return None
    who = table.drop_duplicates("contender").set_index("contender")["variant"]
    frame = pd.DataFrame({"contender": found.ranks.index, "rank": found.ranks.to_numpy()})
    frame = frame.assign(variant=frame["contender"].map(who), row=range(1, len(frame) + 1))
    groups = [
        {"first": found.ranks[clique[0]], "last": found.ranks[clique[-1]], "row": len(frame) + n}
        for n, clique in enumerate(found.cliques, start=1)
    ]
    tasks, needed = table["task"].nunique(), tasks_needed(len(frame))
    few = (
        f"With {tasks} tasks no pair of {len(frame)} contenders can reach p < 0.05, so that all "
        f"are joined; it takes {needed}. "
        if tasks < needed
        else ""
    )
    finding = (
        f"{few}Bars join contenders that Wilcoxon's test over tasks (Holm's correction) does not "
        f"tell apart. Friedman's test of \"all rank the same\": p {_p(found.friedman)}. Nemenyi's "
        f"older criterion would ask for a difference of {found.nemenyi:.2f} ranks."
    )
    cliques = pd.DataFrame(groups, columns=["first", "last", "row"])
    chart = charts.critical(frame, cliques, variants(runs))
    return Card("Critical difference of ranks", finding, frame, chart)


def tasks_needed(contenders: int) -> int:
    """Tasks from which Wilcoxon's test, 2 / 2^n at its least, can reach 0.05 after Holm."""
    return next(n for n in count(1) if comb(contenders, 2) * 2 / 2**n < ALPHA)


def _p(value: float) -> str:
    told = probability(value)
    return told if told.startswith("<") else f"= {told}"


CARDS: dict[str, Callable[[Runs], Card | None]] = {
    "changes": changes,
    "ranks": ranks,
    "aggregates": aggregates,
    "improvement": improvement,
    "profiles": profile,
}
