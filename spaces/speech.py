"""Momentum and the next frame of speech (paper sections 1.4, 1.6 and 1.7.1)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..models import Speech
from .family import (
    DTRIVS,
    LSTMS,
    ORTHOGONAL_LR,
    PAPER_STEP,
    Tagging,
    bias_outside,
    every_dynamics,
    family,
    on_preactivation,
    paper_dynamics,
)
from .parameters import Choice, Float, Parameters
from .space import Published, Space

_SMALL = partial(Speech, longest=40, samples=1000)
_RESTARTS = Choice([2, 4, 10, 20, 0])

_SHARED: Parameters = {
    "lr": Float(1e-3, 3e-2, log=True),
    "batch_size": 32,
    "schedule": "cosine",
}
_PAPER: dict[str, Any] = {"task": partial(Speech, longest=1000), "epochs": 700}

_CURVES = "the authors' result files, cut at epoch 700 (section 1.7.1)"


def _timit(
    units: int,
    variant: str,
    value: float,
    spread: float,
    chosen: str = "",
    *,
    control: str = "",
    source: str = _CURVES,
) -> Published:
    return Published(
        variant=variant,
        control=control,
        metric="loss",
        value=value,
        spread=spread,
        setting=(
            f"TIMIT, {units} units{chosen}, 5 seeds, frames not normalized, "
            "best of 700 epochs on test data"
        ),
        source=source,
        evidence="files",
    )


_lstm, _dtriv = partial(_timit, 158), partial(_timit, 322)

# The authors chose a step of 0.1, the least they tried, and momentum 0.3 (section 1.6.1); at
# momentum 0 the same step is nearly as good (1.8), so the range goes below it.
_STEP = Float(0.03, 1.0, log=True)

speech_lstm = Space(
    "speech-lstm",
    question=(
        "Does momentum help an LSTM to foresee the next frame of a speaker it never heard, or is "
        "it the small step?"
    ),
    task=_SMALL,
    parameters={**_SHARED, "hidden_size": 64, "clip_norm": 1.0},
    variants=family(
        "lstm",
        LSTMS,
        Tagging,
        bias_outside(
            on_preactivation(
                every_dynamics(step=_STEP, adaptive_step=_STEP, restart=_RESTARTS),
            )
        ),
    ),
    trials=8,
    epochs=10,
    seeds=5,
    published=[
        _lstm("lstm", 9.373, 0.137),
        _lstm("momentum_lstm", 5.874, 0.147, ", momentum 0.3, step 0.1"),
        _lstm("adam_lstm", 8.691, 0.151, ", momentum 0.3, step 0.1, beta2 0.999"),
        _lstm("rmsprop_lstm", 9.173, 0.335, ", step 0.1, beta2 0.999"),
        _lstm(
            *("nesterov_lstm", 5.837, 0.103, ", step 0.1, restart 2"),
            control="on_preactivation",  # oddity O-R1
        ),
    ],
    paper={
        # N = 158, Adam at 1e-4, batches of 32, nothing clipped (sections 1.6, 1.6.1).
        **_PAPER,
        "parameters": {
            "hidden_size": 158,
            "lr": Float(3e-5, 1e-3, log=True),
            "schedule": "constant",
            "clip_norm": None,
        },
        "variants": family(
            "lstm",
            LSTMS,
            Tagging,
            bias_outside(on_preactivation(paper_dynamics(_STEP, adaptive_step=_STEP))),
        ),
    },
)

speech_orthogonal = Space(
    "speech-orthogonal",
    question=(
        "Does momentum help an orthogonal network to foresee the next frame of a speaker it never "
        "heard, or is it the small step?"
    ),
    task=_SMALL,
    parameters={
        **_SHARED,
        "hidden_size": 96,
        "orthogonal_lr": ORTHOGONAL_LR,
    },
    variants=family(
        "dtriv",
        DTRIVS,
        Tagging,
        every_dynamics(step=PAPER_STEP, restart=_RESTARTS),
    ),
    trials=8,
    epochs=10,
    seeds=5,
    published=[
        _dtriv(
            *("dtriv", 1.905, 0.218),
            source=f"{_CURVES}; the paper's table may have another number, unconfirmed "
            "(section 8.9)",
        ),
        _dtriv("momentum_dtriv", 1.169, 0.049, ", momentum 0.3, step 0.1"),
    ],
    paper={
        # N = 322 (and 224), Adam at 1e-3, batches of 128 (sections 1.6, 1.6.1).
        **_PAPER,
        "parameters": {
            "hidden_size": 322,
            "lr": Float(3e-4, 3e-3, log=True),
            "batch_size": 128,
            "schedule": "constant",
        },
        "variants": family("dtriv", DTRIVS, Tagging, paper_dynamics()),
    },
)
