"""CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009)."""

import io
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .classification import Classification
from .sources import VARIABLE, Part, data_folder, ranks, sha256
from .task import Split

SIDE = 32  # of an image in pixels
Bytes = NDArray[np.uint8]
Labelled = tuple[Bytes, Bytes]  # images (N, 3, 32, 32), labels (N,)


class CIFAR10(Classification):
    """Ten classes; images (3, side, side) in [0, 1].

    From the first of these that the data folder has, and `data` says from which:

    1. `cifar-10-batches-py`, as it is published and as torchvision unpacks it: 50,000 and 10,000;
    2. `cifar10_jpeg_12k.npz`: 10,000 and 2,000, re-encoded as JPEG, which is another data set: its
       results are not comparable with published ones. Needs pillow (the extra `data`).

    A tenth of each class of the training images validates.

    Args:
        side: of an image in pixels, 32, or 16, 8, 4 with blocks of pixels averaged.
        samples: of each split at most so many, as many of each class; None for all.

    Raises:
        FileNotFoundError: when data are asked for and there are none.
    """

    input_size = 3
    output_size = 10
    needs_data = True
    chance = 0.1
    whole = 60_000

    def __init__(self, *, side: int = SIDE, samples: int | None = None) -> None:
        if side < 4 or SIDE % side:
            raise ValueError(f"side must be 32, 16, 8 or 4, got {side}")
        if samples is not None and samples < self.output_size:
            raise ValueError(f"samples must be at least one of each class, got {samples}")
        self.side, self.samples = side, samples
        self.shape = (3, side, side)
        self.name = "cifar10-image" + ("" if side == SIDE else f"-{side}x{side}")

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of the images and labels that are used, a byte each."""
        name, parts = _source(data_folder())
        chosen = {part: self._chosen(*held) for part, held in parts.items()}
        return {
            "name": f"{self.name}: {name}",
            **{part: len(labels) for part, (_, labels) in chosen.items()},
            "sha256": sha256(*(array for pair in chosen.values() for array in pair)),
        }

    def train(self) -> Split:
        """Images to learn from."""
        return self._split("train")

    def validation(self) -> Split:
        """Images of the training set that are held out."""
        return self._split("validation")

    def test(self) -> Split:
        """The official test images, or as many of them as the source has."""
        return self._split("test")

    def _split(self, part: Part) -> Split:
        images, labels = self._chosen(*_source(data_folder())[1][part])
        block = SIDE // self.side
        pixels = images.reshape(-1, 3, self.side, block, self.side, block).mean((3, 5)) / 255
        return Split(torch.from_numpy(pixels.astype(np.float32)), torch.from_numpy(labels).long())

    def _chosen(self, images: Bytes, labels: Bytes) -> Labelled:
        """As many as wanted: the first of each class, then the second of each, and so on."""
        first = np.lexsort((labels, ranks(labels)))[: self.samples]
        return images[first], labels[first]


@cache
def _source(folder: Path | None) -> tuple[str, dict[Part, Labelled]]:
    """Name and parts of the best source that is there."""
    found = next(_sources(folder), None) if folder else None
    if found is None:
        raise FileNotFoundError(
            "no CIFAR-10 images: unpack https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz "
            f"into the folder that --data or {VARIABLE} names (it makes cifar-10-batches-py)"
        )
    name, (images, labels), test = found
    held_out = ranks(labels) % 10 == 9
    return name, {
        "train": (images[~held_out], labels[~held_out]),
        "validation": (images[held_out], labels[held_out]),
        "test": test,
    }


def _sources(folder: Path) -> Iterator[tuple[str, Labelled, Labelled]]:
    official, few = folder / "cifar-10-batches-py", folder / "cifar10_jpeg_12k.npz"
    if official.is_dir():
        batches = [_batch(official / f"data_batch_{k}") for k in range(1, 6)]
        images, labels = (np.concatenate(held) for held in zip(*batches, strict=True))
        yield "50,000 and 10,000 images", (images, labels), _batch(official / "test_batch")
    if few.is_file():
        with np.load(few) as held:
            images, labels, is_test = (
                _decoded(held),
                held["label"].astype(np.uint8),
                held["is_test"],
            )
        test = is_test.astype(bool)
        train = images[~test], labels[~test]
        yield "10,000 and 2,000 images, as JPEG", train, (images[test], labels[test])


def _batch(path: Path) -> Labelled:
    with path.open("rb") as file:
        held = pickle.load(file, encoding="bytes")  # the form in which the data are published
    return held[b"data"].reshape(-1, 3, SIDE, SIDE), np.array(held[b"labels"], dtype=np.uint8)


def _decoded(held: Any) -> Bytes:
    """Images (N, 3, 32, 32) of JPEG files that lie end to end."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("JPEG images need pillow: pip install 'momentune[data]'") from error
    ends = np.cumsum(held["size"])
    files = np.split(held["data"], ends[:-1])
    images = [np.asarray(Image.open(io.BytesIO(file.tobytes())).convert("RGB")) for file in files]
    return np.stack(images).transpose(0, 3, 1, 2)
