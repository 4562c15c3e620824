"""Where the trainings of a run leave their checkpoints, for whoever goes on with them.

A folder that every machine sees is used as it is. Any other file system that pyarrow knows
(``s3://bucket/run``, ``gs://…``, ``hdfs://…``) holds copies of what lies on the machine's own disk
meanwhile. The ledger never lies here: only the driver writes it, on its own machine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from pyarrow import fs

_MARK = "this-run"


class ShelfError(ConnectionError):
    """A machine does not see the checkpoints; its configuration is not to blame."""

    reason = "lost"


class Shelf:
    """The checkpoints of a run, by name. Small to pickle.

    Args:
        place: a folder, or a URI of a file system that pyarrow knows.

    Raises:
        ValueError: it is a URI that pyarrow does not know, or nothing answers there.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._remote = "://" in place
        if self._remote:
            self._system()

    def mark(self, token: str) -> None:
        """Makes the place, and leaves a word there by which every machine knows it.

        Raises:
            OSError: it cannot be written.
        """
        self._write(_MARK, token)

    def look(self, token: str, probe: str) -> str:
        """What is wrong with the place, seen from this machine; empty when nothing.

        Args:
            token: the word that `mark` left.
            probe: a name to write and remove again, of this machine alone.
        """
        try:
            found = self._read(_MARK)
        except OSError as error:
            return f"{self.place} is not what the driver sees there ({error})"
        if found != token:
            return f"{self.place} is of another run there"
        try:
            self._write(probe, token)
            seen = self._read(probe)
            self.remove(probe)
        except OSError as error:
            return f"{self.place} cannot be written there ({error})"
        return "" if seen == token else f"{self.place} does not keep there what is written"

    def check(self, token: str) -> None:
        """As `look`, for a machine that came later; reads only.

        Raises:
            ShelfError: this machine does not see the place.
        """
        try:
            if self._read(_MARK) == token:
                return
        except OSError as error:
            raise ShelfError(f"{self.place} is not what the driver sees there ({error})") from error
        raise ShelfError(f"{self.place} is of another run there")

    def fetch(self, name: str) -> Path:
        """The path at which a training finds its checkpoint, if there is one, and leaves it."""
        if not self._remote:
            return Path(self.place) / name
        local = Path(tempfile.mkdtemp(prefix="momentune-")) / name
        system, root = self._system()
        if system.get_file_info(f"{root}/{name}").type is fs.FileType.File:
            fs.copy_files(f"{root}/{name}", str(local), source_filesystem=system)
        return local

    def store(self, local: Path) -> None:
        """Puts what a training left at that path where the others see it, whole or not at all."""
        if self._remote and local.exists():
            system, root = self._system()
            draft = f"{root}/{local.name}.draft"
            fs.copy_files(str(local), draft, destination_filesystem=system)
            system.move(draft, f"{root}/{local.name}")

    def release(self, local: Path) -> None:
        """Removes what this machine alone holds."""
        if self._remote:
            local.unlink(missing_ok=True)
            local.parent.rmdir()

    def remove(self, name: str) -> None:
        """Removes a checkpoint, if there is one."""
        system, root = self._system()
        try:
            system.delete_file(f"{root}/{name}")
        except FileNotFoundError:
            return

    def _system(self) -> tuple[fs.FileSystem, str]:
        if not self._remote:
            return fs.LocalFileSystem(), self.place
        try:
            system, root = fs.FileSystem.from_uri(self.place)
        except OSError as error:
            raise ValueError(f"{self.place} does not answer: {error}") from error
        except ValueError as error:
            raise ValueError(
                f"{self.place} is no file system that pyarrow knows: {error}"
            ) from error
        return system, root

    def _write(self, name: str, text: str) -> None:
        system, root = self._system()
        system.create_dir(root, recursive=True)
        with system.open_output_stream(f"{root}/{name}") as file:
            file.write(text.encode())

    def _read(self, name: str) -> str:
        system, root = self._system()
        with system.open_input_stream(f"{root}/{name}") as file:
            return bytes(file.read()).decode()
