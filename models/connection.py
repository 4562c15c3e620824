"""Residual connections with momentum: each layer's change is a step of gradient descent.

Section 3.1 of paper.md (the Momentum Transformer, arXiv:2208.00579): a residual connection
``x + change`` is a step against a gradient ``-change``; with a velocity v that is carried from
layer to layer,

    v_l = momentum v_{l-1} + change_l,    x_{l+1} = x_l + step v_l,    v_0 = 0.

The paper's p is -v.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.linalg import vector_norm

TINY = 1e-12  # a norm or ratio below it counts as this: no division by zero, no infinite slope


class Motion(NamedTuple):
    """What a layer hands to the next one besides its output, each (..., F)."""

    change: Tensor
    velocity: Tensor


class Connection(Protocol):
    """Adds a layer's change to what the layer read; in the first layer there is no motion yet."""

    def __call__(self, x: Tensor, change: Tensor, motion: Motion | None) -> tuple[Tensor, Motion]:
        """What goes on, and the motion for the next layer."""
        ...


@dataclass(frozen=True)
class PlainConnection:
    """The ordinary residual connection, x + change."""

    def __call__(self, x: Tensor, change: Tensor, motion: Motion | None) -> tuple[Tensor, Motion]:
        """The sum; the motion is the change alone."""
        return x + change, Motion(change, change)


@dataclass(frozen=True)
class MomentumConnection:
    """The heavy ball over layers; momentum 0 and step 1 are the plain connection.

    Attributes:
        momentum: at least 0, at most 1.
        step: any size above 0.
    """

    momentum: float
    step: float

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"residual_momentum must be from 0 to 1, got {self.momentum}")
        _check_step(self.step)

    def __call__(self, x: Tensor, change: Tensor, motion: Motion | None) -> tuple[Tensor, Motion]:
        """One step of the heavy ball."""
        velocity = change if motion is None else self.momentum * motion.velocity + change
        return x + self.step * velocity, Motion(change, velocity)


@dataclass(frozen=True)
class AdaptiveConnection:
    """The heavy ball whose momentum follows from how much the change has changed, token by token.

    The momentum is (1 - sqrt(|change_l - change_{l-1}| / |v_{l-1}|))^2, at most 1 - delta: the
    optimal one of a quadratic whose curvature is estimated from the two last gradients (section 3.1
    of paper.md; the step size cancels). In the first layer there is no velocity that it could act
    on; the authors decide that by looking whether all velocities are zero (oddity O-T7), which
    makes a sample's answer depend on the others in its batch.

    Attributes:
        step: any size above 0.
        delta: from 0 to 1.
    """

    step: float
    delta: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 <= self.delta <= 1:
            raise ValueError(f"delta must be from 0 to 1, got {self.delta}")
        _check_step(self.step)

    def __call__(self, x: Tensor, change: Tensor, motion: Motion | None) -> tuple[Tensor, Motion]:
        """One step of the heavy ball with its own momentum for each token."""
        if motion is None:
            velocity = change
        else:
            velocity = self.momentum(change, motion) * motion.velocity + change
        return x + self.step * velocity, Motion(change, velocity)

    def momentum(self, change: Tensor, motion: Motion) -> Tensor:
        """(..., 1), from 0 to 1 - delta."""
        turned = vector_norm(change - motion.change, dim=-1, keepdim=True)
        speed = vector_norm(motion.velocity, dim=-1, keepdim=True)
        ratio = (turned / speed.clamp_min(TINY)).clamp_min(TINY)
        return (1 - torch.sqrt(ratio)).square().clamp(max=1 - self.delta)


def _check_step(step: float) -> None:
    if not 0 < step < math.inf:
        raise ValueError(f"residual_step must be above 0, got {step}")
