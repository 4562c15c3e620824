"""Laws of the growth of untrained dynamics."""

import math

import pytest
import torch
from torch import nn

from momentune.models import growth
from momentune.models.growth import ForcedLinear

STILL = torch.zeros(5, dtype=torch.float64)


@pytest.mark.parametrize(("t", "force"), [(-1, 1), (0, 1), (0.25, 1.5), (1, 3), (1.5, 1), (9, -1)])
def test_the_force_is_interpolated_and_stays_after_its_last_value(t, force):
    """O-N8: the published code extends the line through the first two values for ever."""
    assert ForcedLinear(1, 1, torch.tensor([1.0, 3.0, -1.0])).at(t).item() == pytest.approx(force)


def test_a_node_grows_as_its_closed_form():
    torch.manual_seed(3)
    sizes = growth("node", 2.0, STILL, steps=4, tolerance=1e-9)
    torch.manual_seed(3)
    layer = nn.Linear(2, 1)
    slope, shift = layer.weight[0, 0].item(), layer.bias.item()
    rest = shift / slope
    want = [abs((2.0 + rest) * math.exp(slope * t) - rest) for t in range(4)]
    assert sizes == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("kind", ["node", "anode", "sonode", "hbnode", "ghbnode"])
def test_every_growth_begins_at_the_start_and_hears_the_force(kind):
    sizes = []
    for force in (STILL, STILL + 1):
        torch.manual_seed(1)
        sizes.append(growth(kind, -2.0, force, steps=3, tolerance=1e-6))
    assert [len(one) for one in sizes] == [3, 3]
    assert sizes[0][0] == sizes[1][0] == 2.0
    assert sizes[0][1:] != sizes[1][1:]


def test_a_bounded_speed_grows_no_faster_than_the_bound():
    """I-N8, where the same weights without the bound grow without it."""
    most = []
    for activation in ("hardtanh", "identity"):
        torch.manual_seed(0)
        pushed = [
            growth(
                "ghbnode",
                1.0,
                STILL + 50,
                steps=20,
                tolerance=1e-6,
                damping=0.0,
                correction=0.0,
                activation=activation,
            )[-1]
            for _ in range(3)
        ]
        most.append(max(pushed))
    assert most[0] <= 1 + 5 * 19
    assert most[1] > 10 * most[0]
