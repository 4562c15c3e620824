r"""The recurrence of orthogonal cells, $h_t = modReLU(W_x x_t + W h_{t-1})$, in one function.

Its graph is one node whatever the length, and it keeps only its outputs: the slope of modReLU is 1
where h is not 0, and b moves h by its sign. The gradients by the weights are taken for a piece of
the sequence at once, as products of all its steps and sequences.

T time steps, B sequences, D features, H units; all is laid out as torch's own cells have it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .gradients import by_hand
from .product import product

PIECE = 16  # time steps whose drives are made, and whose gradients are gathered, at once


def modrelu_scan(sequence: Tensor, start: Tensor, input: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """All h (T, B, H) of a sequence (T, B, D) from h (B, H), by W_x (H, D), W (H, H), b (H,)."""
    scan: Callable[..., Tensor] = _ModReLU.apply
    return scan(sequence, start, input, W, b)


class _ModReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sequence: Tensor, start: Tensor, input: Tensor, W: Tensor, b: Tensor
    ) -> Tensor:
        outputs = start.new_empty(len(sequence), *start.shape)
        h, sign = start, torch.empty_like(outputs[0])
        for piece, out in zip(sequence.split(PIECE), outputs.split(PIECE), strict=True):
            torch.matmul(piece, input.mT, out=out)
            for z in out:
                h = z.add_(product(h, W))
                torch.sign(h, out=sign)
                h.abs_().add_(b).relu_().mul_(sign)
        ctx.save_for_backward(sequence, start, input, W, outputs)
        return outputs

    @staticmethod
    @by_hand("a cell's plain loop, `unrolled`,")
    def backward(ctx: Any, by_outputs: Tensor) -> tuple[Tensor | None, ...]:
        sequence, start, input, W, outputs = ctx.saved_tensors
        by_sequence = sequence.new_empty(sequence.shape) if ctx.needs_input_grad[0] else None
        by_input, by_W, by_b = torch.zeros_like(input), torch.zeros_like(W), W.new_zeros(len(W))
        back, by_h = W.mT.contiguous(), torch.zeros_like(start)
        for first in reversed(range(0, len(sequence), PIECE)):
            piece = slice(first, first + PIECE)
            h, signs = outputs[piece], outputs[piece].sign()
            by_z = signs.abs()
            for now, by in zip(
                reversed(by_z.unbind()), reversed(by_outputs[piece].unbind()), strict=True
            ):
                by_h = product(now.mul_(by_h.add_(by)), back)
            before = torch.cat([outputs[first - 1 : first] if first else start[None], h[:-1]])
            rows = by_z.flatten(0, 1).mT
            by_W.add_(product(rows, before.flatten(0, 1).mT))
            by_input.addmm_(rows, sequence[piece].flatten(0, 1))
            by_b.add_(signs.mul_(by_z).sum((0, 1)))
            if by_sequence is not None:
                torch.matmul(by_z, input, out=by_sequence[piece])
        return by_sequence, by_h, by_input, by_W, by_b
