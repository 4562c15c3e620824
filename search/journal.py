"""The journal file of a run: Optuna's own format, with one writer that never waits for a lock.

Optuna's file backend locks, opens and syncs the file for each record, because many processes may
write. A run has one writer, the holder of the driver's lock. So records go straight to the system,
where a killed driver leaves them, and `Journal.sync` puts them on the disk, where a loss of power
does: when a trial ends, and at most once a second, because a disk may take a hundredth of one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import BaseJournalBackend

from .plan import BadInput

Record = dict[str, Any]

OWN = ("trial", "attempt", "step", "time")
"""What every line of metrics.jsonl tells besides the training's own metrics."""


class Log:
    """A file of JSON lines that only grows, line by line, each whole or not at all.

    Args:
        path: opened for appending, and made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("ab", buffering=0)

    def append(self, lines: list[str]) -> None:
        """Hands lines to the system.

        Raises:
            OSError: there is no room for them, say; then nothing of them stays.
        """
        content = "".join(f"{line}\n" for line in lines).encode()
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(content)
            while written < len(content):  # the system took a part: what is wrong comes now
                written += self._file.write(content[written:])
        except OSError:
            os.truncate(self._path, before)
            raise

    def sync(self) -> None:
        """Puts everything on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Puts everything on the disk and closes the file."""
        self.sync()
        self._file.close()


class Journal(BaseJournalBackend):
    """An Optuna journal that one process writes, or that is only read, as it is at that moment.

    Args:
        path: the file; a missing one is empty to a reader.
        writable: make it where it is missing, and append. Only for the holder of the driver's lock.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self._path = path
        self._log = Log(path) if writable else None
        self._own: list[Record] = []  # appended, and not read back yet
        self._read: int | None = None  # how many records there were when we came, once read

    def read_logs(self, log_number_from: int) -> Iterator[Record]:
        """The records from a given one on; our own come back without a look at the file."""
        if self._read is None:
            self._read = 0
            for record in records(self._path):
                self._read += 1
                if self._read > log_number_from:
                    yield record
            return
        own, self._own = self._own[log_number_from - self._read :], []
        self._read = log_number_from + len(own)
        yield from own

    def append_logs(self, logs: list[Record]) -> None:
        """Writes records down; they are safe from the end of this process from then on."""
        if self._log is None:
            raise BadInput(f"{self._path} was opened to be read, not to be written")
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        self._log.append(lines)
        self._own += map(json.loads, lines)  # as anybody else would read them

    def sync(self) -> None:
        """Puts everything on the disk."""
        if self._log is not None:
            self._log.sync()

    def close(self) -> None:
        """Closes the file."""
        if self._log is not None:
            self._log.close()


def reported(folder: Path) -> Iterator[Record]:
    """Every report of a run's trials, in the order in which they came.

    Raises:
        BadInput: a line is none.
    """
    return records(folder / "metrics.jsonl", OWN)


def records(path: Path, names: Iterable[str] = ()) -> Iterator[Record]:
    """The whole lines of a file of JSON lines; what follows the last newline is not written yet.

    Raises:
        BadInput: a line is no JSON object with these names.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield parsed(line, names)
            except ValueError as error:
                raise BadInput(
                    f"line {number} of {path} must be JSON and is not ({error}); "
                    f"`momentune doctor {path.parent}` says what can be done"
                ) from error


def parsed(line: bytes, names: Iterable[str] = ()) -> Record:
    """The record that a line is.

    Raises:
        ValueError: it is no JSON object with these names.
    """
    record = json.loads(line)
    if not isinstance(record, dict) or not record.keys() >= set(names):
        raise ValueError(f"a record is an object{' with ' * bool(names)}{', '.join(names)}")
    return record


def mend(folder: Path) -> list[Path]:
    """Cuts the lines that a killed driver left half written, and frees the lock it may have held.

    Optuna's journal reads on past a torn last line, but the next line would be glued to it and be
    lost with it. Only the holder of the driver's lock comes here, so no living writer is disturbed.

    Returns:
        The files that it changed or removed.
    """
    mended = []
    for log in (folder / "journal.log", folder / "metrics.jsonl"):
        if torn := torn_bytes(log):
            os.truncate(log, log.stat().st_size - torn)
            mended.append(log)
    for stale in folder.glob("journal.log.lock*"):
        stale.unlink()
        mended.append(stale)
    return mended


def torn_bytes(log: Path) -> int:
    """How many bytes follow the last newline of a file; 0 of one that is whole or missing."""
    if not log.is_file():
        return 0
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b""
        while size and b"\n" not in tail:
            start = max(0, size - len(tail) - 4096)
            file.seek(start)
            tail = file.read(size - start)
            if start == 0:
                break
    return len(tail) - (tail.rfind(b"\n") + 1)
