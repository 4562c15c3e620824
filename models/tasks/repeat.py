"""Repeating a sequence of symbols: the copy task of the transformer papers.

From Katharopoulos, Vyas, Pappas, Fleuret, "Transformers are RNNs" (arXiv:2006.16236), in the form
of the Momentum Transformer (section 3.2 of paper.md): length 128, ten symbols.
"""

from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .memory import Made
from .sources import Part, sha256
from .task import IGNORED, Split
from .tokens import TokenPrediction

SYMBOLS = 10  # that are to be repeated, besides the zero between and behind them


class Repeat(TokenPrediction, Made):
    """Read a word, then a zero, then say the word again, each symbol from those before it.

    A word has from a quarter of `length` to just under half of it symbols, out of ten; it, a zero,
    itself, and zeros up to `length` are the input, and the target at each step is the next token,
    but only while the word is said again: nobody can know the word before, nor its end. No word is
    in two splits.

    The metric is the cross entropy per symbol in nats; `accuracy` is the share of symbols that are
    right. Who guesses reaches log 10.

    Args:
        length: T, 128 in the paper; at least 16.
        train: words to learn from.
        held_out: words of validation and of test each.
    """

    direction: Literal["minimize"] = "minimize"
    input_size = output_size = SYMBOLS + 1
    chance = float(np.log(SYMBOLS))

    def __init__(self, length: int, *, train: int = 2000, held_out: int = 500) -> None:
        if length < 16:
            raise ValueError(f"length must be at least 16, for words of 4 symbols, got {length}")
        super().__init__(length, train=train, held_out=held_out)
        self.name = f"repeat-{length}"

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of the words, a byte each symbol."""
        words = (np.frombuffer(word, np.uint8) for word in self._words())
        return {"name": self.name, **self.sizes, "sha256": sha256(*words)}

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` and `accuracy`, from what `condensed` keeps."""
        right = prediction.argmax(-1) == target
        return {
            "loss": self.loss(prediction, target).item(),
            "accuracy": right.double().mean().item(),
        }

    def _words(self) -> list[bytes]:
        return _different(self.length, sum(self.sizes.values()))

    def _split(self, part: Part) -> Split:
        words = self._words()[self._places(part)]
        inputs = torch.zeros(len(words), self.length, dtype=torch.long)
        targets = torch.full_like(inputs, IGNORED)
        for row, word in enumerate(words):
            symbols, n = torch.tensor(list(word)), len(word)
            inputs[row, :n] = inputs[row, n + 1 : 2 * n + 1] = symbols
            targets[row, n : 2 * n] = symbols
        return Split(inputs, targets)


@cache
def _different(length: int, count: int) -> list[bytes]:
    """So many different words, a byte each symbol; numpy froze the stream of its `RandomState`."""
    drawn = np.random.RandomState(0)
    words: dict[bytes, None] = {}
    while len(words) < count:
        size = drawn.randint(length // 4, length // 2 - 1)
        words[drawn.randint(1, SYMBOLS + 1, size).astype(np.uint8).tobytes()] = None
    return list(words)
