r"""Attention as a recurrence: what is remembered of keys and values, and how it moves.

With the feature map $\phi(x) = \mathrm{elu}(x) + 1$ and $U_i = \phi(k_i) v_i^T$, all start from 0:

- linear: $s_i = s_{i-1} + U_i$;
- momentum: $p_i = \mu p_{i-1} - U_i$, then $s_i = s_{i-1} - \gamma p_i$: heavy ball, whose
  gradient is $-U_i$, with momentum $\mu$ and step $\gamma$;
- adaptive: the same with the momentum $\mu_i = \mathrm{proj}_{[0, 1 - \delta]}
  (1 - \sqrt{\|U_i - U_{i-1}\| / \|p_{i-1}\|})^2$, Frobenius norms for each head; it is
  $1 - \sqrt{\gamma \|\Delta g\| / \|\Delta s\|}$ squared, because $\Delta s = -\gamma p_{i-1}$;

and in all $z_i = z_{i-1} + \phi(k_i)$ without momentum,
$o_i = \phi(q_i)^T s_i / (\phi(q_i)^T z_i + \epsilon)$.

Katharopoulos et al., "Transformers are RNNs", ICML 2020; Nguyen, Baraniuk, Kirby, Osher, Wang,
"Momentum Transformer: closing the performance gap between self-attention and its linearization",
2022; Sun et al., "Training deep neural networks with adaptive momentum inspired by the quadratic
optimization", 2021. The step forms here are the specification; `attention` computes whole
sequences at once.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

T = TypeVar("T")

EPSILON = 1e-6  # beside the normaliser, as published
TINY = 1e-24  # squared norms below it count as this, so that 0 / 0 is 1 and roots have gradients


class KeyValueState(NamedTuple):
    """All keys and values so far: what softmax attention remembers. It grows with each token."""

    k: Tensor  # (B, H, T, D)
    v: Tensor  # (B, H, T, M)
    real: Tensor  # (B, T) bool, which of the keys count


class LinearState(NamedTuple):
    """What linear attention remembers."""

    s: Tensor  # (B, H, D, M), sum of outer products of keys' features and values
    z: Tensor  # (B, H, D), sum of keys' features: the normaliser


class MomentumAttentionState(NamedTuple):
    """What momentum attention remembers; where it is normalised, M is one more, the last for z."""

    s: Tensor  # (B, H, D, M)
    z: Tensor  # (B, H, D)
    p: Tensor  # (B, H, D, M), momentum


class AdaptiveMomentumState(NamedTuple):
    """What adaptive momentum attention remembers."""

    s: Tensor  # (B, H, D, M)
    z: Tensor  # (B, H, D)
    p: Tensor  # (B, H, D, M), momentum
    u: Tensor  # (B, H, D, M), the latest outer product


def features(x: Tensor) -> Tensor:
    """elu(x) + 1, written so that it stays positive where elu(x) rounds to -1."""
    return Features.apply(x)


class Features(torch.autograd.Function):
    """`features`, whose derivative is the smaller of 1 and what they are."""

    apply: ClassVar[Callable[[Tensor], Tensor]]  # torch leaves it without types

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """An exponential below 0, a straight line above."""
        phi = x.clamp(max=0).exp_().add_(x.clamp(min=0))
        ctx.save_for_backward(phi)
        return phi

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """By the features alone."""
        phi: Tensor = ctx.saved_tensors[0]
        return gradient * phi.clamp(max=1)


def working(x: Tensor) -> Tensor:
    """In the precision to add up in: float32 for anything shorter."""
    return x if x.dtype == torch.float64 else x.float()


def softmax_attention_step(
    state: KeyValueState | None, q: Tensor, k: Tensor, v: Tensor, *, real: Tensor | None = None
) -> tuple[KeyValueState, Tensor]:
    """One token of causal softmax attention. Arguments are those of `linear_attention_step`."""
    check_step(q, k, v, real)
    seen = k.new_ones(len(k), dtype=torch.bool) if real is None else real
    new = KeyValueState(k.unsqueeze(2), v.unsqueeze(2), seen.unsqueeze(1))
    if state is not None:
        k, v = torch.cat([state.k, new.k], 2), torch.cat([state.v, new.v], 2)
        new = KeyValueState(k, v, torch.cat([state.real, new.real], 1))
    mask = new.real[:, None, None]
    out = scaled_dot_product_attention(q.unsqueeze(2), new.k, new.v, attn_mask=mask)
    return new, out.squeeze(2)


def linear_attention_step(
    state: LinearState | None, q: Tensor, k: Tensor, v: Tensor, *, real: Tensor | None = None
) -> tuple[LinearState, Tensor]:
    """One token of causal linear attention; time and memory do not grow with the tokens before.

    Args:
        state: what the call for the token before returned; None at the first.
        q: (B, H, D), query.
        k: (B, H, D), key.
        v: (B, H, M), value.
        real: (B,) bool; where False the token is padding, which leaves the state as it was.

    Returns:
        The state after the token, in float32 or float64, and the output (B, H, M) in v's dtype.

    Raises:
        ValueError: shapes do not fit.
    """
    check_step(q, k, v, real)
    phi, u = _outer(k, v)
    old = LinearState(torch.zeros_like(u), torch.zeros_like(phi)) if state is None else state
    new = LinearState(old.s + u, old.z + phi)
    new = LinearState(*_where(real, new, old))
    return new, _read_one(new.s, new.z, q).to(v.dtype)


def momentum_attention_step(
    state: MomentumAttentionState | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    momentum: float | Tensor,
    step: float | Tensor,
    normalised: bool = False,
    real: Tensor | None = None,
) -> tuple[MomentumAttentionState, Tensor]:
    """One token of causal momentum attention.

    Args are those of `linear_attention_step`, and `momentum_attention`'s coefficients.
    """
    check_step(q, k, v, real)
    check_coefficients(momentum=momentum, step=step)
    phi, u = _outer(k, with_ones(v) if normalised else v)
    none = torch.zeros_like(u)
    old = MomentumAttentionState(none, torch.zeros_like(phi), none) if state is None else state
    p = momentum * old.p - u
    new = MomentumAttentionState(old.s - step * p, old.z + phi, p)
    new = MomentumAttentionState(*_where(real, new, old))
    return new, _read_one(*_normalised(new, normalised), q).to(v.dtype)


def adaptive_momentum_attention_step(
    state: AdaptiveMomentumState | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    step: float | Tensor,
    delta: float = 1e-4,
    real: Tensor | None = None,
) -> tuple[AdaptiveMomentumState, Tensor]:
    """One token of causal attention with adaptive momentum.

    Args are those of `linear_attention_step`, and `adaptive_momentum_attention`'s coefficients.
    """
    check_step(q, k, v, real)
    check_coefficients(step=step, delta=delta)
    phi, u = _outer(k, v)
    none = torch.zeros_like(u)
    old = AdaptiveMomentumState(none, torch.zeros_like(phi), none, none) if state is None else state
    change, size = ((u - old.u) ** 2).sum((-2, -1)), (old.p**2).sum((-2, -1))
    p = adaptive_momentum(change, size, delta)[..., None, None] * old.p - u
    new = AdaptiveMomentumState(old.s - step * p, old.z + phi, p, u)
    new = AdaptiveMomentumState(*_where(real, new, old))
    return new, _read_one(new.s, new.z, q).to(v.dtype)


def adaptive_momentum(change: Tensor, size: Tensor, delta: float) -> Tensor:
    """The optimal momentum by the squared norms of the gradient's change and of the momentum."""
    ratio = change.clamp(min=TINY) / size.clamp(min=TINY)
    return (1 - ratio**0.25).square().clamp(max=1 - delta)


def key_features(k: Tensor, key_mask: Tensor | None) -> Tensor:
    """Features of keys (B, H, T, D), in the precision to add up in; 0 where not real (B, T)."""
    phi = features(working(k))
    return phi if key_mask is None else phi * key_mask[:, None, :, None]


def full_precision(x: Tensor) -> torch.autocast:
    """Sums over thousands of tokens are not for bfloat16, whatever autocast says."""
    return torch.autocast(x.device.type, enabled=False)


def in_full_precision(backward: Callable[[Any, Tensor], T]) -> Callable[[Any, Tensor], T]:
    """A function's backward pass that is so too, where it is called inside of autocast."""

    @wraps(backward)
    def full(ctx: Any, gradient: Tensor) -> T:
        with full_precision(gradient):
            return backward(ctx, gradient)

    return full


def read(s: Tensor, z: Tensor, q: Tensor) -> Tensor:
    """(B, H, T, M), what queries (B, H, T, D) read from s (B, H, D, M) by z (B, H, D)."""
    with full_precision(q):
        phi = features(working(q))
        return (phi @ s) / (phi @ z.unsqueeze(-1) + EPSILON)


def with_ones(v: Tensor) -> Tensor:
    """(..., M + 1), values and a 1: its sum is the normaliser."""
    return torch.cat([v, torch.ones_like(v[..., :1])], -1)


def check_step(q: Tensor, k: Tensor, v: Tensor, real: Tensor | None) -> None:
    """Raise ValueError where the tensors of one token do not fit together."""
    if q.dim() != 3 or q.shape != k.shape or v.shape[:-1] != k.shape[:-1]:
        raise ValueError(
            "one token has q (B, H, D), k (B, H, D) and v (B, H, M), "
            f"got {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    if real is not None and (real.dtype != torch.bool or real.shape != k.shape[:1]):
        raise ValueError(
            f"real is bool of shape (B,) = ({len(k)},), got {real.dtype} of {tuple(real.shape)}"
        )


def check_coefficients(**coefficients: float | Tensor) -> None:
    """Raise ValueError where momentum, step or delta, by name, is out of its range."""
    ranges = {"momentum": (0.0, 1.0), "step": (0.0, float("inf")), "delta": (0.0, 1.0)}
    for name, value in coefficients.items():
        low, high = ranges[name]
        number = value.item() if isinstance(value, Tensor) else value
        if not low <= number <= high or (name == "step" and number in (low, high)):
            rule = "be above 0 and finite" if name == "step" else f"lie in [{low:g}, {high:g}]"
            raise ValueError(f"{name} must {rule}, got {number}")


def _outer(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, H, D) of keys, and their outer products (B, H, D, M) with values."""
    phi = features(working(k))
    return phi, phi.unsqueeze(-1) * working(v).unsqueeze(-2)


def _where(
    real: Tensor | None, new: tuple[Tensor, ...], old: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """The new state, but the old one where the token is padding."""
    if real is None:
        return new
    return tuple(
        torch.where(real.view(-1, *[1] * (a.dim() - 1)), a, b)
        for a, b in zip(new, old, strict=True)
    )


def _normalised(state: MomentumAttentionState, normalised: bool) -> tuple[Tensor, Tensor]:
    """The s (B, H, D, M) and z (B, H, D) that a query reads."""
    return (state.s[..., :-1], state.s[..., -1]) if normalised else (state.s, state.z)


def _read_one(s: Tensor, z: Tensor, q: Tensor) -> Tensor:
    return read(s, z, q.unsqueeze(2)).squeeze(2)
