"""The Long Range Arena with linear, momentum and adaptive attention (paper section 3.2).

Sizes, batches and epochs at paper scale are the authors'. No range has their momentum of 1, because
it is 0/0 in the published code (oddity O-T2): their grids go without it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from ..models import CIFAR10, GreyImages, ListOps, Pathfinder, Retrieval, Reviews
from .attention_family import SMALL, classifier, pair_classifier, variants
from .parameters import Float, Parameters
from .space import Space

_GRIDS: dict[str, Any] = {
    "momentum": Float(0.0, 0.99),
    "step": Float(0.1, 2.0, log=True),
    "grid": {"momentum": [0.1, 0.3, 0.6, 0.9, 1.0], "step": [0.1, 0.3, 0.6, 0.9, 1.0, 2.0]},
    "residual_grid": {
        "residual_momentum": [0.1, 0.3, 0.6, 0.9, 0.99, 0.999],
        "residual_step": [0.001, 0.01, *(n / 10 for n in range(1, 11)), 0.99, 0.999, 2.0],
    },
    "adaptive_steps": [0.001, 0.01, *(n / 10 for n in range(1, 11)), 0.99, 0.999, 2.0],
}

_SIZES: Parameters = {
    "features": 64,
    "heads": 2,
    "layers": 2,
    "expansion": 2,
    "lr": Float(3e-5, 1e-3, log=True),  # 1e-4 in the paper
    "optimizer": "adamw",
}


def _at_paper_scale(
    network: Callable[..., nn.Module], task: Callable[..., Any], batch_size: int, epochs: int
) -> dict[str, Any]:
    """What changes; a connection's step may be as small as the authors', who chose 0.001 twice."""
    return {
        "task": task,
        "parameters": {**_SIZES, "batch_size": batch_size},
        "variants": variants(
            network,
            **_GRIDS,
            residual_momentum=Float(0.0, 0.999),
            residual_step=Float(0.001, 2.0, log=True),
        ),
        "epochs": epochs,
    }


listops_attention = Space(
    "listops-attention",
    question="Does momentum help linear attention to work out nested expressions?",
    task=partial(ListOps, 32, train=4000, held_out=1000),
    parameters=SMALL,
    variants=variants(classifier, **_GRIDS),
    trials=16,
    epochs=6,
    seeds=5,
    paper=_at_paper_scale(
        classifier,
        partial(ListOps, 2000, shortest=500, train=96_000, held_out=2000),
        batch_size=32,
        epochs=2,  # 5,000 batches are 1.7
    ),
)

text_attention = Space(
    "text-attention",
    question="Does momentum help linear attention to tell film reviews apart, byte by byte?",
    task=partial(Reviews, 256, samples=3000),
    parameters={**SMALL, "batch_size": 16},
    variants=variants(classifier, **_GRIDS),
    trials=12,
    epochs=6,
    seeds=5,
    paper=_at_paper_scale(
        classifier,
        Reviews,  # 1,000 bytes, as the authors' script cuts them
        batch_size=32,
        epochs=28,  # 20,000 batches
    ),
)

retrieval_attention = Space(
    "retrieval-attention",
    question="Does momentum help linear attention to see which papers cite each other?",
    task=partial(Retrieval, 256, samples=2000),
    parameters={**SMALL, "batch_size": 16},
    variants=variants(pair_classifier, **_GRIDS),
    trials=12,
    epochs=6,
    seeds=5,
    paper=_at_paper_scale(
        pair_classifier,
        Retrieval,
        batch_size=32,
        epochs=7,  # 30,000 batches are 6.5
    ),
)

pathfinder_attention = Space(
    "pathfinder-attention",
    question="Does momentum help linear attention to see which dots a path joins?",
    task=partial(Pathfinder, "easy", shrunk=16, samples=4000),
    parameters=SMALL,
    variants=variants(classifier, **_GRIDS),
    trials=12,
    epochs=6,
    seeds=5,
    paper=_at_paper_scale(
        classifier,
        Pathfinder,
        batch_size=256,
        epochs=100,  # 62,400 batches of the 160,000 images
    ),
)


def grey_photographs(side: int = 32, samples: int | None = None) -> GreyImages:
    """CIFAR-10 in grey; sizes as in `CIFAR10`."""
    return GreyImages(CIFAR10(side=side, samples=samples))


image_attention = Space(
    "image-attention",
    question="Does momentum help linear attention to tell photographs apart, byte by byte?",
    task=partial(grey_photographs, side=16, samples=2000),
    parameters=SMALL,
    variants=variants(classifier, **_GRIDS),
    trials=12,
    epochs=4,
    seeds=5,
    paper=_at_paper_scale(
        classifier,
        grey_photographs,
        batch_size=256,
        epochs=200,  # 35,000 batches
    ),
)
