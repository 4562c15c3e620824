r"""How a cell's states follow from its drive: one rule for each kind of cell.

A rule has three forms. `step` is the formula, for the plain loop. `fused`, where torch has one, is
its kernel (oneDNN on a CPU, cuDNN on a GPU), which makes the drive from its input itself. And
`forward` with `backward`, one time step each, let `driven` run any drive at all: their gradients
are written out by hand, because a graph of small tensors costs more time than their arithmetic.

In those two the batch is last, so that each gate is one block of memory, and all is in place. K
time steps, B sequences, H hidden units, G gates.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PIECE = 16  # time steps of a drive at once: more fall out of the cache, fewer cost more calls

Columns = Sequence[Tensor]  # h, or h and c, each (H, B)


class Layer(NamedTuple):
    """The weights of one layer."""

    input: Tensor  # (G H, D)
    recurrent: Tensor  # (G H, H)
    input_bias: Tensor | None  # (G H,), belongs to the drive
    bias: Tensor  # (G H,), belongs to the recurrence


class Recurrence(ABC):
    """A kind of cell."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    kept: ClassVar[int] = 0  # times H, numbers that each step keeps for the way back
    kernel: ClassVar[bool] = True

    @abstractmethod
    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The states (B, H) after a time step, from its drive (B, G H) and the states before."""

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """Output (T, B, H) and states (1, B, H), for an input (T, B, D), by torch's kernel."""
        raise NotImplementedError

    @abstractmethod
    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """Fill `new`, and `kept` (kept H, B), by a drive (G H, B)."""

    @abstractmethod
    def backward(
        self, bias: Tensor, old: Columns, new: Columns, kept: Tensor, by: Columns, by_drive: Tensor
    ) -> Tensor:
        """Fill the gradient by the drive; return that by weight times h, (G H, B).

        The gradients `by` the new states become those by the old, but for what went through the
        weight.
        """

    def by_bias(self, by_recurrent: Tensor, by_bias: Tensor, new: Columns) -> None:
        """Add to the gradient by the bias (G H, 1)."""
        by_bias.add_(by_recurrent.sum(1, keepdim=True))


class LSTMRecurrence(Recurrence):
    r"""$c_t = f c_{t-1} + i g$ and $h_t = o \tanh(c_t)$; gates in order i, f, g, o."""

    gates, states, kept = 4, 2, 4

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return gated(drive + old[0] @ layer.recurrent.mT + layer.bias, old[1])

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return torch.lstm(sequence, start, weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`; the gates are kept."""
        size = len(old[0])
        torch.addmm(drive, weight, old[0], out=kept).add_(bias)
        i, f, g, o = kept.split(size)
        kept[: 2 * size].sigmoid_()
        torch.mul(f, old[1], out=new[1]).addcmul_(i, g.tanh_())
        torch.tanh(new[1], out=new[0]).mul_(o.sigmoid_())

    def backward(
        self, bias: Tensor, old: Columns, new: Columns, kept: Tensor, by: Columns, by_drive: Tensor
    ) -> Tensor:
        """As in `Recurrence`."""
        size = len(old[0])
        i, f, g, o = kept.split(size)
        by_i, by_f, by_g, by_o = by_drive.split(size)
        by_h, by_c = by
        squashed = new[1].tanh()
        torch.mul(by_h, squashed, out=by_o)
        by_c.add_(_through_tanh(by_h.mul_(o), squashed))
        torch.mul(by_c, g, out=by_i)
        torch.mul(by_c, old[1], out=by_f)
        torch.mul(by_c, i, out=by_g)
        _through_sigmoid(by_drive[: 2 * size], kept[: 2 * size])
        _through_tanh(by_g, g)
        _through_sigmoid(by_o, o)
        by_c.mul_(f)
        by_h.zero_()
        return by_drive


class GRURecurrence(Recurrence):
    r"""$n = \tanh(y_n + r (W_n h + b_n))$ and $h_t = n + z (h - n)$; gates in order r, z, n."""

    gates, kept = 3, 4

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        (h,) = old
        y_r, y_z, y_n = drive.chunk(3, -1)
        u_r, u_z, u_n = (h @ layer.recurrent.mT + layer.bias).chunk(3, -1)
        r, z = (y_r + u_r).sigmoid(), (y_z + u_z).sigmoid()
        n = (y_n + r * u_n).tanh()
        return (n + z * (h - n),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return torch.gru(sequence, start[0], weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`; r, z, n and W_n h + b_n are kept."""
        size = len(old[0])
        heard = torch.addmm(bias, weight, old[0])
        r, z, n, u_n = kept.split(size)
        torch.add(drive[: 2 * size], heard[: 2 * size], out=kept[: 2 * size]).sigmoid_()
        u_n.copy_(heard[2 * size :])
        torch.addcmul(drive[2 * size :], r, u_n, out=n).tanh_()
        torch.lerp(n, old[0], z, out=new[0])

    def backward(
        self, bias: Tensor, old: Columns, new: Columns, kept: Tensor, by: Columns, by_drive: Tensor
    ) -> Tensor:
        """As in `Recurrence`."""
        size = len(old[0])
        r, z, n, u_n = kept.split(size)
        by_r, by_z, by_n = by_drive.split(size)
        torch.mul(by[0], old[0] - n, out=by_z)
        torch.mul(by[0], 1 - z, out=by_n)
        torch.mul(_through_tanh(by_n, n), u_n, out=by_r)
        _through_sigmoid(by_drive[: 2 * size], kept[: 2 * size])
        by_recurrent = by_drive.clone()
        by_recurrent[2 * size :].mul_(r)
        by[0].mul_(z)
        return by_recurrent


class TanhRecurrence(Recurrence):
    r"""$h_t = \tanh(y_t + W h_{t-1} + b)$."""

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return (torch.tanh(drive + old[0] @ layer.recurrent.mT + layer.bias),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return torch.rnn_tanh(sequence, start[0], weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`."""
        torch.addmm(drive, weight, old[0], out=new[0]).add_(bias).tanh_()

    def backward(
        self, bias: Tensor, old: Columns, new: Columns, kept: Tensor, by: Columns, by_drive: Tensor
    ) -> Tensor:
        """As in `Recurrence`."""
        _through_tanh(by_drive.copy_(by[0]), new[0])
        by[0].zero_()
        return by_drive


class ReLURecurrence(Recurrence):
    r"""$h_t = \max(0, y_t + W h_{t-1} + b)$."""

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return (torch.relu(drive + old[0] @ layer.recurrent.mT + layer.bias),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return torch.rnn_relu(sequence, start[0], weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`."""
        torch.addmm(drive, weight, old[0], out=new[0]).add_(bias).relu_()

    def backward(
        self, bias: Tensor, old: Columns, new: Columns, kept: Tensor, by: Columns, by_drive: Tensor
    ) -> Tensor:
        """As in `Recurrence`."""
        torch.mul(by[0], new[0] > 0, out=by_drive)
        by[0].zero_()
        return by_drive


class ModReLURecurrence(Recurrence):
    r"""$h_t = modReLU(y_t + W h_{t-1})$, $modReLU(z) = sign(z) \max(0, |z| + b)$.

    It keeps a number's sign and moves its size by b, so that an orthogonal W goes on unhindered
    where b is 0. Arjovsky, Shah, Bengio, "Unitary evolution recurrent neural networks", ICML 2016.
    """

    kernel = False

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        z = drive + old[0] @ layer.recurrent.mT
        return (z.sign() * torch.relu(z.abs() + layer.bias),)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`."""
        h = torch.addmm(drive, weight, old[0], out=new[0])
        sign = h.sign()
        h.abs_().add_(bias).relu_().mul_(sign)

    def backward(
        self, bias: Tensor, old: Columns, new: Columns, kept: Tensor, by: Columns, by_drive: Tensor
    ) -> Tensor:
        """As in `Recurrence`: where h is not 0, the derivative is 1."""
        torch.mul(by[0], new[0] != 0, out=by_drive)
        by[0].zero_()
        return by_drive

    def by_bias(self, by_recurrent: Tensor, by_bias: Tensor, new: Columns) -> None:
        """As in `Recurrence`; b moves h away from 0, on either side."""
        by_bias.add_((by_recurrent * new[0].sign()).sum(1, keepdim=True))


def gated(preactivation: Tensor, c: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """An LSTM's h and c after a step, H along `dim`, from its gates' 4H and the c before."""
    i, f, g, o = preactivation.chunk(4, dim)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def recur(
    rule: Recurrence, sequence: Tensor, layer: Layer, start: Sequence[Tensor], training: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output (T, B, H) and states (B, H) of a layer that reads (T, B, D): the fastest way."""
    if not rule.kernel:
        return driven(rule, sequence, layer, start)
    weights = [layer.input, layer.recurrent, _or_zero(layer), layer.bias]
    first = [state.unsqueeze(0) for state in start]
    output, *ends = rule.fused(sequence, first, weights, training)
    return output, tuple(end.squeeze(0) for end in ends)


def driven(
    rule: Recurrence,
    sequence: Tensor,
    layer: Layer,
    start: Sequence[Tensor],
    change: Callable[[Tensor], Tensor] = lambda drive: drive,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The same, by a drive that may be changed on its way from input to recurrence.

    Args:
        rule: the kind of cell.
        sequence: (T, B, D).
        layer: its weights.
        start: states (B, H).
        change: drive (K, G H, B) -> drive, called for one piece of the sequence after the other.

    Returns:
        Output (T, B, H) and states (B, H). The pieces are small enough to stay in the cache from
        the drive to the output; whole sequences of drives took half as long again.
    """
    loop: Callable[..., Any] = _Driven.apply
    states = tuple(state.mT for state in start)
    bias, outputs = layer.bias.unsqueeze(1), []
    for piece in sequence.mT.contiguous().split(PIECE):
        drive = change(_drive(layer, piece))
        output, *rest = loop(rule, drive, layer.recurrent, bias, *states)
        states = (output[-1], *rest)
        outputs.append(output)
    return torch.cat(outputs).mT.contiguous(), tuple(state.mT for state in states)


def _drive(layer: Layer, piece: Tensor) -> Tensor:
    """(K, G H, B) from (K, D, B)."""
    weight = layer.input.expand(len(piece), -1, -1)
    if layer.input_bias is None:
        return torch.bmm(weight, piece)
    return torch.baddbmm(layer.input_bias.unsqueeze(1), weight, piece)


def _or_zero(layer: Layer) -> Tensor:
    return torch.zeros_like(layer.bias) if layer.input_bias is None else layer.input_bias


class _Driven(torch.autograd.Function):
    """The time loop of `driven` over a drive (K, G H, B), there and back, with the batch last."""

    @staticmethod
    def forward(
        ctx: Any, rule: Recurrence, drive: Tensor, weight: Tensor, bias: Tensor, *start: Tensor
    ) -> tuple[Tensor, ...]:
        length, _, batch = drive.shape
        size = weight.shape[1]
        states = [drive.new_empty(length + 1, size, batch) for _ in start]
        kept = drive.new_empty(length, rule.kept * size, batch)
        for state, first in zip(states, start, strict=True):
            state[0] = first
        times = list(zip(*(state.unbind() for state in states), strict=True))
        for now, old, new, keep in zip(
            drive.unbind(), times, times[1:], kept.unbind(), strict=False
        ):
            rule.forward(now, weight, bias, old, new, keep)
        ctx.rule = rule
        ctx.save_for_backward(weight, bias, kept, *states)
        return (states[0][1:], *(state[-1].clone() for state in states[1:]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_outputs: Tensor, *by_ends: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, kept, *states = ctx.saved_tensors
        times = list(zip(*(state.unbind() for state in states), strict=True))
        by = [torch.zeros_like(states[0][0]), *(end.clone() for end in by_ends)]
        by_drive = kept.new_empty(len(kept), len(weight), kept.shape[2])
        by_weight, by_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for t in reversed(range(len(kept))):
            by[0].add_(by_outputs[t])
            old, new = times[t], times[t + 1]
            by_recurrent = ctx.rule.backward(bias, old, new, kept[t], by, by_drive[t])
            ctx.rule.by_bias(by_recurrent, by_bias, new)
            by_weight.addmm_(by_recurrent, old[0].mT)
            by[0].addmm_(weight.mT, by_recurrent)
        return (None, by_drive, by_weight, by_bias, *by)


def _through_tanh(by: Tensor, value: Tensor) -> Tensor:
    """The gradient by tanh's argument, from that by its value, in place."""
    torch.ops.aten.tanh_backward.grad_input(by, value, grad_input=by)
    return by


def _through_sigmoid(by: Tensor, value: Tensor) -> None:
    torch.ops.aten.sigmoid_backward.grad_input(by, value, grad_input=by)
