"""What a network is asked to do: the words `Task`, `Split` and `Stream`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import Module

IGNORED = -100
"""A class that stands where nothing is to be predicted; torch's cross entropy passes over it."""


@dataclass(frozen=True)
class Split:
    """Part of a data set: inputs and their targets, the samples along the first axis of both."""

    inputs: Tensor
    targets: Tensor

    carried: ClassVar[bool] = False
    """Whether a batch goes on where the one before it ended."""

    at_once: ClassVar[int] = 512
    """How large the batches of an evaluation are."""

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets) or len(self.inputs) == 0:
            raise ValueError(
                "a split needs at least one sample and a target for each, "
                f"got {len(self.inputs)} inputs and {len(self.targets)} targets"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> Self:
        """The same samples on another device."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))

    def steps(self, size: int) -> int:
        """How many batches of a size there are."""
        return math.ceil(len(self) / size)

    def batches(self, size: int, *, shuffled: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Every sample once, so many at a time; the last batch may be smaller.

        Args:
            size: samples in a batch.
            shuffled: in an order drawn from torch's generator, instead of their own.
        """
        order = torch.randperm(len(self)) if shuffled else torch.arange(len(self))
        for chosen in torch.split(order.to(self.inputs.device), size):
            yield self.inputs[chosen], self.targets[chosen]


@dataclass(frozen=True)
class Stream(Split):
    """One long sequence, its time steps along the first axis: a text, for one.

    It is cut into rows of equal length that are read side by side, a piece of each at a time, and
    the network's state goes on from piece to piece: truncated backpropagation through time. So a
    batch is (rows, piece, ...). The last row is filled up with targets `IGNORED`.

    Attributes:
        piece: time steps in a batch: how far gradients reach back. But for those of the input's
            weights in a cell with momentum, see `state.py`: they hear the carried velocity.
    """

    piece: int = 64

    carried: ClassVar[bool] = True
    at_once: ClassVar[int] = 16

    def steps(self, size: int) -> int:
        """How many pieces each of so many rows has."""
        return math.ceil(self._columns(size) / self.piece)

    def batches(self, size: int, *, shuffled: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Every time step once, in order of time, `size` rows side by side.

        Args:
            size: rows.
            shuffled: makes no difference, because time has its order.
        """
        columns = self._columns(size)
        rows = math.ceil(len(self) / columns)
        inputs, targets = (
            _filled(steps, rows * columns, value).view(rows, columns, *steps.shape[1:])
            for steps, value in ((self.inputs, 0), (self.targets, IGNORED))
        )
        for start in range(0, columns, self.piece):
            piece = slice(start, start + self.piece)
            yield inputs[:, piece], targets[:, piece]

    def _columns(self, rows: int) -> int:
        return math.ceil(len(self) / rows)


def _filled(steps: Tensor, length: int, value: float) -> Tensor:
    """Time steps up to a length, the new ones all of one value."""
    more = steps.new_full((length - len(steps), *steps.shape[1:]), value)
    return torch.cat([steps, more])


class Task(ABC):
    """Data, loss and metrics. Small to pickle: a split is made when it is asked for.

    `train` and `validation` are for the search. `test` is asked for once per confirmed
    configuration, after its training; no other member may depend on it being made.
    """

    name: str
    metric: str  # the key of `metrics` that configurations are compared by
    direction: Literal["maximize", "minimize"]  # what is better of that metric
    input_size: int  # features per time step
    output_size: int  # numbers predicted per sample
    needs_data: bool = False  # whether no package brings its data: they come from the data folder
    chance: float | None = None  # what guessing gives of `metric`, where known; not of test data
    whole: int | None = None  # samples of the published data, where it may be only a part of them

    @property
    @abstractmethod
    def data(self) -> dict[str, str | int]:
        """Which data: name, sizes (train, validation, test), sha256 of every sample and target."""

    @abstractmethod
    def train(self) -> Split:
        """What the network learns from."""

    @abstractmethod
    def validation(self) -> Split:
        """What configurations are compared on."""

    @abstractmethod
    def test(self) -> Split:
        """What confirmed configurations are judged on."""

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What training makes small: a 0-d tensor, the mean over a batch."""

    def condensed(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What `metrics` needs of a batch: all of it, unless a task can do with less.

        An evaluation keeps it of every batch, joined along the first axis.
        """
        return prediction, target

    @abstractmethod
    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` and every metric of a whole split, as `condensed`; `self.metric` is among them."""

    def linear(self) -> float | None:
        """What a linear predictor reaches of `metric` on validation data, if that is known."""
        return None

    def generated(self, network: Module) -> dict[str, float]:
        """Metrics of what a trained network makes by itself of test data: none, unless a task can.

        Args:
            network: in evaluation mode.
        """
        return {}
