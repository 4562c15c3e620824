"""The engine on a virtual clock: the same sweep, with trainings that are only told.

Hours of a cluster pass in seconds, with every decision as it would have been made. Tests run so,
and `momentune plan` does, before anything is paid for.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .ledger import Metrics
from .sweep import Sweep
from .trial import Failure, Trial, failure_of

Training = Callable[[Trial], Iterator[tuple[float, Metrics]]]
"""Yields, for each report, the seconds since the one before and the metrics; may raise anything."""


class LostError(ConnectionError):
    """The worker of a training is gone."""

    reason = "lost"


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        """Seconds since the start."""
        return self.now


@dataclass(frozen=True)
class Timeline:
    """What a simulated sweep took.

    Attributes:
        seconds: from its start to its end.
        busy: mean number of busy slots meanwhile.
        attempts: trainings started, each retry counted.
        epochs: reports heard.
    """

    seconds: float
    busy: float
    attempts: int
    epochs: int


@dataclass(order=True)
class _Event:
    time: float
    order: int
    number: int = field(compare=False)
    metrics: Metrics | None = field(compare=False, default=None)
    failure: Failure | None = field(compare=False, default=None)


class Simulation:
    """Executes a sweep on a virtual clock.

    Args:
        sweep: with `clock` as its clock.
        clock: set by this simulation.
        train: what becomes of a trial.
        slots: trials at a time.
    """

    def __init__(self, sweep: Sweep, clock: Clock, train: Training, slots: int) -> None:
        self._sweep, self._clock, self._train, self._slots = sweep, clock, train, slots
        self._events: list[_Event] = []
        self._order = itertools.count()
        self._trainings: dict[int, Iterator[tuple[float, Metrics]]] = {}
        self._deadlines: dict[int, float] = {}
        self._busy = 0.0
        self._attempts = self._epochs = 0

    def run(self) -> Timeline:
        """Runs until nothing runs and nothing can start."""
        start = self._clock.now
        self._fill()
        while self._events:
            event = heapq.heappop(self._events)
            self._busy += len(self._sweep.live) * (event.time - self._clock.now)
            self._clock.now = event.time
            self._happen(event)
            self._fill()
        seconds = self._clock.now - start
        busy = self._busy / seconds if seconds else 0.0
        return Timeline(seconds, busy, self._attempts, self._epochs)

    def _fill(self) -> None:
        while len(self._sweep.live) < self._slots and (trial := self._sweep.next()) is not None:
            limit = self._sweep.plan.trial_timeout
            self._trainings[trial.number] = self._train(trial)
            self._deadlines[trial.number] = self._clock.now + (limit or float("inf"))
            self._attempts += 1
            self._foresee(trial.number)

    def _foresee(self, number: int) -> None:
        """Puts down what happens next in a training: a report, its end, or that it is too late."""
        metrics = failure = None
        wait = 0.0
        try:
            wait, metrics = next(self._trainings[number], (0.0, None))
        except Exception as error:
            failure = failure_of(error)
        time = self._clock.now + wait
        if time > self._deadlines[number]:
            time, metrics = self._deadlines[number], None
        event = _Event(time, next(self._order), number, metrics, failure)
        heapq.heappush(self._events, event)

    def _happen(self, event: _Event) -> None:
        if event.metrics is not None:
            self._epochs += 1
            if self._sweep.receive(event.number, event.metrics):
                self._foresee(event.number)
                return
        else:
            self._sweep.end(event.number, event.failure or self._sweep.overdue(event.number))
        del self._trainings[event.number]
