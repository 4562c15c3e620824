"""More of a sweep: its plan with a larger budget, and what was decided before kept beside it.

The studies go on as they are. Trial `k` of a search is sampled from the plan's seed and from the
trials before it, never from how many there will be: so 20 trials extended to 40 are the trials of
a sweep of 40. A confirmation is done again only where the longer search chose something else.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import environment, points
from .ledger import Ledger
from .plan import EXTENDABLE, BadInput, Plan, resume_command


@dataclass(frozen=True, kw_only=True)
class Extension:
    """The totals that a sweep is to have. None leaves one as it is.

    Attributes:
        trials: search trials per variant.
        seeds: for each contender.
        budget: the most that the search may cost, by metric.
    """

    trials: int | None = None
    seeds: int | None = None
    budget: Mapping[str, float] = field(default_factory=dict)


def extend(folder: Path, extension: Extension) -> Plan:
    """Writes a larger plan into a run directory; `momentune resume` then works on it.

    Raises:
        BadInput: nothing would grow, something would shrink, or a driver works on the run.
    """
    plan = Plan.load(folder)
    with Ledger.locked(folder, plan) as ledger:  # nobody searches by the old plan meanwhile
        going_on = "" if ledger.done else resume_command(folder)
        plan = extended(Plan.load(folder), extension, going_on)
        if extension.trials and not extension.budget and all(map(ledger.used_up, plan.variants)):
            there = ", ".join(f"{name}={most:g}" for name, most in plan.budget.items())
            raise BadInput(
                f"--trials {extension.trials} would add none: the budget ({there}) is used up by "
                "every variant; raise it with --budget"
            )
        plan.save(folder)
    return plan


def extended(plan: Plan, extension: Extension, going_on: str = "") -> Plan:
    """The plan with the larger totals.

    Args:
        plan: as it is.
        extension: the totals.
        going_on: what to type to end the sweep of the plan as it is; empty if it has ended.

    Raises:
        BadInput: nothing would grow, or something would shrink.
    """
    before = {name: getattr(plan, name) for name in EXTENDABLE}
    searches = _searches(plan, extension.trials)
    now: dict[str, Any] = {
        "trials": max(searches.values()) if searches else extension.trials or plan.trials,
        "seeds": extension.seeds or plan.seeds,
        "searches": searches,
        "budget": {**plan.budget, **extension.budget},
    }
    _check(plan, extension, now, going_on)
    told = {
        **before,
        "until": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "by": shlex.join(["momentune", *sys.argv[1:]]),
        "versions": environment.versions(),
        "git": environment.revision(Path(__file__).parent),
    }
    return replace(plan, **now, extensions=[*plan.extensions, told])


def _searches(plan: Plan, trials: int | None) -> dict[str, int]:
    """The search trials of each variant, where a grid decides them."""
    if not (plan.searches and trials):
        return plan.searches
    counts = {name: len(points.grid(plan.space, name)) for name in plan.variants}
    return {name: max(plan.searches[name], min(count, trials)) for name, count in counts.items()}


def _check(plan: Plan, extension: Extension, now: dict[str, Any], going_on: str) -> None:
    for name in ("trials", "seeds"):
        asked, there = getattr(extension, name), getattr(plan, name)
        if asked is not None and asked < there:
            raise BadInput(
                f"--{name} {asked} is less than the {there} that this sweep has; it is the new "
                "total, and results are never taken back"
            )
    for metric, most in extension.budget.items():
        if metric not in plan.budget or most < plan.budget[metric]:
            there = ", ".join(f"{n}={m:g}" for n, m in plan.budget.items()) or "none"
            raise BadInput(
                f"--budget {metric}={most:g} must raise a budget that this sweep has: {there}"
            )
    if all(now[name] == getattr(plan, name) for name in EXTENDABLE):
        grid = "; its grid has no further points" if plan.searches and extension.trials else ""
        raise BadInput(
            f"nothing would be added to {plan.trials} trials per variant and {plan.seeds} seeds"
            f"{grid}; name larger totals with --trials or --seeds"
            + f", or go on with what is left: {going_on}"
            * bool(going_on)
        )
