"""Laws of the neural ODE family's equations (paper, section 4: I-N1 to I-N14)."""

import math

import pytest
import torch
from torch import Tensor, nn
from torchdiffeq import odeint

from momentune.models import (
    ANODE,
    GHBNODE,
    HBNODE,
    NODE,
    SONODE,
    Dynamics,
    GNesterovNODE,
    NesterovNODE,
    ODEBlock,
    adjoint_norms,
    eigenvalues,
    spectrum_along,
)

B, D = 3, 4
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(1)


class Field(nn.Module):
    """A smooth field of whatever a dynamics lets it hear."""

    def __init__(self, inputs: int = D, outputs: int = D, gain: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))
        self.gain = gain

    def forward(self, t: Tensor, *state: Tensor) -> Tensor:
        return self.gain * self.layers(torch.cat(state, -1))


class Linear(nn.Module):
    """f(h) = A h."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return h @ self.matrix.mT


class By(nn.Module):
    """A field that is any function of time and state."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, t: Tensor, *state: Tensor) -> Tensor:
        return self.function(t, *state)


MAKERS = {
    "NODE": lambda: NODE(Field()),
    "ANODE": lambda: ANODE(Field(D + 2, D + 2), augment=2),
    "SONODE": lambda: SONODE(Field(2 * D)),
    "HBNODE": lambda: HBNODE(Field()),
    "GHBNODE": lambda: GHBNODE(Field()),
    "NesterovNODE": lambda: NesterovNODE(Field()),
    "GNesterovNODE": lambda: GNesterovNODE(Field()),
}
FAMILY = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def points(*shape: int) -> Tensor:
    return torch.randn(*(shape or (B, D)), dtype=torch.float64)


def close(got, want, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def derivative(dynamics: Dynamics, *state: Tensor, t: float = 1.0):
    time = torch.tensor(t, dtype=torch.float64)
    return dynamics(time, state if len(state) > 1 else state[0])


def end(dynamics: Dynamics, h: Tensor, velocity: Tensor | None = None, span=(1.0, 2.0)) -> Tensor:
    """Where h is at the end of a span, by a tight solve."""
    states = ODEBlock(dynamics, span, **TIGHT)(dynamics.start(h, velocity, span[0]))
    last = states[-1] if isinstance(states, Tensor) else tuple(part[-1] for part in states)
    return dynamics.position(last, span[1])


# The equations, as the paper writes them


def test_each_dynamics_is_its_equation():
    h, m, field = points(), points(), Field().double()
    second = Field(2 * D).double()
    close(derivative(NODE(field), h), field(0, h))
    close(derivative(SONODE(second), h, m), (m, second(0, h, m)))
    close(derivative(HBNODE(field, 0.3), h, m), (m, field(0, h) - 0.3 * m), 1e-7)
    generalised = GHBNODE(field, 0.3, 1.5, "tanh")
    close(derivative(generalised, h, m), (m.tanh(), field(0, h) - 0.3 * m - 1.5 * h), 1e-6)


@FAMILY
def test_position_gives_back_what_start_was_given(make):
    dynamics, h = make().double(), points()
    back = dynamics.position(dynamics.start(h, t=1.7), 1.7)
    close(back[:, :D], h)
    assert not back[:, D:].any()


@FAMILY
def test_a_state_can_be_integrated_and_learned_from(make):
    dynamics = make().double()
    end(dynamics, points()).square().sum().backward()
    for name, weight in dynamics.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


def test_published_constants_come_out_of_the_parametrisation():
    """I-N9: sigmoid(-3), and softplus of 0, 1, 2; the raw numbers are learned."""
    assert HBNODE(Field()).raw_damping.item() == pytest.approx(-3, abs=1e-6)
    assert HBNODE(Field()).damping.item() == pytest.approx(0.04742587)
    assert GHBNODE(Field()).correction.item() == pytest.approx(0.6931, abs=1e-4)
    for raw, value in ((1, 1.3133), (2, 2.1269)):
        start = math.log1p(math.exp(raw))
        correction = GHBNODE(Field(), correction_start=start)._correction
        assert correction.raw.item() == pytest.approx(raw, abs=1e-5)
        assert correction().item() == pytest.approx(value, abs=1e-4)


def test_learned_damping_stays_between_zero_and_its_scale():
    dynamics = HBNODE(Field(), damping_scale=5.0, damping_start=2.0)
    assert dynamics.damping.item() == pytest.approx(2.0)
    for raw, value in ((-100.0, 0.0), (100.0, 5.0)):
        torch.nn.init.constant_(dynamics.raw_damping, raw)
        assert dynamics.damping.item() == pytest.approx(value)


def test_a_fixed_number_is_no_parameter_and_does_not_change():
    """O-N2: a frozen parameter is counted, and shrinks when all weights are shrunk."""
    dynamics = GHBNODE(Field(), 0.3, 0.5)
    assert {name.split(".")[0] for name, _ in dynamics.named_parameters()} == {"field"}
    assert dynamics.readings() == {}
    assert set(GHBNODE(Field()).readings()) == {"damping", "correction"}


def test_hbnode_has_no_correction_at_all():
    """O-N3: the published runs for time series trained one inside their HBNODE."""
    names = [name for name, _ in HBNODE(Field()).state_dict().items()]
    assert not any("correction" in name for name in names)


# Members that are special cases of others


def test_ghbnode_without_correction_and_activation_is_the_hbnode():
    """I-N9."""
    h, m, field = points(), points(), Field().double()
    plain = derivative(HBNODE(field).double(), h, m)
    close(derivative(GHBNODE(field, correction=0.0, activation="identity").double(), h, m), plain)


def test_hbnode_is_a_sonode_whose_field_damps():
    """I-N10."""
    field = Field().double()
    damped = SONODE(By(lambda t, h, m: field(t, h) - 0.25 * m))
    h, m = points(), points()
    close(end(damped, h, m), end(HBNODE(field, 0.25).double(), h, m), 1e-9)


def test_anode_without_augmentation_is_the_node():
    """I-N11."""
    field, h = Field().double(), points()
    close(end(ANODE(field, augment=0), h), end(NODE(field), h))


def test_large_damping_gives_the_node_with_slower_time():
    """I-N11: gamma h' -> f, so that gamma units of time make one."""
    field, h = Field().double(), points()
    errors = []
    for damping in (10.0, 40.0):
        slow = end(HBNODE(field, damping).double(), h, span=(0.0, damping))
        errors.append((slow - end(NODE(field), h, span=(0.0, 1.0))).abs().max().item())
    assert errors[1] < errors[0] / 3 < 0.05


def test_the_authors_sign_gives_the_same_path():
    """I-N5: h' = -m, m' = -f - gamma m from -m."""
    field, h, m = Field().double(), points(), points()

    def theirs(t, state):
        position, momentum = state
        return -momentum, -field(t, position) - 0.25 * momentum

    path, _ = odeint(theirs, (h, -m), torch.tensor([0.0, 1.0]).double(), **TIGHT)
    close(end(HBNODE(field, 0.25).double(), h, m, (0.0, 1.0)), path[-1], 1e-9)


def test_heavy_ball_iteration_tends_to_the_heavy_ball_ode():
    """I-N6: with beta = 1 - gamma sqrt(s), the error is of order sqrt(s)."""
    matrix = torch.diag(torch.tensor([1.0, 4.0])).double()
    h, damping = torch.tensor([[1.0, -1.0]]).double(), 0.5
    want = end(HBNODE(Linear(-matrix), damping).double(), h, span=(0.0, 4.0))
    errors = []
    for s in (1e-2, 1e-2 / 4, 1e-2 / 16):
        x, before = h, h
        for _ in range(round(4 / math.sqrt(s))):
            x, before = x - s * x @ matrix + (1 - damping * math.sqrt(s)) * (x - before), x
        errors.append((x - want).norm().item())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


# Nesterov's coordinates


def test_nesterovs_coordinates_solve_the_equation_with_3_over_t():
    """I-N14: h'' + (3/t) h' = f~, with f = k f~ + (3/(4 t^2) - 1/4) k h and k the stretch."""
    acceleration = Field().double()

    def stretch(t):
        return t**1.5 * (-t / 2).exp()

    def absorbing(t, h):
        return stretch(t) * (acceleration(t, h) + (3 / (4 * t**2) - 0.25) * h)

    def direct(t, state):
        h, slope = state
        return slope, acceleration(t, h) - 3 / t * slope

    h, slope, t = points(), points(), torch.tensor([1.0, 2.0]).double()
    # x' = k h' + k' h, and k'/k = 3/(2t) - 1/2 = 1 at t = 1
    velocity = stretch(t[0]) * (slope + h)
    path, _ = odeint(direct, (h, slope), t, rtol=1e-12, atol=1e-12)
    dynamics = NesterovNODE(By(absorbing))
    states = ODEBlock(dynamics, (1.0, 2.0), rtol=1e-12, atol=1e-12)(
        dynamics.start(h, velocity, 1.0)
    )
    got = dynamics.position(tuple(part[-1] for part in states), 2.0)
    assert (got - path[-1]).abs().max() <= 1e-10


def test_nesterov_starts_after_time_zero():
    with pytest.raises(ValueError, match=r"starts after time 0, got t=0\.0"):
        NesterovNODE(Field()).start(points(), t=0.0)
    with pytest.raises(ValueError, match=r"begins after time 0\.0.*authors take \(1, 2\)"):
        ODEBlock(NesterovNODE(Field()))


# Spectra and gradients


@pytest.mark.parametrize("correction", [0.0, 1.5])
def test_eigenvalues_pair_up_to_minus_the_damping(correction):
    """I-N1, for a field with a symmetric Jacobian and for any."""
    for matrix in (points(D, D), points(D, D)):
        dynamics = GHBNODE(Linear(matrix), 0.3, correction, "identity").double()
        (found,) = eigenvalues(dynamics, 0.0, (points(1, D), points(1, D)))
        close(found.sum().real, torch.tensor(-0.3 * D).double(), 1e-6)
        partners = -0.3 - found
        distance = (found[:, None] - partners[None]).abs().min(dim=1).values
        assert distance.max() < 1e-6
        roots = torch.linalg.eigvals(matrix - correction * torch.eye(D).double())
        discriminant = (0.3**2 + 4 * roots).sqrt()
        want = torch.cat([(-0.3 + discriminant) / 2, (-0.3 - discriminant) / 2])
        assert (found[:, None] - want[None]).abs().min(dim=1).values.max() < 1e-6


def test_the_flow_contracts_volume_by_the_damping_alone():
    """I-N2: det exp(J T) = exp(-n gamma T), and at least n moduli are >= exp(-gamma T / 2)."""
    damping, time = 0.3, 2.0
    matrix = points(D, D)
    jacobian = torch.cat(
        [
            torch.cat([torch.zeros(D, D), torch.eye(D)], dim=1).double(),
            torch.cat([matrix, -damping * torch.eye(D).double()], dim=1),
        ]
    )
    starts = torch.eye(2 * D).double()
    dynamics = HBNODE(Linear(matrix), damping).double()
    block = ODEBlock(dynamics, (0.0, time), **TIGHT)
    flow = torch.cat([part[-1] for part in block(starts.chunk(2, dim=1))], dim=1).mT
    close(flow, torch.linalg.matrix_exp(jacobian * time), 1e-6)
    close(torch.linalg.det(flow), torch.tensor(math.exp(-D * damping * time)).double(), 1e-6)
    moduli = torch.linalg.eigvals(flow).abs()
    assert (moduli >= math.exp(-damping * time / 2) * (1 - 1e-6)).sum() >= D


def test_the_adjoint_of_m_is_a_heavy_ball_backward_in_time():
    """I-N3, I-N4: a_m'' - gamma a_m' = a_m df/dh along the path; a_h obeys no such law."""
    field, damping, step = Field(1, 1).double(), 0.4, 1e-2
    dynamics = HBNODE(field, damping).double()
    steps = [round(0.5 + k * step, 10) for k in range(-2, 3)]

    def adjoint(t: float) -> tuple[Tensor, Tensor]:
        """(a_h, a_m) at time t, by differentiating what is left of the path."""
        return torch.autograd.grad(reach(t).square().sum(), states[t])

    h, m = points(1, 1), points(1, 1)
    states = {}
    for t in steps:
        path = odeint(dynamics, (h, m), torch.tensor([0.0, t]).double(), rtol=1e-12, atol=1e-12)
        states[t] = tuple(part[-1].detach().requires_grad_() for part in path)

    def reach(t: float) -> Tensor:
        left = torch.tensor([t, 1.0]).double()
        return odeint(dynamics, states[t], left, rtol=1e-12, atol=1e-12)[0][-1]

    residuals = []
    for which in (0, 1):
        a = [adjoint(t)[which].item() for t in steps]
        first = (a[3] - a[1]) / (2 * step)
        second = (a[3] - 2 * a[2] + a[1]) / step**2
        here = states[steps[2]][0].detach().requires_grad_()
        slope = torch.autograd.grad(field(0, here).sum(), here)[0].item()
        residuals.append(abs(second - damping * first - a[2] * slope))
    of_h, of_m = residuals
    assert of_m < 1e-4
    assert of_h > 10 * of_m


@FAMILY
def test_the_adjoint_gradient_is_that_of_finite_differences(make):
    """I-N3."""
    dynamics, h = make().double(), points()
    leaf = h.clone().requires_grad_()
    gradient = torch.autograd.grad(end(dynamics, leaf).square().sum(), leaf)[0]
    direction, step = points(), 1e-5
    with torch.no_grad():
        high, low = (end(dynamics, h + s * direction).square().sum() for s in (step, -step))
    close((gradient * direction).sum(), (high - low) / (2 * step), 1e-6)


def test_a_bounded_activation_bounds_the_growth_for_any_field():
    """I-N8: |h(t) - h(0)| <= M t, where a heavy ball without it grows exponentially."""
    wild = By(lambda t, h: 30 * h)
    h = points()
    for name, bound in (("tanh", 1.0), ("hardtanh", 5.0)):
        dynamics = GHBNODE(wild, 0.1, 0.0, name).double()
        moved = (end(dynamics, h, span=(0.0, 2.0)) - h).abs().max().item()
        assert moved <= bound * 2.0 * (1 + 1e-9)
    plain = (end(HBNODE(wild, 0.1).double(), h, span=(0.0, 2.0)) - h).abs().max().item()
    assert plain > 1000


def test_the_spectrum_along_a_path_is_that_of_its_field():
    damping, matrix = 0.2, torch.diag(torch.tensor([-1.0, -9.0])).double()
    block = ODEBlock(HBNODE(Linear(matrix), damping).double(), (0.0, 1.0), **TIGHT)
    series = spectrum_along(block, (points(2, 2), points(2, 2)), points=3)
    assert series["largest_real"] == pytest.approx([-damping / 2] * 3, abs=1e-6)
    assert series["stiffness"] == pytest.approx([1.0] * 3, abs=1e-6)
    first = ODEBlock(NODE(Linear(matrix)), (0.0, 1.0), **TIGHT)
    series = spectrum_along(first, points(2, 2), points=3)
    assert series["smallest_real"] == pytest.approx([-9.0] * 3)
    assert series["stiffness"] == pytest.approx([9.0] * 3, rel=1e-6)


def test_adjoint_norms_are_those_of_the_matrix_exponential():
    matrix, h = points(D, D), points()
    block = ODEBlock(NODE(Linear(matrix)), (0.0, 1.0), **TIGHT)
    norms = adjoint_norms(block, h, lambda state: state.sum(), points=3)
    for t, norm in zip((0.0, 0.5, 1.0), norms, strict=True):
        left = torch.linalg.matrix_exp((1 - t) * matrix).sum(0).expand(B, D)
        assert norm == pytest.approx(left.norm().item(), rel=1e-6)


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HBNODE(Field(), -0.1), "damping must be a number of at least 0.*got -0.1"),
        (lambda: HBNODE(Field(), math.nan), "damping must be .* got nan"),
        (lambda: HBNODE(Field(), "learn"), "or 'learned', got 'learn'"),
        (lambda: GHBNODE(Field(), correction=-1.0), "correction must be .* got -1.0"),
        (lambda: GHBNODE(Field(), activation="relu"), "no activation 'relu'; there are identity,"),
        (lambda: HBNODE(Field(), damping_start=1.5), "between 0 and damping_scale"),
        (lambda: GHBNODE(Field(), correction_start=0.0), "starts above 0"),
        (lambda: ANODE(Field(), augment=-1), "augment must be at least 0 features, got -1"),
        (lambda: NODE(Field()).start(points(), points()), "NODE is of first order"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_spectrum_of_a_large_state_is_refused():
    with pytest.raises(ValueError, match="spectrum of 2000 numbers; at most 1024"):
        eigenvalues(NODE(Field()), 0.0, torch.zeros(1, 2000))
