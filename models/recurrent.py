r"""LSTM, MomentumLSTM, NesterovLSTM: one family, the same parameters, the same fused kernel.

The momentum cell drives an LSTM's gates by a velocity (order i, f, g, o; $v \in R^{4H}$):

$$v_t = \mu v_{t-1} + s (W_x x_t + b_x), \qquad a_t = v_t + W_h h_{t-1} + b_h,$$
$$c_t = \sigma(f) c_{t-1} + \sigma(i) \tanh(g), \qquad h_t = \sigma(o) \tanh(c_t).$$

Nesterov's cell has $\mu_t = (k - 1)/(k + 2)$, where $k = 1, 2, \ldots$ counts time steps, from 1
again at each scheduled restart.

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020. The input's bias $b_x$ is inside the velocity, as in the authors' code.
Nesterov's cell has the paper's form, velocity of the input only; the authors' code for MNIST and
TIMIT extrapolates the whole preactivation instead, $W_h h$ too, which is another cell.

The velocity hears the inputs only, never $h$, and is linear in them: $v_t = [W_x | b_x] p_t$ with
$p_t = \mu_t p_{t-1} + s [x_t, 1]$. So such a cell is an ordinary LSTM that reads a filtered
input, and it runs on the ordinary LSTM's kernel: oneDNN on a CPU, cuDNN on a GPU.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from .cell import RecurrentCell, check_dynamics
from .momentum import nesterov_momentum, velocity

Weights = Sequence[Tensor]  # one layer's weight_ih, weight_hh, bias_ih, bias_hh
After = tuple[Tensor, Tensor, tuple[Tensor, ...]]  # h, c, p of all layers


class LSTMState(NamedTuple):
    """State of an `LSTM`: a pair as in `torch.nn.LSTM`."""

    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell

    def map(self, change: Callable[[Tensor], Tensor]) -> "LSTMState":
        """The state with every tensor changed."""
        return LSTMState(change(self.h), change(self.c))

    def tensors(self) -> tuple[Tensor, ...]:
        """Both."""
        return tuple(self)


class MomentumState(NamedTuple):
    """State of a `MomentumLSTM`.

    The velocity is kept in the input's coordinates, as the paper's $p_t$ with a last entry for the
    bias, because there it rides the fused kernel; in the gates' coordinates, 4H wide, it would not.
    The two are the same as long as the weights do not change between two pieces of a sequence.
    `MomentumLSTM.gate_velocity` gives the latter.
    """

    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell
    p: tuple[Tensor, ...]  # L of (B, D_l + 1), where D_0 = D and D_l = H above

    def map(self, change: Callable[[Tensor], Tensor]) -> "MomentumState":
        """The state with every tensor changed."""
        return MomentumState(change(self.h), change(self.c), tuple(change(p) for p in self.p))

    def tensors(self) -> tuple[Tensor, ...]:
        """All: h, c, and p of each layer."""
        return (self.h, self.c, *self.p)


class NesterovState(NamedTuple):
    """State of a `NesterovLSTM`: that of a `MomentumLSTM`, and where the restarts are."""

    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell
    p: tuple[Tensor, ...]  # L of (B, D_l + 1), as in `MomentumState`
    steps: int = 0  # time steps read so far, by every sequence of the batch

    def map(self, change: Callable[[Tensor], Tensor]) -> "NesterovState":
        """The state with every tensor changed; the count of steps stays."""
        return self._replace(h=change(self.h), c=change(self.c), p=tuple(change(p) for p in self.p))

    def tensors(self) -> tuple[Tensor, ...]:
        """All: h, c, and p of each layer."""
        return (self.h, self.c, *self.p)


V = TypeVar("V", MomentumState, NesterovState)


class LSTM(RecurrentCell[LSTMState]):
    """`torch.nn.LSTM` itself: its parameters, its initialisation, its kernel, its (h, c) state."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
    ) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, batch_first)

    def forward(
        self, input: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, LSTMState]:
        """As in `RecurrentCell`; the state may be any pair (h, c)."""
        return super().forward(input, None if state is None else LSTMState(*state))

    def _zero_state(self, sequence: Tensor) -> LSTMState:
        zeros = self._zero_hidden(sequence)
        return LSTMState(zeros, zeros)

    def _run(self, sequence: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        weights = [tensor for layer in self.all_weights for tensor in layer]
        output, h, c = _fused_lstm(sequence, state.h, state.c, weights, self.training)
        return output, LSTMState(h, c)


class VelocityLSTM(RecurrentCell[V]):
    """What LSTMs driven by a velocity share: each layer filters its input, then the fused kernel.

    A member says which momenta its time steps have (`_run`).
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, step: float, batch_first: bool
    ) -> None:
        check_dynamics(step=step)
        super().__init__("LSTM", input_size, hidden_size, num_layers, batch_first)
        self.step = step

    def gate_velocity(self, state: V) -> tuple[Tensor, ...]:
        """The velocity in the gates' coordinates: for each layer (B, 4H), in order i, f, g, o."""
        return tuple(
            p @ _input_map(weights).mT for p, weights in zip(state.p, self.all_weights, strict=True)
        )

    def _zeros(self, sequence: Tensor) -> After:
        zeros = self._zero_hidden(sequence)
        widths = [self.input_size, *[self.hidden_size] * (self.num_layers - 1)]
        p = tuple(sequence.new_zeros(sequence.shape[1], width + 1) for width in widths)
        return zeros, zeros, p

    def _read(self, sequence: Tensor, state: V, momentum: float | Tensor) -> tuple[Tensor, After]:
        """Output (T, B, H) and h, c, p after a sequence, with one momentum or one for each step."""
        layers = []
        for weights, h, c, p in zip(self.all_weights, state.h, state.c, state.p, strict=True):
            filtered = velocity(_with_ones(sequence), momentum, self.step, p)
            _, weight_hh, bias_ih, bias_hh = weights
            kernel = [_input_map(weights), weight_hh, torch.zeros_like(bias_ih), bias_hh]
            sequence, h, c = _fused_lstm(filtered, h[None], c[None], kernel, self.training)
            layers.append((h, c, filtered[-1]))
        hidden, cell, after = zip(*layers, strict=True)
        return sequence, (torch.cat(hidden), torch.cat(cell), after)


class MomentumLSTM(VelocityLSTM[MomentumState]):
    """An LSTM whose gates are driven by a velocity; momentum 0 and step 1 give the LSTM back.

    It has the parameters of an `LSTM` of its size, under the same names, initialised alike, so
    the two exchange `state_dict`s. See the module for equations and source.

    Args:
        input_size: D, features per step.
        hidden_size: H.
        num_layers: L; a layer above the first reads the output of the one below.
        momentum: in [0, 1). At 1 a constant input would never reach a steady velocity, which is
            step / (1 - momentum) times the drive.
        step: above 0.
        batch_first: input and output are (B, T, ...) instead of (T, B, ...).
    """

    dynamics = ("momentum", "step")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        momentum: float,
        step: float,
        batch_first: bool = False,
    ) -> None:
        check_dynamics(momentum=momentum, step=step)
        super().__init__(input_size, hidden_size, num_layers, step, batch_first)
        self.momentum = momentum

    def _zero_state(self, sequence: Tensor) -> MomentumState:
        return MomentumState(*self._zeros(sequence))

    def _run(self, sequence: Tensor, state: MomentumState) -> tuple[Tensor, MomentumState]:
        output, after = self._read(sequence, state, self.momentum)
        return output, MomentumState(*after)


class NesterovLSTM(VelocityLSTM[NesterovState]):
    """An LSTM driven by a velocity whose momentum grows with time, and restarts on schedule.

    The momentum of time step k is (k - 1) / (k + 2); with `restart` F, k runs through 1, ..., F
    again and again. So at F = 2, the authors' choice on MNIST, it alternates between 0 and 1/4,
    and at F = 1 it is 0 always; that with step 1 is the LSTM. Without a restart it tends to 1, and
    the velocity of a constant input grows with time. Parameters and names as in `MomentumLSTM`.

    Args:
        input_size: D, features per step.
        hidden_size: H.
        num_layers: L; a layer above the first reads the output of the one below.
        step: above 0.
        restart: time steps from one restart to the next; 0 for never. The count goes on from one
            piece of a sequence to the next, and starts with the sequence.
        batch_first: input and output are (B, T, ...) instead of (T, B, ...).
    """

    dynamics = ("step", "restart")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        step: float,
        restart: int = 0,
        batch_first: bool = False,
    ) -> None:
        if restart < 0 or restart != int(restart):
            raise ValueError(f"restart must be a number of time steps, or 0, got {restart}")
        super().__init__(input_size, hidden_size, num_layers, step, batch_first)
        self.restart = int(restart)

    def _zero_state(self, sequence: Tensor) -> NesterovState:
        return NesterovState(*self._zeros(sequence))

    def _run(self, sequence: Tensor, state: NesterovState) -> tuple[Tensor, NesterovState]:
        length = len(sequence)
        momenta = nesterov_momentum(length, self.restart, first=state.steps)
        output, after = self._read(sequence, state, momenta)
        return output, NesterovState(*after, steps=state.steps + length)


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


def gated(preactivation: Tensor, c: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """An LSTM's h and c after a step, H along `dim`, from its gates' 4H and the c before."""
    i, f, g, o = preactivation.chunk(4, dim)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _fused_lstm(
    sequence: Tensor, h: Tensor, c: Tensor, weights: Weights, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """`torch.nn.LSTM`'s kernel on (T, B, D), for as many layers as there are sets of weights."""
    layers = len(weights) // 4
    return torch.lstm(sequence, (h, c), list(weights), True, layers, 0.0, training, False, False)


def _input_map(weights: Weights) -> Tensor:
    """[W_x | b_x], (4H, D + 1): the bias is the weight of an input that is always 1."""
    return torch.cat([weights[0], weights[2].unsqueeze(1)], dim=1)


def _with_ones(sequence: Tensor) -> Tensor:
    """(T, B, D) with a last feature that is always 1."""
    return torch.cat([sequence, sequence.new_ones(*sequence.shape[:-1], 1)], dim=-1)
