"""What every recurrent cell of the family shares: parameters, shapes, checks, carried state."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor


class State(Protocol):
    """What a cell hands on from one piece of a sequence to the next."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The state with every tensor changed; `state.map(torch.Tensor.detach)` cuts gradients."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the state; the batch is the axis before the last."""
        ...


S = TypeVar("S", bound=State)


class RecurrentCell(torch.nn.RNNBase, Generic[S], ABC):
    """What the family shares: parameters, names and initialisation of torch, shapes, checks.

    A member says what it remembers (`_zero_state`) and how layers are run (`_run`).
    """

    dynamics: ClassVar[tuple[str, ...]] = ()
    """The attributes that hold its dynamics' settings, for `repr`."""

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

    def extra_repr(self) -> str:
        """Sizes, as torch writes them, and the dynamics."""
        settings = [f"{name}={getattr(self, name)}" for name in self.dynamics]
        return ", ".join([super().extra_repr(), *settings])

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


def check_dynamics(*, step: float, **fractions: float) -> None:
    """ValueError unless the step is above 0, and every fraction in [0, 1)."""
    for name, value in fractions.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), got {value}")
    if not 0 < step < float("inf"):
        raise ValueError(f"step must be a positive number, got {step}")
