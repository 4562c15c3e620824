"""Momentum and the next frame of speech (paper sections 1.6 and 1.7.1)."""

from __future__ import annotations

from functools import partial

from ..models import Speech
from .family import LSTMS, Tagging, every_dynamics, family
from .parameters import Choice, Float
from .space import Published, Space


def _timit(variant: str, units: int, value: float, spread: float, note: str = "") -> Published:
    return Published(
        variant=variant,
        metric="loss",
        value=value,
        spread=spread,
        setting=(
            f"TIMIT, {units} units, 5 seeds, frames not normalized, "
            f"best of 700 epochs on test data{note}"
        ),
        source="the authors' result files, cut at epoch 700 (section 1.7.1)",
        evidence="files",
    )


speech_lstm = Space(
    "speech-lstm",
    question=(
        "Does momentum help an LSTM to foresee the next frame of a speaker it never heard, or is "
        "it the small step?"
    ),
    task=partial(Speech, longest=40, samples=1000),
    parameters={
        "hidden_size": 64,
        "lr": Float(1e-3, 3e-2, log=True),
        "batch_size": 32,
        "schedule": "cosine",
        "clip_norm": 1.0,
    },
    variants=family(
        "lstm",
        LSTMS,
        Tagging,
        # The authors chose a step of 0.1, the least they tried, and momentum 0.3 (section 1.6.1);
        # at momentum 0 the same step is nearly as good (1.8), so the range goes below it.
        every_dynamics(
            step=Float(0.03, 1.0, log=True),
            adaptive_step=Float(0.03, 1.0, log=True),
            restart=Choice([2, 4, 10, 20, 0]),
        ),
    ),
    trials=8,
    epochs=10,
    seeds=5,
    published=[
        _timit("lstm", 158, 9.373, 0.137),
        _timit("momentum_lstm", 158, 5.874, 0.147),
        _timit("adam_lstm", 158, 8.691, 0.151),
        _timit("rmsprop_lstm", 158, 9.173, 0.335),
        _timit("nesterov_lstm", 158, 5.837, 0.103, "; not the paper's cell (oddity O-R1)"),
    ],
    paper={
        # N = 158, Adam at 1e-4, batches of 32, nothing clipped (sections 1.6, 1.6.1).
        "task": partial(Speech, longest=1000),
        "parameters": {
            "hidden_size": 158,
            "lr": Float(3e-5, 1e-3, log=True),
            "schedule": "constant",
            "clip_norm": None,
        },
        "epochs": 700,
    },
)
