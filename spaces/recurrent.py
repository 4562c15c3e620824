"""Questions about momentum in recurrent networks: digits, copying, adding (paper section 1)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from ..models import Adding, Copying, Digits, MomentumLSTM
from ..models.learned import START
from .family import (
    DTRIVS,
    GRUS,
    LSTMS,
    ORTHOGONAL_LR,
    RNNS,
    Classifying,
    Tagging,
    every_dynamics,
    family,
    paper_dynamics,
)
from .parameters import Choice, Float, Parameters, Values
from .space import Control, Space, Variant

# Handwritten digits

_DIGITS: Parameters = {
    "hidden_size": Choice([32, 48, 64]),
    "lr": Float(4e-3, 3e-2, log=True),
    "batch_size": 32,
    # The last epoch is what is judged; at a constant rate it jumps by 2 points of accuracy.
    "schedule": "cosine",
}

_DIGITS_DYNAMICS = every_dynamics(
    # The paper's grids are momentum 0 … 0.9 and step 0.1 … 1 (section 1.6.2), for 784
    # pixels. Here, at 64, a step of 2 may be better than 1.
    step=Float(0.1, 3.0, log=True),
    # The authors chose a restart of 2 on MNIST and of 40 on PMNIST (section 1.6.1), among
    # 2 … 350 (1.6.2); a digit has 64 pixels here, so 0, never, stands for the longest.
    restart=Choice([2, 4, 10, 40, 0]),
)

digits_lstm = Space(
    "digits-lstm",
    question=(
        "Is a MomentumLSTM better than an LSTM at reading handwritten digits pixel by pixel, "
        "and is it the momentum or the step size?"
    ),
    task=Digits,
    parameters=_DIGITS,
    variants=family("lstm", LSTMS, Classifying, {"momentum": _DIGITS_DYNAMICS["momentum"]}),
    trials=16,
    epochs=30,
    seeds=10,
)

digits_rnn = Space(
    "digits-rnn",
    question=(
        "Which optimizer makes the best LSTM for reading handwritten digits pixel by pixel: "
        "heavy ball, Nesterov, Adam, RMSProp, or none?"
    ),
    task=Digits,
    parameters=_DIGITS,
    variants=family("lstm", LSTMS, Classifying, _DIGITS_DYNAMICS),
    trials=12,
    epochs=30,
    seeds=5,
)

digits_gru = replace(
    digits_rnn,
    name="digits-gru",
    question=digits_rnn.question.replace("LSTM", "GRU"),
    variants=family("gru", GRUS, Classifying, _DIGITS_DYNAMICS),
)

digits_tanh = replace(
    digits_rnn,
    name="digits-tanh",
    question=digits_rnn.question.replace("LSTM", "plain tanh network"),
    variants=family("rnn", RNNS, Classifying, _DIGITS_DYNAMICS),
)

digits_relu = replace(
    digits_tanh,
    name="digits-relu",
    question=digits_rnn.question.replace("LSTM", "plain ReLU network"),
    # Without a bound on its output it wants a lower rate: of five, 2e-3 and 4e-3 were best here.
    parameters={**_DIGITS, "nonlinearity": "relu", "lr": Float(1e-3, 1e-2, log=True)},
)

digits_orthogonal = replace(
    digits_rnn,
    name="digits-orthogonal",
    question=digits_rnn.question.replace("LSTM", "orthogonal network"),
    # Most of it learns at a fraction of this rate: of four, 0.03 was best here.
    parameters={**_DIGITS, "lr": Float(1e-2, 1e-1, log=True), "orthogonal_lr": ORTHOGONAL_LR},
    variants=family("dtriv", DTRIVS, Classifying, _DIGITS_DYNAMICS),
)


_LEARNED: Values = {"momentum": "learned", "step": "learned"}
_LEARNED_CONTROLS: dict[str, Control] = {
    "no_momentum": {"momentum": 0.0},
    "no_learning": {"momentum": START, "step": START},
}

digits_learned = replace(
    digits_rnn,
    name="digits-learned",
    question=(
        "An LSTM that learns its momentum and step while it learns to read digits: which does it "
        "arrive at, and is it better than one that stays where they started?"
    ),
    parameters={**_DIGITS, "hidden_size": 48},
    variants=[
        *family("lstm", LSTMS, Classifying, {}),
        Variant(
            "learned_lstm",
            network=Classifying(MomentumLSTM),
            parameters=_LEARNED,
            controls=_LEARNED_CONTROLS,
        ),
        Variant(
            "learned_units_lstm",
            network=Classifying(MomentumLSTM),
            parameters=dict.fromkeys(_LEARNED, "learned-per-unit"),
            controls={**_LEARNED_CONTROLS, "no_units": _LEARNED},
        ),
    ],
)


# How long can they remember?

_MEMORY: Parameters = {
    "lr": Float(3e-3, 3e-2, log=True),
    "batch_size": 32,
    "schedule": "cosine",
}

# The paper's settings are not confirmed (section 1.10): hidden size and batch are those of its
# MNIST, the lengths the longest that others report.
_MEMORY_PAPER: dict[str, Any] = {
    "parameters": {"hidden_size": 128, "batch_size": 128},
    "epochs": 100,
}

# Past the paper's 1: a one-hot input is small, and steps of 3 and 6 learn faster here.
_COPYING_STEP = Float(0.1, 10.0, log=True)

copying_rnn = Space(
    "copying-rnn",
    question=(
        "Does momentum help an LSTM to remember ten symbols over a long pause, and which "
        "optimizer's momentum helps most?"
    ),
    task=partial(Copying, 20),
    parameters={"hidden_size": 64, **_MEMORY},
    variants=family(
        "lstm",
        LSTMS,
        Tagging,
        # A sequence has 40 steps.
        every_dynamics(step=_COPYING_STEP, restart=Choice([2, 4, 10, 20, 0])),
    ),
    trials=8,
    epochs=20,
    seeds=5,
    paper={
        **_MEMORY_PAPER,
        "task": partial(Copying, 2000, train=10_000, held_out=1000),
        "variants": family("lstm", LSTMS, Tagging, paper_dynamics(_COPYING_STEP)),
    },
)

_ADDING_STEP = Float(0.1, 3.0, log=True)

adding_rnn = Space(
    "adding-rnn",
    question="Does momentum help an LSTM to add two numbers that it read far apart?",
    task=partial(Adding, 80, train=1500),
    parameters={"hidden_size": 32, **_MEMORY},
    variants=family(
        "lstm",
        LSTMS,
        Classifying,
        # A sequence has 80 steps.
        every_dynamics(step=_ADDING_STEP, restart=Choice([2, 4, 10, 40, 0])),
    ),
    trials=8,
    epochs=20,
    seeds=5,
    paper={
        **_MEMORY_PAPER,
        "task": partial(Adding, 1000, train=10_000, held_out=1000),
        "variants": family("lstm", LSTMS, Classifying, paper_dynamics(_ADDING_STEP)),
    },
)
