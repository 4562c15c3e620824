"""Ray Tune's two hooks, as thin as they can be: both only pass on to the sweep.

Tune's searcher says which trial is next and hears how one ended; its scheduler hears each report
and says whether the trial goes on. Whatever either raised would end Tune's whole run, so an error
in our own bookkeeping is kept, stops the sweep, and is raised where the user can see it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import ray
from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from . import memory
from .shelf import Shelf
from .sweep import Sweep
from .trainable import CHECKPOINT, FAILURE, METRICS, SAMPLE, TRIAL
from .trial import Failure, Reason, Trial

_IDLE_WORKERS = 1000  # as many as there may be: the slots bound them
_MACHINE = "its node has died"  # what Ray says of a worker that was lost with its machine

P = ParamSpec("P")
T = TypeVar("T")


class Bridge:
    """What searcher and scheduler share: the sweep, and which Tune trial is which of ours.

    Args:
        sweep: what both pass on to.
        shelf: where the trainings' checkpoints are.
        slots: says how many trials may run at a time, now.
        samples: the folder of what confirmed networks draw.
    """

    def __init__(self, sweep: Sweep, shelf: Shelf, slots: Callable[[], int], samples: Path) -> None:
        self.sweep = sweep
        self.error: Exception | None = None
        self._shelf, self._slots, self._samples = shelf, slots, samples
        self._calling, self._closed = threading.Lock(), False
        self._trials: dict[str, Trial] = {}
        self._ended: dict[str, int] = {}  # by the kernel, before a trial was handed out
        self._failures: dict[str, Failure] = {}

    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        """The config of the next Tune trial, None for "ask later", or Tune's word for the end."""
        self.sweep.slots = self._slots()
        full = len(self._trials) >= self.sweep.slots
        trial = None if full else self._guard(None, self.sweep.next, ahead=True)
        if trial is not None:
            self._trials[tune_id], self._ended[tune_id] = trial, memory.ended()
            paths = {CHECKPOINT: _checkpoint(trial), SAMPLE: str(self._sample(trial))}
            return {TRIAL: trial.to_json(), **paths}
        self._guard(None, self.sweep.prepare)
        over = self.error is not None or self.sweep.stopped or not (full or self.sweep.live)
        return Searcher.FINISHED if over else None

    def begun(self, tune_id: str) -> None:
        """Passes on that a training begins."""
        if tune_id in self._trials:
            self._guard(None, self.sweep.begun, self._trials[tune_id].number)

    def report(self, tune_id: str, result: dict[str, Any]) -> bool:
        """Passes on the metrics in a Tune result; returns whether the trial goes on."""
        prefix = f"{METRICS}/"  # Tune has flattened the result
        metrics = {k.removeprefix(prefix): v for k, v in result.items() if k.startswith(prefix)}
        number = self._trials[tune_id].number
        if not metrics or number not in self.sweep.live:
            return True
        return self._guard(False, self.sweep.receive, number, metrics)

    def end(self, tune_id: str, result: dict[str, Any] | None) -> None:
        """Passes on the end of a Tune trial, with its last report, which Tune gives only here."""
        failure = self._failures.pop(tune_id, None)
        if result is not None and failure is None:
            self.report(tune_id, result)
            if FAILURE in result:
                failure = Failure.from_json(result[FAILURE])
        trial = self._trials.pop(tune_id)
        self._ended.pop(tune_id)
        over = self._guard(False, self.sweep.end, trial.number, failure)
        # A confirmed network is kept; of a search trial, what the ledger holds is all that counts.
        if over and trial.phase == "search":
            self._guard(None, self._shelf.remove, _checkpoint(trial))

    def lost(self, tune_id: str, error: str) -> None:
        """Notes that a worker died, with what Ray says of it; `end` follows."""
        number = self._trials[tune_id].number
        late = self.sweep.overdue(number) if number in self.sweep.live else None
        if _MACHINE in error:
            late = None  # which takes Ray long to notice, and is no fault of the training's
        starved = _here(error) and memory.ended() > self._ended[tune_id]
        self._failures[tune_id] = late or _lost(error, starved)

    def close(self) -> None:
        """Passes nothing on any more, and returns when nothing is being passed on."""
        with self._calling:
            self._closed = True

    def _sample(self, trial: Trial) -> Path:
        """Where a confirmed network's pictures go, if it makes any: a report shows them."""
        return self._samples / f"trial-{trial.number:06d}.png"

    def _guard(self, otherwise: T, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._calling:
            if self._closed or self.error is not None:
                return otherwise
            try:
                return call(*args, **kwargs)
            except Exception as error:
                self.error = error
                return otherwise


def _checkpoint(trial: Trial) -> str:
    return f"trial-{trial.number:06d}.pt"


def _lost(error: str, starved: bool) -> Failure:
    kind, *_ = error.strip().splitlines() or ["Ray does not say why"]
    if starved:
        kind += "; meanwhile the kernel ended a process of this machine because memory ran out"
    reason: Reason = "oom" if starved or "OutOfMemoryError" in kind else "lost"
    message = f"the worker process ended before the training did ({kind})"
    return Failure(reason=reason, message=message, traceback=error)


def _here(error: str) -> bool:
    """Whether a worker died on this machine, by what Ray says of it."""
    return any(f"ip: {ip}\n" in error for ip in (ray.util.get_node_ip_address(), "127.0.0.1"))


class WorkerError(RayActorError):
    """Any error of Ray's about a worker, as one that Tune knows.

    At any other than an actor's and a task's Tune ends the whole run, and so at that of a worker
    which Ray has ended because memory ran low.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error_msg=f"{type(error).__name__}: {error}")


def _survive_errors(tune_controller: object) -> None:
    """Has Tune take every error of Ray's about a worker for the end of that worker's trial."""
    manager = getattr(tune_controller, "_actor_manager", None)

    def known(handle: Callable[..., None]) -> Callable[..., None]:
        def handled(*, exception: Exception, **whose: object) -> None:
            expected = isinstance(exception, RayActorError | RayTaskError)
            handle(exception=exception if expected else WorkerError(exception), **whose)

        return handled

    for name in ("_actor_task_failed", "_actor_start_failed"):
        if hasattr(manager, name):
            setattr(manager, name, known(getattr(manager, name)))


def _error(trial: TuneTrial) -> str:
    """What Ray says of a trial's end; Tune's `get_error` looks where it is only later."""
    path = trial.pickled_error_file or trial.error_file
    if path is None or not Path(path).exists():
        return ""
    content = Path(path).read_bytes()
    if path == trial.error_file:
        return content.decode().partition("\n")[2]  # after the line that counts and dates it
    error = cloudpickle.loads(content)
    return f"{type(error).__name__}: {error}"


class SweepCallback(Callback):
    """Tells when a worker is there and its training begins: its start may take long."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """A worker has taken a trial."""
        self._bridge.begun(trial.trial_id)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SweepSearcher(Searcher):
    """Asks the sweep for trials."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config."""
        return self._bridge.suggest(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial ended."""
        self._bridge.end(trial_id, result)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """The scheduler has heard it."""

    # The ledger is what survives; Tune's own copies of our state stay empty.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class SweepScheduler(FIFOScheduler):
    """Hands each report to the sweep and obeys its answer; starts trials in the order they came."""

    def __init__(self, bridge: Bridge) -> None:
        TrialScheduler.__init__(self)
        self._bridge = bridge
        self._added: deque[TuneTrial] = deque()
        self._keeping = False

    def on_trial_result(
        self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]
    ) -> str:
        """Goes on, or stops."""
        goes_on = self._bridge.report(trial.trial_id, result)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: object, trial: TuneTrial) -> None:
        """A worker died, and perhaps its machine, with workers that wait there for a trial.

        Tune hands these on without a look, and each would cost a trial one of its attempts: all
        that wait are ended.
        """
        if hasattr(tune_controller, "_cleanup_cached_actors"):
            tune_controller._cleanup_cached_actors(force_all=True)
        self._bridge.lost(trial.trial_id, _error(trial))

    def on_trial_add(self, tune_controller: object, trial: TuneTrial) -> None:
        """Queues it."""
        if not self._keeping:
            self._keep_idle_workers(tune_controller, trial)
            _survive_errors(tune_controller)
        self._added.append(trial)

    def _keep_idle_workers(self, tune_controller: object, trial: TuneTrial) -> None:
        # Tune ends every idle worker but one. Between the phases all are idle for a moment, and a
        # new one costs seconds: slots were empty for a quarter of a short sweep.
        self._keeping = True
        cache = getattr(tune_controller, "_actor_cache", None)
        if cache is not None:
            cache.increase_max(trial.placement_group_factory, by=_IDLE_WORKERS)

    def choose_trial_to_run(self, tune_controller: object) -> TuneTrial | None:
        """The first that has not started; Tune's own search for it grows with the sweep.

        One whose worker is starting comes last: Tune would give it a worker that is free and end
        the other, which then starts anew for the next trial. With short trials no slot but the
        first would ever be there.
        """
        while self._added and self._added[0].status != TuneTrial.PENDING:
            self._added.popleft()
        staged = getattr(tune_controller, "_staged_trials", ())
        waiting = (trial for trial in self._added if trial.status == TuneTrial.PENDING)
        return next(
            (t for t in waiting if t not in staged), self._added[0] if self._added else None
        )

    def __getstate__(self) -> dict[str, Any]:
        return {}
