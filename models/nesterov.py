r"""Nesterov's momentum on a cell's drive, or on all that its nonlinearities hear.

| `momentum_on` | what is carried | what the nonlinearities hear |
| --- | --- | --- |
| `"drive"` | $v_t = \mu_t v_{t-1} + s y_t$ | $v_t + W h_{t-1} + b$ |
| `"preactivation"` | $r_t = W h_{t-1} + b - s y_t$ | $r_t + \mu_t (r_t - r_{t-1})$ |

The first is the paper's. The second is how its authors' code has the LSTM of their experiments on
images and on speech: a look-ahead that takes in what is heard of h, and turns the drive's sign,
which only says what the weights are called. Their code for language has the first. Nguyen,
Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN", NeurIPS 2020.

As the second filters what h has to do with, no kernel runs it, nor a scan: it goes step by step.
"""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from .cell import Given, Memory, Read, S, check_count
from .dynamics import Velocity, check_numbers
from .learned import Coefficient
from .momentum import nesterov_momentum
from .recurrence import Layer

MOMENTUM_ON = ("drive", "preactivation")


class Nesterov(Velocity[S]):
    """Nesterov's momentum: it grows with time, and restarts on schedule.

    The momentum of time step k is (k - 1) / (k + 2); with `restart` F, k runs through 1, ..., F
    again and again. So at F = 2, the authors' choice on MNIST, it alternates between 0 and 1/4,
    and at F = 1 it is 0 always. Without a restart it tends to 1, and the velocity of a constant
    input grows with time.

    Args:
        step: above 0, or learned.
        restart: time steps from one restart to the next; 0 for never. The count goes on from one
            piece of a sequence to the next, and starts with the sequence.
        drive_bias: as in `Momentum`.
        momentum_on: "drive", or "preactivation", see the module.
        settings: those of the cell.
    """

    dynamics: ClassVar[tuple[str, ...]] = ("step", "restart", "drive_bias", "momentum_on")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        step: Coefficient,
        restart: int = 0,
        drive_bias: str = "inside",
        momentum_on: str = "drive",
        **settings: Any,
    ) -> None:
        check_numbers(step=step)
        check_count("time steps", restart=restart)
        super().__init__(input_size, hidden_size, num_layers, **settings)
        self._set_momentum_on(momentum_on)
        self._set("step", step)
        self.restart = int(restart)
        self._set_drive_bias(drive_bias)

    def _read(
        self, index: int, layer: Layer, sequence: Tensor, start: tuple[Tensor, ...], memory: Memory
    ) -> Read:
        if self.momentum_on == "drive":
            return super()._read(index, layer, sequence, start, memory)
        output = []
        for x in sequence:
            drive, memory = self._advance(index, layer, x, start[0], memory)
            start = self.recurrence.step(drive, layer, start)
            output.append(start[0])
        return torch.stack(output), start, memory

    def _moved(
        self, v: Tensor, momentum: Tensor, y: Tensor, layer: Layer, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.momentum_on == "drive":
            return super()._moved(v, momentum, y, layer, h)
        echo = self.recurrence.echo(layer, h)
        r = echo - y
        return r + momentum * (r - v) - echo, r

    def _in_drive(self) -> bool:
        return self.momentum_on == "preactivation" or super()._in_drive()

    def _momenta(self, layer: int, length: int, memory: Memory) -> float | Tensor:
        first = _uniform(memory[1])
        if isinstance(first, int):
            return nesterov_momentum(length, self.restart, first)
        each = [nesterov_momentum(length, self.restart, int(steps)) for steps in first]
        return torch.stack(each, dim=1).unsqueeze(2)

    def _later(self, memory: Memory, length: int) -> Memory:
        return (memory[1] + length,)

    def _zero_memory(self, sequence: Tensor, features: int) -> Memory:
        return (*super()._zero_memory(sequence, features), 0)

    def _at_rest(self, zeros: Tensor) -> Memory:
        return zeros, 0

    def _taken(self, state: S | Given | None) -> S | None:
        taken: Any = super()._taken(state)
        if taken is not None:
            _check_steps(taken.steps, taken.h)
        return cast("S | None", taken)

    def _apart(self, state: S) -> S:
        held: Any = state
        batch = held.h.shape[-2]
        apart: S = held._replace(
            steps=torch.as_tensor(held.steps, device=held.h.device).expand(batch, 1)
        )
        return apart

    def _together(self, state: S) -> S:
        held: Any = state
        together: S = held._replace(steps=_uniform(held.steps))
        return together

    def _set_momentum_on(self, momentum_on: str) -> None:
        if momentum_on not in MOMENTUM_ON:
            raise ValueError(f"momentum_on is one of {', '.join(MOMENTUM_ON)}, got {momentum_on!r}")
        if momentum_on == "preactivation" and not self.recurrence.additive:
            raise ValueError(
                f"{type(self).__name__} has no preactivation to put momentum on: its gates come "
                "between drive and h; use momentum_on='drive'"
            )
        self.momentum_on = momentum_on


def _check_steps(steps: Any, h: Tensor) -> None:
    """ValueError unless it is what a cell counts: one number, or one for each sequence of h."""
    if isinstance(steps, Tensor):
        whole = (steps >= 0) & (steps == steps.long())
        known = steps.shape == (*h.shape[1:-1], 1) and bool(whole.all())
    else:
        known = isinstance(steps, int) and not isinstance(steps, bool) and steps >= 0
    if not known:
        raise ValueError(
            "steps, which counts the time steps read so far, is a whole number from 0 on, or a "
            f"tensor (B, 1) of such, one for each sequence, got {steps!r}"
        )


def _uniform(steps: int | Tensor) -> int | Tensor:
    """One count where all sequences have the same."""
    if isinstance(steps, int):
        return steps
    counts = steps.unique()
    return int(counts) if len(counts) == 1 else steps
