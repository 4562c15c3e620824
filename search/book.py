"""One study of a ledger, with the states of its trials at hand: nothing is counted twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from .scheduling import Halving
from .trial import Failure, Trial

START = "counts from"
"""The study attribute that keeps `Book.start`; a report leaves out what is before it."""


class Book:
    """A study of one variant and phase.

    Args:
        study: Optuna's.
        storage: where it is.
        scheduler: hears of the reports that there are already.

    Attributes:
        counts: how many trials are in each state.
        best: value and number of the best complete trial by the first objective, if there is one.
        start: of a confirmation, its first trial that counts. Those before it confirmed a choice
            that an extended search has replaced.
    """

    def __init__(self, study: optuna.Study, storage: BaseStorage, scheduler: Halving) -> None:
        self.study, self.scheduler, self._storage = study, scheduler, storage
        self._identity = storage.get_study_id_from_name(study.study_name)
        self.start = int(study.user_attrs.get(START, 0))
        trials = study.get_trials(deepcopy=False)
        self._states = {trial.number: trial.state for trial in trials}
        # Every state has its place from the start, so that another thread can always read.
        self.counts = dict.fromkeys(TrialState, 0) | Counter(self._states.values())
        self._waiting = set(self.numbers(TrialState.WAITING))
        self.best: tuple[float, int] | None = None
        for trial in trials:
            scheduler.hear(trial)
            if trial.state is TrialState.COMPLETE and trial.values is not None:
                self.rank(trial.values[0], trial.number)

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self.identity(number))

    def trials(self) -> Iterator[Trial]:
        """All that have begun."""
        for known in self.study.get_trials(deepcopy=False):
            if "trial" in known.user_attrs:
                yield Trial(**known.user_attrs["trial"], index=known.number)

    def identity(self, number: int) -> int:
        """What the storage calls a trial."""
        return self._storage.get_trial_id_from_study_id_trial_number(self._identity, number)

    def take(self) -> FrozenTrial:
        """Starts the first trial that waits."""
        number = min(self._waiting)
        self._storage.set_trial_state_values(self.identity(number), TrialState.RUNNING)
        self.move(number, TrialState.RUNNING)
        return self[number]

    def add(self, trial: FrozenTrial) -> None:
        """Writes down a new trial with all that is known of it, as one record."""
        self._storage.create_new_trial(self._identity, trial)
        self.move(len(self), trial.state)

    def note(self, number: int, name: str, value: Any) -> None:
        """Writes down something about a trial that has not ended."""
        self._storage.set_trial_user_attr(self.identity(number), name, value)

    def report(self, number: int, step: int, value: float) -> None:
        """Writes down an intermediate value."""
        self._storage.set_trial_intermediate_value(self.identity(number), step, value)

    def wait(self, number: int) -> None:
        """A trial is to be started again."""
        self._storage.set_trial_state_values(self.identity(number), TrialState.WAITING)
        self.move(number, TrialState.WAITING)

    def end(self, number: int, state: TrialState, values: Sequence[float] = ()) -> None:
        """A trial has ended, and nothing about it changes any more."""
        self._storage.set_trial_state_values(self.identity(number), state, values or None)
        self.move(number, state)
        if state is TrialState.FAIL:
            self.scheduler.forget(number)
        if state is TrialState.COMPLETE:
            self.rank(values[0], number)

    def move(self, number: int, state: TrialState) -> None:
        """Notes that a trial, perhaps a new one, is in another state now."""
        if number in self._states:
            self.counts[self._states[number]] -= 1
        self._states[number] = state
        self.counts[state] += 1
        if state is TrialState.WAITING:
            self._waiting.add(number)
        else:
            self._waiting.discard(number)

    def rank(self, value: float, number: int) -> None:
        """Keeps the best complete trial; of equal ones, the first."""
        sign = 1 if self.study.directions[0] is StudyDirection.MAXIMIZE else -1
        if self.best is None or (sign * value, -number) > (sign * self.best[0], -self.best[1]):
            self.best = value, number

    def restart(self) -> None:
        """What is confirmed from here on is another choice; whatever waits will not be needed."""
        for number in sorted(self._waiting):
            told = outcome(Failure(reason="stopped", message="the search was extended"))
            self.note(number, "outcome", told)
            self.end(number, TrialState.FAIL)
        self.start = len(self)
        self.study.set_user_attr(START, self.start)

    def numbers(self, wanted: TrialState) -> list[int]:
        """The trials in a state."""
        return [number for number, state in self._states.items() if state is wanted]

    def finished_below(self, number: int) -> bool:
        """Whether every trial below that number has ended."""
        return all(self._states[n].is_finished() for n in range(number))

    @property
    def next_attributes(self) -> dict[str, Any]:
        """What is known of the trial that `take` would start; nothing without one."""
        return self[min(self._waiting)].user_attrs if self._waiting else {}


def identity(trial: Trial) -> dict[str, Any]:
    """What the study keeps about a trial besides its attempts and its end."""
    return {
        "number": trial.number,
        "variant": trial.variant,
        "control": trial.control,
        "phase": trial.phase,
        "seed": trial.seed,
        "epochs": trial.epochs,
        "params": trial.params,
    }


def outcome(failure: Failure | None, spent: timedelta = timedelta()) -> dict[str, Any]:
    """What the study keeps about the end of a trial besides its state."""
    return {
        "reason": failure.reason if failure else None,
        "message": failure.message if failure else "",
        "step": failure.step if failure else None,
        "seconds": round(spent.total_seconds(), 3),
        "traceback": failure.traceback if failure else "",
    }


def finite(value: Any) -> Any:
    """A value that JSON can say: null for a number that is not finite, also inside of a series."""
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
