"""What a sweep will take, told before it starts: the sweep itself, on a virtual clock.

The time of an epoch is measured, one epoch of each variant. How good the trials become is made up,
so that schedulers have something to stop: learning curves that fall, to ends that differ.
"""

from __future__ import annotations

import hashlib
import math
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from .ledger import Ledger, Metrics
from .plan import Plan
from .simulation import Clock, Simulation, Timeline
from .sweep import Sweep
from .trial import Trial

if TYPE_CHECKING:
    from ..spaces import Space

_SPREAD = 0.3  # of the logarithm of the time that trials take, beside their variant's own


@dataclass(frozen=True)
class Expected:
    """What one variant is expected to take.

    Attributes:
        search: its search trials.
        stopped: those of them that are stopped early.
        confirm: its confirm trials, controls included.
        epochs: of all of them.
        seconds: of training, on one slot.
    """

    search: int
    stopped: int
    confirm: int
    epochs: int
    seconds: float


def forecast(
    plan: Plan, space: Space, epoch_seconds: dict[str, float]
) -> tuple[dict[str, Expected], Timeline]:
    """Runs a plan on a virtual clock.

    Args:
        plan: what would be run.
        space: of that plan.
        epoch_seconds: the time of one epoch, by variant.

    Returns:
        What each variant takes, and the whole.
    """
    epochs: defaultdict[str, int] = defaultdict(int)
    seconds: defaultdict[str, float] = defaultdict(float)

    def train(trial: Trial) -> Iterator[tuple[float, Metrics]]:
        luck = random.Random(hashlib.sha256(f"{plan.seed} {trial.number}".encode()).digest())
        end, pace = luck.random(), epoch_seconds[trial.variant] * luck.lognormvariate(0, _SPREAD)
        for epoch in range(1, trial.epochs + 1):
            epochs[trial.variant] += 1
            seconds[trial.variant] += pace
            yield pace, _made_up(plan, end + math.exp(-3 * epoch / trial.epochs), epoch, pace)

    # What is sampled does not matter here; how many, does.
    simple = plan if plan.sampler["name"] == "grid" else replace(plan, sampler={"name": "random"})
    simple = replace(simple, storage="journal.log", study_prefix="", batch=0)
    with tempfile.TemporaryDirectory() as folder, Ledger.locked(Path(folder), simple) as ledger:
        clock = Clock()
        sweep = Sweep(simple, space, ledger, clock=clock)
        timeline = Simulation(sweep, clock, train, plan.concurrency or 1).run()
        made = {
            name: Expected(
                search=ledger.made(name, "search"),
                stopped=ledger.counts(name, "search")[TrialState.PRUNED],
                confirm=ledger.made(name, "confirm"),
                epochs=epochs[name],
                seconds=seconds[name],
            )
            for name in plan.variants
        }
    return made, timeline


def _made_up(plan: Plan, loss: float, epoch: int, pace: float) -> Metrics:
    metric = plan.space["metric"]
    value = -loss if plan.space["direction"] == "maximize" else loss
    named = {f"validation_{metric}": value, f"test_{metric}": value}
    return {"epoch": epoch, "seconds": pace, **named}
