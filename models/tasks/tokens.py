"""What tasks share whose samples are sequences of tokens: whole numbers from 0 on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from .task import IGNORED, Split, Task


@dataclass(frozen=True)
class TokenSplit(Split):
    """Sequences, evaluated few at a time: memory of softmax attention grows with their squares.

    Inputs may be bytes or short integers, an eighth or a quarter of what networks take them as.
    """

    at_once: ClassVar[int] = 64

    def batches(self, size: int, *, shuffled: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """As of any split, the inputs as the long integers that an embedding takes."""
        for inputs, targets in super().batches(size, shuffled=shuffled):
            yield inputs.long(), targets


class TokenTask(Task):
    """Inputs (B, T) of whole numbers below `input_size`."""

    length: int  # T of the longest sequence
    padding: int | None = None  # the token that fills up shorter ones, behind their end


class TokenPrediction(TokenTask):
    """Logits (B, T, K) against classes (B, T), `IGNORED` where nothing is to be predicted."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross entropy in nats, the mean over what is to be predicted."""
        return cross_entropy(prediction.flatten(0, -2), target.flatten(), ignore_index=IGNORED)

    def condensed(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and classes (N,) where something is to be predicted."""
        there = target != IGNORED
        return prediction[there], target[there]


def byte_tokens(texts: Sequence[bytes], length: int) -> NDArray[np.int16]:
    """(N, length), each byte of a text plus 1, cut or filled up behind its end with 0."""
    tokens = np.zeros((len(texts), length), dtype=np.int16)
    for row, text in zip(tokens, texts, strict=True):
        read = np.frombuffer(text[:length], np.uint8)
        row[: len(read)] = read.astype(np.int16) + 1
    return tokens
