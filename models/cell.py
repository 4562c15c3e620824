"""What every recurrent cell of the family shares: shapes, checks, layers, carried state.

A cell is a recurrence (`recurrence.py`: how h follows from the drive) with dynamics (`dynamics.py`:
what becomes of the drive on its way there). A member of the family names the two.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .recurrence import Layer, Recurrence, recur
from .state import CellState, joined

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=CellState)

Memory = tuple[Any, ...]  # one layer's state of its dynamics
Given = Tensor | tuple[Any, ...]  # a state as torch's own cells take it: h, or (h, c)
Read = tuple[Tensor, tuple[Tensor, ...], Memory]  # output, recurrence's state, dynamics' state


def uncompiled(method: F) -> F:
    """A method that `torch.compile` leaves alone: it would unroll every time step."""
    why = "recurrent cells run on kernels of their own"
    return cast(F, torch.compiler.disable(method, reason=why))


class Trace(NamedTuple):
    """What one layer goes through, time step by time step."""

    h: list[Tensor]  # T of (B, H), hidden
    v: list[Tensor]  # T of (B, G H), velocity of the drive; empty where there is none


class RecurrentCell(torch.nn.Module, Generic[S], ABC):
    """What the family shares; without dynamics, the drive goes to the recurrence as it is."""

    input_size: int
    hidden_size: int
    num_layers: int
    batch_first: bool
    dropout: float
    recurrence: Recurrence
    input_bias: ClassVar[bool] = True  # whether the drive has a bias
    state: ClassVar[type[CellState]]
    dynamics: ClassVar[tuple[str, ...]] = ()
    """The attributes that hold its dynamics' settings, for `repr`."""

    @overload
    def forward(
        self, input: Tensor, state: S | Given | None = None, *, mask: Tensor | None = None
    ) -> tuple[Tensor, S]: ...

    @overload
    def forward(
        self, input: PackedSequence, state: S | Given | None = None
    ) -> tuple[PackedSequence, S]: ...

    @uncompiled
    def forward(
        self,
        input: Tensor | PackedSequence,
        state: S | Given | None = None,
        *,
        mask: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, S]:
        """Read a sequence, from a zero state or from where an earlier piece of it ended.

        In a compiled network it runs as it is, as torch's own recurrent modules do.

        Args:
            input: (T, B, D), or (B, T, D) with `batch_first`, or (T, D) for one sequence alone; or
                sequences of several lengths, as `torch.nn.utils.rnn.pack_padded_sequence` has them.
            state: what the call on the piece before returned, or its fields as a tuple; where h is
                all there is, h alone. Without a batch, (T, D), its tensors have no batch either.
            mask: (T, B) of booleans, (B, T) with `batch_first`: which steps are of the sequence and
                not of its padding, which comes last. Nothing of the padding is read, its outputs
                are 0.

        Returns:
            The top layer's output at each step, (T, B, H) laid out as the input is, and the state,
            of each sequence after its own last step.

        Raises:
            TypeError: the state has not the fields of this cell's.
            ValueError: the input or the state has a shape that does not fit.
        """
        state = self._taken(state)
        if isinstance(input, PackedSequence):
            if mask is not None:
                raise ValueError("packed sequences know their lengths; give them no mask")
            return self._forward_packed(input, state)
        self._check_input(input)
        if mask is not None:
            return self._forward_masked(input, state, mask)
        if input.dim() == 2:
            return self._forward_one(input, state)
        sequence = input.transpose(0, 1) if self.batch_first else input
        before = self._checked(sequence, state)
        output, state = self._run(self._pass(), sequence, before)
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

    def _forward_masked(self, input: Tensor, state: S | None, mask: Tensor) -> tuple[Tensor, S]:
        """A batch with padding, as packed sequences and back."""
        lengths = _lengths(mask, input.shape[:-1], self.batch_first)
        packed = pack_padded_sequence(input, lengths, self.batch_first, enforce_sorted=False)
        output, after = self._forward_packed(packed, state)
        length = input.shape[1 if self.batch_first else 0]
        padded, _ = pad_packed_sequence(output, self.batch_first, total_length=length)
        return padded, after

    def _forward_packed(self, packed: PackedSequence, state: S | None) -> tuple[PackedSequence, S]:
        """From one sequence's end to the next, all that still go on are read side by side."""
        data, sizes, order, inverse = packed
        self._check_features(data)
        live = self._apart(self._checked(data[: int(sizes[0])].unsqueeze(0), _picked(state, order)))
        layers, outputs, ended = self._pass(), [], []
        for piece, going_on in _pieces(data, sizes):
            output, after = self._run(layers, piece, live)
            outputs.append(output.flatten(0, 1))
            ended.append(_cut(after, slice(going_on, None)))
            live = _cut(after, slice(going_on))
        end = _picked(self._together(joined(ended[::-1])), inverse)
        return PackedSequence(torch.cat(outputs), sizes, order, inverse), end

    def _run(self, layers: Sequence[Layer], sequence: Tensor, state: S) -> tuple[Tensor, S]:
        """Output (T, B, H) and state after a sequence (T, B, D)."""
        ends = []
        for index, (layer, before) in enumerate(
            zip(layers, state.layers(len(layers)), strict=True)
        ):
            if index:
                sequence = torch.dropout(sequence, self.dropout, self.training)
            start, memory = before[: self.recurrence.states], before[self.recurrence.states :]
            sequence, end, memory = self._read(index, layer, sequence, start, memory)
            ends.append((*end, *memory))
        return sequence, cast(S, self.state.stacked(ends))

    def _read(
        self, index: int, layer: Layer, sequence: Tensor, start: tuple[Tensor, ...], memory: Memory
    ) -> Read:
        """One layer: its output (T, B, H), and both parts of its state."""
        output, end = recur(self.recurrence, sequence, layer, start, self.training)
        return output, end, memory

    def unrolled(self, sequence: Tensor) -> list[Trace]:
        """The same by a plain loop, one time step after the other: the specification.

        It also shows what happens inside, with the graph of all of it. While training, dropout
        between layers draws numbers of its own.

        Args:
            sequence: (T, B, D), time first whatever the cell prefers; from a zero state.

        Returns:
            A trace for each layer; the last one's h are the outputs.

        Raises:
            ValueError: the sequence has a shape that does not fit.
        """
        if sequence.dim() != 3:
            shape = tuple(sequence.shape)
            raise ValueError(f"the plain loop reads (T, B, D), got shape {shape}")
        self._check_features(sequence)
        zeros = sequence.new_zeros(sequence.shape[1], self.hidden_size)
        traces, inputs = [], list(sequence)
        for index, layer in enumerate(self._layers()):
            if index:
                inputs = list(torch.dropout(torch.stack(inputs), self.dropout, self.training))
            states: tuple[Tensor, ...] = (zeros,) * self.recurrence.states
            memory = self._at_rest(zeros.repeat(1, self.recurrence.gates))
            trace = Trace([], [])
            for x in inputs:
                drive, memory = self._advance(index, layer, x, states[0], memory)
                states = self.recurrence.step(drive, layer, states)
                trace.h.append(states[0])
                trace.v.extend(memory[:1])
            inputs = trace.h
            traces.append(trace)
        return traces

    def _at_rest(self, zeros: Tensor) -> Memory:
        """The dynamics' state before a sequence, in the drive's coordinates: `zeros` (B, G H)."""
        return ()

    def _advance(
        self, index: int, layer: Layer, x: Tensor, h: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """What the recurrence hears of an input (B, D) beside its own h (B, H), and the memory."""
        return torch.nn.functional.linear(x, layer.input, layer.input_bias), memory

    @abstractmethod
    def _layers(self) -> list[Layer]:
        """The weights of every layer."""

    def _pass(self) -> list[Layer]:
        """The same, once for each sequence or batch that is read."""
        return self._layers()

    def _zero_memory(self, sequence: Tensor, features: int) -> Memory:
        """The dynamics' state of a layer with so many features before a sequence (T, B, D)."""
        return ()

    def _zero_state(self, sequence: Tensor) -> S:
        zeros = sequence.new_zeros(sequence.shape[1], self.hidden_size)
        widths = [self.input_size, *[self.hidden_size] * (self.num_layers - 1)]
        start = [zeros] * self.recurrence.states
        layers = [(*start, *self._zero_memory(sequence, width)) for width in widths]
        return cast(S, self.state.stacked(layers))

    def _apart(self, state: S) -> S:
        """The state in a form that can be cut along the batch."""
        return state

    def _together(self, state: S) -> S:
        """The state as it is handed out again."""
        return state

    def _check_input(self, input: Any) -> None:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"a cell reads a tensor or a PackedSequence, got {type(input).__name__}"
            )
        layout = "(B, T, D)" if self.batch_first else "(T, B, D)"
        if input.dim() not in (2, 3):
            raise ValueError(f"input must be {layout} or (T, D), got shape {tuple(input.shape)}")
        self._check_features(input)

    def _check_features(self, input: Tensor) -> None:
        shape = tuple(input.shape)
        self._check_precision("the input", input)
        if input.shape[-1] != self.input_size:
            raise ValueError(
                f"input must have {self.input_size} features (last), got shape {shape}"
            )
        if input.numel() == 0:
            raise ValueError(f"input needs at least one step and one sequence, got shape {shape}")

    def _taken(self, state: S | Given | None) -> S | None:
        """A state of this cell's own kind, from its fields."""
        kind: Any = self.state
        if state is None or isinstance(state, kind):
            return cast("S | None", state)
        fields = (state,) if isinstance(state, Tensor) else state
        if isinstance(fields, tuple | list) and len(fields) == len(kind._fields):
            made: S = kind._make(fields)
            if all(isinstance(tensor, Tensor) for tensor in made.tensors()):
                return made
        raise TypeError(
            f"{type(self).__name__} goes on from ({', '.join(kind._fields)}), a {kind.__name__} as "
            f"an earlier call returned it, got {_kinds(state)}; None starts from zero"
        )

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
        for tensor in state.tensors():
            self._check_precision("the state", tensor)
        return state

    def _check_precision(self, what: str, tensor: Tensor) -> None:
        """Half precision may meet any other, as under autocast; float32 and float64 never meet."""
        got, weights = tensor.dtype, next(self.parameters()).dtype
        if not got.is_floating_point or {got, weights} == {torch.float32, torch.float64}:
            raise ValueError(
                f"{what} must be of numbers like the weights', {weights}, got {got}; cast one of "
                "them (whole numbers, as of tokens, go through an embedding first)"
            )


def _pieces(data: Tensor, sizes: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Packed data as pieces (T, B, D) of constant B, and how many sequences go on after each."""
    batches, lengths = torch.unique_consecutive(sizes, return_counts=True)
    steps, later = lengths.tolist(), [*batches.tolist()[1:], 0]
    pieces = torch.split(data, (batches * lengths).tolist())
    for piece, length, going_on in zip(pieces, steps, later, strict=True):
        yield piece.view(length, -1, piece.shape[1]), going_on


def _lengths(mask: Tensor, shape: torch.Size, batch_first: bool) -> Tensor:
    """(B,), on the CPU as packing wants them, of a mask shaped as an input without features."""
    if mask.dtype != torch.bool or len(shape) != 2 or mask.shape != shape:
        raise ValueError(
            f"a mask has the shape of a batch of sequences without features, {tuple(shape)}, and "
            f"is of booleans, got shape {tuple(mask.shape)} of {mask.dtype}"
        )
    steps = mask if batch_first else mask.mT
    lengths = steps.sum(1)
    if not torch.equal(steps, torch.arange(steps.shape[1], device=mask.device) < lengths[:, None]):
        raise ValueError("a mask's padding comes last; move gaps and padding in front behind")
    if not lengths.all():
        raise ValueError("every sequence of a mask needs at least one step")
    return lengths.cpu()


def _kinds(state: Any) -> str:
    if isinstance(state, tuple | list):
        return f"({', '.join(type(field).__name__ for field in state)})"
    return type(state).__name__


def _cut(state: S, batch: slice) -> S:
    return state.map(lambda tensor: tensor[..., batch, :])


def _picked(state: S | None, order: Tensor | None) -> Any:
    """The state with its sequences in another order."""
    if state is None or order is None:
        return state
    return state.map(lambda tensor: tensor.index_select(-2, order))


class TorchCell(RecurrentCell[S], torch.nn.RNNBase):
    """A cell with the parameters of torch's own: their names, shapes and initialisation.

    Args:
        input_size: D, features per step.
        hidden_size: H.
        num_layers: L; a layer above the first reads the output of the one below.
        dropout: the share of that output which is dropped, while training.
        batch_first: input and output are (B, T, ...) instead of (T, B, ...).
    """

    mode_name: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        dropout: float = 0.0,
        batch_first: bool = False,
    ) -> None:
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_flags(batch_first=batch_first)
        torch.nn.RNNBase.__init__(
            self,
            self.mode_name,
            int(input_size),
            int(hidden_size),
            int(num_layers),
            batch_first=batch_first,
            dropout=dropout,
        )

    def _layers(self) -> list[Layer]:
        layers = []
        for weight_ih, weight_hh, bias_ih, bias_hh in self.all_weights:
            layers.append(Layer(weight_ih, weight_hh, bias_ih, bias_hh))
        return layers


def check_sizes(**sizes: Any) -> None:
    """ValueError unless every size is a whole number, at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, Integral):
            raise ValueError(f"{name} must be a whole number, got {size!r}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def check_flags(**flags: Any) -> None:
    """ValueError unless every flag is True or False."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ValueError(f"{name} is True or False, got {flag!r}")


def check_count(what: str, **counts: Any) -> None:
    """ValueError unless every count is a whole number, or 0."""
    for name, count in counts.items():
        if not is_number(count) or count != count // 1 or count < 0:  # NaN is no other's equal
            raise ValueError(f"{name} must be a number of {what}, or 0, got {count!r}")


def check_dynamics(*, step: Any, **fractions: Any) -> None:
    """ValueError unless the step is above 0, and every fraction in [0, 1)."""
    for name, value in fractions.items():
        if not is_number(value) or not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), got {value!r}")
    if not is_number(step) or not 0 < step < float("inf"):
        raise ValueError(f"step must be a positive number, got {step!r}")


def is_number(value: Any) -> bool:
    """Numpy's too, but no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)
