r"""The velocity recurrence $v_t = \mu v_{t-1} + s g_t$: as it is written, and fast.

It is heavy-ball momentum with the drive $g_t$ in the gradient's place: momentum $\mu$, step $s$.
Wang, Xia, Nguyen, Osher, "How does momentum benefit deep neural networks architecture design?
A few case studies", Res. Math. Sci. 9:57, 2022. Recurrent cells and momentum attention share it.
"""

import torch
from torch import Tensor

CHUNK = 32  # time steps per matrix product: more cost more arithmetic, fewer cost more calls


def velocity_loop(
    drive: Tensor, momentum: float | Tensor, step: float | Tensor, initial: Tensor | None = None
) -> Tensor:
    """All velocities of a drive, one time step after the other. This is the specification.

    Args:
        drive: (T, ...), time first.
        momentum: number or 0-d tensor; gradients flow into a tensor.
        step: number or 0-d tensor, likewise.
        initial: (...), the velocity before the first step; zero when not given.

    Returns:
        (T, ...), the velocity after each step.
    """
    current = _start(drive, initial)
    velocities = []
    for now in drive:
        current = momentum * current + step * now
        velocities.append(current)
    return torch.stack(velocities)


def velocity(
    drive: Tensor, momentum: float | Tensor, step: float | Tensor, initial: Tensor | None = None
) -> Tensor:
    """The same velocities as `velocity_loop`, in a handful of matrix products.

    Within a chunk of time steps the recurrence is a lower triangular matrix of powers of the
    momentum; from chunk to chunk it is the same recurrence again, with the momentum to the power
    of the chunk's length. Powers of a momentum in [0, 1] never grow, so this is as exact as the
    loop. Arguments and result are those of `velocity_loop`.
    """
    start = _start(drive, initial)
    mu = torch.as_tensor(momentum, dtype=drive.dtype, device=drive.device)
    s = torch.as_tensor(step, dtype=drive.dtype, device=drive.device)
    flat = drive.reshape(len(drive), start.numel())
    return _scan(flat, mu, s, start.reshape(-1)).view(drive.shape)


def _scan(drive: Tensor, momentum: Tensor, step: Tensor, initial: Tensor) -> Tensor:
    """Velocities (T, N) of a drive (T, N) from an initial velocity (N,)."""
    length = min(len(drive), CHUNK)
    powers = momentum ** torch.arange(length + 1, device=drive.device)  # 1, mu, ..., mu^K
    local = (step * _triangle(powers[:-1])) @ _chunks(drive, length)  # (C, K, N), each from zero
    carry = initial.unsqueeze(0)
    if len(local) > 1:
        carry = torch.cat(
            [carry, _scan(local[:-1, -1], powers[-1], torch.ones_like(step), initial)]
        )
    whole = local + powers[1:, None] * carry.unsqueeze(1)
    return whole.flatten(0, 1)[: len(drive)]


def _triangle(powers: Tensor) -> Tensor:
    """(K, K) with `powers[i - j]` at row i, column j <= i, and zero above."""
    age = torch.arange(len(powers), device=powers.device)
    return powers[(age[:, None] - age).clamp(min=0)].tril()


def _chunks(drive: Tensor, length: int) -> Tensor:
    """(T, N) as (C, length, N); zeros follow the last step where T is no multiple of length."""
    missing = -len(drive) % length
    if missing:
        drive = torch.cat([drive, drive.new_zeros(missing, drive.shape[1])])
    return drive.reshape(len(drive) // length, length, drive.shape[1])


def _start(drive: Tensor, initial: Tensor | None) -> Tensor:
    if drive.dim() == 0 or len(drive) == 0:
        raise ValueError(f"a drive needs at least one time step, got shape {tuple(drive.shape)}")
    if initial is None:
        return torch.zeros_like(drive[0])
    if initial.shape != drive.shape[1:]:
        raise ValueError(
            f"the initial velocity has the drive's shape without time, {tuple(drive.shape[1:])}, "
            f"got {tuple(initial.shape)}"
        )
    return initial
