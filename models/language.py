"""A recurrent language model: from tokens to the logits of the next one."""

import torch
from torch import Tensor

from .classifier import Cell, SequenceTagger


class LanguageModel(SequenceTagger):
    """Logits of the next token at every step (Zaremba, Sutskever, Vinyals, arXiv:1409.2329).

    Args:
        cell: any recurrent module of this package or of torch; its input size is that of a token's
            vector.
        num_tokens: V, tokens there are.
        dropout: the share of the cell's output that is dropped in training.
    """

    def __init__(self, cell: Cell, num_tokens: int, *, dropout: float = 0.0) -> None:
        super().__init__(cell, num_tokens, embedding=num_tokens)
        self.dropout = torch.nn.Dropout(dropout)

    def answers(self, output: Tensor) -> Tensor:
        """Logits (B, T, V)."""
        return super().answers(self.dropout(output))
