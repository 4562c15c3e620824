"""What a network tells about itself while it is trained, besides its predictions.

Any module may have one of three methods; `fit` calls them and reports what they return:

`readings() -> dict[str, float]`
    Numbers of one epoch of training: a learned momentum, counts of function evaluations. Counts
    are since the last call.

`diagnostics(task) -> dict[str, list[float]]`
    Series, one number per time step for example: how gradients flow, where a spectrum lies.
    Asked for before and after a training that is confirmed, because it costs a pass of its own.
`redundancy() -> int`
    How many numbers of its own parameters are stored, but not free.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from .tasks import Task

Series = dict[str, list[float]]


def readings(network: nn.Module) -> dict[str, float]:
    """All numbers that a network has to tell.

    Of two modules with a number of the same name, the second's is called `name_2`, and so on.
    """
    told: dict[str, float] = {}
    for read in _outermost(network, "readings"):
        for name, value in read().items():
            told[_free(name, told)] = value
    return told


def diagnostics(network: nn.Module, task: Task) -> Series:
    """All series that a network has to show on a task. Leaves its gradients empty."""
    shown: Series = {}
    for diagnose in _outermost(network, "diagnostics"):
        for name, values in diagnose(task).items():
            shown[_free(name, shown)] = values
    network.zero_grad(set_to_none=True)
    return shown


def n_parameters(network: nn.Module) -> int:
    """How many free numbers a network has: what its parameters store, without redundancies.

    So an orthogonal n x n matrix counts n (n - 1) / 2, as published sizes of networks do.
    """
    stored = sum(weight.numel() for weight in network.parameters())
    told = (getattr(module, "redundancy", None) for module in network.modules())
    redundant: int = sum(redundancy() for redundancy in told if callable(redundancy))
    return stored - redundant


def _outermost(module: nn.Module, method: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """A method of every module that has it; an outer module speaks for those inside."""
    found = getattr(module, method, None)
    if callable(found):
        yield found
        return
    for child in module.children():
        yield from _outermost(child, method)


def _free(name: str, taken: dict[str, float] | Series) -> str:
    """The name, or with the first number from 2 on that makes it new."""
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free
