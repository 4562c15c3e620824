"""A recurrent language model: from tokens to the logits of the next one, its state carried on."""

from typing import Any

import torch
from torch import Tensor

from .classifier import SequenceReader


class LanguageModel(SequenceReader):
    """Logits of the next token at every step (Zaremba, Sutskever, Vinyals, arXiv:1409.2329).

    Args:
        cell: any recurrent module of this package or of torch; its input size is that of a token's
            vector.
        num_tokens: V, tokens there are.
        dropout: the share of the cell's output that is dropped in training.
    """

    def __init__(self, cell: torch.nn.RNNBase, num_tokens: int, *, dropout: float = 0.0) -> None:
        super().__init__(cell, num_tokens, embedding=num_tokens)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits (B, T, V) of what follows each of the tokens (B, T), and the state to go on with.

        Args:
            tokens: whole numbers below V.
            state: what the call on the piece of text before returned; None at the beginning.
        """
        output, state = self.hidden(tokens, state)
        return self.head(self.dropout(output)), state
