"""What recurrent cells hand on from one piece of a sequence to the next.

L layers, B sequences, H hidden units; a layer's drive has G H numbers, G gates; its input has D_l
features, D_0 = D and D_l = H above.

The velocity p of cells that filter their input is in the input's coordinates, as the paper's $p_t$,
with a last entry for the bias: (B, D_l + 1), or (B, D_l) where no bias is in the velocity. There it
rides the fused kernels; in the drive's coordinates, G times as wide, it would not. The two are the
same as long as the weights do not change between two pieces of a sequence. Where each unit has a
momentum or a step of its own, p is in the drive's coordinates, (B, G H); where Nesterov's momentum
is on the preactivation, p is that, (B, G H).

As W_x comes after p, a state whose gradients are cut still tells W_x of inputs before the cut: what
is learned is as if the velocity was made anew with the present weights, and not a number that older
weights have left. In the drive's coordinates nothing reaches past a cut.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

S = TypeVar("S", bound="CellState")


class CellState:
    """What every state can do, whatever its fields."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The state with every tensor changed; `state.map(torch.Tensor.detach)` cuts gradients."""
        held: Any = self
        changed: Self = held._make(_each(change, field) for field in held)
        return changed

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor but a count of steps; the batch is the axis before the last."""
        found: list[Tensor] = []
        for name, field in self._named():
            if name != "steps":
                found.extend(field if isinstance(field, tuple) else [field])
        return tuple(found)

    def layers(self, count: int) -> list[tuple[Any, ...]]:
        """The fields of each layer; a count of steps belongs to all of them."""
        fields = [[field] * count if name == "steps" else field for name, field in self._named()]
        return list(zip(*fields, strict=True))

    @classmethod
    def stacked(cls, layers: Iterable[Sequence[Any]]) -> Self:
        """The state whose `layers` these are."""
        kind: Any = cls
        fields = []
        for name, values in zip(kind._fields, zip(*layers, strict=True), strict=True):
            whole = {"p": values, "steps": values[0]}
            fields.append(whole[name] if name in whole else torch.stack(values))
        state: Self = kind._make(fields)
        return state

    def _named(self) -> list[tuple[str, Any]]:
        held: Any = self
        return list(held._asdict().items())


def joined(parts: Sequence[S]) -> S:
    """States of the same cell as one, the sequences of the first part first."""
    kind: Any = type(parts[0])
    state: S = kind._make(_joined(parts))
    return state


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts), dim=-2)
    return tuple(_joined(items) for items in zip(*parts, strict=True))


def _each(change: Callable[[Tensor], Tensor], field: Any) -> Any:
    if isinstance(field, Tensor):
        return change(field)
    return tuple(map(change, field)) if isinstance(field, tuple) else field


class _Hidden(NamedTuple):
    h: Tensor  # (L, B, H), hidden


class _MomentumHidden(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    p: tuple[Tensor, ...]  # velocity by layers, see the module


class _NesterovHidden(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    p: tuple[Tensor, ...]  # velocity by layers, see the module
    steps: int | Tensor = 0  # time steps read so far; (B, 1) when sequences differ


class _AdamHidden(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    v: Tensor  # (L, B, G H), velocity of the drive
    m: Tensor  # (L, B, G H), its mean square


class _Cell(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell


class _MomentumCell(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell
    p: tuple[Tensor, ...]  # velocity by layers, see the module


class _NesterovCell(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell
    p: tuple[Tensor, ...]  # velocity by layers, see the module
    steps: int | Tensor = 0  # time steps read so far; (B, 1) when sequences differ


class _AdamCell(NamedTuple):
    h: Tensor  # (L, B, H), hidden
    c: Tensor  # (L, B, H), cell
    v: Tensor  # (L, B, 4H), velocity of the drive, in gates' order i, f, g, o
    m: Tensor  # (L, B, 4H), its mean square


class HiddenState(_Hidden, CellState):
    """State h of a cell without dynamics, LSTMs apart."""


class MomentumHiddenState(_MomentumHidden, CellState):
    """State h, p of a cell with momentum, LSTMs apart."""


class NesterovHiddenState(_NesterovHidden, CellState):
    """State h, p, steps of a cell with Nesterov's momentum, LSTMs apart."""


class AdamHiddenState(_AdamHidden, CellState):
    """State h, v, m of a cell with Adam's or RMSProp's dynamics, LSTMs apart."""


class LSTMState(_Cell, CellState):
    """State h, c of an `LSTM`: a pair as in `torch.nn.LSTM`."""


class MomentumState(_MomentumCell, CellState):
    """State h, c, p of a `MomentumLSTM`; its `gate_velocity` gives p in the drive's coordinates."""


class NesterovState(_NesterovCell, CellState):
    """State h, c, p, steps of a `NesterovLSTM`: where the restarts are, too."""


class AdamState(_AdamCell, CellState):
    """State h, c, v, m of an `AdamLSTM` or `RMSPropLSTM`."""
