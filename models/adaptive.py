r"""AdamLSTM and RMSPropLSTM: the gates' drive divided by its running root mean square.

With $y_t = W_x x_t + b_x \in R^{4H}$, in gates' order i, f, g, o, and all operations by element:

$$v_t = \mu v_{t-1} + s y_t, \qquad m_t = \beta m_{t-1} + (1 - \beta) y_t^2,$$
$$a_t = v_t / \sqrt{m_t + \epsilon} + W_h h_{t-1} + b_h,$$

then the gates of an LSTM; $\epsilon = 10^{-16}$. RMSProp is Adam with $\mu = 0$.

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020, as its code has it. The paper's equations have $(1 - \mu) W_x x_t$ in the
velocity, no input bias, and $s v_t / (\sqrt{m_t} + \epsilon)$; neither corrects for the start
from zero.

When $\mu^2 < \beta$ the driven part is bounded whatever the input, by Cauchy and Schwarz:
$|v_t| / \sqrt{m_t} \le s / \sqrt{(1 - \beta)(1 - \mu^2 / \beta)}$, and $s / \sqrt{1 - \beta}$ for
RMSProp. When $\mu^2 > \beta$ the velocity outlives the mean square: over a silent stretch of k
steps their ratio grows as $(\mu / \sqrt\beta)^k$, until $\epsilon$ stops it at $10^8 |v|$. Outputs
stay finite, because gates saturate, but gradients through such a stretch are of no use.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from .cell import RecurrentCell, check_dynamics
from .recurrent import Weights, gated

EPSILON = 1e-16  # under the root, as published: 0 / 0 is 0
UNROLLED = 8  # time steps per compiled call: more take longer to compile, fewer to run

Dynamics = tuple[float, float, float]  # momentum, step, 1 - beta2


class AdamState(NamedTuple):
    """State of an `AdamLSTM` or `RMSPropLSTM`; v and m are by gates, in order i, f, g, o."""

    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell
    v: Tensor  # (L, B, 4H), velocity
    m: Tensor  # (L, B, 4H), mean square of the drive

    def map(self, change: Callable[[Tensor], Tensor]) -> "AdamState":
        """The state with every tensor changed."""
        return AdamState(*map(change, self))

    def tensors(self) -> tuple[Tensor, ...]:
        """All four."""
        return tuple(self)


class AdamLSTM(RecurrentCell[AdamState]):
    """An LSTM whose gates are driven as Adam drives parameters. See the module for equations.

    It has the parameters of an `LSTM` of its size, under the same names, initialised alike, so
    the two exchange `state_dict`s. No setting gives the LSTM back: the drive's size is always
    divided out. It warns when momentum**2 > beta2, where the published settings for MNIST are
    (0.6 and 0.1), because the driven part is then unbounded.

    Args:
        input_size: D, features per step.
        hidden_size: H.
        num_layers: L; a layer above the first reads the output of the one below.
        momentum: in [0, 1), of the drive.
        step: above 0.
        beta2: in [0, 1), how much of the mean square is kept from one time step to the next.
        compiled: run on `torch.compile`d steps, twice as fast: 1.25 times an `LSTM`'s time. It
            needs a C++ compiler, and some 15 s when it first meets a shape, so it is for long
            trainings. Numbers differ by rounding.
        batch_first: input and output are (B, T, ...) instead of (T, B, ...).
    """

    dynamics: ClassVar[tuple[str, ...]] = ("momentum", "step", "beta2")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        momentum: float,
        step: float,
        beta2: float,
        compiled: bool = False,
        batch_first: bool = False,
    ) -> None:
        check_dynamics(momentum=momentum, beta2=beta2, step=step)
        if math.isinf(largest_drive(momentum, step, beta2)):
            warnings.warn(
                f"momentum**2 should be below beta2, or the drive can grow without bound, "
                f"got momentum={momentum} and beta2={beta2}; lower the one or raise the other",
                stacklevel=2,
            )
        super().__init__("LSTM", input_size, hidden_size, num_layers, batch_first)
        self.momentum = momentum
        self.step = step
        self.beta2 = beta2
        self.compiled = compiled

    def _zero_state(self, sequence: Tensor) -> AdamState:
        zeros = self._zero_hidden(sequence)
        gates = zeros.repeat(1, 1, 4)
        return AdamState(zeros, zeros, gates, gates)

    def _run(self, sequence: Tensor, state: AdamState) -> tuple[Tensor, AdamState]:
        dynamics = (self.momentum, self.step, 1 - self.beta2)
        ends = []
        for weights, *start in zip(self.all_weights, *state, strict=True):
            sequence, end = _adam_layer(sequence, weights, start, dynamics, self.compiled)
            ends.append(end)
        return sequence, AdamState(*map(torch.stack, zip(*ends, strict=True)))


class RMSPropLSTM(AdamLSTM):
    """An `AdamLSTM` without momentum: each gate hears its input over its running size.

    Args are those of `AdamLSTM`, without momentum.
    """

    dynamics = ("step", "beta2")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        step: float,
        beta2: float,
        compiled: bool = False,
        batch_first: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            momentum=0.0,
            step=step,
            beta2=beta2,
            compiled=compiled,
            batch_first=batch_first,
        )


def largest_drive(momentum: float, step: float, beta2: float) -> float:
    """The least upper bound of |v| / sqrt(m) over all inputs, from zero; inf where there is none.

    A space can ask before it builds: infinite is what an `AdamLSTM` warns of.
    """
    if momentum == 0:
        return step / math.sqrt(1 - beta2)
    if momentum**2 >= beta2:
        return math.inf
    return step / math.sqrt((1 - beta2) * (1 - momentum**2 / beta2))


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


def _adam_layer(
    sequence: Tensor, weights: Weights, start: Sequence[Tensor], dynamics: Dynamics, compiled: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What `adam_lstm_loop` computes, a few steps at a time, with the batch last."""
    columns = [tensor.mT.contiguous() for tensor in start]
    outputs = []
    for piece in torch.split(sequence.mT.contiguous(), UNROLLED):
        steps = _compiled_steps if compiled and len(piece) == UNROLLED else _steps
        output, columns = steps(piece, weights, columns, dynamics)
        outputs.append(output)
    return torch.cat(outputs).mT.contiguous(), tuple(tensor.mT for tensor in columns)


def _steps(
    piece: Tensor, weights: Weights, start: Sequence[Tensor], dynamics: Dynamics
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (K, H, B) and h, c (H, B), v, m (4H, B) after a piece (K, D, B).

    The batch is last, so that each gate is one block of memory: a quarter faster than first. The
    drive is made step by step, in the cache: whole sequences of it, 4H wide, through `velocity`,
    are 200 MB each at 784 x 128 x 128, and took twice as long.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    momentum, step, fresh = dynamics
    h, c, v, m = start
    outputs = []
    for x in piece.unbind():
        y = torch.addmm(bias_ih.unsqueeze(1), weight_ih, x)
        v = momentum * v + step * y
        m = torch.lerp(m, y * y, fresh)
        drive = torch.addcmul(bias_hh.unsqueeze(1), v, (m + EPSILON).rsqrt())
        h, c = gated(torch.addmm(drive, weight_hh, h), c, dim=0)
        outputs.append(h)
    return torch.stack(outputs), [h, c, v, m]


def _compiled_steps(
    piece: Tensor, weights: Weights, start: Sequence[Tensor], dynamics: Dynamics
) -> tuple[Tensor, list[Tensor]]:
    """The same, compiled; the dynamics are tensors there, or each number would compile again."""
    numbers = piece.new_tensor(dynamics).unbind()
    return _compiled()(piece, weights, start, numbers)


@cache
def _compiled() -> Callable[..., tuple[Tensor, list[Tensor]]]:
    return torch.compile(_steps)
