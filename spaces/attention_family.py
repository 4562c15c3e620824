"""Attentions and connections as the variants of a space: the baseline, and what momentum makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from ..models import (
    AutoregressiveTransformer,
    EncoderDecoderTransformer,
    PairClassifier,
    TransformerClassifier,
    TransformerSettings,
)
from ..models.tasks import TokenTask
from .family import same_gain
from .parameters import Float, Parameters, Values
from .space import Grid, Variant, tried

SMALL: Parameters = {
    "features": 32,
    "heads": 4,
    "layers": 2,
    "dropout": 0.0,
    "lr": Float(1e-3, 2e-2, log=True),
    "batch_size": 32,
    "schedule": "cosine",
}
"""What learns in seconds on one core."""


def classifier(task: TokenTask, **settings: Any) -> nn.Module:
    """An encoder that answers once, from the mean over the sequence."""
    return TransformerClassifier(
        task.input_size,
        task.length,
        task.output_size,
        TransformerSettings(**settings),
        padding=task.padding,
    )


def pair_classifier(task: TokenTask, **settings: Any) -> nn.Module:
    """An encoder that reads two sequences apart, and one answer to both."""
    return PairClassifier(
        task.input_size,
        task.length,
        task.output_size,
        TransformerSettings(**settings),
        padding=task.padding,
    )


def predictor(task: TokenTask, **settings: Any) -> nn.Module:
    """A decoder that answers at every step."""
    return AutoregressiveTransformer(
        task.input_size, task.length, task.output_size, TransformerSettings(**settings)
    )


def translator(task: TokenTask, **settings: Any) -> nn.Module:
    """An encoder, and a decoder that reads it and answers at every step."""
    return EncoderDecoderTransformer(
        task.input_size,
        task.output_size,
        task.length,
        task.length,
        TransformerSettings(**settings),
        padding=task.padding or 0,
    )


def variants(
    network: Callable[..., nn.Module],
    *,
    momentum: Float,
    step: Float,
    grid: Grid,
    residual_grid: Grid,
    adaptive_steps: Sequence[float],
    residual_momentum: Float = Float(0.0, 0.99),  # noqa: B008, a value that nobody changes
    residual_step: Float = Float(0.1, 2.0, log=True),  # noqa: B008
) -> list[Variant]:
    """Attentions and connections with and without momentum; linear attention is the baseline.

    What the authors call adaptive momentum is momentum attention with an adaptive connection
    (section 3.1); its delta is the one that they chose everywhere. Where a momentum is searched, a
    control has none at the same step, and another none at the step that has the same effect in the
    long run.

    Args:
        network: `classifier`, `pair_classifier`, `predictor` or `translator`.
        momentum: the range for attention.
        step: the range for attention.
        grid: the authors' momenta and steps for attention.
        residual_grid: theirs for the momentum connection.
        adaptive_steps: theirs for the adaptive connection.
        residual_momentum: the range for the momentum connection.
        residual_step: the range for both connections.
    """
    attention: Parameters = {"momentum": momentum, "step": step}
    momentum_connection: Parameters = {
        "residual_momentum": residual_momentum,
        "residual_step": residual_step,
    }
    adaptive_connection: Parameters = {"residual_step": residual_step, "delta": 1e-4}
    return [
        Variant("linear", partial(network, attention="linear"), baseline=True),
        Variant("softmax", partial(network, attention="softmax")),
        Variant(
            "momentum",
            partial(network, attention="momentum"),
            parameters=attention,
            controls={"no_momentum": {"momentum": 0.0}, "same_gain": same_gain},
            **tried(attention, grid),
        ),
        Variant(
            "momentum_residual",
            partial(network, attention="momentum", residual="momentum"),
            parameters={**attention, **momentum_connection},
            controls={
                "no_momentum": {"momentum": 0.0},
                "no_residual_momentum": {"residual_momentum": 0.0},
                "same_residual_gain": same_residual_gain,
            },
            **tried(momentum_connection, residual_grid),
        ),
        Variant(
            "adaptive_residual",
            partial(network, attention="momentum", residual="adaptive"),
            parameters={**attention, **adaptive_connection},
            controls={
                "no_momentum": {"momentum": 0.0},
                "no_residual_momentum": {"delta": 1.0},
            },
            **tried(adaptive_connection, {"residual_step": adaptive_steps}),
        ),
        Variant(
            "adaptive",
            partial(network, attention="adaptive"),
            parameters={"step": step, "delta": 1e-4},
            controls={"no_momentum": {"delta": 1.0}},
            **tried(attention, {"step": grid["step"]}),
        ),
    ]


def same_residual_gain(values: Values) -> Values:
    """Residual momentum 0 and step/(1 - momentum): the same gain over many layers."""
    gain = values["residual_step"] / (1 - values["residual_momentum"])
    return {"residual_momentum": 0.0, "residual_step": gain}
