"""CIFAR-10's photographs as images, and pixel by pixel as the Long Range Arena reads them."""

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray

from .classification import Classification
from .photographs import SIDE, Bytes, check_reduction, photographs, reduced
from .sources import Part, data_folder, sha256
from .task import Split
from .tokens import TokenSplit, TokenTask

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue are to the eye


class _Photographs(Classification):
    """What both readings share. Args are those of `CIFAR10`."""

    output_size = 10
    chance = 0.1

    def __init__(self, name: str, side: int, samples: int | None) -> None:
        check_reduction(side, samples)
        self.side, self.samples = side, samples
        self.name = name + ("" if side == SIDE else f"-{side}x{side}")

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of the bytes and labels that are used."""
        source = photographs(data_folder())
        parts = {part: self._bytes(part) for part in source.parts}
        return {
            "name": f"{self.name}: {source.name}",
            **{part: len(labels) for part, (_, labels) in parts.items()},
            "sha256": sha256(*(array for pair in parts.values() for array in pair)),
        }

    def train(self) -> Split:
        """Photographs to learn from."""
        return self._split("train")

    def validation(self) -> Split:
        """Photographs of the training set that are held out."""
        return self._split("validation")

    def test(self) -> Split:
        """The test set's photographs."""
        return self._split("test")

    def _pixels(self, part: Part) -> tuple[NDArray[np.float64], Bytes]:
        return reduced(*photographs(data_folder()).parts[part], self.side, self.samples)

    def _bytes(self, part: Part) -> tuple[Bytes, Bytes]:
        pixels, labels = self._pixels(part)
        return np.rint(pixels).astype(np.uint8), labels

    @abstractmethod
    def _split(self, part: Part) -> Split:
        """Photographs as a network reads them."""


class CIFAR10(_Photographs):
    """Ten classes; images (3, side, side) in [0, 1].

    See `photographs` for where they come from, and which they are.

    Args:
        side: of a photograph in pixels, 32, or 16, 8, 4 with blocks of pixels averaged.
        samples: of each split at most so many, as many of each class; None for all.

    Raises:
        FileNotFoundError: when data are asked for and there are none.
    """

    input_size = 3

    def __init__(self, *, side: int = SIDE, samples: int | None = None) -> None:
        super().__init__("cifar10-image", side, samples)
        self.shape = (3, side, side)

    def _split(self, part: Part) -> Split:
        pixels, labels = self._pixels(part)
        images = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / 255).float()
        return Split(images.contiguous(), torch.from_numpy(labels).long())


class CIFAR10Pixels(_Photographs, TokenTask):
    """Ten classes; 1,024 grey pixels row by row, or 3,072 bytes with red, green, blue in turn.

    In grey it is the Long Range Arena's task `image` (Tay et al., arXiv:2011.04006).

    Args:
        grey: the brightness of each pixel alone.
        side: as in `CIFAR10`: smaller ones are shorter sequences.
        samples: as in `CIFAR10`.
    """

    input_size = 256

    def __init__(self, *, grey: bool = True, side: int = SIDE, samples: int | None = None) -> None:
        super().__init__("grey-cifar10" if grey else "cifar10", side, samples)
        self.grey = grey
        self.length = side * side * (1 if grey else 3)

    def _pixels(self, part: Part) -> tuple[NDArray[np.float64], Bytes]:
        pixels, labels = super()._pixels(part)
        return (pixels @ np.array(LUMA) if self.grey else pixels), labels

    def _split(self, part: Part) -> TokenSplit:
        pixels, labels = self._bytes(part)
        tokens = torch.from_numpy(pixels).flatten(1).long()
        return TokenSplit(tokens, torch.from_numpy(labels).long())
