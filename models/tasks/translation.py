"""Translation: from a sentence to the same in another language, token by token.

The momentum paper translates IWSLT'16 from English to German, all words at once (section 3.2); this
is the ordinary task, each word from those before it.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from .numerals import numerals
from .sources import PARTS, VARIABLE, Part, data_folder, sha256
from .task import IGNORED
from .tokens import TokenPrediction, TokenSplit

Level = Literal["byte", "word"]
Pairs = list[tuple[str, str]]  # sources and their translations

FOLDER = "translation"
PADDING, BEGIN, END, UNKNOWN = range(4)
SPECIAL = 4  # tokens that are no byte and no word


@runtime_checkable
class Writing(Protocol):
    """A network that writes translations, such as `EncoderDecoderTransformer`."""

    def greedy(self, source: Tensor, *, start: int, end: int) -> Tensor:
        """Targets (B, T) of sources (B, S), padded with 0 from their end on."""
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """Pairs of sentences, in parts."""

    name: str
    parts: dict[Part, Pairs]


class Translation(TokenPrediction):
    """The next token of a translation, from the whole source and the translation up to there.

    The pairs are the first of these that are there, and `data` says which:

    1. `translation/train.src` and `translation/train.tgt` in the data folder, a sentence a line in
       UTF-8, the n-th line of one the translation of the n-th of the other; `validation` and `test`
       likewise. What training or validation shares with test, and training with validation, is
       left out of the former. Without these, of every twenty different pairs the nineteenth
       validates and the twentieth tests;
    2. the names of 5,000 of the numbers below a million in English and in German, generated, their
       parts written apart: "forty two", "zwei und vierzig".

    An input is a source of `length` columns, padded, and behind it the translation, one token late;
    the target at each step is the translation's token, and its end. What is longer is cut. The
    metric is the cross entropy per token in nats. What the trained network writes by itself is
    judged on test data: `exact` is the share of sentences without a mistake, and `bleu` is there
    where sacrebleu is (the extra `translation`).

    Args:
        level: what a token is: a byte, or a word between spaces.
        length: tokens of the longest source and of the longest target, its end included.
        vocabulary: words of either language at word level, with four special tokens; the most
            frequent in training, the others are all one token.
        samples: of each split at most so many; None for all.
        full: insist on the files.

    Raises:
        FileNotFoundError: when data are asked for and the files are there in part, or not at all
            and insisted on.
    """

    metric = "loss"
    direction: Literal["minimize"] = "minimize"
    padding = PADDING

    def __init__(
        self,
        level: Level = "byte",
        *,
        length: int = 80,
        vocabulary: int = 10_000,
        samples: int | None = None,
        full: bool = False,
    ) -> None:
        if level not in get_args(Level):
            raise ValueError(f"level must be 'byte' or 'word', got {level!r}")
        if length < 2 or vocabulary <= SPECIAL or (samples is not None and samples < 1):
            raise ValueError(
                f"length must be at least 2, vocabulary more than {SPECIAL}, samples at least 1, "
                f"got {length}, {vocabulary}, {samples}"
            )
        self.level: Level = level
        self.length, self.vocabulary, self.samples = length, vocabulary, samples
        self.full = self.needs_data = full
        self.name = f"translation-{level}"
        self.input_size = self.output_size = 256 + SPECIAL if level == "byte" else vocabulary
        self.chance = math.log(self.output_size)

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of all tokens, four bytes each."""
        parts = {part: self._numbered(part) for part in PARTS}
        return {
            "name": f"{self.name}: {self._source.name}",
            **{part: len(sources) for part, (sources, _) in parts.items()},
            "sha256": sha256(*(tokens for pair in parts.values() for tokens in pair)),
        }

    def train(self) -> TokenSplit:
        """Pairs to learn from."""
        return self._split("train")

    def validation(self) -> TokenSplit:
        """Pairs to search by."""
        return self._split("validation")

    def test(self) -> TokenSplit:
        """Pairs to judge by."""
        return self._split("test")

    def condensed(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The nats that each token cost (N,), and whether it was the likeliest (N,)."""
        logits, tokens = super().condensed(prediction, target)
        return cross_entropy(logits, tokens, reduction="none"), logits.argmax(-1) == tokens

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` in nats, and `accuracy` per token, from what `condensed` keeps."""
        return {
            "loss": prediction.double().mean().item(),
            "accuracy": target.double().mean().item(),
        }

    def generated(self, network: torch.nn.Module) -> dict[str, float]:
        """`exact` and `bleu` of the test sources' translations, if the network writes some."""
        if not isinstance(network, Writing):
            return {}
        sources, references = zip(*self._pairs("test"), strict=True)
        written = self.translated(network, list(sources))
        right = sum(map(str.__eq__, written, references))
        return {"exact": right / len(written), **_bleu(written, list(references))}

    def translated(self, network: Writing, sources: list[str]) -> list[str]:
        """What a network writes for sentences.

        Args:
            network: in evaluation mode, if it knows one.
            sources: sentences; what is longer than `length` tokens is cut.
        """
        place = next(network.parameters()).device if isinstance(network, torch.nn.Module) else None
        tokens = torch.from_numpy(self._tokens(sources, 0)).long()
        written: list[str] = []
        with torch.no_grad():
            for batch in tokens.split(TokenSplit.at_once):
                rows = network.greedy(batch.to(place), start=BEGIN, end=END).tolist()
                written += [self._text(row) for row in rows]
        return written

    def _split(self, part: Part) -> TokenSplit:
        sources, targets = map(torch.from_numpy, self._numbered(part))
        begin = torch.full_like(targets[:, :1], BEGIN)
        late = torch.cat([begin, targets[:, :-1]], 1)
        late = late.masked_fill(late == END, PADDING)
        return TokenSplit(
            torch.cat([sources, late], 1), targets.long().masked_fill(targets == PADDING, IGNORED)
        )

    def _numbered(self, part: Part) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Sources and targets (N, length), each target with its end."""
        sources, targets = zip(*self._pairs(part), strict=True)
        return self._tokens(list(sources), 0), self._tokens(list(targets), 1)

    def _pairs(self, part: Part) -> Pairs:
        return self._source.parts[part][: self.samples]

    @property
    def _source(self) -> Source:
        return _source(data_folder(), self.full)

    def _tokens(self, texts: list[str], language: Literal[0, 1]) -> NDArray[np.int32]:
        """(N, length); a translation, which is language 1, ends with `END`."""
        tokens = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for row, text in zip(tokens, texts, strict=True):
            if self.level == "byte":
                read = [byte + SPECIAL for byte in text.encode()]
            else:
                number = self._words[language]
                read = [number.get(word, UNKNOWN) for word in text.split()]
            read = [*read[: self.length - language], *[END] * language]
            row[: len(read)] = read
        return tokens

    def _text(self, tokens: list[int]) -> str:
        """What tokens of a translation say."""
        if self.level == "byte":
            said = bytes(token - SPECIAL for token in tokens if token >= SPECIAL)
            return said.decode(errors="replace")
        words = {number: word for word, number in self._words[1].items()}
        return " ".join(words.get(token, "<unk>") for token in tokens if token != PADDING)

    @property
    def _words(self) -> tuple[dict[str, int], dict[str, int]]:
        return _words(self._source, self.vocabulary, self.samples)


@cache
def _words(
    source: Source, vocabulary: int, samples: int | None
) -> tuple[dict[str, int], dict[str, int]]:
    """The numbers of the frequent words of each language, the most frequent first."""
    found = []
    for texts in zip(*source.parts["train"][:samples], strict=True):
        counts = Counter(word for text in texts for word in text.split())
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[: vocabulary - SPECIAL]
        found.append({word: number for number, word in enumerate(frequent, start=SPECIAL)})
    return found[0], found[1]


@cache
def _source(folder: Path | None, full: bool) -> Source:
    place = folder / FOLDER if folder else None
    if place is not None and place.is_dir():
        names = sorted(path.name for path in place.iterdir())
        given = [part for part in PARTS if any(name.startswith(f"{part}.") for name in names)]
        if given == ["train"]:
            return Source("files", _parted(_read(place, "train")))
        return Source("files", _apart({part: _read(place, part) for part in PARTS}))
    if full:
        raise FileNotFoundError(
            f"no sentences to translate: put {FOLDER}/train.src and {FOLDER}/train.tgt, a sentence "
            "a line, and validation and test likewise, into the folder that --data or "
            f"{VARIABLE} names"
        )
    return Source("names of numbers, English to German", _counted(numerals()))


def _read(place: Path, part: Part) -> Pairs:
    sides = []
    for ending in ("src", "tgt"):
        path = place / f"{part}.{ending}"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is not there; {place} must have train.src and train.tgt, and both "
                "validation and test likewise, or neither"
            )
        # str.splitlines cuts at U+2028 and others, which stand inside of sentences.
        with path.open(encoding="utf-8", newline="\n") as lines:
            sides.append([line.rstrip("\r\n") for line in lines])
    sources, targets = sides
    if len(sources) != len(targets) or not sources:
        raise ValueError(
            f"{place / part}.src and .tgt must have as many lines, at least one, "
            f"got {len(sources)} and {len(targets)}"
        )
    return list(zip(sources, targets, strict=True))


def _apart(parts: dict[Part, Pairs]) -> dict[Part, Pairs]:
    """No pair to learn from is searched or judged by, and none to search by is judged by."""
    seen: set[tuple[str, str]] = set()
    found: dict[Part, Pairs] = {}
    for part in reversed(PARTS):
        found[part] = [pair for pair in parts[part] if pair not in seen]
        if not found[part]:
            raise ValueError(f"no pair of {part} is left: all are in the parts that are held out")
        seen.update(parts[part])
    return found


def _parted(pairs: Pairs) -> dict[Part, Pairs]:
    """Of twenty different pairs eighteen train, one validates, one tests."""
    different = list(dict.fromkeys(pairs))
    if len(different) < 20:
        raise ValueError(f"at least 20 different pairs are needed, got {len(different)}")
    held_out: dict[Part, Pairs] = {"validation": different[18::20], "test": different[19::20]}
    return {"train": [p for k, p in enumerate(different) if k % 20 < 18], **held_out}


def _counted(pairs: Pairs) -> dict[Part, Pairs]:
    """4,000 to learn from, 500 each to search and to judge by."""
    return {"train": pairs[:4000], "validation": pairs[4000:4500], "test": pairs[4500:5000]}


def _bleu(written: list[str], references: list[str]) -> dict[str, float]:
    try:
        import sacrebleu
    except ImportError:
        return {}
    return {"bleu": float(sacrebleu.corpus_bleu(written, [references]).score)}
