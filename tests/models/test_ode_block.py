"""Laws of the block that integrates: exact counts, hard limits, the numbers of a bare solve."""

import gc
import math
import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchdiffeq import odeint
from torchdiffeq._impl.odeint import SOLVERS

from momentune.models import (
    ANODE,
    GHBNODE,
    HBNODE,
    NODE,
    SONODE,
    GNesterovNODE,
    NesterovNODE,
    ODEBlock,
    SolverDiverged,
)

D = 2
IMPLICIT = ("implicit_adams", "fixed_adams")


class Counting(nn.Module):
    """A field that counts its own evaluations."""

    def __init__(self, matrix: Tensor | None = None) -> None:
        super().__init__()
        self.matrix = nn.Parameter(-torch.eye(D) if matrix is None else matrix)
        self.calls = 0

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        self.calls += 1
        return h @ self.matrix.mT


class Nan(nn.Module):
    """A field that is NaN after time 1/2."""

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return h if t < 0.5 else h * math.nan


class Breaking(torch.autograd.Function):
    """The identity, with a gradient that is NaN."""

    @staticmethod
    def forward(ctx, h):
        return h.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


def diagonal(*values: float) -> Tensor:
    return torch.diag(torch.tensor(values))


@pytest.mark.parametrize("adjoint", [True, False])
@pytest.mark.parametrize("times", [(0.0, 1.0), (0.0, 0.3, 1.0)])
@pytest.mark.parametrize("solver", ["dopri5", "bosh3", "dopri8", "rk4"])
def test_counts_are_those_of_a_field_that_counts(solver, times, adjoint):
    """I-N12: exact in both directions, means over the batches since asked last."""
    field = Counting()
    block = ODEBlock(NODE(field), times, solver=solver, adjoint=adjoint)
    forward = 0
    for _ in range(3):
        before = field.calls
        states = block(torch.ones(4, D))
        forward += field.calls - before
        states[-1].sum().backward()
    readings = block.readings()
    assert readings["nfe_forward"] == forward / 3
    assert readings["nfe_backward"] == (field.calls - forward) / 3
    assert readings["nfe"] == field.calls / 3
    assert bool(readings["nfe_backward"]) is adjoint
    assert block.readings() == {}


def test_nothing_is_counted_in_evaluation():
    block = ODEBlock(NODE(Counting())).eval()
    block(torch.ones(4, D))
    assert block.readings() == {}


def test_the_same_solve_takes_the_same_evaluations():
    """I-N12."""
    readings = []
    for _ in range(2):
        block = ODEBlock(HBNODE(Counting()), rtol=1e-6, atol=1e-6)
        block((torch.ones(4, D), torch.zeros(4, D)))[0][-1].sum().backward()
        readings.append(block.readings())
    assert readings[0] == readings[1]


def test_a_looser_tolerance_needs_no_more_evaluations():
    """I-N12."""
    turning = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    counts = []
    for tolerance in (1e-2, 1e-4, 1e-6, 1e-8):
        block = ODEBlock(NODE(Counting(turning)), (0.0, 6.0), rtol=tolerance, atol=tolerance)
        block(torch.ones(4, D))
        counts.append(block.readings()["nfe_forward"])
    assert counts == sorted(counts)


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "scipy_solver"])
def test_every_solver_of_torchdiffeq_gives_its_own_numbers(solver):
    field = Counting()
    fixed = solver in ("euler", "midpoint", "heun2", "heun3", "rk4") or "adams" in solver
    options = {"step_size": 0.05} if fixed else {}
    block = ODEBlock(NODE(field), solver=solver, rtol=1e-5, atol=1e-5, **options)
    with warnings.catch_warnings():
        if solver in IMPLICIT:  # they say when they did not converge to the tolerance
            warnings.simplefilter("ignore")
        got = block(torch.ones(4, D))
        want = odeint(
            field,
            torch.ones(4, D),
            torch.tensor([0.0, 1.0]),
            method=solver,
            rtol=1e-5,
            atol=1e-5,
            options=options or None,
        )
    assert torch.equal(got, want)
    assert got[-1, 0, 0].item() == pytest.approx(math.exp(-1), rel=0.05)


def test_scipys_solvers_run_behind_the_adjoint():
    block = ODEBlock(NODE(Counting()), solver="scipy_solver", rtol=1e-6, atol=1e-6)
    h = torch.ones(1, D, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        block(h)[-1].sum().backward()
    assert h.grad is not None
    assert h.grad[0, 0].item() == pytest.approx(math.exp(-1), rel=1e-3)


def test_adjoint_and_direct_gradients_are_the_same():
    gradients = []
    for adjoint in (True, False):
        torch.manual_seed(1)
        dynamics = HBNODE(Counting()).double()
        block = ODEBlock(dynamics, rtol=1e-9, atol=1e-9, adjoint=adjoint)
        h = torch.randn(4, D, dtype=torch.float64)
        block(dynamics.start(h))[0][-1].square().sum().backward()
        gradients.append([weight.grad for weight in dynamics.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("adjoint", [True, False])
def test_durations_integrate_samples_over_different_spans(adjoint):
    dynamics = NODE(Counting())
    block = ODEBlock(dynamics, rtol=1e-7, atol=1e-7, adjoint=adjoint)
    duration = torch.tensor([[0.0], [0.5], [2.0]])
    h = torch.ones(3, D, requires_grad=True)
    ends = block(h, duration=duration)[-1]
    torch.testing.assert_close(ends, (-duration).exp().expand(3, D), rtol=1e-5, atol=1e-6)
    ends.sum().backward()
    torch.testing.assert_close(h.grad, (-duration).exp().expand(3, D), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_a_duration_learns_through_the_adjoint_as_it_does_directly(solver):
    options = {"step_size": 0.05} if solver == "rk4" else {}
    gradients = []
    for adjoint in (True, False):
        dynamics = HBNODE(Counting(), 0.5).double()
        block = ODEBlock(dynamics, solver=solver, rtol=1e-9, atol=1e-9, adjoint=adjoint, **options)
        raw = torch.tensor([[0.1], [0.5], [2.0]], dtype=torch.float64, requires_grad=True)
        h = torch.ones(3, D, dtype=torch.float64)
        block(dynamics.start(h), duration=raw.exp())[0][-1].square().sum().backward()
        gradients.append([raw.grad, dynamics.field.matrix.grad])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
    assert gradients[0][0].abs().min() > 0.1


# Stiffness


def test_evaluations_grow_with_the_stiffness_of_a_node_and_with_its_root_for_heavy_ball():
    """I-N7: so that a heavy ball wins where a problem is stiff, and loses where it is not."""

    def evaluations(dynamics) -> int:
        block = ODEBlock(dynamics, (0.0, 5.0), rtol=1e-5, atol=1e-5, max_nfe=10**6)
        with torch.no_grad():
            block(dynamics.start(torch.ones(1, D)))
        return int(block.readings()["nfe_forward"])

    plain, heavy = (
        {
            stiff: evaluations(make(Counting(diagonal(-1, -stiff))))
            for stiff in (10.0, 100.0, 1000.0)
        }
        for make in (NODE, lambda field: HBNODE(field, 0.5))
    )
    assert plain[10] < heavy[10]
    assert plain[100] > heavy[100]
    assert plain[1000] > 3 * heavy[1000]
    assert plain[1000] / plain[100] == pytest.approx(10, rel=0.3)
    assert heavy[1000] / heavy[100] == pytest.approx(math.sqrt(10), rel=0.3)


# Solves that cannot end well


def test_a_stiff_solve_ends_at_the_limit():
    block = ODEBlock(NODE(Counting(diagonal(-1, -1e6))), max_nfe=200)
    with pytest.raises(SolverDiverged, match="forward solve needs more than max_nfe=200") as caught:
        block(torch.ones(1, D))
    assert caught.value.reason == "diverged"


@pytest.mark.parametrize("duration", [None, torch.ones(1, 1)])
@pytest.mark.parametrize("adjoint", [True, False])
def test_more_fixed_steps_than_evaluations_end_before_the_first(adjoint, duration):
    """torchdiffeq would make a grid of so many times first, without an end."""
    field = Counting()
    block = ODEBlock(NODE(field), solver="euler", step_size=1e-8, max_nfe=10, adjoint=adjoint)
    with pytest.raises(SolverDiverged, match=r"more than max_nfe=10 .* 1e\+08 steps of 1e-08"):
        block(torch.ones(1, D), duration)
    assert field.calls == 0
    exact = ODEBlock(NODE(field), solver="euler", step_size=0.125, max_nfe=8)
    exact(torch.ones(1, D))
    assert field.calls == 8


def test_the_backward_solve_has_a_limit_too():
    """A large gradient is a solve of its own, and here a longer one."""
    block = ODEBlock(NODE(Counting()), max_nfe=30, rtol=1e-5, atol=1e-5)
    states = block(torch.ones(1, D))
    with pytest.raises(SolverDiverged, match="backward solve needs more than max_nfe=30"):
        (1e6 * states[-1]).sum().backward()


@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_a_field_that_becomes_nan_diverges(solver):
    options = {"step_size": 0.1} if solver == "rk4" else {}
    block = ODEBlock(NODE(Nan()), solver=solver, **options)
    with pytest.raises(SolverDiverged, match=r"stuck at t=0\.|is not finite"):
        block(torch.ones(1, D))


def test_a_state_that_is_nan_from_the_start_diverges():
    with pytest.raises(SolverDiverged):
        ODEBlock(NODE(Counting()))(torch.full((1, D), math.nan))


def test_a_backward_solve_that_meets_nan_diverges():
    class Field(Counting):
        def forward(self, t: Tensor, h: Tensor) -> Tensor:
            return Breaking.apply(super().forward(t, h))

    states = ODEBlock(NODE(Field()))(torch.ones(1, D, requires_grad=True))
    with pytest.raises(SolverDiverged, match="backward solve is stuck"):
        states[-1].sum().backward()


def test_a_finite_time_explosion_diverges():
    class Squared(nn.Module):
        def forward(self, t: Tensor, h: Tensor) -> Tensor:
            return h**2

    with pytest.raises(SolverDiverged):
        ODEBlock(NODE(Squared()), (0.0, 2.0), max_nfe=2000)(torch.ones(1, D))


# Bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"times": (1.0, 0.0)}, r"times must be at least two and increase, got \(1.0, 0.0\)"),
        ({"times": (0.0, 0.0)}, "times must .* increase"),
        ({"times": (0.0,)}, "times must be at least two"),
        ({"times": (0.0, math.inf)}, "times must"),
        ({"solver": "rk45"}, "no solver 'rk45'; torchdiffeq has .*dopri5"),
        ({"rtol": 0.0}, "rtol must be a positive number, got 0.0"),
        ({"atol": -1e-3}, "atol must be a positive number, got -0.001"),
        ({"rtol": math.nan}, "rtol must be a positive number, got nan"),
        ({"rtol": True}, "rtol must be a positive number, got True"),
        ({"max_nfe": 0}, "max_nfe must be at least 1, got 0"),
        ({"step_size": 0.1}, "step_size must be a positive number, for euler.*got 0.1 for dopri5"),
        ({"solver": "rk4", "step_size": 0.0}, "got 0.0 for rk4"),
        ({"solver": "scipy_solver", "adjoint": False}, "give adjoint=True"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ODEBlock(NODE(Counting()), **settings)


@pytest.mark.parametrize(
    ("make", "state", "message"),
    [
        (NODE, (torch.ones(1, D), torch.ones(1, D)), r"is a tensor h, got shapes \(1, 2\), \(1, 2"),
        (HBNODE, torch.ones(1, D), r"is a pair \(h, m\) of one shape, got shape \(1, 2\); `start`"),
        (HBNODE, (torch.ones(1, D), torch.ones(1, 3)), r"got shapes \(1, 2\), \(1, 3\)"),
        (
            partial(ANODE, augment=D),
            torch.ones(1, D),
            r"more than its 2 added features .* got shape \(1, 2\); `start` adds them",
        ),
    ],
)
def test_a_state_of_the_wrong_form_is_refused(make, state, message):
    with pytest.raises(ValueError, match=message):
        ODEBlock(make(Counting()))(state)


@pytest.mark.parametrize(
    "make", [NODE, SONODE, HBNODE, GHBNODE, NesterovNODE, GNesterovNODE], ids=lambda m: m.__name__
)
def test_a_field_that_would_broadcast_is_refused(make):
    class Narrow(nn.Module):
        def forward(self, t: Tensor, h: Tensor, *velocity: Tensor) -> Tensor:
            return h[:, :1]

    dynamics = make(Narrow())
    with pytest.raises(ValueError, match=r"must return the shape of h, got \(4, 1\) from \(4, 2\)"):
        ODEBlock(dynamics, (1.0, 2.0))(dynamics.start(torch.ones(4, D), t=1.0))


@pytest.mark.parametrize("times", [(1.0, 0.0), (0.0, 0.0), (0.0,)])
def test_other_times_must_increase_too(times):
    with pytest.raises(ValueError, match="times must be at least two and increase, got"):
        ODEBlock(NODE(Counting())).solve(torch.ones(1, D), times)


def test_a_solve_leaves_nothing_for_the_garbage_collector():
    """A cycle would keep the graph of every batch in memory until it comes by."""
    block = ODEBlock(HBNODE(Counting()))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            block((torch.ones(4, D), torch.zeros(4, D)))[0][-1].sum().backward()
        assert gc.collect() == 0
    finally:
        gc.enable()
