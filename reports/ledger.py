"""The ledger, for reading only: what Optuna's storage knows, while a sweep may be writing it."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from .run import RunError

PHASES = ("search", "confirm")


class ReadOnlyJournal(BaseJournalBackend):
    """A snapshot of a journal file. It never creates, locks or appends.

    Optuna's own backend creates a missing file, and reads again at every question, so that two
    studies could be seen at two moments.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = path.read_bytes().split(b"\n") if path.is_file() else [b""]

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The records from a given one on; what follows the last newline is still being written."""
        complete = self._lines[:-1]
        for number, line in enumerate(complete[log_number_from:], start=log_number_from + 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                if number == len(complete):
                    return
                raise RunError(
                    f"every line of {self._path} must be JSON, but line {number} is not: {error}; "
                    "put that file back from a backup, or take the line out"
                ) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuses: a report changes nothing."""
        raise RunError(f"reports only read {self._path}, but {len(logs)} records were to be added")


def frozen_trials(path: Path, plan: dict[str, Any]) -> Iterator[tuple[str, str, FrozenTrial]]:
    """Every trial of the run as (variant, phase, Optuna's trial); a study not begun has none.

    Raises:
        RunError: the storage cannot be read.
    """
    storage = open_storage(path, plan)
    studies = {study.study_name: study._study_id for study in storage.get_all_studies()}
    prefix = plan.get("study_prefix") or ""  # a database may hold many runs
    for variant in plan["space"]["variants"]:
        for phase in PHASES:
            study = studies.get(f"{prefix}{variant['name']}/{phase}")
            if study is None:
                continue
            # What was confirmed before an extended search chose something else counts no more.
            start = storage.get_study_user_attrs(study).get("counts from", 0)
            trials = storage.get_all_trials(study, deepcopy=False)[start:]
            yield from ((variant["name"], phase, trial) for trial in trials)


def open_storage(path: Path, plan: dict[str, Any]) -> BaseStorage:
    """The run's storage for reading, as it stands now.

    Raises:
        RunError: the storage cannot be read.
    """
    return _storage(path, str(plan.get("storage") or "journal.log"))


def _storage(path: Path, where: str) -> BaseStorage:
    if "://" not in where:
        return JournalStorage(ReadOnlyJournal(path / where))
    from sqlalchemy.engine import make_url  # which takes its time, and a file needs none of it

    try:
        url = make_url(where)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise FileNotFoundError(f"there is no file {url.database}")  # SQLite would make one
        return RDBStorage(where, skip_table_creation=True)
    except (StorageInternalError, ImportError, RuntimeError, OSError) as error:
        told = str(error.__cause__ or error)  # Optuna's own words are of commits
        raise RunError(
            f"the run's storage must answer, but {without_password(where)} does not: "
            f"{without_password(told)}; start it, put its file back, or install its driver"
        ) from error


def without_password(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]+@", r"\1:***@", text)
