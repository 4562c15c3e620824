"""Handwritten digits, pixel by pixel: the smallest real test of a recurrent cell's memory.

The 1,797 images of scikit-learn (8 x 8, ten classes; the test part of Alpaydin and Kaynak,
"Optical Recognition of Handwritten Digits", UCI, 1998) are read one pixel a step, row by row:
sequential MNIST (Le, Jaitly, Hinton, arXiv:1504.00941) in small. Permuted, neighbours in the image
are far apart in time, and the memory must be longer.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from .classification import Classification
from .sources import Part, permutation, ranks, sha256
from .task import Split

CYCLE: tuple[Part, ...] = ("train", "train", "train", "validation", "test")  # of every five
BRIGHTEST = 16  # of a pixel in the file


class Digits(Classification):
    """Ten classes; 64 steps of one pixel in [0, 1]; 1,085 images to learn, 357 and 355 to judge.

    The splits never change: of every five images of a class, in the file's order, three are for
    training, the fourth is for validation, the fifth for test.

    Args:
        permuted: read the pixels of every image in one fixed random order.
    """

    input_size = 1
    output_size = 10
    chance = 0.1

    def __init__(self, permuted: bool = False) -> None:
        self.name = "permuted-digits" if permuted else "digits"
        self.permuted = permuted

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of pixels in reading order, then labels, a byte each."""
        pixels, labels = self._bytes()
        parts = _parts(labels).tolist()
        return {
            "name": self.name,
            **{part: parts.count(part) for part in ("train", "validation", "test")},
            "sha256": sha256(pixels, labels),
        }

    def train(self) -> Split:
        """1,085 images."""
        return self._split("train")

    def validation(self) -> Split:
        """357 images."""
        return self._split("validation")

    def test(self) -> Split:
        """355 images."""
        return self._split("test")

    def _split(self, part: Part) -> Split:
        pixels, labels = self._bytes()
        chosen = _parts(labels) == part
        inputs = torch.from_numpy(pixels[chosen]).float() / BRIGHTEST
        return Split(inputs.unsqueeze(-1), torch.from_numpy(labels[chosen]).long())

    def _bytes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Pixels (1797, 64) in reading order and labels (1797,)."""
        pixels, labels = _file()
        return (pixels[:, permutation(64)] if self.permuted else pixels), labels


@cache
def _file() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    from sklearn.datasets import load_digits  # a second to import, so only where it is needed

    images = load_digits()
    return images.data.astype(np.uint8), images.target.astype(np.uint8)


def _parts(labels: NDArray[np.uint8]) -> NDArray[np.str_]:
    """The part of each sample, by its place among the samples of its class."""
    return np.array(CYCLE)[ranks(labels) % len(CYCLE)]
