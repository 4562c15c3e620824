"""What tasks share about data: where they lie, how they are parted, and how they are told apart."""

import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
VARIABLE = "MOMENTUNE_DATA"
"""The environment variable that holds the folder of data files; `--data` sets it."""


def data_folder() -> Path | None:
    """The folder of the user's data files; None when there is none.

    Raises:
        FileNotFoundError: the folder that was named is not there.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise FileNotFoundError(f"{VARIABLE}={named} is no folder; name the one with the data")
    return Path(named)


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        ValueError: it is not UTF-8.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is no UTF-8 text: byte {error.start} (line {line}) is "
            f"0x{content[error.start]:02x}, {error.reason}; convert it, for example with "
            f"`iconv -f latin1 -t utf-8 {path.name} > utf8.txt`, or take it out of the folder"
        ) from error


def ranks(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many samples of its class come before each sample."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    found = np.empty(len(labels), dtype=np.int64)
    found[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return found


def permutation(length: int) -> NDArray[np.int64]:
    """A fixed order; numpy froze the stream of its `RandomState`."""
    return np.random.RandomState(0).permutation(length)


def sha256(*arrays: NDArray[np.generic]) -> str:
    """The hash of some arrays' bytes, one array after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
