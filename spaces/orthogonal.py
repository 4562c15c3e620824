"""Momentum and orthogonal recurrence: permuted MNIST and speech (paper sections 1.4 and 1.6)."""

from __future__ import annotations

from functools import partial

from ..models import MNIST, Speech
from .family import DTRIVS, RESTARTS, Classifying, Tagging, every_dynamics, family
from .parameters import Choice, Float
from .space import Published, Space

_STEP = Float(0.1, 1.0, log=True)
"""The authors chose 0.3 and 0.9 on permuted MNIST, 0.1 on TIMIT (section 1.6.1)."""


def _pmnist(variant: str, value: float, spread: float | None, chosen: str = "") -> Published:
    return Published(
        variant=variant,
        metric="loss",
        value=value,
        spread=spread,
        setting=(
            f"permuted MNIST, 60,000 images, 784 steps, 512 units{chosen}, norms clipped at 1, "
            "5 seeds, best of 150 epochs on test data"
        ),
        source=(
            "the authors' result files (section 1.7.4); that norms were clipped is read off `gc` "
            "in the files' names"
        ),
        evidence="files",
    )


def _timit(
    variant: str, value: float, spread: float, chosen: str = "", note: str = ""
) -> Published:
    return Published(
        variant=variant,
        metric="loss",
        value=value,
        spread=spread,
        setting=(
            f"TIMIT, 322 units{chosen}, 5 seeds, frames not normalized, "
            "best of 700 epochs on test data"
        ),
        source=f"the authors' result files, cut at epoch 700 (section 1.7.1){note}",
        evidence="files",
    )


pmnist_orthogonal = Space(
    "pmnist-orthogonal",
    question=(
        "Does momentum still help where gradients neither vanish nor explode, in an orthogonal "
        "network that reads permuted MNIST?"
    ),
    task=partial(MNIST, True, side=7, samples=2000),
    parameters={
        "hidden_size": 64,
        "lr": Float(1e-3, 3e-2, log=True),
        # The recurrent matrix learns more slowly: 0.07 to 0.29 times as fast in the paper (1.6.1).
        "orthogonal_lr": Float(0.05, 0.5, log=True),
        "batch_size": 32,
        "optimizer": "adam",
        "schedule": "cosine",
    },
    variants=family(
        "dtriv",
        DTRIVS,
        Classifying,
        every_dynamics(step=_STEP, restart=Choice([2, 4, 10, 40, 0])),
    ),
    trials=8,
    epochs=15,
    seeds=5,
    published=[
        _pmnist("dtriv", 0.119, 0.002),
        _pmnist("momentum_dtriv", 0.108, 0.004, ", momentum 0.3, step 0.3"),
        _pmnist("adam_dtriv", 0.113, None, ", momentum 0.3, step 0.3, beta2 0.8"),
        _pmnist("rmsprop_dtriv", 0.110, None, ", step 0.3, beta2 0.9"),
        _pmnist("nesterov_dtriv", 0.105, None, ", step 0.3, restart 2"),
    ],
    paper={
        # N = 512 (and 170, 360), RMSprop at 3e-4 and 7e-5, batches of 128 (sections 1.6, 1.6.1).
        "task": partial(MNIST, True, full=True),
        "parameters": {
            "hidden_size": 512,
            "lr": Float(1e-4, 1e-3, log=True),
            "batch_size": 128,
            "optimizer": "rmsprop",
            "schedule": "constant",
        },
        "variants": family(
            "dtriv",
            DTRIVS,
            Classifying,
            every_dynamics(step=_STEP, restart=Choice([*RESTARTS, 0])),
        ),
        "epochs": 150,
    },
)

speech_orthogonal = Space(
    "speech-orthogonal",
    question=(
        "Does momentum help an orthogonal network to foresee the next frame of a speaker it never "
        "heard, or is it the small step?"
    ),
    task=partial(Speech, longest=40, samples=1000),
    parameters={
        "hidden_size": 96,
        "lr": Float(1e-3, 3e-2, log=True),
        "orthogonal_lr": Float(0.05, 0.5, log=True),  # 0.2 in the paper (section 1.6.1)
        "batch_size": 32,
        "schedule": "cosine",
    },
    variants=family(
        "dtriv",
        DTRIVS,
        Tagging,
        every_dynamics(step=_STEP, restart=Choice([2, 4, 10, 20, 0])),
    ),
    trials=8,
    epochs=10,
    seeds=5,
    published=[
        _timit(
            "dtriv",
            1.905,
            0.218,
            note="; the paper's table may have another number, unconfirmed (section 8.9)",
        ),
        _timit("momentum_dtriv", 1.169, 0.049, ", momentum 0.3, step 0.1"),
    ],
    paper={
        # N = 322 (and 224), Adam at 1e-3, batches of 128 (sections 1.6, 1.6.1).
        "task": partial(Speech, longest=1000),
        "parameters": {
            "hidden_size": 322,
            "lr": Float(3e-4, 3e-3, log=True),
            "batch_size": 128,
            "schedule": "constant",
        },
        "epochs": 700,
    },
)
