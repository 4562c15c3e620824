"""What a careful colleague would point out before believing the answer.

Each check is a function from the run to sentences; it is silent when there is nothing to say.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from . import comparison as compare
from .answer import reasons
from .frames import rows
from .run import Run, label
from .wording import listing, plural


def concerns(run: Run) -> list[str]:
    """Every warning there is, the gravest first."""
    return [sentence for check in CHECKS for sentence in check(run)]


def unfinished(run: Run) -> list[str]:
    """Fewer trials have ended than were planned."""
    done, planned = compare.progress(run)
    if done >= planned:
        return []
    running = int((run.trials["state"] == "RUNNING").sum())
    note = f", {running} more had started" if running else ""
    return [
        f"{done} of {planned} planned trials are done{note}. If the sweep no longer runs, this "
        f"goes on from here: momentune resume {shlex.quote(str(run.path))}"
    ]


def unequal_budgets(run: Run) -> list[str]:
    """Variants whose searches learnt from different numbers of trials."""
    spent = compare.budgets(run)
    used = dict(zip(spent["variant"], spent["complete"] + spent["pruned"], strict=True))
    if len(set(used.values())) < 2:
        return []
    told = listing([f"{variant} {n}" for variant, n in used.items()])
    return [
        f"The searches did not have equal budgets: of {run.plan['trials']} trials each, these "
        f"finished or were pruned: {told}. The variant with more had the better chance."
    ]


def failed_trials(run: Run) -> list[str]:
    """Trials that failed, by variant and phase."""
    failed = run.trials[run.trials["state"] == "FAIL"]
    sentences = []
    for (variant, phase), group in failed.groupby(["variant", "phase"], sort=False):
        own = run.trials[(run.trials["variant"] == variant) & (run.trials["phase"] == phase)]
        some = f"{len(group)} of {plural(len(own), f'{phase} trial')}"
        sentences.append(f"{variant}: {some} failed ({reasons(group)}).")
    return sentences


def lost_seeds(run: Run) -> list[str]:
    """Contenders whose mean is over the survivors only."""
    table = compare.contenders(run)
    failed = run.trials[(run.trials["phase"] == "confirm") & (run.trials["state"] == "FAIL")]
    broken = {label(v, c) for v, c in zip(failed["variant"], failed["control"], strict=True)}
    short = table[
        table["contender"].isin(broken) & (table["seeds"].between(1, table["planned"] - 1))
    ]
    return [
        f"The numbers of {row['contender']} are over {row['seeds']} of {row['planned']} seeds; "
        "those that failed might have been the worst."
        for row in rows(short)
    ]


def few_seeds(run: Run) -> list[str]:
    """Too few confirmed seeds for an interval, or for one that says much."""
    seeds = compare.contenders(run)["seeds"]
    if seeds.max() == 0 or seeds.min() >= 3:
        return []
    least = int(seeds[seeds > 0].min())
    if least < 2:
        return ["With 1 seed there is no interval; plan at least 3 (--seeds 5)."]
    return (
        []
        if least >= 3
        else ["With 2 seeds an interval is about 7 times as wide as with 5; plan more (--seeds 5)."]
    )


CHECKS: tuple[Callable[[Run], list[str]], ...] = (
    unfinished,
    unequal_budgets,
    failed_trials,
    lost_seeds,
    few_seeds,
)
