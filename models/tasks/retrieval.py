"""Retrieval: does one paper cite the other? Two texts, byte by byte.

The pairs are of the ACL Anthology Network (Radev et al., "The ACL Anthology Network Corpus", 2013),
as in the Long Range Arena (Tay et al., arXiv:2011.04006).
"""

import math
from functools import cache
from pathlib import Path

import numpy as np

from .arena import arena
from .labelled import Labelled, LabelledTokens
from .sources import Part, data_folder, ranks
from .tokens import byte_tokens

FOLDER = "tsv_data"
FILES: dict[Part, str] = {
    "train": "new_aan_pairs.train.tsv",
    "validation": "new_aan_pairs.eval.tsv",
    "test": "new_aan_pairs.test.tsv",
}
_COLUMNS = 5  # label, two numbers of papers, two texts


class Retrieval(LabelledTokens):
    """Two classes, no and yes, of two texts, (2, T); a token is a byte plus 1, and 0 fills up.

    From `tsv_data/new_aan_pairs.{train,eval,test}.tsv` of the Long Range Arena's release: on each
    line a label 0.0 or 1.0, the numbers of two papers and their texts, with tabs between.

    Args:
        length: T, bytes that are read of each text; 4,000 in the Long Range Arena.
        samples: of each split at most so many, the first in the file, as many of each class; None
            for all.

    Raises:
        FileNotFoundError: when data are asked for and a file is not there.
    """

    input_size = 257
    output_size = 2
    padding = 0
    needs_data = True
    chance = 0.5

    def __init__(self, length: int = 4000, *, samples: int | None = None) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1 byte, got {length}")
        super().__init__(samples)
        self.length = length
        self.name = f"retrieval-{length}"

    def _labelled(self, part: Part) -> Labelled:
        return _pairs(data_folder(), part, self.length, self.samples)

    def _source_name(self) -> str:
        return "ACL Anthology Network"


@cache
def _pairs(folder: Path | None, part: Part, length: int, samples: int | None) -> Labelled:
    """Tokens (N, 2, T), and labels, in turns."""
    path = arena(folder, FOLDER) / FILES[part]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; unpack the Long Range Arena once more")
    wanted = math.inf if samples is None else math.ceil(samples / 2)  # of each class
    texts: list[bytes] = []
    labels: list[int] = []
    counts = [0, 0]
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            label, first, second = _parsed(line, f"{path}, line {number}")
            if counts[label] < wanted:
                counts[label] += 1
                labels.append(label)
                texts += [first[:length], second[:length]]
            if min(counts) >= wanted:
                break
    found = np.array(labels, dtype=np.uint8)
    order = np.lexsort((found, ranks(found)))[:samples]
    return byte_tokens(texts, length).reshape(-1, 2, length)[order], found[order]


def _parsed(line: bytes, where: str) -> tuple[int, bytes, bytes]:
    words = line.rstrip(b"\r\n").split(b"\t")
    if len(words) != _COLUMNS or words[0] not in (b"0.0", b"1.0", b"0", b"1"):
        raise ValueError(
            f"{where} must be a label 0.0 or 1.0, two numbers and two texts, with tabs between; "
            f"got {len(words)} columns, the first {words[0][:20]!r}"
        )
    return int(float(words[0])), words[3], words[4]
