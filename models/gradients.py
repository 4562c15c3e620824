"""Backward passes that are written by hand, and have no graph of their own."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

Backward = Callable[..., Any]


def by_hand(plain: str) -> Callable[[Backward], Backward]:
    """For a backward that cannot be differentiated: whoever asks for that is told what can.

    Torch's `once_differentiable` says so only where the gradient that comes in has a graph itself;
    elsewhere second derivatives come out wrong without a word.

    Args:
        plain: the form of the same that can be differentiated twice.

    Raises:
        RuntimeError: when the backward is called with `create_graph=True`.
    """

    def checked_by(backward: Backward) -> Backward:
        @wraps(backward)
        def checked(ctx: Any, *by: Tensor) -> Any:
            if torch.is_grad_enabled():
                raise RuntimeError(
                    "these gradients are written by hand, and cannot be differentiated again "
                    f"(create_graph=True); {plain} can"
                )
            return backward(ctx, *by)

        return checked

    return checked_by
