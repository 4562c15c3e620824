"""A family of cells as the variants of a space: a baseline, and what each optimizer makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..models import (
    DTRIV,
    GRU,
    LSTM,
    RNN,
    AdamDTRIV,
    AdamGRU,
    AdamLSTM,
    AdamRNN,
    LanguageModel,
    MomentumDTRIV,
    MomentumGRU,
    MomentumLSTM,
    MomentumRNN,
    NesterovDTRIV,
    NesterovGRU,
    NesterovLSTM,
    NesterovRNN,
    RMSPropDTRIV,
    RMSPropGRU,
    RMSPropLSTM,
    RMSPropRNN,
    SequenceClassifier,
    SequenceTagger,
    Task,
)
from ..models.classifier import Cell
from .parameters import Choice, Float, Parameters, Values, contains
from .space import Control, Grid, Variant

Maker = Callable[..., Cell]
Cells = Mapping[str, Maker]
"""The cells of a family by the optimizer that shapes them; the plain one stands under ''."""

LSTMS: Cells = {
    "": LSTM,
    "momentum": MomentumLSTM,
    "nesterov": NesterovLSTM,
    "adam": AdamLSTM,
    "rmsprop": RMSPropLSTM,
}

RNNS: Cells = {
    "": RNN,
    "momentum": MomentumRNN,
    "nesterov": NesterovRNN,
    "adam": AdamRNN,
    "rmsprop": RMSPropRNN,
}
GRUS: Cells = {
    "": GRU,
    "momentum": MomentumGRU,
    "nesterov": NesterovGRU,
    "adam": AdamGRU,
    "rmsprop": RMSPropGRU,
}

DTRIVS: Cells = {
    "": DTRIV,
    "momentum": MomentumDTRIV,
    "nesterov": NesterovDTRIV,
    "adam": AdamDTRIV,
    "rmsprop": RMSPropDTRIV,
}

MOMENTA = (0.0, 0.1, 0.3, 0.6, 0.9)
STEPS = (0.1, 0.3, 0.6, 0.9, 1.0)
"""The ablation of the paper's figure: each momentum with each step (section 1.6.2)."""
RESTARTS = (2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 125, 150, 200, 250, 300, 350)
SECOND_MOMENTS = (0.001, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 0.999)
"""The decays of RMSProp's and the restarts of Nesterov's cells that the authors tried (1.6.2)."""


ADAPTIVE_STEP = Float(0.1, 1.0, log=True)
"""A drive over sqrt(m) is about 1 in size, whatever the input's is."""


@dataclass(frozen=True)
class Classifying:
    """Builds a network that answers once, at the end of a sequence."""

    cell: Maker

    def __call__(self, task: Task, *, hidden_size: int, **dynamics: Any) -> nn.Module:
        """A cell with its dynamics' settings and a head on its last output."""
        cell = self.cell(task.input_size, hidden_size, batch_first=True, **dynamics)
        return SequenceClassifier(cell, task.output_size)


@dataclass(frozen=True)
class Tagging:
    """Builds a network that answers at every step."""

    cell: Maker

    def __call__(self, task: Task, *, hidden_size: int, **dynamics: Any) -> nn.Module:
        """A cell with its dynamics' settings and a head on each of its outputs."""
        cell = self.cell(task.input_size, hidden_size, batch_first=True, **dynamics)
        return SequenceTagger(cell, task.output_size)


@dataclass(frozen=True)
class Speaking:
    """Builds a language model: it reads tokens and carries its state on."""

    cell: Maker

    def __call__(
        self,
        task: Task,
        *,
        hidden_size: int,
        embedding_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        **dynamics: Any,
    ) -> nn.Module:
        """Layers of a cell between an embedding and a head."""
        between = dropout if num_layers > 1 else 0.0
        cell = self.cell(
            embedding_size, hidden_size, num_layers, dropout=between, batch_first=True, **dynamics
        )
        return LanguageModel(cell, task.output_size, dropout=dropout)


@dataclass(frozen=True)
class Dynamics:
    """What may vary of a cell besides its size, and what stands against it: see `Variant`."""

    parameters: Parameters
    controls: Mapping[str, Control] = field(default_factory=dict)
    grid: Grid = field(default_factory=dict)
    caution: str = ""


def family(
    name: str,
    cells: Cells,
    network: Callable[[Maker], Callable[..., nn.Module]],
    dynamics: Mapping[str, Dynamics],
) -> list[Variant]:
    """The variants of a family; the plain cell is the baseline.

    Args:
        name: of the plain cell's variant, and the end of the others' names.
        cells: by optimizer.
        network: makes a cell's builder: `Classifying`, `Tagging`, `Speaking`.
        dynamics: by optimizer, for all but the plain cell.
    """
    plain = Variant(name, network=network(cells[""]), baseline=True)
    others = [
        Variant(
            f"{optimizer}_{name}",
            network=network(cells[optimizer]),
            parameters=chosen.parameters,
            controls=chosen.controls,
            grid=chosen.grid,
            caution=chosen.caution,
        )
        for optimizer, chosen in dynamics.items()
    ]
    return [plain, *others]


def every_dynamics(
    *, step: Float, restart: Choice, adaptive_step: Float = ADAPTIVE_STEP
) -> dict[str, Dynamics]:
    """All four optimizers with one range of steps, another for those that divide by sqrt(m)."""
    return {
        "momentum": heavy_ball(step),
        "nesterov": nesterov(step, restart),
        "adam": adam(adaptive_step),
        "rmsprop": rmsprop(adaptive_step),
    }


def heavy_ball(step: Float) -> Dynamics:
    """Momentum and step: over all momenta of the paper's ablation."""
    return Dynamics(
        parameters={"momentum": Float(0.0, 0.9), "step": step},
        controls={
            "no_momentum": {"momentum": 0.0},
            "same_gain": same_gain,
            **_unit_step(step),
        },
        grid={"momentum": MOMENTA, "step": _inside(step, STEPS)},
    )


def nesterov(step: Float, restart: Choice) -> Dynamics:
    """Step and restart; with a restart at every step there is no momentum."""
    return Dynamics(
        parameters={"step": step, "restart": restart},
        controls={"no_momentum": {"restart": 1}, **_unit_step(step)},
        grid={"step": _inside(step, STEPS), "restart": _inside(restart, RESTARTS)},
    )


def adam(step: Float) -> Dynamics:
    """Momentum, step, beta2, and whether the drive is divided, which a control undoes.

    Where beta2 is not above momentum squared the drive is unbounded (oddity O-R4), and the cell
    warns. The authors' choices on MNIST and permuted MNIST lie there (section 1.6.1: momentum 0.6
    with beta2 0.1 and 0.01), and most of what they tried at that momentum (1.6.2: 0.01, 0.1, 0.3).
    So the ranges take it in. The grid is all beta2 that they tried, at both of their momenta.

    A drive of one feature without a bias, a DTRIV's of one pixel, is w x: |w| cancels out of
    v / sqrt(m), and only its sign is heard.
    """
    return Dynamics(
        parameters={
            "momentum": Float(0.0, 0.7),
            "step": step,
            "beta2": Float(0.001, 0.999),
            "divided": True,
        },
        controls={
            "no_momentum": {"momentum": 0.0},
            "same_gain": same_gain,
            "no_division": {"divided": False},
        },
        grid={
            "momentum": (0.0, 0.6),
            "step": _inside(step, [0.6]),
            "beta2": SECOND_MOMENTS,
        },
        caution=(
            "where momentum squared is not below beta2 the drive can grow without bound, and the "
            "cell warns; the ranges and the grid go there, because the authors did"
        ),
    )


def rmsprop(step: Float) -> Dynamics:
    """Step and beta2: the authors chose 0.9 on MNIST, 0.01 on PMNIST, 0.999 on TIMIT (1.6.1).

    As of Adam's: of one feature without a bias, the size of its weight cancels out of v / sqrt(m).
    """
    return Dynamics(
        parameters={"step": step, "beta2": Float(0.001, 0.999), "divided": True},
        controls={"no_memory": no_memory, "no_division": {"divided": False}},
        grid={"step": _inside(step, [0.6]), "beta2": SECOND_MOMENTS},
    )


def same_gain(values: Values) -> Values:
    """Momentum 0 and step/(1 - momentum): the same stationary gain without memory."""
    return {"momentum": 0.0, "step": values["step"] / (1 - values["momentum"])}


def no_memory(values: Values) -> Values:
    """beta2 = 0: only the sign of the drive is heard, so input weights hardly learn.

    That is what normalisation without memory gives.
    """
    return {"beta2": 0.0}


def _unit_step(step: Float) -> dict[str, Control]:
    """Step 1, where the range has it: what the step adds."""
    return {"unit_step": {"step": 1.0}} if contains(step, 1.0) else {}


def _inside(parameter: Float | Choice, tried: Any) -> list[Any]:
    """Of the values that were tried, those in a range."""
    return [value for value in tried if contains(parameter, value)]
