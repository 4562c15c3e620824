r"""Neural ODEs and their heavy-ball relatives: modules that give a state's derivative.

| dynamics | equations | state |
| --- | --- | --- |
| `NODE` | $h' = f(t, h)$ | $h$ |
| `ANODE` | the same, on $h$ with extra features that start at 0 | $h$ |
| `SONODE` | $h' = m,\ m' = f(t, h, m)$ | $(h, m)$ |
| `HBNODE` | $h' = m,\ m' = -\gamma m + f(t, h)$ | $(h, m)$ |
| `GHBNODE` | $h' = \sigma(m),\ m' = -\gamma m + f(t, h) - \xi h$ | $(h, m)$ |
| `NesterovNODE` | $x' = m,\ m' = -m + f(t, h)$ with $x = t^{3/2} e^{-t/2} h$ | $(x, m)$ |
| `GNesterovNODE` | $x' = \sigma(m),\ m' = \sigma(f(t, h) - m) - \xi h$ | $(x, m)$ |

Chen et al., "Neural Ordinary Differential Equations", 2018; Dupont et al., "Augmented Neural ODEs",
2019; Norcliffe et al., "On Second Order Behaviour in Augmented Neural ODEs", 2020; Xia et al.,
"Heavy Ball Neural Ordinary Differential Equations", NeurIPS 2021; Nguyen et al., "Improving Neural
Ordinary Differential Equations with Nesterov's Accelerated Gradient Method", NeurIPS 2022. The
signs are the papers'; the authors' code integrates $-m$ and $-f$, the same $h$.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

State = Tensor | tuple[Tensor, ...]
Learnable = float | Literal["learned"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "tanh": nn.Tanh,
    "hardtanh": partial(nn.Hardtanh, -5.0, 5.0),
}
"""Of a generalised dynamics, by name, with the authors' bounds; the last two bound its speed."""

DAMPING_START = 1 / (1 + math.exp(3))
"""Where learned damping starts: at sigmoid(-3) = 0.0474, as published."""


class Dynamics(nn.Module, ABC):
    """The derivative of a state, called `(t, state)`; solvers know nothing else of it.

    Args:
        field: f, called `field(t, h)`, and by `SONODE` `field(t, h, m)`; it returns h's shape, or
            a solve raises ValueError.
    """

    order: ClassVar[int]
    """How many tensors of h's shape a state has; a state of one is that tensor itself."""

    earliest: ClassVar[float] = -math.inf
    """Integration must begin after this time."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    @abstractmethod
    def forward(self, t: Tensor, state: State) -> State:
        """The derivative of a state, shaped as the state is; `t` has no dimension."""

    @abstractmethod
    def start(self, h: Tensor, velocity: Tensor | None = None, t: float = 0.0) -> State:
        """The state at time `t` where h (B, D, ...) is, moving at `velocity` (0 if not given)."""

    @abstractmethod
    def position(self, state: State, t: float | Tensor) -> Tensor:
        """The h of a state at time `t`: what a network goes on to compute with."""

    def drive(self, t: Tensor, h: Tensor, *velocity: Tensor) -> Tensor:
        """The field's value; ValueError when it has another shape than h, and would broadcast."""
        driven: Tensor = self.field(t, h, *velocity)
        if driven.shape != h.shape:
            raise ValueError(
                f"the field of a {type(self).__name__} must return the shape of h, "
                f"got {tuple(driven.shape)} from {tuple(h.shape)}"
            )
        return driven

    def check(self, state: State) -> None:
        """ValueError when a state has not the form of this dynamics' states."""
        shapes = [tuple(part.shape) for part in parts(state)]
        if len(shapes) != self.order or len(set(shapes)) != 1:
            form = "a tensor h" if self.order == 1 else "a pair (h, m) of one shape"
            raise ValueError(
                f"a state of {type(self).__name__} is {form}, got "
                f"{'shapes' if len(shapes) > 1 else 'shape'} {', '.join(map(str, shapes))}; "
                "`start` makes one"
            )

    def readings(self) -> dict[str, float]:
        """What was learned of the dynamics besides its field."""
        return {}


class NODE(Dynamics):
    """A neural ODE; see the module for every equation."""

    order = 1

    def forward(self, t: Tensor, state: State) -> State:
        """As in `Dynamics`."""
        return self.drive(t, _tensor(state))

    def start(self, h: Tensor, velocity: Tensor | None = None, t: float = 0.0) -> State:
        """The tensor h itself; there is no velocity to give."""
        if velocity is not None:
            raise ValueError(f"{type(self).__name__} is of first order: it starts at h alone")
        return h

    def position(self, state: State, t: float | Tensor) -> Tensor:
        """The state itself."""
        return _tensor(state)


class ANODE(NODE):
    """A neural ODE on h with `augment` more features (axis 1) that start at 0; 0 for a NODE."""

    def __init__(self, field: nn.Module, augment: int) -> None:
        super().__init__(field)
        if augment < 0:
            raise ValueError(f"augment must be at least 0 features, got {augment}")
        self.augment = augment

    def check(self, state: State) -> None:
        """As in `Dynamics`; and a state has more features than those that are added."""
        super().check(state)
        shape = tuple(_tensor(state).shape)
        if len(shape) < 2 or shape[1] <= self.augment:
            raise ValueError(
                f"a state of {type(self).__name__} has more than its {self.augment} added "
                f"features (axis 1), got shape {shape}; `start` adds them"
            )

    def start(self, h: Tensor, velocity: Tensor | None = None, t: float = 0.0) -> State:
        """Features of h (B, D, ...), then zeros: (B, D + augment, ...)."""
        zeros = h.new_zeros(len(h), self.augment, *h.shape[2:])
        return torch.cat([_tensor(super().start(h, velocity, t)), zeros], dim=1)


class SONODE(Dynamics):
    """A second-order neural ODE whose field hears position and velocity."""

    order = 2

    def forward(self, t: Tensor, state: State) -> State:
        """As in `Dynamics`."""
        h, m = state
        return m, self.drive(t, h, m)

    def start(self, h: Tensor, velocity: Tensor | None = None, t: float = 0.0) -> State:
        """The pair of both."""
        return h, torch.zeros_like(h) if velocity is None else velocity

    def position(self, state: State, t: float | Tensor) -> Tensor:
        """The first of the pair."""
        return state[0]


class HBNODE(SONODE):
    """The heavy-ball neural ODE: its field hears the position alone, its velocity is damped.

    Args:
        field: as in `Dynamics`.
        damping: gamma >= 0, fixed; or "learned": `damping_scale * sigmoid(raw)`.
        damping_scale: what learned damping stays below; 1 as published.
        damping_start: what learned damping is at first, below its scale.
    """

    def __init__(
        self,
        field: nn.Module,
        damping: Learnable = "learned",
        *,
        damping_scale: float = 1.0,
        damping_start: float = DAMPING_START,
    ) -> None:
        super().__init__(field)
        self.damping_scale = damping_scale
        if damping == "learned":
            if not 0 < damping_start < damping_scale:
                raise ValueError(
                    "learned damping starts between 0 and damping_scale, "
                    f"got {damping_start=} and {damping_scale=}"
                )
            share = torch.tensor(damping_start / damping_scale, dtype=torch.float64)
            self.raw_damping = nn.Parameter(share.logit().float())
        else:
            self.register_buffer("fixed_damping", _fixed("damping", damping))

    @property
    def damping(self) -> Tensor:
        """Gamma as it is now, a tensor without dimensions."""
        if "fixed_damping" in self._buffers:
            return self.get_buffer("fixed_damping")
        return self.damping_scale * self.raw_damping.sigmoid()

    def forward(self, t: Tensor, state: State) -> State:
        """As in `Dynamics`."""
        h, m = state
        return m, self.drive(t, h) - self.damping * m

    def readings(self) -> dict[str, float]:
        """`damping`, where it is learned."""
        return {} if "fixed_damping" in self._buffers else {"damping": self.damping.item()}


class _Correction(nn.Module):
    """xi >= 0: fixed, or softplus of a learned number."""

    def __init__(self, correction: Learnable, start: float) -> None:
        super().__init__()
        self.learned = correction == "learned"
        if correction != "learned":
            self.register_buffer("fixed", _fixed("correction", correction))
        elif not start > 0:
            raise ValueError(f"learned correction starts above 0, got correction_start={start}")
        else:
            self.raw = nn.Parameter(torch.tensor(start, dtype=torch.float64).expm1().log().float())

    def forward(self) -> Tensor:
        """Its value now."""
        return nn.functional.softplus(self.raw) if self.learned else self.get_buffer("fixed")


class GHBNODE(HBNODE):
    """The generalised heavy-ball neural ODE: bounded speed, and a pull back to the origin.

    With activation "identity" and correction 0 it is the `HBNODE`. With a bounded activation no
    field can make h grow faster than linearly in time.

    Args:
        field: as in `Dynamics`.
        damping: as in `HBNODE`, and so are its scale and start.
        correction: xi >= 0, fixed; or "learned": `softplus(raw)`.
        activation: sigma, a name in `ACTIVATIONS` or a module.
        correction_start: what learned correction is at first; published are softplus of 0, 1, 2.
    """

    def __init__(
        self,
        field: nn.Module,
        damping: Learnable = "learned",
        correction: Learnable = "learned",
        activation: str | nn.Module = "tanh",
        *,
        damping_scale: float = 1.0,
        damping_start: float = DAMPING_START,
        correction_start: float = math.log(2),
    ) -> None:
        super().__init__(field, damping, damping_scale=damping_scale, damping_start=damping_start)
        self._correction = _Correction(correction, correction_start)
        self.activation = _activation(activation)

    @property
    def correction(self) -> Tensor:
        """Xi as it is now, a tensor without dimensions."""
        value: Tensor = self._correction()
        return value

    def forward(self, t: Tensor, state: State) -> State:
        """As in `Dynamics`."""
        h, m = state
        pull = self.drive(t, h) - self.correction * h
        return self.activation(m), pull - self.damping * m

    def readings(self) -> dict[str, float]:
        """`damping` and `correction`, where they are learned."""
        learned = {"correction": self.correction.item()} if self._correction.learned else {}
        return {**super().readings(), **learned}


class NesterovNODE(SONODE):
    r"""Nesterov's limit $h'' + (3/t) h' = \tilde f(t, h)$, in coordinates without its 3/t.

    The state is $(x, m)$ with $x = t^{3/2} e^{-t/2} h$; `start` and `position` go to these
    coordinates and back, and `velocity` is $x'$, not $h'$ (the authors' code integrates $(x, m)$
    but reads $(h, h')$, oddity O-N9). The field absorbs what the change of variables adds:
    $f = t^{3/2} e^{-t/2} (\tilde f + (3/(4 t^2) - 1/4) h)$. Time begins after 0; the authors
    integrate over [1, 2].
    """

    earliest = 0.0

    def forward(self, t: Tensor, state: State) -> State:
        """As in `Dynamics`."""
        _, m = state
        return m, self.drive(t, self.position(state, t)) - m

    def start(self, h: Tensor, velocity: Tensor | None = None, t: float = 1.0) -> State:
        """The pair in the coordinates of time `t`, with the velocity as it is given."""
        if not t > self.earliest:
            raise ValueError(f"{type(self).__name__} starts after time 0, got t={t}")
        return super().start(_stretch(t) * h, velocity, t)

    def position(self, state: State, t: float | Tensor) -> Tensor:
        """From x back to h: t^(-3/2) e^(t/2) x."""
        return state[0] / _stretch(t)


class GNesterovNODE(NesterovNODE):
    """The generalised `NesterovNODE`, with bounded speed and acceleration.

    Args:
        field: as in `Dynamics`.
        correction: as in `GHBNODE`; published are 1.5 and a learned one from softplus(2).
        activation: of both, a name in `ACTIVATIONS` or a module; the authors take
            `nn.Hardtanh(-0.5, 0.5)` on MNIST.
        correction_start: as in `GHBNODE`.
    """

    def __init__(
        self,
        field: nn.Module,
        correction: Learnable = "learned",
        activation: str | nn.Module = "tanh",
        *,
        correction_start: float = math.log1p(math.exp(2)),
    ) -> None:
        super().__init__(field)
        self._correction = _Correction(correction, correction_start)
        self.activation = _activation(activation)

    @property
    def correction(self) -> Tensor:
        """Xi as it is now, a tensor without dimensions."""
        value: Tensor = self._correction()
        return value

    def forward(self, t: Tensor, state: State) -> State:
        """As in `Dynamics`."""
        _, m = state
        h = self.position(state, t)
        return self.activation(m), self.activation(self.drive(t, h) - m) - self.correction * h

    def readings(self) -> dict[str, float]:
        """`correction`, where it is learned."""
        return {"correction": self.correction.item()} if self._correction.learned else {}


def parts(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state, one or more."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def last(states: State) -> State:
    """The last of states with a first axis for time."""
    return states[-1] if isinstance(states, Tensor) else tuple(part[-1] for part in states)


def _tensor(state: State) -> Tensor:
    (only,) = parts(state)
    return only


def _stretch(t: float | Tensor) -> float | Tensor:
    """t^(3/2) e^(-t/2): the factor from h to x."""
    decay = (-t / 2).exp() if isinstance(t, Tensor) else math.exp(-t / 2)
    stretched: float | Tensor = t**1.5 * decay
    return stretched


def _fixed(name: str, value: Learnable) -> Tensor:
    if isinstance(value, str) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of at least 0, or 'learned', got {value!r}")
    return torch.tensor(float(value))


def _activation(name: str | nn.Module) -> nn.Module:
    if isinstance(name, nn.Module):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
