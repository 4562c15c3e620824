"""Schedulers by name: which trials stop early.

A scheduler is an Optuna pruner on a variant's own study. So a trial is only ever compared with
trials of its own variant, and what the rungs hold lives in the ledger and survives a crash.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

from optuna import Study
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

SCHEDULERS = ("asha", "hyperband", "none")

COST = "cost:"
"""What the user attribute of a report's second objective begins with; its step follows."""


def settings(name: str, epochs: int) -> dict[str, Any]:
    """All settings of a scheduler for trainings of that length, as plan.json freezes them.

    ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020): of the
    trials that reach a rung (here a ninth and a third of the epochs), the best third goes on. The
    rungs are rounded up, so that none lies just before the end, where stopping would save nothing.

    Hyperband (Li et al., "Hyperband", JMLR 2018): some of the trials skip the first rung, or all,
    in case that the early epochs mislead. Each such bracket is an ASHA of its own.
    """
    if name == "none":
        return {"name": "none"}
    least, factor = math.ceil(epochs / 9), 3
    halving = {"name": name, "min_epochs": least, "reduction_factor": factor}
    shares = {"shares": _shares(least, factor, epochs)} if name == "hyperband" else {}
    return halving | shares


def pruner(settings: dict[str, Any], *, objectives: int = 1) -> BasePruner:
    """The pruner that a plan's ``scheduler`` means."""
    if settings["name"] == "none":
        return NopPruner()
    make = partial(
        _Halving if objectives == 1 else _ParetoHalving,
        settings["min_epochs"],
        settings["reduction_factor"],
    )
    return _Hyperband(make, tuple(settings["shares"])) if "shares" in settings else make(0)


class _Halving(SuccessiveHalvingPruner):
    """Compares a trial with those that are still worth something.

    Optuna's compares it with failed ones too: a trial that leads and then diverges would have
    stopped all others.
    """

    def __init__(self, least: int, factor: int, skipped: int) -> None:
        super().__init__(
            min_resource=least, reduction_factor=factor, min_early_stopping_rate=skipped
        )

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial at the rung that it has reached."""
        return bool(super().prune(_among(study, _worth_something), trial))


class _ParetoHalving(BasePruner):
    """ASHA for two objectives: of the trials at a rung, the third goes on that fewest lie before.

    Trials are ranked by non-dominated sorting: the front that nobody beats in both objectives, the
    front behind it, and so on. A trial on the first front always goes on.
    """

    def __init__(self, least: int, factor: int, skipped: int) -> None:
        self._least, self._factor = least * factor**skipped, factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial at the rung that it has reached."""
        step = trial.last_step
        if step is None or not self._is_rung(step):
            return False
        sign = -1.0 if study.directions[0] is StudyDirection.MAXIMIZE else 1.0
        points = [
            (sign * other.intermediate_values[step], other.user_attrs[f"{COST}{step}"])
            for other in study.get_trials(deepcopy=False)
            if _worth_something(other) and f"{COST}{step}" in other.user_attrs
        ]
        own = sign * trial.intermediate_values[step], trial.user_attrs[f"{COST}{step}"]
        ahead = len(points) - len(_from_front_of(own, points))
        return bool(ahead >= max(1, len(points) // self._factor))

    def _is_rung(self, step: int) -> bool:
        rung = self._least
        while rung < step:
            rung *= self._factor
        return rung == step


Pair = tuple[float, float]


def _from_front_of(own: Pair, points: list[Pair]) -> list[Pair]:
    """The points on the front of one of them and on those behind it; both are to be small."""
    rest = points
    while True:
        behind = [p for p in rest if any(_beats(q, p) for q in rest)]
        if own not in behind:
            return rest
        rest = behind


def _beats(one: Pair, other: Pair) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


class _Hyperband(BasePruner):
    """One halving for each bracket; a trial meets only those of its own."""

    def __init__(self, make: Callable[[int], BasePruner], shares: tuple[int, ...]) -> None:
        self._pruners, self._shares = [make(s) for s in range(len(shares))], shares

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial at the rung that it has reached."""
        own = bracket(trial.number, self._shares)
        met = _among(study, lambda other: bracket(other.number, self._shares) == own)
        return bool(self._pruners[own].prune(met, trial))


def _shares(least: int, factor: int, epochs: int) -> list[int]:
    """How the trials are shared between the brackets: so that each costs about the same."""
    rungs = 0
    while least * factor**rungs < epochs:
        rungs += 1
    return [math.ceil((rungs + 1) * factor**n / (n + 1)) for n in range(rungs, -1, -1)]


@cache
def bracket(number: int, shares: tuple[int, ...]) -> int:
    """The bracket of a trial: the one that has least of its share; of the first, the first."""
    taken = [0] * len(shares)
    turn = 0
    for _ in range(number % sum(shares) + 1):
        turn = max(range(len(shares)), key=lambda s: shares[s] / (taken[s] + 1))
        taken[turn] += 1
    return turn


def _worth_something(trial: FrozenTrial) -> bool:
    return trial.state is not TrialState.FAIL


def _among(study: Study, wanted: Callable[[FrozenTrial], bool]) -> Study:
    return cast(Study, _Among(study, wanted))


class _Among:
    """A study with only some of its trials."""

    def __init__(self, study: Study, wanted: Callable[[FrozenTrial], bool]) -> None:
        self._study, self._wanted = study, wanted

    def get_trials(self, deepcopy: bool) -> list[FrozenTrial]:
        return [t for t in self._study.get_trials(deepcopy=deepcopy) if self._wanted(t)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)
