r"""The momenta of adaptive attention, found a chunk of time at a time.

$\mu_i$ depends on $\|p_{i-1}\|$, hence on all momenta before, and not linearly: this is one thing
that has to be computed token by token. But it is one number for each head, and norms need no outer
products: with $U_0 = p$ at a chunk's start and $F$ as in `attention_chunks`,
$p_i = \sum_j F_{ij} U_j$, so all that enters is the Gram matrix
$\langle U_i, U_j \rangle = (k_i \cdot k_j) (v_i \cdot v_j)$. The loop over tokens is over rows of
K numbers; everything else is matrix products. The backward pass has no loop over tokens at all:
the momenta solve a triangular system of equations, and the implicit function theorem gives their
derivatives by one triangular solve.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .attention_chunks import Products, chunked
from .attention_state import TINY

CHUNK = 32  # tokens: their Gram matrices are the cost, so fewer than in `attention_chunks`


def adaptive_momenta(k: Tensor, v: Tensor, delta: float, real: Tensor) -> Tensor:
    """(B, H, C, K), the momenta at all tokens; 1 where a token is not real.

    Args:
        k: (B, H, T, D), features of keys; 0 where not real.
        v: (B, H, T, M), values.
        delta: the largest momentum is 1 - delta.
        real: (B or 1, 1, C, K) bool, `chunked` by `CHUNK`.
    """
    change = chunked(_change(k, v, real.flatten(2)[..., : k.shape[2]]), 2, CHUNK)
    return AdaptiveMomenta.apply(chunked(k, 2, CHUNK), chunked(v, 2, CHUNK), change, real, delta)


class AdaptiveMomenta(torch.autograd.Function):
    """Momenta (B, H, C, K), chunk after chunk.

    Takes k (B, H, C, K, D), v (B, H, C, K, M), the squared norms (B, H, C, K) of the changes of U,
    which tokens are real (B or 1, 1, C, K), and delta.
    """

    apply: ClassVar[Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]]

    @staticmethod
    def forward(
        ctx: Any, k: Tensor, v: Tensor, change: Tensor, real: Tensor, delta: float
    ) -> Tensor:
        """The loop over tokens runs on the host, in numpy: few numbers, and its calls are short."""
        kk, vv = k @ k.mT, v @ v.mT
        roots = (change + TINY) ** 0.25
        p = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
        momenta, sizes, starts = [], [], []
        pieces = k, v, kk * vv, roots, real.expand(change.shape)
        for keys, values, gram, root, here in zip(*(x.unbind(2) for x in pieces), strict=True):
            cross = ((keys @ p) * values).sum(-1)
            mu, size, kept = _scan(gram, cross, (p * p).sum((-2, -1)), root, here, 1 - delta)
            for found, new in ((momenta, mu), (sizes, size), (starts, p)):
                found.append(new)
            p = torch.addcmul(keys.mT @ (kept[..., 1:, :] * values), p, kept[..., :1, :])
        stacked = (torch.stack(x, 2) for x in (momenta, sizes, starts))
        momenta_, sizes_, starts_ = stacked
        ctx.delta = delta
        ctx.save_for_backward(k, v, kk, vv, change, real, momenta_, sizes_, starts_)
        return momenta_

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Solve (I - J)^T x = gradient, where J_il is dmu_i / dmu_l through the norm of p_{i-1}.

        The gradient by mu has a part y through p at a chunk's end, which is known when the chunks
        behind are done; x is linear in it.
        """
        k, v, kk, vv, change, real, momenta, sizes, p = ctx.saved_tensors
        by_size, by_change = _slopes(change + TINY, sizes + TINY, real, 1 - ctx.delta)
        fading = Products.apply(momenta)
        last, fading = fading[..., -1, :], _before(fading)
        kp = k @ p
        gram = _with_start(kk * vv, (kp * v).sum(-1, keepdim=True), (p * p).sum((-2, -1)))
        scaled = by_size.unsqueeze(-1) * fading
        # p_{i-1} moves by F_{i-1,l} p_{l-1} with mu_l
        jacobian = (scaled @ gram @ fading.mT).mul_(fading[..., 1:]).mul_(-2)
        jacobian.diagonal(dim1=-2, dim2=-1).fill_(1)
        through_end = last[..., 1:, None] * fading
        solved = torch.linalg.solve_triangular(
            jacobian.mT,
            torch.cat([gradient.unsqueeze(-1), through_end], -1),
            upper=True,
            unitriangular=True,
        )
        # by p at the start, and half by its products: 2 F^T diag(x by_size) F_0
        by_products = (2 * fading[..., :1] * scaled).mT @ solved
        ends, y = _back_through_chunks(k, v, p, last[..., 0], by_products)
        x = solved[..., :1] + solved[..., 1:] @ y
        by_gram = fading.mT @ (x * scaled)
        ends_, crossed = k @ ends, 2 * by_gram[..., 1:, :1]
        kept, inner = last[..., 1:, None], by_gram[..., 1:, 1:]
        by_k = ((2 * inner * vv) @ k) + (crossed * v) @ p.mT + (kept * v) @ ends.mT
        by_v = ((2 * inner * kk) @ v).addcmul_(crossed, kp).addcmul_(kept, ends_)
        return by_k, by_v, x.squeeze(-1) * by_change, None, None


def _slopes(change: Tensor, sizes: Tensor, real: Tensor, cap: float) -> tuple[Tensor, Tensor]:
    """Derivatives of momenta by the squared norms of p and of the change of U."""
    root = (change / sizes) ** 0.25
    free = real & ((1 - root).square() < cap)
    slope = ((1 - root) * root / 2).where(free, 0.0)
    return slope / sizes, -slope / change


def _back_through_chunks(
    k: Tensor, v: Tensor, p: Tensor, kept: Tensor, by_products: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by p after each chunk (B, H, C, D, M), and their products with what makes it.

    Args:
        k: (B, H, C, K, D).
        v: (B, H, C, K, M).
        p: (B, H, C, D, M), before each chunk.
        kept: (B, H, C), how much of it is left after the chunk.
        by_products: (B, H, C, K + 1, K + 2), gradients by products of p before the chunk with
            itself and with all U, first what does not depend on the products y, then by y.
    """
    end = torch.zeros_like(p[:, :, 0])
    ends, products = [], []
    pieces = k, v, p, kept[..., None, None], by_products
    for keys, values, start, left, by in reversed(
        list(zip(*(x.unbind(2) for x in pieces), strict=True))
    ):
        own = (start * end).sum((-2, -1), keepdim=True)
        y = torch.cat([own, ((keys @ end) * values).sum(-1, keepdim=True)], -2)
        ends.append(end)
        products.append(y)
        back = by[..., :1] + by[..., 1:] @ y
        end = torch.addcmul(keys.mT @ (back[..., 1:, :] * values), end, left)
        end.addcmul_(start, back[..., :1, :])
    return torch.stack(ends[::-1], 2), torch.stack(products[::-1], 2)


Array = np.ndarray[Any, np.dtype[Any]]


def _scan(
    gram: Tensor, cross: Tensor, size: Tensor, roots: Tensor, real: Tensor, cap: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One chunk's momenta and squared norms of p before each token, (B, H, K) both.

    And what is left at its end of p from before it, and of each token, (B, H, K + 1, 1).

    Args:
        gram: (B, H, K, K), products of the tokens' U; overwritten.
        cross: (B, H, K), their products with p at the start; overwritten.
        size: (B, H), the squared norm of p at the start.
        roots: (B, H, K), fourth roots of the squared norms of changes of U.
        real: (B, H, K) bool.
        cap: the largest momentum.
    """
    where, device = roots.shape, gram.device
    g, c, s, r, here = (x.flatten(0, 1).numpy(force=True) for x in (gram, cross, size, roots, real))
    momenta, sizes = np.empty_like(r), np.empty_like(r)
    skips = None if here.all() else ~here
    for i in range(r.shape[1]):
        sizes[:, i] = s
        mu = np.minimum(np.square(1 - r[:, i] / np.sqrt(np.sqrt(s + TINY))), cap)
        if skips is not None:
            mu[skips[:, i]] = 1
        momenta[:, i] = mu
        s = np.maximum(mu * (mu * s + 2 * c[:, i]) + g[:, i, i], 0)
        rest = c[:, i + 1 :]
        rest *= mu[:, None]
        rest += g[:, i, i + 1 :]
    kept = np.ones((len(r), r.shape[1] + 1, 1), r.dtype)
    np.cumprod(momenta[:, ::-1], 1, out=kept[:, -2::-1, 0])
    found = (torch.from_numpy(x).to(device) for x in (momenta, sizes, kept))
    mu, size, left = (x.view(*where[:2], *x.shape[1:]) for x in found)
    return mu, size, left


def _before(fading: Tensor) -> Tensor:
    """F of the tokens before: a chunk's first row is its start."""
    before = torch.zeros_like(fading)
    before[..., 1:, :] = fading[..., :-1, :]
    before[..., 0, 0] = 1
    return before


def _change(k: Tensor, v: Tensor, real: Tensor) -> Tensor:
    """(B, H, T), squared norms of U_i - U_{i-1}, between real tokens; the first is from 0.

    By differences of k and of v, which stays exact where a token hardly differs from the last.
    """
    old_k, old_v = _latest(k, real), _latest(v, real)
    dk, dv = k - old_k, v - old_v
    cross = (dk * old_k).sum(-1) * (v * dv).sum(-1)
    change = _square(dk) * _square(v) + 2 * cross + _square(old_k) * _square(dv)
    return change.clamp(min=0)


def _latest(x: Tensor, real: Tensor) -> Tensor:
    """X (B, H, T, D) at the latest real token before each; 0 where there is none."""
    if real.all():
        return torch.cat([torch.zeros_like(x[:, :, :1]), x[:, :, :-1]], 2)
    times = torch.arange(x.shape[2], device=x.device)
    latest = times.where(real, -1).cummax(-1).values  # (B or 1, 1, T)
    source = torch.cat([torch.full_like(latest[..., :1], -1), latest[..., :-1]], -1) + 1
    padded = torch.cat([torch.zeros_like(x[:, :, :1]), x], 2)
    return padded.gather(2, source.unsqueeze(-1).expand_as(x))


def _square(x: Tensor) -> Tensor:
    return (x * x).sum(-1)


def _with_start(gram: Tensor, cross: Tensor, own: Tensor) -> Tensor:
    """The Gram matrix (B, H, K + 1, K + 1) of p, by its products, and the outer products."""
    first = torch.cat([own[..., None, None], cross.mT], -1)
    return torch.cat([first, torch.cat([cross, gram], -1)], -2)
