"""Networks around a neural ODE: an input is where a trajectory begins, a prediction where it ends.

Fields, initial velocities and heads are those of Xia et al. (2021), so that the published sizes
give the published numbers of parameters (paper, section 4, I-N13).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .ode import (
    ANODE,
    GHBNODE,
    HBNODE,
    NODE,
    SONODE,
    Dynamics,
    GNesterovNODE,
    NesterovNODE,
    State,
    last,
)
from .ode_block import ODEBlock
from .spectrum import LARGEST, adjoint_norms, spectrum_along
from .tasks import Task

KINDS: dict[str, type[Dynamics]] = {
    "node": NODE,
    "anode": ANODE,
    "sonode": SONODE,
    "hbnode": HBNODE,
    "ghbnode": GHBNODE,
    "nesterov_node": NesterovNODE,
    "gnesterov_node": GNesterovNODE,
}
"""The dynamics by the name that builders know them by."""

SHOWN = 8
"""Samples of the validation data that diagnostics look at."""


class ODENetwork(nn.Module):
    """An initial state from the input, a block that moves it, a head that reads where it ends.

    Args:
        block: the dynamics and its solver.
        head: prediction from the final position.
        initial: for dynamics of second order: (B, 2 N - D, ...) from inputs (B, D, ...), where the
            position has N features. Behind the input they give position and velocity, N each, so
            that both the augmented features and the velocity are learned. Without it the velocity
            starts at 0.
    """

    def __init__(self, block: ODEBlock, head: nn.Module, initial: nn.Module | None = None) -> None:
        super().__init__()
        self.block, self.head, self.initial = block, head, initial

    def forward(self, x: Tensor) -> Tensor:
        """The prediction (B, ...) for inputs (B, D, ...)."""
        return self._read(last(self.block(self.start(x))))

    def start(self, x: Tensor) -> State:
        """The state that inputs begin with."""
        dynamics, t = self.block.dynamics, self.block.times[0]
        if self.initial is None:
            return dynamics.start(x, t=t)
        position, velocity = torch.cat([x, self.initial(x)], dim=1).chunk(2, dim=1)
        return dynamics.start(position, velocity, t)

    def diagnostics(self, task: Task) -> dict[str, list[float]]:
        """Series over the block's time span, of the first validation samples.

        Returns:
            `adjoint_norm`, of dL/dh(t); and, where the state is not too large, `largest_real`,
            `smallest_real` and `stiffness` of the Jacobian's spectrum.
        """
        self.eval()
        split = task.validation()
        device = next(self.parameters()).device
        inputs, targets = split.inputs[:SHOWN].to(device), split.targets[:SHOWN].to(device)
        start = self.start(inputs)
        norms = adjoint_norms(
            self.block, start, lambda state: task.loss(self._read(state), targets)
        )
        numbers = self.block.dynamics.order * self._positions(start)
        small = numbers <= LARGEST
        return {"adjoint_norm": norms, **(spectrum_along(self.block, start) if small else {})}

    def _read(self, state: State) -> Tensor:
        position = self.block.dynamics.position(state, self.block.times[-1])
        prediction: Tensor = self.head(position)
        return prediction

    def _positions(self, state: State) -> int:
        return self.block.dynamics.position(state, self.block.times[0])[0].numel()


class PointField(nn.Module):
    """Three linear layers with ELU between: f(h) or f(h, m), not of time."""

    def __init__(self, inputs: int, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.layers = dense(nn.ELU, inputs, hidden_size, outputs)

    def forward(self, t: Tensor, *state: Tensor) -> Tensor:
        """(B, outputs), from tensors whose features together are the inputs."""
        derivative: Tensor = self.layers(torch.cat(state, dim=-1))
        return derivative


class ConvField(nn.Module):
    """Convolutions 1x1, 3x3, 1x1 with ReLU between; each also reads the time, as a channel."""

    def __init__(self, inputs: int, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_convolutions(inputs, hidden_size, outputs, more=1))

    def forward(self, t: Tensor, *state: Tensor) -> Tensor:
        """(B, outputs, height, width), from tensors whose channels together are the inputs."""
        image = torch.cat(state, dim=1)
        for place, layer in enumerate(self.layers):
            image = image.relu() if place else image
            times = t.to(image).expand(len(image), 1, *image.shape[2:])
            image = layer(torch.cat([times, image], dim=1))
        return image


def point_classifier(
    kind: str,
    features: int,
    *,
    hidden_size: int,
    augment: int = 0,
    solver: str = "dopri5",
    tolerance: float = 1e-7,
    adjoint: bool = True,
    max_nfe: int = 10_000,
    **dynamics: Any,
) -> ODENetwork:
    """The paper's network for point clouds: (B, D) to (B, 1) in [-1, 1].

    Args:
        kind: a name in `KINDS`.
        features: D of a point.
        hidden_size: of the field's layers, and of the initial velocity's.
        augment: features that a NODE of kind "anode" adds.
        solver: as in `ODEBlock`.
        tolerance: relative and absolute; 1e-7 as published.
        adjoint: as in `ODEBlock`.
        max_nfe: as in `ODEBlock`.
        dynamics: what else the dynamics takes: damping, correction, activation, their starts.
    """
    width = features + augment
    field = PointField(heard(kind, width), hidden_size, width)
    initial = dense(lambda: nn.Hardtanh(-5.0, 5.0), features, hidden_size, features)
    head = nn.Sequential(nn.Linear(width, 1), nn.Hardtanh())
    block = ode_block(
        kind, field, solver, tolerance, adjoint, max_nfe, **_augmented(kind, augment), **dynamics
    )
    return ODENetwork(block, head, initial if block.dynamics.order == 2 else None)


def image_classifier(
    kind: str,
    shape: tuple[int, int, int],
    classes: int,
    *,
    channels: int,
    hidden_size: int,
    solver: str = "dopri5",
    tolerance: float = 1e-3,
    adjoint: bool = True,
    max_nfe: int = 10_000,
    **dynamics: Any,
) -> ODENetwork:
    """The paper's network for images: (B, C, height, width) to logits (B, classes).

    Args:
        kind: a name in `KINDS`.
        shape: C, height, width.
        classes: how many.
        channels: of the position, at least C; a first-order network adds zeros (kind "anode"), a
            second-order one learns where the others start.
        hidden_size: channels inside the field and the initial velocity.
        solver: as in `ODEBlock`.
        tolerance: relative and absolute; 1e-4 for MNIST and 1e-3 for CIFAR-10 as published.
        adjoint: as in `ODEBlock`.
        max_nfe: as in `ODEBlock`.
        dynamics: what else the dynamics takes: damping, correction, activation, their starts.
    """
    augment = channels - shape[0]
    if augment < 0 or (kind == "node" and augment):
        raise ValueError(
            f"channels must be at least the image's {shape[0]}, and exactly that for a node, "
            f"got {channels} for {kind!r}"
        )
    field = ConvField(heard(kind, channels), hidden_size, channels)
    initial = _initial_image(shape[0], hidden_size, 2 * channels - shape[0])
    head = nn.Sequential(nn.Flatten(), nn.Linear(channels * shape[1] * shape[2], classes))
    block = ode_block(
        kind, field, solver, tolerance, adjoint, max_nfe, **_augmented(kind, augment), **dynamics
    )
    return ODENetwork(block, head, initial if block.dynamics.order == 2 else None)


def ode_block(
    kind: str,
    field: nn.Module,
    solver: str,
    tolerance: float,
    adjoint: bool,
    max_nfe: int,
    **dynamics: Any,
) -> ODEBlock:
    """A field as a dynamics of some kind, with its solver; over [0, 1], Nesterov over [1, 2].

    Raises:
        ValueError: a kind that is not in `KINDS`.
    """
    made = known_kind(kind)(field, **dynamics)
    return ODEBlock(
        made,
        (1.0, 2.0) if isinstance(made, NesterovNODE) else (0.0, 1.0),
        solver=solver,
        rtol=tolerance,
        atol=tolerance,
        adjoint=adjoint,
        max_nfe=max_nfe,
    )


def known_kind(kind: str) -> type[Dynamics]:
    """The dynamics of that name; ValueError with the known names."""
    if kind not in KINDS:
        raise ValueError(f"no dynamics {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind]


def heard(kind: str, width: int) -> int:
    """Features that a field of this kind hears: a SONODE's hears position and velocity."""
    return 2 * width if kind == "sonode" else width


def _augmented(kind: str, augment: int) -> dict[str, int]:
    return {"augment": augment} if kind == "anode" else {}


def dense(
    activation: Callable[[], nn.Module], inputs: int, hidden_size: int, outputs: int
) -> nn.Sequential:
    """Three linear layers with an activation between."""
    return nn.Sequential(
        nn.Linear(inputs, hidden_size),
        activation(),
        nn.Linear(hidden_size, hidden_size),
        activation(),
        nn.Linear(hidden_size, outputs),
    )


def _convolutions(inputs: int, hidden_size: int, outputs: int, more: int = 0) -> list[nn.Conv2d]:
    """1x1, 3x3, 1x1; each reads `more` channels than the one before writes."""
    return [
        nn.Conv2d(inputs + more, hidden_size, 1),
        nn.Conv2d(hidden_size + more, hidden_size, 3, padding=1),
        nn.Conv2d(hidden_size + more, outputs, 1),
    ]


def _initial_image(inputs: int, hidden_size: int, outputs: int) -> nn.Sequential:
    first, second, third = _convolutions(inputs, hidden_size, outputs)
    return nn.Sequential(first, nn.LeakyReLU(0.3), second, nn.LeakyReLU(0.3), third)
