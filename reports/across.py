"""Several runs -> who is better across tasks, and what changed between two runs of one space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, count, permutations

import numpy as np
import pandas as pd

from . import comparison as compare
from .run import Run
from .statistics import (
    CriticalDifference,
    critical_difference,
    holm,
    interquartile_mean,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    unpaired_difference,
)
from .wording import listing


def titles(runs: Sequence[Run]) -> list[str]:
    """What each run is called: its name, numbered where two share it."""
    names = [run.name for run in runs]
    taken, found = set(names), list[str]()
    for name in names:
        free = (f"{name} ({n})" for n in count(1))
        title = name if names.count(name) == 1 else next(t for t in free if t not in taken)
        taken.add(title)
        found.append(title)
    return found


def scores(runs: Sequence[Run]) -> pd.DataFrame:
    """Every confirmed seed of every contender on a scale that tasks share.

    Columns `task, contender, variant, control, seed, value, score`: the score is 0 where guessing
    is (where that is not known, at the worst contender's mean) and 1 at the best contender's mean.
    """
    parts = []
    for run, task in zip(runs, titles(runs), strict=True):
        own = compare.confirmed(run)[["contender", "variant", "control", "seed", "value"]]
        parts.append(own.assign(task=task, score=_scaled(run, own)))
    return pd.concat(parts, ignore_index=True)


def _scaled(run: Run, own: pd.DataFrame) -> pd.Series[float]:
    means = (own["value"] * run.sign).groupby(own["contender"]).mean()
    chance = run.space.get("chance")
    zero = means.min() if chance is None else run.sign * float(chance)
    span = means.max() - zero
    return (own["value"] * run.sign - zero) / (span if span > 0 else 1.0)


def shared(table: pd.DataFrame) -> list[str]:
    """The contenders that have a result on every task, in the order they appear."""
    tasks = table["task"].nunique()
    counts = table.groupby("contender", sort=False)["task"].nunique()
    return [str(name) for name in counts[counts == tasks].index]


def _by_task(table: pd.DataFrame, contender: str) -> list[np.ndarray]:
    own = table[table["contender"] == contender]
    return [group["score"].to_numpy() for _, group in own.groupby("task")]


def missing(runs: Sequence[Run]) -> list[str]:
    """Which run has no result for which contender; one without any is not among the tasks."""
    sentences = []
    for run, title in zip(runs, titles(runs), strict=True):
        table = compare.contenders(run)
        without = table.loc[table["seeds"] == 0, "contender"]
        if len(without):
            none = len(without) == len(table)
            gone = ", so it counts in nothing that is told over tasks" if none else ""
            sentences.append(f"{title} has no result for {listing(without)}{gone}.")
    return sentences


def aggregates(table: pd.DataFrame) -> pd.DataFrame:
    """Interquartile mean and mean rank of each contender that ran on every task.

    Columns `contender, variant, control, tasks, iqm, low, high, mean_rank`.
    """
    names = shared(table)
    who = table.drop_duplicates("contender").set_index("contender")
    ranks = task_means(table, names).rank(axis="columns", ascending=False).mean()
    rows = []
    for name in names:
        found = interquartile_mean(_by_task(table, name))
        rows.append(
            {
                "contender": name,
                "variant": who.at[name, "variant"],
                "control": who.at[name, "control"],
                "tasks": table["task"].nunique(),
                "iqm": found.mean,
                "low": found.low,
                "high": found.high,
                "mean_rank": ranks[name],
            }
        )
    columns = ["contender", "variant", "control", "tasks", "iqm", "low", "high", "mean_rank"]
    return pd.DataFrame(rows, columns=columns).sort_values("mean_rank", ignore_index=True)


def task_means(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Mean score: a row per task, a column per contender."""
    means = table.pivot_table(index="task", columns="contender", values="score", aggfunc="mean")
    return means.reindex(columns=list(names))


def improvements(table: pd.DataFrame) -> pd.DataFrame:
    """Chance that a run of left beats a run of right: `left, right, probability, low, high`."""
    rows = []
    for left, right in permutations(shared(table), 2):
        found = probability_of_improvement(_by_task(table, left), _by_task(table, right))
        row = {"left": left, "right": right, "probability": found.mean}
        rows.append(row | {"low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["left", "right", "probability", "low", "high"])


def profiles(table: pd.DataFrame) -> pd.DataFrame:
    """Share of runs above each score.

    Columns `contender, variant, control, threshold, share, low, high`.
    """
    low, high = table["score"].min(), table["score"].max()
    at = np.linspace(low, high, 101)
    parts = []
    for name in shared(table):
        own = table[table["contender"] == name].iloc[0]
        frame = performance_profile(_by_task(table, name), at)
        parts.append(frame.assign(contender=name, variant=own["variant"], control=own["control"]))
    columns = ["contender", "variant", "control", "threshold", "share", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def ranking(table: pd.DataFrame) -> CriticalDifference | None:
    """Ranks over tasks with their groups; None with fewer than two tasks or contenders."""
    means = task_means(table, shared(table))
    return critical_difference(means) if min(means.shape) >= 2 else None


def changes(runs: Sequence[Run]) -> pd.DataFrame:
    """What changed between runs of one space, for every pair of them and every contender of both.

    Paired by seed where at least two seeds are shared, else by Welch's test. Columns `contender,
    variant, control, before, after, test_before, test_after, gain, low, high, seeds, lost,
    paired, p, p_holm, verdict`; positive is better, and where seeds were lost there is no verdict.
    """
    rows = [
        _change(runs[i], runs[j], names, contender)
        for (i, j), names in _same_space(runs).items()
        for contender in compare.confirmed_gains(runs[i])
        if contender in compare.confirmed_gains(runs[j])
    ]
    frame = pd.DataFrame(rows, columns=_CHANGE)
    adjusted = holm(frame["p"].to_numpy(dtype=np.float64))
    judged = np.where(frame["lost"] == 0, adjusted, np.nan)
    verdicts = [compare.verdict(g, p) for g, p in zip(frame["gain"], judged, strict=True)]
    return frame.assign(p_holm=adjusted, verdict=pd.Series(verdicts, dtype="str"))


_CHANGE = [
    *("contender", "variant", "control", "before", "after", "test_before", "test_after"),
    *("gain", "low", "high", "seeds", "lost", "paired", "p"),
]


def _same_space(runs: Sequence[Run]) -> dict[tuple[int, int], tuple[str, str]]:
    """Pairs of runs of the same space, in the order they were made."""
    names = titles(runs)
    order = sorted(range(len(runs)), key=lambda i: str(runs[i].plan.get("created") or ""))
    return {
        (i, j): (names[i], names[j])
        for i, j in combinations(order, 2)
        if question(runs[i]) == question(runs[j])
    }


def question(run: Run) -> tuple[str, str, float]:
    """What two runs must share to be before and after of one another."""
    return str(run.space.get("name") or run.name), run.metric, run.sign


def latest(runs: Sequence[Run]) -> list[Run]:
    """Of each space the run that was made last: each task counts once."""
    ordered = sorted(runs, key=lambda run: str(run.plan.get("created") or ""))
    return list({question(run): run for run in ordered}.values())


def _change(before: Run, after: Run, names: tuple[str, str], contender: str) -> dict[str, object]:
    a, b = (compare.confirmed_gains(run)[contender] for run in (after, before))
    common = a.index.intersection(b.index)
    paired = len(common) >= 2
    if paired:  # means of the very seeds that the gain is of
        a, b = a[common], b[common]
    found = (paired_difference if paired else unpaired_difference)(a, b)
    variant, _, control = contender.partition("/")
    return {
        "contender": contender,
        "variant": variant,
        "control": control or None,
        "before": names[0],
        "after": names[1],
        "test_before": before.sign * b.mean(),
        "test_after": after.sign * a.mean(),
        "gain": found.mean,
        "low": found.low,
        "high": found.high,
        "seeds": found.n,
        "lost": sum(len(compare.lost_seeds(run).get(contender, ())) for run in (before, after)),
        "paired": paired,
        "p": found.p,
    }


def unlike(runs: Sequence[Run]) -> list[str]:
    """What else differs between runs of one space, so that a change may be due to it."""
    sentences = []
    for (i, j), (a, b) in _same_space(runs).items():
        first, second = _conditions(runs[i]), _conditions(runs[j])
        for name, value in first.items():
            if value != second[name]:
                told = f": {value} and {second[name]}" if name in _SHORT else ""
                sentences.append(f"{a} and {b} did not have the same {name}{told}.")
    return sentences


_SHORT = ("trials", "epochs", "seeds", "scale", "sampler", "scheduler")
"""The conditions whose values say something to a reader."""


def _conditions(run: Run) -> dict[str, object]:
    """What a comparison of two runs takes to be the same, by the words for it."""
    plan = run.plan
    named = {key: (plan.get(key) or {}).get("name") for key in ("sampler", "scheduler")}
    return {
        **{key: plan.get(key) for key in ("trials", "epochs", "seeds")},
        "scale": run.space.get("scale"),
        **named,
        "variants and ranges": run.space.get("digest"),
        "data": _data(run),
        "code": (plan.get("git") or {}).get("revision"),
    }


def _data(run: Run) -> object:
    data = run.space.get("data") or {}
    return data.get("sha256") or tuple(data.get(s) for s in ("train", "validation", "test"))
