"""What tasks share that ask for one class of several."""

from typing import Literal

from torch import Tensor
from torch.nn.functional import cross_entropy

from .task import Task


class Classification(Task):
    """Logits (B, K) against classes (B,): cross entropy to learn by, accuracy to judge by."""

    metric = "accuracy"
    direction: Literal["maximize", "minimize"] = "maximize"

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross entropy in nats."""
        return cross_entropy(prediction, target)

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss`, and `accuracy`: the share of samples whose largest logit is the right one."""
        right = prediction.argmax(dim=-1) == target
        return {
            "loss": self.loss(prediction, target).item(),
            "accuracy": right.double().mean().item(),
        }
