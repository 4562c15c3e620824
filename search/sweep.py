"""A sweep: the protocol of a fair comparison as a state machine that no executor can bend.

Whoever executes trials (Ray, one process, a simulated clock) asks `next`, hands each report to
`receive` and each end to `end`. The protocol: every variant searches with the same number of
trials, the variants taking turns; then the best configuration of full length, and its controls,
train again on fresh seeds, the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .ledger import Ledger, Metrics
from .plan import Plan
from .trial import Failure, Trial, failure_of

if TYPE_CHECKING:
    from ..spaces import Space


@dataclass
class _Live:
    """A running trial and what it last reported."""

    trial: Trial
    step: int = 0
    metrics: Metrics | None = None


class Sweep:
    """Decides what runs next and writes down what happened.

    Args:
        plan: what was decided.
        space: what is trained.
        ledger: where it is written.
        stopping: asked before a trial starts; once true, nothing more starts.
    """

    def __init__(
        self, plan: Plan, space: Space, ledger: Ledger, stopping: Callable[[], bool] | None = None
    ) -> None:
        self.plan, self.space, self.ledger = plan, space, ledger
        self.live: dict[int, _Live] = {}
        self._stopping = stopping or (lambda: False)

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to start although trials are left."""
        return self._stopping()

    def next(self) -> Trial | None:
        """Starts a trial. None when nothing can start now: ask again when a running one ends."""
        if self.stopped:
            return None
        trial = self._next_search() or self._next_confirm()
        if trial is not None:
            self.live[trial.number] = _Live(trial)
        return trial

    @property
    def done(self) -> bool:
        """Nothing runs and nothing is left to start."""
        return not self.live and self.ledger.done

    def receive(self, number: int, metrics: Metrics) -> bool:
        """Takes one report of a running trial; returns whether the trial is to go on."""
        live = self.live[number]
        step = int(metrics.get("epoch", live.step + 1))
        if step <= live.step:
            return True  # heard before
        value = _value(metrics, self._objective("validation"), step)
        if isinstance(value, Failure):
            self._fail(live, value, metrics)
            return False
        live.step, live.metrics = step, metrics
        # The last epoch ends a trial anyway: what got there is complete, not stopped.
        if self.ledger.record(live.trial, step, metrics, value) and step < live.trial.epochs:
            self.ledger.prune(live.trial)
            self._forget(live)
            return False
        return True

    def end(self, number: int, failure: Failure | None = None) -> None:
        """The training of a trial is over; without a failure, its last report is its result."""
        live = self.live.get(number)
        if live is None:
            return  # its end was decided by `receive`
        if failure is not None:
            self._fail(live, failure)
        elif live.metrics is None:
            message = "the training yielded no metrics"
            self._fail(live, Failure(reason="exception", message=message))
        else:
            data = "test" if live.trial.phase == "confirm" else "validation"
            value = _value(live.metrics, self._objective(data), live.step)
            if isinstance(value, Failure):
                self._fail(live, value)
            else:
                self.ledger.complete(live.trial, value)
                self._forget(live)

    def _next_search(self) -> Trial | None:
        def begun(variant: str) -> int:
            return self.ledger.made(variant, "search") - self.ledger.waiting(variant, "search")

        # The variant that has begun fewest is next, so that an interrupted sweep is fair too.
        name = min(self.plan.variants, key=begun)
        if begun(name) >= self.plan.trials:
            return None
        return self.ledger.ask(name, partial(self.space.suggest, self.space.variant(name)))

    def _next_confirm(self) -> Trial | None:
        ledger, ready = self.ledger, [v for v in self.plan.variants if self.ledger.searched(v)]
        for name in ready:
            if ledger.made(name, "confirm") < ledger.planned(name, "confirm"):
                ledger.plan_confirmation(name, self._contenders(name))
        waiting = [name for name in ready if ledger.waiting(name, "confirm")]
        # All contenders of a seed before the next seed: what stops early is paired all the same.
        return ledger.take(min(waiting, key=ledger.next_confirm)) if waiting else None

    def _contenders(self, name: str) -> dict[str | None, dict[str, Any] | Failure]:
        """Parameters of a variant's best trial and of its controls; a control may be impossible."""
        variant, best = self.space.variant(name), self.ledger.best_params(name)
        found: dict[str | None, dict[str, Any] | Failure] = {}
        for control in (None, *self.plan.controls(name)):
            try:
                found[control] = variant.controlled(control, best)
            except ValueError as error:
                found[control] = failure_of(error)
        return found

    def _objective(self, data: str) -> str:
        return f"{data}_{self.plan.space['metric']}"

    def _fail(self, live: _Live, failure: Failure, metrics: Metrics | None = None) -> None:
        self.ledger.fail(live.trial, failure, metrics)
        self._forget(live)

    def _forget(self, live: _Live) -> None:
        self.live.pop(live.trial.number, None)


def _value(metrics: Metrics, key: str, step: int) -> float | Failure:
    """The objective in a report, or why it is none."""
    value = metrics.get(key)
    if not isinstance(value, int | float):
        told = f"the training must yield {key!r}, at epoch {step} it yielded: {', '.join(metrics)}"
        return Failure(reason="exception", message=told, step=step)
    if not math.isfinite(value):
        return Failure(reason="diverged", message=f"{key} is {value} at epoch {step}", step=step)
    return float(value)
