"""Trials of earlier runs that a sweep's sampler knows from the start.

With the same space that is a warm start, with a changed one a fork: the trials that still lie
inside it are known. They are written into the plan, so nothing is left to import once a sweep has
begun, and they are no trials of the sweep: not counted in a budget, not shown to a scheduler, and
never confirmed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial

from .ledger import Ledger
from .plan import BadInput, Plan
from .sampling import TEACHABLE

if TYPE_CHECKING:
    from ..spaces import Space

_COMPARABLE = ("task", "data", "metric", "direction")


def imported(runs: Sequence[Path], space: Space, sampler: str, epochs: int) -> list[dict[str, Any]]:
    """What a plan keeps of earlier runs: of each, its search trials that lie inside a space.

    Only those that ran to their end; they are found by the names of their variants.

    Args:
        runs: their directories.
        space: which is to be searched.
        sampler: that is to know them.
        epochs: of a full training.

    Raises:
        BadInput: the sampler would learn nothing from them, the values of a run are of another
            task, metric or length, or none of its trials lies inside.
    """
    if runs and sampler not in TEACHABLE:
        raise BadInput(
            f"--sampler {sampler} learns nothing from trials that it has not drawn, so --from "
            f"would change nothing; {', '.join(TEACHABLE)} do; take one, or leave --from out"
        )
    return [_imported(run, space, epochs) for run in dict.fromkeys(run.resolve() for run in runs)]


def _imported(run: Path, space: Space, epochs: int) -> dict[str, Any]:
    plan = Plan.load(run)
    _check_comparable(run, plan, space, epochs)
    ledger = Ledger(run, plan)
    names = [variant.name for variant in space.variants if variant.name in plan.variants]
    complete = {name: ledger.complete_searches(name) for name in names}
    inside = [told for name in names for told in _inside(space, name, complete[name])]
    if not inside:
        counts = ", ".join(f"{len(complete[name])} of {name}" for name in names)
        raise BadInput(
            f"--from {run}: no search trial that ran to its end lies inside the new space; seen: "
            f"{counts or 'no variant of the same name'}. A trial is inside if the search could "
            "draw its parameters and every fixed one is what it was; `momentune show` tells the "
            "ranges, or leave --from out"
        )
    return {
        "run": str(run),
        "created": plan.created,
        "versions": plan.versions,
        "git": plan.git,
        "complete": {name: len(trials) for name, trials in complete.items()},
        "trials": inside,
    }


def _check_comparable(run: Path, plan: Plan, space: Space, epochs: int) -> None:
    described = space.to_json()
    then = {name: plan.space[name] for name in _COMPARABLE} | {"epochs": plan.epochs}
    now = {name: described[name] for name in _COMPARABLE} | {"epochs": epochs}
    other = [f"{n} {then[n]!r} there and {now[n]!r} here" for n in now if then[n] != now[n]]
    if other:
        raise BadInput(
            f"--from {run}: values compare only with the same {', '.join(_COMPARABLE)} and epochs; "
            f"seen: {'; '.join(other)}. Make them equal (--epochs {plan.epochs}, --scale, --data), "
            "or leave --from out"
        )


def _inside(space: Space, name: str, trials: list[FrozenTrial]) -> Iterator[dict[str, Any]]:
    from ..spaces import repeated

    suggest = partial(space.suggest, space.variant(name))
    for trial in trials:
        values = trial.user_attrs["trial"]["params"]  # those that were fixed, too
        again = repeated(suggest, {**values, **trial.params})
        if again and again[0] == values:
            yield {
                "variant": name,
                "number": trial.user_attrs["trial"]["number"],
                "params": again[1].params,
                "value": trial.values[0],
            }
