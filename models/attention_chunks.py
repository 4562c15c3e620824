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

from .attention_state import in_full_precision
from .gradients import by_hand

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


def momentum_sums(q: Tensor, k: Tensor, v: Tensor, fading: Tensor, real: Tensor | None) -> Tensor:
    """(B, H, T, M), the sums of W_ij (q_i k_j) v_j over all j <= i.

    Args:
        q: (B, H, T, D), features of queries.
        k: (B, H, T, D), features of keys; 0 where not real.
        v: (B, H, T, M), values.
        fading: (B or 1, H or 1, C or 1, K, K + 1), F as `Products` has it.
        real: (B or 1, H or 1, C or 1, K) as `chunked` has it; None where all are.
    """
    length = q.shape[2]
    q, k, v = (chunked(x, 2, fading.shape[-2]) for x in (q, k, v))
    sums = WeightedSums.apply(q, k, v, _weights(fading, real), fading[..., -1, :])
    return sums.flatten(2, 3)[:, :, :length]


def momentum_total(k: Tensor, v: Tensor, fading: Tensor, real: Tensor | None) -> Tensor:
    """(B, H, D, M), s after the last token. Arguments are those of `momentum_sums`."""
    k, v = (chunked(x, 2, fading.shape[-2]) for x in (k, v))
    return _motion(k, v, _weights(fading, real)[..., -1, :], fading[..., -1, :])[2]


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
        """Within a chunk by W, and from s and p at its start."""
        similar = q @ k.mT
        s, p = _motion(k, v, weights[..., -1, :], fading)[:2]
        ctx.save_for_backward(q, k, v, weights, fading, similar, s, p)
        out = (similar * weights[..., 1:]) @ v
        add_product(out, q, s)
        return add_product(out, q * weights[..., :1], p)

    @staticmethod
    @by_hand("the steps of `attention_state`")
    @in_full_precision
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """What reaches s and p at a chunk's end comes from the chunks behind, the last first."""
        q, k, v, weights, fading, similar, s, p = ctx.saved_tensors
        last, first = weights[..., -1, :], weights[..., :1]
        by_s, by_p = _motion_back(q, first, gradient, last, fading)
        by_pair = gradient @ v.mT
        by_similar = by_pair * weights[..., 1:]
        by_first, to_s, to_p = gradient @ p.mT, v @ by_s.mT, v @ by_p.mT
        by_q = add_product(by_similar @ k, gradient, s.mT).addcmul_(by_first, first)
        by_k = (by_similar.mT @ q).addcmul_(to_s, last[..., 1:, None])
        by_k.addcmul_(to_p, fading[..., 1:, None])
        by_v = torch.mul(similar, weights[..., 1:], out=by_similar).mT @ gradient
        add_product(by_v, k * last[..., 1:, None], by_s)
        add_product(by_v, k * fading[..., 1:, None], by_p)
        if not any(ctx.needs_input_grad[3:]):
            return by_q, by_k, by_v, None, None
        by_weights = torch.cat([dot(q, by_first)[..., None], by_pair.mul_(similar)], -1)
        by_weights[..., -1, 1:] += dot(k, to_s)
        by_weights[..., -1, 0] += (p * by_s).sum((-2, -1))
        by_fading = torch.cat([(p * by_p).sum((-2, -1))[..., None], dot(k, to_p)], -1)
        by_weights, by_fading = (
            x.sum_to_size(of.shape) for x, of in ((by_weights, weights), (by_fading, fading))
        )
        return by_q, by_k, by_v, by_weights, by_fading


class Products(torch.autograd.Function):
    """F of a chunk: (..., K, K + 1) from momenta (..., K).

    Row i is a token. Column 0 is what is left of p from before the chunk, column j what is left
    of token j. Momenta are 1 where a token is not real. The backward pass needs no division, so a
    momentum of 0 is no special case.
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
    @by_hand("the steps of `attention_state`")
    @in_full_precision
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """No division."""
        fading: Tensor = ctx.saved_tensors[0]
        return products_back(fading, rows_before(fading), gradient)


def products_back(fading: Tensor, before: Tensor, gradient: Tensor) -> Tensor:
    """The gradient by momenta: dF_ij / dmu_l is F_il F_{l-1,j} for j < l <= i."""
    return dot(fading[..., 1:].mT @ gradient, before)


def rows_before(fading: Tensor) -> Tensor:
    """F of the token before each: nothing but the chunk's start is before the first."""
    before = torch.zeros_like(fading)
    before[..., 1:, :] = fading[..., :-1, :]
    before[..., 0, 0] = 1
    return before


def _before(ends: Tensor) -> Tensor:
    """Sums over the chunks before each, of (B, H, C, ...)."""
    return torch.cat([torch.zeros_like(ends[:, :, :1]), ends[:, :, :-1].cumsum(2)], 2)


def _weights(fading: Tensor, real: Tensor | None) -> Tensor:
    """W from F, (..., K, K + 1): sums over rows up to each, as a product, faster than cumsum."""
    rows = fading.new_ones(fading.shape[-2], fading.shape[-2]).tril()
    return (rows if real is None else rows * real.unsqueeze(-2)) @ fading


def _motion(k: Tensor, v: Tensor, weights: Tensor, fading: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """S and p before each chunk, (B, H, C, D, M) both, and s after the last, (B, H, D, M).

    Args:
        k: (B, H, C, K, D).
        v: (B, H, C, K, M).
        weights: (..., C or 1, K + 1), the last row of W.
        fading: likewise, of F.
    """
    more_s = (k * weights[..., 1:, None]).mT @ v
    more_p = (k * fading[..., 1:, None]).mT @ v
    s, p = torch.zeros_like(more_s[:, :, 0]), torch.zeros_like(more_s[:, :, 0])
    all_s, all_p = [], []
    pieces = more_s.unbind(2), more_p.unbind(2), *_kept(weights, fading, more_s.shape[2])
    for to_s, to_p, s_of_p, p_of_p in zip(*pieces, strict=True):
        all_s.append(s)
        all_p.append(p)
        s, p = torch.addcmul(s + to_s, p, s_of_p), torch.addcmul(to_p, p, p_of_p)
    return torch.stack(all_s, 2), torch.stack(all_p, 2), s


def _motion_back(
    q: Tensor, first: Tensor, gradient: Tensor, weights: Tensor, fading: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by s and p after each chunk, (B, H, C, D, M) both, as queries there read them."""
    more_s, more_p = q.mT @ gradient, (q * first).mT @ gradient
    s, p = torch.zeros_like(more_s[:, :, 0]), torch.zeros_like(more_s[:, :, 0])
    all_s, all_p = [], []
    pieces = more_s.unbind(2), more_p.unbind(2), *_kept(weights, fading, more_s.shape[2])
    for to_s, to_p, s_of_p, p_of_p in zip(*(reversed(x) for x in pieces), strict=True):
        all_s.append(s)
        all_p.append(p)
        s, p = s + to_s, torch.addcmul(to_p, p, p_of_p).addcmul_(s, s_of_p)
    return torch.stack(all_s[::-1], 2), torch.stack(all_p[::-1], 2)


def _kept(weights: Tensor, fading: Tensor, chunks: int) -> list[tuple[Tensor, ...]]:
    """For each chunk how much of p at its start is in s and in p at its end, (..., 1, 1)."""
    return [x[..., 0].expand(-1, -1, chunks)[..., None, None].unbind(2) for x in (weights, fading)]


def add_product(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Add a b to out (..., K, M), in place."""
    out.flatten(0, -3).baddbmm_(a.flatten(0, -3), b.flatten(0, -3))
    return out


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(...), products of vectors (..., D)."""
    return (a * b).sum(-1)
