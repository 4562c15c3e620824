"""What a sampler hears of the trials before its own, which is not all that the ledger knows.

A failed trial teaches Optuna's samplers nothing: they leave it out, and propose the same again. In
an experiment where half of the space is out of memory, 98% of the later trials hit the border.
So here a failure that its configuration is to blame for counts as the worst value so far and as a
violated constraint. The ledger keeps calling it what it is.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable
from typing import Any, cast

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

TEACHING = ("oom", "diverged", "timeout", "exception")
"""The reasons that blame the configuration. A lost machine does not."""


class InformedSampler(BaseSampler):
    """A sampler that hears of failures too.

    Args:
        sampler: whose.
        before: the trials from this number on are not heard of; None hears all.
    """

    def __init__(self, sampler: BaseSampler, before: int | None = None) -> None:
        self._sampler, self._before = sampler, before

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the sampler."""
        return self._sampler.infer_relative_search_space(self._heard(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler."""
        return self._sampler.sample_relative(self._heard(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As the sampler."""
        heard = self._heard(study)
        return self._sampler.sample_independent(heard, trial, param_name, param_distribution)

    def _heard(self, study: Study) -> Study:
        return cast(Study, _Heard(study, self._before))


class _Heard:
    """A study, with other trials."""

    def __init__(self, study: Study, before: int | None) -> None:
        self._study, self._before = study, before

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)[: self._before]
        heard = learned(trials, self._study.directions)
        return [trial for trial in heard if states is None or trial.state in states]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


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
