"""Questions about momentum in neural ODEs that recognise images (paper sections 2.3 and 2.7)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from ..models import CIFAR10, Images, Task, digits_image, image_classifier, mnist_image
from .ode import PAPER_DAMPING, Sizes, paper_correction, variants
from .parameters import Float, Parameter
from .space import Measured, Published, Space


def _images(task: Task, **settings: Any) -> nn.Module:
    assert isinstance(task, Images | CIFAR10)
    return image_classifier(shape=task.shape, classes=task.output_size, **settings)


_IMAGES: dict[str, Parameter] = {
    "lr": Float(3e-3, 3e-2, log=True),
    "tolerance": Float(1e-4, 1e-1, log=True),
    "solver": "dopri5",
    "batch_size": 64,
    "schedule": "cosine",
}
_IMAGE_SIZES: Sizes = {  # on the digits 4,532, 4,780, 4,725, 4,686 and 4,687 parameters
    "node": {"channels": 1, "hidden_size": 20},
    "anode": {"channels": 5, "hidden_size": 12},
    "sonode": {"channels": 4, "hidden_size": 10},
    "hbnode": {"channels": 4, "hidden_size": 10},
    "ghbnode": {"channels": 4, "hidden_size": 10},
}
_IMAGE_QUESTION = (
    "Does a heavy ball recognise {} better than other neural ODEs, and with fewer function "
    "evaluations?"
)
_TOLERANCES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # of the authors' sweep (section 2.7.3)

digits_ode = Space(
    "digits-ode",
    question=_IMAGE_QUESTION.format("handwritten digits"),
    task=digits_image,
    parameters=_IMAGES,
    variants=variants(_images, _IMAGE_SIZES),
    cost="nfe",
    grid={"tolerance": _TOLERANCES[1:5]},
    trials=5,
    epochs=6,
    seeds=3,
)


def _authors(
    setting: str,
    source: str,
    metric: str,
    split: Measured,
    results: Mapping[str, tuple[float, float | None]],
) -> list[Published]:
    return [
        Published(
            variant=variant,
            metric=metric,
            split=split,
            value=value,
            spread=spread,
            setting=setting,
            source=source,
            evidence="logs",
        )
        for variant, (value, spread) in results.items()
    ]


_MNIST_LOGS = {
    "setting": "MNIST at paper scale, 3 runs, 40 epochs",
    "source": "authors' logs in the git history of HeavyBallNODE, imgdat/mnist/final",
}
_CIFAR10_LOGS = {
    "setting": "CIFAR-10 at paper scale, 5 runs, 40 epochs",
    "source": "authors' logs in the git history of HeavyBallNODE, results/cifar/general",
}
_LAST, _EPOCH_MEAN = ", the last epoch", ", mean over all epochs' batches"

mnist_ode = Space(
    "mnist-ode",
    question=_IMAGE_QUESTION.format("MNIST's digits"),
    task=partial(mnist_image, side=14, samples=500),
    parameters=_IMAGES,
    variants=variants(
        _images,
        {  # 6,636, 6,787, 6,723, 6,706 and 6,707 parameters
            "node": {"channels": 1, "hidden_size": 22},
            "anode": {"channels": 3, "hidden_size": 9},
            "sonode": {"channels": 3, "hidden_size": 6},
            "hbnode": {"channels": 3, "hidden_size": 6},
            "ghbnode": {"channels": 3, "hidden_size": 6},
        },
    ),
    cost="nfe",
    grid={"tolerance": _TOLERANCES[1:5]},
    trials=5,
    epochs=5,
    seeds=3,
    published=[
        *_authors(
            setting=_MNIST_LOGS["setting"] + _LAST,
            source=_MNIST_LOGS["source"],
            metric="accuracy",
            split="test",
            results={
                "node": (0.9694, 0.0058),
                "anode": (0.9813, 0.0015),
                "sonode": (0.9815, 0.0007),
                "hbnode": (0.9794, 0.0013),
                "ghbnode": (0.9821, 0.0007),
            },
        ),
        *_authors(
            setting=_MNIST_LOGS["setting"] + _EPOCH_MEAN,
            source=_MNIST_LOGS["source"],
            metric="nfe_forward",
            split="train",
            results={
                "node": (67.4, None),
                "anode": (36.1, None),
                "sonode": (41.8, None),
                "hbnode": (31.3, None),
                "ghbnode": (34.3, None),
            },
        ),
    ],
    paper={
        "task": mnist_image,
        "variants": variants(
            _images,
            {
                "node": {"channels": 1, "hidden_size": 92},
                "anode": {"channels": 6, "hidden_size": 64},
                "sonode": {"channels": 5, "hidden_size": 50},
                "hbnode": {"channels": 5, "hidden_size": 50},
                "ghbnode": {"channels": 6, "hidden_size": 45},
            },
            PAPER_DAMPING,
            paper_correction(raw=2.0),
        ),
        "parameters": {"lr": 5e-5, "tolerance": 1e-4, "clip_norm": 10.0, "schedule": "constant"},
        "grid": {"tolerance": (1e-4,)},
        "epochs": 40,
    },
)

cifar10_ode = Space(
    "cifar10-ode",
    question=_IMAGE_QUESTION.format("photographs"),
    task=partial(CIFAR10, side=8, samples=1000),
    parameters=_IMAGES,
    variants=variants(
        _images,
        {  # 5,176, 5,027, 5,417, 5,368 and 5,369 parameters
            "node": {"channels": 3, "hidden_size": 18},
            "anode": {"channels": 5, "hidden_size": 13},
            "sonode": {"channels": 5, "hidden_size": 10},
            "hbnode": {"channels": 5, "hidden_size": 10},
            "ghbnode": {"channels": 5, "hidden_size": 10},
        },
    ),
    cost="nfe",
    grid={"tolerance": _TOLERANCES[1:5]},
    trials=5,
    epochs=6,
    seeds=3,
    published=[
        *_authors(
            setting=_CIFAR10_LOGS["setting"] + _LAST,
            source=_CIFAR10_LOGS["source"],
            metric="accuracy",
            split="test",
            results={
                "node": (0.5280, 0.0017),
                "anode": (0.5594, 0.0051),
                "sonode": (0.5756, 0.0035),
                "hbnode": (0.5643, 0.0014),
                "ghbnode": (0.5760, 0.0066),
            },
        ),
        *_authors(
            setting=_CIFAR10_LOGS["setting"] + _EPOCH_MEAN,
            source=_CIFAR10_LOGS["source"],
            metric="nfe_forward",
            split="train",
            results={
                "node": (26.9, None),
                "anode": (28.9, None),
                "sonode": (25.9, None),
                "hbnode": (21.2, None),
                "ghbnode": (21.7, None),
            },
        ),
    ],
    # The learning rate falls to 0.95 of itself every 1,000 steps there.
    paper={
        "task": CIFAR10,
        "variants": variants(
            _images,
            {
                "node": {"channels": 3, "hidden_size": 125},
                "anode": {"channels": 13, "hidden_size": 64},
                "sonode": {"channels": 12, "hidden_size": 50},
                "hbnode": {"channels": 12, "hidden_size": 51},
                "ghbnode": {"channels": 12, "hidden_size": 51},
            },
            PAPER_DAMPING,
            paper_correction(fixed=1.5),
        ),
        "parameters": {
            "lr": 1e-3,
            "tolerance": Float(1e-5, 1.0, log=True),
            "batch_size": 256,
            "schedule": "constant",
        },
        "grid": {"tolerance": _TOLERANCES},
        "epochs": 40,
    },
)
