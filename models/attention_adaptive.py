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
        momenta, sizes = torch.empty_like(change), torch.empty_like(change)
        roots = (change + TINY) ** 0.25
        p = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
        starts = []
        for c, (keys, values) in enumerate(zip(k.unbind(2), v.unbind(2), strict=True)):
            starts.append(p)
            gram = (keys @ keys.mT).mul_(values @ values.mT)
            cross = ((keys @ p) * values).sum(-1)
            mu, size = _scan(
                gram, cross, p.square().sum((-2, -1)), roots[:, :, c], real[:, :, c], 1 - delta
            )
            momenta[:, :, c], sizes[:, :, c] = mu, size
            kept = _until_end(momenta[:, :, c])
            p = kept[..., :1, :] * p + keys.mT @ (kept[..., 1:, :] * values)
        ctx.delta = delta
        ctx.save_for_backward(k, v, change, real, momenta, sizes, torch.stack(starts, 2))
        return momenta

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """From the last chunk to the first, each by one triangular solve; see `_by_chunk`."""
        k, v, change, real, momenta, sizes, starts = ctx.saved_tensors
        sizes, change = sizes + TINY, change + TINY
        root = (change / sizes) ** 0.25
        free = real & ((1 - root).square() < 1 - ctx.delta)
        slope = ((1 - root) * root / 2).where(free, 0.0)
        by_size, by_change = slope / sizes, -slope / change
        by_k, by_v, solved = torch.empty_like(k), torch.empty_like(v), torch.empty_like(change)
        by_p = torch.zeros_like(starts[:, :, 0])
        pieces = (k, v, momenta, by_size, starts, gradient, by_k, by_v, solved)
        for piece in reversed(list(zip(*(x.unbind(2) for x in pieces), strict=True))):
            by_p = _chunk_back(by_p, *piece)
        return by_k, by_v, solved * by_change, None, None


def _chunk_back(
    by_end: Tensor,
    k: Tensor,
    v: Tensor,
    mu: Tensor,
    by_size: Tensor,
    p: Tensor,
    gradient: Tensor,
    by_k: Tensor,
    by_v: Tensor,
    solved: Tensor,
) -> Tensor:
    """Gradients of one chunk, written into by_k, by_v and solved; returns that by p at its start.

    Solves (I - J)^T x = gradient, where J_il is dmu_i / dmu_l through the norm of p_{i-1}.
    """
    fading = Products.apply(mu)
    last, fading = fading[..., -1, :], _shifted(fading)
    kk, vv = k @ k.mT, v @ v.mT
    both = torch.cat([p, by_end], -1)
    kp, ke = (k @ both).chunk(2, -1)
    kp, ke = k @ p, k @ by_end
    gram = _with_start(kk * vv, (kp * v).sum(-1, keepdim=True), (p * p).sum((-2, -1)))
    by_last = torch.cat([(p * by_end).sum((-2, -1)).unsqueeze(-1), (ke * v).sum(-1)], -1)
    gradient = gradient + (fading @ by_last.unsqueeze(-1)).squeeze(-1) * last[..., 1:]
    half = fading @ gram
    # p_{i-1} moves by F_{i-1,l} p_{l-1} with mu_l
    jacobian = (2 * by_size.unsqueeze(-1)) * fading[..., 1:] * (half @ fading.mT)
    eye = torch.eye(jacobian.shape[-1], dtype=gram.dtype, device=gram.device)
    x = torch.linalg.solve_triangular(
        (eye - jacobian).mT, gradient.unsqueeze(-1), upper=True, unitriangular=True
    )
    solved.copy_(x.squeeze(-1))
    by_gram = fading.mT @ (x * by_size.unsqueeze(-1) * fading)
    own, cross, inner = by_gram[..., :1, :1], by_gram[..., 1:, :1], by_gram[..., 1:, 1:]
    kept = last[..., 1:, None]
    cv, fv = 2 * cross * v, kept * v
    by_k.copy_(2 * (inner * vv) @ k + cv @ p.mT + fv @ by_end.mT)
    by_v.copy_(2 * (inner * kk) @ v + 2 * cross * kp + kept * ke)
    return 2 * own * p + k.mT @ cv + last[..., :1, None] * by_end


Array = np.ndarray[Any, np.dtype[Any]]


def _scan(
    gram: Tensor, cross: Tensor, size: Tensor, roots: Tensor, real: Tensor, cap: float
) -> tuple[Tensor, Tensor]:
    """Momenta (B, H, K) and squared norms of p before each token, of one chunk.

    Args:
        gram: (B, H, K, K), products of the tokens' U.
        cross: (B, H, K), their products with p at the start; overwritten.
        size: (B, H), the squared norm of p at the start.
        roots: (B, H, K), fourth roots of the squared norms of changes of U.
        real: (B or 1, 1, K) bool.
        cap: the largest momentum.
    """
    where, device = roots.shape, gram.device
    tensors = (gram, cross, size, roots, real.expand(where))
    g, c, s, r, here = (x.flatten(0, 1).numpy(force=True) for x in tensors)
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
    mu, size = (torch.from_numpy(x).to(device).view(where) for x in (momenta, sizes))
    return mu, size


def _until_end(mu: Tensor) -> Tensor:
    """(..., K + 1, 1), what is left at the end of p from before the chunk, and of each token."""
    left = torch.cat([mu, torch.ones_like(mu[..., :1])], -1)
    return left.flip(-1).cumprod(-1).flip(-1).unsqueeze(-1)


def _shifted(fading: Tensor) -> Tensor:
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
