r"""ODE-RNN hybrids for irregular time series: a trajectory between observations, an update at each.

At observation i, with the time $\Delta_i$ to the next one,

$$z_i = z_i^- + \mathrm{update}(z_i^-, x_i), \qquad
z_{i+1}^- = \mathrm{solve}(z_i, \Delta_i), \qquad \hat x_{i+1} = \mathrm{head}(h_{i+1}^-),$$

where the state z is that of any dynamics: h, or the pair (h, m), which the update changes both; the
head reads h only. The time gap is folded into the integration: every sample solves
$\Delta_i f$ over one unit of time, so that a batch of different gaps is one solve.

Rubanova, Chen, Duvenaud, "Latent ODEs for Irregularly-Sampled Time Series", NeurIPS 2019; with the
heavy-ball family: Xia et al., 2021. All dynamics have the same residual update and order of steps
here; the authors' Walker2D code gives its first-order ones neither (oddity O-N6).
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from .ode import State, last, parts
from .ode_block import ODEBlock
from .ode_networks import KINDS, heard, known_kind, ode_block
from .tasks import Task

Start = Literal["zero", "first", "window"]

SHOWN = 8
"""Samples of the validation data that diagnostics look at."""


class ODERNN(nn.Module):
    """Predicts, from each time of a series, the value at the next.

    Inputs are (B, T, F + 2): F features of each time; 1 where they were observed and 0 where not,
    so that the state goes on undisturbed; and the time from there to the next.

    Args:
        block: integrates over one unit of time.
        update: what an observation changes: called (features, *state), it returns an increment for
            each tensor of the state.
        head: prediction from the position h.
        hidden_size: H, features of h.
        initial: the state before the first observation, (B, order x H'), from features (B, T, F);
            dynamics of kind ANODE add H - H' zeros. 0 without it.
    """

    def __init__(
        self,
        block: ODEBlock,
        update: nn.Module,
        head: nn.Module,
        hidden_size: int,
        initial: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.block, self.update, self.head = block, update, head
        self.hidden_size, self.initial = hidden_size, initial
        self._batches = self._steps = 0  # in training, since readings were asked for last

    def forward(self, series: Tensor) -> Tensor:
        """Predictions (B, T, D) of the value one time later, for a series (B, T, F + 2).

        Raises:
            ValueError: a time to the next is negative, or NaN.
        """
        ends = self._unroll(series)
        return torch.stack([self._read(state) for state in ends[1:]], dim=1)

    def readings(self) -> dict[str, float]:
        """Those of the block; evaluations are of a whole batch, over all its gaps."""
        solves = self._steps / max(self._batches, 1)
        self._batches = self._steps = 0
        return self.block.readings(solves)

    def diagnostics(self, task: Task) -> dict[str, list[float]]:
        """`state_gradient`: the norm of dL/dz_i at each time, L the squared error of the last."""
        self.eval()
        split = task.validation()
        device = next(self.parameters()).device
        with torch.enable_grad():
            ends = self._unroll(split.inputs[:SHOWN].to(device))
            error = self._read(ends[-1]) - split.targets[:SHOWN, -1].to(device)
            whole = torch.autograd.grad(
                error.square().mean(),
                [part for state in ends[1:] for part in parts(state)],
                allow_unused=True,
                materialize_grads=True,
            )
        order = self.block.dynamics.order
        states = [torch.cat(whole[i : i + order]) for i in range(0, len(whole), order)]
        return {"state_gradient": [gradient.norm().item() for gradient in states]}

    def _unroll(self, series: Tensor) -> list[State]:
        """The states z_0^-, z_1^-, ..., one more than there are times."""
        features, observed, gaps = torch.split(series, [series.shape[-1] - 2, 1, 1], dim=-1)
        if not (gaps >= 0).all():
            raise ValueError(
                "the times to the next, the last feature of a series, must be at least 0, "
                f"got {gaps[~(gaps >= 0)][0].item():.6g}"
            )
        if self.training:
            self._batches, self._steps = self._batches + 1, self._steps + series.shape[1]
        states = [self._start(features)]
        for x, seen, gap in zip(
            *(part.unbind(1) for part in (features, observed, gaps)), strict=True
        ):
            change = self.update(x, *parts(states[-1]))
            moved = [z + seen * dz for z, dz in zip(parts(states[-1]), change, strict=True)]
            state = moved[0] if len(moved) == 1 else tuple(moved)
            states.append(last(self.block(state, duration=gap)))
        return states

    def _start(self, features: Tensor) -> State:
        dynamics, t = self.block.dynamics, self.block.times[0]
        if self.initial is None:
            return dynamics.start(features.new_zeros(len(features), self.hidden_size), t=t)
        position, *velocity = self.initial(features).chunk(dynamics.order, dim=-1)
        return dynamics.start(position, velocity[0] if velocity else None, t)

    def _read(self, state: State) -> Tensor:
        prediction: Tensor = self.head(self.block.dynamics.position(state, self.block.times[-1]))
        return prediction


class LinearUpdate(nn.Module):
    """An increment linear in the observation and in each tensor of the state."""

    def __init__(self, features: int, hidden_size: int, order: int) -> None:
        super().__init__()
        self.order = order
        self.observation = nn.Linear(features, order * hidden_size)
        self.state = nn.ModuleList(
            nn.Linear(hidden_size, order * hidden_size) for _ in range(order)
        )

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """An increment (B, H) for each tensor (B, H) of the state, from features (B, F)."""
        heard = [layer(part) for layer, part in zip(self.state, state, strict=True)]
        return torch.stack([self.observation(x), *heard]).sum(0).chunk(self.order, dim=-1)


class DeepUpdate(nn.Module):
    """An increment by a network of three layers with tanh, of observation and state together."""

    def __init__(self, features: int, hidden_size: int, order: int) -> None:
        super().__init__()
        self.order = order
        width, first = order * hidden_size, (3 if order == 1 else 2) * hidden_size
        self.layers = nn.Sequential(
            nn.Linear(features + width, first),
            nn.Tanh(),
            nn.Linear(first, 2 * hidden_size),
            nn.Tanh(),
            nn.Linear(2 * hidden_size, width),
        )

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """An increment (B, H) for each tensor (B, H) of the state, from features (B, F)."""
        increments: Tensor = self.layers(torch.cat([*state, x], dim=-1))
        return increments.chunk(self.order, dim=-1)


class SeriesField(nn.Module):
    """A network over the state's features, not of time."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, t: Tensor, *state: Tensor) -> Tensor:
        """(B, H), from the tensors of a state that the field hears."""
        derivative: Tensor = self.layers(torch.cat(state, dim=-1))
        return derivative


class Window(nn.Module):
    """Linear in the first observations of a series, all at once.

    Args:
        features: F of an observation.
        length: how many.
        outputs: how many numbers come out.
    """

    def __init__(self, features: int, length: int, outputs: int) -> None:
        super().__init__()
        self.length = length
        self.layer = nn.Linear(features * length, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(B, outputs) from (B, T, F)."""
        known: Tensor = self.layer(features[:, : self.length].flatten(1))
        return known


def forecaster(
    kind: str,
    features: int,
    outputs: int,
    *,
    hidden_size: int,
    depth: Literal["field", "update"] = "field",
    window: int = 0,
    known: int | None = None,
    shrink: float = 1.0,
    solver: str = "dopri5",
    tolerance: float = 1e-7,
    adjoint: bool = True,
    max_nfe: int = 10_000,
    **dynamics: Any,
) -> ODERNN:
    """The paper's networks for time series, (B, T, F + 2) to (B, T, D).

    Args:
        kind: a name in `KINDS`.
        features: F.
        outputs: D.
        hidden_size: H, of h.
        depth: where the nonlinearity is: in the "field" as for plane vibration (three layers with
            ReLU, linear update), or in the "update" as for Walker2D (linear field, three layers).
        window: how many observations the initial state is read from; 0 starts at 0. With more than
            one, predictions inside the window have seen their targets; forecasts beyond have not.
        shrink: multiplies all weights but the dynamics' own constants at first, so that the state
            hardly moves and long series do not blow up; 0.01 for vibration as published.
        known: H', for kind "anode": features that the initial state has, the others are 0.
        solver: as in `ODEBlock`.
        tolerance: relative and absolute; 1e-7 as published.
        adjoint: as in `ODEBlock`.
        max_nfe: as in `ODEBlock`, for one gap.
        dynamics: what else the dynamics takes: damping, correction, activation, their starts.
    """
    order = known_kind(kind).order
    field = SeriesField(_field(kind, hidden_size, depth))
    if kind == "anode":
        dynamics["augment"] = hidden_size - known if window and known else 0
    starting = order * (known or hidden_size)
    update = LinearUpdate if depth == "field" else DeepUpdate
    network = ODERNN(
        ode_block(kind, field, solver, tolerance, adjoint, max_nfe, **dynamics),
        update(features, hidden_size, order),
        nn.Linear(hidden_size, outputs),
        hidden_size,
        Window(features, window, starting) if window else None,
    )
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            with torch.no_grad():
                layer.weight.mul_(shrink)
                layer.bias.mul_(shrink)
    return network


def _field(kind: str, hidden_size: int, depth: str) -> nn.Module:
    """Linear, or three layers with ReLU, which the authors make wider for first-order dynamics."""
    inputs = heard(kind, hidden_size)
    if depth == "update":
        return nn.Linear(inputs, hidden_size)
    first, second = inputs, hidden_size
    if KINDS[kind].order == 1:
        first, second = 3 * hidden_size, 4 * hidden_size
    return nn.Sequential(
        nn.Linear(inputs, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, hidden_size),
    )
