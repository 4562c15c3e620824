"""Copying and adding: how long can a network remember? Made, not read; nothing else is in the way.

Both are from Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997), in the form of Arjovsky,
Shah, Bengio, "Unitary Evolution Recurrent Neural Networks" (arXiv:1511.06464), which the momentum
paper uses too (section 1.10 of paper.md: its lengths and rates are not confirmed).
"""

import math
import random
from abc import abstractmethod
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from .sources import Part, sha256
from .task import Split, Task

SYMBOLS = 8  # that are to be copied, besides the blank and the delimiter


class Made(Task):
    """A task whose samples are drawn once and for all, whatever the seed of a training.

    Args:
        length: T of the task.
        train: samples to learn from.
        held_out: samples of validation and of test each.
    """

    metric = "loss"
    direction: Literal["maximize", "minimize"] = "minimize"

    def __init__(self, length: int, *, train: int = 2000, held_out: int = 500) -> None:
        if length < 2:
            raise ValueError(f"length must be at least 2 time steps, got {length}")
        if train < 1 or held_out < 1:
            raise ValueError(f"train and held_out must be at least 1, got {train} and {held_out}")
        self.length = length
        self.sizes: dict[str, int] = {"train": train, "validation": held_out, "test": held_out}

    def train(self) -> Split:
        """As many samples as were asked for."""
        return self._split("train")

    def validation(self) -> Split:
        """Samples that are not among those of training."""
        return self._split("validation")

    def test(self) -> Split:
        """Samples that are in no other split."""
        return self._split("test")

    @abstractmethod
    def _split(self, part: Part) -> Split:
        """The samples of a part."""

    def _places(self, part: Part) -> slice:
        """Where the samples of a part lie among all."""
        parts = list(self.sizes)
        start = sum(self.sizes[before] for before in parts[: parts.index(part)])
        return slice(start, start + self.sizes[part])


class Copying(Made):
    """Repeat ten symbols after `length` blanks.

    A sequence is ten symbols out of eight, length - 1 blanks, a delimiter and ten more blanks, each
    as a one-hot vector: (length + 20, 10). The answer is blank at every step but the last ten, and
    there the ten symbols. No sequence of symbols is in two splits.

    The metric is the cross entropy per step in nats; `recalled` is the share of the ten symbols
    that are right. Who remembers nothing but knows the rest reaches 10 log 8 / (length + 20).
    """

    copied = 10
    input_size = SYMBOLS + 2
    output_size = SYMBOLS + 1

    def __init__(self, length: int, *, train: int = 2000, held_out: int = 500) -> None:
        super().__init__(length, train=train, held_out=held_out)
        self.name = f"copying-{length}"
        self.chance = self.copied * math.log(SYMBOLS) / (length + 2 * self.copied)

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of the symbols, a byte each."""
        return {"name": self.name, **self.sizes, "sha256": sha256(self._symbols())}

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of logits (B, T, 9) against classes (B, T), mean over steps, in nats."""
        return cross_entropy(prediction.flatten(0, 1), target.flatten())

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` and `recalled`."""
        right = prediction[:, -self.copied :].argmax(-1) == target[:, -self.copied :]
        return {
            "loss": self.loss(prediction, target).item(),
            "recalled": right.double().mean().item(),
        }

    def _symbols(self) -> NDArray[np.uint8]:
        return _different(self.copied, sum(self.sizes.values()))

    def _split(self, part: Part) -> Split:
        symbols = torch.from_numpy(self._symbols()[self._places(part)]).long()
        read = symbols.new_zeros(len(symbols), self.length + 2 * self.copied)
        answer = read.clone()
        read[:, : self.copied] = answer[:, -self.copied :] = symbols
        read[:, -self.copied - 1] = SYMBOLS + 1  # the delimiter
        return Split(one_hot(read, self.input_size).float(), answer)


class Adding(Made):
    """Add the two of `length` numbers that are marked.

    A sequence is (length, 2): numbers between 0 and 1, and marks, 1 at one step of the first half
    and at one of the second, 0 elsewhere. The answer is one number, the sum of the marked two.

    The metric is the mean squared error; whoever always says 1 reaches 1/6.
    """

    input_size = 2
    output_size = 1
    chance = 1 / 6

    def __init__(self, length: int, *, train: int = 2000, held_out: int = 500) -> None:
        super().__init__(length, train=train, held_out=held_out)
        self.name = f"adding-{length}"

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of all numbers and marks."""
        return {"name": self.name, **self.sizes, "sha256": sha256(self._sequences())}

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of sums (B, 1)."""
        return mse_loss(prediction, target)

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` alone."""
        return {"loss": self.loss(prediction, target).item()}

    def _sequences(self) -> NDArray[np.float32]:
        return _marked(self.length, sum(self.sizes.values()))

    def _split(self, part: Part) -> Split:
        sequences = torch.tensor(self._sequences()[self._places(part)])
        return Split(sequences, (sequences[..., 0] * sequences[..., 1]).sum(1, keepdim=True))


@cache
def _different(symbols: int, count: int) -> NDArray[np.uint8]:
    """(N, 10) from 1 to 8: the digits, to the base 8, of numbers that are all different."""
    drawn = random.Random(0).sample(range(SYMBOLS**symbols), count)
    digits = np.array(drawn)[:, None] // SYMBOLS ** np.arange(symbols) % SYMBOLS
    return (digits + 1).astype(np.uint8)


@cache
def _marked(length: int, count: int) -> NDArray[np.float32]:
    """Numbers and marks (N, T, 2); numpy froze the stream of its `RandomState`."""
    drawn, half = np.random.RandomState(0), length // 2
    sequences = np.zeros((count, length, 2), dtype=np.float32)
    sequences[..., 0] = drawn.random_sample((count, length))
    for low, high in ((0, half), (half, length)):
        sequences[np.arange(count), drawn.randint(low, high, count), 1] = 1
    return sequences
