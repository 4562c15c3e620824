"""ListOps: the value of a nested expression on digits, `[MAX 2 9 [MIN 4 7] 0]`.

Nangia and Bowman, "ListOps: A Diagnostic Dataset for Latent Tree Learning" (arXiv:1804.06028),
drawn as in the Long Range Arena (Tay et al., arXiv:2011.04006): 500 to 2,000 tokens there.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from statistics import median

import numpy as np
import torch

from .classification import Classification
from .kept import Arrays, kept
from .memory import Made
from .sources import Part, sha256
from .tokens import TokenSplit, TokenTask

OPERATORS: dict[str, Callable[[list[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(median(values)),
    "[SM": lambda values: sum(values) % 10,
}
"""By token: each opens a list of arguments and says what becomes of them."""

TOKENS = ("", *map(str, range(10)), *OPERATORS, "]")
"""By number; the first stands behind the end of an expression."""

_NUMBER = {token: number for number, token in enumerate(TOKENS)}
_VERSION = 1  # of the drawing; another draws other expressions
_KEPT_FROM = 2_000_000  # tokens on, the expressions are kept on disk: they take more than a second
_FRUITLESS = 100_000  # draws in a row after which no more expressions are looked for
_OPERATION = 0.25  # how likely an argument is an operation, where it is not too deep for one


class ListOps(Classification, TokenTask, Made):
    """Which of the ten digits is the expression's value?

    An argument is an operation with probability 1/4, down to a depth, and a digit otherwise; an
    operation has from two to ten arguments, all as in the Long Range Arena. Expressions whose
    number of tokens is outside the bounds are drawn again; none is in two splits. As many as the
    Long Range Arena's take a minute to draw, and are kept on disk (`kept`). Where the bounds leave
    fewer expressions than are asked for, data raise ValueError.

    Args:
        length: tokens of the longest expression; the Long Range Arena's is 2,000.
        shortest: tokens of the shortest; 500 there.
        depth: of the deepest digits; 10 there. With 2 no operation is inside another.
        arguments: at most so many to an operation; 10 there.
        train: expressions to learn from; 96,000 there.
        held_out: expressions of validation and of test each; 2,000 there.
    """

    metric = "accuracy"
    direction = "maximize"
    input_size = len(TOKENS)
    output_size = 10
    padding = 0
    chance = 0.1

    def __init__(
        self,
        length: int = 64,
        *,
        shortest: int = 8,
        depth: int = 10,
        arguments: int = 10,
        train: int = 4000,
        held_out: int = 1000,
    ) -> None:
        super().__init__(length, train=train, held_out=held_out)
        if not 4 <= shortest < length or depth < 2 or arguments < 2:
            raise ValueError(
                "shortest must be at least 4 and less than length, depth and arguments at least 2, "
                f"got shortest={shortest}, length={length}, depth={depth}, arguments={arguments}"
            )
        self.shortest, self.depth, self.arguments = shortest, depth, arguments
        self.name = f"listops-{length}"

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of all tokens and values, a byte each."""
        return {"name": self.name, **self.sizes, "sha256": sha256(*self._expressions())}

    def _split(self, part: Part) -> TokenSplit:
        tokens, values = (drawn[self._places(part)] for drawn in self._expressions())
        return TokenSplit(torch.tensor(tokens), torch.from_numpy(values).long())

    def _expressions(self) -> Arrays:
        return _expressions(
            self.shortest, self.length, self.depth, self.arguments, sum(self.sizes.values())
        )


def value(expression: str) -> int:
    """What an expression comes to, its tokens a space apart."""
    open_lists: list[tuple[str, list[int]]] = [("[MAX", [])]
    for token in expression.split():
        if token in OPERATORS:
            open_lists.append((token, []))
        elif token == "]":
            operator, values = open_lists.pop()
            open_lists[-1][1].append(OPERATORS[operator](values))
        else:
            open_lists[-1][1].append(int(token))
    return open_lists[0][1][0]


@cache
def _expressions(shortest: int, length: int, depth: int, arguments: int, count: int) -> Arrays:
    """Tokens (N, T), filled up with zeros, and values (N,), a byte each, of so many expressions."""

    def draw() -> Arrays:
        return _drawn(shortest, length, depth, arguments, count)

    if count * length < _KEPT_FROM:
        return draw()
    settings = {
        "version": _VERSION,
        "shortest": shortest,
        "length": length,
        "depth": depth,
        "arguments": arguments,
        "count": count,
    }
    return kept("listops", settings, draw)


def _drawn(shortest: int, length: int, depth: int, arguments: int, count: int) -> Arrays:
    """As `_expressions`, drawn one after the other, all different."""
    draw = _Draw(random.Random(0), arguments, length)
    found: dict[bytes, int] = {}
    fruitless = 0
    while len(found) < count:
        before = len(found)
        tokens: list[int] = []
        with suppress(_TooLong):
            worth = draw.operation(tokens, depth - 2)
            if len(tokens) >= shortest:
                found[bytes(tokens)] = worth
        fruitless = fruitless + 1 if len(found) == before else 0
        if fruitless == _FRUITLESS:
            raise ValueError(
                f"only {before} of {count} different expressions found, and none in the last "
                f"{_FRUITLESS} draws, with {shortest=}, {length=}, {depth=}, {arguments=}; ask for "
                "fewer in train and held_out, or give a smaller shortest, a larger length, depth "
                "or arguments"
            )
    table = np.zeros((count, length), dtype=np.uint8)
    for row, expression in zip(table, found, strict=True):
        row[: len(expression)] = np.frombuffer(expression, np.uint8)
    return table, np.fromiter(found.values(), np.uint8)


class _TooLong(Exception):
    """An expression has more tokens than it may: most of the large ones have many more."""


@dataclass(frozen=True)
class _Draw:
    """Appends random expressions to a list of tokens, and returns their values.

    The depth is how many levels of operations may stand inside.
    """

    drawn: random.Random
    arguments: int
    length: int

    def operation(self, tokens: list[int], depth: int) -> int:
        operator = self.drawn.choice(list(OPERATORS))
        tokens.append(_NUMBER[operator])
        count = self.drawn.randint(2, self.arguments)
        values = [self.argument(tokens, depth) for _ in range(count)]
        self._append(tokens, "]")
        return OPERATORS[operator](values)

    def argument(self, tokens: list[int], depth: int) -> int:
        if depth > 0 and self.drawn.random() < _OPERATION:
            return self.operation(tokens, depth - 1)
        digit = self.drawn.randrange(10)
        self._append(tokens, str(digit))
        return digit

    def _append(self, tokens: list[int], token: str) -> None:
        tokens.append(_NUMBER[token])
        if len(tokens) > self.length:
            raise _TooLong
