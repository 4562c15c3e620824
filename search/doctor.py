"""What can be wrong with a run directory, and what mends it without losing a result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.trial import TrialState

from .journal import OWN, mend, parsed, records, reported, torn_bytes
from .ledger import Ledger, driving
from .plan import BadInput, Plan, resume_command
from .trial import PHASES


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        what: in words.
        advice: what to do about it.
        repair: does it; None where nobody can, or where nothing need be done.
        grave: results are in danger as long as it stays.
    """

    what: str
    advice: str
    repair: Callable[[], object] | None = None
    grave: bool = False

    def __str__(self) -> str:
        mark = "!" if self.grave else "-"
        advice = "`momentune doctor --repair` mends it" if self.repair else self.advice
        return f"{mark} {self.what}; {advice}"


def examine(folder: Path) -> list[Finding]:
    """All that is wrong with a run directory, changing nothing.

    Raises:
        BadInput: it is no run directory.
    """
    plan = Plan.load(folder)
    if driven(folder):
        return [Finding("a driver works on this run", "wait for it: its files are in motion")]
    return _findings(folder, plan)


def mended(folder: Path) -> list[Finding]:
    """Repairs what can be repaired; returns what is left.

    Raises:
        BadInput: it is no run directory, or it cannot be written.
    """
    plan = Plan.load(folder)
    if driven(folder):
        return examine(folder)
    with driving(folder):
        for finding in _findings(folder, plan):
            if finding.repair:
                finding.repair()
        return _findings(folder, plan)


def _findings(folder: Path, plan: Plan) -> list[Finding]:
    return [*_torn(folder), *_broken(folder), *_studies(folder, plan), *_drafts(folder)]


def driven(folder: Path) -> bool:
    """Whether a living driver holds the run directory's lock."""
    path = folder / "driver.lock"
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _torn(folder: Path) -> Iterator[Finding]:
    for name in ("journal.log", "metrics.jsonl"):
        if torn := torn_bytes(folder / name):
            told = f"the last {torn} bytes of {name} are a record that was never written to its end"
            yield Finding(told, "", lambda: mend(folder))
    if any(folder.glob("journal.log.lock*")):
        yield Finding("the journal is locked by a process that is gone", "", lambda: mend(folder))


def _broken(folder: Path) -> Iterator[Finding]:
    try:
        for _ in reported(folder):
            pass
    except BadInput as error:
        told = str(error).partition("; ")[0]
        yield Finding(told, "", lambda: _take_out(folder / "metrics.jsonl"), grave=True)


def _take_out(log: Path) -> None:
    """Keeps a log's lines that are reports; the log as it was stays beside it."""
    aside = (log.with_name(f"{log.name}.broken-{n}") for n in count(1))
    content = log.read_bytes()
    _write(next(path for path in aside if not path.exists()), content)
    lines = content.splitlines(keepends=True)
    draft = log.with_name(f"{log.name}.draft")
    _write(draft, b"".join(line for line in lines if _is_report(line)))
    draft.replace(log)  # until here the log was as it was, whenever we are killed


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _is_report(line: bytes) -> bool:
    try:
        parsed(line, OWN)
    except ValueError:
        return False
    return True


def _studies(folder: Path, plan: Plan) -> Iterator[Finding]:
    try:
        for _ in records(folder / "journal.log"):
            pass
    except BadInput as error:
        yield Finding(
            str(error).partition("; ")[0],
            "each later record counts on it: put journal.log back from a backup. metrics.jsonl "
            "still holds every metric of every report",
            grave=True,
        )
        return
    try:
        ledger = Ledger(folder, plan)
    except BadInput as error:
        what, _, advice = str(error).partition("; ")
        yield Finding(what, advice, grave=True)
        return
    yield from _unmatched(folder, ledger)
    yield from _interrupted(folder, plan, ledger)


def _unmatched(folder: Path, ledger: Ledger) -> Iterator[Finding]:
    """Trials that only the studies know, or only the metrics."""
    try:
        heard = {line["trial"] for line in reported(folder)}
    except BadInput:
        return  # told already
    for numbers, told, lost in (
        (
            ledger.numbers(TrialState.COMPLETE, TrialState.PRUNED) - heard,
            "finished trials have no report in metrics.jsonl",
            "metrics.jsonl",
        ),
        (
            heard - ledger.numbers(*TrialState),
            "trials have reports and are in no study",
            "the studies",
        ),
    ):
        if numbers:
            few = ", ".join(map(str, sorted(numbers)[:5])) + " ..." * (len(numbers) > 5)
            advice = f"a part of {lost} is lost: put it back from a backup, where there is one"
            yield Finding(f"{len(numbers)} {told}: {few}", advice, grave=True)


def _interrupted(folder: Path, plan: Plan, ledger: Ledger) -> Iterator[Finding]:
    counts = [ledger.counts(variant, phase) for variant in plan.variants for phase in PHASES]
    running = sum(states[TrialState.RUNNING] for states in counts)
    if running:
        advice = f"nothing is lost: {resume_command(folder)}"
        yield Finding(f"{running} trials were running when their driver died", advice)
    if not running and not ledger.done:
        yield Finding("the sweep is not done", f"to go on: {resume_command(folder)}")


def _drafts(folder: Path) -> Iterator[Finding]:
    """Files that are renamed when they are whole, and whose writer died before that."""
    checkpoints = folder / "tune" / "checkpoints"
    drafts = [draft for draft in checkpoints.glob("*.pt.*") if draft.suffix[1:].isdigit()]
    drafts += [path for path in (folder / "plan.json.tmp",) if path.exists()]
    for draft in drafts:
        if not _alive(draft.suffix[1:]):
            yield Finding(f"{draft} was never finished", "", draft.unlink)
    for rejected in checkpoints.glob("*.rejected"):
        told = f"{rejected} did not fit its trial, which started over"
        yield Finding(told, "delete it when you have looked at it")


def _alive(process: str) -> bool:
    return process.isdigit() and Path(f"/proc/{process}").exists() and int(process) != os.getpid()
