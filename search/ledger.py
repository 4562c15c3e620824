"""The ledger: the one truth of what happened.

One Optuna study per variant and phase says which trials there are, with which parameters, in which
state; ``metrics.jsonl`` beside it holds every metric of every report. Trial `k` of a study is the
`k`-th planned trial of that variant and phase, so that a plan can neither lose a trial nor run one
twice. Only one process at a time may write (`Ledger.locked`); any number may read.

Whatever is written is written before it has an effect elsewhere, and can be written again: a
driver that is killed at any point leaves trials that run, and the next one makes them wait again.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from .plan import BadInput, Plan
from .sampling import sampler
from .scheduling import pruner
from .trial import PHASES, Failure, Phase, Trial

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

Metrics = dict[str, Any]


class _Book:
    """One study with the states of its trials at hand, so that nothing is counted twice."""

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        trials = study.get_trials(deepcopy=False)
        self.states = {t.number: t.state for t in trials}
        # Every state has its place from the start, so that another thread can always read.
        self.counts = dict.fromkeys(TrialState, 0) | Counter(self.states.values())
        self.best: tuple[float, int] | None = None
        for trial in trials:
            if trial.state is TrialState.COMPLETE and trial.value is not None:
                self.rank(trial.value, trial.number)

    def __len__(self) -> int:
        return len(self.states)

    def move(self, number: int, state: TrialState) -> None:
        """Notes that a trial, perhaps a new one, is in another state now."""
        if number in self.states:
            self.counts[self.states[number]] -= 1
        self.states[number] = state
        self.counts[state] += 1

    def rank(self, value: float, number: int) -> None:
        """Keeps the best complete trial; of equal ones, the first."""
        sign = 1 if self.study.direction is StudyDirection.MAXIMIZE else -1
        if self.best is None or (sign * value, -number) > (sign * self.best[0], -self.best[1]):
            self.best = value, number

    def numbers(self, wanted: TrialState) -> list[int]:
        return [number for number, state in self.states.items() if state is wanted]

    @property
    def next_index(self) -> int:
        """What `study.ask` will return: the first that waits, or a new one."""
        waiting = self.numbers(TrialState.WAITING) if self.counts[TrialState.WAITING] else []
        return min(waiting, default=len(self))


class Ledger:
    """Studies and metrics of one run directory.

    Args:
        folder: the run directory.
        plan: its plan.
        writable: make the studies that are missing and free the trials of a dead driver. Only for
            the holder of `locked`.
    """

    def __init__(self, folder: Path, plan: Plan, *, writable: bool = False) -> None:
        self.plan = plan
        self._metrics_path = folder / "metrics.jsonl"
        self._metrics: IO[bytes] | None = None
        if writable:
            _mend(folder)
        self._storage = _storage(folder, plan, writable)
        self._books: dict[tuple[str, Phase], _Book] = {}
        self._running: dict[int, tuple[optuna.Trial, Set[int]]] = {}
        for variant in plan.variants:
            for phase in PHASES:
                self._open(variant, phase, writable)
        if writable:
            self._metrics = self._metrics_path.open("ab")
            self.release()

    @classmethod
    @contextmanager
    def locked(cls, folder: Path, plan: Plan) -> Iterator[Ledger]:
        """A ledger that only this process writes; trials left running are released at the end.

        Raises:
            BadInput: another driver works on the run directory.
        """
        lock = FileLock(folder / "driver.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise BadInput(
                f"another process is running the sweep in {folder}; wait for it or stop it "
                f"(`momentune status {folder}` shows its progress)"
            ) from error
        try:
            ledger = cls(folder, plan, writable=True)
            try:
                yield ledger
            finally:
                ledger.release()
                ledger.close()
        finally:
            lock.release()

    def close(self) -> None:
        """Closes the metrics log."""
        if self._metrics is not None:
            self._metrics.close()

    # What there is

    def counts(self, variant: str, phase: Phase) -> dict[TrialState, int]:
        """How many trials of a variant and phase are in each state."""
        book = self._books.get((variant, phase))
        return dict(book.counts) if book else dict.fromkeys(TrialState, 0)

    def finished(self, variant: str, phase: Phase) -> int:
        """How many trials of a variant and phase have ended, well or not."""
        counts = self.counts(variant, phase)
        return sum(counts[state] for state in FINISHED)

    def waiting(self, variant: str, phase: Phase) -> int:
        """How many trials of a variant and phase wait to be started, or started again."""
        return self.counts(variant, phase)[TrialState.WAITING]

    def made(self, variant: str, phase: Phase) -> int:
        """How many trials of a variant and phase there are in any state."""
        return sum(self.counts(variant, phase).values())

    def searched(self, variant: str) -> bool:
        """Whether the search of a variant is over."""
        return self.finished(variant, "search") >= self.plan.trials

    def planned(self, variant: str, phase: Phase) -> int:
        """How many trials a variant has in a phase; after a search without result, none."""
        if phase == "confirm" and self.searched(variant) and self.best_value(variant) is None:
            return 0
        return self.plan.planned(variant, phase)

    @property
    def done(self) -> bool:
        """Whether every planned trial has ended."""
        return all(
            self.finished(variant, phase) >= self.planned(variant, phase)
            for variant in self.plan.variants
            for phase in PHASES
        )

    @property
    def failed_variants(self) -> list[str]:
        """The variants that are through without one confirmed result."""
        return [
            variant
            for variant in self.plan.variants
            if self.searched(variant)
            and self.finished(variant, "confirm") >= self.planned(variant, "confirm")
            and not self.counts(variant, "confirm")[TrialState.COMPLETE]
        ]

    def best_value(self, variant: str) -> float | None:
        """The value of a variant's best search trial that ran to its end, so far; None without."""
        book = self._books.get((variant, "search"))
        return book.best[0] if book and book.best else None

    def best_params(self, variant: str) -> dict[str, Any]:
        """The parameters of that trial; KeyError without one."""
        book = self._books[variant, "search"]
        if book.best is None:
            raise KeyError(f"variant {variant!r} has no complete search trial")
        chosen = book.study.get_trials(deepcopy=False)[book.best[1]]
        return dict(chosen.user_attrs["trial"]["params"])

    # What happens

    def ask(self, variant: str, suggest: Callable[[optuna.Trial], dict[str, Any]]) -> Trial:
        """Starts a search trial: one that waits, or a new one with parameters from the sampler."""
        book = self._books[variant, "search"]
        index = book.next_index
        book.study.sampler = sampler(self.plan.sampler, self.plan.seed, variant, index)
        asked = book.study.ask()
        trial = Trial(
            number=self.plan.search_number(variant, asked.number),
            variant=variant,
            control=None,
            phase="search",
            seed=self.plan.seed + asked.number,
            epochs=self.plan.epochs,
            params=suggest(asked),
            index=asked.number,
        )
        return self._start(book, asked, trial)

    def plan_confirmation(
        self, variant: str, params: dict[str | None, dict[str, Any] | Failure]
    ) -> None:
        """Writes down the confirm trials of a variant that are still missing, to wait.

        Args:
            variant: whose.
            params: the parameters of each contender, by control, None for the variant itself; a
                failure where there are none, which is then the end of its trials.
        """
        book = self._books[variant, "confirm"]
        for index, (number, control, seed) in enumerate(self.plan.confirm_trials(variant)):
            if index < len(book):
                continue  # already there before an interruption
            given = params[control]
            trial = Trial(
                number=number,
                variant=variant,
                control=control,
                phase="confirm",
                seed=seed,
                epochs=self.plan.epochs,
                params={} if isinstance(given, Failure) else given,
                index=index,
            )
            attributes, state = {"trial": _identity(trial)}, TrialState.WAITING
            if isinstance(given, Failure):
                attributes, state = attributes | {"outcome": _outcome(given)}, TrialState.FAIL
            book.study.add_trial(create_trial(state=state, user_attrs=attributes))
            book.move(index, state)

    def next_confirm(self, variant: str) -> int:
        """The run-wide number of the confirm trial that `take` would start."""
        index = self._books[variant, "confirm"].next_index
        return self.plan.confirm_trials(variant)[index][0]

    def take(self, variant: str) -> Trial:
        """Starts the first confirm trial of a variant that waits."""
        book = self._books[variant, "confirm"]
        asked = book.study.ask()
        known = asked.user_attrs["trial"]
        return self._start(book, asked, Trial(**known, index=asked.number))

    def record(self, trial: Trial, step: int, metrics: Metrics, value: float) -> bool:
        """Writes down one report of a running trial; returns whether its scheduler stops it.

        Args:
            trial: which.
            step: the epoch, from 1.
            metrics: all of it, for the metrics log.
            value: the validation objective, for sampler and scheduler.
        """
        self._log(trial, step, metrics)
        asked, heard = self._running[trial.number]
        if step not in heard:  # a training that goes on from a checkpoint repeats its last epoch
            asked.report(value, step)
        return trial.phase == "search" and asked.should_prune()

    def complete(self, trial: Trial, value: float) -> None:
        """The trial ran to its end and is worth that."""
        self._end(trial, TrialState.COMPLETE, value=value)

    def prune(self, trial: Trial) -> None:
        """The trial was stopped by its scheduler; its value is that of its last report."""
        self._end(trial, TrialState.PRUNED)

    def fail(self, trial: Trial, failure: Failure, metrics: Metrics | None = None) -> None:
        """The trial has no result; `metrics` is the report that showed it, if one did."""
        if metrics is not None:
            self._log(trial, int(metrics.get("epoch", 0)), metrics)
        self._end(trial, TrialState.FAIL, failure=failure)

    def release(self) -> None:
        """Makes every trial that runs wait, to be started again from its checkpoint."""
        for book in self._books.values():
            for index in book.numbers(TrialState.RUNNING):
                identity = self._storage.get_trial_id_from_study_id_trial_number(
                    self._storage.get_study_id_from_name(book.study.study_name), index
                )
                self._storage.set_trial_state_values(identity, TrialState.WAITING)
                book.move(index, TrialState.WAITING)
        self._running.clear()

    def _open(self, variant: str, phase: Phase, writable: bool) -> None:
        name = self.plan.study_name(variant, phase)
        if writable:
            study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                direction=self.plan.space["direction"],
                load_if_exists=True,
                pruner=pruner(self.plan.scheduler),
            )
        else:
            try:
                study = optuna.load_study(study_name=name, storage=self._storage)
            except KeyError:
                return  # not begun yet
        self._books[variant, phase] = _Book(study)

    def _start(self, book: _Book, asked: optuna.Trial, trial: Trial) -> Trial:
        earlier = asked.user_attrs.get("attempt", {"number": 0})
        trial = replace(trial, attempt=earlier["number"] + 1)
        if "trial" not in asked.user_attrs:
            asked.set_user_attr("trial", _identity(trial))
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        asked.set_user_attr("attempt", {"number": trial.attempt, "started": now})
        book.move(asked.number, TrialState.RUNNING)
        known = book.study.get_trials(deepcopy=False)[asked.number]
        self._running[trial.number] = asked, known.intermediate_values.keys()
        return trial

    def _end(
        self,
        trial: Trial,
        state: TrialState,
        value: float | None = None,
        failure: Failure | None = None,
    ) -> None:
        assert self._metrics is not None
        os.fsync(self._metrics.fileno())  # the metrics are safe before the state says so
        asked, _ = self._running.pop(trial.number)
        started = datetime.fromisoformat(asked.user_attrs["attempt"]["started"])
        asked.set_user_attr("outcome", _outcome(failure, datetime.now(UTC) - started))
        book = self._books[trial.variant, trial.phase]
        book.study.tell(asked, value, state)
        book.move(trial.index, state)
        if value is not None:
            book.rank(value, trial.index)

    def _log(self, trial: Trial, step: int, metrics: Metrics) -> None:
        assert self._metrics is not None
        own = {
            "trial": trial.number,
            "attempt": trial.attempt,
            "step": step,
            "time": round(datetime.now(UTC).timestamp(), 3),
        }
        line = own | {n: _finite(value) for n, value in metrics.items() if n not in own}
        self._metrics.write(json.dumps(line, allow_nan=False, default=str).encode() + b"\n")
        self._metrics.flush()


def _storage(folder: Path, plan: Plan, writable: bool) -> BaseStorage:
    if "://" in plan.storage:
        return RDBStorage(plan.storage, skip_table_creation=not writable)
    return JournalStorage(JournalFileBackend(str(folder / plan.storage)))


def _mend(folder: Path) -> None:
    """Cuts the line that a killed driver left half written, and frees the lock it may have held.

    Optuna's journal reads on past a torn last line, but the next line would be glued to it and be
    lost with it. Only the holder of the driver's lock comes here, so no living writer is disturbed.
    """
    for log in (folder / "journal.log", folder / "metrics.jsonl"):
        if log.exists():
            content = log.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(log, whole)
    for stale in folder.glob("journal.log.lock*"):
        stale.unlink()


def _identity(trial: Trial) -> dict[str, Any]:
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


def _outcome(failure: Failure | None, spent: timedelta = timedelta()) -> dict[str, Any]:
    """What the study keeps about the end of a trial besides its state."""
    return {
        "reason": failure.reason if failure else None,
        "message": failure.message if failure else "",
        "step": failure.step if failure else None,
        "seconds": round(spent.total_seconds(), 3),
        "traceback": failure.traceback if failure else "",
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
