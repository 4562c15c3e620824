"""A recurrent cell with a linear head: one answer to a whole sequence, or one at every step."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from .cell import RecurrentCell
from .gradient_flow import gradient_flow
from .tasks import Task

Cell = RecurrentCell[Any] | torch.nn.RNNBase


class SequenceReader(torch.nn.Module, ABC):
    """What both share: a cell, a linear head on its top layer, and an embedding for tokens.

    Args:
        cell: any recurrent module of this package or of torch (`torch.nn.LSTM`, `torch.nn.GRU`).
        num_outputs: K, numbers in an answer: classes, or 1 for a single number.
        embedding: how many tokens there are; sequences are then (B, T) whole numbers, each looked
            up as a vector of the cell's input size.
    """

    def __init__(self, cell: Cell, num_outputs: int, *, embedding: int | None = None) -> None:
        super().__init__()
        for name, size in {"num_outputs": num_outputs, "embedding": embedding}.items():
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self.cell = cell
        self.embedding = torch.nn.Embedding(embedding, cell.input_size) if embedding else None
        self.head = torch.nn.Linear(cell.hidden_size, num_outputs)

    def hidden(self, sequence: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The top layer's output (B, T, H) and the cell's state, after (B, T, D) or (B, T) tokens.

        The batch is first whatever the cell prefers. A state that is handed in goes on where the
        piece before ended.
        """
        sequence = self.embedded(sequence)
        if self.cell.batch_first:
            output, state = self.cell(sequence, state)
            return output, state
        output, state = self.cell(sequence.transpose(0, 1), state)
        return output.transpose(0, 1), state

    def forward(self, sequence: Tensor) -> Tensor:
        """What `answers` makes of sequences (B, T, D), or (B, T) tokens with an embedding."""
        output, _ = self.hidden(sequence)
        return self.answers(output)

    def diagnostics(self, task: Task) -> dict[str, list[float]]:
        """How gradients flow, `gradient_flow`; nothing for cells that are not of this package."""
        return gradient_flow(self, task) if isinstance(self.cell, RecurrentCell) else {}

    def embedded(self, sequence: Tensor) -> Tensor:
        """(B, T, D): the sequence itself, or its tokens looked up."""
        return sequence if self.embedding is None else self.embedding(sequence)

    @abstractmethod
    def answers(self, output: Tensor) -> Tensor:
        """The answers to what the top layer's output (B, T, H) has read."""


class SequenceClassifier(SequenceReader):
    """One answer to a sequence, linear in the top layer's output at the last step.

    Args are those of `SequenceReader`.
    """

    def answers(self, output: Tensor) -> Tensor:
        """(B, K)."""
        answer: Tensor = self.head(output[:, -1])
        return answer


class SequenceTagger(SequenceReader):
    """An answer at every step of a sequence, linear in the top layer's output there.

    Args are those of `SequenceReader`.
    """

    def answers(self, output: Tensor) -> Tensor:
        """(B, T, K)."""
        answer: Tensor = self.head(output)
        return answer

    def carry(self, sequence: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The answers to a piece of a sequence, and the state to go on with.

        Args:
            sequence: as `forward` takes it.
            state: what the call on the piece before returned; None at the beginning.
        """
        output, state = self.hidden(sequence, state)
        return self.answers(output), state
