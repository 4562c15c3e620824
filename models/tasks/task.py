"""What a network is asked to do: the words `Task` and `Split`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Split:
    """Part of a data set: inputs and their targets, the samples along the first axis of both."""

    inputs: Tensor
    targets: Tensor

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
        return type(self)(self.inputs.to(device), self.targets.to(device))


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
    chance: float | None = None  # what guessing gives of `metric`, where that is known

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

    @abstractmethod
    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` and every metric of a whole split; `self.metric` is among them."""
