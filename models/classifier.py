"""A recurrent cell with a linear head: reads a whole sequence, then says which class it is."""

import torch
from torch import Tensor


class SequenceClassifier(torch.nn.Module):
    """Logits of a sequence's class, linear in the top layer's output at the last step.

    Args:
        cell: any recurrent module of this package or of torch (`torch.nn.LSTM`, `torch.nn.GRU`).
        num_classes: K, at least 2.
    """

    def __init__(self, cell: torch.nn.RNNBase, num_classes: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {num_classes}")
        self.cell = cell
        self.head = torch.nn.Linear(cell.hidden_size, num_classes)

    def forward(self, sequence: Tensor) -> Tensor:
        """Logits (B, K) of sequences (B, T, D); the batch is first whatever the cell prefers."""
        batch_first = self.cell.batch_first
        output, _ = self.cell(sequence if batch_first else sequence.transpose(0, 1))
        logits: Tensor = self.head(output[:, -1] if batch_first else output[-1])
        return logits
