r"""The velocity recurrence $v_t = \mu v_{t-1} + s g_t$: as it is written, and fast.

It is heavy-ball momentum with the drive $g_t$ in the gradient's place: momentum $\mu$, step $s$.
Wang, Xia, Nguyen, Osher, "How does momentum benefit deep neural networks architecture design?
A few case studies", Res. Math. Sci. 9:57, 2022. Recurrent cells and momentum attention share it.

With a momentum for each time step it is Nesterov's as well: `nesterov_momentum` gives those.
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
        momentum: number or 0-d tensor, or (T,), one for each time step; gradients flow into a
            tensor.
        step: number or 0-d tensor, likewise.
        initial: (...), the velocity before the first step; zero when not given.

    Returns:
        (T, ...), the velocity after each step.

    Raises:
        ValueError: no time step, or momenta or an initial velocity of another shape.
    """
    current = _start(drive, initial)
    velocities = []
    for now, mu in zip(drive, _momenta(drive, momentum), strict=True):
        current = mu * current + step * now
        velocities.append(current)
    return torch.stack(velocities)


def velocity(
    drive: Tensor, momentum: float | Tensor, step: float | Tensor, initial: Tensor | None = None
) -> Tensor:
    """The same velocities as `velocity_loop`, in a handful of matrix products.

    Within a chunk of time steps the recurrence is a lower triangular matrix of products of
    momenta; from chunk to chunk it is the same recurrence again, whose momenta are the products
    over a chunk. Products of momenta in [0, 1] never grow, and are never divided, so this is as
    exact as the loop, and a momentum of 0 (a restart) is no special case. Arguments and result are
    those of `velocity_loop`.
    """
    start = _start(drive, initial)
    s = torch.as_tensor(step, dtype=drive.dtype, device=drive.device)
    flat = drive.reshape(len(drive), start.numel())
    return _scan(flat, _momenta(drive, momentum), s, start.reshape(-1)).view(drive.shape)


def velocity_each(drive: Tensor, momentum: Tensor, step: float | Tensor, initial: Tensor) -> Tensor:
    """The velocities of a drive each of whose numbers has a momentum of its own.

    Args:
        drive: (T, ...), time first.
        momentum: broadcasts against the drive; gradients flow into it.
        step: a number, or broadcasts likewise.
        initial: (...), the velocity before the first step.

    Returns:
        (T, ...), one step after the other: what a scan saves is little beside what it costs where
        no two numbers share a momentum.
    """
    scaled, momenta = step * drive, torch.broadcast_to(momentum, drive.shape)
    velocities = []
    for now, mu in zip(scaled, momenta, strict=True):
        initial = torch.addcmul(now, mu, initial)
        velocities.append(initial)
    return torch.stack(velocities)


def nesterov_momentum(length: int, restart: int = 0, first: int = 0) -> Tensor:
    """Nesterov's momenta (k - 1) / (k + 2), where k = 1, 2, ... counts time steps.

    Args:
        length: T, how many.
        restart: F, k starts at 1 again after every F steps; 0 for never. At 1 all momenta are 0.
        first: time steps before the first of these.

    Returns:
        (T,), float64: 0, 1/4, 2/5, 1/2, ... Scheduled restart: Wang, Nguyen, Bertozzi, Baraniuk,
        Osher, "Scheduled restart momentum for accelerated stochastic gradient descent", 2020.
    """
    done = torch.arange(first, first + length, dtype=torch.float64)  # k - 1
    if restart:
        done = done % restart
    return done / (done + 3)


def _scan(drive: Tensor, momenta: Tensor, step: Tensor, initial: Tensor) -> Tensor:
    """Velocities (T, N) of a drive (T, N) by momenta (T,) from an initial velocity (N,)."""
    length = min(len(drive), CHUNK)
    chunked = _chunks(momenta[:, None], length).squeeze(-1)  # (C, K)
    local = (step * _fading(chunked)) @ _chunks(drive, length)  # (C, K, N), each from zero
    kept = chunked.cumprod(1)  # (C, K), what is left of the velocity before a chunk
    carry = initial.unsqueeze(0)
    if len(local) > 1:
        ends = _scan(local[:-1, -1], kept[:-1, -1], torch.ones_like(step), initial)
        carry = torch.cat([carry, ends])
    whole = local + kept.unsqueeze(2) * carry.unsqueeze(1)
    return whole.flatten(0, 1)[: len(drive)]


def _fading(momenta: Tensor) -> Tensor:
    """(C, K, K) from (C, K): the product of the momenta after step j up to step i >= j."""
    length = momenta.shape[1]
    below = momenta.new_ones(length, length).tril(-1)
    return (momenta.unsqueeze(2) * below + (1 - below)).cumprod(1).tril()


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


def _momenta(drive: Tensor, momentum: float | Tensor) -> Tensor:
    """(T,), a momentum for each time step."""
    momenta = torch.as_tensor(momentum, dtype=drive.dtype, device=drive.device)
    if momenta.dim() and momenta.shape != drive.shape[:1]:
        raise ValueError(
            f"momentum is one number, or one for each of {len(drive)} time steps, "
            f"got shape {tuple(momenta.shape)}"
        )
    return momenta.expand(len(drive))
