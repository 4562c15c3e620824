"""Transformers from one sequence to another: an encoder, and a decoder that also reads it.

Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), with the attentions and connections
of `transformer`. Both attentions of a decoder's layer have the chosen connection, each with a
velocity of its own; the paper tells of self-attention only.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .attention_memory import recall
from .connection import Motion
from .token_networks import TokenEmbedding
from .transformer import ATTENTIONS, Block, Transformer, TransformerSettings

Motions = tuple[Motion, Motion]  # of self-attention, of cross-attention


class CrossAttention(nn.Module):
    """Attention of one sequence to another, in several heads.

    Args:
        settings: which attention, and its sizes.
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.heads = settings.heads
        self.form = ATTENTIONS[settings.attention]
        self.coefficients = {name: getattr(settings, name) for name in self.form.coefficients}
        self.ask = nn.Linear(settings.features, settings.features)
        self.project = nn.Linear(settings.features, 2 * settings.features)
        self.join = nn.Linear(settings.features, settings.features)

    def memory(self, source: Tensor, key_mask: Tensor | None = None) -> Any:
        """What is kept of a source (B, S, F), where the mask (B, S) is true.

        Its size does not grow with S, but for softmax attention.
        """
        k, v = self.project(source).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.form.memory(k, v, key_mask=key_mask, **self.coefficients)

    def forward(self, x: Tensor, memory: Any) -> Tensor:
        """(B, T, F), what the tokens (B, T, F) read, each by itself."""
        q = self.ask(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        read = recall(memory, q).to(x.dtype)
        joined: Tensor = self.join(read.transpose(1, 2).flatten(-2))
        return joined


class DecoderBlock(Block):
    """Causal attention, attention to a source, then two linear layers.

    Args:
        settings: which attention and connection, and their sizes.
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__(settings, causal=True)
        self.cross = CrossAttention(settings)
        self.cross_norm = nn.LayerNorm(settings.features)

    def decode(self, x: Tensor, memory: Any, motions: Motions | None) -> tuple[Tensor, Motions]:
        """(B, T, F) from (B, T, F), and the motions for the next layer; None in the first."""
        own, other = motions or (None, None)
        change = self.attention(self._read(x, self.attention_norm))
        x, own = self._moved(x, change, own, self.attention_norm)
        x, other = self._crossed(x, memory, other)
        return self._widened(x), (own, other)

    def decode_token(
        self, x: Tensor, memory: Any, motions: Motions | None, state: Any
    ) -> tuple[Tensor, Motions, Any]:
        """The same for one token (B, F), with what the causal attention remembers."""
        own, other = motions or (None, None)
        change, state = self.attention.token(self._read(x, self.attention_norm), state)
        x, own = self._moved(x, change, own, self.attention_norm)
        x, other = self._crossed(x, memory, other)
        return self._widened(x), (own, other), state

    def _crossed(self, x: Tensor, memory: Any, motion: Motion | None) -> tuple[Tensor, Motion]:
        read = self._read(x, self.cross_norm)
        tokens = read.unsqueeze(1) if read.dim() == 2 else read
        return self._moved(x, self.cross(tokens, memory).view_as(x), motion, self.cross_norm)


class DecodingState(NamedTuple):
    """Where a decoder stands: the next place, and what each of its layers remembers."""

    place: int
    memories: list[Any]  # of the source
    states: list[Any]  # of the tokens so far; None before the first


class EncoderDecoderTransformer(nn.Module):
    """The next token of a target at every step, from a source and the target up to there.

    A source and its target come in one tensor (B, S + T), the source in its first S columns and
    the target behind, so that a split has one tensor of inputs.

    Args:
        source_tokens: there are in sources.
        target_tokens: there are in targets, K.
        source_length: S, columns of a source, what is shorter filled up with `padding`.
        target_length: of the longest target.
        settings: of the layers, as many in the encoder as in the decoder.
        padding: the token that stands behind the end of a shorter source, or target.
    """

    def __init__(
        self,
        source_tokens: int,
        target_tokens: int,
        source_length: int,
        target_length: int,
        settings: TransformerSettings,
        *,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.source_length, self.target_length = source_length, target_length
        self.padding = padding
        self.source_embedding = TokenEmbedding(source_tokens, source_length, settings.features)
        self.target_embedding = TokenEmbedding(target_tokens, target_length, settings.features)
        self.encoder = Transformer(settings, causal=False)
        self.decoder = nn.ModuleList(DecoderBlock(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.features) if settings.prenorm else nn.Identity()
        self.head = nn.Linear(settings.features, target_tokens)

    def forward(self, pairs: Tensor) -> Tensor:
        """(B, T, K) from sources and targets (B, S + T); an answer reads its target up to there.

        Raises:
            ValueError: there are no columns behind the source's.
        """
        if pairs.shape[1] <= self.source_length:
            raise ValueError(
                f"pairs have more than source_length={self.source_length} columns, the source's, "
                f"got {tuple(pairs.shape)}"
            )
        source, target = pairs.tensor_split([self.source_length], 1)
        x, motions = self.target_embedding(target), None
        for block, memory in zip(self._blocks(), self.memories(source), strict=True):
            x, motions = block.decode(x, memory, motions)
        answers: Tensor = self.head(self.norm(x))
        return answers

    def memories(self, source: Tensor) -> list[Any]:
        """What each layer of the decoder keeps of sources (B, S)."""
        there = source != self.padding
        longest = max(int(there.sum(1).max()), 1)  # what is behind it costs time
        source, there = source[:, :longest], there[:, :longest]
        encoded = self.encoder(self.source_embedding(source), there)
        return [block.cross.memory(encoded, there) for block in self._blocks()]

    def begin(self, source: Tensor) -> DecodingState:
        """Where the decoder stands before the first token of the targets of sources (B, S)."""
        return DecodingState(0, self.memories(source), [None] * len(self.decoder))

    def token(self, tokens: Tensor, state: DecodingState) -> tuple[Tensor, DecodingState]:
        """(B, K) from the next token (B,) of each target, and the state to go on with.

        Args:
            tokens: whole numbers.
            state: what the call for the token before returned; `begin` makes the first.
        """
        x = self.target_embedding(tokens.unsqueeze(1), state.place).squeeze(1)
        motions, kept = None, []
        for block, memory, old in zip(self._blocks(), state.memories, state.states, strict=True):
            x, motions, new = block.decode_token(x, memory, motions, old)
            kept.append(new)
        return self.head(self.norm(x)), DecodingState(state.place + 1, state.memories, kept)

    @torch.no_grad()
    def greedy(self, source: Tensor, *, start: int, end: int) -> Tensor:
        """(B, T), the targets of sources (B, S) by the likeliest token each time.

        From its end on a target is `padding`. Stops when all have ended, or at `target_length`.

        Args:
            source: as in `memories`.
            start: the token before a target's first.
            end: the token behind a target's last; it is not among the results.
        """
        state = self.begin(source)
        tokens = source.new_full((len(source),), start)
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        written: list[Tensor] = []
        while len(written) < self.target_length and not ended.all():
            answers, state = self.token(tokens, state)
            tokens = answers.argmax(-1)
            ended = ended | (tokens == end)
            written.append(tokens.masked_fill(ended, self.padding))
        return torch.stack(written, 1)

    def _blocks(self) -> list[DecoderBlock]:
        return [block for block in self.decoder if isinstance(block, DecoderBlock)]
