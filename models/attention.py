"""Attention over whole sequences: softmax, linear, momentum, adaptive momentum.

All take queries (B, H, T, D), keys (B, H, T, D) and values (B, H, T, M), and give (B, H, T, M).
Causal, query i reads keys up to i; otherwise every query reads the state after the last key, and
queries may be more or fewer than keys. A key that `key_mask` leaves out is as if it were not
there: no time passes for momentum. What they compute is told in `attention_state`.
"""

from functools import partial
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .attention_adaptive import adaptive_products
from .attention_chunks import CHUNK, Products, chunked, key_sums, linear_sums, momentum_sums
from .attention_memory import (
    adaptive_momentum_attention_memory,
    linear_attention_memory,
    momentum_attention_memory,
    real_keys,
    recall,
    weights_to_end,
)
from .attention_state import (
    EPSILON,
    adaptive_momentum_attention_step,
    check_coefficients,
    features,
    full_precision,
    key_features,
    linear_attention_step,
    momentum_attention_step,
    read,
    with_ones,
    working,
)

S = TypeVar("S")
Weighting = Literal["recurrence", "published"]


def softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool, key_mask: Tensor | None = None
) -> Tensor:
    """Torch's scaled dot-product attention; a query that may read no key gives 0.

    Arguments are those of `linear_attention`.
    """
    _check(q, k, v, causal, key_mask)
    if key_mask is None:
        return scaled_dot_product_attention(q, k, v, is_causal=causal)
    mask = key_mask[:, None, None]
    if causal:
        mask = mask & torch.ones_like(mask.expand(-1, -1, q.shape[2], -1)).tril()
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool, key_mask: Tensor | None = None
) -> Tensor:
    """Attention whose similarity is a product of features, in time linear in T.

    Args:
        q: (B, H, T_q, D), queries.
        k: (B, H, T_k, D), keys.
        v: (B, H, T_k, M), values.
        causal: query i reads keys up to i only; T_q = T_k.
        key_mask: (B, T_k) bool, True where a key is real. The others are as if not there.

    Returns:
        (B, H, T_q, M) in v's dtype; added up in float32, or in float64 for such inputs.

    Raises:
        ValueError: shapes do not fit.
    """
    _check(q, k, v, causal, key_mask)
    if not causal:
        return recall(linear_attention_memory(k, v, key_mask=key_mask), q).to(v.dtype)
    with full_precision(q):
        q_, k_, v_ = _prepared(q, k, v, key_mask)
        return (linear_sums(q_, k_, v_) / _normaliser(q_, k_)).to(v.dtype)


def momentum_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    momentum: float | Tensor,
    step: float | Tensor,
    causal: bool,
    key_mask: Tensor | None = None,
    normalised: bool = False,
    weighting: Weighting = "recurrence",
) -> Tensor:
    """Linear attention whose state moves with heavy-ball momentum.

    Query i reads key j with the weight step (1 - momentum^(i-j+1)) / (1 - momentum), its limit
    step (i-j+1) at momentum 1. Momentum 0 and step 1 make it linear attention.

    Args:
        q: (B, H, T_q, D), queries.
        k: (B, H, T_k, D), keys.
        v: (B, H, T_k, M), values.
        momentum: in [0, 1]; a number or a 0-d tensor, into which gradients flow.
        step: above 0, likewise.
        causal: query i reads keys up to i only; T_q = T_k.
        key_mask: (B, T_k) bool, True where a key is real. The others are as if not there.
        normalised: the normaliser has the momentum too, so that weights add up to 1 and the step
            is without effect. Published without.
        weighting: "published" weighs key j by its distance from the last key, T_k, as the authors'
            training code does, whatever the query. Appending a token then changes all earlier
            outputs. It differs from the recurrence only where causal. For comparison only.

    Returns:
        (B, H, T_q, M) in v's dtype; added up in float32, or in float64 for such inputs.

    Raises:
        ValueError: shapes do not fit, or a coefficient is out of its range.
    """
    _check(q, k, v, causal, key_mask)
    check_coefficients(momentum=momentum, step=step)
    if weighting not in ("recurrence", "published"):
        raise ValueError(f"weighting is 'recurrence' or 'published', got {weighting!r}")
    if not causal:
        memory = momentum_attention_memory(
            k, v, momentum=momentum, step=step, key_mask=key_mask, normalised=normalised
        )
        return recall(memory, q).to(v.dtype)
    with full_precision(q):
        q_, k_, v_ = _prepared(q, k, v, key_mask)
        values = with_ones(v_) if normalised else v_
        if weighting == "recurrence":
            fading, real = _constant(momentum, k_, key_mask)
            sums = step * momentum_sums(q_, k_, values, fading, real)
        else:
            sums = linear_sums(q_, k_, values * (step * weights_to_end(momentum, k_, key_mask)))
        if normalised:
            return (sums[..., :-1] / (sums[..., -1:] + EPSILON)).to(v.dtype)
        return (sums / _normaliser(q_, k_)).to(v.dtype)


def adaptive_momentum_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    step: float | Tensor,
    delta: float = 1e-4,
    causal: bool,
    key_mask: Tensor | None = None,
) -> Tensor:
    """Momentum attention whose momentum is found from how fast keys and values change.

    Each head has its own momentum at each token, in [0, 1 - delta]: small where successive outer
    products of key and value differ much, large where they hardly do.

    Args are those of `momentum_attention`, and delta in [0, 1].
    """
    _check(q, k, v, causal, key_mask)
    check_coefficients(step=step, delta=delta)
    if not causal:
        memory = adaptive_momentum_attention_memory(k, v, step=step, delta=delta, key_mask=key_mask)
        return recall(memory, q).to(v.dtype)
    with full_precision(q):
        q_, k_, v_ = _prepared(q, k, v, key_mask)
        real = real_keys(k, key_mask)
        fading = adaptive_products(k_, v_, delta, real)
        # Where nothing is masked, tokens that fill the last chunk follow all others: no matter.
        sums = momentum_sums(q_, k_, v_, fading, None if key_mask is None else real)
        return (step * sums / _normaliser(q_, k_)).to(v.dtype)


def linear_attention_loop(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool, key_mask: Tensor | None = None
) -> Tensor:
    """`linear_attention`, one token after the other. This is the specification."""
    _check(q, k, v, causal, key_mask)
    state, outputs = _walk(linear_attention_step, q, k, v, causal, key_mask)
    return outputs if causal else read(state.s, state.z, q).to(v.dtype)


def momentum_attention_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    momentum: float | Tensor,
    step: float | Tensor,
    causal: bool,
    key_mask: Tensor | None = None,
    normalised: bool = False,
) -> Tensor:
    """`momentum_attention`, one token after the other. This is the specification."""
    _check(q, k, v, causal, key_mask)
    advance = partial(momentum_attention_step, momentum=momentum, step=step, normalised=normalised)
    state, outputs = _walk(advance, q, k, v, causal, key_mask)
    s, z = (state.s[..., :-1], state.s[..., -1]) if normalised else (state.s, state.z)
    return outputs if causal else read(s, z, q).to(v.dtype)


def adaptive_momentum_attention_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    step: float | Tensor,
    delta: float = 1e-4,
    causal: bool,
    key_mask: Tensor | None = None,
) -> Tensor:
    """`adaptive_momentum_attention`, one token after the other. This is the specification."""
    _check(q, k, v, causal, key_mask)
    advance = partial(adaptive_momentum_attention_step, step=step, delta=delta)
    state, outputs = _walk(advance, q, k, v, causal, key_mask)
    return outputs if causal else read(state.s, state.z, q).to(v.dtype)


class _Step(Protocol[S]):
    def __call__(
        self, state: S | None, q: Tensor, k: Tensor, v: Tensor, *, real: Tensor | None = None
    ) -> tuple[S, Tensor]: ...


def _walk(
    advance: _Step[S], q: Tensor, k: Tensor, v: Tensor, causal: bool, key_mask: Tensor | None
) -> tuple[S, Tensor]:
    """The state after the last token, and what the queries read on the way, where causal."""
    state, outputs = None, []
    for i in range(k.shape[2]):
        real = None if key_mask is None else key_mask[:, i]
        query = q[:, :, i] if causal else k[:, :, i]
        state, output = advance(state, query, k[:, :, i], v[:, :, i], real=real)
        outputs.append(output)
    assert state is not None  # there is a token: checked
    return state, torch.stack(outputs, 2)


def _check(q: Tensor, k: Tensor, v: Tensor, causal: bool, key_mask: Tensor | None) -> None:
    """Raise ValueError where shapes do not fit together."""
    shapes = f"got q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if q.dim() != 4 or k.dim() != 4 or v.dim() != 4 or not k.shape[2] or not q.shape[2]:
        raise ValueError(f"q, k, v are (B, H, T, D) with at least one token, {shapes}")
    if (*q.shape[:2], q.shape[3]) != (*k.shape[:2], k.shape[3]) or k.shape[:3] != v.shape[:3]:
        raise ValueError(f"q and k share B, H and D, and k and v share B, H and T, {shapes}")
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(f"causal attention has a query for each key, {shapes}; try causal=False")
    if key_mask is None:
        return
    if key_mask.dtype != torch.bool or key_mask.shape != (k.shape[0], k.shape[2]):
        raise ValueError(
            f"key_mask is bool, True for a real key, of shape (B, T) = "
            f"{(k.shape[0], k.shape[2])}, got {key_mask.dtype} of {tuple(key_mask.shape)}"
        )


def _prepared(
    q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of queries and keys, and values, in the precision to add up in."""
    return features(working(q)), key_features(k, key_mask), working(v)


def _normaliser(q: Tensor, k: Tensor) -> Tensor:
    """(B, H, T, 1), sums of q_i k_j over the keys up to i."""
    return (q * key_sums(k)).sum(-1, keepdim=True) + EPSILON


def _constant(
    momentum: float | Tensor, k: Tensor, key_mask: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """F by one momentum for all tokens, and which are real, as `momentum_sums` has them."""
    mu = torch.as_tensor(momentum, dtype=k.dtype, device=k.device)
    if key_mask is None:
        return Products.apply(mu.expand(1, 1, 1, min(CHUNK, k.shape[2]))), None
    real = chunked(key_mask.unsqueeze(1), 2)
    return Products.apply(mu.where(real, 1.0)), real
