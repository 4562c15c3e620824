"""What tasks share whose samples are sequences of tokens: whole numbers from 0 on."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from .task import IGNORED, Task


class TokenTask(Task):
    """Inputs (B, T) of whole numbers below `input_size`."""

    length: int  # T of the longest sequence
    padding: int | None = None  # the token that fills up shorter ones, behind their end


class TokenPrediction(TokenTask):
    """Logits (B, T, K) against classes (B, T), `IGNORED` where nothing is to be predicted."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross entropy in nats, the mean over what is to be predicted."""
        return cross_entropy(prediction.flatten(0, -2), target.flatten(), ignore_index=IGNORED)

    def condensed(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and classes (N,) where something is to be predicted."""
        there = target != IGNORED
        return prediction[there], target[there]
