r"""How a cell's states follow from its drive: one rule for each kind of cell.

A rule has three forms. `step` is the formula, for the plain loop. `fused` is torch's kernel (oneDNN
on a CPU, cuDNN on a GPU) or our own, which makes the drive from its input itself. And
`forward`, `slopes` and `backward` let `driven` run any drive at all: gradients are written out by
hand, because a graph of small tensors costs more time than their arithmetic. All derivatives of a
piece are computed at once, before its time steps chain them.

In those two the batch is last, so that each gate is one block of memory, and all is in place. K
time steps, B sequences, H hidden units, G gates.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from .gradients import by_hand
from .modrelu import modrelu_scan
from .product import product

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
    additive: ClassVar[bool] = True  # drive and what is heard of h are only ever added up

    def echo(self, layer: Layer, h: Tensor) -> Tensor:
        """What a time step hears of the h (B, H) before it, (B, G H)."""
        return h @ layer.recurrent.mT + layer.bias

    @abstractmethod
    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The states (B, H) after a time step, from its drive (B, G H) and the states before."""

    @abstractmethod
    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """Output (T, B, H) and states (1, B, H), for an input (T, B, D), by one kernel."""

    @abstractmethod
    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """Fill `new`, and `kept` (kept H, B), by a drive (G H, B)."""

    @abstractmethod
    def slopes(self, kept: Tensor, states: Columns) -> tuple[Tensor, ...]:
        """What `backward` needs, of all K steps: from `kept`, and states (K + 1, H, B)."""

    def backward(
        self, slopes: Sequence[Tensor], by: Columns, by_drive: Tensor, by_recurrent: Tensor
    ) -> None:
        """One time step's gradients by its drive and by what it hears of h, (G H, B).

        Also turns those `by` the new states into those by the old, but for what goes through the
        weight. Here, where h follows from drive and h's echo by element, nothing does.
        """
        torch.mul(by[0], slopes[0], out=by_drive)
        by[0].zero_()

    def by_bias(self, by_recurrent: Tensor, states: Columns) -> Tensor:
        """The gradient by the bias, (G H,), from (K, G H, B)."""
        return by_recurrent.sum((0, 2))


class LSTMRecurrence(Recurrence):
    r"""$c_t = f c_{t-1} + i g$ and $h_t = o \tanh(c_t)$; gates in order i, f, g, o."""

    gates, states, kept = 4, 2, 5

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return gated(drive + self.echo(layer, old[0]), old[1])

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return torch.lstm(sequence, start, weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`; the gates and tanh(c) are kept."""
        size = len(old[0])
        torch.add(drive, product(weight, old[0].mT), out=kept[: 4 * size]).add_(bias)
        i, f, g, o, squashed = kept.split(size)
        kept[: 2 * size].sigmoid_()
        torch.mul(f, old[1], out=new[1]).addcmul_(i, g.tanh_())
        torch.mul(torch.tanh(new[1], out=squashed), o.sigmoid_(), out=new[0])

    def slopes(self, kept: Tensor, states: Columns) -> tuple[Tensor, ...]:
        """As in `Recurrence`: of c by h; of i, f, g by c; of o by h; of c by the c before."""
        before = states[1][:-1]
        i, f, g, o, squashed = kept.chunk(5, dim=1)
        by_c = torch.empty_like(kept[:, : 3 * before.shape[1]])
        by_i, by_f, by_g = by_c.chunk(3, dim=1)
        torch.addcmul(i, i, i, value=-1, out=by_i).mul_(g)
        torch.addcmul(f, f, f, value=-1, out=by_f).mul_(before)
        torch.addcmul(i, i * g, g, value=-1, out=by_g)
        by_o = torch.addcmul(o, o, o, value=-1).mul_(squashed)
        return torch.addcmul(o, o * squashed, squashed, value=-1), by_c, by_o, f

    def backward(
        self, slopes: Sequence[Tensor], by: Columns, by_drive: Tensor, by_recurrent: Tensor
    ) -> None:
        """As in `Recurrence`."""
        by_h, by_c = by
        size = len(by_h)
        of_c, of_gates, of_o, f = slopes
        by_c.addcmul_(by_h, of_c)
        torch.mul(by_c, of_gates.view(3, size, -1), out=by_drive[: 3 * size].view(3, size, -1))
        torch.mul(by_h, of_o, out=by_drive[3 * size :])
        by_c.mul_(f)
        by_h.zero_()


class GRURecurrence(Recurrence):
    r"""$n = \tanh(y_n + r (W_n h + b_n))$ and $h_t = n + z (h - n)$; gates in order r, z, n."""

    gates, kept, additive = 3, 4, False

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        (h,) = old
        y_r, y_z, y_n = drive.chunk(3, -1)
        u_r, u_z, u_n = self.echo(layer, h).chunk(3, -1)
        r, z = (y_r + u_r).sigmoid(), (y_z + u_z).sigmoid()
        n = (y_n + r * u_n).tanh()
        return (n + z * (h - n),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        weights = _by_columns(weights)
        return torch.gru(sequence, start[0], weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`; r, z, n and W_n h + b_n are kept."""
        size = len(old[0])
        heard = product(weight, old[0].mT).add_(bias)
        r, z, n, u_n = kept.split(size)
        torch.add(drive[: 2 * size], heard[: 2 * size], out=kept[: 2 * size]).sigmoid_()
        u_n.copy_(heard[2 * size :])
        torch.addcmul(drive[2 * size :], r, u_n, out=n).tanh_()
        torch.lerp(n, old[0], z, out=new[0])

    def slopes(self, kept: Tensor, states: Columns) -> tuple[Tensor, ...]:
        """As in `Recurrence`: of r, z, n; of W_n h + b_n; of the h before."""
        r, z, n, u_n = kept.chunk(4, dim=1)
        by_drive = torch.empty_like(kept[:, : 3 * r.shape[1]])
        by_r, by_z, by_n = by_drive.chunk(3, dim=1)
        torch.mul(1 - z, 1 - n * n, out=by_n)
        torch.mul(by_n, u_n, out=by_r).mul_(r * (1 - r))
        torch.mul(states[0][:-1] - n, z * (1 - z), out=by_z)
        return by_drive, by_n * r, z

    def backward(
        self, slopes: Sequence[Tensor], by: Columns, by_drive: Tensor, by_recurrent: Tensor
    ) -> None:
        """As in `Recurrence`; z of h goes on by itself."""
        size = len(by[0])
        gates = by_drive.view(3, size, -1)
        torch.mul(by[0], slopes[0].view(3, size, -1), out=gates)
        by_recurrent[: 2 * size] = by_drive[: 2 * size]
        torch.mul(by[0], slopes[1], out=by_recurrent[2 * size :])
        by[0].mul_(slopes[2])


class TanhRecurrence(Recurrence):
    r"""$h_t = \tanh(y_t + W h_{t-1} + b)$."""

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return (torch.tanh(drive + self.echo(layer, old[0])),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        weights = _by_columns(weights)
        return torch.rnn_tanh(sequence, start[0], weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`."""
        torch.add(drive, product(weight, old[0].mT), out=new[0]).add_(bias).tanh_()

    def slopes(self, kept: Tensor, states: Columns) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        h = states[0][1:]
        return (1 - h * h,)


class ReLURecurrence(Recurrence):
    r"""$h_t = \max(0, y_t + W h_{t-1} + b)$."""

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return (torch.relu(drive + self.echo(layer, old[0])),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        weights = _by_columns(weights)
        return torch.rnn_relu(sequence, start[0], weights, True, 1, 0.0, training, False, False)

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`."""
        torch.add(drive, product(weight, old[0].mT), out=new[0]).add_(bias).relu_()

    def slopes(self, kept: Tensor, states: Columns) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return (states[0][1:].sign(),)


class ModReLURecurrence(Recurrence):
    r"""$h_t = modReLU(y_t + W h_{t-1})$, $modReLU(z) = sign(z) \max(0, |z| + b)$.

    It keeps a number's sign and moves its size by b, so that an orthogonal W goes on unhindered
    where b is 0. Where b is above 0 it jumps by 2 b at z = 0: there rounding decides which side a
    unit is on, so that two forms in float32 may part by as much, however exact both are. Arjovsky,
    Shah, Bengio, "Unitary evolution recurrent neural networks", ICML 2016.
    """

    def echo(self, layer: Layer, h: Tensor) -> Tensor:
        """As in `Recurrence`; b is no part of it."""
        return h @ layer.recurrent.mT

    def step(self, drive: Tensor, layer: Layer, old: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        z = drive + self.echo(layer, old[0])
        return (z.sign() * torch.relu(z.abs() + layer.bias),)

    def fused(
        self, sequence: Tensor, start: list[Tensor], weights: list[Tensor], training: bool
    ) -> tuple[Tensor, ...]:
        """As in `Recurrence`; torch has no kernel, `modrelu.py` is ours. It knows no input bias."""
        input, recurrent, _, offset = weights
        with exactly(sequence):
            full = sequence.to(input.dtype) if sequence.dtype.itemsize < 4 else sequence
            output = modrelu_scan(full, start[0][0].to(full.dtype), input, recurrent, offset)
        return output, output[-1:]

    def forward(
        self, drive: Tensor, weight: Tensor, bias: Tensor, old: Columns, new: Columns, kept: Tensor
    ) -> None:
        """As in `Recurrence`."""
        h = torch.add(drive, product(weight, old[0].mT), out=new[0])
        sign = h.sign()
        h.abs_().add_(bias).relu_().mul_(sign)

    def slopes(self, kept: Tensor, states: Columns) -> tuple[Tensor, ...]:
        """As in `Recurrence`: 1 where h is not 0."""
        return (states[0][1:].sign().abs_(),)

    def by_bias(self, by_recurrent: Tensor, states: Columns) -> Tensor:
        """As in `Recurrence`; b moves h away from 0, on either side."""
        return (by_recurrent * states[0][1:].sign()).sum((0, 2))


def gated(preactivation: Tensor, c: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """An LSTM's h and c after a step, H along `dim`, from its gates' 4H and the c before."""
    i, f, g, o = preactivation.chunk(4, dim)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def recur(
    rule: Recurrence, sequence: Tensor, layer: Layer, start: Sequence[Tensor], training: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output (T, B, H) and states (B, H) of a layer that reads (T, B, D): the fastest way."""
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
    with exactly(sequence):
        states = tuple(as_weights(state, layer).mT for state in start)
        bias, outputs = layer.bias.unsqueeze(1), []
        for piece in as_weights(sequence, layer).mT.contiguous().split(PIECE):
            drive = change(_drive(layer, piece))
            output, *ends = loop(rule, drive, layer.recurrent, bias, *states)
            states = tuple(ends)
            outputs.append(output)
        return torch.cat(outputs).mT, tuple(state.mT for state in states)


def exactly(tensor: Tensor) -> AbstractContextManager[Any]:
    """Sums over many time steps are not for half precision, whatever autocast says."""
    kind = tensor.device.type
    known = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if known else nullcontext()


def as_weights(tensor: Tensor, layer: Layer) -> Tensor:
    """What is in half precision in the weights' own, as autocast's callers mix the two."""
    half = tensor.dtype in (torch.bfloat16, torch.float16)
    return tensor.to(layer.input.dtype) if half else tensor


def _drive(layer: Layer, piece: Tensor) -> Tensor:
    """(K, G H, B) from (K, D, B)."""
    weight = layer.input.expand(len(piece), -1, -1)
    if layer.input_bias is None:
        return torch.bmm(weight, piece)
    return torch.baddbmm(layer.input_bias.unsqueeze(1), weight, piece)


def _by_columns(weights: list[Tensor]) -> list[Tensor]:
    """The same with the input's weights in another layout, on a CPU.

    There torch has no kernel but for LSTMs, and MKL takes ten times as long for the gradient by
    few columns, over all time steps, where they are laid out by rows.
    """
    input, *others = weights
    return [input.mT.contiguous().mT, *others] if input.device.type == "cpu" else weights


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
        ctx.save_for_backward(weight, kept, *states)
        return (states[0][1:], *(state[-1].clone() for state in states))

    @staticmethod
    @by_hand("a cell's plain loop, `unrolled`,")
    def backward(ctx: Any, by_outputs: Tensor, *by_ends: Tensor) -> tuple[Tensor | None, ...]:
        weight, kept, *states = ctx.saved_tensors
        rule: Recurrence = ctx.rule
        by = [end.clone() for end in by_ends]
        by_drive = kept.new_empty(len(kept), len(weight), kept.shape[2])
        by_recurrent = by_drive if rule.additive else torch.empty_like(by_drive)
        slopes = list(zip(*(slope.unbind() for slope in rule.slopes(kept, states)), strict=True))
        back, by_outputs = weight.mT.contiguous(), by_outputs.contiguous()
        by_weight = torch.zeros_like(weight)
        for t in reversed(range(len(kept))):
            by[0].add_(by_outputs[t])
            rule.backward(slopes[t], by, by_drive[t], by_recurrent[t])
            by[0].add_(product(back, by_recurrent[t].mT))
            by_weight.add_(product(by_recurrent[t], states[0][t]))
        by_bias = rule.by_bias(by_recurrent, states).unsqueeze(1)
        return (None, by_drive, by_weight, by_bias, *by)
