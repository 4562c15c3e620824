"""Questions about momentum in transformers: repeating, ListOps, images (paper section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from ..models import (
    CIFAR10,
    AutoregressiveTransformer,
    Generation,
    GreyImages,
    ListOps,
    Repeat,
    TransformerClassifier,
    TransformerSettings,
)
from ..models.tasks import TokenTask
from .family import same_gain
from .parameters import Float, Parameters, Values
from .space import Grid, Space, Variant


def classifier(task: TokenTask, **settings: Any) -> nn.Module:
    """An encoder that answers once, from the mean over the sequence."""
    return TransformerClassifier(
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


def variants(
    network: Callable[..., nn.Module],
    *,
    momentum: Float,
    step: Float,
    grid: Grid,
    residual_grid: Grid,
    adaptive_steps: Sequence[float],
) -> list[Variant]:
    """Attentions and connections with and without momentum; linear attention is the baseline.

    What the authors call adaptive momentum is momentum attention with an adaptive connection
    (section 3.1). Where a momentum is searched, a control has none at the same step, and another
    none at the step that has the same effect in the long run.

    Args:
        network: `classifier` or `predictor`.
        momentum: the range for attention.
        step: the range for attention.
        grid: the authors' momenta and steps for attention.
        residual_grid: theirs for the momentum connection.
        adaptive_steps: theirs for the adaptive connection.
    """
    attention: Parameters = {"momentum": momentum, "step": step}
    residual_step = Float(0.1, 2.0, log=True)
    return [
        Variant("linear", partial(network, attention="linear"), baseline=True),
        Variant("softmax", partial(network, attention="softmax")),
        Variant(
            "momentum",
            partial(network, attention="momentum"),
            parameters=attention,
            controls={"no_momentum": {"momentum": 0.0}, "same_gain": same_gain},
            grid=grid,
        ),
        Variant(
            "momentum_residual",
            partial(network, attention="momentum", residual="momentum"),
            parameters={
                **attention,
                "residual_momentum": Float(0.0, 0.99),
                "residual_step": residual_step,
            },
            controls={
                "no_residual_momentum": {"residual_momentum": 0.0},
                "same_residual_gain": same_residual_gain,
            },
            grid=residual_grid,
        ),
        Variant(
            "adaptive_residual",
            partial(network, attention="momentum", residual="adaptive"),
            parameters={**attention, "residual_step": residual_step, "delta": 1e-4},
            controls={"no_residual_momentum": {"delta": 1.0}},
            grid={"residual_step": adaptive_steps},
        ),
        Variant(
            "adaptive",
            partial(network, attention="adaptive"),
            parameters={"step": step, "delta": 1e-4},
            controls={"no_momentum": {"delta": 1.0}},
            grid={"step": grid["step"]},
        ),
    ]


def same_residual_gain(values: Values) -> Values:
    """Residual momentum 0 and step/(1 - momentum): the same gain over many layers."""
    gain = values["residual_step"] / (1 - values["residual_momentum"])
    return {"residual_momentum": 0.0, "residual_step": gain}


_SMALL: Parameters = {
    "features": 32,
    "heads": 4,
    "layers": 2,
    "dropout": 0.0,
    "lr": Float(1e-3, 2e-2, log=True),
    "batch_size": 32,
    "schedule": "cosine",
}
"""What learns in seconds on one core."""


# Repeating a word: the paper's copy task. Grids of section 3.3 from a step of 0.01 on; its momentum
# of 1 is left out, because no step has the same gain.

copy_attention = Space(
    "copy-attention",
    question=(
        "Does momentum bring linear attention nearer to softmax attention at repeating what it "
        "read, and is it the momentum or the gain?"
    ),
    task=partial(Repeat, 32),
    parameters=_SMALL,
    variants=variants(
        predictor,
        momentum=Float(0.0, 0.999),
        step=Float(0.01, 2.0, log=True),
        grid={
            "momentum": [0.0, 0.1, 0.3, 0.6, 0.9, 0.99, 0.999],
            "step": [0.01, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0],
        },
        residual_grid={
            "residual_momentum": [0.1, 0.3, 0.6, 0.9, 0.99],
            "residual_step": [0.1, 0.3, 0.6, 0.9, 1.0],
        },
        adaptive_steps=[0.1, 0.3, 0.6, 0.9, 1.0],
    ),
    trials=8,
    epochs=8,
    seeds=5,
    paper={
        # As in section 3.2, but on 64,000 words ten times instead of 640,000 once, with Adam
        # instead of RAdam, and with learned places instead of sinusoids.
        "task": partial(Repeat, 128, train=64_000, held_out=1280),
        "parameters": {
            "features": 256,
            "heads": 8,
            "layers": 4,
            "dropout": 0.1,
            "prenorm": False,
            "lr": Float(3e-4, 3e-3, log=True),
            "weight_decay": 0.01,
            "batch_size": 64,
        },
        "epochs": 10,
    },
)


# The Long Range Arena. Its grid has a momentum of 1, which is 0/0 in the published code (O-T2).

_ARENA: dict[str, Any] = {
    "momentum": Float(0.0, 0.99),
    "step": Float(0.1, 2.0, log=True),
    "grid": {"momentum": [0.1, 0.3, 0.6, 0.9], "step": [0.1, 0.3, 0.6, 0.9, 1.0, 2.0]},
    "residual_grid": {
        "residual_momentum": [0.1, 0.3, 0.6, 0.9, 0.99],
        "residual_step": [0.1, 0.3, 0.6, 0.9, 0.99, 1.0, 2.0],
    },
    "adaptive_steps": [0.1, 0.3, 0.6, 0.9, 0.99, 1.0, 2.0],
}
_ARENA_SIZES: Parameters = {
    "features": 64,
    "heads": 2,
    "layers": 2,
    "expansion": 2,
    "lr": Float(3e-5, 1e-3, log=True),  # 1e-4 in the paper
    "optimizer": "adamw",
}

listops_attention = Space(
    "listops-attention",
    question="Does momentum help linear attention to work out nested expressions?",
    task=partial(ListOps, 32, train=4000, held_out=1000),
    parameters=_SMALL,
    variants=variants(classifier, **_ARENA),
    trials=8,
    epochs=6,
    seeds=5,
    paper={
        "task": partial(ListOps, 2000, shortest=500, train=96_000, held_out=2000),
        "parameters": {**_ARENA_SIZES, "batch_size": 32},
        "epochs": 2,  # 5,000 batches are 1.7
    },
)


def grey_photographs(side: int = 32, samples: int | None = None) -> GreyImages:
    """CIFAR-10 in grey; sizes as in `CIFAR10`."""
    return GreyImages(CIFAR10(side=side, samples=samples))


image_attention = Space(
    "image-attention",
    question="Does momentum help linear attention to tell photographs apart, byte by byte?",
    task=partial(grey_photographs, side=16, samples=2000),
    parameters=_SMALL,
    variants=variants(classifier, **_ARENA),
    trials=6,
    epochs=4,
    seeds=5,
    paper={
        "task": grey_photographs,
        "parameters": {**_ARENA_SIZES, "batch_size": 256},
        "epochs": 200,  # 35,000 batches
    },
)


# Images, pixel by pixel

generation_attention = Space(
    "generation-attention",
    question="Does momentum help linear attention to make images, pixel by pixel?",
    task=Generation,
    parameters=_SMALL,
    variants=variants(predictor, **_ARENA),
    trials=8,
    epochs=8,
    seeds=5,
    paper={
        # As in section 3.2, with Adam instead of RAdam. The authors chose momentum 0.6, step 0.9.
        "task": partial(Generation, "mnist"),
        "parameters": {
            "features": 256,
            "heads": 8,
            "layers": 8,
            "lr": Float(3e-5, 3e-4, log=True),
            "batch_size": 10,
        },
        "epochs": 250,  # 1.5 million batches
    },
)
