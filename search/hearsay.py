"""What a sampler hears of the trials before its own, which is not all that the ledger knows.

A failed trial teaches Optuna's samplers nothing: they leave it out, and propose the same again. In
an experiment where half of the space is out of memory, 98% of the later trials hit the border.
So here a failure that its configuration is to blame for counts as the worst value so far and as a
violated constraint. The ledger keeps calling it what it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterable, Sequence
from functools import cached_property
from typing import Any, cast

from optuna import Study
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import BaseTrial, FrozenTrial, TrialState, create_trial

TEACHING = ("oom", "diverged", "timeout", "exception")
"""The reasons that blame the configuration. A lost machine does not."""


class Heard:
    """A study as a sampler is to see it: at one moment, and with failures as it should take them.

    Args:
        study: whose.
        before: the trials from this number on are not heard of; None hears all.
        known: trials of earlier runs, heard of before all others.
    """

    def __init__(self, study: Study, before: int | None, known: Sequence[FrozenTrial]) -> None:
        self.known, self._study, self._before = known, study, before

    def by(self, trial: FrozenTrial) -> Study:
        """The study as the sampler of a trial sees it; what it notes about that stays with it."""
        self._storage = _Notes(self._study._storage, trial)
        return cast(Study, self)

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As the study's, for whoever only reads."""
        return [trial for trial in self._trials if states is None or trial.state in states]

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        return self.get_trials(deepcopy, states)

    @cached_property
    def _trials(self) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)[: self._before]
        return learned([*self.known, *trials], self._study.directions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


class _Notes:
    """A storage, for a sampler that notes something about a trial which is not there yet."""

    def __init__(self, storage: BaseStorage, trial: FrozenTrial) -> None:
        self._known, self._trial = storage, trial

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._trial.system_attrs[key] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)


def known(
    imported: Iterable[dict[str, Any]],
    variant: str,
    suggest: Callable[[BaseTrial], dict[str, Any]],
) -> list[FrozenTrial]:
    """The trials of earlier runs that a variant's sampler hears of from the start.

    Args:
        imported: as the plan keeps them.
        variant: whose.
        suggest: draws all values of one of its trials: it knows the ranges.
    """
    told = [trial for run in imported for trial in run["trials"] if trial["variant"] == variant]
    if not told:
        return []
    from ..spaces import repeated  # which takes seconds to import, and `status` needs none

    pairs = [(trial, repeated(suggest, trial["params"])) for trial in told]
    found = [
        create_trial(value=trial["value"], params=own.params, distributions=own.distributions)
        for trial, again in pairs
        if again  # code that no digest sees may have changed since the plan was made
        for _, own in [again]
    ]
    for age, trial in enumerate(reversed(found), start=1):
        trial.number = -age  # older than all of this study's, whose numbers begin at 0
    return found


def learned(trials: list[FrozenTrial], directions: Iterable[StudyDirection]) -> list[FrozenTrial]:
    """The trials as a sampler should take them: failures of the configuration as infeasible.

    Without such a failure they are the same objects; nothing is ever changed in place.
    """
    if not any(map(_to_blame, trials)):
        return trials
    complete = [t.values for t in trials if t.state is TrialState.COMPLETE and t.values]
    worst = [
        max(values) if direction is StudyDirection.MINIMIZE else min(values)
        for direction, values in zip(directions, zip(*complete, strict=True), strict=False)
    ]
    return [_judged(trial, worst) for trial in trials]


def _judged(trial: FrozenTrial, worst: list[float]) -> FrozenTrial:
    blamed = _to_blame(trial)
    if not (blamed or trial.state.is_finished()):
        return trial
    told = copy.copy(trial)
    told._system_attrs = dict(trial.system_attrs)
    told.set_constraint("trainable", 1.0 if blamed else -1.0)
    if blamed:
        told.state = TrialState.COMPLETE if worst else TrialState.PRUNED
        told.values = worst or None
    return told


def _to_blame(trial: FrozenTrial) -> bool:
    if trial.state is not TrialState.FAIL:
        return False
    return trial.user_attrs.get("outcome", {}).get("reason") in TEACHING
