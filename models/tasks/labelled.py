"""What tasks share whose samples are sequences of tokens with a class each, read from files."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .classification import Classification
from .sources import PARTS, Part, sha256
from .tokens import TokenSplit, TokenTask

Labelled = tuple[NDArray[Any], NDArray[np.uint8]]
"""Tokens (N, ...), as small whole numbers, and classes (N,)."""


class LabelledTokens(Classification, TokenTask):
    """Splits and data of the arrays of each part.

    Args:
        samples: of each split at most so many, as many of each class; None for all.
    """

    def __init__(self, samples: int | None) -> None:
        if samples is not None and samples < self.output_size:
            raise ValueError(f"samples must be at least one of each class, got {samples}")
        self.samples = samples

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of tokens and classes as they are used."""
        parts = {part: self._labelled(part) for part in PARTS}
        return {
            "name": f"{self.name}: {self._source_name()}",
            **{part: len(labels) for part, (_, labels) in parts.items()},
            "sha256": sha256(*(array for pair in parts.values() for array in pair)),
        }

    def train(self) -> TokenSplit:
        """Samples to learn from."""
        return self._split("train")

    def validation(self) -> TokenSplit:
        """Samples to search by."""
        return self._split("validation")

    def test(self) -> TokenSplit:
        """Samples to judge by."""
        return self._split("test")

    def _split(self, part: Part) -> TokenSplit:
        tokens, labels = self._labelled(part)
        return TokenSplit(torch.tensor(tokens), torch.from_numpy(labels).long())

    @abstractmethod
    def _labelled(self, part: Part) -> Labelled:
        """The samples of a part that are used."""

    @abstractmethod
    def _source_name(self) -> str:
        """Where they come from."""
