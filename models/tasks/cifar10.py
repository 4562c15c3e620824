"""CIFAR-10: small photographs of ten things (Krizhevsky, 2009), one byte a token.

In grey, pixel by pixel, it is the Long Range Arena's task `image` (Tay et al., arXiv:2011.04006).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .classification import Classification
from .sources import VARIABLE, Part, data_folder, ranks, sha256
from .tokens import TokenSplit, TokenTask

SIDE = 32  # of a photograph in pixels
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue are to the eye
OFFICIAL: dict[Part, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
FEW = "cifar10_jpeg_12k.npz"
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """Labelled photographs, in parts: each (N, 32, 32, 3) and (N,)."""

    name: str
    parts: dict[Part, tuple[Bytes, Bytes]]


class CIFAR10(Classification, TokenTask):
    """Ten classes; 1,024 grey pixels row by row, or 3,072 bytes with red, green, blue in turn.

    The photographs are taken from the first of these that is there, and `data` says from which:

    1. the 50,000 and 10,000 of CIFAR-10, "binary version", as `cifar-10-batches-bin` in the data
       folder. The last tenth of each class validates;
    2. `cifar10_jpeg_12k.npz` in the data folder, 10,000 and 2,000 of them as JPEG, so not to be
       compared with results on the whole (needs the extra `data`). Likewise.

    Args:
        grey: the brightness of each pixel alone.
        side: of a photograph in pixels, 32, or 16, 8, 4 with blocks of pixels averaged: shorter
            sequences.
        samples: of each split at most so many, as many of each class; None for all.
    """

    input_size = 256
    output_size = 10
    chance = 0.1

    def __init__(self, *, grey: bool = True, side: int = SIDE, samples: int | None = None) -> None:
        if side not in (4, 8, 16, SIDE):
            raise ValueError(f"side must be 32, 16, 8 or 4, got {side}")
        if samples is not None and samples < self.output_size:
            raise ValueError(f"samples must be at least one of each class, got {samples}")
        self.grey, self.side, self.samples = grey, side, samples
        size = "" if side == SIDE else f"-{side}x{side}"
        self.name = ("grey-cifar10" if grey else "cifar10") + size
        self.length = side * side * (1 if grey else 3)

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of the bytes and labels that are used."""
        source = _source(data_folder())
        parts = {part: self._chosen(*source.parts[part]) for part in source.parts}
        return {
            "name": f"{self.name}: {source.name}",
            **{part: len(labels) for part, (_, labels) in parts.items()},
            "sha256": sha256(*(array for pair in parts.values() for array in pair)),
        }

    def train(self) -> TokenSplit:
        """Photographs to learn from."""
        return self._split("train")

    def validation(self) -> TokenSplit:
        """Photographs of the training set that are held out."""
        return self._split("validation")

    def test(self) -> TokenSplit:
        """The test set's photographs."""
        return self._split("test")

    def _split(self, part: Part) -> TokenSplit:
        pixels, labels = self._chosen(*_source(data_folder()).parts[part])
        tokens = torch.from_numpy(pixels).flatten(1).long()
        return TokenSplit(tokens, torch.from_numpy(labels).long())

    def _chosen(self, images: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
        first = np.lexsort((labels, ranks(labels)))[: self.samples]
        block = SIDE // self.side
        chosen = images[first].reshape(-1, self.side, block, self.side, block, 3).mean((2, 4))
        if self.grey:
            chosen = chosen @ np.array(LUMA)
        return np.rint(chosen).astype(np.uint8), labels[first]


@cache
def _source(folder: Path | None) -> Source:
    found = next(_sources(folder), None) if folder is not None else None
    if found is None:
        raise FileNotFoundError(
            "no CIFAR-10 photographs: unpack the folder cifar-10-batches-bin of "
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz into the folder that --data "
            f"or {VARIABLE} names"
        )
    return found


def _sources(folder: Path) -> Iterator[Source]:
    """The sources that are there, the best one first."""
    official = {
        part: [folder / "cifar-10-batches-bin" / name for name in names]
        for part, names in OFFICIAL.items()
    }
    if all(path.is_file() for paths in official.values() for path in paths):
        train, test = (_records(official[part]) for part in OFFICIAL)
        yield Source("50,000 and 10,000 photographs", _parted(*train) | {"test": test})
    if (folder / FEW).is_file():
        train, test = _jpegs(folder / FEW)
        name = f"{len(train[1]):,} and {len(test[1]):,} photographs, as JPEG"
        yield Source(name, _parted(*train) | {"test": test})


def _parted(images: Bytes, labels: Bytes) -> dict[Part, tuple[Bytes, Bytes]]:
    """The last tenth of each class validates."""
    counts = np.bincount(labels)[labels]
    held_out = ranks(labels) >= counts - counts // 10
    return {
        "train": (images[~held_out], labels[~held_out]),
        "validation": (images[held_out], labels[held_out]),
    }


def _records(paths: list[Path]) -> tuple[Bytes, Bytes]:
    """CIFAR-10's binary files: a label, then all red, all green, all blue, a byte each."""
    table = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 3073) for path in paths])
    images = table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, table[:, 0].copy()


def _jpegs(path: Path) -> tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]:
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
