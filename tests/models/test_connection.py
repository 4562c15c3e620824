"""Residual connections: what momentum over layers must keep."""

import math

import pytest
import torch

from momentune.models.connection import (
    AdaptiveConnection,
    MomentumConnection,
    Motion,
    PlainConnection,
)

CONNECTIONS = pytest.mark.parametrize(
    "connection", [PlainConnection(), MomentumConnection(0.6, 0.9), AdaptiveConnection(0.9, 1e-4)]
)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def passed(connection, x, changes):
    motion = None
    for change in changes:
        x, motion = connection(x, change, motion)
    return x


def test_momentum_0_and_step_1_are_the_plain_connection():
    x, changes = drawn(0, 3, 5, 8), drawn(1, 6, 3, 5, 8)
    plain = passed(PlainConnection(), x, changes)
    assert torch.equal(passed(MomentumConnection(0.0, 1.0), x, changes), plain)
    torch.testing.assert_close(plain, x + changes.sum(0))


@pytest.mark.parametrize(("momentum", "step"), [(0.0, 0.5), (0.6, 0.9), (0.99, 0.99), (1.0, 0.1)])
def test_the_momentum_connection_is_the_papers_recurrence(momentum, step):
    x, changes = drawn(0, 2, 4), drawn(1, 5, 2, 4)
    p, expected = torch.zeros(2, 4, dtype=torch.float64), x
    for change in changes:
        p = momentum * p - change
        expected = expected - step * p
    torch.testing.assert_close(passed(MomentumConnection(momentum, step), x, changes), expected)


def test_the_adaptive_connection_is_the_papers_recurrence():
    x, changes, delta = drawn(0, 2, 4), drawn(1, 5, 2, 4), 1e-4
    got = passed(AdaptiveConnection(0.7, delta), x, changes)
    for row in range(2):
        p, out = torch.zeros(4, dtype=torch.float64), x[row].clone()
        for layer, change in enumerate(changes[:, row]):
            mu = 0.0  # of no account in the first layer, where p is zero
            if layer > 0:
                ratio = (change - changes[layer - 1, row]).norm() / p.norm()
                mu = min(max((1 - math.sqrt(ratio)) ** 2, 0.0), 1 - delta)
            p = mu * p - change
            out = out - 0.7 * p
        torch.testing.assert_close(got[row], out)


def test_adaptive_momentum_is_within_its_range_and_zero_where_all_has_changed():
    connection = AdaptiveConnection(1.0, delta=0.1)
    before, change = drawn(0, 50, 8), drawn(1, 50, 8)
    momentum = connection.momentum(change, Motion(before, 0.5 * before))
    assert momentum.shape == (50, 1)
    assert (momentum >= 0).all()
    assert (momentum <= 0.9).all()
    turned = Motion(before, change - before)  # |change - before| = |velocity|
    torch.testing.assert_close(connection.momentum(change, turned), torch.zeros(50, 1).double())


def test_adaptive_momentum_of_a_quadratic_is_the_optimal_one():
    curvature, step = 0.3, 0.5
    x, velocity = drawn(0, 4, 8), drawn(1, 4, 8)
    change, later = -curvature * x, -curvature * (x + step * velocity)
    # The ratio of norms is step * curvature: the step size is inside the gradients' difference.
    momentum = AdaptiveConnection(step).momentum(later, Motion(change, velocity))
    expected = torch.full((4, 1), (1 - math.sqrt(step * curvature)) ** 2).double()
    torch.testing.assert_close(momentum, expected)


@CONNECTIONS
def test_each_token_moves_by_itself(connection):
    x, changes = drawn(0, 3, 4), drawn(1, 4, 3, 4)
    together = passed(connection, x, changes)
    for row in range(3):
        torch.testing.assert_close(together[row], passed(connection, x[row], changes[:, row]))


@CONNECTIONS
@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_values_and_gradients_are_finite_where_nothing_changes(connection, constant):
    change = torch.full((2, 4), constant, requires_grad=True)
    out = passed(connection, torch.zeros(2, 4), [change] * 4)
    out.sum().backward()
    assert out.isfinite().all()
    assert change.grad is not None
    assert change.grad.isfinite().all()


@CONNECTIONS
def test_gradients_are_those_of_finite_differences(connection):
    x, changes = drawn(0, 2, 3).requires_grad_(), drawn(1, 3, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: passed(connection, a, b), (x, changes))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: MomentumConnection(1.1, 1.0), "residual_momentum must be from 0 to 1, got 1.1"),
        (lambda: MomentumConnection(-0.1, 1.0), "residual_momentum must be from 0 to 1, got -0.1"),
        (lambda: MomentumConnection(0.5, 0.0), "residual_step must be above 0, got 0"),
        (lambda: AdaptiveConnection(math.nan), "residual_step must be above 0, got nan"),
        (lambda: AdaptiveConnection(1.0, delta=2.0), "delta must be from 0 to 1, got 2"),
    ],
)
def test_values_out_of_range_are_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
