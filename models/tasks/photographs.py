"""The photographs of CIFAR-10, wherever they lie.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009: 32 x 32 pixels, ten
classes. From the first of these in the data folder, and a task's `data` says from which:

1. the 50,000 and 10,000, binary version (`cifar-10-batches-bin`) or Python version
   (`cifar-10-batches-py`, which torchvision unpacks);
2. `cifar10_jpeg_12k.npz`: 10,000 and 2,000 of them as JPEG, so not to be compared with results on
   the whole. Needs pillow (the extra `data`).

The last tenth of each class of the training photographs validates.
"""

import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .sources import VARIABLE, Part, ranks

SIDE = 32  # of a photograph in pixels
BINARY, PICKLED, FEW = "cifar-10-batches-bin", "cifar-10-batches-py", "cifar10_jpeg_12k.npz"
Bytes = NDArray[np.uint8]
Labelled = tuple[Bytes, Bytes]  # photographs (N, 32, 32, 3), labels (N,)


@dataclass(frozen=True)
class Source:
    """Labelled photographs, in parts."""

    name: str
    parts: dict[Part, Labelled]


@cache
def photographs(folder: Path | None) -> Source:
    """The photographs of the best source that is there.

    Raises:
        FileNotFoundError: there is none.
    """
    found = next(_sources(folder), None) if folder is not None else None
    if found is None:
        raise FileNotFoundError(
            "no CIFAR-10 photographs: unpack "
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz into the folder that "
            f"--data or {VARIABLE} names (it makes {BINARY}; the {PICKLED} of "
            "the Python version will do as well)"
        )
    return found


def _sources(folder: Path) -> Iterator[Source]:
    """The sources that are there, the best one first."""
    for name, read, ending in ((BINARY, _records, ".bin"), (PICKLED, _batches, "")):
        training = [folder / name / f"data_batch_{number}{ending}" for number in range(1, 6)]
        testing = folder / name / f"test_batch{ending}"
        if all(path.is_file() for path in (*training, testing)):
            parts = _parted(*read(training)) | {"test": read([testing])}
            yield Source("50,000 and 10,000 photographs", parts)
    if (folder / FEW).is_file():
        train, test = _jpegs(folder / FEW)
        name = f"{len(train[1]):,} and {len(test[1]):,} photographs, as JPEG"
        yield Source(name, _parted(*train) | {"test": test})


def _parted(images: Bytes, labels: Bytes) -> dict[Part, Labelled]:
    """The last tenth of each class validates."""
    counts = np.bincount(labels)[labels]
    held_out = ranks(labels) >= counts - counts // 10
    return {
        "train": (images[~held_out], labels[~held_out]),
        "validation": (images[held_out], labels[held_out]),
    }


def _records(paths: list[Path]) -> Labelled:
    """CIFAR-10's binary files: a label, then all red, all green, all blue, a byte each."""
    table = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 3073) for path in paths])
    images = table[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return images, table[:, 0].copy()


def _batches(paths: list[Path]) -> Labelled:
    """CIFAR-10's Python files, as torchvision unpacks them: the same in pickled dictionaries."""
    held = [pickle.loads(path.read_bytes(), encoding="bytes") for path in paths]
    images = np.concatenate([batch[b"data"] for batch in held]).reshape(-1, 3, SIDE, SIDE)
    labels = np.concatenate([np.array(batch[b"labels"], dtype=np.uint8) for batch in held])
    return images.transpose(0, 2, 3, 1), labels


def _jpegs(path: Path) -> tuple[Labelled, Labelled]:
    """Training and test photographs of an archive that holds JPEG files end to end."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{path.name} holds JPEGs: `pip install 'momentune[data]'`") from error
    with np.load(path) as held:
        ends = np.cumsum(held["size"])
        files, labels = np.split(held["data"], ends[:-1]), held["label"].astype(np.uint8)
        is_test = held["is_test"].astype(bool)
    images = np.stack([np.asarray(Image.open(io.BytesIO(file.tobytes()))) for file in files])
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


def reduced(
    images: Bytes, labels: Bytes, side: int, samples: int | None
) -> tuple[NDArray[np.float64], Bytes]:
    """The first of each class, then the second, and so on; blocks of their pixels averaged.

    Returns:
        At most so many samples: (N, side, side, 3) from 0 to 255, and labels (N,).
    """
    first = np.lexsort((labels, ranks(labels)))[:samples]
    block = SIDE // side
    pixels = images[first].reshape(-1, side, block, side, block, 3).mean((2, 4))
    return pixels, labels[first]


def check_reduction(side: int, samples: int | None) -> None:
    """ValueError unless 32 pixels can be averaged to that side, and no class is left out."""
    if side not in (4, 8, 16, SIDE):
        raise ValueError(f"side must be 32, 16, 8 or 4, got {side}")
    if samples is not None and samples < 10:
        raise ValueError(f"samples must be at least one of each class, got {samples}")
