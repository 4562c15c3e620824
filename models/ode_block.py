"""The layer that integrates a dynamics: torchdiffeq's solvers, counted exactly, never endless."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint
from torchdiffeq._impl.odeint import SOLVERS  # the only list of its names

from .ode import Dynamics, State, parts

Way = Literal["forward", "backward"]

FIXED = (
    "euler",
    "midpoint",
    "heun2",
    "heun3",
    "rk4",
    "explicit_adams",
    "implicit_adams",
    "fixed_adams",
)
"""The solvers whose steps have one size, and so no tolerance."""


class SolverDiverged(ArithmeticError):
    """A solve that cannot end well: no step is small enough, too many evaluations, or NaN.

    Attributes:
        reason: the word for it in a ledger.
    """

    reason = "diverged"


class ODEBlock(nn.Module):
    """A state at the beginning of a time span, to the states at given times.

    Function evaluations are counted in training mode: `readings` has how many a batch took,
    forward and backward. The adjoint method needs memory for one state only and solves a second
    differential equation backward in time, which is what its backward evaluations are of; the
    direct method differentiates the solver's own steps and evaluates nothing anew.

    Args:
        dynamics: what is integrated.
        times: increasing, at least two; integration begins at the first.
        solver: a name that torchdiffeq has.
        rtol: relative tolerance, above 0; of adaptive solvers.
        atol: absolute tolerance, above 0.
        adjoint: gradients by the adjoint method; else directly, through the solver.
        max_nfe: evaluations that one solve may take, in each direction, before it counts as
            diverged.
        step_size: of solvers with a fixed step, which take one step from each time to the next
            without it. More steps than `max_nfe` end a solve before its first.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        times: Sequence[float] = (0.0, 1.0),
        *,
        solver: str = "dopri5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: bool = True,
        max_nfe: int = 10_000,
        step_size: float | None = None,
    ) -> None:
        super().__init__()
        _check_times(times, dynamics)
        _check_solver(solver, rtol, atol, adjoint, max_nfe, step_size)
        self.dynamics = dynamics
        self.times = tuple(float(t) for t in times)
        self.solver, self.rtol, self.atol = solver, rtol, atol
        self.adjoint, self.max_nfe, self.step_size = adjoint, max_nfe, step_size
        self._evaluations: dict[Way, int] = {"forward": 0, "backward": 0}
        self._solves = 0

    def forward(self, state: State, duration: Tensor | None = None) -> State:
        """The states at all times: the state's shape, or shapes, with a first axis for time.

        Args:
            state: at the first time; `dynamics.start` makes one.
            duration: multiplies the derivative, so that samples of one batch integrate over spans
                of different lengths; broadcast against each tensor of the state. It gets a
                gradient where it asks for one.

        Raises:
            ValueError: the state has not the form of the dynamics' states, or the field returns
                another shape than the position's.
            SolverDiverged: here, or in the backward pass.
        """
        return self.solve(state, self.times, duration, self.adjoint)

    def solve(
        self,
        state: State,
        times: Sequence[float],
        duration: Tensor | None = None,
        adjoint: bool = False,
    ) -> State:
        """As `forward`, at other times, and directly unless told otherwise."""
        self.dynamics.check(state)
        _check_times(times, self.dynamics)
        self._check_steps(times[-1] - times[0])
        kind = _Solve if self.solver == "scipy_solver" else _WatchedSolve
        solve = kind(self.dynamics, duration, self.max_nfe, self._count())
        first = state if isinstance(state, Tensor) else state[0]
        learned = [*solve.parameters(), *([] if duration is None else [duration])]
        integrate = partial(odeint_adjoint, adjoint_params=learned) if adjoint else odeint
        span = torch.tensor(times, dtype=first.dtype, device=first.device)
        result: State = integrate(
            solve,
            state,
            span,
            rtol=self.rtol,
            atol=self.atol,
            method=self.solver,
            options=self._options(span),
        )
        solve.turn()
        last = torch.cat([part[-1].detach().flatten() for part in parts(result)])
        if not last.isfinite().all():
            raise SolverDiverged(f"the state at t={times[-1]} is not finite")
        return result

    def readings(self, solves: float = 1) -> dict[str, float]:
        """Means over training batches since asked last, and what the dynamics learned.

        Args:
            solves: how many times a network calls its block for one batch, on average.

        Returns:
            `nfe_forward`, `nfe_backward` and their sum `nfe`, where a solve was since asked last;
            and the readings of the dynamics.
        """
        means = {
            f"nfe_{way}": count * solves / self._solves
            for way, count in self._evaluations.items()
            if self._solves
        }
        if means:
            means["nfe"] = sum(means.values())
        self._evaluations = {"forward": 0, "backward": 0}
        self._solves = 0
        return {**means, **self.dynamics.readings()}

    def extra_repr(self) -> str:
        """Settings of the solver."""
        method = "adjoint" if self.adjoint else "direct"
        return f"times={self.times}, {self.solver}, rtol={self.rtol}, atol={self.atol}, {method}"

    def _check_steps(self, span: float) -> None:
        """All fixed steps are made, by torchdiffeq, before the first evaluation."""
        if self.step_size is not None and span / self.step_size > self.max_nfe:
            raise SolverDiverged(
                f"the solve needs more than max_nfe={self.max_nfe} evaluations: one at least for "
                f"each of {span / self.step_size:.6g} steps of {self.step_size:.6g}; give a larger "
                "step_size"
            )

    def _options(self, span: Tensor) -> dict[str, object]:
        """Of torchdiffeq's solver."""
        if self.solver in FIXED:
            return {"step_size": self.step_size} if self.step_size else {}
        # An adaptive solver steps past the end, and interpolates; back in time that may be past
        # where the equation begins.
        bounded = self.dynamics.earliest > -math.inf and self.solver != "scipy_solver"
        return {"step_t": span} if bounded else {}

    def _count(self) -> Callable[[Way], None]:
        """What a solve calls at each evaluation; in evaluation mode nothing is counted."""
        if not self.training:
            return lambda way: None
        self._solves += 1

        def count(way: Way) -> None:
            self._evaluations[way] += 1

        return count


class _Solve(nn.Module):
    """The dynamics in one solve: counted and limited.

    torchdiffeq's adjoint method calls it again in the backward pass; there, too, what it raises
    comes out as it is.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        duration: Tensor | None,
        limit: int,
        count: Callable[[Way], None],
    ) -> None:
        super().__init__()
        self.dynamics = dynamics
        self.duration = duration
        self.limit, self.count = limit, count
        self.evaluations = 0
        self.way: Way = "forward"

    def forward(self, t: Tensor, state: State) -> State:
        """The derivative, in units of the solver's time."""
        self.evaluations += 1
        if self.evaluations > self.limit:
            raise SolverDiverged(
                f"the {self.way} solve needs more than max_nfe={self.limit} evaluations (at "
                f"t={t.item():.6g}): stiff, or the tolerance is too small"
            )
        self.count(self.way)
        derivative: State = self.dynamics(t, state)
        if self.duration is None:
            return derivative
        if isinstance(derivative, Tensor):
            return derivative * self.duration
        return tuple(part * self.duration for part in derivative)

    def turn(self) -> None:
        """What comes from now on is the backward pass."""
        self.evaluations, self.way = 0, "backward"


class _WatchedSolve(_Solve):
    """A solve that is stopped where no step is small enough.

    torchdiffeq finds the callbacks by their names; it warns where a solver has no use for them.
    """

    def callback_step(self, t: Tensor, state: State, dt: Tensor) -> None:
        """Before each step forward; what is NaN makes a step of 0, or is in the state."""
        numbers = torch.cat([part.flatten() for part in parts(state)])
        if not bool(t + dt > t) or not numbers.isfinite().all():
            raise SolverDiverged(
                f"the {self.way} solve is stuck at t={t.item():.6g} with a step of "
                f"{dt.item():.3g}: NaN, infinite or stiff"
            )

    def callback_step_adjoint(self, t: Tensor, state: State, dt: Tensor) -> None:
        """Before each step backward."""
        self.callback_step(t, state, dt)


def _check_times(times: Sequence[float], dynamics: Dynamics) -> None:
    increasing = all(a < b for a, b in pairwise(times))
    if len(times) < 2 or not increasing or not all(map(math.isfinite, times)):
        raise ValueError(f"times must be at least two and increase, got {tuple(times)}")
    if not times[0] > dynamics.earliest:
        raise ValueError(
            f"{type(dynamics).__name__} begins after time {dynamics.earliest}, "
            f"got times {tuple(times)}; the authors take (1, 2)"
        )


def _check_solver(
    solver: str,
    rtol: float,
    atol: float,
    adjoint: bool,
    max_nfe: int,
    step_size: float | None,
) -> None:
    if solver not in SOLVERS:
        raise ValueError(f"no solver {solver!r}; torchdiffeq has {', '.join(sorted(SOLVERS))}")
    for name, tolerance in {"rtol": rtol, "atol": atol}.items():
        if isinstance(tolerance, bool) or not 0 < tolerance < math.inf:
            raise ValueError(f"{name} must be a positive number, got {tolerance}")
    if max_nfe < 1:
        raise ValueError(f"max_nfe must be at least 1, got {max_nfe}")
    if solver == "scipy_solver" and not adjoint:
        raise ValueError("no gradient passes through scipy_solver; give adjoint=True")
    if step_size is not None and (solver not in FIXED or not 0 < step_size < math.inf):
        raise ValueError(
            f"step_size must be a positive number, for {', '.join(FIXED)}; "
            f"got {step_size} for {solver}"
        )
