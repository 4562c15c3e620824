"""Language: which word, or which character, comes next?

The paper's experiment is on the words of the Penn Treebank (section 1.6; Mikolov's preparation, of
Marcus, Marcinkiewicz, Santorini, 1993), which users bring. Any other text will do.
"""

import math
import platform
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from .sources import VARIABLE, Part, data_folder, read, sha256
from .task import IGNORED, Stream, Task

Level = Literal["word", "character"]

UNKNOWN = "<unk>"
END = "<eos>"  # of a line of the Penn Treebank
PENN: dict[Part, str] = {
    "train": "ptb.train.txt",
    "validation": "ptb.valid.txt",
    "test": "ptb.test.txt",
}
HELD_OUT = 0.05  # of a text for validation, and as much for test


@dataclass(frozen=True, eq=False)
class Source:
    """Text in parts, and whether it is the Penn Treebank: words apart, a sentence a line."""

    name: str
    parts: dict[Part, str]
    penn: bool = False


class Language(Task):
    """The next token of a text, as a stream with a carried state.

    The text is the first of these that is there, and `data` says which:

    1. `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` in the data folder;
    2. all other `*.txt` in the data folder, one after the other, by name: the first 90% to train,
       5% to validate, the last 5% to test;
    3. Python's own language reference, which every CPython brings (`pydoc_data.topics`).

    Words are set in lower case, and signs are words of their own; the Penn Treebank is taken as it
    is, with an end at each line. Those that are frequent in the training text are known, the others
    are all one token. The metric is `perplexity`, e to the cross entropy per word, or `bits` per
    character. `chance` is what who knows how often each token comes, and nothing of what came
    before, reaches on validation data: see there.

    Args:
        level: what a token is.
        vocabulary: tokens, the one for the unknown among them; where the text has fewer, the others
            never come.
        piece: tokens that gradients reach back.
        tokens: at most so many to train, and a tenth of that to validate and to test; None for all.
        full: insist on the Penn Treebank.

    Raises:
        FileNotFoundError: when data are asked for and the Penn Treebank is not there and insisted
            on, or is there in part.
    """

    direction: Literal["minimize"] = "minimize"

    def __init__(
        self,
        level: Level = "word",
        *,
        vocabulary: int = 10_000,
        piece: int = 64,
        tokens: int | None = None,
        full: bool = False,
    ) -> None:
        if level not in ("word", "character"):
            raise ValueError(f"level must be 'word' or 'character', got {level!r}")
        if min(vocabulary, 2 if tokens is None else tokens // 10) < 2 or piece < 1:
            raise ValueError(
                "vocabulary must be at least 2, piece at least 1, tokens at least 20, "
                f"got {vocabulary}, {piece}, {tokens}"
            )
        self.level: Level = level
        self.vocabulary, self.piece, self.tokens = vocabulary, piece, tokens
        self.full = self.needs_data = full
        self.name = f"language-{level}"
        self.metric = "perplexity" if level == "word" else "bits"
        self.input_size = self.output_size = vocabulary

    @cached_property
    def chance(self) -> float:  # type: ignore[override]
        """The metric of frequencies alone, on validation data; no network need do worse.

        Of K tokens that can come, the unknown among them, each is foreseen with probability
        (n + 1) / (N + K), where it came n times among the N of the training text.
        """
        numbers = self._numbers()
        counts = np.bincount(numbers["train"]) + 1.0  # all but the unknown are in there
        nats = -np.log(counts / counts.sum())[numbers["validation"][1:]].mean()
        return self._told(float(nats))[self.metric]

    @property
    def data(self) -> dict[str, str | int]:
        """Source, tokens of each split, and the sha256 of their numbers."""
        numbers = self._numbers()
        return {
            "name": f"{self.name}: {_source(data_folder(), self.full).name}",
            **{part: len(found) for part, found in numbers.items()},
            "sha256": sha256(*numbers.values()),
        }

    def train(self) -> Stream:
        """The beginning of the text."""
        return self._stream("train")

    def validation(self) -> Stream:
        """What comes after that."""
        return self._stream("validation")

    def test(self) -> Stream:
        """What comes last."""
        return self._stream("test")

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of logits (B, T, V) against tokens (B, T), in nats per token."""
        return cross_entropy(prediction.flatten(0, 1), target.flatten(), ignore_index=IGNORED)

    def condensed(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The nats that each token cost (N,), and the tokens (N,): V times less than the logits."""
        there = target != IGNORED
        return cross_entropy(prediction[there], target[there], reduction="none"), target[there]

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` in nats per token, and `perplexity` or `bits`, from what `condensed` keeps."""
        return self._told(prediction.double().mean().item())

    def _told(self, nats: float) -> dict[str, float]:
        if self.level == "word":
            return {"loss": nats, "perplexity": math.exp(min(nats, 700.0))}  # finite, as nats are
        return {"loss": nats, "bits": nats / math.log(2)}

    def _stream(self, part: Part) -> Stream:
        numbers = torch.from_numpy(self._numbers()[part])
        return Stream(numbers[:-1], numbers[1:], piece=self.piece)

    def _numbers(self) -> dict[Part, NDArray[np.int64]]:
        source = _source(data_folder(), self.full)
        return _numbered(source, self.level, self.vocabulary, self.tokens)


@cache
def _numbered(
    source: Source, level: Level, vocabulary: int, most: int | None
) -> dict[Part, NDArray[np.int64]]:
    """The numbers of each part's tokens; 0 is the unknown, the others are by frequency."""
    limits = {"train": most, **dict.fromkeys(("validation", "test"), most and most // 10)}
    tokens = {p: _tokens(text, level, source.penn)[: limits[p]] for p, text in source.parts.items()}
    if short := [part for part, found in tokens.items() if len(found) < 2]:
        raise ValueError(f"{source.name} is too short: no token to predict in {', '.join(short)}")
    counts = Counter(tokens["train"])
    counts.pop(UNKNOWN, None)
    frequent = sorted(counts, key=lambda token: (-counts[token], token))[: vocabulary - 1]
    number = {token: place for place, token in enumerate(frequent, start=1)}
    return {p: np.array([number.get(t, 0) for t in found]) for p, found in tokens.items()}


def _tokens(text: str, level: Level, penn: bool) -> list[str]:
    if level == "character":
        return list(text)
    if penn:
        return [token for line in text.splitlines() for token in (*line.split(), END)]
    return re.findall(r"\w+(?:'\w+)?|[^\w\s]+", text.lower())


@cache
def _source(folder: Path | None, full: bool) -> Source:
    names = PENN.values()
    missing = [name for name in names if folder is None or not (folder / name).is_file()]
    if folder is not None and not missing:
        texts = {part: read(folder / name) for part, name in PENN.items()}
        return Source("Penn Treebank", texts, penn=True)
    if full or len(missing) < len(names):
        raise FileNotFoundError(
            f"the Penn Treebank lacks {', '.join(missing)}: put Mikolov's preparation of it, "
            f"{', '.join(names)}, into the folder that --data or {VARIABLE} names"
        )
    files = sorted(folder.glob("*.txt")) if folder is not None else []
    if files:
        name = ", ".join(file.name for file in files)
        return Source(name, _parted("\n".join(map(read, files))))
    return Source(f"Python {platform.python_version()} language reference", _parted(_reference()))


def _reference() -> str:
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def _parted(text: str) -> dict[Part, str]:
    held_out = math.ceil(HELD_OUT * len(text))
    first, second = len(text) - 2 * held_out, len(text) - held_out
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}
