r"""What becomes of a cell's drive $y_t = W_x x_t + b_x$ on its way to the recurrence.

| dynamics | what the recurrence hears |
| --- | --- |
| none | $y_t$ |
| momentum | $v_t = \mu v_{t-1} + s y_t$ |
| Nesterov | the same, $\mu_t = (k - 1)/(k + 2)$; k counts time steps, from 1 again at a restart |
| Adam | $v_t / \sqrt{m_t + \epsilon}$, $m_t = \beta m_{t-1} + (1 - \beta) y_t^2$ |
| RMSProp | Adam with $\mu = 0$ |

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020. The input's bias $b_x$ is inside the velocity, as in the authors' code.

A velocity hears the inputs only, never $h$, and is linear in them: $v_t = [W_x | b_x] p_t$ with
$p_t = \mu_t p_{t-1} + s [x_t, 1]$. So such a cell is an ordinary cell that reads a filtered input,
and it runs on the ordinary cell's kernel. Adam's and RMSProp's filters are not linear, and a
momentum of each unit's own does not commute with $W_x$: those filter the drive itself.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from .adaptive import Filtered, adaptive, adaptive_loop, warn_unless_bounded
from .cell import Memory, Read, RecurrentCell, S, check_dynamics, check_flags
from .learned import Coefficient, Learned, mapped, parsed, raw
from .momentum import velocity, velocity_each
from .recurrence import PIECE, Layer, as_weights, driven, exactly, recur

DRIVE_BIAS = ("inside", "outside")
FORMS = ("code", "paper")


class Dynamics(RecurrentCell[S]):
    """A cell with a momentum or a step, each a number, or learned for each layer."""

    drive_bias: str

    def readings(self) -> dict[str, float]:
        """Every learned coefficient, by layer: `momentum_layer0`; of many units, their mean."""
        found = {}
        for name, layer in self._learned():
            value = self._coefficient(name, layer)
            found[f"{name}_layer{layer}"] = torch.as_tensor(value).detach().mean().item()
        return found

    def _set(self, name: str, value: Coefficient) -> None:
        value = parsed(value)
        if not isinstance(value, Learned):
            setattr(self, name, float(value))
            return
        setattr(self, name, value)
        units = self.recurrence.gates * self.hidden_size
        start = torch.full([units] if value.per_unit else [], raw(name, value.start))
        for layer in range(self.num_layers):
            self.register_parameter(f"{name}_l{layer}", torch.nn.Parameter(start.clone()))

    def reset_parameters(self) -> None:
        """Draw the weights anew, as torch does, and let learned coefficients start again."""
        cell: Any = super()
        cell.reset_parameters()
        for name, layer in self._learned():
            start = getattr(self, name).start
            torch.nn.init.constant_(getattr(self, f"{name}_l{layer}"), raw(name, start))

    def _coefficient(self, name: str, layer: int) -> float | Tensor:
        value: float | Learned = getattr(self, name)
        if isinstance(value, Learned):
            return mapped(name, getattr(self, f"{name}_l{layer}"))
        return value

    def _learned(self) -> list[tuple[str, int]]:
        names = [name for name in self.dynamics if isinstance(getattr(self, name, None), Learned)]
        return [(name, layer) for name in names for layer in range(self.num_layers)]

    def _in_drive(self) -> bool:
        """Whether the state is in the drive's coordinates."""
        values = [getattr(self, name) for name in self.dynamics]
        return any(isinstance(value, Learned) and value.per_unit for value in values)

    def _inside(self, layer: Layer) -> bool:
        return layer.input_bias is not None and self.drive_bias == "inside"

    def _set_drive_bias(self, drive_bias: str) -> None:
        self.drive_bias = _one_of("drive_bias", DRIVE_BIAS, drive_bias)


class Velocity(Dynamics[S]):
    """A cell that filters its input linearly; a member says which momentum each time step has."""

    step: float | Learned

    def gate_velocity(self, state: S) -> tuple[Tensor, ...]:
        """The velocity in the drive's coordinates: for each layer (B, G H), in gates' order.

        Where momentum is on the preactivation, the preactivation that is carried.
        """
        held: Any = self._taken(state)
        if self._in_drive():
            return tuple(held.p)
        maps = [self._input_map(layer) for layer in self._layers()]
        return tuple(p @ weight.mT for p, weight in zip(held.p, maps, strict=True))

    @abstractmethod
    def _momenta(self, layer: int, length: int, memory: Memory) -> float | Tensor:
        """A number or 0-d, or (T,), or what broadcasts against a drive (T, B, G H)."""

    def _later(self, memory: Memory, length: int) -> Memory:
        """What the dynamics remember beside the velocity, so many time steps later."""
        return memory[1:]

    def _zero_memory(self, sequence: Tensor, features: int) -> Memory:
        width = features + (self.input_bias and self.drive_bias == "inside")
        if self._in_drive():
            width = self.recurrence.gates * self.hidden_size
        return (sequence.new_zeros(sequence.shape[1], width),)

    def _read(
        self, index: int, layer: Layer, sequence: Tensor, start: tuple[Tensor, ...], memory: Memory
    ) -> Read:
        momenta = self._momenta(index, len(sequence), memory)
        step = self._coefficient("step", index)
        later = self._later(memory, len(sequence))
        if self._in_drive():
            output, end, p = self._read_by_unit(layer, sequence, start, memory[0], momenta, step)
            return output, end, (p, *later)
        signal = as_weights(sequence, layer)
        signal = _with_ones(signal) if self._inside(layer) else signal
        with exactly(signal):
            if isinstance(momenta, Tensor) and momenta.dim() > 1:
                filtered = velocity_each(signal, momenta.to(signal), step, memory[0])
            else:
                filtered = velocity(signal, momenta, step, memory[0])
        if self._inside(layer):
            layer = layer._replace(input=self._input_map(layer), input_bias=None)
        output, end = recur(self.recurrence, filtered, layer, start, self.training)
        return output, end, (filtered[-1], *later)

    def _read_by_unit(
        self,
        layer: Layer,
        sequence: Tensor,
        start: tuple[Tensor, ...],
        initial: Tensor,
        momenta: float | Tensor,
        step: float | Tensor,
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """The drive is filtered itself, (K, G H, B) after (K, G H, B)."""
        mu = torch.as_tensor(momenta, dtype=sequence.dtype, device=sequence.device)
        mu = mu.mT if mu.dim() == 3 else mu.reshape(-1, 1, 1)
        rest = iter(mu.expand(len(sequence), -1, -1).split(PIECE))
        s = torch.as_tensor(step, dtype=sequence.dtype, device=sequence.device).reshape(-1, 1)
        inside, current = self._inside(layer), initial.mT

        def change(drive: Tensor) -> Tensor:
            nonlocal current
            velocities = velocity_each(drive, next(rest), s, current)
            current = velocities[-1]
            if inside or layer.input_bias is None:
                return velocities
            return velocities + layer.input_bias.unsqueeze(1)

        signal = layer if inside else layer._replace(input_bias=None)
        output, end = driven(self.recurrence, sequence, signal, start, change)
        return output, end, current.mT

    def _advance(
        self, index: int, layer: Layer, x: Tensor, h: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        mu = torch.as_tensor(self._momenta(index, 1, memory), dtype=x.dtype, device=x.device)
        inside = self._inside(layer)
        y = torch.nn.functional.linear(x, layer.input, layer.input_bias if inside else None)
        y = self._coefficient("step", index) * y
        heard, v = self._moved(memory[0], mu[0] if mu.dim() else mu, y, layer, h)
        if not inside and layer.input_bias is not None:
            heard = heard + layer.input_bias
        return heard, (v, *self._later(memory, 1))

    def _moved(
        self, v: Tensor, momentum: Tensor, y: Tensor, layer: Layer, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What is heard and what is carried after a time step, from the drive's step y (B, G H)."""
        v = momentum * v + y
        return v, v

    def _input_map(self, layer: Layer) -> Tensor:
        """[W_x | b_x], (G H, D + 1): the bias is the weight of an input that is always 1."""
        if layer.input_bias is None or self.drive_bias == "outside":
            return layer.input
        return torch.cat([layer.input, layer.input_bias.unsqueeze(1)], dim=1)

    def _at_rest(self, zeros: Tensor) -> Memory:
        return (zeros,)


class Momentum(Velocity[S]):
    """Heavy-ball momentum, the same at each time step.

    Args:
        momentum: in [0, 1), or `"learned"`, `"learned-per-unit"`, `Learned(...)`. At 1 a constant
            input would never reach a steady velocity, which is step / (1 - momentum) times the
            drive.
        step: above 0, or learned likewise.
        drive_bias: "inside" the velocity, or "outside": added to what the recurrence hears.
        settings: those of the cell.
    """

    dynamics: ClassVar[tuple[str, ...]] = ("momentum", "step", "drive_bias")
    momentum: float | Learned

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        momentum: Coefficient,
        step: Coefficient,
        drive_bias: str = "inside",
        **settings: Any,
    ) -> None:
        check_numbers(momentum=momentum, step=step)
        super().__init__(input_size, hidden_size, num_layers, **settings)
        self._set("momentum", momentum)
        self._set("step", step)
        self._set_drive_bias(drive_bias)

    def _momenta(self, layer: int, length: int, memory: Memory) -> float | Tensor:
        momentum = self._coefficient("momentum", layer)
        if isinstance(momentum, Tensor) and momentum.dim() == 1:
            return momentum.reshape(1, 1, -1)
        return momentum


class Adam(Dynamics[S]):
    """Momentum over the drive's running root mean square. See `adaptive.py` for its range.

    No setting gives the plain cell back: the drive's size is always divided out. It warns unless
    momentum**2 < beta2, because the driven part is then unbounded; of a learned momentum, it looks
    at the start alone. In half precision the filter and its state are float32.

    Args:
        momentum: in [0, 1), or learned as in `Momentum`.
        step: above 0, or learned likewise.
        beta2: in [0, 1), how much of the mean square is kept from one time step to the next.
        form: "paper", the velocity is an average, fed (1 - momentum) of the drive, or "code", fed
            all of it, as the authors have it: the same cells, their steps 1 - momentum apart. The
            paper's own has `drive_bias` "outside"; its epsilon beside the root is under it here,
            so that 0 / 0 has gradients.
        drive_bias: "inside" what is filtered, or "outside": added to what the recurrence hears.
        divided: whether by the root mean square. If not, what is heard is the velocity itself, and
            m stands still: it tells what the momentum does from what the division does.
        settings: those of the cell.
    """

    dynamics: ClassVar[tuple[str, ...]] = (
        *("momentum", "step", "beta2", "form", "drive_bias", "divided"),
    )

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        momentum: Coefficient,
        step: Coefficient,
        beta2: float,
        form: str = "paper",
        drive_bias: str = "inside",
        divided: bool = True,
        **settings: Any,
    ) -> None:
        check_numbers(momentum=momentum, step=step)
        check_dynamics(beta2=beta2, step=1.0)
        check_flags(divided=divided)
        if divided:
            warn_unless_bounded(_start(momentum), beta2, stacklevel=3)
        super().__init__(input_size, hidden_size, num_layers, **settings)
        self._set("momentum", momentum)
        self._set("step", step)
        self._set_drive_bias(drive_bias)
        self.form = _one_of("form", FORMS, form)
        self.beta2, self.divided = float(beta2), divided

    def _zero_memory(self, sequence: Tensor, features: int) -> Memory:
        units = self.recurrence.gates * self.hidden_size
        return self._at_rest(sequence.new_zeros(sequence.shape[1], units))

    def _at_rest(self, zeros: Tensor) -> Memory:
        return _exact(zeros), _exact(zeros)

    def _read(
        self, index: int, layer: Layer, sequence: Tensor, start: tuple[Tensor, ...], memory: Memory
    ) -> Read:
        v, m = _exact(memory[0]).mT, _exact(memory[1]).mT
        mu, s = map(_column, self._numbers(index))
        outside = None if self._inside(layer) else layer.input_bias

        def change(drive: Tensor) -> Tensor:
            nonlocal v, m
            precision = drive.dtype
            drive, v, m = self._filtered(_exact(drive), v, m, mu, s)
            drive = drive.to(precision)
            return drive if outside is None else drive + outside.unsqueeze(1)

        signal = layer if outside is None else layer._replace(input_bias=None)
        output, end = driven(self.recurrence, sequence, signal, start, change)
        return output, end, (v.mT, m.mT)

    def _advance(
        self, index: int, layer: Layer, x: Tensor, h: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        y = torch.nn.functional.linear(
            x, layer.input, layer.input_bias if self._inside(layer) else None
        )
        v, m = map(_exact, memory)
        drive, v, m = self._filtered(_exact(y)[None], v, m, *self._numbers(index), plainly=True)
        heard = drive[0].to(y.dtype)
        if not self._inside(layer) and layer.input_bias is not None:
            heard = heard + layer.input_bias
        return heard, (v, m)

    def _numbers(self, index: int) -> tuple[float | Tensor, float | Tensor]:
        """Momentum and step of a layer, as the code's form has them."""
        mu, s = self._coefficient("momentum", index), self._coefficient("step", index)
        return (mu, s * (1 - mu)) if self.form == "paper" else (mu, s)

    def _filtered(
        self,
        drive: Tensor,
        v: Tensor,
        m: Tensor,
        mu: float | Tensor,
        s: float | Tensor,
        plainly: bool = False,
    ) -> Filtered:
        """What is heard (K, ...) of a drive (K, ...), and v and m (...) after it."""
        if not self.divided:
            heard = velocity_each(
                drive, torch.as_tensor(mu, dtype=drive.dtype, device=drive.device), s, v
            )
            return heard, heard[-1], m
        if plainly or isinstance(mu, Tensor) or isinstance(s, Tensor):
            return adaptive_loop(drive, v, m, mu, s, self.beta2)
        return adaptive(drive, v, m, mu, s, self.beta2)


class RMSProp(Adam[S]):
    """Adam without momentum: each unit hears its input over its running size.

    Args are those of `Adam`, without momentum; its forms are one.
    """

    dynamics: ClassVar[tuple[str, ...]] = ("step", "beta2", "drive_bias", "divided")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        step: Coefficient,
        beta2: float,
        **settings: Any,
    ) -> None:
        settings |= {"momentum": 0.0, "step": step, "beta2": beta2}
        super().__init__(input_size, hidden_size, num_layers, **settings)


def check_numbers(**coefficients: Coefficient) -> None:
    """ValueError for a number out of range, and for a name that means nothing."""
    check_dynamics(**{name: _start(value) for name, value in coefficients.items()})


def _start(coefficient: Coefficient) -> float:
    """The number, or where learning starts."""
    value = parsed(coefficient)
    return value.start if isinstance(value, Learned) else value


def _one_of(name: str, known: tuple[str, ...], value: str) -> str:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, got {value!r}")
    return value


def _exact(tensor: Tensor) -> Tensor:
    """At least float32: in half precision the epsilon under the root would be 0."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _column(coefficient: float | Tensor) -> float | Tensor:
    return coefficient.reshape(-1, 1) if isinstance(coefficient, Tensor) else coefficient


def _with_ones(sequence: Tensor) -> Tensor:
    """(T, B, D) with a last feature that is always 1."""
    return torch.cat([sequence, sequence.new_ones(*sequence.shape[:-1], 1)], dim=-1)
