"""Trials of earlier runs that a sweep's sampler knows from the start.

With the same space that is a warm start, with a changed one a fork: the trials that still lie
inside it are known. They are written into the plan, so nothing is left to import once a sweep has
begun, and they are no trials of the sweep: not counted in a budget, and never confirmed, because
variants of which more is known would have had more to choose from; not shown to a scheduler, which
would judge by those alone that came to their end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial

from .foreign import Ended, named, of_study, of_table
from .ledger import Ledger
from .plan import BadInput, Plan, without_password
from .sampling import TEACHABLE

if TYPE_CHECKING:
    from ..spaces import Space

_COMPARABLE = ("task", "data", "metric", "direction")


def imported(
    sources: Sequence[str | Path], space: Space, sampler: str, epochs: int
) -> list[dict[str, Any]]:
    """What a plan keeps of earlier runs: of each, its search trials that lie inside a space.

    Only those that ran to their end; they are found by the names of their variants.

    Args:
        sources: run directories, CSV files as trials.csv, Optuna storages; ``VARIANT=`` before one
            says whose its trials are, where it does not.
        space: which is to be searched.
        sampler: that is to know them.
        epochs: of a full training.

    Raises:
        BadInput: the sampler would learn nothing from them, the values of a run are of another
            task, metric or length, or none of its trials lies inside.
    """
    if sources and sampler not in TEACHABLE:
        raise BadInput(
            f"--sampler {sampler} learns nothing from trials that it has not drawn, so --from "
            f"would change nothing; {', '.join(TEACHABLE)} do; take one, or leave --from out"
        )
    places = (Path(s).resolve() if Path(s).is_dir() else s for s in sources)
    return [_imported(str(place), space, epochs) for place in dict.fromkeys(places)]


def _imported(source: str, space: Space, epochs: int) -> dict[str, Any]:
    whose, place = named([variant.name for variant in space.variants], source)
    path = Path(place)
    if whose is None and (path.is_dir() or not ("://" in place or path.suffix)):
        header, ended = _of_run(path, space, epochs)
    else:
        header, ended = {"run": without_password(source)}, _of_others(place, whose, space, epochs)
    names = [variant.name for variant in space.variants if variant.name in ended]
    exactly = "git" in header
    inside = [told for name in names for told in _inside(space, name, ended[name], exactly)]
    if not inside:
        counts = ", ".join(f"{len(ended[name])} of {name}" for name in names)
        raise BadInput(
            f"--from {header['run']}: no search trial that ran to its end lies inside the new "
            f"space; seen: {counts or 'no variant of the same name'}. A trial is inside if the "
            "search could draw its parameters and every fixed one is what it was; `momentune show` "
            "tells the ranges, or leave --from out"
        )
    return header | {"complete": {name: len(ended[name]) for name in names}, "trials": inside}


def _of_run(run: Path, space: Space, epochs: int) -> tuple[dict[str, Any], dict[str, list[Ended]]]:
    plan = Plan.load(run)
    _check_comparable(run, plan, space, epochs)
    ledger = Ledger(run, plan)
    header = {
        "run": str(run),
        "created": plan.created,
        "versions": plan.versions,
        "git": plan.git,
    }
    told = {name: ledger.complete_searches(name) for name in plan.variants}
    return header, {name: [_own(trial) for trial in trials] for name, trials in told.items()}


def _own(trial: FrozenTrial) -> Ended:
    kept = trial.user_attrs["trial"]  # with the parameters that were fixed, too
    return Ended(kept["number"], {**kept["params"], **trial.params}, trial.values[0])


def _of_others(place: str, whose: str | None, space: Space, epochs: int) -> dict[str, list[Ended]]:
    if place.endswith(".csv"):
        return of_table(Path(place), whose, epochs)
    if whose is None:
        raise BadInput(
            f"--from {without_password(place)} must say whose trials they are: --from VARIANT=URL, "
            f"with a variant of {', '.join(variant.name for variant in space.variants)}"
        )
    return {whose: of_study(place, space.deciding_direction)}


def outdone(plan: Plan, ledger: Ledger) -> Iterator[str]:
    """For each variant whose best known trial no search trial has reached, what to do about it."""
    sign = 1 if plan.space["direction"] == "maximize" else -1
    for name in plan.variants:
        known = [
            (sign * trial["value"], run["run"], trial)
            for run in plan.imported
            for trial in run["trials"]
            if trial["variant"] == name
        ]
        found = ledger.best_value(name)
        if not known or found is None:
            continue
        value, run, trial = max(known, key=lambda one: one[0])
        if value > sign * found:
            yield (
                f"{name}: trial {trial['number']} of {run} was better on validation data "
                f"({trial['value']:.4g}) than the best that was found here ({found:.4g}), but what "
                "is known from elsewhere is never confirmed; more trials would (momentune extend)"
            )


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


def _inside(
    space: Space, name: str, trials: list[Ended], exactly: bool
) -> Iterator[dict[str, Any]]:
    """The trials that a search of the variant could draw.

    Args:
        space: which is searched.
        name: of the variant.
        trials: that may lie inside.
        exactly: they tell the fixed parameters too.
    """
    from ..spaces import repeated

    suggest = partial(space.suggest, space.variant(name))
    for number, params, value in trials:
        again = repeated(suggest, params)
        if again is None:
            continue
        values, own = again
        all_ = {**values, **own.params}  # a function that draws may name them otherwise
        told = all_ if exactly else {n: v for n, v in all_.items() if n in params}
        if told == params:
            yield {"variant": name, "number": number, "params": own.params, "value": value}
