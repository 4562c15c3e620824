"""What queries from elsewhere read: all that an attention keeps of keys and values.

For linear attentions that is the state after the last key, whose size does not grow with the keys;
momentum then weighs a key by how many come after it. Softmax attention has to keep them all.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .attention_adaptive import CHUNK, adaptive_products
from .attention_chunks import chunked, momentum_total
from .attention_state import (
    KeyValueState,
    LinearState,
    full_precision,
    key_features,
    read,
    with_ones,
    working,
)


def softmax_attention_memory(
    k: Tensor, v: Tensor, *, key_mask: Tensor | None = None
) -> KeyValueState:
    """All keys and values. Arguments are those of `linear_attention_memory`."""
    real = k.new_ones(k.shape[0], k.shape[2], dtype=torch.bool) if key_mask is None else key_mask
    return KeyValueState(k, v, real)


def linear_attention_memory(k: Tensor, v: Tensor, *, key_mask: Tensor | None = None) -> LinearState:
    """The state after the last key.

    Args:
        k: (B, H, T, D), keys.
        v: (B, H, T, M), values.
        key_mask: (B, T) bool, True where a key is real. The others are as if not there.
    """
    with full_precision(k):
        phi = key_features(k, key_mask)
        return LinearState(phi.mT @ working(v), phi.sum(2))


def momentum_attention_memory(
    k: Tensor,
    v: Tensor,
    *,
    momentum: float | Tensor,
    step: float | Tensor,
    key_mask: Tensor | None = None,
    normalised: bool = False,
) -> LinearState:
    """The state after the last key; z has the momentum too where it is normalised.

    Args are those of `linear_attention_memory`, and `momentum_attention`'s coefficients.
    """
    with full_precision(k):
        phi = key_features(k, key_mask)
        values = with_ones(working(v)) if normalised else working(v)
        s = phi.mT @ (values * (step * weights_to_end(momentum, phi, key_mask)))
        return LinearState(s[..., :-1], s[..., -1]) if normalised else LinearState(s, phi.sum(2))


def adaptive_momentum_attention_memory(
    k: Tensor,
    v: Tensor,
    *,
    step: float | Tensor,
    delta: float = 1e-4,
    key_mask: Tensor | None = None,
) -> LinearState:
    """The state after the last key.

    Args are those of `linear_attention_memory`, and `adaptive_momentum_attention`'s coefficients.
    """
    with full_precision(k):
        phi, values, real = key_features(k, key_mask), working(v), real_keys(k, key_mask)
        fading = adaptive_products(phi, values, delta, real)
        return LinearState(step * momentum_total(phi, values, fading, real), phi.sum(2))


def recall(memory: KeyValueState | LinearState, q: Tensor) -> Tensor:
    """(B, H, T, M), what queries (B, H, T, D) read, in the memory's precision."""
    if isinstance(memory, LinearState):
        return read(memory.s, memory.z, q)
    mask = memory.real[:, None, None]
    return scaled_dot_product_attention(q, memory.k, memory.v, attn_mask=mask)


def weights_to_end(momentum: float | Tensor, k: Tensor, key_mask: Tensor | None) -> Tensor:
    """(B or 1, 1, T, 1): 1 + momentum + ... + momentum^n, with n real keys after a key."""
    mu = torch.as_tensor(momentum, dtype=k.dtype, device=k.device)
    there = k.new_ones(1, k.shape[2], dtype=torch.bool) if key_mask is None else key_mask
    after = there.flip(1).cumsum(1).flip(1) - there.long()
    powers = torch.cat([torch.ones_like(mu)[None], mu.expand(k.shape[2] - 1)]).cumprod(0)
    return powers.cumsum(0)[after][:, None, :, None]


def real_keys(k: Tensor, key_mask: Tensor | None) -> Tensor:
    """(B or 1, 1, C, K) bool, which keys are real, as `adaptive_products` wants it."""
    there = k.new_ones(1, k.shape[2], dtype=torch.bool) if key_mask is None else key_mask
    return chunked(there.unsqueeze(1), 2, CHUNK)
