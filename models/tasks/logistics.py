r"""The mixture of logistics, cut into levels: a likelihood for pixels that knows their order.

Salimans, Karpathy, Chen, Kingma, "PixelCNN++" (arXiv:1701.05517), section 2.1. Levels 0 … L-1 lie
evenly in [-1, 1]; a level has the mass of its bin, the outermost bins reach to infinity.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

SMALLEST = -7.0  # logarithm of a scale


def log_masses(parameters: Tensor, level: Tensor, levels: int) -> Tensor:
    """The logarithm of the mixture's mass at levels (...), in nats.

    Args:
        parameters: (..., 3 M): logits of the weights, means, logarithms of the scales.
        level: (...), whole numbers below `levels`.
        levels: L, at least 2.
    """
    weights, means, scales = parameters.chunk(3, -1)
    sharpness = torch.exp(-scales.clamp_min(SMALLEST))
    level = level.unsqueeze(-1)
    place, half = 2 * level / (levels - 1) - 1, 1 / (levels - 1)
    upper, lower = (place + half - means) * sharpness, (place - half - means) * sharpness
    # Not upper - lower, which is 0 for a mean far away; an infinite gradient would be NaN below.
    width = (2 * half * sharpness).clamp_min(torch.finfo(sharpness.dtype).tiny)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), with no cancellation
    within = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-width))
    mass = torch.where(level == 0, logsigmoid(upper), within)
    mass = torch.where(level == levels - 1, logsigmoid(-lower), mass)
    return torch.logsumexp(weights.log_softmax(-1) + mass, -1)


def masses(parameters: Tensor, levels: int) -> Tensor:
    """The mixture's mass at every level: (..., L) from parameters (..., 3 M)."""
    every = torch.arange(levels, device=parameters.device)
    return log_masses(parameters.unsqueeze(-2), every, levels).exp()
