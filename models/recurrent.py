r"""LSTM and MomentumLSTM: one family, the same parameters, the same fused kernel.

The momentum cell drives an LSTM's gates by a velocity (order i, f, g, o; $v \in R^{4H}$):

$$v_t = \mu v_{t-1} + s (W_x x_t + b_x), \qquad a_t = v_t + W_h h_{t-1} + b_h,$$
$$c_t = \sigma(f) c_{t-1} + \sigma(i) \tanh(g), \qquad h_t = \sigma(o) \tanh(c_t).$$

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020. The input's bias $b_x$ is inside the velocity, as in the authors' code.

The velocity hears the inputs only, never $h$, and is linear in them: $v_t = [W_x | b_x] p_t$ with
$p_t = \mu p_{t-1} + s [x_t, 1]$. So a MomentumLSTM is an ordinary LSTM that reads a filtered
input, and it runs on the ordinary LSTM's kernel: oneDNN on a CPU, cuDNN on a GPU.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from .momentum import velocity

Weights = Sequence[Tensor]  # one layer's weight_ih, weight_hh, bias_ih, bias_hh


class State(Protocol):
    """What a cell hands on from one piece of a sequence to the next."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The state with every tensor changed; `state.map(torch.Tensor.detach)` cuts gradients."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the state; the batch is the axis before the last."""
        ...


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


S = TypeVar("S", bound=State)


class RecurrentCell(torch.nn.RNNBase, Generic[S], ABC):
    """What the family shares: parameters, names and initialisation of torch, shapes, checks.

    A member says what it remembers (`_zero_state`) and how layers are run (`_run`).
    """

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int, batch_first: bool
    ) -> None:
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        super().__init__(mode, input_size, hidden_size, num_layers, batch_first=batch_first)

    def forward(self, input: Tensor, state: S | None = None) -> tuple[Tensor, S]:
        """Read a sequence, from a zero state or from where an earlier piece of it ended.

        Args:
            input: (T, B, D), or (B, T, D) with `batch_first`, or (T, D) for one sequence alone.
            state: what the call on the piece before returned.

        Returns:
            The top layer's output at each step, (T, B, H) laid out as the input is, and the state.

        Raises:
            ValueError: the input or the state has a shape that does not fit.
        """
        self._check_input(input)
        if input.dim() == 2:
            return self._forward_one(input, state)
        sequence = input.transpose(0, 1) if self.batch_first else input
        output, state = self._run(sequence, self._checked(sequence, state))
        return output.transpose(0, 1) if self.batch_first else output, state

    def _forward_one(self, input: Tensor, state: S | None) -> tuple[Tensor, S]:
        """One sequence (T, D) as a batch of one."""
        batch = 0 if self.batch_first else 1
        given = None if state is None else state.map(lambda tensor: tensor.unsqueeze(-2))
        output, after = self.forward(input.unsqueeze(batch), given)
        return output.squeeze(batch), after.map(lambda tensor: tensor.squeeze(-2))

    def _check_input(self, input: Tensor) -> None:
        layout = "(B, T, D)" if self.batch_first else "(T, B, D)"
        shape = tuple(input.shape)
        if input.dim() not in (2, 3):
            raise ValueError(f"input must be {layout} or (T, D), got shape {shape}")
        if input.shape[-1] != self.input_size:
            raise ValueError(
                f"input must have {self.input_size} features (last), got shape {shape}"
            )
        if input.numel() == 0:
            raise ValueError(f"input needs at least one step and one sequence, got shape {shape}")

    def _checked(self, sequence: Tensor, state: S | None) -> S:
        zeros = self._zero_state(sequence)
        if state is None:
            return zeros
        rule = [tuple(tensor.shape) for tensor in zeros.tensors()]
        got = [tuple(tensor.shape) for tensor in state.tensors()]
        if got != rule:
            raise ValueError(
                f"the state for this input must have shapes {rule}, got {got}; "
                "a state goes on with the batch that it came from"
            )
        return state

    @abstractmethod
    def _zero_state(self, sequence: Tensor) -> S:
        """The state before a sequence (T, B, D)."""

    @abstractmethod
    def _run(self, sequence: Tensor, state: S) -> tuple[Tensor, S]:
        """Output (T, B, H) and state after a sequence (T, B, D)."""

    def _zero_hidden(self, sequence: Tensor) -> Tensor:
        return sequence.new_zeros(self.num_layers, sequence.shape[1], self.hidden_size)


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


class MomentumLSTM(RecurrentCell[MomentumState]):
    """An LSTM whose gates are driven by a velocity; momentum 0 and step 1 give the LSTM back.

    It has the parameters of an `LSTM` of its size, under the same names, initialised alike, so
    the two exchange `state_dict`s. Each layer filters its own input, and reads the filtered
    sequence with the fused kernel. See the module for equations and source.

    Args:
        input_size: D, features per step.
        hidden_size: H.
        num_layers: L; a layer above the first reads the output of the one below.
        momentum: in [0, 1). At 1 a constant input would never reach a steady velocity, which is
            step / (1 - momentum) times the drive.
        step: above 0.
        batch_first: input and output are (B, T, ...) instead of (T, B, ...).
    """

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
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        if not 0 < step < float("inf"):
            raise ValueError(f"step must be a positive number, got {step}")
        super().__init__("LSTM", input_size, hidden_size, num_layers, batch_first)
        self.momentum = momentum
        self.step = step

    def gate_velocity(self, state: MomentumState) -> tuple[Tensor, ...]:
        """The velocity in the gates' coordinates: for each layer (B, 4H), in order i, f, g, o."""
        return tuple(
            p @ _input_map(weights).mT for p, weights in zip(state.p, self.all_weights, strict=True)
        )

    def extra_repr(self) -> str:
        """Sizes, as torch writes them, and the dynamics."""
        return f"{super().extra_repr()}, momentum={self.momentum}, step={self.step}"

    def _zero_state(self, sequence: Tensor) -> MomentumState:
        zeros = self._zero_hidden(sequence)
        widths = [self.input_size, *[self.hidden_size] * (self.num_layers - 1)]
        p = tuple(sequence.new_zeros(sequence.shape[1], width + 1) for width in widths)
        return MomentumState(zeros, zeros, p)

    def _run(self, sequence: Tensor, state: MomentumState) -> tuple[Tensor, MomentumState]:
        layers = []
        for weights, h, c, p in zip(self.all_weights, *state, strict=True):
            filtered = velocity(_with_ones(sequence), self.momentum, self.step, p)
            _, weight_hh, bias_ih, bias_hh = weights
            kernel = [_input_map(weights), weight_hh, torch.zeros_like(bias_ih), bias_hh]
            sequence, h, c = _fused_lstm(filtered, h[None], c[None], kernel, self.training)
            layers.append((h, c, filtered[-1]))
        hidden, cell, after = zip(*layers, strict=True)
        return sequence, MomentumState(torch.cat(hidden), torch.cat(cell), after)


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
        i, f, g, o = (v + h @ weight_hh.mT + bias_hh).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), (h, c, v)


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
