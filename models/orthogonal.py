r"""DTRIVs by their dynamics: recurrence by an orthogonal matrix, so that gradients keep their size.

$$h_t = modReLU(v_t + W h_{t-1}), \qquad modReLU(z) = sign(z) \max(0, |z| + b), \qquad W^T W = I,$$

$v_t$ is what the dynamics make of $y_t = W_x x_t$, without a bias (`dynamics.py`). Orthogonality is
kept by `torch.nn.utils.parametrizations.orthogonal`: W = base exp(A) with A skew-symmetric, or the
Cayley map in the exponential's place. Where training starts A is 0 and the base is drawn: blocks
of rotations by angles u (Henaff, Szlam, LeCun 2016).

Far from A = 0 the exponential distorts gradients, so every K steps of the optimizer the base takes
W's place and A starts from 0 again; W stays as it is. The cell does that by itself, before the
first pass after a step: later passes, of pieces or of accumulated gradients, may share a graph or
a gradient with it, which are by the A that it had. What an optimizer remembers of A stays, as it
would for a geodesic's direction: base and A are both multiplied from the right. Lezcano-Casado,
"Trivializations for gradient-based optimization on manifolds", NeurIPS 2019: "dynamic
trivialization". With momentum: Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN", NeurIPS
2020, whose layout this is: W_x drawn by He's rule, b from U(-0.01, 0.01), angles from U(-pi, pi).
"""

import math
import warnings

import torch
from torch import Tensor
from torch.nn.utils import parametrizations

from .cell import RecurrentCell, S, check_count, check_flags, check_sizes, is_number
from .dynamics import Adam, Momentum, RMSProp
from .nesterov import Nesterov
from .recurrence import Layer, ModReLURecurrence, exactly
from .state import AdamHiddenState, HiddenState, MomentumHiddenState, NesterovHiddenState

MAPS = ("matrix_exp", "cayley")


class OrthogonalLayer(torch.nn.Module):
    """The weights of one layer: W_x (H, D), W (H, H) orthogonal, b (H,)."""

    weight_hh: Tensor

    def __init__(self, input_size: int, hidden_size: int, orthogonal_map: str) -> None:
        super().__init__()
        self.weight_ih = torch.nn.Parameter(torch.empty(hidden_size, input_size))
        self.register_parameter(
            "weight_hh", torch.nn.Parameter(torch.empty(hidden_size, hidden_size))
        )
        self.offset = torch.nn.Parameter(torch.empty(hidden_size))
        parametrizations.orthogonal(self, "weight_hh", orthogonal_map)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all anew, see the module."""
        torch.nn.init.kaiming_normal_(self.weight_ih, nonlinearity="relu")
        torch.nn.init.uniform_(self.offset, -0.01, 0.01)
        with torch.no_grad():
            self.weight_hh = rotations(len(self.offset)).to(self.offset)

    def rebase(self) -> None:
        """Let the base be W, and A be 0.

        A step of Newton's method towards the nearest orthogonal matrix takes away the rounding
        that one base after the other would gather.
        """
        with torch.no_grad():
            W = self.weight_hh
            self.weight_hh = 1.5 * W - 0.5 * W @ W.mT @ W

    def redundancy(self) -> int:
        """A is stored as H x H numbers; those below its diagonal say what the others are."""
        size = len(self.offset)
        return size * (size + 1) // 2

    def forward(self) -> Layer:
        """The weights; W is computed here, exactly, or it would not be orthogonal."""
        with exactly(self.weight_ih):
            return Layer(self.weight_ih, self.weight_hh, None, self.offset)


class OrthogonalCell(RecurrentCell[S]):
    """What DTRIVs share.

    Args:
        input_size: D, features per step.
        hidden_size: H.
        num_layers: L; a layer above the first reads the output of the one below.
        orthogonal_map: "matrix_exp" or "cayley".
        rebase: K, the base is renewed after every K steps of the optimizer; 0 for never.
        orthogonal_lr: the learning rate of A, in units of the others'.
        dropout: the share of a layer's output which is dropped on its way up, while training.
        batch_first: input and output are (B, T, ...) instead of (T, B, ...).
    """

    recurrence = ModReLURecurrence()
    input_bias = False
    passes: Tensor  # first training passes after a step of the optimizer, so far
    _trained: tuple[int, ...] | None = None  # the versions of A that the last of them met

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        orthogonal_map: str = "matrix_exp",
        rebase: int = 0,
        orthogonal_lr: float = 0.1,
        dropout: float = 0.0,
        batch_first: bool = False,
    ) -> None:
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_flags(batch_first=batch_first)
        _check(orthogonal_map, rebase, orthogonal_lr, dropout)
        if dropout and num_layers == 1:
            warnings.warn(
                "dropout is between layers: of num_layers=1 it drops nothing", stacklevel=3
            )
        super().__init__()
        self.input_size, self.hidden_size = int(input_size), int(hidden_size)
        self.num_layers = int(num_layers)
        self.dropout, self.batch_first = dropout, batch_first
        self.orthogonal_map, self.orthogonal_lr = orthogonal_map, orthogonal_lr
        self.rebase_every = int(rebase)
        widths = [input_size, *[hidden_size] * (num_layers - 1)]
        layers = [OrthogonalLayer(width, hidden_size, orthogonal_map) for width in widths]
        self.layers = torch.nn.ModuleList(layers)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def reset_parameters(self) -> None:
        """Draw the weights anew; no pass was made with them."""
        for layer in self._own():
            layer.reset_parameters()
        self.passes.zero_()
        self._trained = None

    def rebase(self) -> None:
        """Renew every layer's base; no output changes."""
        for layer in self._own():
            layer.rebase()

    def learning_rate_factors(self) -> dict[str, float]:
        """By parameter's name, what to multiply a learning rate by; 1 where there is none."""
        return dict.fromkeys(self._skew(), self.orthogonal_lr)

    def extra_repr(self) -> str:
        """Sizes and the dynamics."""
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        own = ("dropout", "orthogonal_map", "rebase_every", "orthogonal_lr")
        names = (*self.dynamics, *own)
        return ", ".join([sizes, *(f"{name}={getattr(self, name)}" for name in names)])

    def _own(self) -> list[OrthogonalLayer]:
        return [layer for layer in self.layers if isinstance(layer, OrthogonalLayer)]

    def _layers(self) -> list[Layer]:
        return [layer() for layer in self._own()]

    def _pass(self) -> list[Layer]:
        if self.training and torch.is_grad_enabled() and self._versions() != self._trained:
            if self.rebase_every and self.passes and self.passes % self.rebase_every == 0:
                self.rebase()
            self.passes += 1
            self._trained = self._versions()
        return self._layers()

    def _versions(self) -> tuple[int, ...]:
        """How often each A was written to: a step of the optimizer does."""
        return tuple(A._version for A in self._skew().values())

    def _skew(self) -> dict[str, Tensor]:
        """Each layer's A, by its name as a parameter."""
        return {
            f"layers.{index}.{name}": parameter
            for index, layer in enumerate(self._own())
            for name, parameter in layer.named_parameters()
            if name.startswith("parametrizations.")
        }


class DTRIV(OrthogonalCell[HiddenState]):
    """An orthogonal recurrent network that hears its input as it is.

    Args are those of `OrthogonalCell`.
    """

    state = HiddenState


class MomentumDTRIV(Momentum[MomentumHiddenState], OrthogonalCell[MomentumHiddenState]):
    """A DTRIV driven by a velocity; momentum 0 and step 1 give the DTRIV back.

    Args are those of `Momentum` and `OrthogonalCell`.
    """

    state = MomentumHiddenState


class NesterovDTRIV(Nesterov[NesterovHiddenState], OrthogonalCell[NesterovHiddenState]):
    """A DTRIV driven by a velocity whose momentum grows with time, and restarts on schedule.

    Args are those of `Nesterov` and `OrthogonalCell`.
    """

    state = NesterovHiddenState


class AdamDTRIV(Adam[AdamHiddenState], OrthogonalCell[AdamHiddenState]):
    """A DTRIV driven as Adam drives parameters.

    Its drive has no bias: of one feature alone it is w x, and |w| cancels out of v / sqrt(m), so
    that only the sign of w is heard.

    Args are those of `Adam` and `OrthogonalCell`.
    """

    state = AdamHiddenState


class RMSPropDTRIV(RMSProp[AdamHiddenState], OrthogonalCell[AdamHiddenState]):
    """An `AdamDTRIV` without momentum: each unit hears its input over its running size.

    Its drive has no bias: of one feature alone it is w x, and |w| cancels out of v / sqrt(m), so
    that only the sign of w is heard.

    Args are those of `RMSProp` and `OrthogonalCell`.
    """

    state = AdamHiddenState


def rotations(size: int) -> Tensor:
    """(H, H): rotations of pairs of units, by angles from U(-pi, pi); an odd unit stays."""
    angles = torch.empty(size // 2).uniform_(-math.pi, math.pi)
    blocks = torch.eye(size)
    even = torch.arange(0, size - 1, 2)
    blocks[even, even] = blocks[even + 1, even + 1] = angles.cos()
    blocks[even + 1, even] = angles.sin()
    blocks[even, even + 1] = -angles.sin()
    return blocks


def _check(orthogonal_map: str, rebase: int, orthogonal_lr: float, dropout: float) -> None:
    if orthogonal_map not in MAPS:
        raise ValueError(f"orthogonal_map is one of {', '.join(MAPS)}, got {orthogonal_map!r}")
    check_count("optimizer steps", rebase=rebase)
    if not is_number(orthogonal_lr) or not 0 < orthogonal_lr < math.inf:
        raise ValueError(f"orthogonal_lr must be a positive number, got {orthogonal_lr!r}")
    if not is_number(dropout) or not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be in [0, 1], got {dropout!r}")
