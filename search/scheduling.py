"""Schedulers by name: which trials stop early.

A scheduler belongs to one study. So a trial is only ever compared with trials of its own variant.
What it goes by are the reports in the ledger: after a crash it hears them again, and stands where
it stood.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

SCHEDULERS = ("asha", "hyperband", "none")

COST = "cost:"
"""What the user attribute of a report's second objective begins with; its step follows."""

Losses = tuple[float, ...]
"""A report's objectives, each so that smaller is better."""


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


def scheduler(
    settings: dict[str, Any], epochs: int, directions: Sequence[StudyDirection]
) -> Halving:
    """The scheduler that a plan's settings mean, for one study."""
    rungs: list[int] = []
    if settings["name"] != "none":
        rungs.append(settings["min_epochs"])
        while rungs[-1] * settings["reduction_factor"] < epochs:
            rungs.append(rungs[-1] * settings["reduction_factor"])
    factor, shares = settings.get("reduction_factor", 1), tuple(settings.get("shares", [1]))
    signs = [-1.0 if direction is StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    return Halving(rungs, factor, signs, shares)


class Halving:
    """Successive halving, asynchronous: a trial is judged as soon as it reaches a rung.

    Args:
        rungs: the epochs at which trials are judged, ascending.
        factor: of the trials at a rung, one of so many goes on.
        signs: of each objective: 1 where smaller is better, -1 where larger is.
        shares: of the brackets; the n-th skips the first n rungs.
    """

    def __init__(
        self, rungs: list[int], factor: int, signs: list[float], shares: tuple[int, ...] = (1,)
    ) -> None:
        self._rungs, self._factor, self._signs, self._shares = rungs, factor, signs, shares
        self._ranks: defaultdict[tuple[int, int], _Ranks] = defaultdict(
            _Sorted if len(signs) == 1 else _Fronts
        )
        # Of each trial, by rung: the step at which it was judged there, and by what.
        self._judged: defaultdict[int, dict[int, tuple[int, Losses]]] = defaultdict(dict)

    def stops(self, number: int, step: int, values: Sequence[float]) -> bool:
        """Takes a report; returns whether the trial is worse than its rung allows.

        A step that is not above all before is of another attempt. What was heard from there on
        holds no longer, unless it is said again: then the trial was allowed to go on.
        """
        own = bracket(number, self._shares)
        losses = tuple(sign * value for sign, value in zip(self._signs, values, strict=True))
        judged = self._judged[number]
        for rung, (at, known) in list(judged.items()):
            if at >= step and (at, known) != (step, losses):
                self._ranks[own, rung].remove(judged.pop(rung)[1])
        stops = False
        for rung in self._rungs[own:]:
            if rung <= step and rung not in judged:
                judged[rung] = step, losses
                ranks = self._ranks[own, rung]
                ranks.add(losses)
                stops |= ranks.ahead(losses) >= max(1, len(ranks) // self._factor)
        return stops

    def forget(self, number: int) -> None:
        """The trial has failed: a leader that diverges is no reason to stop the others."""
        for rung, (_, losses) in self._judged.pop(number, {}).items():
            self._ranks[bracket(number, self._shares), rung].remove(losses)

    def hear(self, trial: FrozenTrial) -> None:
        """Takes all reports of a trial as its study holds it."""
        if trial.state is TrialState.FAIL:
            return
        for step, value in sorted(trial.intermediate_values.items()):
            if math.isnan(value):
                continue  # only an earlier attempt came so far
            costs = [trial.user_attrs[f"{COST}{step}"] for _ in self._signs[1:]]
            self.stops(trial.number, step, [value, *costs])


class _Ranks(Protocol):
    """The trials at one rung of one bracket."""

    def __len__(self) -> int: ...
    def add(self, losses: Losses) -> None: ...
    def remove(self, losses: Losses) -> None: ...
    def ahead(self, losses: Losses) -> int:
        """How many are better."""


class _Sorted:
    """One objective: in order, so that ten thousand trials cost no more than ten."""

    def __init__(self) -> None:
        self._losses: list[Losses] = []

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, losses: Losses) -> None:
        insort(self._losses, losses)

    def remove(self, losses: Losses) -> None:
        del self._losses[bisect_left(self._losses, losses)]

    def ahead(self, losses: Losses) -> int:
        return bisect_left(self._losses, losses)


class _Fronts:
    """Two objectives: by non-dominated sorting.

    The first front is what nobody beats in both, the second what only the first front beats, and so
    on; whoever is on a front before is ahead.
    """

    def __init__(self) -> None:
        self._losses: list[Losses] = []

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, losses: Losses) -> None:
        self._losses.append(losses)

    def remove(self, losses: Losses) -> None:
        self._losses.remove(losses)

    def ahead(self, losses: Losses) -> int:
        rest = self._losses
        while losses in (behind := [p for p in rest if any(_beats(q, p) for q in rest)]):
            rest = behind
        return len(self._losses) - len(rest)


def _beats(one: Losses, other: Losses) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _shares(least: int, factor: int, epochs: int) -> list[int]:
    """How the trials are shared between the brackets: so that each costs about the same."""
    rungs = 0
    while least * factor**rungs < epochs:
        rungs += 1
    return [math.ceil((rungs + 1) * factor**n / (n + 1)) for n in range(rungs, -1, -1)]


@cache
def bracket(number: int, shares: tuple[int, ...]) -> int:
    """The bracket of a trial: the one that has least of its share; of the first, the first."""
    if number >= sum(shares):
        return bracket(number % sum(shares), shares)
    taken = [0] * len(shares)
    turn = 0
    for _ in range(number + 1):
        turn = max(range(len(shares)), key=lambda s: shares[s] / (taken[s] + 1))
        taken[turn] += 1
    return turn
