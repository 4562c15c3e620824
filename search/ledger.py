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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.trial import BaseTrial, FrozenTrial, TrialState, create_trial

from .book import Book, finite, identity, outcome
from .draft import Draft
from .hearsay import Heard, known
from .journal import Journal, Log, mend, reported
from .plan import BadInput, Plan, without_password
from .sampling import sampler
from .scheduling import COST, scheduler
from .spending import Spending
from .trial import PHASES, Failure, Phase, Trial

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

Metrics = dict[str, Any]

_PACE = 1.0  # seconds between two times that everything is put on the disk
_LATE = 0.2  # seconds that a worker may take to begin before it is worth a record


@contextmanager
def driving(folder: Path) -> Iterator[None]:
    """Holds the lock of a run directory's one writer.

    Raises:
        BadInput: another driver works on the run directory, or it cannot be written.
    """
    lock = FileLock(folder / "driver.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BadInput(
            f"another process is running the sweep in {folder}; wait for it or stop it "
            f"(`momentune status {folder}` shows its progress)"
        ) from error
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written: {error.strerror}; a sweep goes on only where it can "
            "write, but `momentune status` and `momentune report` read"
        ) from error
    try:
        yield
    finally:
        lock.release()


class Ledger:
    """Studies and metrics of one run directory.

    Args:
        folder: the run directory.
        plan: its plan.
        writable: make the studies that are missing and free the trials of a dead driver. Only for
            the holder of `locked`.
    """

    def __init__(self, folder: Path, plan: Plan, *, writable: bool = False) -> None:
        self.plan, self._folder = plan, folder
        log = folder / "metrics.jsonl"
        self._reported = log.is_file() and log.stat().st_size > 0  # a trial's study knew it first
        if writable:
            mend(folder)
        self._metrics = Log(log) if writable else None
        self._journal: Journal | None = None
        self._storage: BaseStorage
        self._books: dict[tuple[str, Phase], Book] = {}
        self._synced = -math.inf
        self._spending = Spending(plan)
        self._known: dict[str, list[FrozenTrial]] = {}
        try:
            self._storage = self._connect(writable)
            for variant in plan.variants:
                for phase in PHASES:
                    self._open(variant, phase, writable)
        except (BadInput, OSError):
            raise
        except Exception as error:  # whatever Optuna raises, or a database's driver
            raise self._unreadable(error.__cause__ or error) from error
        self._check_whole(writable)
        if plan.budget:
            for line in reported(folder):
                self._spending.add(line["trial"], line)
        if writable:
            self.release()

    @classmethod
    @contextmanager
    def locked(cls, folder: Path, plan: Plan) -> Iterator[Ledger]:
        """A ledger that only this process writes; trials left running are released at the end.

        Raises:
            BadInput: another driver works on the run directory, or it cannot be written.
        """
        with driving(folder):
            ledger = cls(folder, plan, writable=True)
            try:
                yield ledger
            finally:
                ledger.release()
                ledger.close()

    def close(self) -> None:
        """Closes its files."""
        for file in (self._metrics, self._journal):
            if file is not None:
                file.close()

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
        return self.finished(variant, "search") >= self.planned(variant, "search")

    def planned(self, variant: str, phase: Phase) -> int:
        """How many trials a variant has in a phase.

        When its share of the budget is used up, those that it has; after a search without result,
        none to confirm.
        """
        if phase == "search" and self._spending.used_up(variant):
            return self.made(variant, phase)
        if phase == "confirm" and self.searched(variant) and self.best_value(variant) is None:
            return 0
        return self.start(variant, phase) + self.plan.planned(variant, phase)

    def start(self, variant: str, phase: Phase) -> int:
        """How many trials of a phase no longer count: they confirmed what was chosen earlier."""
        book = self._books.get((variant, phase))
        if book is None or phase == "search":
            return 0
        return len(book) if self.searched(variant) and self._outdated(variant) else book.start

    def used_up(self, variant: str) -> bool:
        """Whether a variant has spent its share of the budget."""
        return self._spending.used_up(variant)

    def spent(self, variant: str, metric: str) -> float:
        """The sum of a budget's metric over a variant's search so far."""
        return self._spending.spent(variant, metric)

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
        return dict(book[book.best[1]].user_attrs["trial"]["params"])

    def complete_searches(self, variant: str) -> list[FrozenTrial]:
        """The search trials of a variant that ran to their end, as Optuna holds them."""
        book = self._books.get((variant, "search"))
        return [book[n] for n in book.numbers(TrialState.COMPLETE)] if book else []

    def ready(self, variant: str) -> bool:
        """Whether a new search trial may be drawn: what its sampler is to hear has ended."""
        book = self._books[variant, "search"]
        before = self.plan.heard_before(len(book))
        return before is None or book.finished_below(before)

    def next_alone(self, variant: str, phase: Phase) -> bool:
        """Whether the next trial of a variant and phase waits to run while nothing else does."""
        return _alone(self._books[variant, phase].next_attributes)

    def failures(self, trial: Trial) -> list[dict[str, Any]]:
        """The failures of a trial's earlier attempts."""
        attributes = self._books[trial.variant, trial.phase][trial.index].user_attrs
        return list(attributes.get("failures", []))

    def trial(self, number: int) -> Trial | None:
        """The trial of that number, if it has begun."""
        trials = (trial for book in self._books.values() for trial in book.trials())
        return next((trial for trial in trials if trial.number == number), None)

    def numbers(self, *states: TrialState) -> set[int]:
        """The trials in these states, by number; those that have begun, or wait to be confirmed."""
        known = (book[n] for book in self._books.values() for s in states for n in book.numbers(s))
        return {int(t.user_attrs["trial"]["number"]) for t in known if "trial" in t.user_attrs}

    def draw(self, variant: str, suggest: Callable[[BaseTrial], dict[str, Any]]) -> Draft:
        """Draws the next new search trial of a variant.

        That writes nothing about any trial (NSGA-II keeps the parents of a generation with the
        study), so it may be done in another thread, ahead of the moment when the trial is started:
        its sampler hears of what has happened when it begins to draw, and no more.
        """
        book = self._books[variant, "search"]
        index = len(book)
        if variant not in self._known:
            self._known[variant] = known(self.plan.imported, variant, suggest)
        heard = Heard(book.study, self.plan.heard_before(index), self._known[variant])
        return Draft(index, sampler(self.plan, variant, index, heard.known), heard, suggest)

    def add(self, variant: str, draft: Draft) -> Trial:
        """Starts a new search trial as it was drawn: one record holds all of it."""
        book, index = self._books[variant, "search"], draft.number
        trial = Trial(
            number=self.plan.search_number(variant, index),
            variant=variant,
            control=None,
            phase="search",
            seed=self.plan.seed + index,
            epochs=self.plan.epochs,
            params=draft.values,
            index=index,
        )
        drawn = draft.trial
        drawn.user_attrs = {"trial": identity(trial), "attempt": _attempt(1)}
        drawn.datetime_start = datetime.now()  # in local time, as Optuna has it
        book.add(drawn)
        return trial

    def take(self, variant: str, phase: Phase) -> Trial:
        """Starts the first trial of a variant and phase that waits."""
        book = self._books[variant, phase]
        taken = book.take()
        known = taken.user_attrs
        attempt = known.get("attempt", {"number": 0})["number"] + 1
        book.note(taken.number, "attempt", _attempt(attempt))
        return Trial(**known["trial"], index=taken.number, attempt=attempt, alone=_alone(known))

    def begun(self, trial: Trial) -> None:
        """The training of a running trial begins now: its worker may have taken long to start."""
        book = self._books[trial.variant, trial.phase]
        started = datetime.fromisoformat(book[trial.index].user_attrs["attempt"]["started"])
        if (datetime.now(UTC) - started).total_seconds() > _LATE:
            book.note(trial.index, "attempt", _attempt(trial.attempt))

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
        if self._outdated(variant):
            book.restart()
        planned = self.plan.confirm_trials(variant)
        for index, (number, control, seed) in enumerate(planned, start=book.start):
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
            attributes, state = {"trial": identity(trial)}, TrialState.WAITING
            if isinstance(given, Failure):
                attributes, state = attributes | {"outcome": outcome(given)}, TrialState.FAIL
            book.add(create_trial(state=state, user_attrs=attributes))

    def _outdated(self, variant: str) -> bool:
        """Whether what is confirmed is no longer the best, after an extended search."""
        book, best = self._books[variant, "confirm"], self._books[variant, "search"].best
        if not self.plan.extensions or best is None or book.start >= len(book):
            return False
        # A confirmation's first trial is of the variant itself.
        return bool(book[book.start].user_attrs["trial"]["params"] != self.best_params(variant))

    def next_confirm(self, variant: str) -> int:
        """The run-wide number of the confirm trial that `take` would start."""
        return int(self._books[variant, "confirm"].next_attributes["trial"]["number"])

    def record(self, trial: Trial, step: int, metrics: Metrics, *values: float) -> bool:
        """Writes down one report of a running trial; returns whether its scheduler stops it.

        Of several attempts at a step, the latest counts. That the trial is stopped is written down
        before anything else can happen; `prune` does the rest, if need be after a restart.

        Args:
            trial: which.
            step: the epoch, from 1.
            metrics: all of it, for the metrics log.
            values: the validation objective, and the second one where there is one, for sampler and
                scheduler.

        Raises:
            BadInput: a metric of the budget is not in a variant's first report.
        """
        self._spending.check(trial.number, metrics)
        self._log(trial, step, metrics)
        book = self._books[trial.variant, trial.phase]
        for cost in values[1:]:
            book.note(trial.index, f"{COST}{step}", cost)
        stops = trial.phase == "search" and book.scheduler.stops(trial.index, step, values)
        if stops and step < trial.epochs:  # else it is complete anyway
            told = {"attempt": trial.attempt, "step": step, "value": values[0], "time": _now()}
            book.note(trial.index, "stopped", told)
            return True
        book.report(trial.index, step, values[0])
        return False

    def complete(self, trial: Trial, *values: float) -> None:
        """The trial ran to its end and is worth that, by each objective."""
        self._end(trial, TrialState.COMPLETE, values)

    def prune(self, trial: Trial) -> None:
        """The trial was stopped by its scheduler; its value is that of its last report."""
        book = self._books[trial.variant, trial.phase]
        known = book[trial.index]
        stopped = known.user_attrs["stopped"]
        step, value = stopped["step"], stopped["value"]
        book.report(trial.index, step, value)
        for later in known.intermediate_values:
            if later > step:  # which only an earlier attempt has reached
                book.report(trial.index, later, math.nan)
        values = () if self.plan.second_objective else (value,)
        self._end(trial, TrialState.PRUNED, values, until=stopped["time"])

    def fail(self, trial: Trial, failure: Failure, metrics: Metrics | None = None) -> None:
        """The trial has no result; `metrics` is the report that showed it, if one did."""
        if metrics is not None:
            self._log(trial, int(metrics.get("epoch", 0)), metrics)
        self._end(trial, TrialState.FAIL, failure=failure)

    def retry(self, trial: Trial, failure: Failure) -> None:
        """The attempt failed, and the trial waits for another one; its checkpoint stays."""
        book = self._books[trial.variant, trial.phase]
        told = {"attempt": trial.attempt, "reason": failure.reason, "message": failure.message}
        book.note(trial.index, "failures", [*self.failures(trial), told])
        book.wait(trial.index)

    def release(self) -> None:
        """Makes every trial that runs wait, to be started again from its checkpoint.

        One that its scheduler has stopped, which a dead driver could not write down any more, ends.
        """
        for book in self._books.values():
            for index in book.numbers(TrialState.RUNNING):
                known = book[index].user_attrs
                attempt = known.get("attempt", {}).get("number")
                if attempt and known.get("stopped", {}).get("attempt") == attempt:
                    self.prune(Trial(**known["trial"], index=index, attempt=attempt))
                else:
                    book.wait(index)
        self._sync()

    def _connect(self, writable: bool) -> BaseStorage:
        if "://" not in self.plan.storage:
            journal = self._folder / self.plan.storage
            if self._reported and not journal.is_file():
                raise self._lost(f"{self.plan.storage} is gone")
            self._journal = Journal(journal, writable=writable)
            return JournalStorage(self._journal)
        from sqlalchemy.engine import make_url  # which takes its time, and a file needs none of it

        url = make_url(self.plan.storage)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
            raise self._lost(f"{url.database} is gone")  # SQLite would make an empty one
        database = RDBStorage(self.plan.storage, skip_table_creation=not writable)
        return get_storage(database)  # with a cache, as every study has it

    def _check_whole(self, writable: bool) -> None:
        """Raises BadInput where studies or metrics are lost: the sweep would run once more."""
        if self._reported and not any(map(len, self._books.values())):
            raise self._lost(f"{without_password(self.plan.storage)} holds none of its trials")
        if writable and not self._reported and self.numbers(TrialState.COMPLETE, TrialState.PRUNED):
            raise self._lost("metrics.jsonl is gone or empty, and its studies know finished trials")

    def _lost(self, what: str) -> BadInput:
        return BadInput(
            f"{self._folder} has lost results: {what}; put it back from a backup, where there is "
            "one. Nothing goes on without it, but a new sweep can know the trials that trials.csv "
            f"tells (momentune sweep SPACE --from {self._folder / 'trials.csv'})"
        )

    def _unreadable(self, error: BaseException) -> BadInput:
        where = without_password(self.plan.storage)
        first = next(iter(str(error).splitlines()), "")
        return BadInput(
            f"the studies of {self._folder} in {where} cannot be read: {type(error).__name__}: "
            f"{without_password(first)}; start the database, or put {where} back from a backup"
        )

    def _open(self, variant: str, phase: Phase, writable: bool) -> None:
        name, directions = self.plan.study_name(variant, phase), [self.plan.space["direction"]]
        if phase == "search" and self.plan.second_objective:
            directions.append("minimize")
        try:
            study = optuna.load_study(study_name=name, storage=self._storage)
        except KeyError:
            if self._reported:
                raise self._lost(f"there is no study {name}") from None
            if not writable:
                return  # not begun yet
            study = optuna.create_study(
                study_name=name, storage=self._storage, directions=directions
            )
        judge = scheduler(self.plan.scheduler, self.plan.epochs, study.directions)
        self._books[variant, phase] = Book(study, self._storage, judge)

    def _end(
        self,
        trial: Trial,
        state: TrialState,
        values: tuple[float, ...] = (),
        failure: Failure | None = None,
        until: str | None = None,
    ) -> None:
        book = self._books[trial.variant, trial.phase]
        started = datetime.fromisoformat(book[trial.index].user_attrs["attempt"]["started"])
        spent = datetime.fromisoformat(until or _now()) - started
        book.note(trial.index, "outcome", outcome(failure, spent))
        book.end(trial.index, state, values)
        self._sync()

    def _sync(self) -> None:
        """Puts what happened on the disk, if that is a second ago; metrics before states."""
        if time.monotonic() < self._synced + _PACE:
            return
        for log in (self._metrics, self._journal):
            if log is not None:
                log.sync()
        self._synced = time.monotonic()

    def _log(self, trial: Trial, step: int, metrics: Metrics) -> None:
        assert self._metrics is not None
        own = {
            "trial": trial.number,
            "attempt": trial.attempt,
            "step": step,
            "time": round(datetime.now(UTC).timestamp(), 3),
        }
        line = own | {n: finite(value) for n, value in metrics.items() if n not in own}
        self._metrics.append([json.dumps(line, allow_nan=False, default=str)])
        self._spending.add(trial.number, line)


def _alone(attributes: dict[str, Any]) -> bool:
    """Whether a trial's last attempt ran out of memory, so that the next has all of it."""
    failures = attributes.get("failures", [])
    return bool(failures) and failures[-1]["reason"] == "oom"


def _attempt(number: int) -> dict[str, Any]:
    """What the study keeps about an attempt that starts now."""
    return {"number": number, "started": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
