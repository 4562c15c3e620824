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
    k, v = chunked(k, 2, CHUNK), chunked(v, 2, CHUNK)
    gram = (k @ k.mT) * (v @ v.mT)
    p = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
    momenta = []
    pieces = (x.unbind(2) for x in (gram, change, k, v, real.expand(k.shape[:4])))
    for inner, moved, keys, values, here in zip(*pieces, strict=True):
        mu = AdaptiveScan.apply(_with_start(inner, p, keys, values), moved, here, delta)
        momenta.append(mu)
        kept = Products.apply(mu)[..., -1, :, None]
        p = kept[..., :1, :] * p + keys.mT @ (kept[..., 1:, :] * values)
    return torch.stack(momenta, 2)


class AdaptiveScan(torch.autograd.Function):
    """Momenta (B, H, K) of a chunk.

    Takes its Gram matrix (B, H, K + 1, K + 1) with p at the start in front, the squared norms
    (B, H, K) of the changes of U, which tokens are real (B, H, K), and delta.
    """

    apply: ClassVar[Callable[[Tensor, Tensor, Tensor, float], Tensor]]

    @staticmethod
    def forward(ctx: Any, gram: Tensor, change: Tensor, real: Tensor, delta: float) -> Tensor:
        """The loop runs on the host, in numpy: these are few numbers, and its calls are short."""
        arrays = _scan(
            gram.flatten(0, 1).permute(1, 2, 0).contiguous().numpy(force=True),
            change.flatten(0, 1).T.contiguous().numpy(force=True),
            real.flatten(0, 1).T.contiguous().numpy(force=True),
            1 - delta,
        )
        found = (torch.from_numpy(x).movedim(-1, 0).to(gram.device).contiguous() for x in arrays)
        mu, size, fading = (x.view(*gram.shape[:2], *x.shape[1:]) for x in found)
        ctx.delta = delta
        ctx.save_for_backward(gram, change, real, fading, size)
        return mu

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Solve (I - J)^T x = gradient, where J_il is dmu_i / dmu_l through the norm of p_{i-1}."""
        gram, change, real, fading, size = ctx.saved_tensors
        size = size + TINY
        root = ((change + TINY) / size) ** 0.25
        free = real & ((1 - root).square() < 1 - ctx.delta)
        slope = ((1 - root) * root / 2).where(free, 0.0)
        by_size, by_change = slope / size, -slope / (change + TINY)
        inner = fading @ gram @ fading.mT  # of p_{i-1} and p_{l-1}
        # p_{i-1} moves by F_{i-1,l} p_{l-1} with mu_l
        jacobian = 2 * by_size.unsqueeze(-1) * fading[..., 1:] * inner
        eye = torch.eye(jacobian.shape[-1], dtype=gram.dtype, device=gram.device)
        solved = torch.linalg.solve_triangular(
            (eye - jacobian).mT, gradient.unsqueeze(-1), upper=True, unitriangular=True
        )
        weighted = solved * by_size.unsqueeze(-1) * fading
        return fading.mT @ weighted, solved.squeeze(-1) * by_change, None, None


Array = np.ndarray[Any, np.dtype[Any]]


def _scan(gram: Array, change: Array, real: Array, cap: float) -> tuple[Array, Array, Array]:
    """Momenta (K, N), squared norms of p before each token (K, N), and p's row of F (K, K + 1, N).

    Of N heads: their Gram matrices (K + 1, K + 1, N), changes (K, N), which tokens are real.
    """
    fading = np.zeros_like(gram[1:])
    fading[0, 0] = 1
    momenta, sizes = np.empty_like(change), np.empty_like(change)
    roots = np.sqrt(np.sqrt(change + TINY))
    size = gram[0, 0]
    for i, (root, mu, there) in enumerate(zip(roots, momenta, real, strict=True)):
        sizes[i] = size
        np.square(1 - root / np.sqrt(np.sqrt(size + TINY)), out=mu)
        np.minimum(mu, cap, out=mu)
        mu[~there] = 1
        if i + 1 < len(roots):
            row, past = fading[i, : i + 1], gram[i + 1, : i + 1]
            cross = np.einsum("jn,jn->n", row, past)
            size = np.maximum(mu * (mu * size + 2 * cross) + gram[i + 1, i + 1], 0)
            np.multiply(row, mu, out=fading[i + 1, : i + 1])
            fading[i + 1, i + 1] = 1
    return momenta, sizes, fading


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


def _with_start(gram: Tensor, p: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The Gram matrix (B, H, K + 1, K + 1) of p (B, H, D, M) and the outer products."""
    cross = ((k @ p) * v).sum(-1, keepdim=True)  # (B, H, K, 1)
    own = (p * p).sum((-2, -1))[..., None, None]
    return torch.cat([torch.cat([own, cross.mT], -1), torch.cat([cross, gram], -1)], -2)
