r"""The momenta of adaptive attention, found a chunk of time at a time.

$\mu_i$ depends on $\|p_{i-1}\|$, hence on all momenta before, and not linearly: this is one thing
that has to be computed token by token. But it is one number for each head, and norms need no outer
products: with $U_0 = p$ at a chunk's start and $F$ as in `attention_chunks`,
$p_i = \sum_j F_{ij} U_j$, so all that enters is the Gram matrix
$\langle U_i, U_j \rangle = (k_i \cdot k_j) (v_i \cdot v_j)$. The loop over tokens is over rows of
K numbers; everything else is matrix products. The backward pass has no loop over tokens at all:
the momenta of a chunk solve a triangular system of equations, and the implicit function theorem
gives their derivatives by one triangular solve.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .attention_chunks import Products, add_product, chunked, dot, products_back, rows_before
from .attention_state import TINY, in_full_precision
from .gradients import by_hand

CHUNK = 32  # tokens: their Gram matrices are the cost, so fewer than in `attention_chunks`


def adaptive_products(k: Tensor, v: Tensor, delta: float, real: Tensor) -> Tensor:
    """(B, H, C, K, K + 1), F of all chunks by the momenta at all tokens; 1 where not real.

    Args:
        k: (B, H, T, D), features of keys; 0 where not real.
        v: (B, H, T, M), values.
        delta: the largest momentum is 1 - delta.
        real: (B or 1, 1, C, K) bool, `chunked` by `CHUNK`.
    """
    there = real.flatten(2)[..., : k.shape[2]]
    change = chunked(Change.apply(k, _latest(k, there), v, _latest(v, there)), 2, CHUNK)
    return AdaptiveProducts.apply(chunked(k, 2, CHUNK), chunked(v, 2, CHUNK), change, real, delta)


class AdaptiveProducts(torch.autograd.Function):
    """F (B, H, C, K, K + 1), chunk after chunk.

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
        gram = kk * vv
        gram.diagonal(dim1=-2, dim2=-1).mul_(0.5)
        roots = change.clamp(min=TINY) ** 0.25
        p = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
        found: list[tuple[Tensor, ...]] = []
        pieces = k, v, gram, roots, real.expand(change.shape)
        for keys, values, inner, root, here in zip(*(x.unbind(2) for x in pieces), strict=True):
            kp = keys @ p
            cross = dot(kp, values)
            mu, size, kept = _scan(inner, cross, (p * p).sum((-2, -1)), root, here, 1 - delta)
            found.append((mu, size, p, kp))
            p = torch.addcmul(keys.mT @ (kept[..., 1:, :] * values), p, kept[..., :1, :])
        momenta, *others = (torch.stack(each, 2) for each in zip(*found, strict=True))
        fading = Products.apply(momenta)
        ctx.delta = delta
        ctx.save_for_backward(k, v, kk, vv, change, real, fading, *others)
        return fading

    @staticmethod
    @by_hand("the steps of `attention_state`")
    @in_full_precision
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Solve (I - J)^T x = gradient, where J_il is dmu_i / dmu_l through the norm of p_{i-1}.

        The gradient by mu has a part y through p at a chunk's end, which is known when the chunks
        behind are done; x is linear in it.
        """
        k, v, kk, vv, change, real, fading, sizes, p, kp = ctx.saved_tensors
        by_size, by_change = _slopes(change.clamp(min=TINY), sizes, real, 1 - ctx.delta)
        last, before = fading[..., -1, :], rows_before(fading)
        gradient = products_back(fading, before, gradient)
        fading = before
        gram = _with_start(kk * vv, dot(kp, v).unsqueeze(-1), (p * p).sum((-2, -1)))
        scaled = by_size.unsqueeze(-1) * fading
        # p_{i-1} moves by F_{i-1,l} p_{l-1} with mu_l; torch takes the diagonal for 1
        system = (scaled @ gram @ fading.mT).mul_(fading[..., 1:]).mul_(-2).mT
        ends, ke, x = _back_through_chunks(k, v, p, gradient, fading, last, scaled, system)
        by_gram = fading.mT @ (x * scaled)
        crossed, kept, inner = 2 * by_gram[..., 1:, :1], last[..., 1:, None], by_gram[..., 1:, 1:]
        inner.mul_(2)
        by_k = add_product((inner * vv) @ k, crossed * v, p.mT)
        add_product(by_k, kept * v, ends.mT)
        by_v = ((inner * kk) @ v).addcmul_(crossed, kp).addcmul_(kept, ke)
        return by_k, by_v, x.squeeze(-1) * by_change, None, None


def _slopes(change: Tensor, sizes: Tensor, real: Tensor, cap: float) -> tuple[Tensor, Tensor]:
    """Derivatives of momenta by the squared norms of p and of the change of U."""
    root = (change / sizes) ** 0.25
    free = real & ((1 - root).square() < cap)
    slope = ((1 - root) * root / 2).where(free, 0.0)
    return slope / sizes, -slope / change


def _back_through_chunks(
    k: Tensor,
    v: Tensor,
    p: Tensor,
    gradient: Tensor,
    fading: Tensor,
    last: Tensor,
    scaled: Tensor,
    system: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients by p after each chunk (B, H, C, D, M), k by them, and solutions x (B, H, C, K, 1).

    Args:
        k: (B, H, C, K, D).
        v: (B, H, C, K, M).
        p: (B, H, C, D, M), before each chunk.
        gradient: (B, H, C, K), by momenta.
        fading: (B, H, C, K, K + 1), F of the tokens before.
        last: (B, H, C, K + 1), its row after the last token.
        scaled: (B, H, C, K, K + 1), F times the derivatives of momenta by squared norms of p.
        system: (B, H, C, K, K), the upper triangle of (I - J)^T.
    """
    end = torch.zeros_like(p[:, :, 0])
    found: list[tuple[Tensor, ...]] = []
    by_start = (2 * fading[..., :1] * scaled).mT  # 2 <p, U_j> is in the squared norms
    last, gradient = last.unsqueeze(-1), gradient.unsqueeze(-1)
    pieces = k, v, p, gradient, last[..., 1:, :] * fading, last[..., :1, :], system, by_start
    for keys, values, start, by, through, left, upper, to_start in reversed(
        list(zip(*(x.unbind(2) for x in pieces), strict=True))
    ):
        own = (start * end).sum((-2, -1), keepdim=True)
        ke = keys @ end
        y = torch.cat([own, dot(ke, values).unsqueeze(-1)], -2)
        x = torch.linalg.solve_triangular(upper, by + through @ y, upper=True, unitriangular=True)
        found.append((end, ke, x))
        back = to_start @ x
        end = torch.addcmul(keys.mT @ (back[..., 1:, :] * values), end, left)
        end.addcmul_(start, back[..., :1, :])
    return tuple(torch.stack(each, 2) for each in zip(*reversed(found), strict=True))


Array = np.ndarray[Any, np.dtype[Any]]


def _scan(
    gram: Tensor, cross: Tensor, size: Tensor, roots: Tensor, real: Tensor, cap: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One chunk's momenta and squared norms of p before each token, (B, H, K) both.

    And what is left at its end of p from before it, and of each token, (B, H, K + 1, 1).

    Args:
        gram: (B, H, K, K), products of the tokens' U, half of those with themselves.
        cross: (B, H, K), their products with p at the start; overwritten.
        size: (B, H), the squared norm of p at the start.
        roots: (B, H, K), fourth roots of the squared norms of changes of U.
        real: (B, H, K) bool.
        cap: the largest momentum.
    """
    where, device = roots.shape, gram.device
    g, c, half, r, here = (
        x.flatten(0, 1).numpy(force=True) for x in (gram, cross, size / 2, roots / 2**0.25, real)
    )
    momenta, sizes = np.empty_like(r), np.empty_like(r)
    skips = None if here.all() else ~here
    for i, (root, mu, size_) in enumerate(zip(r.T, momenta.T, sizes.T, strict=True)):
        np.maximum(half, TINY / 2, out=size_)
        np.minimum(np.square(1 - root / np.sqrt(np.sqrt(size_))), cap, out=mu)
        if skips is not None:
            mu[skips[:, i]] = 1
        rest = c[:, i:]
        half = rest[:, 0]
        half += mu * size_
        rest *= mu[:, None]
        rest += g[:, i, i:]
    sizes *= 2
    kept = np.ones((len(r), r.shape[1] + 1, 1), r.dtype)
    np.cumprod(momenta[:, ::-1], 1, out=kept[:, -2::-1, 0])
    found = (torch.from_numpy(x).to(device) for x in (momenta, sizes, kept))
    mu, size, left = (x.view(*where[:2], *x.shape[1:]) for x in found)
    return mu, size, left


class Change(torch.autograd.Function):
    """Squared norms (..., T) of k v^T - k' v'^T.

    Takes k and k' (..., T, D), v and v' (..., T, M). By differences of k and of v, which stays
    exact where a token hardly differs from the last.
    """

    apply: ClassVar[Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]]

    @staticmethod
    def forward(ctx: Any, k: Tensor, old_k: Tensor, v: Tensor, old_v: Tensor) -> Tensor:
        """Of (k - k') v^T + k' (v - v')^T."""
        dk, dv = k - old_k, v - old_v
        products = [dot(*pair) for pair in ((dk, dk), (dk, old_k), (old_k, old_k))]
        products += [dot(*pair) for pair in ((v, v), (v, dv), (dv, dv))]
        ctx.save_for_backward(dk, old_k, v, dv, *products)
        kk, kl, ll, vv, vw, ww = products
        return (kk * vv + 2 * kl * vw + ll * ww).clamp_(min=0)

    @staticmethod
    @by_hand("the steps of `attention_state`")
    @in_full_precision
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each a sum of two of the four vectors."""
        dk, old_k, v, dv, *products = ctx.saved_tensors
        kk, kl, ll, vv, vw, ww = (2 * (gradient * x).unsqueeze(-1) for x in products)
        by_dv = (kl * v).addcmul_(ll, dv)
        return (
            (vv * dk).addcmul_(vw, old_k),
            ((vw - vv) * dk).addcmul_(ww - vw, old_k),
            (kk * v).addcmul_(kl, dv).add_(by_dv),
            by_dv.neg_(),
        )


def _latest(x: Tensor, real: Tensor) -> Tensor:
    """X (B, H, T, D) at the latest real token before each; 0 where there is none."""
    if real.all():
        return torch.cat([torch.zeros_like(x[:, :, :1]), x[:, :, :-1]], 2)
    times = torch.arange(x.shape[2], device=x.device)
    latest = times.where(real, -1).cummax(-1).values  # (B or 1, 1, T)
    source = torch.cat([torch.full_like(latest[..., :1], -1), latest[..., :-1]], -1) + 1
    padded = torch.cat([torch.zeros_like(x[:, :, :1]), x], 2)
    return padded.gather(2, source.unsqueeze(-1).expand_as(x))


def _with_start(gram: Tensor, cross: Tensor, own: Tensor) -> Tensor:
    """The Gram matrix (B, H, K + 1, K + 1) of p, by its products, and the outer products."""
    first = torch.cat([own[..., None, None], cross.mT], -1)
    return torch.cat([first, torch.cat([cross, gram], -1)], -2)
