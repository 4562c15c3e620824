"""Questions about momentum in recurrent networks (paper sections 1 and 1.8)."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..models import LSTM, Digits, MomentumLSTM, SequenceClassifier, Task
from .parameters import Choice, Float
from .space import Space, Variant


def _lstm(task: Task, *, hidden_size: int) -> nn.Module:
    cell = LSTM(task.input_size, hidden_size, batch_first=True)
    return SequenceClassifier(cell, task.output_size)


def _momentum_lstm(task: Task, *, hidden_size: int, momentum: float, step: float) -> nn.Module:
    cell = MomentumLSTM(
        task.input_size, hidden_size, momentum=momentum, step=step, batch_first=True
    )
    return SequenceClassifier(cell, task.output_size)


def _same_gain(values: dict[str, Any]) -> dict[str, Any]:
    """Momentum 0 and step/(1 - momentum): the same stationary gain without memory."""
    return {"momentum": 0.0, "step": values["step"] / (1 - values["momentum"])}


digits_lstm = Space(
    "digits-lstm",
    question=(
        "Is a MomentumLSTM better than an LSTM at reading handwritten digits pixel by pixel, "
        "and is it the momentum or the step size?"
    ),
    task=Digits,
    parameters={
        "hidden_size": Choice([32, 64]),
        "lr": Float(1e-3, 3e-2, log=True),
        "batch_size": 64,
    },
    variants=[
        Variant("lstm", network=_lstm, baseline=True),
        Variant(
            "momentum_lstm",
            network=_momentum_lstm,
            # The paper searches momentum in {0, .1, .3, .6, .9} and step in {.1, .3, .6, .9, 1}
            # (section 1.6.2); the ranges below hold that grid.
            parameters={"momentum": Float(0.0, 0.9), "step": Float(0.1, 1.0, log=True)},
            controls={"no_momentum": {"momentum": 0.0}, "same_gain": _same_gain},
        ),
    ],
    trials=12,
    epochs=30,
    seeds=5,
)
