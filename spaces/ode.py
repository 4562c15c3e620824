"""Questions about momentum in neural ODEs (paper section 2).

In each space five dynamics compete that have about the same number of parameters, as in the paper
(I-N13). What decides is the task's metric; what it costs is the number of function evaluations,
forward and backward, that a training batch takes. Tolerance is searched too, because it buys the
one with the other. Every variant is solved with the adjoint method, as published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from ..models import (
    NestedSpheres,
    Oscillators,
    digits_image,
    forecaster,
    image_classifier,
    point_classifier,
)
from ..models.tasks import Images, Task
from .parameters import Choice, Float, Parameter
from .space import Space, Variant

Sizes = Mapping[str, Mapping[str, Any]]


def _points(task: Task, **settings: Any) -> nn.Module:
    return point_classifier(features=task.input_size, **settings)


def _images(task: Task, **settings: Any) -> nn.Module:
    assert isinstance(task, Images)
    return image_classifier(shape=task.shape, classes=task.output_size, **settings)


def _series(task: Task, **settings: Any) -> nn.Module:
    return forecaster(features=task.input_size, outputs=task.output_size, **settings)


def _fixed_damping(values: dict[str, Any]) -> dict[str, Any]:
    """Damping stays where it would have started to learn."""
    return {"damping": values["damping_start"]}


# The authors' damping is sigmoid(raw), learned from raw = -3, where it is 0.047 (section 2.1).
_DAMPING: dict[str, Parameter] = {
    "damping": "learned",
    "damping_start": Float(0.01, 0.9, log=True),
}
# Their correction is learned from softplus of 0, 1 or 2, or stays at 1.5 or 2, by the task.
_CORRECTION: dict[str, Parameter] = {
    "correction": "learned",
    "correction_start": Float(0.5, 2.5, log=True),
    "activation": Choice(["tanh", "identity", "hardtanh"]),
}


def _variants(network: Callable[..., nn.Module], sizes: Sizes) -> list[Variant]:
    """The five dynamics at their sizes."""

    def built(kind: str) -> Callable[..., nn.Module]:
        return partial(network, kind=kind, **sizes[kind])

    return [
        Variant("node", network=built("node"), baseline=True),
        Variant("anode", network=built("anode")),
        Variant("sonode", network=built("sonode")),
        Variant(
            "hbnode",
            network=built("hbnode"),
            parameters=_DAMPING,
            controls={"fixed_damping": _fixed_damping},
        ),
        Variant(
            "ghbnode",
            network=built("ghbnode"),
            parameters=_DAMPING | _CORRECTION,
            controls={"no_correction": {"correction": 0.0}, "fixed_damping": _fixed_damping},
        ),
    ]


_TOLERANCES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # of the authors' sweep (section 2.7.3)


spheres_ode = Space(
    "spheres-ode",
    question=(
        "Does a heavy ball separate nested spheres better than other neural ODEs, and with fewer "
        "function evaluations?"
    ),
    task=partial(NestedSpheres, train=500),
    parameters={
        "lr": Float(3e-3, 3e-2, log=True),
        "tolerance": Float(1e-5, 1e-2, log=True),
        "solver": "dopri5",
        "batch_size": 50,
        "schedule": "cosine",
    },
    # 525, 567, 527, 568 and 569 parameters.
    variants=_variants(
        _points,
        {
            "node": {"hidden_size": 20},
            "anode": {"hidden_size": 20, "augment": 1},
            "sonode": {"hidden_size": 13},
            "hbnode": {"hidden_size": 14},
            "ghbnode": {"hidden_size": 14},
        },
    ),
    cost="nfe",
    grid={"tolerance": (1e-2, 1e-3, 1e-4, 1e-5)},
    trials=8,
    epochs=20,
    seeds=5,
    # 50 points, all of them in a batch, 300 times, at tolerance 1e-7.
    paper={
        "task": NestedSpheres,
        "epochs": 300,
        "parameters": {"lr": 0.01, "tolerance": 1e-7, "schedule": "constant"},
        "grid": {"tolerance": (1e-7,)},
        "seeds": 100,
    },
)

oscillators_ode = Space(
    "oscillators-ode",
    question=(
        "Do second-order neural ODEs forecast oscillators better than first-order ones, and is it "
        "the damping?"
    ),
    task=partial(Oscillators, length=16, horizon=5, train=192),
    parameters={
        "lr": Float(2e-3, 2e-2, log=True),
        "tolerance": Float(1e-3, 1e-1, log=True),
        "solver": "bosh3",  # takes short gaps in a third of dopri5's evaluations
        "depth": "field",
        "shrink": 0.3,
        "batch_size": 32,
        "schedule": "cosine",
    },
    # 1,037, 1,058, 1,018, 1,032 and 1,033 parameters
    variants=_variants(
        _series,
        {
            "node": {"hidden_size": 7},
            "anode": {"hidden_size": 7, "window": 1, "known": 1},
            "sonode": {"hidden_size": 9},
            "hbnode": {"hidden_size": 11},
            "ghbnode": {"hidden_size": 11},
        },
    ),
    cost="nfe",
    grid={"tolerance": (1e-1, 1e-2, 1e-3)},
    trials=6,
    epochs=15,
    seeds=5,
)

digits_ode = Space(
    "digits-ode",
    question=(
        "Does a heavy ball read handwritten digits better than other neural ODEs, and with fewer "
        "function evaluations?"
    ),
    task=digits_image,
    parameters={
        "lr": Float(3e-3, 3e-2, log=True),
        "tolerance": Float(1e-4, 1e-1, log=True),
        "solver": "dopri5",
        "batch_size": 64,
        "schedule": "cosine",
    },
    variants=_variants(
        _images,
        {
            "node": {"channels": 1, "hidden_size": 20},
            "anode": {"channels": 5, "hidden_size": 12},
            "sonode": {"channels": 4, "hidden_size": 10},
            "hbnode": {"channels": 4, "hidden_size": 10},
            "ghbnode": {"channels": 4, "hidden_size": 10},
        },
    ),
    cost="nfe",
    grid={"tolerance": _TOLERANCES[1:5]},
    trials=6,
    epochs=8,
    seeds=5,
)
