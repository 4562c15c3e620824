r"""Momentum residual networks: residual connections that remember, and can be run backward.

$$v_{t+1} = \mu v_t + (1 - \mu) f_t(x_t), \qquad x_{t+1} = x_t + v_{t+1}, \qquad v_0 = 0.$$

Momentum 0 is a ResNet. Above 0 every block has the inverse $x_t = x_{t+1} - v_{t+1}$,
$v_t = (v_{t+1} - (1 - \mu) f_t(x_t)) / \mu$, so a backward pass can find activations again instead
of keeping them: its memory does not grow with depth. Rounding errors grow as $\mu^{-t}$ on the way
back, so a small momentum suits shallow stacks only.

Sander, Ablin, Blondel, Peyré, "Momentum Residual Neural Networks", ICML 2021.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .gradients import by_hand


class MomentumResNet(nn.Module):
    """A stack of blocks joined by momentum residual connections.

    Args:
        blocks: f_0, f_1, ...: modules from a tensor to one of the same shape. With `memory_free`
            they run twice, and see the same random numbers both times; running statistics, as of
            batch normalisation, would be updated twice.
        momentum: in [0, 1].
        memory_free: keep the last activation alone, and find the others by inversion as
            gradients are computed. Needs a momentum above 0.

    Raises:
        ValueError: no block, or a momentum out of its range.
    """

    def __init__(
        self, blocks: Iterable[nn.Module], *, momentum: float = 0.9, memory_free: bool = True
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if not self.blocks:
            raise ValueError("a MomentumResNet needs at least one block, got none")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        if memory_free and momentum == 0:
            raise ValueError("momentum 0 has no inverse; choose one above 0, or memory_free=False")
        self.momentum = momentum
        self.memory_free = memory_free

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The position x and the velocity v after the last block, from those before the first.

        Args:
            x: (B, ...).
            v: (B, ...), the same; 0 when not given.

        Raises:
            ValueError: x and v, or x and what a block makes of it, differ in shape.
        """
        v = torch.zeros_like(x) if v is None else v
        if x.shape != v.shape:
            raise ValueError(f"x and v have one shape, got {tuple(x.shape)} and {tuple(v.shape)}")
        if self.memory_free and torch.is_grad_enabled():
            return Reversible.apply(self, x, v, *_learned(self))
        for block in self.blocks:
            x, v = self._forward_block(block, x, v)
        return x, v

    def inverse(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The x and v before the first block, from those after the last.

        Raises:
            ValueError: the momentum is 0, which forgets v.
        """
        if self.momentum == 0:
            raise ValueError("momentum 0 has no inverse: each block forgets the velocity before")
        for block in reversed(self.blocks):
            x = x - v
            v = self._velocity_before(v, block(x))
        return x, v

    def extra_repr(self) -> str:
        """The settings."""
        return f"momentum={self.momentum}, memory_free={self.memory_free}"

    def _forward_block(self, block: nn.Module, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        drive = block(x)
        if drive.shape != x.shape:
            raise ValueError(
                f"a block keeps the shape, got {tuple(drive.shape)} from {tuple(x.shape)}"
            )
        v = self.momentum * v + (1 - self.momentum) * drive
        return x + v, v

    def _velocity_before(self, v: Tensor, drive: Tensor) -> Tensor:
        return (v - (1 - self.momentum) * drive) / self.momentum


class Reversible(torch.autograd.Function):
    """A `MomentumResNet`'s forward pass, whose backward pass runs it backward.

    Takes the network, x, v, and its parameters that learn: autograd asks for their gradients.
    """

    apply: ClassVar[Callable[..., tuple[Tensor, Tensor]]]  # torch leaves it without types

    @staticmethod
    def forward(
        ctx: Any, net: MomentumResNet, x: Tensor, v: Tensor, *learned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keep the result, what autocast does, and the random state before each block."""
        ctx.net, ctx.random, ctx.casts = net, [], _casts(x.device)
        for block in net.blocks:
            ctx.random.append(_random_state(x.device))
            x, v = net._forward_block(block, x, v)
        ctx.save_for_backward(x, v)
        return x, v

    @staticmethod
    @by_hand("`memory_free=False`")
    def backward(ctx: Any, x_gradient: Tensor, v_gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Block by block from the last: x before it, f(x) and its gradients, v before it."""
        net: MomentumResNet = ctx.net
        x, v = ctx.saved_tensors
        totals: dict[Tensor, Tensor] = {}
        for block, random in zip(reversed(net.blocks), reversed(ctx.random), strict=True):
            x = x - v
            v_gradient = v_gradient + x_gradient
            with ctx.casts():
                drive, (by_x, *by_learned) = _replay(
                    block, x, (1 - net.momentum) * v_gradient, random
                )
            for parameter, gradient in zip(_learned(block), by_learned, strict=True):
                if gradient is not None:
                    totals[parameter] = totals.get(parameter, 0) + gradient
            x_gradient = x_gradient if by_x is None else x_gradient + by_x
            v = net._velocity_before(v, drive)
            v_gradient = net.momentum * v_gradient
        return None, x_gradient, v_gradient, *(totals.get(p) for p in _learned(net))


def _learned(module: nn.Module) -> list[Tensor]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _replay(
    block: nn.Module, x: Tensor, gradient: Tensor, random: Tensor
) -> tuple[Tensor, Sequence[Tensor | None]]:
    """f(x) once more, and the gradients by x and by what the block learns."""
    devices = [x.device] if x.is_cuda else []
    with torch.enable_grad(), torch.random.fork_rng(devices=devices):
        if x.is_cuda:
            torch.cuda.set_rng_state(random, x.device)
        else:
            torch.set_rng_state(random)
        x = x.detach().requires_grad_()
        drive = block(x)
        if not drive.requires_grad:
            return drive, [None] * (1 + len(_learned(block)))
        return drive.detach(), torch.autograd.grad(
            drive, [x, *_learned(block)], gradient, allow_unused=True
        )


def _casts(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """What makes autocast do once more what it does now, on the processor and on the device."""
    kinds = filter(torch.amp.is_autocast_available, {"cpu", device.type})
    now = [
        (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)) for kind in kinds
    ]

    @contextmanager
    def again() -> Iterator[None]:
        with ExitStack() as stack:
            for kind, dtype, enabled in now:
                # The cache may hold weights that were cast without a graph, in the forward pass.
                stack.enter_context(torch.autocast(kind, dtype, enabled, cache_enabled=False))
            yield

    return again


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
