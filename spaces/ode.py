"""Questions about momentum in neural ODEs (paper section 2).

In each space five dynamics compete that have about the same number of parameters, as in the paper
(I-N13). What decides is the task's metric; what it costs is the number of function evaluations,
forward and backward, that a training batch takes. Tolerance is searched too, because it buys the
one with the other. Every variant is solved with the adjoint method, as published.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from ..models import (
    NestedSpheres,
    Oscillators,
    Silverbox,
    Task,
    Vibration,
    Walker,
    forecaster,
    point_classifier,
)
from .parameters import Choice, Float, Parameter
from .space import Space, Variant

Sizes = Mapping[str, Mapping[str, Any]]


def _points(task: Task, **settings: Any) -> nn.Module:
    return point_classifier(features=task.input_size, **settings)


def _series(task: Task, **settings: Any) -> nn.Module:
    return forecaster(features=task.input_size, outputs=task.output_size, **settings)


def _fixed_damping(values: dict[str, Any]) -> dict[str, Any]:
    """Damping stays where it would have started to learn."""
    return {"damping": values["damping_start"]}


_DAMPING: dict[str, Parameter] = {
    "damping": "learned",
    "damping_start": Float(0.01, 0.9, log=True),
}
_CORRECTION: dict[str, Parameter] = {
    "correction": "learned",
    "correction_start": Float(0.5, 2.5, log=True),
    "activation": Choice(["tanh", "identity", "hardtanh"]),
}

# As published (section 2.1): damping is sigmoid(raw), learned from raw = -3; the correction is
# learned from softplus of 0, 1 or 2, or stays at 1.5 or 2, by the task.
PAPER_DAMPING: dict[str, Parameter] = {
    "damping": "learned",
    "damping_start": 1 / (1 + math.exp(3)),
}


def paper_correction(
    raw: float = 0.0, *, fixed: float | None = None, activation: str = "tanh"
) -> dict[str, Parameter]:
    """Learned from softplus(raw), or fixed where a number is given."""
    return {
        "correction": "learned" if fixed is None else fixed,
        "correction_start": math.log1p(math.exp(raw)),
        "activation": activation,
    }


def variants(
    network: Callable[..., nn.Module],
    sizes: Sizes,
    damping: Mapping[str, Parameter] = _DAMPING,
    correction: Mapping[str, Parameter] = _CORRECTION,
) -> list[Variant]:
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
            parameters=damping,
            controls={"fixed_damping": _fixed_damping},
        ),
        Variant(
            "ghbnode",
            network=built("ghbnode"),
            parameters={**damping, **correction},
            controls={"no_correction": {"correction": 0.0}, "fixed_damping": _fixed_damping},
        ),
    ]


# Points

_POINT_SIZES: Sizes = {  # 525, 567, 527, 568 parameters; 569 with a learned correction
    "node": {"hidden_size": 20},
    "anode": {"hidden_size": 20, "augment": 1},
    "sonode": {"hidden_size": 13},
    "hbnode": {"hidden_size": 14},
    "ghbnode": {"hidden_size": 14},
}

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
    variants=variants(_points, _POINT_SIZES),
    cost="nfe",
    grid={"tolerance": (1e-2, 1e-3, 1e-4, 1e-5)},
    trials=8,
    epochs=24,
    seeds=10,  # some seeds end where no ball is found, and a few more tell how many
    # 50 points, all of them in a batch, 300 times.
    paper={
        "task": NestedSpheres,
        "variants": variants(
            _points,
            _POINT_SIZES,
            PAPER_DAMPING,
            paper_correction(fixed=2.0, activation="identity"),
        ),
        "parameters": {"lr": 0.01, "tolerance": 1e-7, "schedule": "constant"},
        "grid": {"tolerance": (1e-7,)},
        "epochs": 300,
        "seeds": 100,
    },
)


# Series

_SERIES: dict[str, Parameter] = {
    "lr": Float(3e-3, 3e-2, log=True),
    "tolerance": Float(1e-3, 1e-1, log=True),
    "solver": "bosh3",  # takes short gaps in a third of dopri5's evaluations
    "depth": "field",
    "shrink": 0.3,  # a state that moves little at first does not blow up over many gaps
    "batch_size": 64,  # costs what 32 series cost: evaluations are dear, not rows
    "schedule": "cosine",
}
_SERIES_SIZES: Sizes = {  # on the oscillators 1,065, 1,067, 1,009, 981 and 982 parameters
    "node": {"hidden_size": 7},
    "anode": {"hidden_size": 7, "window": 1, "known": 1},
    "sonode": {"hidden_size": 9},
    "hbnode": {"hidden_size": 11},
    "ghbnode": {"hidden_size": 11},
}

oscillators_ode = Space(
    "oscillators-ode",
    question=(
        "Do second-order neural ODEs forecast oscillators better than first-order ones, and is it "
        "the damping?"
    ),
    task=partial(Oscillators, length=16, horizon=5, train=512),
    parameters=_SERIES,
    variants=variants(_series, _SERIES_SIZES),
    cost="nfe",
    grid={"tolerance": (1e-1, 1e-2, 1e-3)},
    trials=5,
    epochs=12,
    seeds=6,
)

silverbox_ode = Space(
    "silverbox-ode",
    question=(
        "Do second-order neural ODEs simulate an electronic Duffing oscillator better than "
        "first-order ones?"
    ),
    task=partial(Silverbox, length=16, horizon=8, samples=512),
    parameters=_SERIES,
    variants=variants(_series, _SERIES_SIZES),
    cost="nfe",
    grid={"tolerance": (1e-1, 1e-2, 1e-3)},
    trials=5,
    epochs=10,
    seeds=5,
)

vibration_ode = Space(
    "vibration-ode",
    question=(
        "Does a heavy ball forecast an aircraft's vibration better than other neural ODEs, and "
        "with fewer function evaluations?"
    ),
    task=partial(Vibration, length=16, horizon=4, samples=512),
    parameters=_SERIES,
    variants=variants(
        _series,
        {  # 1,445, 1,475, 1,355, 1,302 and 1,303 parameters
            "node": {"hidden_size": 8},
            "anode": {"hidden_size": 8, "window": 1, "known": 5},
            "sonode": {"hidden_size": 10},
            "hbnode": {"hidden_size": 12},
            "ghbnode": {"hidden_size": 12},
        },
    ),
    cost="nfe",
    grid={"tolerance": (1e-1, 1e-2, 1e-3)},
    trials=5,
    epochs=10,
    seeds=5,
    # The learning rate falls once there, to a tenth, at epoch 50.
    paper={
        "task": Vibration,
        "variants": variants(
            _series,
            {
                "node": {"hidden_size": 21, "window": 64},
                "anode": {"hidden_size": 27, "window": 64, "known": 5},
                "sonode": {"hidden_size": 19, "window": 64},
                "hbnode": {"hidden_size": 20, "window": 64},
                "ghbnode": {"hidden_size": 20, "window": 64},
            },
            PAPER_DAMPING,
            paper_correction(raw=0.0),
        ),
        "parameters": {
            "lr": Float(1e-4, 1e-3, log=True),
            "tolerance": 1e-7,
            "solver": "dopri5",
            "shrink": 0.01,
            "batch_size": 64,
        },
        "grid": {"tolerance": (1e-7,)},
        "epochs": 500,
    },
)

walker_ode = Space(
    "walker-ode",
    question=(
        "Does a heavy ball foresee a walking figure's next moment better than other neural ODEs, "
        "and with fewer function evaluations?"
    ),
    task=partial(Walker, length=16, samples=512, rollouts=64, frames=200),
    parameters={**_SERIES, "depth": "update", "shrink": 1.0},
    variants=variants(
        _series,
        {  # 2,645, 2,735, 2,729, 2,586 and 2,587 parameters
            "node": {"hidden_size": 12},
            "anode": {"hidden_size": 12, "window": 1, "known": 5},
            "sonode": {"hidden_size": 12},
            "hbnode": {"hidden_size": 12},
            "ghbnode": {"hidden_size": 12},
        },
    ),
    cost="nfe",
    grid={"tolerance": (1e-1, 1e-2, 1e-3)},
    trials=5,
    epochs=10,
    seeds=5,
    # Second-order dynamics begin with a rate of 0.001 there, and go on with 0.003 from epoch 50.
    paper={
        "task": Walker,
        "variants": variants(
            _series,
            {
                "node": {"hidden_size": 24},
                "anode": {"hidden_size": 24, "window": 1, "known": 5},
                "sonode": {"hidden_size": 23},
                "hbnode": {"hidden_size": 24},
                "ghbnode": {"hidden_size": 24},
            },
            PAPER_DAMPING,
            paper_correction(raw=1.0),
        ),
        "parameters": {
            "lr": Float(1e-3, 3e-3, log=True),
            "tolerance": 1e-7,
            "solver": "dopri5",
            "batch_size": 256,
            "schedule": "constant",
        },
        "grid": {"tolerance": (1e-7,)},
        "epochs": 500,
    },
)
