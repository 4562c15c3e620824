r"""Coefficients of a dynamics that are learned: a momentum in (0, 1), a step above 0.

A parameter w on the real line is mapped smoothly: momentum $\sigma(w)$, step $\log(1 + e^w)$. So no
optimizer can leave the range.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

START = 0.6  # where learning starts unless told otherwise: both, in the paper's recipe for MNIST


class Learned(NamedTuple):
    """A coefficient that training finds, one for each layer or one for each unit of its drive.

    `"learned"` and `"learned-per-unit"` are short for `Learned()` and `Learned(per_unit=True)`.
    """

    start: float = START
    per_unit: bool = False

    @classmethod
    def named(cls, name: str) -> Self:
        """What the short name stands for."""
        names = {"learned": False, "learned-per-unit": True}
        if name not in names:
            raise ValueError(
                f"a coefficient is a number or one of {', '.join(names)}, got {name!r}"
            )
        return cls(per_unit=names[name])


Coefficient = float | str | Learned


def parsed(value: Coefficient) -> float | Learned:
    """A number, or how it is learned."""
    return Learned.named(value) if isinstance(value, str) else value


def raw(name: str, start: float) -> float:
    """The parameter from which a momentum or a step starts there."""
    if name == "momentum":
        if not 0 < start < 1:
            raise ValueError(f"a learned momentum starts inside (0, 1), got {start}")
        return math.log(start / (1 - start))
    return start + math.log(-math.expm1(-start))


def mapped(name: str, parameter: Tensor) -> Tensor:
    """The momentum or step that a parameter stands for."""
    if name == "momentum":
        return parameter.sigmoid()
    return torch.nn.functional.softplus(parameter)
