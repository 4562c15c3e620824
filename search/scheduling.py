"""Schedulers by name: which trials stop early.

A scheduler is an Optuna pruner on a variant's own study. So a trial is only ever compared with
trials of its own variant, and what the rungs hold lives in the ledger and survives a crash.
"""

from __future__ import annotations

import math
from typing import Any

from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner

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
    return SuccessiveHalvingPruner(
        min_resource=settings["min_epochs"], reduction_factor=settings["reduction_factor"]
    )
