"""Transformers whose attention and whose residual connections may have momentum.

Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762); the momentum by Nguyen et al.
(arXiv:2208.00579; section 3.1 of paper.md). The momentum connection is around the attention, the
one around the two linear layers stays plain, as published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor, nn

from .attention import (
    adaptive_momentum_attention,
    linear_attention,
    momentum_attention,
    softmax_attention,
)
from .attention_memory import (
    adaptive_momentum_attention_memory,
    linear_attention_memory,
    momentum_attention_memory,
    softmax_attention_memory,
)
from .attention_state import (
    adaptive_momentum_attention_step,
    check_coefficients,
    linear_attention_step,
    momentum_attention_step,
    softmax_attention_step,
)
from .connection import (
    AdaptiveConnection,
    Connection,
    MomentumConnection,
    Motion,
    PlainConnection,
)

AttentionName = Literal["softmax", "linear", "momentum", "adaptive"]
ResidualName = Literal["plain", "momentum", "adaptive"]


class Attention(NamedTuple):
    """One attention in its forms, which agree."""

    whole: Callable[..., Tensor]  # of a sequence
    token: Callable[..., tuple[Any, Tensor]]  # of one token and a state, causal
    memory: Callable[..., Any]  # of keys and values, for queries from elsewhere
    coefficients: tuple[str, ...] = ()  # that all forms take, by their names in the settings


ATTENTIONS: dict[AttentionName, Attention] = {
    "softmax": Attention(softmax_attention, softmax_attention_step, softmax_attention_memory),
    "linear": Attention(linear_attention, linear_attention_step, linear_attention_memory),
    "momentum": Attention(
        momentum_attention,
        momentum_attention_step,
        momentum_attention_memory,
        ("momentum", "step"),
    ),
    "adaptive": Attention(
        adaptive_momentum_attention,
        adaptive_momentum_attention_step,
        adaptive_momentum_attention_memory,
        ("step", "delta"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class TransformerSettings:
    """What a transformer is made of.

    Attributes:
        features: F, of a token's vector; a multiple of `heads`.
        heads: H, of the attention.
        layers: how many.
        expansion: how many times F wide a layer is between its two linear ones.
        dropout: the share of each layer's changes that is dropped in training.
        prenorm: normalise what a layer reads, instead of what it returns.
        attention: a name in `ATTENTIONS`.
        momentum: of momentum attention.
        step: of momentum and adaptive attention.
        residual: the connection around the attention.
        residual_momentum: of the momentum connection.
        residual_step: of the momentum and the adaptive connection.
        delta: adaptive momentum of either kind is at most 1 - delta.
    """

    features: int = 64
    heads: int = 4
    layers: int = 2
    expansion: int = 4
    dropout: float = 0.0
    prenorm: bool = True
    attention: AttentionName = "softmax"
    momentum: float = 0.0
    step: float = 1.0
    residual: ResidualName = "plain"
    residual_momentum: float = 0.0
    residual_step: float = 1.0
    delta: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("features", "heads", "layers", "expansion"):
            if (size := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if self.features % self.heads:
            raise ValueError(
                "features must be a multiple of heads, "
                f"got features={self.features}, heads={self.heads}"
            )
        for name, known in (("attention", AttentionName), ("residual", ResidualName)):
            if (chosen := getattr(self, name)) not in get_args(known):
                raise ValueError(f"no {name} {chosen!r}; there are {', '.join(get_args(known))}")
        check_coefficients(momentum=self.momentum, step=self.step, delta=self.delta)
        _ = self.connection  # which checks its own

    @property
    def connection(self) -> Connection:
        """What goes around the attention."""
        match self.residual:
            case "plain":
                return PlainConnection()
            case "momentum":
                return MomentumConnection(self.residual_momentum, self.residual_step)
            case "adaptive":
                return AdaptiveConnection(self.residual_step, self.delta)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, in several heads.

    Args:
        settings: which attention, and its sizes.
        causal: whether a token sees only itself and those before it.
    """

    def __init__(self, settings: TransformerSettings, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = settings.heads, causal
        self.form = ATTENTIONS[settings.attention]
        self.coefficients = {name: getattr(settings, name) for name in self.form.coefficients}
        self.project = nn.Linear(settings.features, 3 * settings.features)
        self.join = nn.Linear(settings.features, settings.features)

    def forward(self, x: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """(B, T, F) from (B, T, F); no token sees one where the mask (B, T) is false."""
        q, k, v = (each.transpose(1, 2) for each in self._projected(x))
        attended = self.form.whole(
            q, k, v, causal=self.causal, key_mask=key_mask, **self.coefficients
        )
        joined: Tensor = self.join(attended.transpose(1, 2).flatten(-2))
        return joined

    def token(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """(B, F) from the next token (B, F) and what is remembered of those before it."""
        state, attended = self.form.token(state, *self._projected(x), **self.coefficients)
        return self.join(attended.flatten(-2)), state

    def _projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (..., H, D)."""
        split: Tensor = self.project(x).unflatten(-1, (3, self.heads, -1))
        return split.unbind(-3)


class Block(nn.Module):
    """One layer: attention, then two linear layers, each with its connection and its norm.

    Args are those of `SelfAttention`.
    """

    def __init__(self, settings: TransformerSettings, *, causal: bool) -> None:
        super().__init__()
        features, wide = settings.features, settings.expansion * settings.features
        self.prenorm, self.connection = settings.prenorm, settings.connection
        self.attention = SelfAttention(settings, causal=causal)
        self.attention_norm, self.linear_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.dropout = nn.Dropout(settings.dropout)
        self.linear = nn.Sequential(
            nn.Linear(features, wide),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(wide, features),
            nn.Dropout(settings.dropout),
        )

    def forward(
        self, x: Tensor, motion: Motion | None, key_mask: Tensor | None = None
    ) -> tuple[Tensor, Motion]:
        """(B, T, F) from (B, T, F), and the motion for the next layer; None in the first."""
        change = self.attention(self._read(x, self.attention_norm), key_mask)
        x, motion = self._moved(x, change, motion, self.attention_norm)
        return self._widened(x), motion

    def token(self, x: Tensor, motion: Motion | None, state: Any) -> tuple[Tensor, Motion, Any]:
        """The same for one token (B, F), with what the attention remembers."""
        change, state = self.attention.token(self._read(x, self.attention_norm), state)
        x, motion = self._moved(x, change, motion, self.attention_norm)
        return self._widened(x), motion, state

    def _read(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        read: Tensor = norm(x) if self.prenorm else x
        return read

    def _moved(
        self, x: Tensor, change: Tensor, motion: Motion | None, norm: nn.LayerNorm
    ) -> tuple[Tensor, Motion]:
        """An attention's change is joined to what it read."""
        x, motion = self.connection(x, self.dropout(change), motion)
        moved: Tensor = x if self.prenorm else norm(x)
        return moved, motion

    def _widened(self, x: Tensor) -> Tensor:
        """The two linear layers' change likewise, without momentum."""
        widened: Tensor
        if self.prenorm:
            widened = x + self.linear(self.linear_norm(x))
        else:
            widened = self.linear_norm(x + self.linear(x))
        return widened


class Transformer(nn.Module):
    """Layers over vectors: an encoder, or with `causal` a decoder.

    Args are those of `SelfAttention`.
    """

    def __init__(self, settings: TransformerSettings, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.blocks = nn.ModuleList(Block(settings, causal=causal) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.features) if settings.prenorm else nn.Identity()

    def forward(self, x: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """(B, T, F) from (B, T, F); no token sees one where the mask (B, T) is false."""
        motion = None
        for block in self.blocks:
            x, motion = block(x, motion, key_mask)
        normed: Tensor = self.norm(x)
        return normed

    def token(self, x: Tensor, states: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """(B, F) from the next token (B, F), and what each layer remembers; at first None.

        Memory does not grow with the tokens before, but for softmax attention.
        """
        if not self.causal:
            raise ValueError("token by token goes only what is causal; build with causal=True")
        motion, kept = None, []
        for block, state in zip(self.blocks, states or [None] * len(self.blocks), strict=True):
            assert isinstance(block, Block)
            x, motion, state = block.token(x, motion, state)
            kept.append(state)
        return self.norm(x), kept
