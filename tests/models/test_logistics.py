"""The mixture of logistics: a likelihood is a likelihood, to the edges."""

import math

import pytest
import torch

from momentune.models.tasks.logistics import log_masses, masses

LEVELS = pytest.mark.parametrize("levels", [2, 17, 256])


def drawn(*shape: int, size: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return size * torch.randn(*shape, dtype=torch.float64, generator=generator)


@LEVELS
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_masses_add_up_to_one(levels, size):
    total = masses(drawn(6, 30, size=size), levels).sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


@LEVELS
def test_masses_are_differences_of_the_distribution_function(levels):
    parameters = drawn(5, 6)
    weights, means, scales = (part.squeeze(-2) for part in parameters.view(5, 3, 2).split(1, -2))
    edges = (2 * torch.arange(levels, dtype=torch.float64) + 1) / (levels - 1) - 1
    edges[-1] = math.inf
    inside = torch.sigmoid((edges.view(-1, 1, 1) - means) / scales.exp())
    distribution = (weights.softmax(-1) * inside).sum(-1)
    expected = distribution.diff(dim=0, prepend=torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(masses(parameters, levels), expected.T)


def test_a_sharp_logistic_is_sure_of_its_level():
    sharp = torch.tensor([0.0, -1 + 2 * 5 / 16, -7.0])
    assert masses(sharp, 17)[5] > 0.999


@LEVELS
@pytest.mark.parametrize("scale", [-30.0, -7.0, 0.0, 30.0])
@pytest.mark.parametrize("mean", [-3.0, 0.0, 3.0])
def test_values_and_gradients_are_finite_everywhere(levels, scale, mean):
    parameters = torch.tensor([0.0, mean, scale], requires_grad=True)
    logs = log_masses(parameters, torch.arange(levels), levels)
    logs.sum().backward()
    assert logs.isfinite().all()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


@pytest.mark.parametrize(("mean", "scale"), [(1e8, 0.0), (-1e8, -7.0), (0.0, 120.0)])
def test_gradients_are_finite_for_means_and_scales_far_away(mean, scale):
    parameters = torch.tensor([0.0, mean, scale], requires_grad=True)
    log_masses(parameters, torch.arange(17), 17).sum().backward()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    level = torch.tensor([0, 3, 16])
    parameters = drawn(3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: log_masses(p, level, 17), parameters)
