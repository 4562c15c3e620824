"""How far a dynamics takes its state before anything is learned (paper, section 2.3, "Silverbox").

Where a state of ordinary size grows by many powers of ten, the first steps of training meet huge
losses and gradients. A heavy ball does no better than others there, which is why the generalised
one has a bounded speed and a pull back: Xia et al., "Heavy Ball Neural Ordinary Differential
Equations", NeurIPS 2021, figure 3.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .ode import parts
from .ode_block import ODEBlock
from .ode_networks import KINDS, heard


class ForcedLinear(nn.Module):
    """f linear in the state and in a force that is given at t = 0, 1, 2, ...

    Between these times the force is interpolated, and after the last it stays; the authors' code
    takes only its first two values and extends their line for ever (oddity O-N8).

    Args:
        inputs: features that are heard.
        outputs: features of h.
        force: (T,).
    """

    force: Tensor

    def __init__(self, inputs: int, outputs: int, force: Tensor) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs + 1, outputs)
        self.register_buffer("force", force)

    def forward(self, t: Tensor, *state: Tensor) -> Tensor:
        """(B, outputs), from the tensors of a state that are heard."""
        force = self.at(float(t)).expand(len(state[0]), 1)
        derivative: Tensor = self.layer(torch.cat([*state, force], dim=-1))
        return derivative

    def at(self, t: float) -> Tensor:
        """The force at any time."""
        place = min(max(t, 0.0), len(self.force) - 1.0)
        before = min(int(place), len(self.force) - 2)
        return torch.lerp(self.force[before], self.force[before + 1], place - before)


def growth(
    kind: str, start: float, force: Tensor, *, steps: int, tolerance: float, **dynamics: Any
) -> list[float]:
    """The norm of h(t) at t = 0, 1, ..., steps - 1, with weights drawn from torch's generator.

    The position has one feature (two in an ANODE), and so has the velocity, which starts where
    another weight says. All is in double precision.

    Args:
        kind: a name in `KINDS`.
        start: the position at first.
        force: (T,), at t = 0, 1, ...
        steps: at least 2.
        tolerance: of dopri5.
        dynamics: what else the dynamics takes: damping, correction, activation.
    """
    width = 2 if kind == "anode" else 1
    field = ForcedLinear(heard(kind, width), width, force)
    augmented = {"augment": 1} if kind == "anode" else {}
    moved = KINDS[kind](field, **augmented, **dynamics).double()
    h = torch.full((1, 1), start, dtype=torch.float64)
    velocity = nn.Linear(1, 1, bias=False).weight.detach().double() if moved.order == 2 else None
    times = [float(t) for t in range(steps)]
    block = ODEBlock(moved, times, rtol=tolerance, atol=tolerance, max_nfe=1_000_000)
    with torch.no_grad():
        states = block.solve(moved.start(h, velocity, times[0]), times)
    sizes: list[float] = parts(states)[0].flatten(1).norm(dim=1).tolist()
    return sizes
