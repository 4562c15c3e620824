"""Networks from sequences of tokens: an answer to the whole, or one at every step."""

from typing import Any

import torch
from torch import Tensor, nn

from .transformer import Transformer, TransformerSettings


class TokenEmbedding(nn.Module):
    """A vector for each token and one for each place, both learned, added.

    Args:
        num_tokens: there are.
        length: of the longest sequence.
        features: F, of a vector.
    """

    def __init__(self, num_tokens: int, length: int, features: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(num_tokens, features)
        self.places = nn.Embedding(length, features)
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.5)  # so that their sum is about 1 in size

    def forward(self, tokens: Tensor, first: int = 0) -> Tensor:
        """(B, T, F) of whole numbers (B, T), the first of which stands at a place.

        Raises:
            ValueError: the sequence is longer than there are places.
        """
        last = first + tokens.shape[1]
        if last > self.places.num_embeddings:
            raise ValueError(
                f"a sequence may have {self.places.num_embeddings} tokens, got {last}; "
                "build the network with a larger length"
            )
        embedded: Tensor = self.tokens(tokens) + self.places.weight[first:last]
        return embedded


class SequenceEncoder(nn.Module):
    """One vector for a sequence: the mean of the top layer over what is there.

    Args:
        num_tokens: there are.
        length: of the longest sequence.
        settings: of the layers.
        padding: the token that stands behind the end of shorter sequences; None when there is none.
    """

    def __init__(
        self, num_tokens: int, length: int, settings: TransformerSettings, padding: int | None
    ) -> None:
        super().__init__()
        self.padding = padding
        self.embedding = TokenEmbedding(num_tokens, length, settings.features)
        self.encoder = Transformer(settings, causal=False)

    def encoded(self, tokens: Tensor) -> Tensor:
        """(B, F) from tokens (B, T)."""
        there = torch.ones_like(tokens, dtype=torch.bool)
        if self.padding is not None:
            there = tokens != self.padding
            longest = max(int(there.sum(1).max()), 1)  # what is behind it costs time
            tokens, there = tokens[:, :longest], there[:, :longest]
        top = self.encoder(self.embedding(tokens), None if self.padding is None else there)
        weights = there.unsqueeze(-1).to(top.dtype)
        mean: Tensor = (top * weights).sum(1) / weights.sum(1).clamp_min(1)
        return mean


class TransformerClassifier(SequenceEncoder):
    """One answer to a sequence, linear in its vector.

    Args:
        num_tokens: there are.
        length: of the longest sequence.
        num_outputs: K, classes.
        settings: of the layers.
        padding: the token that stands behind the end of shorter sequences; None when there is none.
    """

    def __init__(
        self,
        num_tokens: int,
        length: int,
        num_outputs: int,
        settings: TransformerSettings,
        *,
        padding: int | None = None,
    ) -> None:
        super().__init__(num_tokens, length, settings, padding)
        self.head = nn.Linear(settings.features, num_outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, K) from tokens (B, T)."""
        answer: Tensor = self.head(self.encoded(tokens))
        return answer


class PairClassifier(SequenceEncoder):
    """One answer to two sequences, which one encoder reads, each by itself.

    Of their vectors a and b, two linear layers see [a, b, a b, a - b], as for the Long Range
    Arena's retrieval.

    Args are those of `TransformerClassifier`.
    """

    def __init__(
        self,
        num_tokens: int,
        length: int,
        num_outputs: int,
        settings: TransformerSettings,
        *,
        padding: int | None = None,
    ) -> None:
        super().__init__(num_tokens, length, settings, padding)
        features, wide = settings.features, settings.expansion * settings.features
        self.head = nn.Sequential(
            nn.Linear(4 * features, wide), nn.ReLU(), nn.Linear(wide, num_outputs)
        )

    def forward(self, pairs: Tensor) -> Tensor:
        """(B, K) from pairs of sequences (B, 2, T)."""
        a, b = self.encoded(pairs.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        answer: Tensor = self.head(torch.cat([a, b, a * b, a - b], -1))
        return answer


class AutoregressiveTransformer(nn.Module):
    """An answer at every step of a sequence, from the tokens up to there.

    Args:
        num_tokens: there are.
        length: of the longest sequence.
        num_outputs: K, numbers that are predicted at a step.
        settings: of the layers.
    """

    def __init__(
        self, num_tokens: int, length: int, num_outputs: int, settings: TransformerSettings
    ) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(num_tokens, length, settings.features)
        self.decoder = Transformer(settings, causal=True)
        self.head = nn.Linear(settings.features, num_outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, K) from tokens (B, T)."""
        answers: Tensor = self.head(self.decoder(self.embedding(tokens)))
        return answers

    def token(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """(B, K) from the next token (B,) of each sequence, and the state to go on with.

        Args:
            tokens: whole numbers.
            state: what the call for the token before returned; None at the beginning.
        """
        place, states = state or (0, None)
        embedded = self.embedding(tokens.unsqueeze(1), place).squeeze(1)
        top, states = self.decoder.token(embedded, states)
        return self.head(top), (place + 1, states)
