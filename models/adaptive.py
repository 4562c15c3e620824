r"""The drive divided by its running root mean square: Adam's filter, and RMSProp's.

With a drive $y_t$, and all operations by element:

$$v_t = \mu v_{t-1} + s y_t, \qquad m_t = \beta m_{t-1} + (1 - \beta) y_t^2,$$

and what is heard is $v_t / \sqrt{m_t + \epsilon}$, $\epsilon = 10^{-16}$. RMSProp is Adam with
$\mu = 0$.

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020, as its code has it. The paper's equations have $(1 - \mu) W_x x_t$ in the
velocity, no input bias, and $s v_t / (\sqrt{m_t} + \epsilon)$: the same with a step of
$s (1 - \mu)$ and the bias outside, where m is above $\epsilon$. Neither corrects for the start from
zero.

When $\mu^2 < \beta$ the driven part is bounded whatever the input, by Cauchy and Schwarz:
$|v_t| / \sqrt{m_t} \le s / \sqrt{(1 - \beta)(1 - \mu^2 / \beta)}$, and $s / \sqrt{1 - \beta}$ for
RMSProp. At $\mu^2 = \beta$ there is no bound either: it can grow as the root of the time. When
$\mu^2 > \beta$ the velocity outlives the mean square: over a silent stretch of k steps their ratio
grows as $(\mu / \sqrt\beta)^k$, until $\epsilon$ stops it at $10^8 |v|$. Outputs stay finite,
because gates saturate, but gradients through such a stretch are of no use.

The ratio does not hear how large its drive is. So along the drive's size its gradient is a
difference that cancels: what is left of it in float32 is rounding, about $10^{-7} |g| / |y|$ for a
gradient g by what is heard. Parameters of which little else is heard (a bias under silence, the
weight of one feature alone) have gradients of that size, and any two forms differ in them.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .gradients import by_hand

EPSILON = 1e-16  # under the root, as published: 0 / 0 is 0
MODERATE = 1e-9  # steps whose squares, and what is divided by them, float32 can hold

Filtered = tuple[Tensor, Tensor, Tensor]  # what is heard (K, ...), v and m (...) after it


def adaptive_loop(
    drive: Tensor,
    v: Tensor,
    m: Tensor,
    momentum: float | Tensor,
    step: float | Tensor,
    beta2: float,
) -> Filtered:
    """One time step after the other. This is the specification, and serves learned coefficients.

    Args:
        drive: (K, ...), time first.
        v: (...), velocity before.
        m: (...), mean square of the drive before.
        momentum: number, or broadcasts against v.
        step: likewise.
        beta2: how much of the mean square is kept from one step to the next.
    """
    heard = []
    for y in drive:
        v = momentum * v + step * y
        m = beta2 * m + (1 - beta2) * y * y
        heard.append(v * (m + EPSILON).rsqrt())
    return torch.stack(heard), v, m


def adaptive(
    drive: Tensor, v: Tensor, m: Tensor, momentum: float, step: float, beta2: float
) -> Filtered:
    """The same for numbers, with gradients written out: without a graph of small tensors."""
    if not MODERATE <= step <= 1 / MODERATE:
        return adaptive_loop(drive, v, m, momentum, step, beta2)
    loop: Callable[..., Any] = _Adaptive.apply
    heard, v, m = loop(drive, v, m, momentum, step, beta2)
    return heard, v, m


class _Adaptive(torch.autograd.Function):
    """Inside, v is in units of the step s and m of its square: fewer operations at each time step.

    And both are laid out as the drive is, whatever they were: across strides the same operations
    take five times as long.
    """

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, v: Tensor, m: Tensor, momentum: float, step: float, beta2: float
    ) -> Filtered:
        square = step * step
        v, m = _own(v).div_(step), _own(m).div_(square)
        roots, heard = torch.empty_like(drive), torch.empty_like(drive)
        for y, root, out in zip(drive.unbind(), roots.unbind(), heard.unbind(), strict=True):
            torch.add(y, v, alpha=momentum, out=v)
            m.mul_(beta2).addcmul_(y, y, value=(1 - beta2) / square)
            torch.add(m, EPSILON / square, out=root).rsqrt_()
            torch.mul(v, root, out=out)
        ctx.numbers = momentum, step, beta2
        ctx.save_for_backward(drive, roots, heard)
        return heard, v.mul_(step), m.mul_(square)

    @staticmethod
    @by_hand("a cell's plain loop, `unrolled`,")
    def backward(
        ctx: Any, by_heard: Tensor, by_v: Tensor, by_m: Tensor
    ) -> tuple[Tensor | None, ...]:
        drive, roots, heard = ctx.saved_tensors
        momentum, step, beta2 = ctx.numbers
        square = step * step
        by_v, by_m = _own(by_v).mul_(step), _own(by_m).mul_(square)
        by_drive, part = torch.empty_like(drive), torch.empty_like(by_v)
        rows = zip(*(x.unbind() for x in (by_heard, drive, roots, heard, by_drive)), strict=True)
        for by, y, root, out, by_y in reversed(list(rows)):
            by_v.add_(torch.mul(by, root, out=part))
            by_m.addcmul_(part.mul_(root), out, value=-0.5)
            torch.addcmul(by_v, y, by_m, value=2 * (1 - beta2) / square, out=by_y)
            by_v.mul_(momentum)
            by_m.mul_(beta2)
        return by_drive, by_v.div_(step), by_m.div_(square), None, None, None


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


def largest_drive(momentum: float, step: float, beta2: float) -> float:
    """The least upper bound of |v| / sqrt(m) over all inputs, from zero; inf where there is none.

    A space can ask before it builds: infinite is what an Adam cell warns of.
    """
    if momentum == 0:
        return step / math.sqrt(1 - beta2)
    if momentum**2 >= beta2:
        return math.inf
    return step / math.sqrt((1 - beta2) * (1 - momentum**2 / beta2))


def warn_unless_bounded(momentum: float, beta2: float, stacklevel: int) -> None:
    """Warn of a drive without a bound."""
    if math.isinf(largest_drive(momentum, 1.0, beta2)):
        warnings.warn(
            f"momentum**2 should be below beta2, or the drive can grow without bound, "
            f"got momentum={momentum} and beta2={beta2}; lower the one or raise the other",
            stacklevel=stacklevel,
        )
