"""LSTM layers as the paper writes them, step by step: specifications in plain torch.

They share nothing with the cells but the gates. `RecurrentCell.unrolled` is the plain loop of every
cell of the family.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .adaptive import EPSILON
from .recurrence import gated

Weights = Sequence[Tensor]  # one layer's weight_ih, weight_hh, bias_ih, bias_hh


def momentum_lstm_loop(
    input: Tensor,
    weights: Weights,
    *,
    momentum: float,
    step: float,
    start: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """One momentum LSTM layer as the paper writes it, step by step. This is the specification.

    Args:
        input: (T, B, D).
        weights: weight_ih (4H, D), weight_hh (4H, H), bias_ih (4H,), bias_hh (4H,).
        momentum: as in `MomentumLSTM`.
        step: as in `MomentumLSTM`.
        start: h (B, H), c (B, H) and the gates' velocity v (B, 4H); zeros when not given.

    Returns:
        The output (T, B, H), and h, c, v after the last step.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    zeros = input.new_zeros(input.shape[1], weight_hh.shape[1])
    h, c, v = start or (zeros, zeros, zeros.repeat(1, 4))
    outputs = []
    for x in input:
        v = momentum * v + step * (x @ weight_ih.mT + bias_ih)
        h, c = gated(v + h @ weight_hh.mT + bias_hh, c)
        outputs.append(h)
    return torch.stack(outputs), (h, c, v)


def nesterov_lstm_loop(
    input: Tensor,
    weights: Weights,
    *,
    step: float,
    restart: int = 0,
    start: tuple[Tensor, Tensor, Tensor] | None = None,
    steps: int = 0,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """One Nesterov LSTM layer as the paper writes it, step by step. This is the specification.

    Args and result as in `momentum_lstm_loop`; `step` and `restart` as in `NesterovLSTM`, and
    `steps` is how many time steps came before.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    zeros = input.new_zeros(input.shape[1], weight_hh.shape[1])
    h, c, v = start or (zeros, zeros, zeros.repeat(1, 4))
    outputs = []
    for t, x in enumerate(input, start=steps):
        k = (t % restart if restart else t) + 1
        v = (k - 1) / (k + 2) * v + step * (x @ weight_ih.mT + bias_ih)
        h, c = gated(v + h @ weight_hh.mT + bias_hh, c)
        outputs.append(h)
    return torch.stack(outputs), (h, c, v)


def adam_lstm_loop(
    input: Tensor,
    weights: Weights,
    *,
    momentum: float,
    step: float,
    beta2: float,
    start: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """One Adam LSTM layer as its authors code it, step by step. This is the specification.

    Args:
        input: (T, B, D).
        weights: weight_ih (4H, D), weight_hh (4H, H), bias_ih (4H,), bias_hh (4H,).
        momentum: as in `AdamLSTM`; 0 for `RMSPropLSTM`.
        step: as in `AdamLSTM`.
        beta2: as in `AdamLSTM`.
        start: h (B, H), c (B, H), v (B, 4H), m (B, 4H); zeros when not given.

    Returns:
        The output (T, B, H), and h, c, v, m after the last step.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    zeros = input.new_zeros(input.shape[1], weight_hh.shape[1])
    gates = zeros.repeat(1, 4)
    h, c, v, m = start or (zeros, zeros, gates, gates)
    outputs = []
    for x in input:
        y = x @ weight_ih.mT + bias_ih
        v = momentum * v + step * y
        m = beta2 * m + (1 - beta2) * y * y
        h, c = gated(v / (m + EPSILON).sqrt() + h @ weight_hh.mT + bias_hh, c)
        outputs.append(h)
    return torch.stack(outputs), (h, c, v, m)
