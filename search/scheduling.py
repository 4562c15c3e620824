"""Schedulers by name: which trials stop early.

A scheduler is an Optuna pruner on a variant's own study. So a trial is only ever compared with
trials of its own variant, and what the rungs hold lives in the ledger and survives a crash.
"""

from __future__ import annotations

import math
from typing import Any, cast

from optuna import Study
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState

SCHEDULERS = ("asha", "none")


def settings(name: str, epochs: int) -> dict[str, Any]:
    """All settings of a scheduler for trainings of that length, as plan.json freezes them.

    ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020): of the
    trials that reach a rung (here a ninth and a third of the epochs), the best third goes on. The
    rungs are rounded up, so that none lies just before the end, where stopping would save nothing.
    """
    if name == "none":
        return {"name": "none"}
    return {"name": "asha", "min_epochs": math.ceil(epochs / 9), "reduction_factor": 3}


def pruner(settings: dict[str, Any]) -> BasePruner:
    """The pruner that a plan's ``scheduler`` means."""
    if settings["name"] == "none":
        return NopPruner()
    return _Halving(
        min_resource=settings["min_epochs"], reduction_factor=settings["reduction_factor"]
    )


class _Halving(SuccessiveHalvingPruner):
    """Compares a trial with those that are still worth something.

    Optuna's compares it with failed ones too: a trial that leads and then diverges would have
    stopped all others.
    """

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial at the rung that it has reached."""
        return super().prune(cast(Study, _WithoutFailed(study)), trial)


class _WithoutFailed:
    def __init__(self, study: Study) -> None:
        self._study = study

    def get_trials(self, deepcopy: bool) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=deepcopy)
        return [trial for trial in trials if trial.state is not TrialState.FAIL]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)
