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


def key_sums(k: Tensor) -> Tensor:
    """(B, H, T, D), the sums of k_j over all j <= i."""
    length = k.shape[2]
    k = chunked(k, 2)
    rows = k.new_ones(k.shape[3], k.shape[3]).tril()
    return (rows @ k + _before(k.sum(3, keepdim=True))).flatten(2, 3)[:, :, :length]


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
    return (within + q @ _before(k.mT @ v)).flatten(2, 3)[:, :, :length]


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
    sums = WeightedSums.apply(q, k, v, _weights(fading, real), fading[..., -1, :])
    return sums.flatten(2, 3)[:, :, :length]


def momentum_total(k: Tensor, v: Tensor, momenta: Tensor, real: Tensor | None) -> Tensor:
    """(B, H, D, M), s after the last token. Arguments are those of `momentum_sums`."""
    k, v = (chunked(x, 2, momenta.shape[-1]) for x in (k, v))
    fading = Products.apply(momenta)
    moved = _motion(k, v, _weights(fading, real)[..., -1, :], fading[..., -1, :])
    return moved[-1].chunk(2, -2)[0]


class WeightedSums(torch.autograd.Function):
    """Sums (B, H, C, K, M) over all earlier tokens, by their weights within a chunk.

    Takes q and k (B, H, C, K, D), v (B, H, C, K, M), W (B or 1, H or 1, C or 1, K, K + 1), and the
    last row of F. Left to autograd it takes twice as many passes over memory.
    """

    apply: ClassVar[Callable[..., Tensor]]

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, weights: Tensor, fading: Tensor
    ) -> Tensor:
        """Within a chunk by W, and from s and p, one above the other, at its start."""
        similar = q @ k.mT
        starts = torch.stack(_motion(k, v, weights[..., -1, :], fading)[:-1], 2)
        ctx.save_for_backward(q, k, v, weights, fading, similar, starts)
        out = (similar * weights[..., 1:]) @ v
        return out.add_(_both(q, None, weights[..., 0]) @ starts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """What reaches s and p at a chunk's end comes from the chunks behind, the last first."""
        q, k, v, weights, fading, similar, starts = ctx.saved_tensors
        last = weights[..., -1, :]
        ends = _motion_back(_both(q, None, weights[..., 0]).mT @ gradient, last, fading)
        by_pair = gradient @ v.mT
        by_similar = by_pair * weights[..., 1:]
        from_starts, from_ends = (x.chunk(2, -1) for x in (gradient @ starts.mT, v @ ends.mT))
        by_q = by_similar @ k
        by_q.add_(from_starts[0]).addcmul_(from_starts[1], weights[..., :1])
        by_k = by_similar.mT @ q
        by_k.addcmul_(from_ends[0], last[..., 1:, None]).addcmul_(
            from_ends[1], fading[..., 1:, None]
        )
        by_v = (similar * weights[..., 1:]).mT @ gradient
        by_v.add_(_both(k, last[..., 1:], fading[..., 1:]) @ ends)
        if not (ctx.needs_input_grad[3] or ctx.needs_input_grad[4]):
            return by_q, by_k, by_v, None, None
        first = (q * from_starts[1]).sum(-1, keepdim=True)
        by_weights = torch.cat([first, by_pair.mul_(similar)], -1)
        rows = [
            torch.cat([(starts.chunk(2, -2)[1] * end).sum((-2, -1)).unsqueeze(-1), inner], -1)
            for end, inner in zip(
                ends.chunk(2, -2), ((k * x).sum(-1) for x in from_ends), strict=True
            )
        ]
        by_weights[..., -1, :] += rows[0]
        return (
            by_q,
            by_k,
            by_v,
            by_weights.sum_to_size(weights.shape),
            rows[1].sum_to_size(fading.shape),
        )


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


def _before(ends: Tensor) -> Tensor:
    """Sums over the chunks before each, of (B, H, C, ...)."""
    return torch.cat([torch.zeros_like(ends[:, :, :1]), ends[:, :, :-1].cumsum(2)], 2)


def _weights(fading: Tensor, real: Tensor | None) -> Tensor:
    """W from F, (..., K, K + 1): sums over rows up to each, as a product, faster than cumsum."""
    rows = fading.new_ones(fading.shape[-2], fading.shape[-2]).tril()
    return (rows if real is None else rows * real.unsqueeze(-2)) @ fading


def _both(x: Tensor, for_s: Tensor | None, for_p: Tensor) -> Tensor:
    """(..., K, 2 D): x (..., K, D) as s counts it, and as p does, by factors (..., K)."""
    first = x if for_s is None else x * for_s.unsqueeze(-1)
    return torch.cat([first, x * for_p.unsqueeze(-1)], -1)


def _motion(k: Tensor, v: Tensor, weights: Tensor, fading: Tensor) -> list[Tensor]:
    """S above p, (B, H, 2 D, M), before each chunk and after the last.

    Args:
        k: (B, H, C, K, D).
        v: (B, H, C, K, M).
        weights: (..., C or 1, K + 1), the last row of W.
        fading: likewise, of F.
    """
    ends = _both(k, weights[..., 1:], fading[..., 1:]).mT @ v
    s = p = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
    moved = [torch.cat([s, p], -2)]
    for end, to_s, to_p in zip(ends.unbind(2), *_kept(weights, fading, ends), strict=True):
        more_s, more_p = end.chunk(2, -2)
        s, p = s + to_s * p + more_s, to_p * p + more_p
        moved.append(torch.cat([s, p], -2))
    return moved


def _motion_back(by_start: Tensor, weights: Tensor, fading: Tensor) -> Tensor:
    """Gradients by s above p after each chunk, from those (B, H, C, 2 D, M) by what starts it."""
    s = p = torch.zeros_like(by_start[:, :, 0].chunk(2, -2)[0])
    ends = torch.empty_like(by_start)
    each = zip(by_start.unbind(2), ends.unbind(2), *_kept(weights, fading, ends), strict=True)
    for start, end, to_s, to_p in reversed(list(each)):
        end.copy_(torch.cat([s, p], -2))
        more_s, more_p = start.chunk(2, -2)
        s, p = s + more_s, to_s * s + to_p * p + more_p
    return ends


def _kept(weights: Tensor, fading: Tensor, ends: Tensor) -> list[tuple[Tensor, ...]]:
    """For each chunk how much of p at its start is in s and in p at its end, (..., 1, 1)."""
    chunks = (-1, -1, ends.shape[2])
    return [x[..., 0].expand(*chunks)[..., None, None].unbind(2) for x in (weights, fading)]
