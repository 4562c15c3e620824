"""Arrays that take a minute to make, kept on disk from one process to the next."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VARIABLE = "MOMENTUNE_CACHE"
"""The environment variable that holds the folder; without it, the user's folder for caches."""

Arrays = tuple[NDArray[Any], ...]


def kept(name: str, settings: Mapping[str, int | str], make: Callable[[], Arrays]) -> Arrays:
    """What `make` returns, from the disk where it was kept before.

    A file that is damaged counts as none; a folder that cannot be written to keeps nothing. A file
    appears whole or not at all, so processes may make the same one at the same time.

    Args:
        name: of what is made.
        settings: all that the arrays depend on, the version of the code that makes them included.
        make: makes them anew.
    """
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()
    path = folder() / f"{name}-{digest[:16]}.npz"
    found = _read(path)
    if found is None:
        found = make()
        with suppress(OSError):
            _write(path, found)
    return found


def folder() -> Path:
    """Where arrays are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(os.environ.get(VARIABLE) or f"{caches}/momentune").expanduser()
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / "momentune"


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path) as file:
            complete = file.files and file.files == _names(len(file.files))
            return tuple(file[name] for name in file.files) if complete else None
    except Exception:  # damage raises what it likes: zlib's errors, struct's, zipfile's
        return None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as beside:
        whole = Path(beside) / path.name
        named = dict(zip(_names(len(arrays)), arrays, strict=True))
        np.savez_compressed(whole, allow_pickle=False, **named)
        whole.replace(path)


def _names(count: int) -> list[str]:
    """Of arrays in a file: each tells how many there are, for a damaged file may show fewer."""
    return [f"{k} of {count}" for k in range(count)]
