"""A family of cells as the variants of a space: a baseline, and what each optimizer makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
from .space import Control, Grid, Variant, tried

Maker = Callable[..., Cell]
Cells = Mapping[str, Maker]
"""The cells of a family by the optimizer that shapes them; the plain one stands under ''.

Adam's are in the form of the authors' code, which their grids and published coefficients are of.
"""

LSTMS: Cells = {
    "": LSTM,
    "momentum": MomentumLSTM,
    "nesterov": NesterovLSTM,
    "adam": partial(AdamLSTM, form="code"),
    "rmsprop": RMSPropLSTM,
}

RNNS: Cells = {
    "": RNN,
    "momentum": MomentumRNN,
    "nesterov": NesterovRNN,
    "adam": partial(AdamRNN, form="code"),
    "rmsprop": RMSPropRNN,
}
GRUS: Cells = {
    "": GRU,
    "momentum": MomentumGRU,
    "nesterov": NesterovGRU,
    "adam": partial(AdamGRU, form="code"),
    "rmsprop": RMSPropGRU,
}

DTRIVS: Cells = {
    "": DTRIV,
    "momentum": MomentumDTRIV,
    "nesterov": NesterovDTRIV,
    "adam": partial(AdamDTRIV, form="code"),
    "rmsprop": RMSPropDTRIV,
}

MOMENTA = (0.0, 0.1, 0.3, 0.6, 0.9)
STEPS = (0.1, 0.3, 0.6, 0.9, 1.0)
"""The ablation of the paper's figure: each momentum with each step (section 1.6.2)."""
LANGUAGE_MOMENTA = (*MOMENTA, 0.99)
"""On the Penn Treebank the authors also tried one that the figure does not show (1.6.2)."""
NESTEROV_STEPS = (0.01, *STEPS)
RESTARTS = (2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 125, 150, 200, 250, 300, 350)
"""What they tried of Nesterov's cells: each step with each restart (1.6.2)."""
SECOND_MOMENTS = (0.001, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 0.999)
"""The decays of RMSProp's and Adam's cells that they tried (1.6.2)."""

ORTHOGONAL_LR = Float(0.05, 0.5, log=True)
"""The recurrent matrix of a DTRIV learns more slowly: in the paper 0.07 to 0.29 times as fast, and
0.2 times on speech (section 1.6.1)."""

PAPER_STEP = Float(0.1, 1.0, log=True)
ADAPTIVE_STEP = PAPER_STEP
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
    """What may vary of a cell besides its size, and what stands against it: see `Variant`.

    Attributes:
        parameters: of the dynamics.
        controls: by name.
        tried: the authors' own grid; a range may leave some of it out.
        caution: on the ranges.
    """

    parameters: Parameters
    controls: Mapping[str, Control] = field(default_factory=dict)
    tried: Grid = field(default_factory=dict)
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
            caution=chosen.caution,
            **tried(chosen.parameters, chosen.tried),
        )
        for optimizer, chosen in dynamics.items()
    ]
    return [plain, *others]


def every_dynamics(
    *,
    step: Float,
    restart: Choice,
    adaptive_step: Float = ADAPTIVE_STEP,
    nesterov_step: Float | None = None,
    momenta: Sequence[float] = MOMENTA,
) -> dict[str, Dynamics]:
    """All four optimizers.

    Args:
        step: of heavy ball, and of Nesterov's unless it has its own.
        restart: of Nesterov's.
        adaptive_step: of those that divide by sqrt(m).
        nesterov_step: where it differs.
        momenta: of heavy ball, those that the authors tried.
    """
    return {
        "momentum": heavy_ball(step, momenta),
        "nesterov": nesterov(nesterov_step or step, restart),
        "adam": adam(adaptive_step),
        "rmsprop": rmsprop(adaptive_step),
    }


def paper_dynamics(
    step: Float = PAPER_STEP,
    *,
    adaptive_step: Float = ADAPTIVE_STEP,
    momenta: Sequence[float] = MOMENTA,
) -> dict[str, Dynamics]:
    """The same, where the ranges hold every step and restart that the authors tried."""
    return every_dynamics(
        step=step,
        restart=Choice([*RESTARTS, 0]),
        adaptive_step=adaptive_step,
        nesterov_step=Float(NESTEROV_STEPS[0], step.high, log=True),
        momenta=momenta,
    )


def heavy_ball(step: Float, momenta: Sequence[float] = MOMENTA) -> Dynamics:
    """Momentum, from 0 to the largest that was tried, and step."""
    return Dynamics(
        parameters={"momentum": Float(0.0, max(momenta)), "step": step},
        controls={
            "no_momentum": {"momentum": 0.0},
            "same_gain": same_gain,
            **_unit_step(step),
        },
        tried={"momentum": momenta, "step": STEPS},
    )


def nesterov(step: Float, restart: Choice) -> Dynamics:
    """Step and restart; with a restart at every step there is no momentum."""
    return Dynamics(
        parameters={"step": step, "restart": restart},
        controls={"no_momentum": {"restart": 1}, **_unit_step(step)},
        tried={"step": NESTEROV_STEPS, "restart": RESTARTS},
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
            **_unit_step(step),
            "no_division": {"divided": False},
        },
        tried={"momentum": (0.0, 0.6), "step": (0.6,), "beta2": SECOND_MOMENTS},
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
        controls={
            "no_memory": no_memory,
            **_unit_step(step),
            "no_division": {"divided": False},
        },
        tried={"step": (0.6,), "beta2": SECOND_MOMENTS},
    )


def on_preactivation(dynamics: Mapping[str, Dynamics]) -> dict[str, Dynamics]:
    """With a control whose Nesterov's momentum is on all that the gates hear (oddity O-R1).

    That is the cell of the authors' own runs on images and speech. It goes step by step: no kernel
    runs it.
    """
    way = _switched(dynamics["nesterov"], "momentum_on", "drive", on_preactivation="preactivation")
    return {**dynamics, "nesterov": way}


def bias_outside(dynamics: Mapping[str, Dynamics]) -> dict[str, Dynamics]:
    """With a control whose input bias is outside heavy ball's velocity (oddity O-R3).

    Inside, a small step shrinks the bias as it shrinks the input, and the forget gates' is part of
    what the authors set by hand on speech: part of the gain there may be that.
    """
    way = _switched(dynamics["momentum"], "drive_bias", "inside", bias_outside="outside")
    return {**dynamics, "momentum": way}


def _switched(chosen: Dynamics, setting: str, usual: str, **others: str) -> Dynamics:
    """One more control by name, which has another way of a setting than the usual one."""
    return replace(
        chosen,
        parameters={**chosen.parameters, setting: usual},
        controls={**chosen.controls, **{name: {setting: way} for name, way in others.items()}},
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
