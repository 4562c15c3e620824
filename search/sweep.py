"""A sweep: the protocol of a fair comparison as a state machine that no executor can bend.

Whoever executes trials (Ray, one process, a simulated clock) asks `next`, hands each report to
`receive` and each end to `end`. The protocol: every variant searches with the same number of
trials, the variants taking turns; then the best configuration of full length, and its controls,
train again on fresh seeds, the same for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .ahead import Ahead
from .draft import Draft
from .ledger import Ledger, Metrics
from .plan import Plan
from .trial import PHASES, RETRIES, Failure, Phase, Trial, failure_of

if TYPE_CHECKING:
    from ..spaces import Space


@dataclass
class _Live:
    """A running trial, and what it last reported."""

    trial: Trial
    started: float
    beside: bool  # whether another one has run meanwhile
    training: bool = False  # it has a worker
    step: int = 0
    metrics: Metrics | None = None


class Sweep:
    """Decides what runs next and writes down what happened.

    Args:
        plan: what was decided.
        space: what is trained.
        ledger: where it is written.
        stopping: asked before a trial starts; once true, nothing more starts.
        clock: seconds since any moment.

    Attributes:
        live: the trials that run.
        slots: how many may run at a time, as the executor last said.
    """

    def __init__(
        self,
        plan: Plan,
        space: Space,
        ledger: Ledger,
        stopping: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.space, self.ledger = plan, space, ledger
        self.live: dict[int, _Live] = {}
        self._planned: set[str] = set()  # whose confirmation is written down
        self.slots = plan.concurrency or 0
        self._ahead = Ahead(self._draw)
        self._stopping = stopping or (lambda: False)
        self._clock = clock

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to start although trials are left."""
        return self._stopping()

    def prepare(self) -> None:
        """Draws the next search trial ahead, if draws are slow: there is no slot for it yet."""
        name = self._next_searching()
        if name and self.live and not (self.stopped or self.ledger.waiting(name, "search")):
            self._ahead.begin(name)

    def next(self, *, ahead: bool = False) -> Trial | None:
        """Starts a trial. None when nothing can start now: ask again when a running one ends.

        Args:
            ahead: while trials run, do not wait for a slow sampler either: None until it has drawn.
        """
        if self.stopped or any(live.trial.alone for live in self.live.values()):
            return None
        alone = self._next_alone()
        if alone:
            trial = None if self.live else self.ledger.take(*alone)
        else:
            trial = self._next_search(ahead) or self._next_confirm()
        if trial is not None:
            for live in self.live.values():
                live.beside = True
            self.live[trial.number] = _Live(trial, self._clock(), beside=bool(self.live))
        return trial

    @property
    def done(self) -> bool:
        """Nothing runs and nothing is left to start."""
        return not self.live and self.ledger.done

    def begun(self, number: int) -> None:
        """A trial's training begins now; until then it had only been handed out."""
        if number in self.live:
            live = self.live[number]
            live.started, live.training = self._clock(), True
            self.ledger.begun(live.trial)

    @property
    def training(self) -> int:
        """How many of the running trials have a worker."""
        return sum(live.training for live in list(self.live.values()))

    def receive(self, number: int, metrics: Metrics) -> bool:
        """Takes one report of a running trial; returns whether the trial is to go on."""
        live = self.live[number]
        step = int(metrics.get("epoch", live.step + 1))
        if step <= live.step:
            return True  # heard before
        values = _values(metrics, self._objectives(live.trial, "validation"), step)
        if isinstance(values, Failure):
            self._fail(live, values, metrics)
            return False
        live.step, live.metrics = step, metrics
        stopped = self.ledger.record(live.trial, step, metrics, *values)
        if step >= live.trial.epochs:
            return True  # the last epoch ends a trial anyway
        if stopped:
            self.ledger.prune(live.trial)
            self._forget(live)
        elif late := self.overdue(number):
            self._fail(live, late)
        return number in self.live

    def overdue(self, number: int) -> Failure | None:
        """The failure of a running trial that takes longer than the plan allows; None in time."""
        live, limit = self.live[number], self.plan.trial_timeout
        if limit is None or self._clock() - live.started < limit:
            return None
        message = f"the attempt took longer than --trial-timeout allows ({limit:g} s)"
        return Failure(reason="timeout", message=message, step=live.step)

    def end(self, number: int, failure: Failure | None = None) -> bool:
        """The training of a trial is over; without a failure, its last report is its result.

        Returns whether the trial is over too: False when it waits for another attempt.
        """
        live = self.live.get(number)
        if live is None:
            return True  # its end was decided by `receive`
        if failure is not None:
            return self._fail(live, failure)
        if live.metrics is None:
            message = "the training yielded no metrics"
            return self._fail(live, Failure(reason="exception", message=message))
        if live.step < live.trial.epochs:  # its value is not to be compared with the others'
            message = (
                f"the training ended after epoch {live.step} of {live.trial.epochs}; only one of "
                "full length is ranked, so `run` must yield each epoch up to the last"
            )
            return self._fail(live, Failure(reason="exception", message=message, step=live.step))
        data = "test" if live.trial.phase == "confirm" else "validation"
        values = _values(live.metrics, self._objectives(live.trial, data), live.step)
        if isinstance(values, Failure):
            return self._fail(live, values)
        self.ledger.complete(live.trial, *values)
        self._forget(live)
        return True

    def _next_search(self, ahead: bool) -> Trial | None:
        name = self._next_searching()
        if name is None:
            return None
        if self.ledger.waiting(name, "search"):
            return self.ledger.take(name, "search")
        if ahead and self.live and self._ahead.begin(name):
            return None
        return self.ledger.add(name, self._ahead.take(name))

    def _next_searching(self) -> str | None:
        """Whose search trial is next, if any can be started now."""

        def begun(variant: str) -> int:
            return self.ledger.made(variant, "search") - self.ledger.waiting(variant, "search")

        def open_(name: str) -> bool:
            there = self.ledger.waiting(name, "search") or self.ledger.ready(name)
            return begun(name) < self.ledger.planned(name, "search") and bool(there)

        # The variant that has begun fewest is next, so that an interrupted sweep is fair too.
        return next(filter(open_, sorted(self.plan.variants, key=begun)), None)

    def _draw(self, name: str) -> Draft:
        return self.ledger.draw(name, partial(self.space.suggest, self.space.variant(name)))

    def _next_confirm(self) -> Trial | None:
        ledger, ready = self.ledger, [v for v in self.plan.variants if self.ledger.searched(v)]
        for name in ready:
            if name not in self._planned and ledger.planned(name, "confirm"):
                self._planned.add(name)
                ledger.plan_confirmation(name, self._contenders(name))
        waiting = [name for name in ready if ledger.waiting(name, "confirm")]
        # All contenders of a seed before the next seed: what stops early is paired all the same.
        return ledger.take(min(waiting, key=ledger.next_confirm), "confirm") if waiting else None

    def _next_alone(self) -> tuple[str, Phase] | None:
        """Where a trial waits that must run alone; everything else waits for it."""
        searched = self.ledger.searched  # what waits from before an extension may not be needed
        places = [
            (n, p) for n in self.plan.variants for p in PHASES if p == "search" or searched(n)
        ]
        return next((place for place in places if self.ledger.next_alone(*place)), None)

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

    def _objectives(self, trial: Trial, data: str) -> list[str]:
        second = self.plan.second_objective if trial.phase == "search" else None
        return [f"{data}_{self.plan.space['metric']}", *([second] if second else [])]

    def _fail(self, live: _Live, failure: Failure, metrics: Metrics | None = None) -> bool:
        again = self._deserves_another(live, failure)
        if again:
            self.ledger.retry(live.trial, failure)
        else:
            self.ledger.fail(live.trial, failure, metrics)
        self._forget(live)
        return not again

    def _deserves_another(self, live: _Live, failure: Failure) -> bool:
        if failure.reason == "oom" and not live.beside:
            return False  # it had the machine for itself already
        earlier = [one["reason"] for one in self.ledger.failures(live.trial)]
        return earlier.count(failure.reason) < RETRIES.get(failure.reason, 0)

    def _forget(self, live: _Live) -> None:
        self.live.pop(live.trial.number, None)


def _values(metrics: Metrics, keys: list[str], step: int) -> list[float] | Failure:
    """The objectives in a report, or why one is none."""
    values = []
    for key in keys:
        value = metrics.get(key)
        if not isinstance(value, int | float):
            there = ", ".join(metrics)
            told = f"the training must yield {key!r}, at epoch {step} it yielded: {there}"
            return Failure(reason="exception", message=told, step=step)
        if not math.isfinite(value):
            told = f"{key} is {value} at epoch {step}"
            return Failure(reason="diverged", message=told, step=step)
        values.append(float(value))
    return values
