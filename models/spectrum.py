"""How stiff a dynamics is along a trajectory, and how its gradients fare backward in time.

The spectrum of the Jacobian J = d(derivative)/d(state) tells what a solver meets: the most negative
real part how small its steps must be, the stiffness ratio max |Re| / min |Re| how many of them.
For the heavy-ball family eigenvalues come in pairs that sum to minus the damping (paper, section 4,
I-N1), so that their real parts stay near the damping where those of a NODE spread.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from .ode import Dynamics, State, last, parts
from .ode_block import ODEBlock

LARGEST = 1024
"""States with more numbers than this have no spectrum: its cost grows with the third power."""

TINY = 1e-8
"""Added to the smallest real part, which may be 0."""


def eigenvalues(dynamics: Dynamics, t: float, state: State) -> Tensor:
    """Of the Jacobian at time `t` for each sample of a state: (B, N) complex, N numbers a sample.

    Samples must not hear each other in the field, as they do in batch normalisation.

    Raises:
        ValueError: N is above `LARGEST`.
    """
    numbers = [part[0].numel() for part in parts(state)]
    if sum(numbers) > LARGEST:
        raise ValueError(f"the spectrum of {sum(numbers)} numbers; at most {LARGEST} are feasible")
    time = torch.tensor(t)
    jacobian = torch.func.jacrev(lambda flat: _flat(dynamics(time, _like(flat, state))))
    jacobians = torch.stack([jacobian(_flat(one).detach()) for one in _samples(state)])
    found: Tensor = torch.linalg.eigvals(jacobians.double())
    return found


def spectrum_along(block: ODEBlock, start: State, points: int = 11) -> dict[str, list[float]]:
    """Extreme real parts and stiffness at equal times along the samples' trajectories.

    Returns:
        `largest_real` and `smallest_real`, over all samples, and `stiffness`, the median of the
        samples' ratio max |Re| / min |Re|; a number for each of `points` times.
    """
    series: dict[str, list[float]] = {"largest_real": [], "smallest_real": [], "stiffness": []}
    for t, state in trajectory(block, start, points):
        real = eigenvalues(block.dynamics, t, state).real
        sizes = real.abs()
        ratios = (sizes.amax(1) + TINY) / (sizes.amin(1) + TINY)
        series["largest_real"].append(real.max().item())
        series["smallest_real"].append(real.min().item())
        series["stiffness"].append(ratios.median().item())
    return series


def adjoint_norms(
    block: ODEBlock, start: State, loss: Callable[[State], Tensor], points: int = 11
) -> list[float]:
    """Norm of dL/dh at equal times along a trajectory, h the first tensor of the state.

    Args:
        block: says the dynamics, the time span and the solver.
        start: the state at the first time.
        loss: of the state at the last time.
        points: how many times.
    """
    with torch.enable_grad():
        states = [state for _, state in trajectory(block, start, points)]
        hidden = [parts(state)[0] for state in states]
        gradients = torch.autograd.grad(loss(states[-1]), hidden)
    return [gradient.norm().item() for gradient in gradients]


def trajectory(block: ODEBlock, start: State, points: int) -> list[tuple[float, State]]:
    """Equal times of a block's span, and the states there; each follows from the one before."""
    times = torch.linspace(block.times[0], block.times[-1], points).tolist()
    states: list[State] = [_like(_flat(start).detach().requires_grad_(), start)]
    for begin, end in pairwise(times):
        states.append(last(block.solve(states[-1], (begin, end))))
    return list(zip(times, states, strict=True))


def _flat(state: State) -> Tensor:
    """All numbers of a state in one row."""
    return torch.cat([part.flatten() for part in parts(state)])


def _like(flat: Tensor, state: State) -> State:
    """The numbers of a row in the shape of a state, of as many samples as they make."""
    sizes = [part[0].numel() for part in parts(state)]
    samples = flat.numel() // sum(sizes)
    pieces = zip(torch.split(flat, [samples * size for size in sizes]), parts(state), strict=True)
    shaped = [piece.reshape(samples, *part.shape[1:]) for piece, part in pieces]
    return shaped[0] if isinstance(state, Tensor) else tuple(shaped)


def _samples(state: State) -> list[State]:
    """A state of one sample for each in the batch."""
    if isinstance(state, Tensor):
        return list(torch.split(state, 1))
    return [tuple(one) for one in zip(*(torch.split(part, 1) for part in state), strict=True)]
