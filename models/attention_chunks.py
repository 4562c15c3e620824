r"""Sums over all earlier keys, a chunk of time at a time: the fast forms of linear attentions.

With a momentum $\mu_i$ for each token, $p_i = \mu_i p_{i-1} + U_i$ and $s_i = s_{i-1} + p_i$
unroll to $s_i = \sum_{j \le i} W_{ij} U_j$, where

$$F_{ij} = \prod_{l = j + 1}^i \mu_l, \qquad W_{ij} = \sum_{m = j}^i F_{mj}.$$

Within a chunk of K tokens these are two K x K matrices, and $\phi(q_i)^T s_i$ is two matrix
products; what came before a chunk acts through s and p at its start, which are handed on from
chunk to chunk. Time and memory are linear in the number of tokens. With one momentum for all
tokens W is $(1 - \mu^{i - j + 1}) / (1 - \mu)$; as a sum of products it is $i - j + 1$ at
$\mu = 1$, and nothing is ever divided.

A token that is not real is as if it were not there: its features are 0, its momentum is 1, and it
adds no p to s.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 64  # tokens per matrix product: more cost more arithmetic, fewer cost more calls


def chunked(x: Tensor, time: int, size: int = CHUNK) -> Tensor:
    """The axis `time` as two, chunks and tokens within one; zeros (or False) fill the last."""
    length = x.shape[time]
    size = min(size, length)
    missing = -length % size
    if missing:
        shape = [*x.shape[:time], missing, *x.shape[time + 1 :]]
        x = torch.cat([x, x.new_zeros(shape)], time)
    return x.reshape(*x.shape[:time], -1, size, *x.shape[time + 1 :])


def linear_sums(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B, H, T, M), the sums of (q_i k_j) v_j over all j <= i.

    Args:
        q: (B, H, T, D), features of queries.
        k: (B, H, T, D), features of keys.
        v: (B, H, T, M), values.
    """
    length = q.shape[2]
    q, k, v = (chunked(x, 2) for x in (q, k, v))
    within = (q @ k.mT).tril() @ v
    ends = k[:, :, :-1].mT @ v[:, :, :-1]
    start = ends.new_zeros(*ends.shape[:2], 1, *ends.shape[3:])
    return (within + q @ torch.cat([start, ends.cumsum(2)], 2)).flatten(2, 3)[:, :, :length]


def momentum_sums(q: Tensor, k: Tensor, v: Tensor, momenta: Tensor, real: Tensor | None) -> Tensor:
    """(B, H, T, M), the sums of W_ij (q_i k_j) v_j over all j <= i.

    Args:
        q: (B, H, T, D), features of queries.
        k: (B, H, T, D), features of keys; 0 where not real.
        v: (B, H, T, M), values.
        momenta: (B or 1, H or 1, C or 1, K) as `chunked` has it; 1 where not real.
        real: likewise; None where all are.
    """
    length = q.shape[2]
    q, k, v = (chunked(x, 2, momenta.shape[-1]) for x in (q, k, v))
    fading = Products.apply(momenta)
    weights = _weights(fading, real)
    s, p = _starts(k, v, weights[..., -1, :], fading[..., -1, :])
    within = (q @ k.mT * weights[..., 1:]) @ v
    before = q @ s[:, :, :-1] + weights[..., :1] * (q @ p[:, :, :-1])
    return (within + before).flatten(2, 3)[:, :, :length]


def momentum_total(k: Tensor, v: Tensor, momenta: Tensor, real: Tensor | None) -> Tensor:
    """(B, H, D, M), s after the last token. Arguments are those of `momentum_sums`."""
    k, v = (chunked(x, 2, momenta.shape[-1]) for x in (k, v))
    fading = Products.apply(momenta)
    return _starts(k, v, _weights(fading, real)[..., -1, :], fading[..., -1, :])[0][:, :, -1]


class Products(torch.autograd.Function):
    """F of a chunk: (..., K, K + 1) from momenta (..., K).

    Row i is a token. Column 0 is what is left of p from before the chunk, column j what is left
    of token j. The backward pass needs no division, so a momentum of 0 is no special case.
    """

    apply: ClassVar[Callable[[Tensor], Tensor]]  # torch leaves it without types

    @staticmethod
    def forward(ctx: Any, momenta: Tensor) -> Tensor:
        """Products of momenta."""
        size = momenta.shape[-1]
        below = torch.ones(size, size + 1, dtype=torch.bool, device=momenta.device).tril()
        fading = momenta.unsqueeze(-1).where(below, 1.0).cumprod(-2).tril_(1)
        ctx.save_for_backward(fading)
        return fading

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """dF_ij / dmu_l is F_il F_{l-1,j} for j < l <= i."""
        fading: Tensor = ctx.saved_tensors[0]
        before = torch.zeros_like(fading)  # rows l - 1; only the chunk's start is before row 1
        before[..., 1:, :] = fading[..., :-1, :]
        before[..., 0, 0] = 1
        return ((fading[..., 1:].mT @ gradient) * before).sum(-1)


def _weights(fading: Tensor, real: Tensor | None) -> Tensor:
    """W from F, (..., K, K + 1): sums over rows up to each, as a product, faster than cumsum."""
    rows = fading.new_ones(fading.shape[-2], fading.shape[-2]).tril()
    return (rows if real is None else rows * real.unsqueeze(-2)) @ fading


def _starts(k: Tensor, v: Tensor, weights: Tensor, fading: Tensor) -> tuple[Tensor, Tensor]:
    """S and p before each chunk and after the last, (B, H, C + 1, D, M), by last rows of W and F.

    Args:
        k: (B, H, C, K, D).
        v: (B, H, C, K, M).
        weights: (..., C or 1, K + 1).
        fading: likewise.
    """
    rows = torch.stack([weights, fading], -1)  # (..., K + 1, 2)
    both = (rows[..., 1:, :].unsqueeze(-1) * v.unsqueeze(-2)).flatten(-2)  # (B, H, C, K, 2M)
    ends = (k.mT @ both).unbind(2)
    kept = rows[:, :, :, :1].expand(-1, -1, len(ends), -1, -1).unsqueeze(3).unbind(2)
    s = p = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
    starts = [(s, p)]
    for end, (to_s, to_p) in zip(ends, (each.unbind(-1) for each in kept), strict=True):
        more_s, more_p = end.chunk(2, -1)
        s, p = s + more_s + to_s * p, more_p + to_p * p
        starts.append((s, p))
    return torch.stack([s for s, _ in starts], 2), torch.stack([p for _, p in starts], 2)
